"""The report as one HTML file: style and figures inside it, no script, no request to anywhere.

Every text passes jinja2's autoescape. The content security policy of the page forbids scripts and requests, so that a
text that slipped through could not act either.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from churnsurv.report.render.cells import shown


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("churnsurv.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["shown"] = shown
    made.filters["data_uri"] = _data_uri
    return made


def render_html(document: Mapping[str, Any]) -> str:
    """Give the page of a report from its JSON form."""
    # the style sheet is our own file, so it may pass unescaped
    style = Markup(_environment().get_template("report.css").render())
    return _environment().get_template("report.html").render(report=document, style=style)


def render_table(table: Mapping[str, Any]) -> str:
    """Give one table alone as HTML, for notebooks and e-mails."""
    macros = _environment().get_template("blocks.html").make_module()
    return str(macros.table(table))  # type: ignore[attr-defined]


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")

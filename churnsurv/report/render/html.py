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

from churnsurv.plot.palette import DARK, LIGHT, TEXT_FONTS
from churnsurv.report.render.cells import MARKS, cell_class, headings_over, names_of_evidence, shown

#: asked after the named fonts, and for what they lack: whatever the reader's machine has
_FALLBACK = "system-ui, sans-serif"


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
    made.filters |= {"shown": shown, "data_uri": data_uri, "cell_class": _class_attribute, "css_string": _css_string}
    made.globals |= {"marks": MARKS, "headings_over": headings_over}
    return made


def render_html(document: Mapping[str, Any]) -> str:
    """Give the page of a report from its JSON form."""
    found = {s["key"]: [b for b in s["blocks"] if b["kind"] == "finding"] for s in document["sections"]}
    page = _environment().get_template("report.html")
    return page.render(
        report=document,
        style=_style(document),
        findings=[finding for findings in found.values() for finding in findings],
        # "red" comes after "amber"
        worst_of={key: max((f["severity"] for f in findings), default=None) for key, findings in found.items()},
        names=names_of_evidence(document),
    )


def render_table(table: Mapping[str, Any]) -> str:
    """Give one table alone as HTML, for notebooks and e-mails."""
    macros = _environment().get_template("blocks.html").make_module()
    return str(macros.table(table))  # type: ignore[attr-defined]


def data_uri(svg: str) -> str:
    """Give a drawing as an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")


def _style(document: Mapping[str, Any]) -> Markup:
    """Fill our own style sheet; the three texts of the report in it pass :func:`_css_string`."""
    fonts = ", ".join(f'"{name}"' for name in TEXT_FONTS) + f", {_FALLBACK}"
    words = {name: document[name] for name in ("title", "period", "as_of")}
    sheet = _environment().get_template("report.css")
    return Markup(sheet.render(light=LIGHT, dark=DARK, fonts=Markup(fonts), **words))


def _css_string(text: str) -> Markup:
    r"""Give a CSS string: all but letters and digits of ASCII as code points, so that nothing can end it.

    >>> print(_css_string('a"</style>'))
    "a\22 \3c \2f style\3e "
    """
    return Markup('"' + "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):x} " for c in text) + '"')


def _class_attribute(value: Any, format: str) -> Markup:
    name = cell_class(value, format)
    return Markup(f' class="{name}"') if name else Markup("")

"""A table as a ``great_tables.GT`` object, for further styling in notebooks and Quarto."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from churnsurv.exceptions import ConfigError
from churnsurv.report.render.cells import headings_over, shown


def render_table(table: Mapping[str, Any]) -> Any:
    """Give the table with its headings, blocks of rows and notes; every text is escaped when it is drawn.

    Raises
    ------
    ConfigError
        great_tables is not installed.
    """
    try:
        import great_tables as gt
    except ImportError as error:
        raise ConfigError(
            "This needs great_tables, which is not installed: pip install 'churnsurv[tables]'."
        ) from error
    columns, groups = table["columns"], table["groups"]
    names = [column["name"] for column in columns]
    cells = [[shown(v, c["format"]) for v, c in zip(row, columns, strict=True)] for row in table["rows"]]
    frame = pd.DataFrame(cells, columns=names)
    if groups:
        frame["group"] = list(groups)
    made = gt.GT(frame, id=table["key"], rowname_col=names[0], groupname_col="group" if groups else None)
    made = made.tab_header(title=table["title"]).tab_stubhead(columns[0]["label"])
    made = made.cols_label({c["name"]: c["label"] for c in columns[1:]})
    numbers = [c["name"] for c in columns[1:] if c["format"] != "text"]
    made = made.cols_align("left", [c["name"] for c in columns[1:] if c["format"] == "text"]).cols_align(
        "right", numbers
    )
    first = 0
    for name, span in headings_over(columns):
        if name:
            made = made.tab_spanner(label=name, columns=names[first : first + span], id=f"over-{first}")
        first += span
    if table["emphasis"]:
        bold = gt.style.text(weight="bold")
        rows = list(table["emphasis"])
        made = made.tab_style(bold, gt.loc.body(rows=rows)).tab_style(bold, gt.loc.stub(rows=rows))
    for note in table["notes"]:
        # a plain text would be read as Markdown, with links
        made = made.tab_source_note(gt.html(escape(note)))
    return made

"""A table as a Word document: an editable table below its caption (needs python-docx)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from churnsurv.exceptions import ConfigError
from churnsurv.report.render.cells import shown


def table_document(table: Mapping[str, Any]) -> Any:
    """Give a document with one table from the JSON form of a table."""
    try:
        from docx import Document
        from docx.enum.text import WD_ALIGN_PARAGRAPH
    except ImportError:
        raise ConfigError("Word documents need python-docx: pip install 'churnsurv[report]'.") from None
    document = Document()
    document.add_paragraph(table["title"], style="Caption")
    columns, groups = table["columns"], table["groups"]
    grid = document.add_table(rows=1, cols=len(columns), style="Light List Accent 1")

    def write(cell: Any, text: str, format: str) -> None:
        cell.text = text
        if format != "text":
            cell.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT

    for cell, column in zip(grid.rows[0].cells, columns, strict=True):
        write(cell, column["label"], column["format"])
    for position, row in enumerate(table["rows"]):
        if groups and (position == 0 or groups[position] != groups[position - 1]):
            cells = grid.add_row().cells
            cells[0].merge(cells[-1]).text = groups[position]
        for cell, value, column in zip(grid.add_row().cells, row, columns, strict=True):
            write(cell, shown(value, column["format"]), column["format"])
    return document

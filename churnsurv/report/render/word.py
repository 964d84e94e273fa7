"""The report as a Word document: real headings, numbered captions, editable tables, described pictures.

python-docx and resvg are imported when a document is made; both come with ``churnsurv[report]``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from churnsurv.exceptions import ConfigError
from churnsurv.report.render.cells import MARKS, cell_class, group_begins, headings_over, names_of_evidence, shown

if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph

#: columns from which on a table stands across the page
ACROSS = 9
#: letters that a column is taken to hold at least and at most when the width of the page is shared out
_LEAST, _MOST = 6, 42
_LINES = {"red": ("single", "red", 36), "amber": ("dashed", "amber", 24), "headline": ("single", "accent", 24)}


def render_docx(document: Mapping[str, Any]) -> bytes:
    """Give the document of a report from its JSON form."""
    made = _Writer(names_of_evidence(document))
    made.head(document)
    for position, section in enumerate(document["sections"], start=1):
        made.heading(f"{position}. {section['title']}", section["key"])
        for block in section["blocks"]:
            made.block(block)
    return made.finished(document)


def table_document(table: Mapping[str, Any]) -> Any:
    """Give a document with one table from the JSON form of a table."""
    made = _Writer({})
    made.block({"kind": "table", **table})
    return made.document


class _Writer:
    """Puts one block after the other into a document; `names` are what links to evidence are called."""

    def __init__(self, names: Mapping[str, str]) -> None:
        try:
            import docx

            from churnsurv.report.render import word_parts
        except ImportError:
            raise ConfigError("Word documents need python-docx: pip install 'churnsurv[report]'.") from None
        self.parts = word_parts
        self.names = names
        self.targets = {key: f"target_{i}" for i, key in enumerate(names, start=1)}
        self.document: Document = docx.Document()
        self.across = False
        word_parts.styled(self.document)

    def head(self, document: Mapping[str, Any]) -> None:
        """Write title, facts, and the table of contents, which Word fills with page numbers on request."""
        self.document.add_paragraph(document["title"], style="Title")
        self.document.add_paragraph(f"{document['period']} · data as of {document['as_of']}")
        facts = [[name, value] for name, value in document["facts"]]
        if facts:
            self._grid([], facts, ["text", "text"])
        self.document.add_paragraph(style="Caption").add_run("Contents").bold = True
        sections = [(f"{i}. {s['title']}", self.targets[s["key"]]) for i, s in enumerate(document["sections"], start=1)]
        lines = [self.document.add_paragraph(style="toc 1") for _ in sections]
        # one field around all lines: begun in the first, ended in the last
        for line, (title, target) in zip(lines, sections, strict=True):
            self.parts.link(line, title, target)
        if lines:
            self._contents_field(lines)

    def _contents_field(self, lines: Sequence[Paragraph]) -> None:
        element = self.parts.element
        for position, kind in enumerate(("begin", "instruction", "separate")):
            run = element("r")
            if kind == "instruction":
                run.append(element("instrText"))
                run[0].text = r'TOC \o "1-2" \h \z \u'
            else:
                run.append(element("fldChar", fldCharType=kind))
            lines[0]._p.insert(1 + position, run)
        lines[-1].add_run()._r.append(element("fldChar", fldCharType="end"))

    def finished(self, document: Mapping[str, Any]) -> bytes:
        """Write headers and footers and give the file."""
        first = self.document.sections[0]
        first.header.paragraphs[0].text = f"{document['title']} · {document['period']}"
        foot = first.footer.paragraphs[0]
        foot.add_run(f"Data as of {document['as_of']} · page ")
        self.parts.field(foot, "PAGE", "1")
        foot.add_run(" of ")
        self.parts.field(foot, "NUMPAGES", "1")
        for paragraph in (first.header.paragraphs[0], foot):
            paragraph.style = self.document.styles["Small print"]
        self.parts.signed(self.document, document["title"], document["period"], document["schema"], document["as_of"])
        return self.parts.packed(self.document)

    def heading(self, text: str, key: str) -> None:
        """Write the heading of a section, the target of links to it."""
        self._turn(across=False)
        self._target(self.document.add_heading(text, level=1), key)

    def block(self, block: Mapping[str, Any]) -> None:
        """Write one block."""
        kinds: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "table": self._table,
            "figure": self._figure,
            "finding": self._finding,
            "text": self._text,
        }
        self._turn(across=block["kind"] == "table" and len(block["columns"]) >= ACROSS)
        kinds[block["kind"]](block)

    def _turn(self, across: bool) -> None:
        """Begin a page of the other orientation where one is needed."""
        if across != self.across:
            self.parts.paged(self.document.add_section(), landscape=across)
            self.across = across

    def _target(self, paragraph: Paragraph, key: str) -> None:
        if key in self.targets:
            self.parts.bookmark(paragraph, self.targets[key], 1 + list(self.targets).index(key))

    def _caption(self, block: Mapping[str, Any]) -> None:
        paragraph = self.document.add_paragraph(style="Caption")
        if block["number"]:
            name = block["kind"].capitalize()
            paragraph.add_run(f"{name} ").bold = True
            self.parts.field(paragraph, f"SEQ {name} \\* ARABIC", str(block["number"]), bold=True)
            paragraph.add_run(". ").bold = True
        paragraph.add_run(block["title"])
        self._target(paragraph, block["key"])

    def _table(self, block: Mapping[str, Any]) -> None:
        self._caption(block)
        formats = [column["format"] for column in block["columns"]]
        heads = [] if block["style"] == "pairs" else [column["label"] for column in block["columns"]]
        self._grid(heads, block["rows"], formats, block)
        for note in block["notes"]:
            self.document.add_paragraph(note, style="Small print")

    def _grid(
        self,
        heads: Sequence[str],
        rows: Sequence[Sequence[Any]],
        formats: Sequence[str],
        block: Mapping[str, Any] | None = None,
    ) -> None:
        """Write an editable table: a header row that is repeated, rows that stay whole, widths by what columns hold."""
        from docx.shared import Pt

        layout: Mapping[str, Any] = block or {"groups": [], "emphasis": [], "style": "pairs"}
        texts = [[shown(value, format) for value, format in zip(row, formats, strict=True)] for row in rows]
        table = self.document.add_table(rows=0, cols=len(formats))
        self.parts.ruled(table)
        if heads:
            self._over(table, layout.get("columns", ()))
            row = table.add_row()
            self.parts.whole(row, header=True)
            for cell, text, format in zip(row.cells, heads, formats, strict=True):
                self._cell(cell, text, "number" if format != "text" else "", bold=True)
        for position, (values, row_texts) in enumerate(zip(rows, texts, strict=True)):
            if group_begins(layout["groups"], position):
                row = table.add_row()
                self.parts.whole(row)
                merged = row.cells[0].merge(row.cells[-1])
                self.parts.shade(merged, "tint")
                self._cell(merged, layout["groups"][position], "", bold=True)
            row = table.add_row()
            self.parts.whole(row)
            if layout["style"] == "form":
                row.height = Pt(36)
            for cell, value, text, format in zip(row.cells, values, row_texts, formats, strict=True):
                self._cell(cell, text, cell_class(value, format), bold=position in layout["emphasis"])
        self._widths(table, [heads, *texts] if heads else texts)
        self.document.add_paragraph().paragraph_format.space_after = Pt(0)

    def _over(self, table: Any, columns: Sequence[Mapping[str, Any]]) -> None:
        """Write the headings that columns share above those of the columns."""
        spans = headings_over(columns)
        if not spans:
            return
        from docx.enum.text import WD_ALIGN_PARAGRAPH

        row = table.add_row()
        self.parts.whole(row, header=True)
        first, cells = 0, row.cells
        for name, span in spans:
            merged = cells[first].merge(cells[first + span - 1])
            self._cell(merged, name, "", bold=True)
            merged.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.CENTER
            first += span

    def _cell(self, cell: Any, text: str, look: str, *, bold: bool = False) -> None:
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Pt

        paragraph = cell.paragraphs[0]
        run = paragraph.add_run(text)
        run.bold, run.font.size = bold or None, Pt(9)
        paragraph.paragraph_format.space_after = Pt(1)
        if "number" in look:
            paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
        if "hidden" in look:
            run.italic, run.font.color.rgb = True, self.parts.colour("muted")

    def _widths(self, table: Any, texts: Sequence[Sequence[str]]) -> None:
        """Share out the width of the page by the longest text of each column, within bounds."""
        whole = (self.parts.HEIGHT if self.across else self.parts.WIDTH) - 2 * self.parts.MARGIN
        letters = [min(max(_LEAST, *map(len, column)), _MOST) for column in zip(*texts, strict=True)]
        widths = [int(whole * n / sum(letters)) for n in letters]
        for column, width in zip(table.columns, widths, strict=True):
            column.width = width
        for row in table.rows:
            cells = row.cells
            for cell, width in zip(cells, widths, strict=True):
                # a cell that spans columns is in the row once for each
                spanned = sum(w for other, w in zip(cells, widths, strict=True) if other._tc is cell._tc)
                cell.width = width if cell.grid_span == 1 else spanned if len(row._tr.tc_lst) > 1 else whole

    def _figure(self, block: Mapping[str, Any]) -> None:
        from docx.shared import Length

        from churnsurv.report.render.raster import DPI, png_of

        self._caption(block)
        paragraph = self.document.add_paragraph()
        paragraph.paragraph_format.keep_with_next = bool(block["caption"])
        picture = paragraph.add_run().add_picture(io.BytesIO(png_of(block["svg"])))
        # python-docx takes 72 pixels for an inch
        room = self.parts.WIDTH - 2 * self.parts.MARGIN
        scale = min(72 / DPI, room / picture.width)
        picture.width, picture.height = (Length(int(scale * side)) for side in (picture.width, picture.height))
        self._describe(paragraph, block)
        if block["caption"]:
            self.document.add_paragraph(block["caption"], style="Small print")

    def _describe(self, paragraph: Paragraph, block: Mapping[str, Any]) -> None:
        for properties in paragraph._p.iter(
            "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
        ):
            properties.set("descr", block["alt"])
            properties.set("title", block["title"])

    def _finding(self, block: Mapping[str, Any]) -> None:
        severity = block["severity"]
        paragraph = self._framed(severity, f"{severity}_tint")
        name = paragraph.add_run(f"{MARKS[severity]} {severity.capitalize()} finding {block['number']}. ")
        name.bold, name.font.color.rgb = True, self.parts.colour(severity)
        paragraph.add_run(block["text"]).add_break()
        if block["figure"] is not None:
            paragraph.add_run(f"Measured: {shown(block['figure'], block['format'])}. ")
        paragraph.add_run(f"Threshold: {block['threshold']}. Evidence: ")
        self.parts.link(paragraph, self.names[block["evidence"]], self.targets[block["evidence"]])
        paragraph.add_run(".")

    def _framed(self, line: str, shading: str) -> Paragraph:
        from docx.shared import Pt

        paragraph = self.document.add_paragraph()
        self.parts.border(paragraph._p.get_or_add_pPr(), {"left": _LINES[line]}, shading)
        paragraph.paragraph_format.left_indent = paragraph.paragraph_format.right_indent = Pt(9)
        paragraph.paragraph_format.keep_together = True
        return paragraph

    def _text(self, block: Mapping[str, Any]) -> None:
        style = block["style"]
        if style == "subheading":
            self.document.add_heading(block["text"], level=2)
        elif style == "headline":
            self._framed("headline", "tint").add_run(block["text"])
        else:
            self.document.add_paragraph(block["text"], style="Small print" if style == "note" else None)

"""Pieces of a Word document that python-docx has no call for: fields, bookmarks, links, shading, repeated header rows.

Elements and their order are those of ECMA-376 (Office Open XML), part 1, chapter 17.
"""

from __future__ import annotations

import io
import os
import zipfile
from datetime import UTC, datetime
from typing import Any

from docx.document import Document
from docx.enum.style import WD_STYLE_TYPE
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt, RGBColor
from docx.table import Table, _Cell, _Row
from docx.text.paragraph import Paragraph

from churnsurv.plot.palette import LIGHT, WORD_FONT

#: the page: A4 with these margins, and what they leave
MARGIN, WIDTH, HEIGHT = Mm(20), Mm(210), Mm(297)
_SIZES = {"Title": 22, "Heading 1": 15, "Heading 2": 12, "Caption": 10, "Normal": 10.5}


def element(tag: str, /, **attributes: str) -> Any:
    """Give an element of the namespace ``w`` with its attributes."""
    made = OxmlElement(f"w:{tag}")
    for key, value in attributes.items():
        made.set(qn(f"w:{key}"), value)
    return made


def colour(name: str) -> RGBColor:
    """Give a colour of the theme."""
    return RGBColor.from_string(LIGHT[name].lstrip("#").upper())


def styled(document: Document) -> None:
    """Give the document our fonts, colours and page."""
    for name in ("toc 1", "Small print"):
        document.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH).base_style = document.styles["Normal"]
    for name, size in (*_SIZES.items(), ("Small print", 8.5), ("toc 1", 10.5)):
        style = document.styles[name]
        font = style.font
        font.name, font.size = WORD_FONT, Pt(size)
        fonts = style.element.rPr.rFonts
        # names of the template's theme would win over ours
        for key in [key for key in fonts.attrib if key.endswith("Theme")]:
            del fonts.attrib[key]
        if name in ("Title", "Heading 1"):
            font.color.rgb = colour("accent")
        elif name in ("Heading 2", "Caption", "Normal"):
            font.color.rgb = colour("ink")
    document.styles["Small print"].font.color.rgb = colour("muted")
    document.styles["Caption"].font.bold = False
    document.styles["Caption"].paragraph_format.keep_with_next = True
    document.styles["Caption"].paragraph_format.space_before = Pt(12)
    document.styles["Heading 1"].paragraph_format.space_before = Pt(24)
    document.styles["Heading 1"].paragraph_format.space_after = Pt(8)
    document.styles["Normal"].paragraph_format.space_after = Pt(6)
    document.styles["toc 1"].paragraph_format.space_after = Pt(2)
    document.styles["Small print"].paragraph_format.space_after = Pt(3)
    border(document.styles["Title"].element.get_or_add_pPr(), {})
    paged(document.sections[0])


def paged(section: Any, *, landscape: bool = False) -> None:
    """Make the pages of a section A4, upright or across."""
    from docx.enum.section import WD_ORIENT

    section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = (HEIGHT, WIDTH) if landscape else (WIDTH, HEIGHT)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = MARGIN


def field(paragraph: Paragraph, code: str, result: str, *, bold: bool = False) -> None:
    """Add a field that Word keeps up to date, with what it shows until then."""
    for kind in ("begin", "separate", "end"):
        paragraph.add_run()._r.append(element("fldChar", fldCharType=kind))
        if kind == "begin":
            instruction = element("instrText")
            instruction.set(qn("xml:space"), "preserve")
            instruction.text = f" {code} "
            paragraph.add_run()._r.append(instruction)
        elif kind == "separate":
            paragraph.add_run(result).bold = bold or None


def bookmark(paragraph: Paragraph, name: str, number: int) -> None:
    """Make the paragraph the target of links to `name`."""
    properties = paragraph._p.get_or_add_pPr()
    properties.addnext(element("bookmarkStart", id=str(number), name=name))
    paragraph._p.append(element("bookmarkEnd", id=str(number)))


def link(paragraph: Paragraph, text: str, target: str) -> None:
    """Add a link to a bookmark of the same document."""
    run = paragraph.add_run(text)
    run.font.color.rgb = colour("accent")
    made = element("hyperlink", anchor=target, history="1")
    run._r.addprevious(made)
    made.append(run._r)


def border(properties: Any, sides: dict[str, tuple[str, str, int]], shading: str | None = None) -> None:
    """Put borders (side → line, colour of the theme, eighths of a point) and shading into a paragraph's properties."""
    for name in ("w:pBdr", "w:shd"):
        for old in properties.findall(qn(name)):
            properties.remove(old)
    after = (
        "w:tabs",
        "w:suppressAutoHyphens",
        "w:spacing",
        "w:ind",
        "w:contextualSpacing",
        "w:jc",
        "w:outlineLvl",
        "w:rPr",
    )
    if sides:
        lines = element("pBdr")
        for side, (kind, name, width) in sides.items():
            lines.append(element(side, val=kind, sz=str(width), space="6", color=LIGHT[name].lstrip("#")))
        properties.insert_element_before(lines, "w:shd", *after)
    if shading:
        properties.insert_element_before(
            element("shd", val="clear", color="auto", fill=LIGHT[shading].lstrip("#")), *after
        )


def shade(cell: _Cell, name: str) -> None:
    """Shade a cell in a colour of the theme."""
    cell._tc.get_or_add_tcPr().append(element("shd", val="clear", color="auto", fill=LIGHT[name].lstrip("#")))


def ruled(table: Table) -> None:
    """Rule a table: strong lines above, below, and thin ones between its rows."""
    lines = element("tblBorders")
    for side, name, width in (("top", "ink", 12), ("bottom", "ink", 12), ("insideH", "line", 4)):
        lines.append(element(side, val="single", sz=str(width), space="0", color=LIGHT[name].lstrip("#")))
    properties = table._tbl.tblPr
    successors = [properties.find(qn(f"w:{name}")) for name in ("shd", "tblLayout", "tblCellMar", "tblLook")]
    later = next((node for node in successors if node is not None), None)
    if later is None:
        properties.append(lines)
    else:
        later.addprevious(lines)


def whole(row: _Row, *, header: bool = False) -> None:
    """Keep a row on one page; a header row is repeated on every page of the table."""
    properties = row._tr.get_or_add_trPr()
    properties.append(element("cantSplit"))
    if header:
        properties.append(element("tblHeader"))


#: properties of the application: those of the template tell of a program and a document that have nothing to do with it
_APPLICATION = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    '<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006/extended-properties">'
    "<Application>churnsurv</Application></Properties>"
)


def signed(document: Document, title: str, subject: str, schema: str, as_of: str) -> None:
    """Set the properties: of the report, not of the template, the machine or the clock; a set SOURCE_DATE_EPOCH is the date."""
    core = document.core_properties
    # the standard's limit is 255 letters
    core.title, core.author, core.last_modified_by, core.comments = title[:255], "churnsurv", "churnsurv", ""
    core.subject, core.keywords, core.revision, core.language = subject[:255], schema, 1, "en"
    core.created = core.modified = _day(as_of)
    for key, relationship in list(document.part.package.rels.items()):
        if relationship.reltype == RELATIONSHIP_TYPE.THUMBNAIL:
            del document.part.package.rels[key]
        elif relationship.reltype == RELATIONSHIP_TYPE.EXTENDED_PROPERTIES:
            relationship.target_part._blob = _APPLICATION.encode()


def _day(as_of: str) -> datetime:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None:
        return datetime.fromtimestamp(int(given), tz=UTC)
    try:
        return datetime.fromisoformat(as_of).replace(tzinfo=UTC)
    except ValueError:
        return datetime(2000, 1, 1, tzinfo=UTC)


def packed(document: Document) -> bytes:
    """Give the file; the parts carry no time, so that the same report gives the same bytes."""
    buffer, made = io.BytesIO(), io.BytesIO()
    document.save(buffer)
    with zipfile.ZipFile(buffer) as package, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as fixed:
        for item in package.infolist():
            entry = zipfile.ZipInfo(item.filename, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            fixed.writestr(entry, package.read(item.filename))
    return made.getvalue()

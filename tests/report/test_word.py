import io
import re
import zipfile

import pytest
from docx import Document
from docx.oxml.ns import qn

from churnsurv.report.render.word import render_docx
from tests.report.sample import sample


@pytest.fixture(scope="module")
def word():
    return Document(io.BytesIO(render_docx(sample().to_dict())))


def paragraphs(word, style):
    return [p.text for p in word.paragraphs if p.style.name == style]


def test_headings_and_captions_are_those_of_word(word):
    assert paragraphs(word, "Title") == ["Attrition North"]
    assert paragraphs(word, "Heading 1") == ["1. Summary", "2. Results North"]
    assert "North" in paragraphs(word, "Heading 2")
    captions = paragraphs(word, "Caption")
    assert captions[:2] == ["Contents", "Table 1. Headline figures"]
    assert "Figure 1. Loans by segment" in captions


def test_captions_are_numbered_by_fields_and_a_contents_field_spans_its_lines(word):
    codes = [node.text.strip() for node in word.element.body.iter(qn("w:instrText"))]
    assert codes.count(r"SEQ Table \* ARABIC") == 6
    assert codes.count(r"SEQ Figure \* ARABIC") == 1
    assert codes[0].startswith("TOC ")
    kinds = [node.get(qn("w:fldCharType")) for node in word.element.body.iter(qn("w:fldChar"))]
    depth = 0
    for kind in kinds:
        depth += {"begin": 1, "separate": 0, "end": -1}[kind]
        assert depth in (0, 1)
    assert depth == 0
    assert paragraphs(word, "toc 1") == ["1. Summary", "2. Results North"]


def test_tables_are_editable_with_repeated_headers_and_whole_rows(word):
    ratios = word.tables[-1]
    assert [cell.text for cell in ratios.rows[0].cells] == ["Term", "HR", "95% CI", "p"]
    assert ratios.rows[0]._tr.trPr.find(qn("w:tblHeader")) is not None
    assert all(row._tr.trPr.find(qn("w:cantSplit")) is not None for row in ratios.rows)
    assert len(ratios.rows) == 1 + 30 + 3
    assert ratios.rows[1].cells[0].text == ratios.rows[1].cells[3].text == "Group 0 North"
    assert [cell.text for cell in ratios.rows[2].cells] == ["Term 0 North", "1.00", "0.90 to 1.10", "<0.001"]


def test_properties_stand_in_the_order_of_the_standard(word):
    orders = {
        "tblPr": ["tblStyle", "tblW", "jc", "tblBorders", "tblLayout", "tblLook"],
        "tcPr": ["tcW", "gridSpan", "shd"],
        "pPr": ["pStyle", "keepNext", "keepLines", "pBdr", "shd", "spacing", "ind", "jc", "rPr"],
    }
    for name, order in orders.items():
        for properties in word.element.body.iter(qn(f"w:{name}")):
            names = [child.tag.split("}")[1] for child in properties if child.tag.split("}")[1] != "sectPr"]
            assert names == sorted(names, key=order.index), name


def test_pictures_have_alternative_text(word):
    described = [node.get("descr") for node in word.element.body.iter(qn("wp:docPr"))]
    assert described == ["Bars of 2 segments."]
    # as large as it was drawn, in points
    svg = next(b["svg"] for b in sample().to_dict()["sections"][1]["blocks"] if b["kind"] == "figure")
    points = float(re.search(r'width="([\d.]+)pt"', svg)[1])
    assert word.inline_shapes[0].width.inches == pytest.approx(points / 72, rel=0.01)


def test_links_lead_to_bookmarks(word):
    body = word.element.body
    names = [node.get(qn("w:name")) for node in body.iter(qn("w:bookmarkStart"))]
    assert len(names) == len(set(names))
    ids = [node.get(qn("w:id")) for node in body.iter(qn("w:bookmarkStart"))]
    assert sorted(ids) == sorted(node.get(qn("w:id")) for node in body.iter(qn("w:bookmarkEnd")))
    targets = {node.get(qn("w:anchor")) for node in body.iter(qn("w:hyperlink"))}
    assert targets <= set(names)
    assert len(targets) == 4


def test_findings_are_shaded_and_say_severity_value_and_threshold(word):
    red = next(p for p in word.paragraphs if "Red finding 1" in p.text)
    assert "Measured: 5.1%. Threshold: at most 3% (North). Evidence: Table 5." in red.text
    assert red._p.pPr.find(qn("w:shd")) is not None
    assert red._p.pPr.find(qn("w:pBdr")) is not None


def test_a_table_of_many_columns_stands_across_the_page(word):
    shapes = [section.page_width > section.page_height for section in word.sections]
    assert shapes == [False, True, False]


def test_the_document_tells_of_the_report_not_of_a_machine(word):
    core = word.core_properties
    assert (core.title, core.author, core.last_modified_by) == ("Attrition North", "churnsurv", "churnsurv")
    assert core.created.strftime("%Y-%m-%d") == "2026-09-30"
    assert not re.search(r"/home|/root|/tmp|/work", word.element.xml)
    assert word.sections[0].header.paragraphs[0].text == "Attrition North · 2026 Q3"


def test_nothing_of_the_template_but_its_styles_is_left(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    with zipfile.ZipFile(io.BytesIO(render_docx(sample().to_dict()))) as package:
        parts = {name: package.read(name).decode("utf-8", "replace") for name in package.namelist()}
    assert not [name for name in parts if "thumbnail" in name]
    assert "thumbnail" not in parts["_rels/.rels"]
    assert not re.search("Macintosh|Microsoft (Office )?Word|python-docx|Company|Manager", parts["docProps/app.xml"])
    assert "<Application>churnsurv</Application>" in parts["docProps/app.xml"]
    core = parts["docProps/core.xml"]
    assert "python-docx" not in core
    assert "<dc:subject>2026 Q3</dc:subject>" in core
    assert core.count(">1970-01-02T00:00:00Z<") == 2

"""Texts of the data are shown as they are, and do nothing, in every format."""

import io
import re
import zipfile
from html import unescape
from html.parser import HTMLParser

import pytest
from lxml import etree

from churnsurv.report.content import Table
from churnsurv.report.render import RENDERERS
from churnsurv.report.render.html import _css_string, render_html
from churnsurv.report.render.markdown import escaped, render_markdown
from churnsurv.report.render.pdf import weasyprint_works
from tests.report.sample import EVIL, sample


@pytest.fixture(scope="module")
def document():
    return sample(EVIL).to_dict()


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_html_shows_markup_as_text(document):
    page = Page(render_html(document))
    assert "script" not in {tag for tag, _ in page.tags}
    assert sum(tag == "style" for tag, _ in page.tags) == 1
    assert "".join(page.words).count(EVIL) >= 20
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert all(link.startswith("#") for link in links)


def test_the_title_cannot_end_the_string_of_the_style_sheet():
    text = '"} </style> \\ \n*/ body{color:red}'
    coded = str(_css_string(text))
    assert re.fullmatch(r'"([A-Za-z0-9]|\\[0-9a-f]+ )*"', coded)
    back = re.sub(r"\\([0-9a-f]+) ", lambda m: chr(int(m[1], 16)), coded[1:-1])
    assert back == text


def test_markdown_shows_markup_as_text(document):
    from markdown_it import MarkdownIt

    text = render_markdown(document)["report.md"]
    parser = MarkdownIt("gfm-like", {"linkify": False})
    html = parser.render(text)
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    links = [attributes.get("href", "#") for tag, attributes in page.tags if tag == "a"]
    assert all(link.startswith("#") for link in links), links
    assert "".join(page.words).count(EVIL) >= 20
    # a bar in a text makes no cell of its own
    widths = {len(re.split(r"(?<!\\)\|", line)) for line in text.splitlines() if re.match(r"\| .*Quarter 0", line)}
    assert widths == {13}


@pytest.mark.parametrize(
    "text",
    [
        "# heading",
        "- list",
        "+ list",
        "1. list",
        "> quote",
        "=== rule",
        "a | b",
        "*x* _y_ `z` ~s~ $m$ ![i](u)",
        "&lt;",
        "a\nb",
        "a\\",
    ],
)
def test_a_text_is_one_plain_paragraph_of_markdown(text):
    from markdown_it import MarkdownIt

    html = MarkdownIt("gfm-like", {"linkify": False}).render(escaped(text)).strip()
    inside = re.fullmatch("<p>(.*)</p>", html)
    assert inside, html
    assert unescape(inside[1]) == text.replace("\n", " ")


def test_bare_addresses_do_not_become_links_of_github():
    assert "http://" not in escaped("see http://evil.example and WWW.evil.example")
    assert "WWW." not in escaped("see http://evil.example and WWW.evil.example")


def test_word_holds_the_texts_as_text(document):
    package = zipfile.ZipFile(io.BytesIO(RENDERERS["docx"](document)))
    for name in package.namelist():
        if name.endswith((".xml", ".rels")):
            etree.fromstring(package.read(name))
    body = etree.fromstring(package.read("word/document.xml"))
    name = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    words = "".join(node.text or "" for node in body.iter(f"{name}t"))
    assert words.count(EVIL) >= 20
    codes = {node.text.split()[0] for node in body.iter(f"{name}instrText")}
    assert codes <= {"TOC", "SEQ"}
    relations = package.read("word/_rels/document.xml.rels").decode()
    assert 'TargetMode="External"' not in relations


@pytest.mark.skipif(not weasyprint_works(), reason="WeasyPrint or its library Pango is not installed")
def test_pdf_shows_markup_as_text_and_has_no_action(document):
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(RENDERERS["pdf"](document)))
    text = re.sub(r"\s+", "", "".join(page.extract_text() for page in reader.pages))
    assert re.sub(r"\s+", "", '<script>alert("1")</script>') in text
    assert "/JavaScript" not in str(reader.trailer["/Root"])
    annotations = [a.get_object() for page in reader.pages for a in page.get("/Annots", [])]
    assert all("/URI" not in str(a.get("/A", "")) for a in annotations)


def test_an_injected_drawing_cannot_act_in_html(document):
    figure = next(b for s in document["sections"] for b in s["blocks"] if b["kind"] == "figure")
    # inside an image no script runs, and the page's policy forbids scripts and requests
    html = render_html(document)
    assert figure["svg"] not in html
    assert "default-src 'none'; img-src data:" in html


@pytest.mark.parametrize("name", RENDERERS)
def test_control_characters_and_overrides_of_direction_break_no_format(name):
    document = sample("a\x00b\x0bc\u202ed\ud800").to_dict()
    if name == "pdf" and not weasyprint_works():
        pytest.skip("WeasyPrint or its library Pango is not installed")
    made = RENDERERS[name](document)
    if isinstance(made, bytes):
        assert len(made) > 1_000
    else:
        text = made["report.md"] if isinstance(made, dict) else made
        assert "a\ufffdb\ufffdc\ufffdd\ufffd" in text.replace("\\", "")


def test_a_table_alone_is_as_safe_as_in_the_report():
    from churnsurv.report.render.word import table_document

    table = next(b for b in sample(EVIL).sections[1].blocks if isinstance(b, Table))
    from dataclasses import asdict

    from churnsurv.report.canonical import plain

    assert table_document(plain(asdict(table))).tables[0].cell(1, 0).text == EVIL


def test_a_label_of_thousands_of_letters_makes_no_drawing_wider_than_a_page():
    from churnsurv.report.figures import drawn

    def draw(ax):
        ax.barh([0, 1], [1, 2], label="z" * 5_000)
        ax.set_yticks([0, 1], ["x" * 5_000, "y"])
        ax.set_xlabel("w" * 5_000)
        ax.legend()

    figure = drawn("f", "F", draw, alt="two bars")
    width = float(re.search(r'width="([\d.]+)pt"', figure.svg)[1])
    assert width < 2_000

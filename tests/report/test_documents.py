"""The formats as a whole: the same bytes for the same report, written all or nothing, and what cannot be made."""

import json
import os
import unicodedata
import zipfile

import pytest

from churnsurv.exceptions import ConfigError
from churnsurv.report import Report
from churnsurv.report.render import RENDERERS, output_findings, write
from churnsurv.report.render.pdf import browser, by_chromium, render_pdf, weasyprint_works
from tests.report.sample import sample

ALL = tuple(RENDERERS)
HERE = tuple(name for name in ALL if name != "pdf" or weasyprint_works())


@pytest.fixture(scope="module")
def document():
    return sample().to_dict()


@pytest.fixture
def no_pdf(monkeypatch):
    monkeypatch.setattr("churnsurv.report.render.available.weasyprint_works", lambda: False)
    monkeypatch.setattr("churnsurv.report.render.available.browser", lambda: None)


@pytest.mark.parametrize("name", HERE)
def test_the_same_report_gives_the_same_bytes(document, name, monkeypatch):
    first = RENDERERS[name](document)
    # another clock, and the report read back from its JSON
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    again = Report.from_dict(json.loads(json.dumps(document))).to_dict()
    assert RENDERERS[name](again) == first


@pytest.mark.skipif(not weasyprint_works(), reason="WeasyPrint or its library Pango is not installed")
def test_the_callers_date_of_files_is_kept(document, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    render_pdf(document)
    assert os.environ["SOURCE_DATE_EPOCH"] == "86400"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    render_pdf(document)
    assert "SOURCE_DATE_EPOCH" not in os.environ


def test_every_format_is_written_and_replaced_by_force(tmp_path):
    files = sample().save(tmp_path / "r", HERE)
    assert set(files) == set(HERE)
    before = {file.name: file.read_bytes() for file in (tmp_path / "r").iterdir()}
    assert "figure-01-bars.svg" in before
    sample("South").save(tmp_path / "r", HERE, force=True)
    after = {file.name: file.read_bytes() for file in (tmp_path / "r").iterdir()}
    assert set(before) == set(after)
    assert all(before[name] != after[name] for name in before)
    sample().save(tmp_path / "r", ("json",), force=True)
    assert [file.name for file in (tmp_path / "r").iterdir()] == ["report.json"]


def test_a_format_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fails(document):
        raise RuntimeError("no ink")

    monkeypatch.setitem(RENDERERS, "docx", fails)
    with pytest.raises(RuntimeError, match="no ink"):
        sample().save(tmp_path / "r", ("html", "docx", "json"))
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_cannot_be_made_is_a_finding_in_the_others(tmp_path, document, no_pdf):
    files = write(document, tmp_path / "r", ("html", "pdf", "json"), force=False)
    assert set(files) == {"html", "json"}
    written = json.loads(files["json"].read_text(encoding="utf-8"))
    last = written["sections"][-1]
    assert last["key"] == "documents"
    assert (last["blocks"][0]["severity"], last["blocks"][0]["number"]) == ("amber", 3)
    assert "There is no PDF document" in files["html"].read_text(encoding="utf-8")
    # read back and written again where it can be made, the finding is gone
    assert Report.from_dict(written).findings[-1].evidence == "documents"


def test_word_without_its_library_is_a_finding_too(document, monkeypatch):
    monkeypatch.setattr("churnsurv.report.render.available.find_spec", lambda name: None)
    found = output_findings(document, ("docx", "html"))
    assert [f["severity"] for f in found] == ["amber"]
    assert "python-docx" in found[0]["text"]
    assert output_findings(document, ("html",)) == []


def test_a_report_of_which_nothing_can_be_made_is_refused(tmp_path, document, no_pdf):
    with pytest.raises(ConfigError, match="WeasyPrint"):
        write(document, tmp_path / "r", ("pdf",), force=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not weasyprint_works(), reason="WeasyPrint or its library Pango is not installed")
def test_the_pdf_has_text_bookmarks_tags_and_the_title(tmp_path, document):
    from pypdf import PdfReader

    reader = PdfReader(RENDERERS["pdf"] and sample().save(tmp_path / "r", ("pdf",))["pdf"])
    text = "\n".join(page.extract_text() for page in reader.pages)
    for words in ("Attrition North", "Red finding 1.", "Table 5.", "Page 1 of", "Signature", "0.90 to 1.10"):
        assert words in text
    assert reader.metadata.title == "Attrition North, 2026 Q3"
    assert {entry["/Title"] for entry in reader.outline if isinstance(entry, dict)} >= {"Attrition North"}
    assert reader.trailer["/Root"]["/MarkInfo"]["/Marked"] == True  # noqa: E712
    # the header row of a table that runs over pages is repeated
    assert sum("HR 95% CI" in page.extract_text().replace("\n", " ") for page in reader.pages) >= 2


@pytest.mark.skipif(browser() is None, reason="no Chromium is installed")
def test_without_weasyprint_a_chromium_prints_the_pdf(tmp_path, document, monkeypatch):
    from pypdf import PdfReader

    monkeypatch.setattr("churnsurv.report.render.pdf.weasyprint_works", lambda: False)
    file = tmp_path / "report.pdf"
    file.write_bytes(render_pdf(document))
    text = unicodedata.normalize("NFKC", "\n".join(page.extract_text() for page in PdfReader(file).pages))
    for words in ("Attrition North", "Red finding 1.", "Page 1 of", "0.90 to 1.10"):
        assert words in text


def test_a_browser_that_does_not_print_is_told_with_the_remedy():
    with pytest.raises(ConfigError, match="Install WeasyPrint"):
        by_chromium("<p>x</p>", "/bin/true" if os.path.exists("/bin/true") else "true")


def test_markdown_has_its_figures_beside_it(tmp_path):
    folder = sample().save(tmp_path / "r", ("md",))["md"].parent
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "](figure-01-bars.svg)" in text
    assert (folder / "figure-01-bars.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "**Table 5.** Loans by segment" in text
    assert "| **All** | **2,000** |" in text


def test_the_mark_of_our_files_is_in_every_format(tmp_path):
    folder = sample().save(tmp_path / "r", HERE)["html"].parent
    with zipfile.ZipFile(folder / "report.docx") as package:
        assert "churnsurv-report/1" in package.read("docProps/core.xml").decode()
    # a file of another origin in the place of one of ours protects the folder
    for name in [file.name for file in folder.iterdir() if file.suffix != ".svg"]:
        mine = (folder / name).read_bytes()
        (folder / name).write_bytes(b"something of somebody")
        with pytest.raises(ConfigError, match="other files than a report"):
            sample().save(folder, ("json",), force=True)
        (folder / name).write_bytes(mine)

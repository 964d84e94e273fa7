"""What makes a document breaks down or is interrupted: the report, and the one that was there, are not lost."""

import json
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from churnsurv.cli import app
from churnsurv.exceptions import ChurnSurvWarning, ConfigError
from churnsurv.report import Report, quarterly
from churnsurv.report.render import RENDERERS, pdf, write
from churnsurv.report.render.markdown import figure_file, render_markdown
from tests.report.sample import sample


@pytest.fixture
def no_weasyprint_but_its_import(monkeypatch):
    """WeasyPrint is there, and stumbles over the page."""

    def stumbles(html, document):
        raise ZeroDivisionError("/home/somebody/page")

    monkeypatch.setattr(pdf, "weasyprint_works", lambda: True)
    monkeypatch.setattr(pdf, "_by_weasyprint", stumbles)


def test_a_browser_prints_what_weasyprint_stumbles_over(monkeypatch, no_weasyprint_but_its_import):
    monkeypatch.setattr(pdf, "browser", lambda: "/bin/browser")
    monkeypatch.setattr(pdf, "by_chromium", lambda html, program: f"%PDF of {program}".encode())
    assert pdf.render_pdf(sample().to_dict()).startswith(b"%PDF of /bin/browser\n% churnsurv-report/")


def test_without_a_browser_the_other_formats_are_made_and_say_so(tmp_path, monkeypatch, no_weasyprint_but_its_import):
    monkeypatch.setattr(pdf, "browser", lambda: None)
    with pytest.warns(ChurnSurvWarning, match="WeasyPrint made no PDF of the report"):
        files = write(sample().to_dict(), tmp_path / "r", ("html", "pdf", "json"), force=False)
    assert set(files) == {"html", "json"}
    written = json.loads(files["json"].read_text(encoding="utf-8"))
    assert "There is no PDF document of this report" in written["sections"][-1]["blocks"][0]["text"]
    for file in files.values():
        assert "/home/somebody" not in file.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="WeasyPrint made no PDF"):
        write(sample().to_dict(), tmp_path / "other", ("pdf",), force=False)
    assert not (tmp_path / "other").exists()


def test_the_command_tells_of_it_without_another_exit_code(tmp_path, monkeypatch, no_weasyprint_but_its_import):
    whole = sample().to_dict()
    quiet = Report.from_dict(whole | {"sections": [s | {"blocks": [b for b in s["blocks"] if b["kind"] == "text"]}
                                                   for s in whole["sections"]]})  # fmt: skip
    monkeypatch.setattr(pdf, "browser", lambda: None)
    monkeypatch.setattr(quarterly, "build", lambda settings, progress: quiet)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChurnSurvWarning)
        done = CliRunner().invoke(app, ["report", "reports/quarterly.toml", "--out", str(tmp_path / "r")])
    assert done.exit_code == 0, done.output
    assert "amber finding: There is no PDF document of this report: the program that makes it failed." in done.stdout
    assert done.stdout.strip().endswith("report.html")


def test_an_interrupt_leaves_no_new_folder_and_the_old_report_as_it_was(tmp_path, monkeypatch):
    sample().save(tmp_path / "r", ("json", "md"))
    before = {file.name: file.read_bytes() for file in (tmp_path / "r").iterdir()}
    rename = Path.rename

    def interrupted(path, target):
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sample("South").save(tmp_path / "r", ("json", "md"), force=True)
    with pytest.raises(KeyboardInterrupt):
        sample("South").save(tmp_path / "new place", ("json", "md"))
    assert {file.name: file.read_bytes() for file in (tmp_path / "r").iterdir()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("name", ["html", "docx", "md", "json"])
def test_a_title_of_thousands_of_letters_is_written_in_full(name):
    title = "Attrition " * 500
    made = RENDERERS[name](sample().to_dict() | {"title": title})
    if name == "docx":
        import io

        import docx

        assert docx.Document(io.BytesIO(made)).paragraphs[0].text == title
    else:
        assert title in (made["report.md"] if isinstance(made, dict) else made)


def test_a_figure_of_a_long_key_has_a_file_name_that_a_disk_takes():
    document = sample().to_dict()
    figure = next(b for s in document["sections"] for b in s["blocks"] if b["kind"] == "figure")
    figure["key"] = "fairness-" + "x" * 5_000
    name = figure_file(figure)
    assert len(name) < 100
    assert name in render_markdown(document)

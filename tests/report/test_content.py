import json

import numpy as np
import pytest

from churnsurv.exceptions import ConfigError
from churnsurv.report import Figure, Finding, Report, Section, Table, Text
from churnsurv.report.content import Column
from churnsurv.report.render import render_json
from churnsurv.report.render.cells import shown
from churnsurv.report.render.html import render_html

EVIL = '<script>alert("1")</script>'


#: quick to write
QUICK = ("html", "json")


def report(**changes):
    table = Table("ratios", "Ratios", (Column("a", "Term"), Column("b", "Value", "number:2")), ((EVIL, 1.5),), (EVIL,))
    figure = Figure(
        "forest", "Forest", "<svg xmlns='http://www.w3.org/2000/svg'></svg>", "what it shows", "As {ref:ratios}."
    )
    blocks = (Text("See {ref:forest} and {ref:ratios}."), table, figure, Finding(EVIL, "red", "none", "ratios"))
    fields = {"title": EVIL, "period": "2026 Q3", "as_of": "2026-09-30", "facts": ((EVIL, EVIL),)} | changes
    return Report(sections=(Section("first", "First", blocks),), **fields)


def test_tables_and_figures_are_numbered_and_references_resolved():
    blocks = report().to_dict()["sections"][0]["blocks"]
    assert blocks[0]["text"] == "See Figure 1 and Table 1."
    assert blocks[2]["caption"] == "As Table 1."
    assert [b["number"] for b in blocks[1:3]] == [1, 1]


def test_the_json_form_holds_plain_finite_data():
    table = Table("t", "T", (Column("a", "A"),), ((np.float64(np.nan),), (np.int64(3),), ((np.float64(1.5), np.inf),)))
    made = Report("a", "b", "c", (), (Section("s", "S", (table,)),), {"n": np.int64(2)})
    text = render_json(made.to_dict())
    rows = json.loads(text)["sections"][0]["blocks"][0]["rows"]
    assert rows == [[None], [3], [[1.5, None]]]


def test_every_text_is_escaped_in_html():
    html = render_html(report().to_dict())
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 6


def test_renderers_read_the_json_form_only():
    document = report().to_dict()
    assert render_html(json.loads(json.dumps(document))) == render_html(document)


@pytest.mark.parametrize(
    ("value", "format", "text"),
    [
        (1234567, "integer", "1,234,567"),
        (-0.0004, "number:2", "0.00"),
        (-1.5, "number:1", "\u22121.5"),
        (0.0499, "p", "0.050"),
        (0.0001, "p", "<0.001"),
        (None, "percent:1", "–"),
        ([0.1, None], "percent interval:1", "10.0% to –"),
        ("<5", "integer", "<5"),
        (True, "text", "yes"),
    ],
)
def test_values_are_shown_by_their_format(value, format, text):
    assert shown(value, format) == text


def test_a_report_is_written_whole_into_a_new_folder(tmp_path):
    files = report().save(tmp_path / "deep" / "2026Q3", formats=QUICK)
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["2026Q3"]
    assert files["html"].read_text(encoding="utf-8").startswith("<!doctype html>")


def test_an_existing_folder_is_left_alone_without_force(tmp_path):
    folder = tmp_path / "2026Q3"
    report().save(folder, formats=QUICK)
    before = (folder / "report.html").read_bytes()
    with pytest.raises(ConfigError, match="--force"):
        report(title="other").save(folder, formats=QUICK)
    assert (folder / "report.html").read_bytes() == before
    report(title="other").save(folder, formats=QUICK, force=True)
    assert (folder / "report.html").read_bytes() != before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2026Q3"]


def test_force_does_not_replace_a_folder_that_is_no_report(tmp_path):
    folder = tmp_path / "important"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="other files than a report"):
        report().save(folder, formats=QUICK, force=True)
    assert (folder / "thesis.txt").exists()


@pytest.mark.parametrize(
    "name",
    [
        "report.toml",
        "report.docx",
        "report.pdf",
        "report.md",
        "report.json",
        "report.html",
        "report.parquet",
        "figure-01-a.svg",
    ],
)
def test_force_does_not_replace_files_that_only_look_like_a_report(tmp_path, name):
    folder = tmp_path / "project"
    report().save(folder, formats=QUICK)
    (folder / name).write_text("{}")
    with pytest.raises(ConfigError, match="other files than a report"):
        report().save(folder, formats=QUICK, force=True)
    assert (folder / name).read_text() == "{}"


def test_the_current_folder_and_those_above_it_are_not_replaced(tmp_path, monkeypatch):
    report().save(tmp_path / "a", formats=QUICK)
    monkeypatch.chdir(tmp_path / "a")
    for folder in (".", "..", tmp_path / "a"):
        with pytest.raises(ConfigError, match="the folder you are in"):
            report().save(folder, formats=QUICK, force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "notes").write_text("x")
    with pytest.raises(ConfigError, match="notes' is a file"):
        report().save(tmp_path / "notes" / "2026Q3", formats=QUICK)
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        report().save(tmp_path / "notes", formats=QUICK)


def test_a_link_to_a_report_is_followed(tmp_path):
    report().save(tmp_path / "real", formats=QUICK)
    (tmp_path / "latest").symlink_to(tmp_path / "real")
    report(title="other").save(tmp_path / "latest", formats=QUICK, force=True)
    assert (tmp_path / "latest").is_symlink()
    assert "other" in (tmp_path / "real" / "report.html").read_text(encoding="utf-8")


def test_an_earlier_report_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder = tmp_path / "2026Q3"
    report().save(folder, formats=QUICK)
    before = (folder / "report.html").read_bytes()
    rename = type(folder).rename

    def fails(self, target):
        if self.name == "new":
            raise OSError("no space")
        return rename(self, target)

    monkeypatch.setattr(type(folder), "rename", fails)
    with pytest.raises(OSError, match="no space"):
        report(title="other").save(folder, formats=QUICK, force=True)
    assert (folder / "report.html").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2026Q3"]


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path):
    broken = Report("a", "b", "c", (), (Section("s", "S", (Table("t", "T", (Column("a", "A"),), ((1, 2),)),)),))
    with pytest.raises(Exception):  # noqa: B017
        broken.save(tmp_path / "2026Q3", formats=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_with_the_supported_ones(tmp_path):
    with pytest.raises(ConfigError, match="'odt'.*html, pdf, docx, md, json"):
        report().save(tmp_path / "x", formats=("html", "odt"))
    with pytest.raises(ConfigError, match="No format"):
        report().save(tmp_path / "x", formats=())

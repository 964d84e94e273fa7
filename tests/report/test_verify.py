"""A report computed again: identical, or with every difference told."""

import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

from churnsurv.cli import app
from churnsurv.report import Report, contents, quarterly
from churnsurv.report.compare import differences
from churnsurv.report.sections.provenance import seeds
from churnsurv.report.verify import verify
from tests.report.quick import quick_configuration
from tests.report.sample import sample

runner = CliRunner()
FORMATS = "html,json,md"


@pytest.fixture(scope="module")
def project(small_folder, tmp_path_factory):
    """A folder with the tables, rules.toml and the report made of them."""
    home = tmp_path_factory.mktemp("project")
    for file in small_folder.glob("*.parquet"):
        frame = pd.read_parquet(file)
        # every other loan, to be quick
        kept = frame[frame["loan_id"] % 2 == 0] if "loan_id" in frame else frame
        kept.to_parquet(home / file.name)
    (home / "rules.toml").write_text(quick_configuration(), encoding="utf-8")
    command = [sys.executable, "-m", "churnsurv.cli", "report", str(home / "rules.toml"), "--out", str(home / "out")]
    run(command, PYTHONHASHSEED="1", TZ="Asia/Kathmandu")
    return home


def run(command, **environment):
    done = subprocess.run(
        [*command, "--formats", FORMATS], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def copied(project, tmp_path):
    """A copy of the project that a test may change."""
    for file in project.rglob("*.*"):
        if file.is_file():
            place = tmp_path / file.relative_to(project)
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(file.read_bytes())
    return tmp_path


def contents_of(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_another_process_with_other_hashes_and_another_clock_makes_the_same_bytes(project, tmp_path):
    command = [
        sys.executable,
        "-m",
        "churnsurv.cli",
        "report",
        str(project / "rules.toml"),
        "--out",
        str(tmp_path / "o"),
    ]
    run(command, PYTHONHASHSEED="2", TZ="America/Caracas", LC_ALL="C", COLUMNS="40")
    assert contents_of(tmp_path / "o") == contents_of(project / "out")


def test_a_report_as_it_was_made_is_identical_and_nothing_is_written(project):
    before = contents_of(project)
    done = runner.invoke(app, ["report", "--verify", str(project / "out")])
    assert done.exit_code == 0, done.output
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("Identical: the report was computed again to the last digit (report.json, report.html")
    assert contents_of(project) == before


def test_one_changed_cell_of_a_data_file_is_caught(copied):
    path = copied / "performance.parquet"
    frame = pd.read_parquet(path)
    row = frame.index[(frame["month"] == "2025-03-31") & (frame["status"] == "open")][7]
    frame.loc[row, "credit_score"] += 60
    frame.to_parquet(path)
    done = runner.invoke(app, ["report", "--verify", str(copied / "out")])
    assert done.exit_code == 3, done.output
    assert "data file of performance: performance.parquet, SHA-256" in done.stdout
    assert f"as recorded {len(frame):,} rows" in done.stdout
    assert "data file of loans" not in done.stdout
    assert "spells, 1 column with another content: credit_score" in done.stdout
    assert re.search("table 'ratios-attrition', row '.*Credit score'", done.stdout), done.stdout
    assert "the inputs named above differ, and so does the content" in done.stdout


def test_documents_and_numbers_changed_by_hand_are_told(copied):
    page, record = copied / "out" / "report.html", copied / "out" / "report.json"
    page.write_text(page.read_text(encoding="utf-8").replace("Attrition within", "Attrition wthin"), encoding="utf-8")
    found = verify(copied / "out")
    assert found.documents == ("report.html is not what this version of churnsurv makes of report.json",)
    assert not found.inputs
    assert not found.content
    document = json.loads(record.read_text(encoding="utf-8"))
    headline = document["headlines"][0]
    true, headline["value"] = headline["value"], 0.1
    record.write_text(json.dumps(document), encoding="utf-8")
    found = verify(copied / "out")
    assert found.content == (f"headline '{headline['key']}', value: 10.0% → {100 * true:.1f}%",)
    assert "report.json was changed after it was made" in found.verdict()


class TestTheConfiguration:
    def test_that_was_changed_or_moved_is_asked_for(self, copied):
        path = copied / "rules.toml"
        path.write_text(path.read_text(encoding="utf-8") + "\n# a remark\n", encoding="utf-8")
        failed = runner.invoke(app, ["report", "--verify", str(copied / "out")])
        assert failed.exit_code == 1
        assert "is not the file that the report was made from: its SHA-256 differs" in failed.stderr
        path.unlink()
        failed = runner.invoke(app, ["report", "--verify", str(copied / "out")])
        assert failed.exit_code == 1
        assert "'rules.toml' is neither beside the folder" in failed.stderr
        assert f"--verify {copied / 'out'} CONFIG" in failed.stderr

    def test_that_is_given_is_compared_with_the_recorded_one(self, copied):
        other = copied / "other.toml"
        other.write_text(quick_configuration(**{"horizon = 24": "horizon = 12"}), encoding="utf-8")
        done = runner.invoke(app, ["report", "--verify", str(copied / "out"), str(other)])
        assert done.exit_code == 3
        assert "configuration incidence.horizon: 24 → 12" in done.stdout
        assert "headline 'incidence.attrition.24': there → not there" in done.stdout


@pytest.mark.parametrize("content", [None, "[]", "{", '{"schema": "other/1"}'])
def test_a_folder_without_a_report_cannot_be_verified(tmp_path, content):
    if content is not None:
        (tmp_path / "report.json").write_text(content, encoding="utf-8")
    failed = runner.invoke(app, ["report", "--verify", str(tmp_path)])
    assert failed.exit_code == 1
    assert "report.json" in failed.stderr
    assert "Traceback" not in failed.output


def test_data_that_are_gone_cannot_be_verified(copied):
    (copied / "loans.parquet").unlink()
    failed = runner.invoke(app, ["report", "--verify", str(copied / "out")])
    assert failed.exit_code == 1
    assert "there is no file" in failed.stderr


def test_a_failing_section_is_a_red_finding_and_exit_3(project, tmp_path, monkeypatch):
    def fails(analysis):
        raise ZeroDivisionError("no loans")

    chapters = tuple(c._replace(make=fails) if c.key == "attrition" else c for c in contents.CHAPTERS)
    monkeypatch.setattr(contents, "CHAPTERS", chapters)
    done = runner.invoke(
        app, ["report", str(project / "rules.toml"), "--out", str(tmp_path / "o"), "--formats", "html,json"]
    )
    assert done.exit_code == 3
    assert "red finding: This section could not be made. ZeroDivisionError: no loans" in done.stdout
    document = json.loads((tmp_path / "o" / "report.json").read_text(encoding="utf-8"))
    whole = json.loads((project / "out" / "report.json").read_text(encoding="utf-8"))
    assert [s["key"] for s in document["sections"]] == [s["key"] for s in whole["sections"]]
    others = [s for s in document["sections"] if s["key"] not in ("summary", "attrition")]
    assert all(len(section["blocks"]) > 1 for section in others)


class TestDifferences:
    @pytest.fixture
    def documents(self):
        return sample().to_dict(), sample().to_dict()

    def section(self, document, key):
        return next(s for s in document["sections"] if s["key"] == key)["blocks"]

    def test_there_are_none_between_equal_reports(self, documents):
        assert list(differences(*documents)) == []
        assert list(differences(documents[0], Report.from_dict(documents[1]).to_dict())) == []

    def test_are_told_by_table_row_and_column(self, documents):
        table = next(b for b in self.section(documents[1], "results") if b.get("key") == "ratios")
        table["rows"][3][1] = 9.87
        table["rows"][4][2] = [0.5, 0.6]
        assert list(differences(*documents)) == [
            "table 'ratios', row 'Group 0 North / Term 3 North', 'HR': 1.30 → 9.87",
            "table 'ratios', row 'Group 0 North / Term 4 North', '95% CI': 1.30 to 1.50 → 0.50 to 0.60",
        ]

    def test_below_the_digits_shown_are_told_in_full(self, documents):
        table = next(b for b in self.section(documents[1], "results") if b.get("key") == "ratios")
        table["rows"][3][1] = 1.300000000001
        (line,) = differences(*documents)
        assert line.endswith("'HR': 1.3 → 1.300000000001")

    def test_of_rows_figures_findings_and_texts_are_told(self, documents):
        blocks = self.section(documents[1], "results")
        by = {(b["kind"], b.get("key")): b for b in blocks}
        by["table", "wide"]["rows"].pop(1)
        by["figure", "bars"]["svg"] += " "
        next(b for b in blocks if b["kind"] == "finding")["severity"] = "amber"
        next(b for b in blocks if b["kind"] == "text")["text"] = "other"
        documents[1]["sections"].append({"key": "more", "title": "More", "blocks": []})
        found = list(differences(*documents))
        assert found == [
            "table 'wide', row 'South': there → not there",
            "figure 'bars': another drawing",
            "section 'results', finding 1, severity: red → amber",
            "section 'results', text 1: North → other",
            "section 'more': not there → there",
        ]


def test_every_seed_of_the_configuration_is_recorded():
    nested = {"a": {"seed": 1}, "many": [{"seed": 2}, {"name": "x"}], "split_seed": 3, "seedling": 4}
    assert seeds(nested) == {"a.seed": 1, "many.1.seed": 2, "split_seed": 3}


def test_the_provenance_tells_code_machine_and_configuration(project):
    record = json.loads((project / "out" / "report.json").read_text(encoding="utf-8"))["provenance"]
    assert len(record["code"]["sha256"]) == 64
    assert record["configuration_file"]["file"] == "rules.toml"
    assert {"numpy", "scipy", "llvmlite", "weasyprint"} <= set(record["versions"])
    assert record["machine"]["linear algebra"] != "not known"
    assert str(project) not in json.dumps(record)


def test_a_configuration_changed_after_it_was_read_is_not_said_to_be_that_of_the_file(project):
    from churnsurv.report import read_config

    config = read_config(project / "rules.toml")
    assert config.source["file"] == "rules.toml"
    assert config.model_copy(update={"level": 0.9}).source is None
    assert quarterly.chapters_of(config)

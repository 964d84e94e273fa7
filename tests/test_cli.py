import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import churnsurv
from churnsurv.cli import app
from tests.conftest import small_configuration
from tests.report.quick import brief_configuration

runner = CliRunner()


@pytest.fixture(scope="module")
def quick_config(small_folder):
    """A configuration without the long sections."""
    path = small_folder / "quick.toml"
    path.write_text(brief_configuration(), encoding="utf-8")
    return path


def test_help_teaches_by_examples():
    for command in ("report", "simulate", "check"):
        shown = runner.invoke(app, [command, "--help"])
        assert shown.exit_code == 0
        assert f"churnsurv {command}" in shown.output
    assert "reports/quarterly.toml" in runner.invoke(app, ["--help"]).output


def test_the_version_is_told():
    shown = runner.invoke(app, ["--version"])
    assert (shown.exit_code, shown.output.strip()) == (0, f"churnsurv {churnsurv.__version__}")


def test_wrong_use_exits_with_2():
    assert runner.invoke(app, ["report"]).exit_code == 2
    assert runner.invoke(app, ["simulate", "--loans", "few"]).exit_code == 2
    assert runner.invoke(app, ["repotr"]).exit_code == 2


def test_report_goes_beside_the_configuration_by_default_and_is_not_overwritten(quick_config):
    try:
        quick = ["report", str(quick_config), "--formats", "html,json"]
        first = runner.invoke(app, quick)
        assert first.exit_code == 0, first.output
        assert (quick_config.parent / "2026Q3" / "report.html").is_file()
        again = runner.invoke(app, quick)
        assert again.exit_code == 1
        assert "--force" in again.stderr
        assert runner.invoke(app, [*quick, "--force"]).exit_code == 0
    finally:
        for file in (quick_config.parent / "2026Q3").glob("report.*"):
            file.unlink()


def test_findings_above_the_threshold_exit_with_3(quick_config, tmp_path):
    text = quick_config.read_text(encoding="utf-8")
    wrong = quick_config.with_name("wrong_sign.toml")
    wrong.write_text(text.replace('expected = { attrition = "+" }', 'expected = { attrition = "-" }'), encoding="utf-8")
    done = runner.invoke(app, ["report", str(wrong), "--out", str(tmp_path / "out"), "--formats", "json, html"])
    assert done.exit_code == 3
    assert "amber finding" in done.stdout
    assert done.stdout.strip().splitlines()[-1].endswith("report.html")


def test_without_a_way_to_pdf_the_other_formats_are_written_with_a_note_and_exit_0(quick_config, tmp_path, monkeypatch):
    monkeypatch.setattr("churnsurv.report.render.available.weasyprint_works", lambda: False)
    monkeypatch.setattr("churnsurv.report.render.available.browser", lambda: None)
    done = runner.invoke(
        app, ["report", str(quick_config), "--out", str(tmp_path / "out"), "--formats", "html,pdf,json"]
    )
    assert done.exit_code == 0, done.output
    assert "amber finding: There is no PDF document" in done.stdout
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["report.html", "report.json"]
    assert "There is no PDF document" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_an_unknown_format_is_refused_before_the_work(quick_config, tmp_path):
    failed = runner.invoke(app, ["report", str(quick_config), "--out", str(tmp_path / "out"), "--formats", "odt"])
    assert failed.exit_code == 1
    assert "'odt' is not supported" in failed.stderr
    assert not (tmp_path / "out").exists()


def test_a_failure_exits_with_1_and_a_message_without_traceback(tmp_path):
    failed = runner.invoke(app, ["report", str(tmp_path / "nix.toml")])
    assert failed.exit_code == 1
    assert "nix.toml" in failed.stderr
    assert "Traceback" not in failed.output


def test_an_unforeseen_error_exits_with_1_and_says_how_to_report_it(monkeypatch, quick_config):
    def fails(*args, **kwargs):
        raise ZeroDivisionError("no way")

    monkeypatch.setattr("churnsurv.report.read_config", fails, raising=False)
    failed = runner.invoke(app, ["check", str(quick_config)])
    assert failed.exit_code == 1
    assert "ZeroDivisionError: no way" in failed.stderr
    assert "CHURNSURV_TRACEBACK=1" in failed.stderr


def test_check_passes_a_sound_portfolio(quick_config):
    done = runner.invoke(app, ["check", str(quick_config)])
    assert done.exit_code == 0, done.output
    assert "0 error" in done.stdout


def test_check_names_the_errors_of_the_data(quick_config, tmp_path):
    import pandas as pd

    text = quick_config.read_text(encoding="utf-8")
    for file in quick_config.parent.glob("*.parquet"):
        frame = pd.read_parquet(file)
        if file.stem == "performance":
            frame["status"] = frame["status"].replace("charged_off", "vanished")
        frame.to_parquet(tmp_path / file.name)
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    found = runner.invoke(app, ["check", str(tmp_path / "c.toml")])
    assert found.exit_code == 3
    assert "vanished" in found.stdout or "status" in found.stdout


def test_simulate_writes_a_portfolio_and_leaves_a_full_folder_alone(tmp_path):
    folder = tmp_path / "made"
    done = runner.invoke(app, ["simulate", "--loans", "150", "--seed", "2", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip().splitlines()[-1] == str(folder)
    assert len(churnsurv.data.Portfolio.load(folder).loans) == 150
    again = runner.invoke(app, ["simulate", "--out", str(folder)])
    assert again.exit_code == 1
    assert "--out" in again.stderr


def test_simulate_takes_a_drift_and_dirt(tmp_path):
    folder = tmp_path / "made"
    options = ["--loans", "150", "--drift", "concept", "--dirty", "0.1", "--out", str(folder)]
    done = runner.invoke(app, ["simulate", *options])
    assert done.exit_code == 0, done.output
    truth = churnsurv.data.Portfolio.load(folder).truth
    assert truth["drift"]["since"] == "2026-07"
    assert sum(fault["count"] for fault in truth["dirt"]) == pytest.approx(15, abs=5)
    unknown = runner.invoke(app, ["simulate", "--drift", "tectonic", "--out", str(tmp_path / "none")])
    assert unknown.exit_code == 1
    assert "no drift 'tectonic'" in unknown.stderr
    assert runner.invoke(app, ["simulate", "--dirty", "0.9", "--out", str(tmp_path / "none")]).exit_code == 2


def test_the_installed_command_prints_the_path_of_the_page_last_and_is_quiet_on_standard_error(quick_config, tmp_path):
    command = [
        str(Path(sys.executable).with_name("churnsurv")),
        "report",
        str(quick_config),
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    page = Path(done.stdout.strip().splitlines()[-1])
    assert page == tmp_path / "out" / "report.html"
    assert page.is_file()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["period"] == "2026 Q3"


def test_check_names_the_errors_of_the_assignments(small_config, tmp_path):
    import pandas as pd

    for file in small_config.parent.glob("*.parquet"):
        frame = pd.read_parquet(file)
        if file.stem == "interventions":
            frame["loan_id"] = frame["loan_id"].where(frame.index > 0, frame["loan_id"].max() + 1_000_000)
        frame.to_parquet(tmp_path / file.name)
    (tmp_path / "c.toml").write_text(small_configuration(), encoding="utf-8")
    found = runner.invoke(app, ["check", str(tmp_path / "c.toml")])
    assert found.exit_code == 3
    assert "interventions" in found.stdout


def test_force_leaves_a_folder_with_the_configuration_alone(quick_config, tmp_path):
    project = tmp_path / "proj"
    project.mkdir()
    (project / "report.toml").write_text(quick_config.read_text(encoding="utf-8"), encoding="utf-8")
    for file in quick_config.parent.glob("*.parquet"):
        (project / file.name).write_bytes(file.read_bytes())
    failed = runner.invoke(app, ["report", str(project / "report.toml"), "--out", str(project), "--force"])
    assert failed.exit_code == 1
    assert (project / "report.toml").is_file()


def test_check_writes_all_checks_as_json_and_leaves_a_file_alone(quick_config, tmp_path):
    import json

    file = tmp_path / "checks.json"
    arguments = ["check", str(quick_config), "--json", str(file)]
    done = runner.invoke(app, [*arguments, "--memory-limit", "1GB"])
    assert done.exit_code == 0, done.output
    lines = json.loads(file.read_text(encoding="utf-8"))
    assert {"loans in = loans out by reason", "unlagged column"} <= {line["rule"] for line in lines}
    again = runner.invoke(app, arguments)
    assert again.exit_code == 1
    assert "exists and is left as it is" in again.output
    assert runner.invoke(app, [*arguments, "--force"]).exit_code == 0

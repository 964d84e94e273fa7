"""What the README promises works: its Python runs, its commands run, its files exist."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.quick import brief_configuration

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def test_the_python_examples_run():
    assert PYTHON
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), {})


def test_the_commands_run_one_after_the_other(small_folder, tmp_path):
    # on a small portfolio in the place of the shipped one, which `make report` takes, with the short sections
    shutil.copytree(small_folder, tmp_path / "reports", ignore=shutil.ignore_patterns("20*"))
    (tmp_path / "reports" / "quarterly.toml").write_text(brief_configuration(), encoding="utf-8")
    commands = [command for command in COMMANDS if command.startswith("churnsurv ")]
    assert commands
    for command in commands:
        words = shlex.split(command)
        words[0] = str(Path(sys.executable).with_name("churnsurv"))
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        # a report with findings is a report made
        made = (0, 3) if words[1] == "report" and "--verify" not in words else (0,)
        assert result.returncode in made, (command, result.stdout, result.stderr)
        if "--out" in words:
            assert any((tmp_path / words[words.index("--out") + 1]).iterdir())


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("command", [c.split()[1] for c in COMMANDS if c.startswith("make ")])
def test_the_make_targets_exist_and_do_the_named_thing(command):
    # -n prints what would be done; the targets themselves are what runs this test and .ci/run
    result = subprocess.run(
        ["make", "-n", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MAKEFLAGS": ""},
    )
    assert result.returncode == 0, result.stderr
    assert {"report": "churnsurv report reports/quarterly.toml", "test": "-m pytest"}[command] in result.stdout


def test_the_files_that_it_links_to_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_pip_lines_install_what_make_installs():
    environment = (ROOT / ".ci" / "environment.sh").read_text(encoding="utf-8")
    extras = re.search(r"'(\.\[[^']*\])'", README)[1]
    assert f"'{extras}'" in environment
    assert "--constraint constraints.txt" in environment

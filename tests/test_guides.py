"""The guides work as written: their examples run and print what stands below them."""

import contextlib
import io
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.shipped import shipped_spells_built_once  # noqa: F401 (a fixture)

DOCS = Path(__file__).parents[1] / "docs"
GUIDES = [
    page for page in sorted(DOCS.rglob("*.md")) if "```python" in page.read_text(encoding="utf-8")
]  # the rest, such as the decisions, has nothing to run

#: a block of Python, and the block of text that shows what it prints, if one follows
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_examples_run_and_print_what_the_guide_shows(guide, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(guide.read_text(encoding="utf-8"))
    assert blocks
    names = {}
    for code, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), pd.option_context("display.width", 120):
            exec(compile(code, guide.name, "exec"), names)
        assert printed.getvalue().rstrip() == shown.rstrip()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_what_a_guide_links_to_beside_it_is_there(guide):
    for target in re.findall(r"\]\(([^)#]+)\)", guide.read_text(encoding="utf-8")):
        assert target.startswith("http") or (guide.parent / target).exists()

"""Shaded tables and waterfalls."""

import numpy as np
import pandas as pd
import pytest

from churnsurv import plot
from churnsurv.report.figures import drawn


def test_a_shaded_table_shows_its_numbers_and_leaves_gaps():
    ax = plot.heat(pd.DataFrame([[0.02, np.nan], [0.05, 0.08]], index=["a", "b"], columns=["x", "y"]))
    assert sorted(text.get_text() for text in ax.texts) == ["2.0%", "5.0%", "8.0%"]
    assert len(ax.patches) == 3


def test_a_waterfall_takes_off_what_leaves():
    ax = plot.waterfall(
        [("In", 10, "10", True), ("Out", 4, "4", False), ("Hidden", None, "<5", False), ("Left", 6, "6", True)]
    )
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [(0, 10), (6, 4), (0, 6)]
    assert [text.get_text() for text in ax.texts] == ["10", "4", "<5", "6"]


@pytest.mark.parametrize("label", ["北京市海淀区", "$x$_{y}", "<b>"])
def test_labels_in_any_script_are_drawn(label):
    frame = pd.DataFrame([[0.1]], index=[label], columns=[label])
    for draw in (
        lambda ax: plot.heat(frame, ax=ax, xlabel=label),
        lambda ax: plot.waterfall([(label, 3, label, True)], ax=ax),
    ):
        assert drawn("a", "b", draw, alt="c").svg.startswith("<svg")

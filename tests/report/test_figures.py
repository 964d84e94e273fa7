"""Figures of the report: on a printed page their letters are large enough to be read."""

import re

import numpy as np
import pandas as pd
import pytest

from churnsurv.plot import forest, forest_height
from churnsurv.report.figures import WIDEST, drawn
from churnsurv.report.sections.provenance import _configuration, provenance_record

#: points between the margins of an A4 page, see @page of the style sheet
PAGE = (210 - 2 * 16) / 25.4 * 72


def width(figure):
    return float(re.search(r'width="([\d.]+)pt"', figure.svg)[1])


@pytest.mark.parametrize("length", [8, 40])
def test_words_beside_the_axes_do_not_make_the_letters_small(length):
    frame = pd.DataFrame(
        {"label": ["x" * length, "y"], "hazard_ratio": [1.2, 0.8], "hr_lower": [1.1, 0.6], "hr_upper": [1.4, 1.1],
         "p_value": [0.01, 0.2]}
    )  # fmt: skip
    figure = drawn("k", "t", lambda ax: forest(frame, ax=ax), alt="", width=7.0, height=forest_height(frame))
    assert 9 * min(1, PAGE / width(figure)) >= 7.5


def test_axes_are_not_made_narrower_than_can_be_read():
    widths = []
    drawn(
        "k",
        "t",
        lambda ax: (widths.append(ax.figure.get_figwidth()), ax.set_ylabel("w"), ax.set_yticks([0], ["w" * 75])),
        alt="",
    )
    assert widths[0] == 7.0
    assert min(widths) >= 2.2


def test_letters_of_all_figures_are_at_least_seven_and_a_half_points_on_paper(small_report):
    figures = [b for s in small_report.sections for b in s.blocks if hasattr(b, "svg")]
    assert len(figures) > 15
    wide = {figure.key: width(figure) for figure in figures if width(figure) > WIDEST + 2}
    # figures whose words alone are wider
    assert wide == {}


def test_the_configuration_on_paper_is_what_differs_from_the_defaults(small_analysis):
    table = _configuration(small_analysis)
    shown = dict(table.rows)
    assert "covariates = rate_incentive, burnout" in shown["[model]"]
    # the default
    assert "ties" not in shown["[model]"]
    assert shown["[data]"].startswith("loans = loans.parquet; ")
    assert "kind = rollout" in " ".join(shown[key] for key in shown if key.startswith("[[interventions]]"))
    assert not any("/" in value for key, value in shown.items() if key == "[data]")
    whole = provenance_record(small_analysis)["configuration"]
    assert whole["model"]["ties"] == "efron"
    assert np.isin(["terms", "thresholds"], list(whole)).all()
    assert len(table.rows) < 40

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv import plot
from churnsurv.exceptions import DataError

mpl.use("Agg")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"rate": rng.normal(size=200)})
    start = rng.integers(1, 4, 200)
    return X, cs.Outcome(
        start + rng.integers(1, 24, 200), rng.integers(0, 3, 200), start=start, causes=("left", "failed")
    )


def test_each_cause_has_its_curve_from_the_first_age_and_a_band(rows):
    X, y = rows
    curves = cs.CauseSpecificCox().fit(X, y).predict_curves(X.iloc[:2], level=0.9)
    ax = plot.predicted_incidence(curves, row=1)
    assert len(ax.collections) == 2
    for line, cause in zip(ax.lines, ("left", "failed"), strict=False):
        expected = curves.cumulative_incidence(cause)[1]
        np.testing.assert_allclose(line.get_ydata(), [0.0, *expected[np.isfinite(expected)]])
        assert line.get_xdata()[0] == curves.origin[1]
    assert {"left", "failed"} <= {text.get_text() for text in ax.texts}


def test_curves_of_one_cause_among_several_are_refused(rows):
    X, y = rows
    with pytest.raises(DataError, match="not those of all causes"):
        plot.predicted_incidence(cs.FineGray("left").fit(X, y).predict_curves(X.iloc[:1]))

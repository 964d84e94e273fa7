import matplotlib.pyplot as plt
import numpy as np
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def judged():
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.1, 0.6, 500)
    left = np.ceil(12 * rng.exponential(-1 / np.log1p(-risk)))
    return cs.metrics.calibration(cs.Outcome(np.minimum(left, 24), left <= 24), risk, 12, bins=5)


def test_bins_and_curve_stand_where_they_were_estimated(judged):
    ax = cs.plot.calibration(judged)
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["smooth curve"].get_ydata(), judged.curve["observed"])
    np.testing.assert_array_equal(lines["bands of predicted risk"].get_xdata(), judged.table["mean_predicted"])
    assert ax.get_xlim() == ax.get_ylim()


def test_axes_are_square_and_end_where_the_bands_do_though_the_curve_goes_on(judged):
    from dataclasses import replace

    low = judged.table.assign(
        mean_predicted=np.linspace(0.002, 0.02, 5), observed=0.02, lower=0.01, upper=np.linspace(0.02, 0.046, 5)
    )
    ax = cs.plot.calibration(replace(judged, table=low))
    assert ax.get_xlim() == ax.get_ylim()
    assert 0.046 < ax.get_xlim()[1] < 0.06
    assert judged.curve["predicted"].max() > 0.5
    assert ax.get_aspect() == 1


def test_a_band_without_observation_is_not_drawn(judged):
    from dataclasses import replace

    hidden = judged.table.assign(observed=judged.table["observed"].where(judged.table["bin"] != 2))
    lines = {line.get_label(): line for line in cs.plot.calibration(replace(judged, table=hidden)).get_lines()}
    assert len(lines["bands of predicted risk"].get_xdata()) == len(judged.table) - 1


def test_the_area_over_time_has_a_line_per_table():
    y = cs.Outcome(stop=[3, 5, 8, 12, 14], event=[1, 1, 0, 1, 0])
    table = cs.metrics.cumulative_dynamic_auc(y, [0.9, 0.2, 0.3, 0.1, 0.4], [4, 6, 9])
    ax = cs.plot.auc_over_time({"$a$": table, "b": table})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["$a$", "b"]
    np.testing.assert_array_equal(ax.get_lines()[1].get_ydata(), table["value"])


def test_other_things_are_refused():
    with pytest.raises(DataError, match="Calibration|calibration"):
        cs.plot.calibration(3)
    with pytest.raises(DataError, match="no table"):
        cs.plot.auc_over_time({})

"""Curves: steps, support, restricted means and medians worked by hand."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.curves import check_size
from churnsurv.exceptions import DataError, SupportWarning


def two_rows():
    # row "a": leaves .2 at 1 and .3 at 3 (attrition), .1 at 3 (default); row "b" is known from age 2 on, up to 4
    probability = np.array([[[0.8, 0.4], [0.2, 0.5], [0.0, 0.1]], [[1.0, 0.5], [0.0, 0.5], [0.0, 0.0]]])
    return cs.Curves(
        times=np.array([1.0, 3.0]),
        probability=probability,
        origin=np.array([0.0, 2.0]),
        last=np.array([6.0, 4.0]),
        causes=("attrition", "default"),
        index=pd.Index(["a", "b"]),
    )


def test_values_step_to_the_right_and_are_one_before_the_first_step():
    at = two_rows().at([0.5, 1, 2.9, 3])
    np.testing.assert_array_equal(at.survival[0], [1, 0.8, 0.8, 0.4])
    np.testing.assert_array_equal(at.cumulative_incidence("attrition")[0], [0, 0.2, 0.2, 0.5])
    np.testing.assert_array_equal(at[:, 0, :], at.survival)


def test_past_the_support_the_answer_is_missing_with_a_warning_or_an_error():
    with pytest.warns(SupportWarning, match=r"Time 5 is past .*\(4\) of 1 row \(b\)"):
        at = two_rows().at([3, 5])
    assert np.isnan(at.survival[1, 1])
    assert at.survival[0, 1] == 0.4
    with pytest.raises(DataError, match="not estimable"):
        two_rows().at([5], strict=True)


def test_risk_is_within_the_horizon_after_the_origin():
    risk = two_rows().risk("attrition", horizon=2)
    np.testing.assert_array_equal(risk, [0.2, 0.5])
    with pytest.warns(SupportWarning):
        assert np.isnan(two_rows().risk("attrition", horizon=3)[1])
    with pytest.raises(DataError, match="horizon"):
        two_rows().risk("attrition")
    with pytest.raises(DataError, match="'death' is unknown"):
        two_rows().risk("death", 1)
    with pytest.raises(DataError, match="Name the cause"):
        two_rows().cumulative_incidence()


def test_restricted_means_are_areas_from_the_origin():
    # a: 1 on (0,1], .8 on (1,3], .4 on (3,4] = 1 + 1.6 + .4; over (0, 4]
    # b: 1 on (2,3], .5 on (3,4] over (2, 4] = 1.5
    assert two_rows()[[i == "a" for i in ("a", "b")]].rmst(4)[0] == pytest.approx(3.0)
    assert two_rows().rmst(2)[1] == pytest.approx(1.5)


def test_the_median_of_a_flat_step_is_its_midpoint():
    curves = cs.Curves(
        np.array([2.0, 5.0]),
        np.array([[[0.5, 0.2], [0.5, 0.8]], [[0.7, 0.3], [0.3, 0.7]], [[0.9, 0.8], [0.1, 0.2]]]),
        np.zeros(3),
        np.full(3, 9.0),
        ("event",),
        pd.RangeIndex(3),
    )
    np.testing.assert_array_equal(curves.median(), [3.5, 5.0, np.nan])


def test_frames_are_tidy_or_wide():
    long = two_rows().to_frame()
    assert list(long.columns) == ["row", "state", "time", "probability"]
    assert len(long) == 2 * 3 * 2
    wide = two_rows().to_frame(long=False)
    assert wide.loc["a", ("default", 3.0)] == 0.1


def test_rows_are_selected():
    curves = two_rows()
    assert curves[[1]].index.tolist() == ["b"]
    np.testing.assert_array_equal(curves[np.array([False, True])].origin, [2.0])


def test_curves_evaluated_at_some_times_are_not_read_between_them():
    at = two_rows().at([1, 3])
    np.testing.assert_array_equal(at.at([3]).survival[:, 0], [0.4, 0.5])
    np.testing.assert_array_equal(at[[0]].risk("attrition", horizon=3), [0.5])
    with pytest.raises(DataError, match=r"evaluated at 1, 3 only; 2 is not among them"):
        at.at([2])
    with pytest.raises(DataError, match=r"2 is not among them.*start \+ horizon"):
        at.risk("attrition", horizon=2)
    for read in (lambda c: c.rmst(2), lambda c: c.median()):
        with pytest.raises(DataError, match="without times="):
            read(at)


def test_times_are_found_up_to_rounding():
    # 8/12 + 1 is below 20/12 in doubles; the step at 20/12 is meant all the same
    curves = cs.Curves(
        np.array([8, 20]) / 12, np.array([[[0.9, 0.5], [0.1, 0.5]]]), np.array([8 / 12]), np.array([20 / 12]), ("event",),
        pd.RangeIndex(1),
    )  # fmt: skip
    assert 8 / 12 + 1 < 20 / 12
    assert curves.risk(horizon=1)[0] == 0.5
    assert curves.at([8 / 12 + 1]).survival[0, 0] == 0.5


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="expected"):
        cs.Curves(np.array([1.0]), np.zeros((1, 3, 1)), np.zeros(1), np.ones(1), ("event",), pd.RangeIndex(1))
    with pytest.raises(DataError, match="must increase"):
        cs.Curves(np.array([2.0, 1.0]), np.zeros((1, 2, 2)), np.zeros(1), np.ones(1), ("event",), pd.RangeIndex(1))


def test_curves_that_would_fill_the_memory_are_refused_with_the_remedy():
    with pytest.raises(DataError, match=r"2,000 rows x 2 states x 20,000 times would take 0.6 GB. Pass times="):
        check_size(2_000, 2, 20_000, asked=False)
    check_size(2_000, 2, 12, asked=True)

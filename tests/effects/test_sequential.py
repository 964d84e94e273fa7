import numpy as np
import pytest

from churnsurv.effects import group_sequential
from churnsurv.exceptions import DataError

FIVE = [0.2, 0.4, 0.6, 0.8, 1.0]


# two-sided 0.05, five equal looks: Lan & DeMets's boundaries as printed by the R package ldbounds
@pytest.mark.parametrize(
    ("spending", "expected"),
    [
        ("obrien-fleming", [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        ("pocock", [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_boundaries_are_the_published_ones(spending, expected):
    np.testing.assert_allclose(group_sequential(FIVE, spending=spending).table["boundary"], expected, atol=2e-4)


@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
def test_the_level_and_the_power_are_those_asked_for_in_drawn_paths(spending, two_sided):
    looks, alpha = np.array([0.3, 0.45, 0.8, 1.0]), 0.05
    plan = group_sequential(list(looks), spending=spending, two_sided=two_sided, alpha=alpha, power=0.9)
    fixed = group_sequential([1.0], two_sided=two_sided, alpha=alpha, power=0.9)
    assert fixed.inflation == pytest.approx(1.0, abs=1e-9)
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(200_000, 4)) * np.sqrt(np.diff(looks, prepend=0))
    # the drift of a fixed design with 90 % power, more by the inflation
    z = 1.959964 if two_sided else 1.644854
    drift = (z + 1.281552) * np.sqrt(plan.inflation)
    for path, column in ((np.cumsum(steps, 1), "stop_null"), (np.cumsum(steps, 1) + drift * looks, "stop_alternative")):
        score = path / np.sqrt(looks)
        score = np.abs(score) if two_sided else score
        beyond = score >= plan.table["boundary"].to_numpy()
        first = np.where(beyond.any(axis=1), beyond.argmax(axis=1), 4)
        share = np.bincount(first, minlength=5)[:4] / len(first)
        # three Monte-Carlo errors at each look
        np.testing.assert_allclose(share, plan.table[column], atol=3 * np.sqrt(0.25 / len(first)))
    assert plan.table["stop_null"].sum() == pytest.approx(alpha, abs=1e-8)
    assert plan.table["stop_alternative"].sum() == pytest.approx(0.9, abs=1e-8)
    assert plan.table["alpha_spent"].iloc[-1] == pytest.approx(alpha)


def test_one_look_is_the_fixed_test_and_earlier_boundaries_do_not_depend_on_later_looks():
    assert group_sequential([1.0]).table["boundary"].iloc[0] == pytest.approx(1.9599640, abs=1e-7)
    early = group_sequential([0.3, 0.7]).table["boundary"]
    np.testing.assert_allclose(early, group_sequential([0.3, 0.7, 0.9, 1.0]).table["boundary"][:2], atol=1e-9)


def test_stopping_early_saves_events_when_the_effect_is_as_planned():
    plan = group_sequential(FIVE, power=0.9)
    assert 1.0 < plan.inflation < 1.05
    assert 0.5 < plan.expected_information < 0.8
    assert list(plan.to_frame()["look"]) == [1, 2, 3, 4, 5]


def test_looks_close_to_each_other_and_very_early_ones_are_exact_too():
    plan = group_sequential([0.01, 0.02, 0.5, 0.51, 1.0])
    assert plan.table["stop_null"].sum() == pytest.approx(0.05, abs=1e-8)
    assert np.isfinite(plan.table["boundary"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"information": []}, "share of the events at each look"),
        ({"information": [0.5, 0.5]}, "must increase"),
        ({"information": [0.0, 1.0]}, "must increase within"),
        ({"information": [0.5, 1.5]}, "must increase within"),
        ({"information": [0.5, np.nan]}, "share of the events"),
        ({"alpha": 1.0}, "alpha"),
        ({"power": 0.01}, "power=0.01 must lie between alpha and 1"),
        ({"spending": "haybittle"}, "use 'obrien-fleming' or 'pocock'"),
    ],
)
def test_what_is_no_plan_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        group_sequential(**arguments)

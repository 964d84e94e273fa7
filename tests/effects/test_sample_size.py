import numpy as np
import pytest
from scipy.integrate import quad

from churnsurv.effects import required_events, sample_size
from churnsurv.effects.sample_size import event_share
from churnsurv.exceptions import DataError


def test_events_are_those_of_schoenfelds_formula():
    # (1.959964 + 0.841621)^2 = 7.848880; log(0.75)^2 = 0.082760
    assert required_events(0.75) == int(np.ceil(7.848880 * 4 / 0.0827603))
    assert required_events(0.75, share_treated=0.2) == int(np.ceil(7.848880 / (0.16 * 0.0827603)))
    assert required_events(1 / 0.75) == required_events(0.75)
    assert required_events(0.5, design_effect=1.5) == pytest.approx(1.5 * required_events(0.5), abs=1.5)


def test_a_margin_moves_the_null_hypothesis():
    assert required_events(0.75, margin=1.0) == required_events(0.75 * 1.3, margin=1.3)
    assert required_events(0.9, margin=1.3, alpha=0.025, two_sided=False) < required_events(
        1.0, margin=1.3, alpha=0.025, two_sided=False
    )


@pytest.mark.parametrize(
    ("hazard", "other", "follow_up", "accrual"), [(0.01, 0.003, 12, 6), (0.2, 0.0, 5, 10), (1e-9, 0, 3, 2)]
)
def test_the_share_with_an_event_is_the_integral_over_the_time_of_entry(hazard, other, follow_up, accrual):
    def gone(length):
        return hazard / (hazard + other) * -np.expm1(-(hazard + other) * length)

    expected = quad(lambda u: gone(follow_up + u) / accrual, 0, accrual, epsabs=0)[0]
    assert event_share(hazard, other, follow_up, accrual) == pytest.approx(expected, rel=1e-9)
    assert event_share(hazard, other, follow_up) == pytest.approx(gone(follow_up), rel=1e-9)


def test_customers_are_the_events_over_the_share_with_one():
    plan = sample_size(0.75, hazard=0.012, competing=0.002, dropout=0.01, accrual=3, follow_up=12, share_treated=0.3)
    share = 0.7 * event_share(0.012, 0.012, 12, 3) + 0.3 * event_share(0.009, 0.012, 12, 3)
    assert plan.share_with_event == pytest.approx(share)
    assert plan.n == int(np.ceil(plan.n_events / share))
    assert plan.n_treated == round(0.3 * plan.n)
    assert plan.n_control + plan.n_treated == plan.n
    assert plan.to_frame().loc[0, "n"] == plan.n


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hazard_ratio": 1.0}, "no number of events tells them apart"),
        ({"hazard_ratio": 0.0}, "hazard_ratio=0.0 must be above 0"),
        ({"hazard_ratio": np.nan}, "not a finite number"),
        ({"hazard_ratio": 0.5, "power": 1.0}, "power=1.0 must lie between 0 and 1"),
        ({"hazard_ratio": 0.5, "power": 0.01}, "not above alpha"),
        ({"hazard_ratio": 0.5, "alpha": 0}, "alpha=0 must lie between 0 and 1"),
        ({"hazard_ratio": 0.5, "share_treated": 1.2}, "share_treated=1.2"),
        ({"hazard_ratio": 0.5, "design_effect": 0.5}, "clusters never add information"),
    ],
)
def test_what_cannot_be_planned_is_said(arguments, message):
    with pytest.raises(DataError, match=message):
        required_events(**arguments)


def test_hazards_and_times_are_checked():
    with pytest.raises(DataError, match="hazard=0 must be above 0"):
        sample_size(0.5, hazard=0, follow_up=12)
    with pytest.raises(DataError, match="dropout=-1 must be 0 or more"):
        sample_size(0.5, hazard=0.1, follow_up=12, dropout=-1)

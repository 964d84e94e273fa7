"""Records of monitoring in text and HTML: what alarms is named, and nothing from data is taken for markup."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from tests.evaluation.samples import shipped_spells

MARKUP = "<i>score"


def stability():
    rng = np.random.default_rng(0)
    return cs.evaluation.population_stability(rng.normal(size=500), rng.normal(1, 1, 500), name=MARKUP)


def characteristics():
    rng = np.random.default_rng(0)
    before, now = (pd.DataFrame({MARKUP: rng.normal(shift, 1, 500), "b": rng.normal(size=500)}) for shift in (0, 1))
    return cs.evaluation.characteristic_stability(before, now)


def drift():
    rng = np.random.default_rng(0)

    def cohort(more):
        risk = rng.uniform(0.1, 0.6, 800)
        time = np.ceil(12 * rng.exponential(-1 / np.log1p(-risk)) / more)
        return cs.Outcome(np.minimum(time, 24), time <= 24), risk

    development = cs.evaluation.performance(*cohort(1), 12)
    return cs.evaluation.performance_drift(*cohort(3), 12, development)


def chart():
    rng = np.random.default_rng(0)
    period = np.repeat(np.arange(12), 300)
    y = cs.Outcome(
        np.ones(3_600), rng.random(3_600) < np.where(period < 8, 0.05, 0.2), subject=np.arange(3_600), causes=(MARKUP,)
    )
    dates = pd.period_range("2024Q1", periods=12, freq="Q")
    return cs.evaluation.control_chart(
        y, by="quarter", period=dates.start_time[period], baseline=dates[7].end_time, cause=MARKUP
    )


def rolled():
    spells = shipped_spells()
    cohort = spells.landmark("2025-09-30")
    known = spells.until("2025-09-30")
    model = cs.CauseSpecificCox("rate_incentive").fit(known.X, known.y)
    return cs.evaluation.roll_forward(
        model, cohort, horizon=12, by=np.where(cohort.groups == cohort.groups[0], "x", MARKUP)
    )


@pytest.mark.parametrize("make", [stability, characteristics, drift, chart, rolled])
def test_a_record_shows_its_alarms_and_escapes_what_comes_from_data(make):
    record = make()
    text, html = repr(record), record._repr_html_()
    assert "alarm" in text.lower()
    assert max(map(len, text.splitlines()[1:-1])) < 200
    assert MARKUP not in html
    if make is not drift:
        assert MARKUP in text
        assert "&lt;i&gt;score" in html
    head = text.splitlines()[0]
    if make is not rolled:
        assert "no alarm" not in head


def test_without_alarms_a_record_says_so():
    rng = np.random.default_rng(1)
    quiet = rng.normal(size=400)
    assert "no alarm" in repr(cs.evaluation.population_stability(quiet, quiet + 1e-9))

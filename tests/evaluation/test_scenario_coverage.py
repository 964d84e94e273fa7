"""Intervals of scenarios hold the truth as often as they say, where the model is right.

Loans with a score and a macro series: known hazards by loan age, constant within a month. In each repetition a portfolio is
drawn, a model fitted, and the open loans followed along a rise of the series. Known is the expected number that leaves along it
(interval of the mean), and drawn is who leaves (interval of the prediction).

Bands, stated before looking: with R repetitions a coverage of 95 % lies above 95 % − 3 sqrt(0.95 × 0.05 / R). Prediction
intervals of counts are conservative, since quantiles of counts are.
"""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data.landmark import Cohort

MONTHS, HORIZON, LOANS = 48, 6, 700
COEFFICIENTS = {"attrition": (0.5, -0.15), "default": (-0.6, 0.25)}
RULES = cs.data.SpellRules(
    origination="opened", observed="month", status="status", open=["open"],
    causes={"attrition": ["prepaid"], "default": ["lost"]},
    covariates={"performance": ["score"], "macro": ["unemployment_rate"]}, macro={"period": "month"},
)  # fmt: skip
START = pd.Timestamp("2020-01-01")


def hazards(age, score, series):
    base = {"attrition": 0.02 + 0.012 * np.exp(-(((age - 20) / 8.0) ** 2)), "default": 0.006 * np.exp(-age / 40)}
    return np.stack([base[c] * np.exp(b * score + g * (series - 5)) for c, (b, g) in COEFFICIENTS.items()])


def drawn(rng, series):
    """Give spells of a portfolio until the landmark, and the loans open at it with their age and score."""
    opened, score = rng.integers(0, MONTHS - 1, LOANS), rng.normal(size=LOANS)
    alive, rows = np.ones(LOANS, bool), []
    for month in range(MONTHS):
        now = np.flatnonzero(alive & (opened <= month))
        h = hazards(month - opened[now], score[now], series[month])
        cause = exits(rng, h)
        rows.append(
            pd.DataFrame(
                {"loan": now, "start": month - opened[now], "cause": cause, "score": score[now],
                 "unemployment_rate": series[month]}
            )
        )  # fmt: skip
        alive[now[cause > 0]] = False
    frame = pd.concat(rows, ignore_index=True)
    y = cs.Outcome(
        frame["start"] + 1, frame["cause"], start=frame["start"], subject=frame["loan"], causes=tuple(COEFFICIENTS)
    )
    here = np.flatnonzero(alive)
    return frame[["score", "unemployment_rate"]], y, MONTHS - opened[here], score[here]


def exits(rng, h):
    """Draw who leaves in a month of constant hazards, and by which cause (0: nobody)."""
    total = h.sum(axis=0)
    gone = rng.random(len(total)) < -np.expm1(-total)
    return np.where(gone, 1 + (rng.random(len(total)) * total > h[0]), 0)


def expected(age, score, path):
    """Give the expected number that leaves by each cause within the horizon, from the hazards themselves."""
    stays, number = np.ones(len(age)), np.zeros(2)
    for month, level in enumerate(path):
        h = hazards(age + month, score, level)
        leave = stays * -np.expm1(-h.sum(axis=0)) / h.sum(axis=0) * h
        number += leave.sum(axis=1)
        stays -= leave.sum(axis=0)
    return number


def repetitions(n):
    """Give for each repetition, cause: whether the interval of the mean held the truth, of the prediction the number drawn."""
    held = np.zeros((n, 2, 3), bool)
    for r in range(n):
        rng = np.random.default_rng([20261126, r])
        # the lagged series: the spell of month t knows series[t]
        series = 5 + np.cumsum(rng.normal(0, 0.4, MONTHS)) * 0.5
        X, y, age, score = drawn(rng, series)
        now = series[-1]
        path = now + 0.3 * np.arange(1, HORIZON + 1)
        model = cs.CauseSpecificCox().fit(X, y)
        keep = age + HORIZON <= y.stop.max()
        age, score = age[keep], score[keep]
        ids = np.arange(len(age))
        frame = pd.DataFrame({"loan_id": ids, "customer_id": ids, "age": age.astype(float), "score": score})
        date = START + pd.DateOffset(months=MONTHS) - pd.Timedelta(days=1)
        cohort = Cohort(frame.assign(unemployment_rate=path[0]), RULES, date)
        # with lag 1 the spell of the first month ahead knows the landmark's month
        months = pd.date_range(START + pd.DateOffset(months=MONTHS - 1), periods=HORIZON, freq="MS")
        paths = {
            "base": pd.DataFrame({"month": months, "unemployment_rate": path[0]}),
            "rise": pd.DataFrame({"month": months, "unemployment_rate": path}),
        }
        result = cs.evaluation.scenario(model, cohort, paths, horizon=HORIZON)
        truth = expected(age, score, path)
        change = truth - expected(age, score, np.repeat(path[0], HORIZON))
        who = np.zeros(2)
        alive = np.ones(len(age), bool)
        for month, level in enumerate(path):
            cause = exits(rng, hazards(age + month, score, level))
            who += [np.sum(alive & (cause == k)) for k in (1, 2)]
            alive &= cause == 0
        keys = (HORIZON, "loans")
        mean, prediction = (result.to_frame(cumulative=True, interval=i) for i in ("mean", "prediction"))
        for number, (frame_, aim) in enumerate(
            ((mean, truth), (prediction, who), (result.difference(cumulative=True), change))
        ):
            rows = frame_[
                (frame_["scenario"] == "rise") & (frame_["month"] == keys[0]) & (frame_["quantity"] == keys[1])
            ]
            rows = rows.set_index("cause").loc[list(COEFFICIENTS)]
            held[r, :, number] = (rows["lower"] <= aim) & (aim <= rows["upper"])
    return held.mean(axis=0)


def least(n):
    return 0.95 - 3 * np.sqrt(0.95 * 0.05 / n)


def test_intervals_hold_the_truth_in_a_few_portfolios():
    assert (repetitions(24) >= least(24)).all()


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    held = repetitions(300)
    print(held)
    assert (held >= least(300)).all()
    # means and differences: not wider than they need to be either
    assert (held[:, [0, 2]] <= 0.95 + 3 * np.sqrt(0.95 * 0.05 / 300)).all()

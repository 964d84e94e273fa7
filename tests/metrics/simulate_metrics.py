"""Do the intervals of metrics cover, and do paired tests keep their level? Loans of customers, two causes, months as times.

Customers have one to three loans whose covariates and a frailty they share. Attrition and default depend on x₁ and x₂ alike;
censoring is independent, and ties with events by month. Predictions: "both" from x₁ + x₂, and two from x₁ and from x₂ alone,
which by symmetry are **equally good**. For concordances half of the loans enter late. Truths are the metrics of one sample of a
million loans, without censoring but for the concordances of Harrell, which depend on it. Bands, stated before looking: 3
Monte-Carlo errors, of the truth's sample too for means.

``python -m tests.metrics.simulate_metrics`` writes ``simulated/*.json``.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import churnsurv as cs
from churnsurv import metrics
from churnsurv.exceptions import ChurnSurvWarning

FOLDER = Path(__file__).with_name("simulated")
CUSTOMERS, MANY = 300, 500_000
CAUSES = ("attrition", "default")
HORIZON, TIMES = 24.0, np.array([6.0, 12.0, 18.0, 24.0, 30.0, 36.0])


class Study(NamedTuple):
    """One data set: risks (n, T) at TIMES by prediction."""

    y: cs.Outcome
    both: np.ndarray
    one: np.ndarray
    two: np.ndarray
    cluster: np.ndarray


def study(rng: np.random.Generator, customers: int, *, entry: bool = False, censored: bool = True) -> Study:
    """Draw loans: 1 to 3 per customer, those that end before they enter left out."""
    cluster = np.repeat(np.arange(customers), rng.integers(1, 4, customers))
    n = len(cluster)
    x = 0.7 * rng.normal(size=(2, customers))[:, cluster] + 0.7 * rng.normal(size=(2, n))
    frailty = rng.gamma(4, 0.25, customers)[cluster]
    leaves = np.ceil(rng.exponential(30 / (frailty * np.exp(0.6 * x.sum(axis=0)))))
    defaults = np.ceil(rng.exponential(80 / np.exp(0.3 * x.sum(axis=0))))
    end = np.ceil(rng.uniform(6, 60, n)) if censored else np.full(n, np.inf)
    start = np.where(rng.random(n) < 0.5, rng.integers(0, 12, n), 0).astype(float) if entry else np.zeros(n)
    first = np.minimum(leaves, defaults)
    stop, event = np.minimum(first, end), np.where(first > end, 0, np.where(leaves <= defaults, 1, 2))
    # predictions of a rough shape, not the truth
    both, one, two = (0.8 * (1 - np.exp(-np.outer(np.exp(0.6 * s), TIMES) / 35)) for s in (x.sum(axis=0), *x))
    kept = stop > start
    y = cs.Outcome(stop[kept], event[kept], start[kept] if entry else None, causes=CAUSES)
    return Study(y, both[kept], one[kept], two[kept], cluster[kept])


def repetitions_of(name: str) -> int:
    """Give the number of data sets; fewer where each costs a smooth curve."""
    return 300 if name.startswith(("calibration", "observed")) else 1_000


AT = int(np.flatnonzero(TIMES == HORIZON)[0])
#: what is estimated, whether with entry, whether its truth has no censoring; each gives one Estimate
Measure = Callable[[Study, dict[str, Any]], Any]
_UNO: dict[str, Any] = {"weighting": "n/G2", "tau": HORIZON}


def _of(name: str) -> Measure:
    return lambda s, o: getattr(metrics.calibration(s.y, s.both[:, AT], HORIZON, bins=1, **o), name)


MEASURES: dict[str, tuple[Measure, bool, bool]] = {
    "Harrell's C, entry": (lambda s, o: metrics.concordance_index(s.y, s.both[:, 0], **o), True, True),
    "Harrell's C, entry, difference": (
        lambda s, o: metrics.concordance_difference(s.y, s.both[:, 0], s.one[:, 0], **o), True, True),
    "Uno's C": (lambda s, o: metrics.concordance_index(s.y, s.both[:, 0], **_UNO, **o), False, False),
    "Uno's C, difference": (
        lambda s, o: metrics.concordance_difference(s.y, s.both[:, 0], s.one[:, 0], **_UNO, **o), False, False),
    "AUC": (lambda s, o: metrics.cumulative_dynamic_auc(s.y, s.both[:, 0], HORIZON, **o), False, False),
    "AUC, difference": (lambda s, o: metrics.auc_difference(s.y, s.both[:, 0], s.one[:, 0], HORIZON, **o), False, False),
    "Brier score": (lambda s, o: metrics.brier_score(s.y, s.both[:, AT], HORIZON, **o), False, False),
    "Brier score, difference": (
        lambda s, o: metrics.brier_difference(s.y, s.both[:, AT], s.one[:, AT], HORIZON, **o), False, False),
    "integrated Brier score": (lambda s, o: metrics.integrated_brier_score(s.y, s.both, TIMES, **o), False, False),
    "integrated Brier score, difference": (
        lambda s, o: metrics.integrated_brier_difference(s.y, s.both, s.one, TIMES, **o), False, False),
    "index of prediction accuracy": (
        lambda s, o: metrics.index_of_prediction_accuracy(s.y, s.both[:, AT], HORIZON, **o), False, False),
    "integrated index of prediction accuracy": (
        lambda s, o: metrics.index_of_prediction_accuracy(s.y, s.both, TIMES, integrated=True, **o), False, False),
    "calibration slope": (_of("slope"), False, False),
    "calibration intercept": (_of("intercept"), False, False),
    "observed / expected": (_of("observed_expected"), False, False),
}  # fmt: skip
#: paired tests of two predictions that are equally good
TESTS: dict[str, tuple[Measure, bool]] = {
    "paired test of Harrell's C, entry": (
        lambda s, o: metrics.concordance_difference(s.y, s.one[:, 0], s.two[:, 0], **o), True),
    "paired test of Uno's C": (
        lambda s, o: metrics.concordance_difference(s.y, s.one[:, 0], s.two[:, 0], **_UNO, **o), False),
    "paired test of the AUC": (lambda s, o: metrics.auc_difference(s.y, s.one[:, 0], s.two[:, 0], HORIZON, **o), False),
    "paired test of the Brier score": (
        lambda s, o: metrics.brier_difference(s.y, s.one[:, AT], s.two[:, AT], HORIZON, **o), False),
    "paired test of the integrated Brier score": (
        lambda s, o: metrics.integrated_brier_difference(s.y, s.one, s.two, TIMES, **o), False),
}  # fmt: skip


def options(s: Study) -> dict[str, Any]:
    """Give the cause and the clusters."""
    return {"cause": "attrition", "cluster": s.cluster}


def simulated(name: str, repetitions: int | None = None) -> list[dict[str, Any]]:
    """Give the rows of a measure (coverage, mean) or of a paired test (type I error)."""
    repetitions = repetitions or repetitions_of(name)
    rng = np.random.default_rng([sorted([*MEASURES, *TESTS]).index(name), 2026])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChurnSurvWarning)
        if name in TESTS:
            test, entry = TESTS[name]
            rejected = 0
            for _ in range(repetitions):
                s = study(rng, CUSTOMERS, entry=entry)
                rejected += test(s, options(s)).p_value < 0.05
            return [_row(name, "type-I error at 5%", 0.05, rejected / repetitions, 0.05 * 0.95, repetitions)]
        measure, entry, observed = MEASURES[name]
        large = study(rng, MANY, entry=entry, censored=observed)
        truth = measure(large, options(large))
        found = []
        for _ in range(repetitions):
            s = study(rng, CUSTOMERS, entry=entry)
            found.append(measure(s, options(s)))
    values = np.array([e.value for e in found])
    covered = np.mean([e.lower <= truth.value <= e.upper for e in found])
    mean = _row(name, "mean of the estimates", truth.value, values.mean(), values.var(ddof=1), repetitions)
    mean["monte_carlo_error"] = float(np.hypot(mean["monte_carlo_error"], truth.se))
    return [_row(name, "coverage of the 95% interval", 0.95, covered, 0.95 * 0.05, repetitions), mean]


def _row(name: str, quantity: str, truth: float, estimate: float, variance: float, repetitions: int) -> dict[str, Any]:
    return {
        "name": f"metric: {name}",
        "quantity": quantity,
        "truth": float(truth),
        "estimate": float(estimate),
        "monte_carlo_error": float(np.sqrt(variance / repetitions)),
        "repetitions": repetitions,
    }


def file_of(name: str) -> Path:
    """Give the file that keeps the rows of a measure or test."""
    return FOLDER / (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".json")


def main(names: list[str]) -> None:
    """Simulate all (or the named) measures and tests and write their rows."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or [*MEASURES, *TESTS]:
        file_of(name).write_text(json.dumps(simulated(name), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

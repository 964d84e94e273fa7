"""Type-I error and power of the tests of arms, by simulation with late entry, monthly ties and competing default.

A test rejects at 5 %. Its type-I error should be 5 %. Its power is compared with that of the limiting distribution: the
noncentral χ² (of MaxCombo the multivariate normal with the same covariance), whose drift is taken from one data set of 1.5
million customers, so that what is checked is that the claimed variance is right where hazards differ too. The band, stated
before looking, is 3 Monte-Carlo errors of both together.

``python -m tests.effects.simulate_tests`` writes ``simulated/tests.csv``; :func:`rows` reads it for pages. The test suite
simulates anew (``pytest -m slow tests/effects/test_simulated_tests.py``).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import chi2, multivariate_normal, ncx2

import churnsurv as cs
from churnsurv.effects import cox_test, gray_test, logrank_test, maxcombo_test
from churnsurv.effects.maxcombo import exceedance
from churnsurv.exceptions import SmallSampleWarning
from churnsurv.kernels.logrank import arm_counts, cluster_influences, fleming_harrington, two_arm_scores

FILE = Path(__file__).with_name("simulated") / "tests.csv"
COLUMNS = ["name", "quantity", "truth", "estimate", "monte_carlo_error", "repetitions"]
LEVEL = 0.05
MANY = 1_500_000
#: customers of one data set before those who left before entry are lost
N = 500
CAUSES = ("attrition", "default")
PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1)]


class Study(NamedTuple):
    """One data set; weights and clusters where the design has them."""

    y: cs.Outcome
    arm: np.ndarray
    stratum: np.ndarray
    weight: np.ndarray
    cluster: np.ndarray


def study(
    rng: np.random.Generator,
    n: int,
    *,
    early: float = 0.0,
    late: float = 0.0,
    arms: int = 2,
    default: float = 0.0,
    confounded: bool = False,
    clustered: bool = False,
) -> Study:
    """Draw customers whose log hazard of attrition differs by `early` (6 months), then `late`, from arm 0 to the last arm.

    `default` is the same for the hazard of default. confounded: the arm depends on a covariate that drives both causes;
    clustered: branches of 10 customers share a frailty and the arm.
    """
    branch = np.arange(n) // 10
    x = rng.normal(size=n)
    chance = 1 / (1 + np.exp(-0.7 * x)) if confounded else np.full(n, 0.5)
    arm = (rng.uniform(size=n) < chance).astype(int) if arms == 2 else rng.integers(0, arms, n)
    weight = np.where(arm == 1, 1 / chance, 1 / (1 - chance)) if confounded else np.ones(n)
    frailty = np.ones(n)
    if clustered:
        arm = rng.integers(0, arms, branch.max() + 1)[branch]
        frailty = rng.gamma(4, 1 / 4, branch.max() + 1)[branch]
    stratum = rng.integers(0, 2, n)
    rate = frailty * (1 + 0.6 * stratum) * (np.exp(0.5 * x) if confounded else 1)
    dose = arm / (arms - 1)
    first, second = np.exp(early * dose), np.exp(late * dose)
    needed = rng.exponential(size=n) / (0.04 * rate)
    leave = np.where(needed < 6 * first, needed / first, 6 + (needed - 6 * first) / second)
    fail = rng.exponential(size=n) / (0.012 * rate * np.exp(default * dose))
    entry = rng.integers(1, 9, n) * rng.integers(0, 2, n)
    until = entry + rng.integers(6, 31, n)
    stop = np.minimum(np.ceil(np.minimum(leave, fail)), until)
    event = np.where(np.minimum(leave, fail) > until, 0, np.where(leave < fail, 1, 2))
    kept = stop > entry
    y = cs.Outcome(stop[kept], event[kept], start=entry[kept], causes=CAUSES)
    return Study(y, arm[kept], stratum[kept], weight[kept], branch[kept])


Test = Callable[[Study], cs.TestResult]


def plain(test: Callable[..., cs.TestResult], stratified: bool = False, **options: Any) -> Test:
    """Give a test of the cause attrition."""
    return lambda s: test(s.y, s.arm, cause="attrition", **({"strata": s.stratum} if stratified else {}), **options)


def adjusted(kind: str, robust: bool = False) -> Test:
    """Give a Cox test adjusted for the stratum as a covariate."""
    return lambda s: cox_test(
        s.y,
        s.arm,
        cause="attrition",
        kind=kind,
        X=pd.DataFrame({"x": s.stratum}),
        cluster=s.y.subject if robust else None,
    )


def weighted(test: Callable[..., cs.TestResult], **options: Any) -> Test:
    """Give a test with inverse-probability weights."""
    return lambda s: test(s.y, s.arm, cause="attrition", sample_weight=s.weight, **options)


def by_branch(test: Callable[..., cs.TestResult], **options: Any) -> Test:
    """Give a test with the variance by branch."""
    return lambda s: test(s.y, s.arm, cause="attrition", cluster=s.cluster, **options)


TWO_ARMS: dict[str, Test] = {
    "log-rank": plain(logrank_test),
    "log-rank, stratified": plain(logrank_test, True),
    "Fleming-Harrington G(1, 0)": plain(logrank_test, rho=1),
    "Fleming-Harrington G(0, 1)": plain(logrank_test, gamma=1),
    "Gehan": plain(logrank_test, weighting="gehan"),
    "Tarone-Ware": plain(logrank_test, weighting="tarone-ware"),
    "Peto-Peto": plain(logrank_test, weighting="peto-peto"),
    "MaxCombo": plain(maxcombo_test),
    "Gray": plain(gray_test),
    "Gray, stratified, rho = 1": plain(gray_test, True, rho=1),
    "Cox likelihood ratio, adjusted": adjusted("likelihood-ratio"),
    "Cox score, adjusted": adjusted("score"),
    "Cox Wald, adjusted": adjusted("wald"),
    "Cox robust score, adjusted": adjusted("score", True),
    "Cox robust Wald, adjusted": adjusted("wald", True),
}
THREE_ARMS: dict[str, Test] = {
    "log-rank, 3 arms": plain(logrank_test),
    "log-rank, 3 arms, trend": plain(logrank_test, True, trend=True),
    "Gray, 3 arms": plain(gray_test),
    "Cox likelihood ratio, 3 arms": plain(cox_test),
}
WEIGHTED: dict[str, Test] = {
    "log-rank, weighted": weighted(logrank_test),
    "Gehan, weighted": weighted(logrank_test, weighting="gehan"),
    "MaxCombo, weighted": weighted(maxcombo_test),
    "Cox robust Wald, weighted": weighted(cox_test, kind="wald"),
}
CLUSTERED: dict[str, Test] = {
    "log-rank, arms by branch": by_branch(logrank_test),
    "Cox robust score, arms by branch": by_branch(cox_test, kind="score"),
}
CROSSING: dict[str, Test] = {"MaxCombo": TWO_ARMS["MaxCombo"], "log-rank": TWO_ARMS["log-rank"]}

#: name → (tests, how data are drawn, what is estimated)
SCENARIOS: dict[str, tuple[dict[str, Test], dict[str, Any], str]] = {
    "two arms, equal": (TWO_ARMS, {}, "type-I error"),
    "two arms, hazard ratio 0.7": (TWO_ARMS, {"early": np.log(0.7), "late": np.log(0.7)}, "power"),
    "the arm doubles default": ({"log-rank": plain(logrank_test)}, {"default": np.log(2)}, "type-I error"),
    "three arms, equal": (THREE_ARMS, {"arms": 3}, "type-I error"),
    "three arms, up to 0.65": (THREE_ARMS, {"arms": 3, "early": np.log(0.65), "late": np.log(0.65)}, "power"),
    "confounded, equal": (WEIGHTED, {"confounded": True}, "type-I error"),
    "confounded, hazard ratio 0.7": (
        WEIGHTED, {"confounded": True, "early": np.log(0.7), "late": np.log(0.7)}, "power",
    ),
    "branches, equal": (CLUSTERED, {"clustered": True}, "type-I error"),
    "branches, hazard ratio 0.7": (CLUSTERED, {"clustered": True, "early": np.log(0.7), "late": np.log(0.7)}, "power"),
    "crossing, 1.5 then 0.5": (CROSSING, {"early": np.log(1.5), "late": np.log(0.5)}, "power"),
}  # fmt: skip


def simulate(scenario: str, repetitions: int, seed: int = 20) -> list[dict[str, Any]]:
    """Give the rows of a scenario: share rejected, what it should be, and the Monte-Carlo error of their difference."""
    tests, options, quantity = SCENARIOS[scenario]
    draw = partial(study, **options)
    rng = np.random.default_rng([seed, list(SCENARIOS).index(scenario)])
    rejected: dict[str, list[bool]] = {name: [] for name in tests}
    truths = dict.fromkeys(tests, (LEVEL, 0.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        if quantity == "power":
            large = draw(rng, MANY)
            truths = {name: limiting_power(name, test, large) for name, test in tests.items()}
        for _ in range(repetitions):
            drawn = draw(rng, N)
            for name, test in tests.items():
                rejected[name].append(test(drawn).p_value < LEVEL)
    found = []
    for name, hits in rejected.items():
        truth, of_truth = truths[name]
        error = float(np.hypot(np.sqrt(truth * (1 - truth) / repetitions), of_truth))
        values = (f"{name}: {scenario}", quantity, truth, float(np.mean(hits)), error, repetitions)
        found.append(dict(zip(COLUMNS, values, strict=True)))
    return found


def limiting_power(name: str, test: Test, large: Study) -> tuple[float, float]:
    """Give the power with N customers from the drift in a data set of MANY, and its Monte-Carlo error."""
    share = N / MANY
    if name.startswith("MaxCombo"):
        z, correlation = joint_drift(large, "weighted" in name)
        critical = brentq(lambda c: exceedance(c, correlation, "two-sided") - LEVEL, 1.9, 2.6, xtol=1e-4)

        def power(scale: float) -> float:
            mean = scale * np.sqrt(share) * z
            return 1 - multivariate_normal.cdf(
                critical - mean, cov=correlation, allow_singular=True, lower_limit=-critical - mean,
                rng=np.random.default_rng(0),
            )  # fmt: skip

        slack = 1 / np.abs(z).max()
        return power(1.0), abs(power(1 + slack) - power(1 - slack)) / 2
    result = test(large)
    drift = max(result.statistic - result.df, 0.0)
    critical = chi2.isf(LEVEL, result.df)
    slack = 2 / np.sqrt(drift)  # of a noncentral χ² with drift λ the standard error is about 2 √λ
    values = [float(ncx2.sf(critical, result.df, drift * share * f)) for f in (1.0, 1 + slack, 1 - slack)]
    return values[0], abs(values[1] - values[2]) / 2


def joint_drift(large: Study, robust: bool) -> tuple[np.ndarray, np.ndarray]:
    """Give the standardised statistics of the default weights and their correlation in a large data set."""
    y, event = large.y, (large.y.event == 1).astype(int)
    weight = large.weight if robust else None
    counts = arm_counts(y.entry, y.stop, event, large.arm, 0 * large.arm, 2, weight)
    time_weights = np.stack([fleming_harrington(counts, *pair) for pair in PAIRS])
    score, covariance = two_arm_scores(counts, time_weights)
    if robust:
        rows = np.arange(len(y))
        u = [cluster_influences(counts, event, large.arm, large.weight, rows, len(y), w)[:, 1] for w in time_weights]
        covariance = np.stack(u) @ np.stack(u).T
    se = np.sqrt(np.diag(covariance))
    return score / se, covariance / np.outer(se, se)


def within(row: dict[str, Any]) -> bool:
    """Say whether an estimate is within 3 Monte-Carlo errors."""
    return bool(abs(row["estimate"] - row["truth"]) <= 3 * row["monte_carlo_error"])


def rows(file: Path = FILE) -> list[dict[str, Any]]:
    """Give the rows of the last written simulation, for a page."""
    return pd.read_csv(file).to_dict("records") if file.exists() else []


def main(repetitions: int = 1000, processes: int = 2) -> None:
    """Simulate all scenarios and write the file."""
    FILE.parent.mkdir(exist_ok=True)
    found: list[dict[str, Any]] = []
    with Pool(processes) as pool:
        for part in pool.imap(partial(simulate, repetitions=repetitions), SCENARIOS, chunksize=1):
            found += part
            pd.DataFrame(found, columns=COLUMNS).round(5).to_csv(FILE, index=False)
            for row in part:
                print(*row.values(), "" if within(row) else "OUTSIDE", flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))

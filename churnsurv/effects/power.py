"""The power of a test by simulation, and the size that reaches a power."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.special import betaincinv, ndtri, stdtr
from tqdm import tqdm

from churnsurv.effects.logrank import logrank_test
from churnsurv.effects.resampling import check_seed, check_workers
from churnsurv.effects.sample_size import critical_value
from churnsurv.effects.trials import Trial, TrialScenario
from churnsurv.estimators.cox import CoxPH
from churnsurv.exceptions import ChurnSurvError, DataError, SmallSampleWarning
from churnsurv.messages import confidence_level, counted, first_of, one_number
from churnsurv.results import Estimate, TestResult

#: below this many clusters in an arm the level of the default test is rough
FEW_CLUSTERS = 5


def simulated_power(
    scenario: TrialScenario,
    n: int,
    *,
    cause: str | None = None,
    test: Callable[[Trial], TestResult | float] | None = None,
    alpha: float = 0.05,
    repetitions: int = 1_000,
    level: float = 0.95,
    random_state: int | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> Estimate:
    """Estimate the power of a test in a scenario: the share of drawn trials in which it rejects.

    Parameters
    ----------
    scenario : TrialScenario
        How customers leave in both arms.
    n : int
        Customers in all.
    cause : str, optional
        Cause tested; default: the first of the scenario.
    test : callable, optional
        Gives the TestResult or the p-value of a :class:`Trial`. Default: the log-rank test of the cause's hazard; with
        clusters the Wald test of a Cox model with cluster-robust variance, made for few clusters: the variance times
        a / (a - 1) with a the clusters of the smaller arm (G / (G - 2) where G are divided evenly), and Student's t with
        G - 2 degrees of freedom. A trial whose test cannot be computed counts as not rejected.
    alpha, repetitions, level : float, int, float
        Level of the test, number of trials, confidence level of the exact (Clopper–Pearson) interval.
    random_state, n_jobs, progress
        Seed, joblib workers and a progress bar; the answer does not depend on the number of workers.

    Raises
    ------
    DataError
        A cause that is not in the scenario; numbers that are none; a default test with an arm of one cluster.

    Warns
    -----
    SmallSampleWarning
        The default test with fewer than 5 clusters in an arm. In simulations without effect it rejects 4 to 5 % at the level
        of 5 % where 6 to 20 clusters are divided evenly, also 5 % with 5 of 20 treated, but 8 % with 3 of 12.

    Examples
    --------
    >>> from churnsurv.effects import TrialScenario, simulated_power
    >>> scenario = TrialScenario({"attrition": 0.02}, {"attrition": 0.5}, follow_up=12)
    >>> power = simulated_power(scenario, 600, repetitions=200, random_state=1)
    >>> power.lower < 0.96 < power.upper
    True
    """
    _check_scenario(scenario)
    cause = next(iter(scenario.hazards)) if cause is None else cause
    if cause not in scenario.hazards:
        raise DataError(f"Cause {cause!r} is not in the scenario; it has {first_of(scenario.hazards)}.")
    _whole(n, "n", 4)
    _whole(repetitions, "repetitions", 1)
    critical_value(alpha, True)
    level = confidence_level(level)
    check_seed(random_state)
    check_workers(n_jobs)
    if test is not None and not callable(test):
        raise DataError(f"test={test!r} is no function: give one that takes a Trial and gives its p-value.")
    if test is None:
        _check_clusters(scenario, int(n))
    p_value = _default_test(scenario, cause) if test is None else test
    seeds = np.random.SeedSequence(random_state).spawn(repetitions)
    made = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_rejects)(scenario, int(n), p_value, alpha, seed) for seed in seeds
    )
    rejected = sum(tqdm(made, total=repetitions, desc="Trials", unit="trial", disable=not progress))
    return _share(rejected, repetitions, level, f"Power of n = {n:,} customers for {cause}", int(n))


def power_curve(scenario: TrialScenario, sizes: Sequence[int], **options: Any) -> pd.DataFrame:
    """Give the power at several sizes: a frame with columns n, power, lower, upper, see :func:`simulated_power`.

    Examples
    --------
    >>> from churnsurv.effects import TrialScenario, power_curve
    >>> scenario = TrialScenario({"attrition": 0.02}, {"attrition": 0.5}, follow_up=12)
    >>> list(power_curve(scenario, [200, 400], repetitions=20, random_state=1).columns)
    ['n', 'power', 'lower', 'upper']
    """
    if isinstance(sizes, str) or np.ndim(sizes) != 1 or not len(sizes):
        raise DataError(f"sizes={sizes!r}: give numbers of customers, such as [1_000, 2_000].")
    return _curve([(int(n), simulated_power(scenario, n, **options)) for n in sizes])


@dataclass(frozen=True)
class SimulatedSize:
    """The size that reaches a power by simulation: n, the power there (Estimate), and all sizes tried (frame)."""

    n: int
    power: Estimate
    tried: pd.DataFrame


def sample_size_by_simulation(
    scenario: TrialScenario,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    first: int = 1_000,
    repetitions: int = 1_000,
    random_state: int | None = None,
    **options: Any,
) -> SimulatedSize:
    """Search the number of customers with which a test reaches its power, for effects no formula covers.

    The non-centrality of the test grows with the root of n: from each size tried the next follows by the ratio of what
    is needed to what was found, on a probit scale, until the power is met within twice its Monte-Carlo error. The size
    given is that of all tried together; the power is estimated once more there. It is at least two clusters in each arm.

    Parameters
    ----------
    scenario : TrialScenario
        How customers leave in both arms.
    power, alpha : float
        To be reached; level of the test.
    first : int
        Size to begin with, such as that of :func:`sample_size`.
    repetitions, random_state, **options
        See :func:`simulated_power`.

    Raises
    ------
    DataError
        The test finds nothing: at a million customers the power is not reached.

    Examples
    --------
    >>> from churnsurv.effects import TrialScenario, sample_size_by_simulation
    >>> scenario = TrialScenario({"attrition": 0.02}, {"attrition": 0.5}, follow_up=12)
    >>> 300 < sample_size_by_simulation(scenario, repetitions=200, first=400, random_state=1).n < 460
    True
    """
    _whole(first, "first", 4)
    _whole(repetitions, "repetitions", 1)
    check_seed(random_state)
    _check_scenario(scenario)
    critical = critical_value(alpha, True)
    if not alpha < one_number(power, "power") < 1:
        raise DataError(f"power={power!r} must lie between alpha and 1.")
    needed = critical + float(ndtri(power))
    error = np.sqrt(power * (1 - power) / repetitions)
    tried: list[tuple[int, Estimate]] = []

    def at(size: int) -> Estimate:
        seed = None if random_state is None else random_state + len(tried)
        found = simulated_power(scenario, size, alpha=alpha, repetitions=repetitions, random_state=seed, **options)
        tried.append((size, found))
        return found

    least = _least_size(scenario) if options.get("test") is None else 4
    size = max(least, first)
    for _ in range(12):
        found = at(size)
        if size == least and found.value > power:
            return SimulatedSize(size, found, _curve(tried))
        if abs(found.value - power) <= 2 * error:
            size = max(least, int(np.ceil(_pooled_size(tried, alpha, needed))))
            return SimulatedSize(size, at(size), _curve(tried))
        step = (needed / max(_noncentrality(found, alpha), needed / np.sqrt(10))) ** 2
        size = max(least, int(np.ceil(size * step)))
        if size > 1_000_000:
            break
    raise DataError(
        f"The power {power:g} is not reached (last: {found.value:.3f} with {tried[-1][0]:,} customers). Is there an effect "
        "on the cause that is tested, within the follow-up? Or give more repetitions."
    )


def _check_scenario(scenario: Any) -> None:
    if not isinstance(scenario, TrialScenario):
        raise DataError(f"scenario is a {type(scenario).__name__}: give a TrialScenario.")


def _whole(value: Any, argument: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(f"{argument}={value!r}: give a whole number of at least {least}.")


def _check_clusters(scenario: TrialScenario, n: int) -> None:
    """Refuse the default test of one cluster in an arm, and warn of few."""
    if scenario.cluster_size == 1:
        return
    units = -(-n // scenario.cluster_size)
    treated = round(units * scenario.share_treated)
    fewest = min(treated, units - treated)
    in_words = (
        f"n={n:,} customers in clusters of {scenario.cluster_size:,} put {counted(fewest, 'cluster')} into an arm"
    )
    if fewest < 2:
        raise DataError(f"{in_words}: no variance between clusters can be estimated there. Give a larger n.")
    if fewest < FEW_CLUSTERS:
        warnings.warn(
            f"{in_words}: with fewer than {FEW_CLUSTERS} the level of the test, and so its power, is rough. Check it with "
            "hazard_ratios={}, or plan for a permutation test of the clusters by test=.",
            SmallSampleWarning,
            stacklevel=3,
        )


def _least_size(scenario: TrialScenario) -> int:
    """Give the least size that the default test can deal with: two clusters in each arm."""
    smaller = min(scenario.share_treated, 1 - scenario.share_treated)
    return 4 if scenario.cluster_size == 1 else int(np.ceil(2 / smaller)) * scenario.cluster_size


def _noncentrality(found: Estimate, alpha: float) -> float:
    """Give the mean of the test's normal statistic that has the power found; half a trial keeps it finite at 0 and 1."""
    half = 0.5 / found.n_events
    return critical_value(alpha, True) + float(ndtri(np.clip(found.value, half, 1 - half)))


def _pooled_size(tried: list[tuple[int, Estimate]], alpha: float, needed: float) -> float:
    """Give the size at which a non-centrality slope · √n, fitted to all sizes tried, is what is needed."""
    root = np.sqrt([float(n) for n, _ in tried])
    found = np.array([_noncentrality(p, alpha) for _, p in tried])
    # weights: the inverse variance of the probit of a share
    share = np.clip([p.value for _, p in tried], 0.02, 0.98)
    weight = np.exp(-(ndtri(share) ** 2)) / (share * (1 - share))
    slope = (weight * root) @ found / ((weight * root) @ root)
    return float((needed / slope) ** 2)


def _curve(points: list[tuple[int, Estimate]]) -> pd.DataFrame:
    rows = [(n, p.value, p.lower, p.upper) for n, p in points]
    return pd.DataFrame(rows, columns=["n", "power", "lower", "upper"])


def _rejects(
    scenario: TrialScenario, n: int, test: Callable[[Trial], TestResult | float], alpha: float, seed: Any
) -> bool:
    try:
        result = test(scenario.draw(n, random_state=np.random.default_rng(seed)))
    except ChurnSurvError:  # no event in the trial, an arm of one customer
        return False
    p_value = result.p_value if isinstance(result, TestResult) else result
    if isinstance(p_value, float | np.floating) and np.isnan(p_value):  # the test could not be computed
        return False
    return one_number(p_value, "the p-value that test= gives") < alpha


def _default_test(scenario: TrialScenario, cause: str) -> Callable[[Trial], TestResult | float]:
    if scenario.cluster_size == 1:
        return _LogRank(cause)
    return _ClusteredCox(cause)


@dataclass(frozen=True)
class _LogRank:
    cause: str

    def __call__(self, trial: Trial) -> TestResult:
        return logrank_test(trial.y, trial.arm, cause=self.cause)


@dataclass(frozen=True)
class _ClusteredCox:
    """Wald test with the sandwich times a / (a - 1), a the clusters of the smaller arm, and t with G - 2 degrees of freedom.

    A cluster's share of the estimate of its arm is 1/a: its residual is too small by the factor 1 - 1/a, as in the test of
    two means, to which this reduces with one number per cluster.
    """

    cause: str

    def __call__(self, trial: Trial) -> float:
        treated = trial.arm == "treated"
        model = CoxPH(cause=self.cause).fit(
            pd.DataFrame({"treated": treated.astype(float)}), trial.y, cluster=trial.cluster
        )
        in_arms = [len(np.unique(trial.cluster[side])) for side in (treated, ~treated)]
        fewest, df = min(in_arms), sum(in_arms) - 2
        variance = float(model.covariance_.to_numpy()[0, 0]) * fewest / (fewest - 1)
        return float(2 * stdtr(df, -abs(float(model.coef_.to_numpy()[0])) / np.sqrt(variance)))


def _share(count: int, total: int, level: float, name: str, n: int) -> Estimate:
    tail = (1 - level) / 2
    lower = float(betaincinv(count, total - count + 1, tail)) if count else 0.0
    upper = float(betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    share = count / total
    se = float(np.sqrt(share * (1 - share) / total))
    method = f"{total:,} simulated trials, exact binomial interval of the simulation's error"
    return Estimate(name, share, se, lower, upper, level, n, total, method)

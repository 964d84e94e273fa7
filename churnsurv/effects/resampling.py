"""The bootstrap of effects: customers drawn again with all their rows, and everything that is estimated, estimated again."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import ndtri
from tqdm import tqdm

from churnsurv.exceptions import ChurnSurvError, DataError, SmallSampleWarning
from churnsurv.messages import counted
from churnsurv.rows import refuse_one_cluster

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = Literal["percentile", "normal"]

#: below this share of resamples with an estimate nothing is said
LEAST_SHARE = 0.5


class Bootstrap(NamedTuple):
    """How often to draw, from which seed, with how many processes; the kind of the intervals and their level."""

    n_resamples: int
    random_state: int | None
    n_jobs: int | None
    progress: bool
    interval: Interval
    level: float

    def words(self) -> str:
        """Say it in a sentence."""
        return f"{self.interval} interval of {self.n_resamples:,} bootstrap resamples by customer"


def check_bootstrap(how: Bootstrap) -> None:
    """Refuse settings that are not known."""
    n = how.n_resamples
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 20:
        raise DataError(f"n_resamples={n!r}: give a whole number of at least 20.")
    if how.interval not in ("percentile", "normal"):
        raise DataError(f"interval={how.interval!r} is not known: use 'percentile' or 'normal'.")
    check_seed(how.random_state)
    check_workers(how.n_jobs)


def check_seed(seed: Any) -> None:
    """Refuse seeds that are no whole number of 0 or more."""
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
        raise DataError(f"random_state={seed!r}: give a whole number of 0 or more, or None.")


def check_workers(n_jobs: Any) -> None:
    """Refuse numbers of processes that joblib does not take."""
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs == 0):
        raise DataError(f"n_jobs={n_jobs!r}: give a number of processes, -1 for all processors, or None.")


def resampled(statistic: Callable[[Ints], Floats], unit: Ints, how: Bootstrap, stacklevel: int = 3) -> Floats:
    """Give the statistic in every resample, (n_resamples, m); rows of NaN where it could not be estimated.

    `statistic` takes how often each row was drawn, (n,), which is the same for all rows of a unit. The result depends on the
    seed, not on the number of processes.
    """
    refuse_one_cluster(unit)
    n_units = int(unit.max()) + 1
    seeds = np.random.SeedSequence(how.random_state).spawn(int(how.n_resamples))

    def one(seed: np.random.SeedSequence) -> Floats | None:
        drawn = np.bincount(np.random.default_rng(seed).integers(0, n_units, n_units), minlength=n_units)
        with warnings.catch_warnings():
            # said once, of the data themselves
            warnings.simplefilter("ignore")
            try:
                return statistic(drawn[unit])
            except (ChurnSurvError, np.linalg.LinAlgError):
                # no event in an arm, no finite estimate: counted below
                return None

    run = Parallel(n_jobs=how.n_jobs, return_as="generator")(delayed(one)(seed) for seed in seeds)
    bar = tqdm(run, total=len(seeds), desc="Resampling", unit="resample", disable=not how.progress, leave=False)
    found: list[Any] = list(bar)
    finite = np.array([each for each in found if each is not None and np.all(np.isfinite(each))])
    lost = len(found) - len(finite)
    if lost:
        what = f"{counted(lost, 'resample')} of {len(found):,} without an estimate (no event in an arm, or too few customers)"
        if len(finite) < LEAST_SHARE * len(found):
            raise DataError(f"{what}: there is no interval. Ask for a longer horizon, or join arms.")
        warnings.warn(f"{what}, left out: the interval may be too narrow.", SmallSampleWarning, stacklevel=stacklevel)
    return finite


def interval_of(value: Floats, found: Floats, how: Bootstrap, log: bool) -> tuple[Floats, Floats, Floats]:
    """Give standard error, lower and upper end for estimates (m,) and their resamples (n_resamples, m).

    With `log` the standard error and the normal interval are those of the logarithm.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.log(found) if log else found
        se = scale.std(axis=0, ddof=1)
    if how.interval == "percentile":
        tail = 50 * (1 - how.level)
        lower, upper = np.percentile(found, [tail, 100 - tail], axis=0)
        return se, lower, upper
    return se, *normal_interval(value, se, how.level, log)


def normal_interval(value: Any, se: Any, level: float, log: bool) -> tuple[Any, Any]:
    """Give value ± z se, with `log` on the scale of the logarithm."""
    half = float(ndtri((1 + level) / 2)) * se
    return (value * np.exp(-half), value * np.exp(half)) if log else (value - half, value + half)

r"""Standard errors of a forest's state probabilities: the infinitesimal jackknife for bagging, bias-corrected.

With N_bi the number of times that the sample of tree b holds subject i, m subjects drawn of n, and t_b the influence of
tree b on a probability (:mod:`churnsurv.kernels.forest_paths`), the variance of the forest over training samples is
estimated by :math:`\sum_i \mathrm{Cov}_b(N_{bi}, t_b)^2` (Efron 2014). The squares are biased upward by the finite number
of trees (Wager, Hastie and Efron 2014). Taking the products of different trees only leaves no such bias,

    V = 1 / (B (B − 1)) Σ_{b ≠ c} t_b t_c K_bc,    K_bc = Σ_i (N_bi − m/n) (N_ci − m/n),

so that a B × B matrix holds all that is needed of the samples, which are drawn again from their seeds. V is a U-statistic: its
Monte-Carlo error s² is estimated by its jackknife over trees, and for V near 0, even below, the mean of N(V, s²) above 0 takes
its place (as the flat prior of Athey, Tibshirani and Wager 2019 in R's grf). To it comes what the B trees themselves leave to
chance, Var_b(t_b) / B.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from churnsurv.curves import Curves
from churnsurv.estimators import forest_fit
from churnsurv.estimators.forest_paths import Pieces, states_in_chunks
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning
from churnsurv.kernels.nonparametric import interval
from churnsurv.kernels.times import steps_until
from churnsurv.messages import confidence_level, counted

if TYPE_CHECKING:
    from churnsurv.estimators.forest_prediction import ForestPrediction

Floats = NDArray[np.float64]

#: numbers in a block of trees' counts of draws, and subjects whose counts are multiplied at once
BLOCK, SUBJECTS = 2**26, 50_000
#: Monte-Carlo error of a variance, as a share of it, above which a warning tells to grow more trees, and the standard error
#: (half a percentage point) below which that does not matter
NOISY, NEGLIGIBLE = 0.5, 0.005
#: fewest trees from which a variance is estimated
LEAST_TREES = 10


def draw_products(n_subjects: int, n_drawn: int, seeds: NDArray[np.int64]) -> Floats:
    """Give K (B, B), the products of the trees' centred counts of draws, with a diagonal of zeros; O(B² n), by blocks."""
    products = np.empty((len(seeds), len(seeds)))
    size = max(1, BLOCK // n_subjects)
    blocks = [slice(at, at + size) for at in range(0, len(seeds), size)]

    def counts(block: slice) -> NDArray[np.float32]:
        drawn = [forest_fit.draw_counts(n_subjects, n_drawn, seed) for seed in seeds[block].tolist()]
        return np.array(drawn, dtype=np.float32)

    for i, block in enumerate(blocks):
        left = counts(block)
        for other in blocks[i:]:
            right = left if other == block else counts(other)
            # single precision holds sums of whole numbers below 2^24
            parts = [
                left[:, at : at + SUBJECTS] @ right[:, at : at + SUBJECTS].T for at in range(0, n_subjects, SUBJECTS)
            ]
            products[block, other] = np.sum(parts, axis=0, dtype=np.float64) - n_drawn**2 / n_subjects
            products[other, block] = products[block, other].T
    np.fill_diagonal(products, 0.0)
    return products


def jackknife_variance(influence: Floats, products: Floats) -> tuple[Floats, Floats]:
    """Give the variance (r,) of probabilities whose trees' influences are given (r, B), and its Monte-Carlo error.

    The variance is that over training samples and seeds, never negative; see the head of this module.
    """
    n_trees = influence.shape[1]
    pairs = influence * (influence @ products) / (n_trees - 1)
    between = pairs.mean(axis=1)
    own = (influence**2).sum(axis=1) / (n_trees - 1)
    # the jackknife over trees counts the pairs' own variance twice
    squares = (products**2).sum() / (n_trees * (n_trees - 1))
    noise = 4 * pairs.var(axis=1, ddof=1) / n_trees - 2 * own**2 * squares / n_trees**2
    error = np.sqrt(np.maximum(noise, own**2 * squares / n_trees**2))
    return _mean_above_zero(between, error) + own / n_trees, error


def _mean_above_zero(value: Floats, error: Floats) -> Floats:
    """Give the mean of the normal distribution N(value, error²) cut off below 0."""
    z = np.divide(value, error, out=np.zeros_like(value), where=error > 0)
    hazard = np.exp(-(z**2) / 2 - np.log(2 * np.pi) / 2 - log_ndtr(z))
    return np.where(error > 0, np.maximum(value + error * hazard, 0.0), np.maximum(value, 0.0))


def with_bounds(forest: ForestPrediction, curves: Curves, pieces: Pieces, level: float, stacklevel: int) -> Curves:
    """Add standard errors and bounds to curves of paths, on the log(−log) scale of staying and 1 − that of leaving."""
    level = confidence_level(level)
    if forest.n_drawn_ is None:
        raise NotIdentifiedError(
            "bootstrap=False: every tree saw all rows, so their differences do not tell how the forest would differ with other "
            "customers. Fit with bootstrap=True for intervals, or predict without level=."
        )
    n_trees = len(forest.seeds_)
    if n_trees < LEAST_TREES:
        raise DataError(
            f"Intervals need at least {LEAST_TREES} trees, better 1,000; this forest has {n_trees}. Fit again with more "
            "(n_estimators), or predict without level=."
        )
    products = draw_products(forest.n_drawn_from_, forest.n_drawn_, forest.seeds_)
    variance, noise = np.empty(curves.probability.shape), np.empty(curves.probability.shape)
    for rows, _, influence in states_in_chunks(forest, pieces, curves.times, influences=True):
        found = jackknife_variance(influence.reshape(-1, n_trees), products)
        variance[rows], noise[rows] = (part.reshape(influence.shape[:3]) for part in found)
    _warn_of_noise(curves, variance, noise, n_trees, stacklevel + 1)
    # before the first event time after its start nothing can have happened to a row
    since = np.minimum.reduceat(pieces.begin, pieces.first[:-1])
    sure = (steps_until(forest.event_times_, curves.times)[None, :] <= since[:, None])[:, None, :]
    # where no neighbour left by a cause (or all did) the trees do not differ, which is no certainty
    unknown = np.isnan(curves.probability) | (curves.probability <= 0) | (curves.probability >= 1)
    se = np.where(sure, 0.0, np.where(unknown, np.nan, np.sqrt(variance)))
    lower, upper = _state_bounds(curves.probability, se, level)
    lower, upper = (np.where(sure, curves.probability, bound) for bound in (lower, upper))
    return replace(curves, lower=lower, upper=upper, level=level, se=se)


def _state_bounds(probability: Floats, se: Floats, level: float) -> tuple[Floats, Floats]:
    with np.errstate(over="ignore"):
        lower, upper = interval(probability[:, :1], se[:, :1], level, "log-log")
        stay_lower, stay_upper = interval(1 - probability[:, 1:], se[:, 1:], level, "log-log")
    return np.concatenate([lower, 1 - stay_upper], axis=1), np.concatenate([upper, 1 - stay_lower], axis=1)


def _warn_of_noise(curves: Curves, variance: Floats, noise: Floats, n_trees: int, stacklevel: int) -> None:
    known = np.isfinite(curves.probability) & (variance > NEGLIGIBLE**2)
    share = np.divide(noise, variance, out=np.zeros_like(noise), where=known)
    rows = np.flatnonzero((share > NOISY).any(axis=(1, 2)))
    if not len(rows):
        return
    # the error falls as 1 / B
    needed = n_trees * float(np.median(share.max(axis=(1, 2))[rows])) / NOISY
    warnings.warn(
        f"The variance of {counted(len(rows), 'row')} has a Monte-Carlo error of more than {NOISY:.0%} of it at some time with "
        f"{counted(n_trees, 'tree')}; these intervals are rough and on average too wide. About {_rounded_up(needed):,} trees "
        "would do.",
        SmallSampleWarning,
        stacklevel=stacklevel,
    )


def _rounded_up(number: float) -> int:
    digit = 10 ** max(0, int(np.floor(np.log10(number))) - 1)
    return int(np.ceil(number / digit) * digit)

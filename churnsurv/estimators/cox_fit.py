"""The fit behind CoxPH: the kernel called, its answer put back on the scale of the covariates."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.estimators.cox_checks import (
    empty_strata,
    refuse_too_few_events,
    refuse_unidentified,
    report_end,
    warn_of_empty_strata,
    warn_of_few_clusters,
)
from churnsurv.estimators.cox_rows import Prepared, Rows, prepared
from churnsurv.kernels.cox import Buckets, MapReduce, ScoreArg, cluster_scores, cumulated, gradient
from churnsurv.kernels.cox_prediction import hazard_uncertainty, squared_death_weight
from churnsurv.kernels.newton import NewtonResult, State, maximise
from churnsurv.rows import refuse_one_cluster

Floats = NDArray[np.float64]


class Fit(NamedTuple):
    """Everything a fitted CoxPH shows."""

    coef: Floats
    naive_covariance: Floats
    covariance: Floats
    is_robust: bool
    log_likelihood: float
    null_log_likelihood: float
    score_statistic: float
    robust_score_statistic: float | None
    center: Floats
    centred_hazard: pd.DataFrame
    hazard_variance: Floats
    hazard_gradient: Floats
    offset_center: float
    first: list[float]
    last: list[float]
    covariance_rank: int
    n_iter: int
    n_events: int


def fit_rows(
    rows: Rows, efron: bool, max_iter: int, tol: float, robust: bool, stacklevel: int, is_sampling: bool = False
) -> Fit:
    """Maximise the partial likelihood and give estimates on the scale of the covariates."""
    data = prepared(rows, efron)
    shard, buckets, factor, scale = data.shard, data.buckets, data.factor, data.scale
    refuse_too_few_events(data.n_events, len(scale))
    names = rows.encoder.terms_
    result = maximise(data.problem, max_iter, tol, lambda matrix, state: refuse_unidentified(matrix, state, names))
    report_end(result, data, names, max_iter, stacklevel + 1)
    warn_of_empty_strata(empty_strata(rows, buckets), stacklevel + 1)
    inverse = np.asarray(np.linalg.inv(result.information), dtype=np.float64)
    is_robust = robust or rows.cluster is not None
    covariance: Floats = inverse / factor
    robust_score, rank = None, len(scale)
    if is_robust:
        cluster = np.asarray(pd.factorize(rows.outcome.subject)[0] if rows.cluster is None else rows.cluster)
        used = shard.weight > 0
        covariance, robust_score, rank = sandwich(
            data.problem.mr, buckets, result, inverse, cluster.astype(np.int64), used
        )
        warn_of_few_clusters(rank, len(scale), stacklevel + 1)
    return as_fit(
        result,
        data,
        Sandwich(covariance, robust_score, rank),
        is_robust,
        rows.strata_labels,
        extreme_times(np.minimum, rows.outcome.start, rows, shard.weight, data.n_strata),
        extreme_times(np.maximum, rows.outcome.stop, rows, shard.weight, data.n_strata),
        is_sampling,
    )


class Sandwich(NamedTuple):
    """Covariance on the scale of the kernel, robust score statistic at β = 0 (None: model-based), rank."""

    covariance: Floats
    score_statistic: float | None
    rank: int


def as_fit(
    result: NewtonResult,
    data: Prepared,
    sandwich: Sandwich,
    is_robust: bool,
    strata_labels: list[Any] | None,
    first: list[float],
    last: list[float],
    is_sampling: bool = False,
) -> Fit:
    """Put what the kernel found back on the scale of the covariates."""
    scale, factor = data.scale, data.factor
    variance, slope = baseline_uncertainty(result.state, data, is_sampling)
    null_score = gradient(result.null.sums, result.null.terms)
    both = np.outer(scale, scale)
    return Fit(
        coef=result.state.beta / scale,
        naive_covariance=np.asarray(np.linalg.inv(result.information), dtype=np.float64) / both / factor,
        covariance=sandwich.covariance / both,
        is_robust=is_robust,
        log_likelihood=unscaled_log_likelihood(result.state, factor),
        null_log_likelihood=unscaled_log_likelihood(result.null, factor),
        score_statistic=factor * float(null_score @ np.linalg.solve(result.null_information, null_score)),
        robust_score_statistic=sandwich.score_statistic,
        center=data.center,
        centred_hazard=baseline(result.state, data.buckets, strata_labels),
        hazard_variance=variance,
        hazard_gradient=slope * scale,
        offset_center=data.offset_center,
        first=first,
        last=last,
        covariance_rank=sandwich.rank,
        n_iter=result.n_iter,
        n_events=data.n_events,
    )


def unscaled_log_likelihood(state: State, factor: float) -> float:
    """Give the log likelihood of weights c w from that of weights w: c l(w) − c log(c) Σ w over the deaths."""
    return factor * (state.log_likelihood - float(np.log(factor)) * float(state.sums.death_weight.sum()))


def sandwich(
    mr: MapReduce,
    buckets: Buckets,
    result: NewtonResult,
    inverse: Floats,
    cluster: NDArray[np.int64],
    used: NDArray[np.bool_],
) -> tuple[Floats, float, int]:
    """Give I⁻¹ (Σ u u') I⁻¹ with score residuals u summed by cluster, the robust score statistic at β = 0, and the rank."""
    n_clusters = int(cluster.max()) + 1
    refuse_one_cluster(cluster[used])

    def scores(state: State) -> Floats:
        arg = ScoreArg(state.beta, state.shift, buckets, state.sums, state.terms, cluster, n_clusters)
        return np.asarray(mr(cluster_scores, arg)[0])

    residual = scores(result.state) @ inverse
    at_null = scores(result.null)
    total = at_null.sum(axis=0)
    statistic = float(total @ np.linalg.lstsq(at_null.T @ at_null, total, rcond=None)[0])
    # residuals sum to zero, so that G clusters span at most G − 1 dimensions
    width = residual.shape[1]
    rank = (
        width if n_clusters > 2 * width + 2 else int(np.linalg.matrix_rank(residual, tol=1e-8 * np.abs(residual).max()))
    )
    return residual.T @ residual, statistic, rank


def baseline(state: State, buckets: Buckets, strata_labels: list[Any] | None) -> pd.DataFrame:
    """Give the cumulative hazard at the centre of the covariates and of the offset: columns stratum, time, hazard."""
    # a stratum whose offset lies e^700 from the others' has a hazard that no double holds: inf is the right answer
    with np.errstate(over="ignore"):
        increments = state.terms.e0 * np.exp(-state.shift[buckets.stratum])
    running = cumulated(increments, buckets.begin)
    after = np.arange(len(increments)) + buckets.stratum + 1
    stratum = buckets.stratum if strata_labels is None else [strata_labels[s] for s in buckets.stratum]
    return pd.DataFrame({"stratum": stratum, "time": buckets.time, "hazard": running[after]})


def baseline_uncertainty(state: State, data: Prepared, is_sampling: bool) -> tuple[Floats, Floats]:
    """Give what the variance of predicted hazards is made of, by step (see :func:`hazard_uncertainty`)."""
    squares = data.problem.mr(squared_death_weight, len(data.buckets.time))[0] if is_sampling else None
    return hazard_uncertainty(state, data.buckets, squares, data.factor)


def extreme_times(extreme: np.ufunc, times: Floats, rows: Rows, weight: Floats, n_strata: int) -> list[float]:
    """Give the smallest or largest time of each stratum, over the rows that count."""
    used = weight > 0
    stratum = np.zeros(len(times), dtype=np.int64) if rows.strata is None else rows.strata
    found = np.full(n_strata, -np.inf if extreme is np.maximum else np.inf)
    extreme.at(found, stratum[used], times[used])
    return [float(t) if np.isfinite(t) else 0.0 for t in found]

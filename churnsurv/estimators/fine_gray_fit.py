"""The fit behind FineGray: rows laid out with their weights, the likelihood maximised, the sandwich."""

from __future__ import annotations

from itertools import pairwise
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
from churnsurv.estimators.cox_fit import unscaled_log_likelihood
from churnsurv.estimators.cox_rows import Prepared, Rows, prepared
from churnsurv.exceptions import NotIdentifiedError
from churnsurv.kernels.cox import ScoreArg, Terms, cluster_scores, gradient
from churnsurv.kernels.fine_gray import (
    Competing,
    add_by_cluster,
    hazard_moments,
    joined,
    lay_competing,
    mean_terms,
    weight_scores,
)
from churnsurv.kernels.newton import State, maximise
from churnsurv.kernels.observation import Spells, Steps, observation_steps
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome
from churnsurv.rows import refuse_one_cluster

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: event times at which the variance of the baseline is kept; between them it is interpolated
KNOTS = 256


class Laid(NamedTuple):
    """Rows as the kernels take them: ``data.problem`` sums over ordinary and competing rows; units of the sandwich."""

    data: Prepared
    competing: Competing
    spells: Spells
    steps: list[Steps]
    cluster: Ints
    n_clusters: int


def laid(
    rows: Rows, efron: bool, after: bool, group: Ints | None, center: Floats | None = None, scale: Floats | None = None
) -> Laid:
    """Lay the rows into buckets, estimate the weights of those that left by a competing cause, and join them."""
    data = prepared(rows, efron, center, scale)
    outcome = rows.outcome
    spells = spells_of(outcome, data.shard.weight, np.zeros(len(outcome), dtype=np.int64) if group is None else group)
    n_groups = int(spells.group.max()) + 1
    steps = [observation_steps(spells.rows(spells.group == g), after) for g in range(n_groups)]
    stratum = np.zeros(len(outcome), dtype=np.int64) if rows.strata is None else rows.strata
    is_competing = (outcome.event > 0) & ~rows.event
    buckets = data.buckets._replace(late=True)
    competing = lay_competing(buckets, data.shard.last.astype(np.int64), stratum, spells, is_competing, steps)
    _refuse_broken(competing, spells, steps, buckets.time)
    problem = data.problem._replace(mr=joined(data.shard, competing), buckets=buckets)
    unit = pd.factorize(outcome.subject)[0] if rows.cluster is None else rows.cluster
    cluster = np.asarray(unit, dtype=np.int64)
    return Laid(
        data._replace(buckets=buckets, problem=problem), competing, spells, steps, cluster, int(cluster.max()) + 1
    )


def spells_of(outcome: Outcome, weight: Floats, group: Ints) -> Spells:
    """Mark where each subject's observation begins, and where it ends without exit; gaps in between are refused."""
    n = len(outcome)
    first, ended = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
    subject = pd.factorize(outcome.subject)[0]
    if subject.max() + 1 < n:
        kept = np.flatnonzero(weight > 0)
        order = kept[np.lexsort((outcome.start[kept], subject[kept]))]
        this, following = order[:-1], order[1:]
        same = subject[this] == subject[following]
        gap = np.flatnonzero(same & (outcome.stop[this] != outcome.start[following]))
        if len(gap):
            row = this[gap[0]]
            raise NotIdentifiedError(
                f"{counted(len(gap), 'gap')} between the rows of a subject (subject {outcome.subject[row]}: nothing between "
                f"{outcome.stop[row]:g} and {outcome.start[following[gap[0]]]:g}): the weights of those that left by "
                "another cause need one uninterrupted observation per subject. Fill the gap, or censor the subject there."
            )
        ended[this[same]] = False
        first[following[same]] = False
    censored = (outcome.event == 0) & ended
    return Spells(outcome.entry, outcome.stop, weight, outcome.event > 0, first, censored, group)


def _refuse_broken(competing: Competing, spells: Spells, steps: list[Steps], times: Floats) -> None:
    """Refuse to weight a row across an age that nobody of its group was watched through."""
    for c, g in enumerate(competing.cell_group):
        last_event = times[competing.bucket[competing.begin[c + 1] - 1]]
        mine = (competing.group == g) & (competing.stratum == competing.cell_stratum[c])
        left = spells.stop[competing.row[mine]]
        across = steps[g].broken[(steps[g].broken >= left.min()) & (steps[g].broken < last_event)]
        if len(across):
            raise NotIdentifiedError(
                f"Nobody was watched through the age of {first_of([f'{t:g}' for t in across])}"
                f"{'' if len(steps) == 1 else ' in a censoring stratum'}: all at risk then were censored, or had just entered, "
                f"so that {counted(int(np.count_nonzero(left <= across[0])), 'row')} that left by another cause before cannot "
                f"be weighted to the events after. Leave out the rows that end by that age, or join censoring strata."
            )


def scores(fit: Laid, state: State, weighted: bool, g: Floats | None = None) -> Floats:
    """Give the influence of each cluster on the score (clusters, p); of Σ g(t) (x − mean) when `g` (B,) is given.

    `weighted`: with the part of the estimated weights (Fine & Gray 1999), else the weights are taken as known.
    """
    data = fit.data
    shard, terms = data.shard, state.terms
    if g is not None:
        terms = Terms(*(g * term for term in terms))
    arg = ScoreArg(state.beta, state.shift, data.buckets, state.sums, terms, fit.cluster, fit.n_clusters)
    (total,) = data.problem.mr(cluster_scores, arg)
    if g is not None:
        # the kernel's x − mean has only the mean times g
        died = np.flatnonzero(shard.death >= 0)
        excess = (shard.weight[died] * (g[shard.death[died]] - 1.0))[:, None] * shard.x[died]
        add_by_cluster(total, fit.cluster[died], excess)
    if weighted and len(fit.competing.row):
        q1 = mean_terms(terms, state.sums.risk[:, 1:], state.sums.dead[:, 1:])
        part = weight_scores(shard, fit.competing, fit.spells, fit.steps, state, data.buckets, terms.e0, q1)
        add_by_cluster(total, fit.cluster, part)
    return np.asarray(total)


def curve_parts(fit: Laid, state: State, dfbeta: Floats, weighted: bool) -> dict[str, Any]:
    """Give what the variance of predicted curves is made of, by event time: arrays over the buckets, O(B p).

    variance: of Λ(t) for known β at the centre, by Λ²; cross (B, p): its covariance with the coefficients, by Λ; slope (B, p):
    the derivative of log Λ(t) by them. With more than 256 event times the first two are interpolated between 256 of them.
    """
    data, buckets = fit.data, fit.data.buckets
    # the variance for independent rows, with which the true one rises
    clock = np.cumsum(state.terms.a)
    knots = _knots(buckets.begin, clock)
    steps = fit.steps if weighted else None
    variance, cross = hazard_moments(
        data.shard, fit.competing, fit.spells, steps, state, buckets, fit.cluster, dfbeta, knots
    )
    increments = mean_terms(state.terms, state.sums.risk[:, 1:], state.sums.dead[:, 1:])
    hazard, slope = np.empty((len(clock), 1)), np.empty_like(increments)
    full_variance, full_cross = np.empty((len(clock), 1)), np.empty_like(increments)
    for b, e in pairwise(buckets.begin):
        hazard[b:e, 0] = np.cumsum(state.terms.e0[b:e])
        slope[b:e] = -np.cumsum(increments[b:e], axis=0)
        mine = (knots >= b) & (knots < e)
        if mine.any():
            full_variance[b:e, 0] = np.interp(clock[b:e], clock[knots[mine]], variance[mine])
            for j in range(slope.shape[1]):
                full_cross[b:e, j] = np.interp(clock[b:e], clock[knots[mine]], cross[mine, j])
    # an event of weight 0 makes no step
    inverse = np.divide(1.0, hazard, out=np.zeros(hazard.shape), where=hazard > 0)
    return {
        "variance": (full_variance * inverse**2)[:, 0],
        "cross": full_cross * inverse / data.scale,
        "slope": slope * inverse * data.scale,
    }


def _knots(begin: NDArray[np.int32], clock: Floats) -> Ints:
    """Give all buckets, or of many some 256: in each stratum its ends, half evenly by number and half evenly by `clock`."""
    size = len(clock)
    if size <= KNOTS:
        return np.arange(size)
    chosen = []
    for b, e in pairwise(begin):
        if e > b:
            half = max(2, KNOTS * (e - b) // size // 2)
            evenly = np.linspace(clock[b], clock[e - 1], half)
            chosen += [np.linspace(b, e - 1, half), b + np.minimum(np.searchsorted(clock[b:e], evenly), e - b - 1)]
    return np.unique(np.concatenate(chosen).astype(np.int64))


class Fit(NamedTuple):
    """Everything a fitted FineGray shows."""

    coef: Floats
    naive_covariance: Floats
    covariance: Floats
    log_likelihood: float
    null_log_likelihood: float
    score_statistic: float
    robust_score_statistic: float
    covariance_rank: int
    curve_parts: dict[str, Any]
    state: State
    n_iter: int


def fit_laid(fit: Laid, rows: Rows, weighted: bool, max_iter: int, tol: float, stacklevel: int) -> Fit:
    """Maximise the weighted partial likelihood and give estimates on the scale of the covariates."""
    data, scale = fit.data, fit.data.scale
    names = rows.encoder.terms_
    refuse_too_few_events(data.n_events, len(scale))
    result = maximise(data.problem, max_iter, tol, lambda matrix, state: refuse_unidentified(matrix, state, names))
    report_end(result, data, names, max_iter, stacklevel + 1)
    warn_of_empty_strata(empty_strata(rows, data.buckets), stacklevel + 1)
    inverse = np.asarray(np.linalg.inv(result.information), dtype=np.float64)
    refuse_one_cluster(fit.cluster[data.shard.weight > 0])
    dfbeta = scores(fit, result.state, weighted) @ inverse
    at_null = scores(fit, result.null, weighted)
    total = at_null.sum(axis=0)
    rank = (
        int(np.linalg.matrix_rank(dfbeta, tol=1e-8 * np.abs(dfbeta).max()))
        if fit.n_clusters <= 2 * len(scale) + 2
        else len(scale)
    )
    warn_of_few_clusters(rank, len(scale), stacklevel + 1)
    null_score = gradient(result.null.sums, result.null.terms)
    both = np.outer(scale, scale)
    return Fit(
        coef=result.state.beta / scale,
        naive_covariance=inverse / both / data.factor,
        covariance=dfbeta.T @ dfbeta / both,
        log_likelihood=unscaled_log_likelihood(result.state, data.factor),
        null_log_likelihood=unscaled_log_likelihood(result.null, data.factor),
        score_statistic=data.factor * float(null_score @ np.linalg.solve(result.null_information, null_score)),
        robust_score_statistic=float(total @ np.linalg.lstsq(at_null.T @ at_null, total, rcond=None)[0]),
        covariance_rank=rank,
        curve_parts=curve_parts(fit, result.state, dfbeta, weighted),
        state=result.state,
        n_iter=result.n_iter,
    )

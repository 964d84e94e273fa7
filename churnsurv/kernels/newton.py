"""Newton's method on Cox's partial likelihood, seeing the data only through a map-reduce over shards."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from churnsurv.kernels.cox import (
    SAFE_ETA,
    Buckets,
    GramArg,
    MapReduce,
    Shard,
    Sums,
    SumsArg,
    Terms,
    bucket_sums,
    cumulated,
    eta_of,
    gradient,
    gram,
    information,
    log_likelihood,
    risk_sums,
)

Floats = NDArray[np.float64]
MOST_HALVINGS = 40
#: the likelihood is taken for monotone when a step that changes η by more than this between two rows …
MONOTONE_STEP = 0.5
#: … gains less than this: near a maximum such a step would need standard errors of thousands
MONOTONE_GAIN = 1e-7


class State(NamedTuple):
    """The likelihood at one β: sums are kept because score residuals and the baseline need them."""

    beta: Floats
    shift: Floats
    log_likelihood: float
    sums: Sums
    terms: Terms


class NewtonResult(NamedTuple):
    """End of the iterations: state and information there, the same at β = 0, and how it ended.

    monotone: columns along which the likelihood still rises without bound (None: a maximum was reached);
    converged: the Newton decrement fell below the tolerance.
    """

    state: State
    information: Floats
    null: State
    null_information: Floats
    n_iter: int
    converged: bool
    monotone: NDArray[np.int64] | None


class Problem(NamedTuple):
    """What is maximised: rows behind `mr`, bucket layout, tie rule; bounds on ‖x‖, |offset| and each column's range."""

    mr: MapReduce
    buckets: Buckets
    efron: bool
    n_columns: int
    norm_bound: float
    offset_bound: float
    ranges: Floats


def evaluate(problem: Problem, beta: Floats) -> State:
    """Compute log likelihood and bucket sums at β (phase 1)."""
    shift = _shift(problem, beta)
    sums = risk_sums(problem.mr(bucket_sums, SumsArg(beta, shift, problem.buckets)), problem.buckets)
    value, terms = log_likelihood(sums, problem.efron)
    return State(beta, shift, value, sums, terms)


def information_at(problem: Problem, state: State) -> Floats:
    """Compute the observed information at a state (phase 2)."""
    hazard = cumulated(state.terms.e0, problem.buckets.begin)
    (total,) = problem.mr(gram, GramArg(state.beta, state.shift, problem.buckets, hazard, state.terms.e1))
    return information(total, state.sums, state.terms)


def _shift(problem: Problem, beta: Floats) -> Floats:
    """Give the η subtracted in each stratum: 0 while exp(η) surely stays representable, else the stratum's mean η."""
    n_strata = len(problem.buckets.begin) - 1
    if problem.norm_bound * float(np.linalg.norm(beta)) + problem.offset_bound < SAFE_ETA:
        return np.zeros(n_strata)
    total, rows = problem.mr(_eta_total, (beta, problem.buckets))
    return np.asarray(total / np.maximum(rows, 1.0))


def _eta_total(shard: Shard, arg: tuple[Floats, Buckets]) -> tuple[Floats, Floats]:
    beta, buckets = arg
    used = (shard.first < shard.last) & (shard.weight > 0)
    stratum = buckets.stratum[shard.last[used] - 1]
    n_strata = len(buckets.begin) - 1
    eta = eta_of(shard, beta)[used]
    return np.bincount(stratum, eta, n_strata).astype(np.float64), np.bincount(stratum, minlength=n_strata).astype(
        np.float64
    )


def maximise(
    problem: Problem, max_iter: int, tol: float, check_null: Callable[[Floats, State], None] = lambda _, __: None
) -> NewtonResult:
    """Climb from β = 0 until the Newton decrement √(g' I⁻¹ g), the step in standard errors, is ≤ `tol`.

    `check_null` sees the information at β = 0 before it is inverted, and may refuse it. Steps are halved until the
    likelihood does not fall.
    """
    state = null = evaluate(problem, np.zeros(problem.n_columns))
    current = null_information = information_at(problem, state)
    check_null(null_information, null)
    for iteration in range(1, max_iter + 1):
        score = gradient(state.sums, state.terms)
        step = _solve(current, score)
        decrement = max(float(score @ step), 0.0) ** 0.5
        if decrement <= tol:
            # the last step, below tol standard errors, is taken; sums and information do not feel it
            final = state._replace(beta=state.beta + step)
            return NewtonResult(final, current, null, null_information, iteration, True, None)
        moved = _halved(problem, state, step)
        if moved is None:
            # no step in this direction gains anything: rounding is all that is left
            return NewtonResult(state, current, null, null_information, iteration, decrement < 1e-5, None)
        gain = moved.log_likelihood - state.log_likelihood
        taken = np.abs(moved.beta - state.beta) * problem.ranges
        state, current = moved, information_at(problem, moved)
        if gain < MONOTONE_GAIN and taken.max() > MONOTONE_STEP:
            monotone = np.flatnonzero(taken > 0.1 * taken.max())
            return NewtonResult(state, current, null, null_information, iteration, False, monotone)
    return NewtonResult(state, current, null, null_information, max_iter, False, None)


def _halved(problem: Problem, state: State, step: Floats) -> State | None:
    slack = 1e-12 * abs(state.log_likelihood)
    for halving in range(MOST_HALVINGS):
        moved = evaluate(problem, state.beta + step / 2**halving)
        if np.isfinite(moved.log_likelihood) and moved.log_likelihood >= state.log_likelihood - slack:
            return moved
    return None


def _solve(matrix: Floats, vector: Floats) -> Floats:
    try:
        return np.asarray(cho_solve(cho_factor(matrix), vector))
    except LinAlgError:
        # nearly flat directions (a likelihood without maximum): a slight ridge keeps the step finite
        ridge = 1e-9 * float(np.trace(matrix)) / len(matrix)
        return np.asarray(np.linalg.lstsq(matrix + ridge * np.eye(len(matrix)), vector, rcond=None)[0])

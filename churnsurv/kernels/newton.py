"""Newton's method on Cox's partial likelihood, seeing the data only through a map-reduce over shards."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

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
#: a column whose information is below this share of the largest is taken to have this much: the step stays finite
FLATTEST = 1e-14
#: the likelihood may be monotone when a step that changes η by more than this between two rows …
MONOTONE_STEP = 0.5
#: … gains less than this: near a maximum such a step would need standard errors of thousands, or a row far out
MONOTONE_GAIN = 1e-7
#: share of its information at β = 0 below which a direction is looked at for an infinite estimate
FLAT = 1e-5


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
    # far from the maximum hazards may overflow: the value is then not finite, which callers look at
    with np.errstate(over="ignore", invalid="ignore"):
        sums = risk_sums(problem.mr(bucket_sums, SumsArg(beta, shift, problem.buckets)), problem.buckets)
        value, terms = log_likelihood(sums, problem.efron)
    return State(beta, shift, value, sums, terms)


def information_at(problem: Problem, state: State) -> Floats:
    """Compute the observed information at a state (phase 2)."""
    hazard = cumulated(state.terms.e0, problem.buckets.begin)
    with np.errstate(over="ignore", invalid="ignore"):
        (total,) = problem.mr(gram, GramArg(state.beta, state.shift, problem.buckets, hazard, state.terms.e1))
        return information(total, state.sums, state.terms)


def _shift(problem: Problem, beta: Floats) -> Floats:
    """Give the η subtracted in each stratum: 0 while exp(η) surely stays representable, else the mean η of its deaths.

    Every denominator holds the hazard of a death; a row far out that stays has no say.
    """
    n_strata = len(problem.buckets.begin) - 1
    if problem.norm_bound * float(np.linalg.norm(beta)) + problem.offset_bound < SAFE_ETA:
        return np.zeros(n_strata)
    total, rows = problem.mr(_eta_total, (beta, problem.buckets))
    return np.asarray(total / np.maximum(rows, 1.0))


def _eta_total(shard: Shard, arg: tuple[Floats, Buckets]) -> tuple[Floats, Floats]:
    beta, buckets = arg
    used = (shard.death >= 0) & (shard.first < shard.last) & (shard.weight > 0)
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
        moved = None if decrement <= tol else _halved(problem, state, step)
        if moved is None:
            # the last step, below tol standard errors, is taken, and sums and information do not feel it; or no step in
            # this direction gains anything, and rounding is all that is left
            final = state._replace(beta=state.beta + step) if decrement <= tol else state
            monotone = _still_rising(problem, state, current, null_information)
            converged = monotone is None and decrement < 1e-5
            return NewtonResult(final, current, null, null_information, iteration, converged, monotone)
        gain = moved.log_likelihood - state.log_likelihood
        taken = np.abs(moved.beta - state.beta) * problem.ranges
        information_there = information_at(problem, moved)
        if not np.isfinite(information_there).all():
            # hazards of rows at risk together differ by more than a double holds: the end of a likelihood without maximum
            flattest = directions(current, null_information)[1][:, :1]
            return NewtonResult(
                state, current, null, null_information, iteration, False, columns_along(flattest, problem.ranges)
            )
        state, current = moved, information_there
        if gain < max(MONOTONE_GAIN, 1e-13 * abs(state.log_likelihood)) and taken.max() > MONOTONE_STEP:
            monotone = _still_rising(problem, state, current, null_information)
            if monotone is not None:
                return NewtonResult(state, current, null, null_information, iteration, False, monotone)
    return NewtonResult(state, current, null, null_information, max_iter, False, None)


def directions(matrix: Floats, null_matrix: Floats) -> tuple[Floats, Floats]:
    """Give the share of the information at β = 0 that is left by direction, ascending, and the directions as columns."""
    # columns that are flat at β = 0 already (under an offset) keep the matrix definite
    floor = max(FLATTEST * float(np.diag(null_matrix).max()), np.finfo(np.float64).tiny)
    values, vectors = eigh(matrix, null_matrix + floor * np.eye(len(matrix)))
    return values, vectors


def columns_along(directions: Floats, ranges: Floats) -> NDArray[np.int64]:
    """Give the columns that take part in a direction: a tenth or more of the largest change of η between two rows."""
    change = np.abs(directions) * ranges[:, None]
    return np.flatnonzero((change > 0.1 * change.max(axis=0)).any(axis=1))


def climb_from(problem: Problem, beta: Floats, max_iter: int, tol: float) -> Floats | None:
    """Give the maximum reached from β, a good guess such as the estimate on other weights; None: none is reached.

    Near the maximum the information hardly changes: it is kept as long as each step shortens the next one tenfold.
    """
    state = evaluate(problem, beta)
    current, before = None, 0.0
    for _ in range(max_iter):
        score = gradient(state.sums, state.terms)
        step = None if current is None else _solve(current, score)
        if step is None or float(score @ step) > 0.01 * before:
            current = information_at(problem, state)
            if not np.isfinite(current).all():
                return None
            step = _solve(current, score)
        before = float(score @ step)
        if before <= tol**2:
            return np.asarray(state.beta + step)
        moved = _halved(problem, state, step)
        if moved is None:
            return None
        taken = np.abs(moved.beta - state.beta) * problem.ranges
        if moved.log_likelihood - state.log_likelihood < MONOTONE_GAIN and taken.max() > MONOTONE_STEP:
            return None
        state = moved
    return None


def _still_rising(problem: Problem, state: State, matrix: Floats, null_matrix: Floats) -> NDArray[np.int64] | None:
    """Give the columns along which the likelihood has no maximum; None: it falls in all directions.

    Where the information has all but vanished since β = 0 the likelihood is evaluated some standard errors further out, on
    both sides: near a maximum it falls there as the information foretells, on the way to infinity it does not.
    """
    values, vectors = directions(matrix, null_matrix)
    flat = np.flatnonzero(values < FLAT)
    rising = [k for k in flat if _rises(problem, state, vectors[:, k], max(float(values[k]), 1e-14))]
    return columns_along(vectors[:, rising], problem.ranges) if rising else None


def _rises(problem: Problem, state: State, direction: Floats, information_along: float) -> bool:
    for sign in (1.0, -1.0):
        distance = np.sqrt(2.0 / information_along)
        for _ in range(MOST_HALVINGS):
            reached = evaluate(problem, state.beta + sign * distance * direction).log_likelihood
            if np.isfinite(reached):
                break
            distance /= 4.0
        foretold = 0.5 * distance**2 * information_along
        if np.isfinite(reached) and state.log_likelihood - reached < 0.01 * foretold:
            return True
    return False


def _halved(problem: Problem, state: State, step: Floats) -> State | None:
    slack = 1e-12 * abs(state.log_likelihood)
    for halving in range(MOST_HALVINGS):
        moved = evaluate(problem, state.beta + step / 2**halving)
        if np.isfinite(moved.log_likelihood) and moved.log_likelihood >= state.log_likelihood - slack:
            return moved
    return None


def _solve(matrix: Floats, vector: Floats) -> Floats:
    # with a unit diagonal columns that have become flat do not drown in the others
    diagonal = np.diag(matrix)
    root = np.sqrt(np.maximum(diagonal, max(FLATTEST * diagonal.max(), np.finfo(np.float64).tiny)))
    scaled = matrix / np.outer(root, root)
    try:
        return np.asarray(cho_solve(cho_factor(scaled), vector / root) / root)
    except LinAlgError:
        # flat combinations of columns (a likelihood without maximum): the step is long there, and finite
        values, vectors = np.linalg.eigh(scaled)
        return np.asarray(vectors @ ((vectors.T @ (vector / root)) / np.maximum(values, 1e-12)) / root)

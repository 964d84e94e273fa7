r"""Firth's penalised partial likelihood: the gradient of :math:`\tfrac12 \log\det I(\beta)` in time linear in the rows.

Heinze and Schemper (2001) maximise :math:`l^* = l + \tfrac12 \log\det I`; its score is
:math:`U^*_r = U_r + \tfrac12 \mathrm{tr}(I^{-1} \partial I / \partial\beta_r)`. I is the sum over deaths of the covariance of
x in the risk set, whose derivative is the third central moment. With Q = I⁻¹, :math:`h = x'Qx` and m the mean of x in the
risk set, a death contributes

.. math:: E[h x_r] - 2 E[x_r x'] Q m - m_r E[h] + 2 m_r\, m'Qm .

The first three terms are sums over rows at risk, so that deaths and rows can change places as in
:mod:`churnsurv.kernels.cox`: with :math:`\Lambda` and :math:`Q_1` the cumulated sums of 1/φ and m/φ over deaths (φ Efron's
denominators), a row needs its increments of both over its time at risk. One pass, O(n p²) as one matrix product x Q, additive
over shards; the last term is a sum over buckets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from churnsurv.kernels.cox import CHUNK, Buckets, Shard, Sums, cumulated, eta_of, gradient
from churnsurv.kernels.newton import Problem, State, evaluate, information_at

Floats = NDArray[np.float64]
MOST_HALVINGS = 30
#: largest change of η between two rows in one step; later steps may double what has been reached
LONGEST_STEP = 5.0


class Penalised(NamedTuple):
    """The penalised likelihood at one β: l* (`value`), U* (`score`), the information I and its inverse."""

    state: State
    value: float
    score: Floats
    information: Floats
    inverse: Floats


class MomentArg(NamedTuple):
    """Argument of :func:`third_moments`."""

    beta: Floats
    shift: Floats
    buckets: Buckets
    hazard: Floats
    e1: Floats
    q1: Floats
    q2: Floats
    inverse: Floats


def third_moments(shard: Shard, arg: MomentArg) -> tuple[Floats]:
    """Sum the rows' part of tr(Q ∂I/∂β), (p,): E[h x] − 2 E[x x'] Q m − m E[h] over deaths."""
    beta, shift, buckets, hazard, e1, q1, q2, inverse = arg
    eta = eta_of(shard, beta)
    out = np.zeros(len(beta))
    for begin in range(0, len(eta), CHUNK):
        rows = slice(begin, begin + CHUNK)
        x = shard.x[rows]
        _add_third_moments(
            x, x @ inverse, eta[rows], shard.first[rows], shard.last[rows], shard.death[rows], shard.weight[rows],
            shift, buckets.stratum, hazard, e1, q1, q2, out,
        )  # fmt: skip
    return (out,)


@njit(cache=True, nogil=True)
def _add_third_moments(  # type: ignore[no-untyped-def]
    x, z, eta, first, last, death, weight, shift, stratum, hazard, e1, q1, q2, out
):
    n, p = x.shape
    mean = np.empty(p)
    for i in range(n):
        if first[i] >= last[i] or weight[i] == 0.0:
            continue
        s = stratum[last[i] - 1]
        r = weight[i] * np.exp(eta[i] - shift[s])
        low, high, k = first[i] + s, last[i] + s, death[i]
        at_risk = hazard[high] - hazard[low]
        if k >= 0:
            at_risk -= e1[k]
        h = g = 0.0
        for j in range(p):
            mean[j] = q1[high, j] - q1[low, j]
            if k >= 0:
                mean[j] -= q2[k, j]
            h += z[i, j] * x[i, j]
            g += z[i, j] * mean[j]
        along = r * (at_risk * h - 2.0 * g)
        for j in range(p):
            out[j] += along * x[i, j] - r * h * mean[j]


def log_determinant_gradient(problem: Problem, state: State, inverse: Floats) -> Floats:
    """Give the gradient of ½ log det I at a state, `inverse` being I⁻¹ there."""
    sums, terms = state.sums, state.terms
    s1, d1 = sums.risk[:, 1:], sums.dead[:, 1:]
    q1 = terms.a[:, None] * s1 - terms.b[:, None] * d1
    q2 = terms.b[:, None] * s1 - terms.c[:, None] * d1
    begin = problem.buckets.begin
    arg = MomentArg(
        state.beta,
        state.shift,
        problem.buckets,
        cumulated(terms.e0, begin),
        terms.e1,
        cumulated(q1, begin),
        q2,
        inverse,
    )
    (rows,) = problem.mr(third_moments, arg)
    return np.asarray(0.5 * rows + _cubed_means(sums, inverse, problem.efron))


def _cubed_means(sums: Sums, inverse: Floats, efron: bool) -> Floats:
    """Sum m · m'Qm over deaths, m = (S1 − f D1)/φ."""
    s1, d1 = sums.risk[:, 1:], sums.dead[:, 1:]
    g = _cubic_terms(sums.risk[:, 0], sums.dead[:, 0], sums.deaths, sums.death_weight, efron)
    ss, sd, dd = (np.einsum("tj,tj->t", a @ inverse, b) for a, b in ((s1, s1), (s1, d1), (d1, d1)))
    of_risk = g[0] * ss - 2 * g[1] * sd + g[2] * dd
    of_dead = g[1] * ss - 2 * g[2] * sd + g[3] * dd
    return np.asarray(of_risk @ s1 - of_dead @ d1)


@njit(cache=True, nogil=True)
def _cubic_terms(s0, d0, deaths, death_weight, efron):  # type: ignore[no-untyped-def]
    """Sum (W/d) f^j / φ³ over the d tied deaths of each bucket, j = 0…3: (4, B)."""
    out = np.zeros((4, len(s0)))
    for k in range(len(s0)):
        d = int(deaths[k])
        for m in range(d):
            f = m / d if efron else 0.0
            den = s0[k] - f * d0[k]
            part = death_weight[k] / d / den / den / den
            for j in range(4):
                out[j, k] += part
                part *= f
    return out


def penalised(problem: Problem, beta: Floats, strength: float) -> Penalised | None:
    """Compute l* and U* at β, the penalty times `strength`; None where the information is singular or not finite."""
    state = evaluate(problem, beta)
    if not np.isfinite(state.log_likelihood):
        return None
    matrix = information_at(problem, state)
    sign, log_det = np.linalg.slogdet(matrix)
    if sign <= 0 or not np.isfinite(log_det):
        return None
    inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    score = gradient(state.sums, state.terms) + strength * log_determinant_gradient(problem, state, inverse)
    return Penalised(state, state.log_likelihood + 0.5 * strength * float(log_det), score, matrix, inverse)


def climb(
    problem: Problem, start: Penalised, free: NDArray[np.int64], strength: float, max_iter: int, tol: float
) -> tuple[Penalised, int, bool]:
    """Maximise l* over the coefficients in `free`, the others as at `start`: the point, the steps, whether it converged.

    Steps are U* against the information, and against its secant updates (BFGS) once l* curves differently: the Hessian of the
    penalty is left out of the information, which alone would make the steps converge slowly where events are few.
    """
    at = start
    if not len(free):
        return at, 0, True
    block = np.ix_(free, free)
    inverse: Floats = np.asarray(np.linalg.inv(at.information[block]), dtype=np.float64)
    for iteration in range(1, max_iter + 1):
        score = at.score[free]
        step = inverse @ score
        decrement = float(score @ step)
        if decrement <= tol**2:
            return at, iteration, True
        longest = max(LONGEST_STEP, float(np.max(np.abs(at.state.beta) * problem.ranges)))
        step *= min(1.0, longest / float(np.max(np.abs(step) * problem.ranges[free])))
        moved = _uphill(problem, at, free, step, strength)
        if moved is None:
            return at, iteration, decrement < 1e-10
        inverse = _secant(inverse, moved.state.beta[free] - at.state.beta[free], score - moved.score[free])
        at = moved
    return at, max_iter, False


def _uphill(
    problem: Problem, at: Penalised, free: NDArray[np.int64], step: Floats, strength: float
) -> Penalised | None:
    slack = 1e-13 * abs(at.value)
    for halving in range(MOST_HALVINGS):
        beta = at.state.beta.copy()
        beta[free] += step / 2**halving
        moved = penalised(problem, beta, strength)
        if moved is not None and moved.value >= at.value - slack:
            return moved
    return None


def _secant(inverse: Floats, moved: Floats, change: Floats) -> Floats:
    """Update an inverse Hessian by one step and the change of the (negative) score along it (BFGS)."""
    curvature = float(moved @ change)
    if curvature <= 1e-12 * float(np.linalg.norm(moved) * np.linalg.norm(change)):
        return inverse
    left = np.eye(len(moved)) - np.outer(moved, change) / curvature
    return np.asarray(left @ inverse @ left.T + np.outer(moved, moved) / curvature)

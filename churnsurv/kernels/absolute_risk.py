r"""Variance of state probabilities made of the hazards of several causes.

With the causes' increments :math:`dΛ_l(u) = r_l\, dΛ_{0l}(u)`, their total :math:`dΛ` and
:math:`F_k(t) = \sum_{u ≤ t} S(u-)\, dΛ_k(u)`,

.. math:: \frac{\partial F_k(t)}{\partial\, dΛ_l(u)} = 1\{l = k\} S(u-) - \frac{F_k(t) - F_k(u)}{1 - dΛ(u)}, \qquad
   \frac{\partial S(t)}{\partial\, dΛ_l(u)} = -\frac{S(t)}{1 - dΛ(u)}

so that a probability's influence is :math:`G' da + h' db`: G the derivatives times :math:`r_l`, da the influences on the
baselines' increments for known β, db those on the coefficients (Cheng, Fine & Wei 1998; Ozenne et al. 2017). With
exponential survival, :math:`S = \exp(-Λ)`, the denominators are 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from churnsurv.kernels.cox import Buckets, Shard
from churnsurv.kernels.newton import State

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Baselines(NamedTuple):
    """Increments of the causes' baselines at the centre, one after the other, N in all.

    cause, step (N,): which cause, and which of the U common steps; hazard (N,); slope (N, p) their derivatives by all p
    coefficients, 0 for other causes'; of_cause (p,) the cause a coefficient belongs to; own: variance of the increments for
    known coefficients, (N,) if uncorrelated, else the matrix (N, N); cross (N, p): covariance with the coefficients;
    coef (p, p).
    """

    cause: Ints
    step: Ints
    hazard: Floats
    slope: Floats
    of_cause: Ints
    own: Floats
    cross: Floats | None
    coef: Floats


def state_variance(
    base: Baselines, probability: Floats, total: Floats, ratio: Floats, away: Floats, since: Ints, until: Ints,
    product: bool = True,
) -> Floats:  # fmt: skip
    """Give the variance of the state probabilities, (n, 1 + K, T).

    Parameters
    ----------
    base
    probability : (n, 1 + K, 1 + U) from time 0 on
    total : (n, U) increments of the hazard of all causes
    ratio : (n, K) hazard ratios to the centre
    away : (n, p) covariates less their centre
    since : (n,) number of steps up to the age from which the row is predicted
    until : (T,) number of steps up to each time
    product : bool
        Survival as the product of 1 − dΛ, else exponential.
    """
    n, n_states, _ = probability.shape
    past = base.step[None, :] < since[:, None]
    inverse = _inverse(base, total, product)
    found = np.zeros((n, n_states, len(until)))
    for state in range(n_states):
        for column, steps in enumerate(until):
            derivative = _derivative(base, probability, inverse, ratio, state, int(steps))
            derivative[past] = 0.0
            found[:, state, column] = _quadratic(base, derivative, away)
    return found


def average_gradient(
    base: Baselines, probability: Floats, total: Floats, ratio: Floats, away: Floats, weight: Floats, state: int,
    until: int,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Give the gradient of Σ w_i P_i(state after `until` steps), on the baselines' increments (N,) and the coefficients (p,).

    Arguments as of :func:`state_variance`; survival is the product. The second holds the way through r and that through the
    baselines. With gradients D, T of two averages their covariance is D' own D + T' coef T + D' cross T + T' cross' D.
    """
    derivative = _derivative(base, probability, _inverse(base, total, True), ratio, state, until)
    on_steps = weight @ derivative
    return on_steps, weight @ (away * _by_cause(base, derivative)) + on_steps @ base.slope


def _inverse(base: Baselines, total: Floats, product: bool) -> Floats:
    """Give 1 / (1 − dΛ) at the step of each increment, (n, N)."""
    inverse = np.ones(total.shape)
    if product:
        # where everybody leaves, nothing happens afterwards
        np.divide(1.0, 1 - total, out=inverse, where=total < 1)
        inverse[total >= 1] = 0.0
    return inverse[:, base.step]


def _derivative(base: Baselines, probability: Floats, inverse: Floats, ratio: Floats, state: int, until: int) -> Floats:
    """Give the derivatives of a state after `until` steps by the baselines' increments, (n, N)."""
    derivative = -probability[:, state, until][:, None] * inverse
    if state:
        of_cause = np.flatnonzero(base.cause == state - 1)
        derivative += probability[:, state, base.step + 1] * inverse
        derivative[:, of_cause] += probability[:, 0, base.step[of_cause]]
    derivative *= ratio[:, base.cause]
    derivative[:, base.step >= until] = 0.0
    return derivative


def _by_cause(base: Baselines, derivative: Floats) -> Floats:
    """Give the derivative by log r of the cause that each coefficient belongs to, (n, p)."""
    hazards = np.where(
        base.cause[:, None] == np.arange(int(base.of_cause.max(initial=-1)) + 1), base.hazard[:, None], 0.0
    )
    return np.asarray((derivative @ hazards)[:, base.of_cause])


def _quadratic(base: Baselines, derivative: Floats, away: Floats) -> Floats:
    through = away * _by_cause(base, derivative) + derivative @ base.slope
    spread = derivative * base.own if base.own.ndim == 1 else derivative @ base.own
    variance = np.einsum("ij,ij->i", spread, derivative) + np.einsum("ij,ij->i", through @ base.coef, through)
    if base.cross is not None:
        variance += 2 * np.einsum("ij,ij->i", derivative @ base.cross, through)
    return np.asarray(np.maximum(variance, 0.0))


def increment_influence(
    shard: Shard, state: State, buckets: Buckets, stratum: int, unit: Ints, begin: int, end: int
) -> Floats:
    r"""Give the influence of the units `begin` ≤ unit < `end` on the increments of a stratum's baseline, (units, B_s).

    A row's influence is :math:`w e E_0 / W - r (A - e B)` at the buckets in which it is at risk, for known coefficients.
    """
    low, high = int(buckets.begin[stratum]), int(buckets.begin[stratum + 1])
    out = np.zeros((end - begin, high - low))
    rows = np.flatnonzero(
        (unit >= begin) & (unit < end) & (shard.first < shard.last) & (shard.first >= low) & (shard.last <= high)
    )
    ratio = shard.weight[rows] * np.exp(shard.x[rows] @ state.beta + shard.offset[rows] - state.shift[stratum])
    terms = state.terms
    jump = np.divide(terms.e0, state.sums.death_weight, out=np.zeros(len(terms.e0)), where=state.sums.death_weight > 0)
    _fill(unit[rows] - begin, shard.first[rows], shard.last[rows], shard.death[rows], shard.weight[rows], ratio,
          terms.a, terms.b, jump, low, out)  # fmt: skip
    return np.asarray(out * np.exp(-state.shift[stratum]))


@njit(cache=True, nogil=True)
def _fill(unit, first, last, death, weight, ratio, a, b, jump, low, out):  # type: ignore[no-untyped-def]
    for i in range(len(unit)):
        row = out[unit[i]]
        for k in range(first[i], last[i]):
            row[k - low] -= ratio[i] * a[k]
        k = death[i]
        if k >= 0:
            row[k - low] += weight[i] * jump[k] + ratio[i] * b[k]

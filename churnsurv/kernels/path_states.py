r"""State probabilities along paths of covariates, and what the increments of the hazards contribute to them.

A path is a chain of pieces; on each its covariates hold. With the increments :math:`dΛ_l(u) = r_l(u)\, dΛ_{0l}(u)` of the
causes along a path, their total dΛ(u) and :math:`F_k(t) = \sum_{u ≤ t} S(u-)\, dΛ_k(u)`,

.. math:: \frac{\partial F_k(t)}{\partial\, dΛ_l(u)} = 1\{l = k\} S(u-) - \frac{F_k(t) - F_k(u)}{1 - dΛ(u)}, \qquad
   \frac{\partial S(t)}{\partial\, dΛ_l(u)} = -\frac{S(t)}{1 - dΛ(u)}, \qquad u ≤ t

(as in :mod:`churnsurv.kernels.absolute_risk`, where covariates stay). With exponential survival and one cause,
:math:`\partial S(t) / \partial\, dΛ(u) = -S(t)`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from churnsurv.kernels.absolute_risk import Baselines

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Layout(NamedTuple):
    """Which of the U common steps lie on n paths, at most J on each: step, piece (row of the pieces), valid, all (n, J)."""

    step: Ints
    piece: Ints
    valid: NDArray[np.bool_]

    def of(self, rows: Ints) -> Layout:
        """Give some of the paths."""
        return Layout(self.step[rows], self.piece[rows], self.valid[rows])


def layout(first: Ints, low: Ints, high: Ints, n_steps: int) -> Layout:
    """Lay out the steps of paths.

    first (n + 1,): where each path begins among its pieces; low, high (pieces,): numbers of the steps up to the begin and
    the end of each piece, so that it holds the steps low ≤ u < high.
    """
    begin, end = low[first[:-1]], high[first[1:] - 1]
    width = max(1, int((end - begin).max(initial=0)))
    step = begin[:, None] + np.arange(width)
    valid = step < end[:, None]
    # of the pieces of a path that begin at or before a step the last one holds it; pieces without steps are passed over
    path = np.repeat(np.arange(len(first) - 1), np.diff(first))
    key = path * (n_steps + 1) + low
    wanted = np.arange(len(begin))[:, None] * (n_steps + 1) + np.minimum(step, n_steps)
    piece = np.searchsorted(key, wanted, side="right") - 1
    return Layout(np.minimum(step, max(n_steps - 1, 0)), piece, valid)


def path_states(increment: Floats, product: bool) -> tuple[Floats, Floats]:
    """Give state probabilities (n, 1 + K, 1 + J), the first before all steps, and the total increments used, (n, J).

    increment (n, K, J). `product`: S = Π (1 − dΛ), an increment above 1 emptying the state, shared by the causes in
    proportion; else S = exp(−Λ) of the one cause.
    """
    n, k, width = increment.shape
    total = increment.sum(axis=1)
    probability = np.zeros((n, 1 + k, 1 + width))
    probability[:, 0, 0] = 1.0
    if not product:
        probability[:, 0, 1:] = np.exp(-np.cumsum(total, axis=1))
        probability[:, 1, 1:] = -np.expm1(-np.cumsum(total, axis=1))
        return probability, total
    excess = total > 1.0
    if excess.any():
        increment = increment / np.where(excess, total, 1.0)[:, None, :]
        total = np.minimum(total, 1.0)
    np.cumprod(1.0 - total, axis=1, out=probability[:, 0, 1:])
    np.cumsum(probability[:, :1, :-1] * increment, axis=2, out=probability[:, 1:, 1:])
    return probability, total


def state_derivatives(probability: Floats, total: Floats, until: Ints, product: bool) -> Floats:
    """Give ∂(state at each time)/∂dΛ_l(u), (n, 1 + K, T, K, J); until (n, T): number of the path's steps up to the times."""
    n_states, width = probability.shape[1], probability.shape[2] - 1
    now = np.take_along_axis(probability, until[:, None, :], axis=2)[..., None]
    reached = (np.arange(width) < until[..., None])[:, None]
    if not product:
        stays = np.where(reached, now[:, :1], 0.0)
        return np.concatenate((-stays, stays), axis=1)[:, :, :, None, :]
    inverse = np.ones(total.shape)
    # where everybody leaves, nothing happens afterwards
    np.divide(1.0, 1 - total, out=inverse, where=total < 1)
    inverse[total >= 1] = 0.0
    common = -now * inverse[:, None, None, :]
    common[:, 1:] += (probability[:, 1:, 1:] * inverse[:, None, :])[:, :, None, :]
    found = np.repeat(np.where(reached, common, 0.0)[:, :, :, None, :], n_states - 1, axis=3)
    before = probability[:, 0, :-1][:, None, :]
    for k in range(1, n_states):
        found[:, k, :, k - 1] += np.where(reached[:, 0], before, 0.0)
    return found


def summed_gradients(
    derivative: Floats, place: Layout, ratio: Floats, away: list[Floats], base: Baselines
) -> tuple[Floats, Floats]:
    """Sum over paths of one stratum: gradients on the baselines' increments (R, N) and on the coefficients (R, p).

    derivative (n, R, K, J) of R quantities by the paths' increments; ratio (n, K, J); away: per cause the covariates of the
    pieces less the centre (pieces, p_l). The second holds the way through r and that through the baseline.
    """
    n, n_rows, n_causes, width = derivative.shape
    n_steps, flat = int(base.step.max(initial=0)) + 1, np.arange(n * width)
    used = place.valid.ravel() & (place.step.ravel() < n_steps)
    on_step = csr_array(
        (used.astype(np.float64), (flat, np.minimum(place.step.ravel(), n_steps - 1))), (n * width, n_steps)
    )
    pieces, rank = np.unique(place.piece, return_inverse=True)
    on_piece = csr_array((used.astype(np.float64), (flat, rank.ravel())), (n * width, len(pieces)))
    increments = np.zeros((n_rows, len(base.step)))
    coefficients = np.zeros((n_rows, len(base.of_cause)))
    for cause in range(n_causes):
        mine = base.cause == cause
        hazard = np.zeros(n_steps)
        hazard[base.step[mine]] = base.hazard[mine]
        through = (derivative[:, :, cause] * ratio[:, None, cause]).transpose(1, 0, 2).reshape(n_rows, n * width)
        increments[:, mine] = (on_step.T @ through.T).T[:, base.step[mine]]
        moved = through * hazard[np.minimum(place.step.ravel(), n_steps - 1)]
        coefficients[:, base.of_cause == cause] = (on_piece.T @ moved.T).T @ away[cause][pieces]
    return increments, coefficients + increments @ base.slope

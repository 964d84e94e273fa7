r"""The distribution of the largest of correlated standard normal variables, also when their correlation is singular.

With correlation :math:`L L'` of rank r, :math:`Z = \rho L \theta` for a direction θ uniform on the sphere and an independent ρ
of the chi distribution with r degrees of freedom, so that :math:`P(\max_j |Z_j| > z) = E\, P(\rho > z / \max_j |l_j' \theta|)`
(Deák 1980; Genz and Bretz 2009, sec. 4.1). The mean over θ is taken at scrambled Sobol points with a fixed seed: the integrand
is a smooth tail probability, which keeps its relative accuracy far out, where one less a rectangle's probability has none.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import gammaincc, ndtri
from scipy.stats import qmc

from churnsurv.kernels.times import Floats

#: log2 of the number of directions: an absolute error of some 1e-5 at p = 0.05, in 5 ms
LOG_POINTS = 15


def largest_exceeds(z: float, correlation: Floats, *, two_sided: bool) -> float:
    """Give P(max |Z_j| > z), or P(max Z_j > z), for Z normal with mean 0 and this correlation (W, W)."""
    values, vectors = np.linalg.eigh(correlation)
    kept = values > 1e-9 * values[-1]
    rank = int(kept.sum())
    projected = _directions(rank) @ (vectors[:, kept] * np.sqrt(values[kept])).T
    if two_sided:
        return _mean_tail(z, np.abs(projected).max(axis=1), rank)
    # θ and −θ are equally likely: both enter, so that the answer does not depend on the signs of the eigenvectors
    both = np.concatenate((projected, -projected))
    if z > 0:
        return _mean_tail(z, both.max(axis=1), rank)
    return 1 - _mean_tail(-z, both.min(axis=1), rank)  # all Z_j ≤ z when all −Z_j, of the same distribution, are ≥ −z


def _mean_tail(z: float, reach: Floats, rank: int) -> float:
    """Give the mean of P(ρ reach > z), which is 0 in directions that do not reach out."""
    positive = reach > 0
    return float(gammaincc(rank / 2, (z / reach[positive]) ** 2 / 2).sum() / len(reach))


@cache
def _directions(rank: int) -> Floats:
    points = ndtri(qmc.Sobol(rank, scramble=True, rng=np.random.default_rng(0)).random_base2(LOG_POINTS))
    return np.asarray(points / np.linalg.norm(points, axis=1)[:, None])

r"""The likelihood of proportional hazards seen in whole periods, maximised without a row per period.

A customer at risk in a cell c (a period of a stratum) leaves in it with probability :math:`1 - \exp(-g_c e^{\eta_i})`,
:math:`g_c = e^{\alpha_c}`, :math:`\eta_i = x_i'\beta` + offset: binary regression with the complementary log-log link (Prentice
& Gloeckler 1978). Of a row that stays through the cells :math:`a \le c < b` and leaves in cell e

.. math:: \ell_i = -e^{\eta_i} \{A(b) - A(a)\} + \log(1 - \exp(-g_e e^{\eta_i})), \qquad A(b) = \sum_{c < b} g_c,

so that sums over periods are differences of cumulated sums, and the work is that of n rows, however long they are. The
likelihood is concave in (α, β). α is free by cell, or :math:`\alpha = B\theta` with few columns in B.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from churnsurv.kernels.newton import FLAT, columns_along, directions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK = 65_536
MOST_HALVINGS = 40


class Rows(NamedTuple):
    """Rows in cells: staying in first … last − 1, leaving in `event` (−1: not); x (n, p), weights above 0."""

    x: Floats
    weight: Floats
    offset: Floats
    first: Ints
    last: Ints
    event: Ints
    n_cells: int

    def part(self, begin: int) -> Rows:
        """Give the chunk of rows from `begin` on."""
        cut = slice(begin, begin + CHUNK)
        first, last, event = self.first[cut], self.last[cut], self.event[cut]
        return Rows(self.x[cut], self.weight[cut], self.offset[cut], first, last, event, self.n_cells)


class Point(NamedTuple):
    """Parameters, the log baseline hazards α (C,) that they give, and the log likelihood."""

    theta: Floats
    beta: Floats
    alpha: Floats
    log_likelihood: float


class Slopes(NamedTuple):
    """Score and observed information in blocks: of θ (without basis its diagonal, (C,)), of both (q, p), of β (p, p)."""

    score_theta: Floats
    score_beta: Floats
    theta: Floats
    both: Floats
    beta: Floats

    def solved(self, right: Floats) -> Floats:
        """Give (block of θ)⁻¹ times `right` (q, …)."""
        if self.theta.ndim == 2:
            return np.asarray(np.linalg.solve(self.theta, right))
        return np.asarray((right.T / self.theta).T)

    def profile(self) -> Floats:
        """Give the information of β with θ estimated: the Schur complement (p, p)."""
        return np.asarray(self.beta - self.both.T @ self.solved(self.both))


class Maximum(NamedTuple):
    """Where the iterations ended; `monotone`: columns along which the likelihood rises without bound."""

    point: Point
    slopes: Slopes
    n_iter: int
    converged: bool
    monotone: Ints | None


def evaluate(rows: Rows, basis: Floats | None, theta: Floats, beta: Floats) -> Point:
    """Compute the log likelihood."""
    alpha = theta if basis is None else basis @ theta
    total = 0.0
    # far from the maximum hazards may overflow: the value is then not finite, which the search looks at
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        hazard = np.exp(alpha)
        cumulated = np.concatenate(([0.0], np.cumsum(hazard)))
        for begin in range(0, len(rows.x), CHUNK):
            part = rows.part(begin)
            ratio = np.exp(part.x @ beta + part.offset)
            leaves = part.event >= 0
            total -= float((part.weight * ratio) @ (cumulated[part.last] - cumulated[part.first]))
            leaving = np.log(-np.expm1(-ratio[leaves] * hazard[part.event[leaves]]))
            total += float(part.weight[leaves] @ leaving)
    return Point(theta, beta, alpha, total)


@np.errstate(over="ignore", invalid="ignore")
def slopes_at(rows: Rows, basis: Floats | None, point: Point) -> Slopes:
    """Compute score and information; not finite where offsets differ by more than exponents of doubles can."""
    size, p = rows.n_cells, rows.x.shape[1]
    hazard = np.exp(point.alpha)
    cumulated = np.concatenate(([0.0], np.cumsum(hazard)))
    at_risk, at_risk_x = np.zeros(size + 1), np.zeros((size + 1, p))
    score, curvature, both = np.zeros(size), np.zeros(size), np.zeros((size, p))
    score_beta, beta = np.zeros(p), np.zeros((p, p))
    for begin in range(0, len(rows.x), CHUNK):
        part = rows.part(begin)
        weighted = part.weight * np.exp(part.x @ point.beta + part.offset)
        staying = weighted * (cumulated[part.last] - cumulated[part.first])
        slope, bend = leaving_slopes(part, weighted, hazard)
        score_beta += part.x.T @ (slope - staying)
        beta += part.x.T @ ((staying + bend)[:, None] * part.x)
        at_risk += np.bincount(part.first, weighted, size + 1) - np.bincount(part.last, weighted, size + 1)
        at_risk_x += (
            _by_cell(part.first, weighted, size + 1) @ part.x - _by_cell(part.last, weighted, size + 1) @ part.x
        )
        leaves = part.event >= 0
        cell = part.event[leaves]
        score += np.bincount(cell, slope[leaves], size)
        curvature += np.bincount(cell, bend[leaves], size)
        both += _by_cell(cell, bend[leaves], size) @ part.x[leaves]
    expected = hazard * np.cumsum(at_risk)[:-1]
    score, curvature = score - expected, curvature + expected
    both += hazard[:, None] * np.cumsum(at_risk_x, axis=0)[:-1]
    if basis is None:
        return Slopes(score, score_beta, curvature, both, beta)
    return Slopes(basis.T @ score, score_beta, basis.T @ (curvature[:, None] * basis), basis.T @ both, beta)


def leaving_slopes(rows: Rows, weighted: Floats, hazard: Floats) -> tuple[Floats, Floats]:
    """Give w φ and −w φ' of the rows that leave, 0 of others: φ = d log(1 − e^{−μ})/dη = μ/(e^μ − 1), φ' = φ (1 − μ − φ)."""
    slope, bend = np.zeros(len(rows.x)), np.zeros(len(rows.x))
    leaves = rows.event >= 0
    weight = rows.weight[leaves]
    mu = weighted[leaves] / weight * hazard[rows.event[leaves]]
    with np.errstate(over="ignore"):
        phi = np.where(mu > 0, mu / np.expm1(np.where(mu > 0, mu, 1.0)), 1.0)
    slope[leaves], bend[leaves] = weight * phi, -weight * phi * (1.0 - mu - phi)
    return slope, bend


def _by_cell(cell: Ints, values: Floats, size: int) -> sparse.csc_matrix:
    """Give the matrix (size, n) that sums rows times `values` by cell."""
    return sparse.csc_matrix((values, cell, np.arange(len(cell) + 1)), shape=(size, len(cell)))


def maximise(
    rows: Rows, basis: Floats | None, theta: Floats, max_iter: int, tol: float, null: Floats | None
) -> Maximum:
    """Climb from (θ, β = 0) by Newton's method until the step is below `tol` standard errors.

    `null` (p, p) is the information of β at β = 0, against which a likelihood without maximum is told; None: not looked for.
    """
    point = evaluate(rows, basis, theta, np.zeros(rows.x.shape[1]))
    for iteration in range(1, max_iter + 1):
        slopes = slopes_at(rows, basis, point)
        if not all(np.isfinite(block).all() for block in slopes):
            return Maximum(point, slopes, iteration, False, None)
        step_theta, step_beta = _step(slopes)
        gain = float(slopes.score_theta @ step_theta + slopes.score_beta @ step_beta)
        decrement = max(gain, 0.0) ** 0.5
        moved = _halved(rows, basis, point, step_theta, step_beta) if decrement > tol else None
        little = moved is not None and moved.log_likelihood - point.log_likelihood < 1e-7
        if null is not None and (moved is None or little):
            monotone = still_rising(rows, basis, point, slopes, null)
            if monotone is not None:
                return Maximum(point, slopes, iteration, False, monotone)
        if moved is None:
            # the last step, or rounding is all that is left
            return Maximum(point, slopes, iteration, decrement < max(tol, 1e-5), None)
        point = moved
    return Maximum(point, slopes_at(rows, basis, point), max_iter, False, None)


def _step(slopes: Slopes) -> tuple[Floats, Floats]:
    right = slopes.score_beta - slopes.both.T @ slopes.solved(slopes.score_theta)
    matrix = slopes.profile()
    root = np.sqrt(np.maximum(np.diag(matrix), np.finfo(np.float64).tiny))
    # columns that have become flat (a likelihood without maximum) take a long step, and a finite one
    values, vectors = np.linalg.eigh(matrix / np.outer(root, root))
    beta = vectors @ ((vectors.T @ (right / root)) / np.maximum(values, 1e-12)) / root
    return slopes.solved(slopes.score_theta - slopes.both @ beta), np.asarray(beta)


def _halved(rows: Rows, basis: Floats | None, point: Point, step_theta: Floats, step_beta: Floats) -> Point | None:
    least = point.log_likelihood - 1e-12 * abs(point.log_likelihood)
    for halving in range(MOST_HALVINGS):
        moved = evaluate(rows, basis, point.theta + step_theta / 2**halving, point.beta + step_beta / 2**halving)
        if np.isfinite(moved.log_likelihood) and moved.log_likelihood >= least:
            return moved
    return None


def still_rising(rows: Rows, basis: Floats | None, point: Point, slopes: Slopes, null: Floats) -> Ints | None:
    """Give the columns along which the likelihood has no maximum; None: it falls in all directions.

    Where the information has all but vanished since β = 0 the likelihood is evaluated a standard error and more further
    out, on both sides: near a maximum it falls there as the information foretells, on the way to infinity it does not.
    """
    if not rows.x.shape[1]:
        return None
    values, vectors = directions(slopes.profile(), null)
    rising = []
    for k in np.flatnonzero(values < FLAT):
        beta = vectors[:, k]
        theta = -slopes.solved(slopes.both @ beta)
        information = max(float(values[k]), 1e-14)
        for sign in (1.0, -1.0):
            distance = np.sqrt(2.0 / information)
            for _ in range(MOST_HALVINGS):
                there = evaluate(
                    rows, basis, point.theta + sign * distance * theta, point.beta + sign * distance * beta
                )
                if np.isfinite(there.log_likelihood):
                    break
                distance /= 4.0
            if point.log_likelihood - there.log_likelihood < 0.005 * distance**2 * information:
                rising.append(k)
                break
    return columns_along(vectors[:, rising], np.ptp(rows.x, axis=0)) if rising else None


def efficient_scores(rows: Rows, point: Point, mean: Floats, unit: Ints, n_units: int) -> Floats:
    """Sum by unit (cluster) the score of β with that of θ taken off, (n_units, p): residuals times x_i − mean_c.

    `mean` (C, p) is the regression of β's score on θ's, by cell.
    """
    hazard = np.exp(point.alpha)
    cumulated = np.concatenate(([0.0], np.cumsum(hazard)))
    cumulated_mean = np.vstack((np.zeros(mean.shape[1]), np.cumsum(hazard[:, None] * mean, axis=0)))
    total = np.zeros((n_units, mean.shape[1]))
    for begin in range(0, len(rows.x), CHUNK):
        part = rows.part(begin)
        weighted = part.weight * np.exp(part.x @ point.beta + part.offset)
        slope, _ = leaving_slopes(part, weighted, hazard)
        staying = weighted * (cumulated[part.last] - cumulated[part.first])
        score = (slope - staying)[:, None] * part.x
        score += weighted[:, None] * (cumulated_mean[part.last] - cumulated_mean[part.first])
        leaves = part.event >= 0
        score[leaves] -= slope[leaves, None] * mean[part.event[leaves]]
        total += _by_cell(unit[begin : begin + CHUNK], np.ones(len(score)), n_units) @ score
    return total

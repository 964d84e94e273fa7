"""Regression of what happened on what was predicted: calibration slope, intercept, and a smooth calibration curve.

The outcome at the horizon is a pseudo-value where it is censored, regressed by least squares on the predicted probability p
with the complementary log-log link, g(p) = log(−log(1 − p)) (Andersen, Klein & Rosthøj 2003; Gerds, Andersen & Kattan 2014),

    E[Y | p] = g⁻¹(b0 + b1 g(p) + …),

which a model that is right meets with b0 = 0, b1 = 1. Variances are sandwiches by subject or cluster.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from churnsurv.kernels.splines import natural_basis, spline_knots
from churnsurv.metrics.inputs import null_risk
from churnsurv.metrics.ipcw import Cohort

Floats = NDArray[np.float64]

#: predictions are read as no closer to 0 and 1 than this: the link is infinite there
_EDGE = 1e-6


class InTheLarge(NamedTuple):
    """Aalen–Johansen estimate of having left, mean prediction, and each row's influence on both (n,)."""

    observed: float
    expected: float
    of_observed: Floats
    of_expected: Floats

    @property
    def ratio(self) -> float:
        """Observed over expected."""
        return self.observed / self.expected

    @property
    def of_ratio(self) -> Floats:
        """Influence on the ratio: who is predicted much leaves more often, so that the two vary together."""
        return np.asarray((self.of_observed - self.ratio * self.of_expected) / self.expected)


def in_the_large(cohort: Cohort, predicted: Floats, pseudo: Floats, t: float) -> InTheLarge:
    """Compare how many left by t with how many were predicted to; `pseudo` (n,): pseudo-values of having left.

    The standard error of the Aalen–Johansen estimate alone would be too large: it is that of customers whose predictions are
    not known, var D, while a customer whose prediction p is right varies by p(1 − p) about it.
    """
    share = cohort.weight / cohort.weight.sum()
    observed = float(null_risk(cohort.y, cohort.weight, cohort.cause, np.array([t]))[0])
    expected = float(share @ predicted)
    return InTheLarge(observed, expected, share * (pseudo - share @ pseudo), share * (predicted - expected))


class LinkFit(NamedTuple):
    """Coefficients (m,) and their sandwich covariance (m, m)."""

    coef: Floats
    covariance: Floats


def link(probability: Floats) -> Floats:
    """Give log(−log(1 − p))."""
    return np.asarray(np.log(-np.log1p(-np.clip(probability, _EDGE, 1 - _EDGE))))


def inverse_link(eta: Floats) -> Floats:
    """Give 1 − exp(−exp(η))."""
    return np.asarray(-np.expm1(-np.exp(np.minimum(eta, 4.0))))


def fit_link(
    outcome: Floats, design: Floats, offset: Floats, weight: Floats, unit: NDArray[np.int64], start: Floats
) -> LinkFit:
    """Fit E[outcome] = g⁻¹(offset + design b) by weighted least squares; unit (n,): codes of independent units."""
    root = np.sqrt(weight)

    def slopes(coef: Floats) -> Floats:
        eta = np.minimum(offset + design @ coef, 4.0)
        return np.asarray(np.exp(eta - np.exp(eta))[:, None] * design)

    found = least_squares(
        lambda coef: root * (outcome - inverse_link(offset + design @ coef)),
        start,
        jac=lambda coef: -root[:, None] * slopes(coef),
        x_scale="jac",
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    coef = np.asarray(found.x)
    slope, residual = slopes(coef), outcome - inverse_link(offset + design @ coef)
    bread = np.linalg.pinv(slope.T @ (weight[:, None] * slope))
    rows = (weight * residual)[:, None] * slope
    score = np.column_stack([np.bincount(unit, column) for column in rows.T])
    units = len(score)
    covariance = bread @ (score.T @ score) @ bread * units / max(units - 1, 1)
    return LinkFit(coef, (covariance + covariance.T) / 2)


class SmoothCurve(NamedTuple):
    """A smooth calibration curve: E[Y | p] with its knots on the scale of the link."""

    fit: LinkFit
    knots: Floats

    def design(self, probability: Floats) -> Floats:
        """Give the spline basis of predicted probabilities."""
        return natural_basis(link(probability), self.knots)

    def at(self, probability: Floats, coef: Floats | None = None) -> Floats:
        """Give the observed probability where `probability` was predicted."""
        return inverse_link(self.design(probability) @ (self.fit.coef if coef is None else coef))

    def bounds(self, probability: Floats, z: float) -> tuple[Floats, Floats]:
        """Give pointwise bounds at z standard errors, on the scale of the link."""
        design = self.design(probability)
        eta, se = design @ self.fit.coef, np.sqrt(np.einsum("ij,jk,ik->i", design, self.fit.covariance, design))
        return inverse_link(eta - z * se), inverse_link(eta + z * se)


def smooth_curve(
    outcome: Floats, predicted: Floats, weight: Floats, unit: NDArray[np.int64], df: int = 4
) -> SmoothCurve:
    """Fit a natural cubic spline in g(p) with `df` knots between the 2nd and 98th percentile of the predictions."""
    eta = link(predicted)
    lower, upper = np.quantile(eta, [0.02, 0.98])
    knots = spline_knots(eta, float(lower), float(upper), df)
    design = natural_basis(eta, knots)
    start = np.zeros(design.shape[1])
    start[0] = link(np.array([np.clip(np.average(outcome, weights=weight), 0.01, 0.99)]))[0]
    if len(knots) > 1:  # begin at the diagonal
        start[0], start[1] = knots[0], knots[-1] - knots[0]
    return SmoothCurve(fit_link(outcome, design, np.zeros(len(outcome)), weight, unit, start), knots)

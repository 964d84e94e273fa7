r"""Cox regression with Firth's penalty: finite estimates under separation, and less bias where events are few.

Maximised is :math:`l^*(\beta) = l(\beta) + \tfrac12 \log\det I(\beta)` (Firth 1993; Heinze and Schemper 2001 for the Cox
model); the kernel is :mod:`churnsurv.kernels.firth`. Under separation l* is far from a parabola, so that Wald's intervals and
tests are wrong: here they are those of the profile of l*, computed at the fit because a fitted model keeps no rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from churnsurv.estimators.cox_checks import empty_strata, refuse_unidentified, warn_of_empty_strata
from churnsurv.estimators.cox_fit import Fit, Sandwich, as_fit, extreme_times
from churnsurv.estimators.cox_rows import Prepared, Rows, prepared
from churnsurv.exceptions import ConvergenceError, DataError, NotIdentifiedError
from churnsurv.kernels.firth import Penalised, climb, penalised
from churnsurv.kernels.newton import NewtonResult, evaluate, information_at
from churnsurv.messages import confidence_level, counted

if TYPE_CHECKING:
    from churnsurv.estimators.cox_inference import CoxInference

Floats = NDArray[np.float64]

#: confidence levels whose intervals are computed at the fit
LEVELS = (0.9, 0.95, 0.99)
#: steps of the search for the end of an interval
MOST_STEPS = 60
#: no finite end lies further out, in η between two rows: e^700 is no double
FARTHEST = 1400.0


def fit_firth(
    rows: Rows, efron: bool, max_iter: int, tol: float, robust: bool, stacklevel: int
) -> tuple[Fit, pd.DataFrame]:
    """Maximise the penalised likelihood; give the fit and the profile, one row per term (see :func:`profile_of`).

    The likelihoods of the fit are penalised ones.
    """
    if robust or rows.cluster is not None:
        raise NotIdentifiedError(
            "Firth's penalty rests on the information of independent rows: with clusters, sampling weights or recurrent events "
            "there is no such likelihood. Fit without them, or without the penalty."
        )
    data, names = prepared(rows, efron), rows.encoder.terms_
    null_state = evaluate(data.problem, np.zeros(len(names)))
    refuse_unidentified(information_at(data.problem, null_state), null_state, names)
    strength = 1.0 / data.factor
    null = penalised(data.problem, np.zeros(len(names)), strength)
    if null is None:
        raise NotIdentifiedError("The information at zero is singular: leave out columns that nearly repeat others.")
    at, n_iter, converged = climb(data.problem, null, np.arange(len(names)), strength, max_iter, tol)
    if not converged:
        raise ConvergenceError(
            f"The penalised likelihood was not maximised in {counted(max_iter, 'iteration')}. Look for outliers in the "
            "covariates, or raise max_iter."
        )
    warn_of_empty_strata(empty_strata(rows, data.buckets), stacklevel + 1)
    result = NewtonResult(at.state, at.information, null.state, null.information, n_iter, True, None)
    fit = as_fit(
        result,
        data,
        Sandwich(at.inverse / data.factor, None, len(names)),
        False,
        rows.strata_labels,
        extreme_times(np.minimum, rows.outcome.start, rows, data.shard.weight, data.n_strata),
        extreme_times(np.maximum, rows.outcome.stop, rows, data.shard.weight, data.n_strata),
    )
    fit = fit._replace(
        log_likelihood=fit.log_likelihood + _half_log_determinant(at, data),
        null_log_likelihood=fit.null_log_likelihood + _half_log_determinant(null, data),
    )
    return fit, profile_of(data, at, names, max_iter)


def _half_log_determinant(at: Penalised, data: Prepared) -> float:
    """Give ½ log det I on the scale of the covariates and weights as they were given."""
    of_kernel = float(np.linalg.slogdet(at.information)[1])
    return 0.5 * (of_kernel + 2 * float(np.log(data.scale).sum()) + len(data.scale) * float(np.log(data.factor)))


def profile_of(data: Prepared, at: Penalised, names: list[str], max_iter: int) -> pd.DataFrame:
    """Give what the profile of l* says of each coefficient.

    Columns: statistic (signed root of the penalised likelihood-ratio statistic that it is zero), p_value, and lower and upper
    at each of :data:`LEVELS`, where twice the fall of l* from its maximum is the quantile of χ² with one degree.
    """
    bounds = np.sqrt(chi2.ppf(LEVELS, 1))
    table = {}
    for j, name in enumerate(names):
        profile = Profile(data, at, j, max_iter)
        statistic = float(np.sign(at.state.beta[j]) * profile.root(0.0)[0])
        row = {"statistic": statistic, "p_value": float(chi2.sf(statistic**2, 1))}
        for sign, end in ((-1.0, "lower"), (1.0, "upper")):
            for level, value in zip(LEVELS, profile.ends(bounds, sign), strict=True):
                row[f"{end}_{level}"] = value / data.scale[j]
        table[name] = row
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("term")


class Profile:
    """The profile of l* in one coefficient θ (standardised): √(2 (l*(β̂) − max l* given θ)), each maximum from the last."""

    def __init__(self, data: Prepared, at: Penalised, j: int, max_iter: int) -> None:
        self._data, self._top, self._j, self._max_iter = data, at, j, max_iter
        self._others = np.flatnonzero(np.arange(len(at.state.beta)) != j)
        self._last = at

    def root(self, theta: float) -> tuple[float, float]:
        """Give the root at θ and its derivative there; infinite where the information is no longer positive."""
        data, strength = self._data, 1.0 / self._data.factor
        beta = self._last.state.beta.copy()
        beta[self._j] = theta
        start = penalised(data.problem, beta, strength)
        if start is None:
            return np.inf, np.nan
        self._last, _, _ = climb(data.problem, start, self._others, strength, self._max_iter, 1e-8)
        value = float(np.sqrt(max(2 * data.factor * (self._top.value - self._last.value), 0.0)))
        return value, -data.factor * float(self._last.score[self._j]) / value if value > 0 else np.nan

    def ends(self, bounds: Floats, sign: float) -> list[float]:
        """Give where the root reaches each of `bounds` (rising), on one side of the estimate; ±inf where it never does."""
        self._last, j = self._top, self._j
        center = float(self._top.state.beta[j])
        se = float(np.sqrt(self._top.inverse[j, j] / self._data.factor))
        out, distance = [], bounds[0] * se
        for bound in bounds:
            distance = self._distance(float(bound), distance, center, sign)
            out.append(center + sign * distance)
            distance = distance if np.isfinite(distance) else 0.0
        return out

    def _distance(self, bound: float, guess: float, center: float, sign: float) -> float:
        """Solve root(center ± d) = bound for d by Newton's method between brackets."""
        inner, outer, distance = 0.0, np.inf, guess
        for _ in range(MOST_STEPS):
            value, slope = self.root(center + sign * distance)
            if abs(value - bound) < 1e-9 * bound:
                return distance
            if value < bound:
                inner = distance
            else:
                outer = distance
            proposed = (
                distance + (bound - value) / (sign * slope) if np.isfinite(slope) and sign * slope > 0 else np.nan
            )
            farthest = 3 * distance if np.isinf(outer) else outer
            distance = proposed if inner < proposed < farthest else min(0.5 * (inner + outer), 2 * distance)
            if distance * self._data.problem.ranges[self._j] > FARTHEST:
                return np.inf
            if np.isfinite(outer) and outer - inner <= 1e-14 * outer:
                return distance
        return distance


def firth_summary(model: CoxInference, profile: pd.DataFrame, level: float) -> pd.DataFrame:
    """Give the summary of a Firth fit, its tests and intervals those of the profile penalised likelihood."""
    wanted = confidence_level(level)
    known = [known for known in LEVELS if abs(known - wanted) < 1e-12]
    if not known:
        raise DataError(
            f"A Firth fit computes its intervals at the fit, at the levels {', '.join(map(str, LEVELS))}; level={level:g} "
            "needs the rows, which a fitted model does not keep."
        )
    lower, upper = profile[f"lower_{known[0]}"], profile[f"upper_{known[0]}"]
    with np.errstate(over="ignore"):
        return pd.DataFrame(
            {
                "coef": model.coef_,
                "se": np.sqrt(np.diag(model.covariance_)),
                "statistic": profile["statistic"],
                "p_value": 2 * norm.sf(np.abs(profile["statistic"])),
                "hazard_ratio": np.exp(model.coef_),
                "hr_lower": np.exp(lower),
                "hr_upper": np.exp(upper),
            }
        )

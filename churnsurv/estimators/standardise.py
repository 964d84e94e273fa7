"""Standardisation: what a Cox model predicts for a whole portfolio, had every customer been given the same."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import check_size
from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_curves import placed_rows
from churnsurv.estimators.cox_forecasts import CoxForecasts
from churnsurv.estimators.cox_lifetimes import refuse_incomplete
from churnsurv.estimators.cox_variance import Baseline, baseline_of
from churnsurv.estimators.inputs import (
    RowArgument,
    codes_argument,
    requested_start,
    requested_times,
    weights_argument,
)
from churnsurv.exceptions import DataError, NotIdentifiedError, SupportWarning
from churnsurv.kernels.cox_prediction import average_derivatives, joint_covariance, survival_bounds
from churnsurv.kernels.times import slack
from churnsurv.messages import confidence_level, counted, first_of
from churnsurv.rows import refuse_one_cluster

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class StandardisedCurves:
    """Average probabilities of staying under each setting, with their joint covariance.

    Parameters
    ----------
    settings : tuple of str
        The G settings.
    times : (T,)
    estimate : (G, T)
        Average probability of still being a customer.
    covariance : (T, G, G)
        Covariance of the settings' averages at each time.
    level : float
        Confidence level of intervals.
    n, n_events : int
        Rows averaged over; events of the fit.
    method : str
        What the variance holds, in words.
    """

    settings: tuple[str, ...]
    times: Floats
    estimate: Floats
    covariance: Floats
    level: float
    n: int
    n_events: int
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Give columns setting, time, estimate, se, lower, upper; intervals are symmetric for log(−log S)."""
        se = np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2)).T
        with np.errstate(divide="ignore", invalid="ignore"):
            hazard, hazard_se = -np.log(self.estimate), se / self.estimate
        lower, upper = survival_bounds(hazard, hazard_se, self.level, "log-log")
        frame = {
            "setting": np.repeat(np.array(self.settings, dtype=object), len(self.times)),
            "time": np.tile(self.times, len(self.settings)),
        }
        values = {"estimate": self.estimate, "se": se, "lower": lower, "upper": upper}
        return pd.DataFrame(frame | {name: value.ravel() for name, value in values.items()})

    def contrast(
        self,
        setting: str,
        reference: str,
        *,
        kind: Literal["difference", "ratio"] = "difference",
        of: Literal["leaving", "staying"] = "leaving",
    ) -> pd.DataFrame:
        """Compare two settings at each time: columns time, estimate, se, lower, upper.

        The difference setting − reference of the average probabilities of leaving (or staying), or their ratio, whose
        standard error is that of its logarithm. Both averages rest on the same fit: their covariance enters.
        """
        if kind not in ("difference", "ratio") or of not in ("leaving", "staying"):
            raise DataError(f"kind={kind!r}, of={of!r}: use 'difference' or 'ratio', of 'leaving' or 'staying'.")
        a, b = self._position(setting), self._position(reference)
        value = self.estimate if of == "staying" else 1 - self.estimate
        z = float(ndtri((1 + self.level) / 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            scale_a, scale_b = (1 / value[a], 1 / value[b]) if kind == "ratio" else (1.0, 1.0)
            cov = self.covariance
            variance = scale_a**2 * cov[:, a, a] - 2 * scale_a * scale_b * cov[:, a, b] + scale_b**2 * cov[:, b, b]
            se = np.sqrt(np.maximum(variance, 0.0))
            if kind == "difference":
                estimate = value[a] - value[b]
                lower, upper = estimate - z * se, estimate + z * se
            else:
                estimate = value[a] / value[b]
                lower, upper = estimate * np.exp(-z * se), estimate * np.exp(z * se)
        return pd.DataFrame({"time": self.times, "estimate": estimate, "se": se, "lower": lower, "upper": upper})

    def _position(self, setting: str) -> int:
        if setting not in self.settings:
            raise DataError(f"There is no setting {setting!r}; there are {first_of(self.settings, 12)}.")
        return self.settings.index(setting)

    def __repr__(self) -> str:
        return (
            f"StandardisedCurves of {first_of(self.settings, 12)} at {counted(len(self.times), 'time')}, averaged over "
            f"{counted(self.n, 'row')} ({self.method})"
        )


def standardised_curves(
    model: CoxForecasts,
    X: pd.DataFrame | ArrayLike,
    times: ArrayLike,
    *,
    values: Mapping[str, Mapping[str, Any]] | None = None,
    start: ArrayLike | None = None,
    strata: RowArgument = None,
    offset: RowArgument = None,
    sample_weight: RowArgument = None,
    population: Literal["fixed", "sample"] = "fixed",
    cluster: RowArgument = None,
    level: float = 0.95,
) -> StandardisedCurves:
    r"""Average a Cox model's survival over customers, as they are or with covariates set (g-formula).

    :math:`\bar S_a(t) = \sum_i w_i S(t | x_i, \text{set to } a) / \sum_i w_i`. A contrast of settings is the effect of setting
    the covariates if, given the other covariates of the model, who had which value was as good as random, every customer
    could have had either, and the model is right (Robins 1986; Hernán and Robins 2020, chapter 13).

    Parameters
    ----------
    model : fitted CoxPH
        Of an outcome with one cause, not recurrent.
    X : frame or array
        The customers to average over.
    times : array
        Times of interest; NaN (with a warning) past the follow-up of any row.
    values : mapping, optional
        Settings by name, each a mapping from columns of X to the value that everyone gets (or n values), such as
        ``{"offer": {"arm": 1}, "no offer": {"arm": 0}}``. Default: one setting, "as observed".
    start, strata, offset
        As in :meth:`CoxPH.predict_curves`.
    sample_weight : array of n or column of X, optional
        How many customers a row stands for.
    population : {"fixed", "sample"}
        "fixed": the rows of X are the customers meant. "sample": they are a sample of them, and the variance of the mean over
        rows (over clusters, if `cluster` is given) is added; at the true model it is uncorrelated with the errors of the fit.
    cluster : array of n or column of X, optional
        Rows that belong together, for ``population="sample"``.
    level : float

    Returns
    -------
    StandardisedCurves
        The variance is the delta method's: the derivatives of the average in every increment of the baseline and in the
        coefficients, with the model's covariance of these (robust if the fit is).

    Raises
    ------
    NotIdentifiedError
        The model is of one cause among several, or of recurrent events.
    DataError
        A setting of a column that the model does not use; rows with missing covariates.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"offer": [0, 1, 0, 1, 0, 1, 0, 1], "rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.4, 0.8]})
    >>> model = cs.CoxPH().fit(X, cs.Outcome([9, 12, 5, 4, 6, 5, 7, 3], [1, 1, 1, 1, 0, 1, 1, 1]))
    >>> average = cs.standardised_curves(model, X, [4, 8], values={"offer": {"offer": 1}, "none": {"offer": 0}})
    >>> average.contrast("offer", "none").columns.tolist()
    ['time', 'estimate', 'se', 'lower', 'upper']
    """
    _refuse_others(model)
    check_is_fitted(model)
    frame = feature_frame(X, model.feature_names_in_)
    settings = _settings(model, frame, values)
    if cluster is not None and population == "fixed":
        raise DataError(
            "cluster is for population='sample': the rows of a fixed population have no variance of their own."
        )
    if population not in ("fixed", "sample"):
        raise DataError(f"population={population!r} is not known: use 'fixed' or 'sample'.")
    level, grid = confidence_level(level), requested_times(times, model.event_times_)
    given = weights_argument(sample_weight, frame)
    weight = np.full(len(frame), 1 / len(frame)) if given is None else given / given.sum()
    baseline = baseline_of(model)
    sampled = population == "sample"
    averages = [
        _average(model, frame.assign(**of), grid, weight, baseline, start, strata, offset, sampled)
        for of in settings.values()
    ]
    estimate = np.stack([a.estimate for a in averages])
    covariance = np.stack(
        [
            joint_covariance(
                np.stack([a.by_step[t] for a in averages]), np.stack([a.by_coef[t] for a in averages]),
                baseline.steps, baseline.begin[:-1],
            )
            for t in range(len(grid))
        ]
    )  # fmt: skip
    method = "variance of the fit" + (", robust" if getattr(model, "is_robust_", False) else "")
    if sampled:
        method += ", and of the mean over a sample of customers"
        groups = codes_argument(cluster, frame, "cluster")
        values_by_row = np.stack([a.weighted for a in averages])
        covariance = covariance + sampling_covariance(values_by_row, estimate, weight, groups and groups[0])
    last = min(a.last for a in averages)
    beyond = grid > last + slack(model.event_times_)
    if beyond.any():
        warnings.warn(
            f"Time {grid[beyond][0]:g} is past the last time known ({last:g}) of some customers: no average there (NaN).",
            SupportWarning,
            stacklevel=2,
        )
        estimate[:, beyond], covariance[beyond] = np.nan, np.nan
    return StandardisedCurves(tuple(settings), grid, estimate, covariance, level, len(frame), model.n_events_, method)


class _Average(NamedTuple):
    """Average survival under one setting at T times, its derivatives, the rows' weighted survival, the end of support."""

    estimate: Floats
    by_step: list[Floats]
    by_coef: list[Floats]
    weighted: Floats
    last: float


def _average(
    model: CoxForecasts,
    frame: pd.DataFrame,
    grid: Floats,
    weight: Floats,
    baseline: Baseline,
    start: ArrayLike | None,
    strata: RowArgument,
    offset: RowArgument,
    keep_rows: bool,
) -> _Average:
    rows = placed_rows(model, frame, strata, offset)
    missing = np.flatnonzero(np.isnan(rows.ratio) & (weight > 0))
    if len(missing):
        raise DataError(
            f"{counted(len(missing), 'row')} to average over lack a covariate ({first_of(rows.labels[missing])}): an average "
            "over the others would be of other customers. Impute the values, or leave these rows out on purpose."
        )
    n, used = len(weight), weight > 0
    check_size(n, 1, len(grid) if keep_rows else 1, asked=True)
    origin = requested_start(start, n, np.asarray(model.first_)[rows.stratum])
    low = baseline.begin[rows.stratum] if start is None else baseline.rows_at(rows.stratum, origin)
    u = rows.z @ baseline.root
    ratio, u[~used] = np.where(used, rows.ratio, 1.0), 0.0
    estimate, by_step, by_coef = np.empty(len(grid)), [], []
    weighted = np.empty((n if keep_rows else 0, len(grid)))
    for t, time in enumerate(grid):
        at = np.maximum(baseline.rows_at(rows.stratum, np.full(n, time)), low)
        value = weight * np.exp(-ratio * (baseline.steps.hazard[at] - baseline.steps.hazard[low]))
        estimate[t] = value.sum()
        steps, coefficients = average_derivatives(value, ratio, u, low, at, baseline.steps)
        by_step.append(steps)
        by_coef.append(coefficients)
        if keep_rows:
            weighted[:, t] = value
    return _Average(estimate, by_step, by_coef, weighted, float(np.asarray(model.last_)[rows.stratum][used].min()))


def sampling_covariance(
    weighted: Floats, estimate: Floats, weight: Floats, cluster: NDArray[np.int64] | None
) -> Floats:
    """Give the covariance (T, G, G) of weighted means over rows or clusters of them: Σ_c (Σ_i w_i (S_i − S̄))², n/(n − 1)."""
    error = weighted - weight[None, :, None] * estimate[:, None, :]
    if cluster is not None:
        refuse_one_cluster(cluster)
        order = np.argsort(cluster, kind="stable")
        error = np.add.reduceat(error[:, order], np.flatnonzero(np.diff(cluster[order], prepend=-1)), axis=1)
    count = error.shape[1] if cluster is not None else int(np.count_nonzero(weight))
    if count < 2:
        raise DataError("A sample of one customer has no variance: pass more rows, or population='fixed'.")
    return np.asarray(np.einsum("ant,bnt->tab", error, error) * count / (count - 1))


def _refuse_others(model: Any) -> None:
    if hasattr(model, "models_"):
        raise NotIdentifiedError(
            "Standardised curves are of a Cox model of one cause. For several causes average the incidences of "
            "CauseSpecificCox.predict_curves(X with the column set).at(times) over rows; effects.standardised_effect gives the "
            "effect of an arm on them with its interval."
        )
    if not isinstance(model, CoxForecasts):
        raise DataError(f"{type(model).__name__} is no Cox model: standardised_curves takes a fitted CoxPH.")
    check_is_fitted(model)
    refuse_incomplete(model, "average probabilities of staying")


def _settings(
    model: CoxForecasts, frame: pd.DataFrame, values: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, dict[str, Any]]:
    """Read the settings; refuse columns that are absent, or that no prediction depends on."""
    if values is None:
        return {"as observed": {}}
    if not isinstance(values, Mapping) or not all(isinstance(of, Mapping) for of in values.values()):
        raise DataError(f"values is {values!r}: name settings by what they set, such as {{'offer': {{'arm': 1}}}}.")
    if not values:
        raise DataError("values is empty: name at least one setting, such as {'offer': {'arm': 1}}, or leave it out.")
    settings = {str(name): dict(of) for name, of in values.items()}
    if len(settings) < len(values):
        raise DataError(f"Names of settings must differ as text: {first_of(map(repr, values), 12)}.")
    known = {c for name in ("strata", "offset") for c in model.argument_columns_.get(name, [])}
    entering = {*model.encoder_.columns_, *known}
    for name, of in settings.items():
        for column, value in of.items():
            if column not in frame.columns or column not in entering:
                raise DataError(
                    f"Setting {name!r} sets the column {column!r}, which does not enter the model; the model uses "
                    f"{first_of(sorted(entering), 12)}."
                )
            # by position, as every argument with a value per row
            of[column] = value.to_numpy() if isinstance(value, pd.Series) else value
            if np.ndim(of[column]) > 0 and len(of[column]) != len(frame):
                raise DataError(
                    f"Setting {name!r} gives {len(of[column]):,} values of {column!r} for {counted(len(frame), 'row')}: give "
                    "one value, or one per row."
                )
    return settings

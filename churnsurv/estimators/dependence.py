"""Partial dependence: the average risk of customers had all of them the same value of a column, over its values."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline

from churnsurv.data.features import feature_frame, is_categorical, levels_of
from churnsurv.estimators.cox_forecasts import CoxForecasts
from churnsurv.estimators.inputs import RowArgument, weights_argument
from churnsurv.estimators.predict import predict_curves
from churnsurv.estimators.standardise import standardised_curves
from churnsurv.exceptions import DataError, SupportWarning
from churnsurv.messages import confidence_level, counted, first_of, numeric_column, one_number

Floats = NDArray[np.float64]

#: quantiles between which the default grid lies, and those of the band where a model gives no interval
INNER, SPREAD = (0.02, 0.98), (0.1, 0.9)
#: individual curves kept for ``ice=True``, and at most
ICE_CURVES, MOST_ICE_CURVES = 50, 500


@dataclass(frozen=True, repr=False, eq=False)
class PartialDependence:
    """Average risk over the values of a column, with individual curves.

    Parameters
    ----------
    column : str
    values : (G,)
        Values of the column, or its levels.
    average : (G,)
        Average probability of leaving by the cause within the horizon, had every customer the value.
    lower, upper : (G,)
        The band that ``band`` names.
    band : {"interval", "spread"}
        "interval": confidence interval of the average (uncertainty of the fit). "spread": where the middle 80 % of the
        customers lie; it says nothing of uncertainty.
    level : float
        Confidence level of an interval.
    individual : (m, G)
        Curves of m single customers (individual conditional expectation).
    individual_index : Index
        Their labels.
    support : (9,) or (G,)
        Deciles of the column among the customers; for levels the share of customers at each.
    extrapolated : (G,) bool
        Values that no customer of X has or surpasses on both sides.
    observed : float
        Average risk of the customers as they are.
    categorical : bool
    horizon : float
    cause : str
    n : int
        Customers averaged over.
    """

    column: str
    values: NDArray[Any]
    average: Floats
    lower: Floats
    upper: Floats
    band: str
    level: float
    individual: Floats
    individual_index: pd.Index
    support: Floats
    extrapolated: NDArray[np.bool_]
    observed: float
    categorical: bool
    horizon: float
    cause: str
    n: int

    def to_frame(self) -> pd.DataFrame:
        """Give columns value, average, lower, upper, band, extrapolated, one row per value."""
        return pd.DataFrame(
            {
                "value": self.values,
                "average": self.average,
                "lower": self.lower,
                "upper": self.upper,
                "band": self.band,
                "extrapolated": self.extrapolated,
            }
        )

    def individual_frame(self) -> pd.DataFrame:
        """Give the individual curves: a row per customer, a column per value."""
        return pd.DataFrame(
            self.individual, index=self.individual_index, columns=pd.Index(self.values, name=self.column)
        )

    def __repr__(self) -> str:
        band = f"{self.level:.0%} interval" if self.band == "interval" else "middle 80% of customers"
        return (
            f"PartialDependence of the risk of {self.cause} within {self.horizon:g} on {self.column}, averaged over "
            f"{counted(self.n, 'customer')} ({band})\n{self.to_frame().to_string(index=False)}"
        )


def partial_dependence(
    model: Any,
    X: pd.DataFrame | ArrayLike,
    column: str,
    *,
    horizon: float,
    cause: str | None = None,
    start: ArrayLike | None = None,
    grid: ArrayLike | int = 20,
    ice: bool | int = False,
    sample_weight: RowArgument = None,
    level: float = 0.95,
    **arguments: Any,
) -> PartialDependence:
    r"""Average the risk at a horizon over customers, for each value that a column is set to for all of them.

    :math:`\bar F(v) = \sum_i w_i F(h | x_i \text{ with } x_{ij} = v) / \sum_i w_i`, with F the probability of leaving by the
    cause within `horizon` after `start` (Friedman 2001), and F of single customers (individual conditional expectation,
    Goldstein et al. 2015). It describes the model. It is what would happen if the column were set only under the
    assumptions of :func:`churnsurv.standardised_curves`; and where columns go together, it averages over customers that
    do not exist, such as a low score at a low rate.

    Parameters
    ----------
    model : fitted estimator or Pipeline
        Anything whose curves give the cause's cumulative incidence: RandomSurvivalForest, CauseSpecificCox, CoxPH of one
        cause, FineGray.
    X : frame or array
        The customers to average over; some thousands are enough.
    column : str
        Column of X: a number or a category.
    horizon : float
        Time after `start`.
    cause : str, optional
        Needed when the model has several.
    start : number or array of n, optional
        Current age of the customers. Default: the first age the model knows.
    grid : int or array
        Values to set. A whole number: so many quantiles of the column between the 2nd and the 98th percentile (all values
        if there are no more); of a category always all levels in X. Values outside the range of X (levels that are not
        in X) are flagged: nothing in X supports the answer there.
    ice : bool or int
        Keep curves of single customers: so many (True: 50, at most 500), evenly spaced in the order of their risk as they
        are.
    sample_weight : array of n, or column of X
        How many customers a row stands for.
    level : float
        Confidence level, where the model gives an interval of the average: CoxPH with one `start` for all.
    **arguments
        Passed on to ``predict_curves``, such as ``strata=``.

    Returns
    -------
    PartialDependence
        Its ``band`` says whether lower and upper are an interval of the average or the spread of the customers.

    Raises
    ------
    DataError
        An unknown column, missing covariates, a horizon past the follow-up.
    UnseenCategoryError
        A level in `grid` that the model does not know.
    NotIdentifiedError
        The model is of one cause among several and gives no incidence.

    References
    ----------
    Friedman (2001), Ann. Stat. 29. Goldstein, Kapelner, Bleich and Pitkin (2015), J. Comput. Graph. Stat. 24.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"rate_incentive": rng.normal(size=300)})
    >>> months = np.ceil(rng.exponential(20 * np.exp(-X["rate_incentive"])))
    >>> y = cs.Outcome(np.minimum(months, 36), months <= 36)
    >>> result = cs.partial_dependence(cs.CoxPH().fit(X, y), X, "rate_incentive", horizon=12, grid=[-1, 0, 1, 5])
    >>> result.average.round(2), result.extrapolated, result.band
    (array([0.2 , 0.45, 0.8 , 1.  ]), array([False, False, False,  True]), 'interval')
    """
    frame = feature_frame(X, names=_names(model))
    if not isinstance(column, str) or column not in frame.columns:
        raise DataError(f"No column {column!r} in X; its columns are {first_of(frame.columns, 12)}.")
    known = _names(model)
    if known is not None and column not in known:
        raise DataError(f"The model does not use the column {column!r}; it was fitted on {first_of(known, 12)}.")
    horizon, level, n_curves = one_number(horizon, "horizon"), confidence_level(level), _n_curves(ice, len(frame))
    if horizon <= 0:
        raise DataError(f"horizon={horizon:g}: give a positive number, the time after the customers' current age.")
    given = weights_argument(sample_weight, frame)
    weight = np.full(len(frame), 1 / len(frame)) if given is None else given / given.sum()
    frame, weight, start, arguments = _counted_rows(frame, weight, start, arguments)
    values, support, extrapolated, categorical = _grid(frame[column], weight, grid, column)
    risk = _RiskAt(model, horizon, cause, start, arguments)
    own = risk(frame)
    settings = [_setting(frame[column], value) for value in values]
    chosen = evenly_spread(own, weight, n_curves)
    average, lower, upper = np.empty((3, len(values)))
    individual = np.empty((len(chosen), len(values)))
    for g, setting in enumerate(settings):
        at = risk(frame.assign(**{column: setting}))
        average[g] = weight @ at
        lower[g], upper[g] = _weighted_quantiles(at, weight, SPREAD)
        individual[:, g] = at[chosen]
    band = "spread"
    if isinstance(model, CoxForecasts) and np.ndim(start) == 0 and len(np.unique(risk.origin)) == 1:
        band = "interval"
        table = standardised_curves(
            model, frame, [risk.origin[0] + horizon], start=start, sample_weight=weight, level=level, **arguments,
            values={f"{column}={value}": {column: setting} for value, setting in zip(values, settings, strict=True)},
        ).to_frame()  # fmt: skip
        lower, upper = 1 - table["upper"].to_numpy(), 1 - table["lower"].to_numpy()
    return PartialDependence(
        column, values, average, lower, upper, band, level, individual, frame.index[chosen], support, extrapolated,
        float(weight @ own), categorical, horizon, risk.cause, len(frame),
    )  # fmt: skip


class _RiskAt:
    """The risk of a model at the horizon after each row's start."""

    def __init__(self, model: Any, horizon: float, cause: str | None, start: Any, arguments: dict[str, Any]) -> None:
        self.model, self.horizon, self.named = model, horizon, cause
        self.arguments = arguments if start is None else {**arguments, "start": start}
        self.origin = np.empty(0)
        self.cause = ""

    def __call__(self, frame: pd.DataFrame) -> Floats:
        if not len(self.origin):
            first = predict_curves(self.model, frame, [0.0], **self.arguments)
            self.origin = first.origin
            self.cause = first.causes[0] if self.named is None else self.named
        with warnings.catch_warnings():  # of times past the follow-up, which `strict` refuses
            warnings.simplefilter("ignore", SupportWarning)
            curves = predict_curves(self.model, frame, np.unique(self.origin + self.horizon), **self.arguments)
        risk = curves.risk(self.named, self.horizon, strict=True)
        missing = np.flatnonzero(np.isnan(risk))
        if len(missing):
            raise DataError(
                f"{counted(len(missing), 'row')} to average over lack a covariate ({first_of(frame.index[missing])}): an "
                "average over the others would be of other customers. Fill the values in, or leave these rows out."
            )
        return risk


def _names(model: Any) -> list[str] | None:
    first = model[0] if isinstance(model, Pipeline) and len(model) > 1 else model
    names = getattr(first, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _counted_rows(
    frame: pd.DataFrame, weight: Floats, start: Any, arguments: dict[str, Any]
) -> tuple[pd.DataFrame, Floats, Any, dict[str, Any]]:
    """Leave out rows of weight 0, and their entries of arguments with a value per row."""
    rows = np.flatnonzero(weight > 0)
    n = len(frame)
    if len(rows) == n:
        return frame, weight, start, arguments

    def cut(value: Any) -> Any:
        if isinstance(value, str) or np.ndim(value) == 0 or len(value) != n:
            return value
        return value.iloc[rows] if isinstance(value, pd.Series | pd.DataFrame) else np.asarray(value)[rows]

    return frame.iloc[rows], weight[rows], cut(start), {name: cut(value) for name, value in arguments.items()}


def _grid(
    values: pd.Series, weight: Floats, grid: ArrayLike | int, column: str
) -> tuple[NDArray[Any], Floats, NDArray[np.bool_], bool]:
    """Give the values to set, the support (deciles or shares), which values lie outside it, and whether they are levels."""
    asked = None if isinstance(grid, int | np.integer) and not isinstance(grid, bool) else np.asarray(grid)
    if asked is None and grid < 2:  # type: ignore[operator]
        raise DataError(f"grid={grid!r}: give the number of values, at least 2, or the values.")
    if asked is not None and (asked.ndim != 1 or not len(asked)):
        raise DataError("grid: give a whole number, or a list of values.")
    if is_categorical(values) or pd.api.types.is_bool_dtype(values.dtype):
        given = levels_of(values)
        levels = np.array(given if asked is None else asked.tolist(), dtype=object)
        share = np.array([weight[(values == level).to_numpy(dtype=bool, na_value=False)].sum() for level in levels])
        return levels, share, share == 0, True
    numbers = numeric_column(values, column)
    known = np.isfinite(numbers)
    if not known.any():
        raise DataError(f"Column {column!r} has no value: there is nothing to set it to.")
    numbers, weight = numbers[known], weight[known] / weight[known].sum()
    deciles = _weighted_quantiles(numbers, weight, np.arange(1, 10) / 10)
    if asked is None:
        distinct = np.unique(numbers)
        few = len(distinct) <= int(grid)  # type: ignore[arg-type]
        wanted = np.linspace(*INNER, int(grid))  # type: ignore[arg-type]
        points = distinct if few else np.unique(_weighted_quantiles(numbers, weight, wanted))
    else:
        points = np.unique(numeric_column(asked, "grid"))
        if not np.isfinite(points).all():
            raise DataError("grid holds values that are missing or infinite.")
    return points, deciles, (points < numbers.min()) | (points > numbers.max()), False


def _setting(values: pd.Series, value: Any) -> Any:
    """Give the column set to one value, of the type it had."""
    if isinstance(values.dtype, pd.CategoricalDtype) and value in values.cat.categories:
        return pd.Categorical([value] * len(values), dtype=values.dtype)
    return value


def _weighted_quantiles(values: Floats, weight: Floats, shares: ArrayLike) -> Floats:
    """Give the smallest values at which the share of weight reaches each of `shares`; the weights sum to 1."""
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(np.cumsum(weight[order]), np.asarray(shares) * (1 - 1e-12))
    return np.asarray(values[order][np.minimum(reached, len(values) - 1)])


def _n_curves(ice: Any, n: int) -> int:
    if isinstance(ice, bool | np.bool_):
        return min(ICE_CURVES if ice else 0, n)
    if not isinstance(ice, int | np.integer) or not 0 <= ice <= MOST_ICE_CURVES:
        raise DataError(f"ice={ice!r}: give True, False, or the number of single customers, at most {MOST_ICE_CURVES}.")
    return min(int(ice), n)


def evenly_spread(risk: Floats, weight: Floats, n: int) -> NDArray[np.int64]:
    """Give n rows evenly spaced in the order of their risk, by weight."""
    order = np.argsort(risk, kind="stable")
    reached = np.searchsorted(np.cumsum(weight[order]), (np.arange(n) + 0.5) / max(n, 1) * (1 - 1e-12))
    return np.asarray(order[np.unique(np.minimum(reached, len(risk) - 1))], dtype=np.int64)

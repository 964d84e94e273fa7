"""Smooths that show how a Cox model fails: a coefficient over time, the functional form of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_rows import prepared
from churnsurv.estimators.cox_state import Seen, refuse_other_rows, seen
from churnsurv.estimators.inputs import RowArgument
from churnsurv.estimators.ph_test import Transform, case_weight, cluster_codes, require_clusters, time_function
from churnsurv.estimators.residuals import martingale, summed
from churnsurv.exceptions import DataError
from churnsurv.kernels.newton import evaluate, maximise
from churnsurv.kernels.residuals import ResidualArg, events_minus_means, group_scores
from churnsurv.kernels.splines import natural_basis, spline_knots
from churnsurv.messages import confidence_level, first_of, numeric_column
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]
#: points at which a smooth is given
N_POINTS = 50


def hazard_ratio_over_time(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    term: str,
    *,
    transform: Transform = "km",
    df: int = 4,
    level: float = 0.95,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    offset: RowArgument = None,
) -> pd.DataFrame:
    r"""Give a coefficient, and its hazard ratio, as a smooth function of time, with a pointwise band.

    Scaled Schoenfeld residuals :math:`W V (x - \bar x(t)) + \beta` have the mean :math:`\beta(t)` (Grambsch and Therneau
    1994), where the covariates have the same variance V⁻¹/W at all times; a natural cubic spline is fitted to them by least
    squares. Where those who are left differ much from all customers, the curve is stretched or shrunk there; the test of
    :func:`proportional_hazards_test` does not depend on it.

    Parameters
    ----------
    model : CoxPH
    X, y : frame or array, Outcome
        The rows of the fit.
    term : str
        A coefficient, as ``model.coef_`` names it.
    transform : {"km", "identity", "rank", "log"}
        Scale of time on which the spline is fitted, see :func:`proportional_hazards_test`.
    df : int
        Columns of the spline, its constant included; 2 is a straight line.
    level : float
        Of the pointwise band.
    strata, sample_weight, cluster, offset
        As in :meth:`CoxPH.fit`.

    Returns
    -------
    DataFrame
        Columns time (distinct event times), coef, se, lower, upper, hazard_ratio, hr_lower, hr_upper. Variance:
        :math:`W V_{jj} (H'H)^{-1}` of the spline's basis H; where the fit is robust, the sandwich of the residuals summed by
        cluster.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": np.tile([0.2, 1.5, 0.1, 1.1], 10)})
    >>> y = cs.Outcome(stop=np.arange(1, 41), event=np.tile([1, 1, 0, 1, 1], 8))
    >>> model = cs.CoxPH().fit(X, y)
    >>> cs.hazard_ratio_over_time(model, X, y, "rate_incentive").columns.tolist()[:4]
    ['time', 'coef', 'se', 'lower']
    """
    at = seen(model, X, y, strata=strata, sample_weight=sample_weight, cluster=cluster, offset=offset)
    require_clusters(model, at)
    refuse_other_rows(model, at)
    return coefficient_over_time(model, at, term, transform, _columns(df), level)


def coefficient_over_time(
    model: CoxPH, at: Seen, term: str, transform: Transform, df: int, level: float
) -> pd.DataFrame:
    """Give the table of :func:`hazard_ratio_over_time`."""
    if not isinstance(term, str) or term not in model.coef_.index:
        raise DataError(f"No term {term!r} in the model; its terms are {first_of(model.coef_.index, 12)}.")
    j, v = list(model.coef_.index).index(term), model.naive_covariance_.to_numpy(dtype=np.float64)
    shard, buckets = at.data.shard, at.data.buckets
    g = time_function(at, transform)
    rows, difference = events_minus_means(shard, ResidualArg(at.state, buckets, np.ones(len(g))))
    weight, at_event = case_weight(at)[rows], g[shard.death[rows]]
    total = float(weight.sum())
    toward = total * v[:, j] * at.data.scale
    scaled = difference @ toward + model.coef_.to_numpy(dtype=np.float64)[j]
    knots = spline_knots(at_event, at_event.min(), at_event.max(), df)
    basis = natural_basis(at_event, knots)
    bread = np.asarray(np.linalg.inv((weight[:, None] * basis).T @ basis), dtype=np.float64)
    fitted = bread @ (basis.T @ (weight * scaled))
    covariance = np.asarray(total * v[j, j] * bread)
    if model.is_robust_:
        # the fit is Σ w H' s: its influence by row is that of the score for x times each column of the basis
        columns = natural_basis(g, knots).T
        clusters = cluster_codes(at)
        influence = [group_scores(shard, ResidualArg(at.state, buckets, c), *clusters) @ toward for c in columns]
        part = at.data.factor * np.column_stack(influence)
        covariance = np.asarray(bread @ (part.T @ part) @ bread)
    distinct, first = np.unique(at_event, return_index=True)
    shown = np.unique(np.searchsorted(distinct, np.linspace(distinct[0], distinct[-1], N_POINTS)))
    here = natural_basis(distinct[shown], knots)
    table = _banded(here @ fitted, _errors(here, covariance), level, "coef")
    table.insert(0, "time", buckets.time[shard.death[rows]][first][shown])
    return table


def functional_form(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    column: str,
    *,
    df: int = 4,
    level: float = 0.95,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    offset: RowArgument = None,
) -> pd.DataFrame:
    r"""Give the shape in which a column acts on the log hazard, with a pointwise band.

    The model without the column leaves martingale residuals M = N - E, events less those expected. They are smoothed over
    the column as a log ratio: a natural cubic spline f maximises the Poisson likelihood :math:`\sum w (N f - E e^f)`
    (Grambsch, Therneau and Fleming 1995). A straight line says that the column may enter as it is. Where its effect is strong,
    or the column goes along with others, the smooth is flatter than the effect, for the model without it has explained part
    of it otherwise (its baseline is that of those who are left): read the shape here, and measure it by a spline in the model.

    Parameters
    ----------
    model : CoxPH
    X, y : frame or array, Outcome
        The rows of the fit.
    column : str
        A numeric column of X, whether in the model or not; every term that contains it is left out.
    df : int
        Columns of the spline, its constant included; 2 is a straight line.
    level : float
        Of the pointwise band.
    strata, sample_weight, cluster, offset
        As in :meth:`CoxPH.fit`.

    Returns
    -------
    DataFrame
        Columns value, log_hazard (against what is expected without the column), se, lower, upper, hazard_ratio, hr_lower,
        hr_upper. The variance is a sandwich by cluster, or by subject; it takes the model without the column as known. With
        the same spells cut into more rows the answer is the same.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": np.tile([0.2, 1.5, 0.1, 1.1, 0.6], 8)})
    >>> y = cs.Outcome(stop=np.arange(1, 41), event=np.tile([1, 1, 0, 1], 10))
    >>> model = cs.CoxPH().fit(X, y)
    >>> cs.functional_form(model, X, y, "rate_incentive", df=3).columns.tolist()[:2]
    ['value', 'log_hazard']
    """
    at = seen(model, X, y, strata=strata, sample_weight=sample_weight, cluster=cluster, offset=offset)
    require_clusters(model, at)
    refuse_other_rows(model, at)
    frame = feature_frame(X, model.feature_names_in_)
    if not isinstance(column, str) or column not in frame.columns:
        raise DataError(f"No column {column!r} in X; its columns are {first_of(frame.columns, 12)}.")
    values = numeric_column(frame[column], column)
    values = values if at.rows.kept is None else values[at.rows.kept]
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values))
        raise DataError(f"Column {column!r} is not finite in {len(bad):,} rows (row {first_of(bad)}): leave them out.")
    return shape_of_column(_without(model, at, column), values, _columns(df), level)


def _without(model: CoxPH, at: Seen, column: str) -> Seen:
    """Fit the model without the terms that contain a column, and give its likelihood at the maximum."""
    made_of = model.encoder_.sources_by_term()
    kept = sorted(j for name, js in model.encoder_.columns_by_term().items() if column not in made_of[name] for j in js)
    if len(kept) == len(model.coef_):
        return at
    if not kept:
        return at._replace(state=evaluate(at.data.problem, np.zeros(len(model.coef_))))
    scale, center = at.data.scale[kept], at.data.center[kept]
    rows = at.rows._replace(design=at.rows.design[:, kept])
    data = prepared(rows, model.ties == "efron", center, scale)
    return Seen(rows, data, maximise(data.problem, model.max_iter, model.tol).state)


def shape_of_column(at: Seen, values: Floats, df: int, level: float) -> pd.DataFrame:
    """Smooth the martingale residuals of a model over the values of a column (n,)."""
    residual, weight = martingale(at), case_weight(at)
    used = (weight > 0) & ~np.isnan(residual)
    events = at.rows.event[used].astype(np.float64)
    expected, x, w = events - residual[used], values[used], weight[used]
    at_events = x[events > 0]
    knots = spline_knots(at_events, x.min(), x.max(), df)
    basis = natural_basis(x, knots)
    fitted, bread, mean = _poisson(basis, events, expected, w)
    influence = basis * (w * (events - mean))[:, None]
    codes, n_clusters = cluster_codes(at)
    part = np.nan_to_num(summed(influence, codes[used], n_clusters))
    covariance = bread @ (part.T @ part) @ bread
    shown = np.unique(np.quantile(x, np.linspace(0, 1, N_POINTS), method="nearest"))
    here = natural_basis(shown, knots)
    table = _banded(here @ fitted, _errors(here, covariance), level, "log_hazard")
    table.insert(0, "value", shown)
    return table


def _poisson(basis: Floats, events: Floats, expected: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Maximise Σ w (N f − E e^f) over f = basis θ: θ, inverse information, fitted means. Newton from the constant."""
    fitted = np.zeros(basis.shape[1])
    for _ in range(50):
        mean = expected * np.exp(np.minimum(basis @ fitted, 50.0))
        information = (basis * (weight * mean)[:, None]).T @ basis
        score = basis.T @ (weight * (events - mean))
        step = np.linalg.lstsq(information, score, rcond=None)[0]
        # a spline that would follow few events to minus infinity is stopped at steps that change nothing visible
        fitted = fitted + step * min(1.0, 3.0 / max(float(np.abs(basis @ step).max()), 1e-12))
        if float(score @ step) < 1e-12:
            break
    return fitted, np.asarray(np.linalg.pinv(information), dtype=np.float64), mean


def _errors(basis: Floats, covariance: Floats) -> Floats:
    return np.asarray(np.sqrt(np.sum((basis @ covariance) * basis, axis=1)))


def _banded(value: Floats, se: Floats, level: float, name: str) -> pd.DataFrame:
    margin = norm.ppf(0.5 + confidence_level(level) / 2) * se
    columns = {name: value, "se": se, "lower": value - margin, "upper": value + margin}
    with np.errstate(over="ignore"):
        ratios = {"hazard_ratio": value, "hr_lower": value - margin, "hr_upper": value + margin}
        return pd.DataFrame({**columns, **{key: np.exp(number) for key, number in ratios.items()}})


def _columns(df: Any) -> int:
    if isinstance(df, bool) or not isinstance(df, int | np.integer) or df < 2:
        raise DataError(f"df={df!r} is no number of columns of a spline; give 2 (a straight line) or more, such as 4.")
    return int(df)

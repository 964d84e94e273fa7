"""How far a Cox model is from what it assumes: by how much ratios change over time, lines bend, the rule for ties matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from churnsurv.estimators.cox_state import refuse_other_rows, seen
from churnsurv.estimators.inputs import RowArgument
from churnsurv.estimators.ph_test import case_weight, require_clusters, time_function
from churnsurv.kernels.residuals import ResidualArg, events_minus_means
from churnsurv.kernels.splines import natural_basis, spline_knots
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

#: share of the events, in the middle, over which a ratio's range is taken: a smooth is unsure of itself at its ends
MIDDLE = 0.8
#: share of the rows over which a curve's departure from a line is taken
CENTRAL = 0.9


def ratio_ranges(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    df: int = 4,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    offset: RowArgument = None,
) -> pd.DataFrame:
    """Give by how much each hazard ratio changes over time, in the middle 80% of the events.

    Of the smooth of :func:`churnsurv.hazard_ratio_over_time` on the Kaplan-Meier scale of time, per standard deviation of the
    column of the design, or between 1 and 0 for an indicator, so that the terms can be compared. A smooth of few events
    varies by chance too: read the range beside the test of :func:`churnsurv.proportional_hazards_test`.

    Parameters
    ----------
    model : CoxPH
    X, y : frame or array, Outcome
        The rows of the fit.
    df : int
        Columns of the spline.
    strata, sample_weight, cluster, offset
        As in :meth:`CoxPH.fit`.

    Returns
    -------
    DataFrame
        Index coefficient; columns unit (what the ratio refers to), ratio (of the model), early and late (at the tenth and
        ninetieth percentile of the event times), lowest, highest, range (highest to lowest).

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> from churnsurv.estimators.assumptions import ratio_ranges
    >>> X = pd.DataFrame({"rate_incentive": np.tile([0.2, 1.5, 0.1, 1.1], 10)})
    >>> y = cs.Outcome(stop=np.arange(1, 41), event=np.tile([1, 1, 0, 1, 1], 8))
    >>> table = ratio_ranges(cs.CoxPH().fit(X, y), X, y)
    >>> bool(table.loc["rate_incentive", "range"] >= 1)
    True
    """
    at = seen(model, X, y, strata=strata, sample_weight=sample_weight, cluster=cluster, offset=offset)
    require_clusters(model, at)
    refuse_other_rows(model, at)
    v, shard = model.naive_covariance_.to_numpy(dtype=np.float64), at.data.shard
    g = time_function(at, "km")
    rows, difference = events_minus_means(shard, ResidualArg(at.state, at.data.buckets, np.ones(len(g))))
    weight, at_event = case_weight(at)[rows], g[shard.death[rows]]
    # scaled Schoenfeld residuals of all coefficients at once; see coefficient_over_time
    scaled = difference @ (weight.sum() * v * at.data.scale[:, None]) + model.coef_.to_numpy(dtype=np.float64)
    knots = spline_knots(at_event, at_event.min(), at_event.max(), df)
    basis = natural_basis(at_event, knots)
    theta = np.linalg.solve((weight[:, None] * basis).T @ basis, basis.T @ (weight[:, None] * scaled))
    first, last = np.quantile(at_event, [(1 - MIDDLE) / 2, (1 + MIDDLE) / 2], method="nearest")
    within = np.unique(at_event[(at_event >= first) & (at_event <= last)])
    is_indicator = np.isin(at.rows.design, (0.0, 1.0)).all(axis=0)
    unit = np.where(is_indicator, 1.0, at.data.scale)
    curve = natural_basis(within, knots) @ theta * unit
    with np.errstate(over="ignore"):
        table = pd.DataFrame(
            {
                "unit": unit,
                "ratio": np.exp(model.coef_.to_numpy() * unit),
                "early": np.exp(curve[0]),
                "late": np.exp(curve[-1]),
                "lowest": np.exp(curve.min(axis=0)),
                "highest": np.exp(curve.max(axis=0)),
            },
            index=model.coef_.index,
        )
    return table.assign(range=table["highest"] / table["lowest"])


def departure_from_line(shape: pd.DataFrame) -> float:
    """Give the factor by which a hazard departs most from a log-linear one, over the middle 90% of the rows.

    Parameters
    ----------
    shape : DataFrame
        Of :func:`churnsurv.functional_form`, whose points are at even quantiles of the column.

    Examples
    --------
    >>> import pandas as pd
    >>> departure_from_line(pd.DataFrame({"value": range(20), "log_hazard": [0.1 * v for v in range(20)]}))
    1.0
    """
    value, log_hazard = (shape[name].to_numpy(dtype=np.float64) for name in ("value", "log_hazard"))
    cut = round(len(value) * (1 - CENTRAL) / 2)
    middle = slice(cut, len(value) - cut)
    x, f = value[middle], log_hazard[middle]
    if len(np.unique(x)) < 3:
        return 1.0
    line = np.polynomial.Polynomial.fit(x, f, 1)
    return float(np.round(np.exp(np.abs(f - line(x)).max()), 12))


class Ties(NamedTuple):
    """Exits at the same time, and what the rule for them does.

    Attributes
    ----------
    share : float
        Share of the events that have the time of their exit (in their stratum) in common with another.
    rules : DataFrame
        Index term; columns efron, breslow (log hazard ratios) and shift (their difference in standard errors of the fit).
    """

    share: float
    rules: pd.DataFrame


def compare_tie_rules(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    offset: RowArgument = None,
) -> Ties:
    """Fit a Cox model by the other rule for ties, and count the exits that are tied.

    Parameters
    ----------
    model : CoxPH
    X, y, strata, sample_weight, cluster, offset
        As in :meth:`CoxPH.fit`; the rows of the fit.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> from churnsurv.estimators.assumptions import compare_tie_rules
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 4, 5], event=[1, 1, 0, 1, 1, 1])
    >>> compare_tie_rules(cs.CoxPH().fit(X, y), X, y).share
    0.4
    """
    given: dict[str, Any] = {"strata": strata, "sample_weight": sample_weight, "cluster": cluster, "offset": offset}
    at = seen(model, X, y, **given)
    refuse_other_rows(model, at)
    names = {name: columns for name, columns in model.argument_columns_.items() if columns}
    given = {**given, **{name: columns for name, columns in names.items() if given[name] is None}}
    other = clone(model).set_params(ties="breslow" if model.ties == "efron" else "efron").fit(X, y, **given)
    by_rule = {model.ties: model.coef_, other.ties: other.coef_}
    se = np.sqrt(np.diag(model.covariance_))
    rules = pd.DataFrame({rule: by_rule[rule] for rule in ("efron", "breslow")})
    deaths = at.data.shard.death[at.data.shard.death >= 0]
    n = np.bincount(deaths)
    return Ties(float(n[n > 1].sum() / n.sum()), rules.assign(shift=(rules["breslow"] - rules["efron"]) / se))

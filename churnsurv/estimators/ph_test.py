"""The score test of proportional hazards: of coefficients that change with time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from churnsurv.estimators.cox_state import Seen, refuse_other_rows, seen
from churnsurv.estimators.inputs import RowArgument
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.ph_times import kaplan_meier_before, mean_ranks
from churnsurv.kernels.residuals import ResidualArg, events_minus_means, group_scores, weighted_information
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]
Transform = Literal["km", "identity", "rank", "log"]
#: directions in which less than this share of the information is left are those of effects that act at one time only
LEAST_INFORMATION = 1e-9


def proportional_hazards_test(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    transform: Transform = "km",
    terms: bool = True,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    offset: RowArgument = None,
) -> pd.DataFrame:
    r"""Test that each coefficient is the same at all times, against one that changes as :math:`\beta + \theta g(t)`.

    The score test of :math:`\theta = 0` in the model with the covariates x and x g(t) (Grambsch and Therneau 1994, without
    their approximation of a constant variance; R's ``cox.zph`` since survival 3.0). Exact in the information, by the tie
    rule of the fit, with delayed entry, strata and weights; linear in the rows.

    Parameters
    ----------
    model : CoxPH
    X, y : frame or array, Outcome
        The rows of the fit.
    transform : {"km", "identity", "rank", "log"}
        g: one minus the Kaplan-Meier estimate before t (of all rows, unweighted, as in R), which late outliers cannot
        dominate; t; its rank; log t.
        Ranks are among the times at which observation ends. A time at which one row ends and another begins is no end, so
        that splitting spells changes no result (in R, which ranks the ends of all rows, it does); with one row per subject
        from the origin the ranks are R's.
    terms : bool
        Test the coefficients of a category or spline jointly; else each coefficient.
    strata, sample_weight, cluster, offset
        As in :meth:`CoxPH.fit`; columns named there are remembered, arrays are passed again.

    Returns
    -------
    DataFrame
        Index term, the last one GLOBAL; columns statistic, df, p_value (chi-squared). They take rows as independent, as R
        does also with clusters. When the fit is robust (clusters, sampling weights, recurrent events), the columns
        robust_statistic and robust_p_value follow, to be preferred: the variance of the score is then the sum over clusters
        (without: subjects) of the squares of :math:`u_{2} - I_{21} I_{11}^{-1} u_{1}`, the score residuals for x g(t) less
        their regression on those for x (the generalised score test, Boos 1992, of Lin and Wei's residuals). An effect that
        acts at a single event time cannot change: NaN, df 0. The robust columns are NaN with fewer clusters than coefficients
        tested, and when clusters that were an array in the fit are not passed.

    Raises
    ------
    DataError
        Rows that are not those of the fit; log of an event at time 0.
    NotIdentifiedError
        All events at one time.

    References
    ----------
    Grambsch and Therneau (1994), Biometrika 81; Therneau and Grambsch (2000), ch. 6; Boos (1992), Am. Stat. 46.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": np.tile([0.2, 1.5, 0.1, 1.1], 10)})
    >>> y = cs.Outcome(stop=np.arange(1, 41), event=np.tile([1, 1, 0, 1, 1], 8))
    >>> model = cs.CoxPH().fit(X, y)
    >>> cs.proportional_hazards_test(model, X, y).index.tolist()
    ['rate_incentive', 'GLOBAL']
    """
    at = seen(model, X, y, strata=strata, sample_weight=sample_weight, cluster=cluster, offset=offset)
    return ph_table(model, at, transform, terms=terms)


def ph_table(model: CoxPH, at: Seen, transform: Transform, *, terms: bool = True) -> pd.DataFrame:
    """Give the table of :func:`proportional_hazards_test`."""
    g = time_function(at, transform)
    ones = np.ones(len(g))
    shard, buckets = at.data.shard, at.data.buckets
    i11, i12, i22 = weighted_information(shard, at.state, buckets, np.stack([ones, g, g**2]))
    refuse_other_rows(model, at)
    rows, difference = events_minus_means(shard, ResidualArg(at.state, buckets, ones))
    u = (shard.weight[rows] * g[shard.death[rows]]) @ difference
    test = added_test(at, u, i11, i12, i22)
    groups = model.encoder_.columns_by_term() if terms else {name: [j] for j, name in enumerate(model.coef_.index)}
    if "GLOBAL" in groups:
        raise DataError("A term of the model is called 'GLOBAL', as the test of all terms is: rename the column.")
    groups = {**groups, "GLOBAL": list(range(len(model.coef_)))}
    parts = None
    if model.is_robust_ and not lacks_clusters(model, at):
        changing, constant = (
            group_scores(shard, ResidualArg(at.state, buckets, m), *cluster_codes(at)) for m in (g, ones)
        )
        parts = changing - constant @ test.regression
    table = table_of(at, test, groups, parts)
    return table.assign(robust_statistic=np.nan, robust_p_value=np.nan) if lacks_clusters(model, at) else table


class AddedTest(NamedTuple):
    """Score of added covariates at coefficient 0, its variance given the estimated β, the regression on the others' score.

    scale: the variances if β were known, against which the variance is judged.
    """

    u: Floats
    variance: Floats
    regression: Floats
    scale: Floats


def added_test(at: Seen, u: Floats, i11: Floats, i12: Floats, i22: Floats) -> AddedTest:
    """Give the score test's parts from the blocks of the information: variance I22 − I21 I11⁻¹ I12, weights as given."""
    factor = at.data.factor
    regression = np.asarray(np.linalg.solve(i11, i12), dtype=np.float64)
    return AddedTest(factor * u, factor * (i22 - i12.T @ regression), regression, factor * np.diag(i22))


def table_of(at: Seen, test: AddedTest, groups: dict[str, list[int]], parts: Floats | None) -> pd.DataFrame:
    """Give statistic, df and p-value of groups of the added covariates.

    With `parts` (G, q), the score less its regression on that of the model's covariates by cluster, robust also.
    """
    tested = [_quadratic(test.u, test.variance, columns, test.scale) for columns in groups.values()]
    table = pd.DataFrame(tested, index=pd.Index(groups, name="term"), columns=["statistic", "df"])
    table["p_value"] = chi2.sf(table["statistic"], table["df"])
    if parts is not None:
        meat = at.data.factor**2 * (parts.T @ parts)
        robust = [_quadratic(test.u, meat, columns, np.diag(meat)) for columns in groups.values()]
        # G clusters give G coefficients the statistic G whatever the data, and more of them no variance
        df, n_clusters = table["df"].to_numpy(), int(np.count_nonzero(parts.any(axis=1)))
        enough = (np.array([rank for _, rank in robust]) == df) & (df < n_clusters) & (df > 0)
        table["robust_statistic"] = np.where(enough, [statistic for statistic, _ in robust], np.nan)
        table["robust_p_value"] = chi2.sf(table["robust_statistic"], table["df"])
    return table


def case_weight(at: Seen) -> Floats:
    """Give the weights of the rows as they were passed (n,)."""
    return at.data.factor * at.data.shard.weight


def lacks_clusters(model: CoxPH, at: Seen) -> bool:
    """Tell whether the fit had clusters that are not passed for these rows."""
    return "cluster" in model.argument_columns_ and at.rows.cluster is None


def require_clusters(model: CoxPH, at: Seen) -> None:
    """Refuse to take subjects in the place of the clusters of the fit."""
    if lacks_clusters(model, at):
        raise DataError(
            "The model was fitted with cluster: pass cluster= for these rows too; the variance is by cluster."
        )


def cluster_codes(at: Seen) -> tuple[NDArray[np.int64], int]:
    """Give the clusters of a robust variance, those passed, else the subjects, as codes (n,), and one above the largest."""
    cluster = at.rows.cluster
    codes = np.asarray(pd.factorize(at.rows.outcome.subject)[0] if cluster is None else cluster, dtype=np.int64)
    return codes, int(codes.max()) + 1


def _quadratic(u: Floats, variance: Floats, columns: list[int], scale: Floats) -> tuple[float, int]:
    """Give u' V⁻ u over some columns and the rank of V there, judged against `scale`."""
    root = np.sqrt(np.where(scale[columns] > 0, scale[columns], 1.0))
    values, vectors = np.linalg.eigh(variance[np.ix_(columns, columns)] / np.outer(root, root))
    kept = values > LEAST_INFORMATION
    along = vectors.T @ (u[columns] / root)
    rank = int(np.count_nonzero(kept))
    return (float(np.sum(along[kept] ** 2 / values[kept])) if rank else np.nan), rank


def time_function(at: Seen, transform: Transform) -> Floats:
    """Give g of each bucket, centred at its mean over the events and of unit size, which changes no statistic."""
    shard, times, y = at.data.shard, at.data.buckets.time, at.rows.outcome
    used = shard.weight > 0
    entry, stop, event = y.entry[used], y.stop[used], at.rows.event[used]
    if transform == "km":
        g = kaplan_meier_before(times, entry, stop, event)
    elif transform == "rank":
        g = mean_ranks(times, entry, stop, event)
    elif transform == "log":
        if times.min() <= 0:
            raise DataError("An event happened at time 0, whose logarithm is not finite: use another transform.")
        g = np.log(times)
    elif transform == "identity":
        g = times
    else:
        raise DataError(f"transform={transform!r} is not known: use 'km', 'identity', 'rank' or 'log'.")
    deaths = at.state.sums.deaths
    g = g - np.average(g, weights=deaths)
    spread = float(np.sqrt(np.average(g**2, weights=deaths)))
    if len(np.unique(times[deaths > 0])) < 2 or spread == 0.0:
        raise NotIdentifiedError("All events happen at one time: whether coefficients change cannot be seen.")
    return np.asarray(g / spread)

"""Residuals of a fitted Cox model, as R's ``residuals.coxph`` defines them, by row or summed by subject or customer.

The kernels are in :mod:`churnsurv.kernels.residuals`. Covariates are standardised there: what comes back is put on their own
scale. Rows are those of the fit: the risk sets, and with them the baseline hazard, are made of the rows that are passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_state import Seen, seen
from churnsurv.estimators.inputs import RowArgument, codes_argument
from churnsurv.exceptions import DataError
from churnsurv.kernels.residuals import ResidualArg, events_minus_means, row_hazard, row_scores
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]
Kind = Literal["martingale", "deviance", "score", "schoenfeld", "scaled_schoenfeld", "dfbeta", "dfbetas"]
KINDS = ("martingale", "deviance", "score", "schoenfeld", "scaled_schoenfeld", "dfbeta", "dfbetas")
By = Literal["subject", "cluster"] | None


def residuals(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    kind: Kind,
    *,
    by: By = None,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    offset: RowArgument = None,
) -> pd.Series | pd.DataFrame:
    """Give residuals of one kind; :meth:`CoxPH.residuals` describes them."""
    if kind not in KINDS:
        raise DataError(f"kind={kind!r} is not known: use one of {list(KINDS)}.")
    at = seen(model, X, y, strata=strata, sample_weight=sample_weight, cluster=cluster, offset=offset, stacklevel=5)
    frame = feature_frame(X, model.feature_names_in_)
    if kind in ("schoenfeld", "scaled_schoenfeld"):
        if by is not None:
            raise DataError(f"{kind} residuals belong to events, not to rows: leave by= out.")
        return schoenfeld(model, at, frame.index, scaled=kind == "scaled_schoenfeld")
    if by is None:
        values, index = _by_row(model, at, kind), frame.index
        if at.rows.kept is not None:
            spread = np.full((len(index), *values.shape[1:]), np.nan)
            spread[at.rows.kept] = values
            values = spread
    else:
        codes, index = groups_of(model, at, frame, by, cluster)
        values = _by_group(model, at, kind, codes, len(index))
    if values.ndim == 1:
        return pd.Series(values, index=index, name=kind)
    return pd.DataFrame(values, index=index, columns=model.coef_.index)


def _by_row(model: CoxPH, at: Seen, kind: Kind) -> Floats:
    if kind == "martingale":
        return martingale(at)
    if kind == "deviance":
        return deviance(martingale(at), at.rows.event.astype(np.float64))
    if kind == "score":
        return scores(at) * at.data.scale
    return dfbeta(model, at, standardised=kind == "dfbetas")


def _by_group(model: CoxPH, at: Seen, kind: Kind, codes: NDArray[np.int64], n_groups: int) -> Floats:
    if kind != "deviance":
        return summed(_by_row(model, at, kind), codes, n_groups)
    # of the sums: the deviance residual of a customer is not the sum of those of their rows
    unused = np.isnan(values := martingale(at))
    events = np.where(unused, np.nan, at.rows.event)
    return deviance(summed(values, codes, n_groups), summed(events, codes, n_groups))


def unit(at: Seen) -> ResidualArg:
    """Give the argument of the kernels for the model's own covariates: g = 1."""
    return ResidualArg(at.state, at.data.buckets, np.ones(len(at.data.buckets.time)))


def martingale(at: Seen) -> Floats:
    """Give event minus cumulative hazard of each row (n,)."""
    return at.rows.event - row_hazard(at.data.shard, unit(at))


def deviance(residual: Floats, events: Floats) -> Floats:
    r"""Give :math:`sign(M) \sqrt{-2 [M + N \log\{(N-M)/N\}]}`, M martingale residuals, N events (Therneau et al. 1990)."""
    expected = np.maximum(events - residual, np.finfo(np.float64).tiny)
    inner = residual + np.where(events > 0, events * np.log(expected / np.maximum(events, 1.0)), 0.0)
    return np.asarray(np.sign(residual) * np.sqrt(np.maximum(-2.0 * inner, 0.0)))


def scores(at: Seen) -> Floats:
    """Give score residuals of the standardised covariates (n, p), unweighted."""
    return row_scores(at.data.shard, unit(at))


def dfbeta(model: CoxPH, at: Seen, *, standardised: bool = False) -> Floats:
    """Give the approximate change of the coefficients by each row, weight times score residual times V (n, p)."""
    v = model.naive_covariance_.to_numpy()
    weight = 1.0 if at.rows.weight is None else at.rows.weight[:, None]
    change = (scores(at) * at.data.scale * weight) @ v
    return np.asarray(change / np.sqrt(np.diag(v)) if standardised else change)


def schoenfeld(model: CoxPH, at: Seen, index: pd.Index, *, scaled: bool) -> pd.DataFrame:
    """Give the residuals of the events: time, stratum and one column per term, by stratum and time."""
    reserved = [name for name in ("time", "stratum") if name in model.coef_.index]
    if reserved:
        raise DataError(
            f"A term of the model is called {reserved[0]!r}, as a column of this table is: rename the column."
        )
    shard, buckets = at.data.shard, at.data.buckets
    rows, values = events_minus_means(shard, unit(at))
    values = values * at.data.scale
    if scaled:
        values = len(rows) * values @ model.naive_covariance_.to_numpy() + model.coef_.to_numpy()
    order = np.argsort(shard.death[rows], kind="stable")
    rows, values = rows[order], values[order]
    bucket = shard.death[rows]
    labels = at.rows.strata_labels
    stratum = buckets.stratum[bucket] if labels is None else [labels[s] for s in buckets.stratum[bucket]]
    position = rows if at.rows.kept is None else np.flatnonzero(at.rows.kept)[rows]
    table = pd.DataFrame(values, index=index[position], columns=model.coef_.index)
    table.insert(0, "time", buckets.time[bucket])
    table.insert(1, "stratum", stratum)
    return table.rename_axis(columns=None)


def groups_of(
    model: CoxPH, at: Seen, frame: pd.DataFrame, by: Literal["subject", "cluster"], cluster: RowArgument
) -> tuple[NDArray[np.int64], pd.Index]:
    """Give the code of each row's subject or cluster and the sorted labels."""
    if by == "subject":
        codes, labels = pd.factorize(at.rows.outcome.subject, sort=True)
        return codes.astype(np.int64), pd.Index(labels, name="subject")
    if by != "cluster":
        raise DataError(f"by={by!r} is not known: use 'subject', 'cluster' or None.")
    found = codes_argument(model.remembered("cluster", cluster, frame), frame, "cluster")
    if found is None:
        raise DataError("by='cluster' needs the clusters: pass cluster=, one label per row.")
    kept = slice(None) if at.rows.kept is None else at.rows.kept
    used, codes = np.unique(found[0][kept], return_inverse=True)
    return codes.astype(np.int64), pd.Index([found[1][c] for c in used], name="cluster")


def summed(values: Floats, codes: NDArray[np.int64], n_groups: int) -> Floats:
    """Sum rows (n,) or (n, p) by group; rows without a value (weight 0) are left out, groups of such only are NaN."""
    if values.ndim == 2:
        return np.column_stack([summed(column, codes, n_groups) for column in values.T])
    there = np.isfinite(values)
    total = np.bincount(codes[there], values[there], n_groups)
    total[np.bincount(codes[there], minlength=n_groups) == 0] = np.nan
    return total.astype(np.float64)

"""Cutting an outcome into groups, each from the age at which enough of it is at risk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError
from churnsurv.kernels.nonparametric import RiskTable, first_age_at_risk, risk_table
from churnsurv.kernels.times import Floats, Ints
from churnsurv.messages import counted
from churnsurv.outcome import Outcome
from churnsurv.rows import refuse_one_cluster, row_labels, row_weights


@dataclass(frozen=True, eq=False)
class GroupRows:
    """Rows of one group with positive weight; all (n,)."""

    entry: Floats
    stop: Floats
    event: Ints
    weight: Floats
    cluster: Ints
    continued: NDArray[np.bool_]  #: the subject goes on in this group where the row stops: its end is no censoring
    origin: float = 0.0

    def __getitem__(self, rows: NDArray[Any] | slice) -> GroupRows:
        columns = (f.name for f in fields(self) if f.name != "origin")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    @property
    def n_clusters(self) -> int:
        """Number of different subjects (or clusters)."""
        return len(pd.unique(self.cluster))

    def risk_table(self, n_causes: int) -> RiskTable:
        """Risk sets at the group's times; with one cause asked for, all causes are one."""
        event = self.event if n_causes > 1 else (self.event > 0).astype(np.int64)
        return risk_table(self.entry, self.stop, event, self.weight, n_causes, self.continued)


def group_rows(
    y: Outcome, group: Ints, n_groups: int, sample_weight: ArrayLike | None, cluster: ArrayLike | None
) -> Iterator[GroupRows]:
    """Yield the rows of groups 0…G−1 in their order. O(n log n) once, not per group."""
    weight = row_weights(sample_weight, len(y))
    units = y.subject if cluster is None else row_labels(cluster, len(y), "cluster")[0]
    if weight is not None and not weight.all():
        # a weight of 0 leaves the row out: what goes before it then ends there
        kept = weight > 0
        y, group, units, weight = y[kept], group[kept], units[kept], weight[kept]
    rows = GroupRows(
        y.entry,
        y.stop,
        y.event,
        np.ones(len(y)) if weight is None else weight,
        pd.factorize(units)[0].astype(np.int64),
        _continued(y, group),
    )
    if n_groups > 1:
        order = np.argsort(group, kind="stable")
        rows, group = rows[order], group[order]
    for number, (begin, end) in enumerate(pairwise(np.searchsorted(group, np.arange(n_groups + 1)))):
        if cluster is not None:
            refuse_one_cluster(rows.cluster[begin:end], f" of group {number + 1} of {n_groups}" if n_groups > 1 else "")
        yield rows[begin:end]


def _continued(y: Outcome, group: Ints) -> NDArray[np.bool_]:
    code = pd.factorize(y.subject)[0]
    result = np.zeros(len(y), dtype=bool)
    if code.max() + 1 == len(code):
        return result
    order = np.lexsort((y.start, code))
    this, following = order[:-1], order[1:]
    result[this] = (
        (code[this] == code[following])
        & (group[this] == group[following])
        & (y.stop[this] == y.start[following])
        & (y.event[this] == 0)
    )
    return result


def from_origin(rows: GroupRows, name: str, min_at_risk: int, origin: float | None, closed: bool) -> GroupRows:
    """Keep what happens after the first age (from `origin` on) with `min_at_risk` rows at risk; `closed`: 0 included."""
    earliest = 0.0 if origin is None else float(origin)
    begin = first_age_at_risk(rows.entry, rows.stop, min_at_risk, earliest) if len(rows.stop) else np.nan
    if np.isnan(begin):
        after = "" if origin is None else f" at or after {earliest:g}"
        raise DataError(
            f"{name} never has {counted(min_at_risk, 'row')} at risk{after} (of {counted(len(rows.stop), 'row')} with "
            "positive weight in all). Lower min_at_risk or origin, or join the group with another."
        )
    if begin > 0 or not closed:
        later = rows.stop > begin
        rows = rows if later.all() else rows[later]
    return replace(rows, origin=begin)


def is_robust(variance: str | None, others: tuple[str, ...], cluster: Any, sample_weight: ArrayLike | None) -> bool:
    """Tell whether the variance is the infinitesimal jackknife, as asked for or by what the data are."""
    if variance not in (None, *others, "robust"):
        raise DataError(f"variance={variance!r} is not known: use one of {[*others, 'robust']}.")
    if variance in others and cluster is not None:
        raise DataError(f"variance={variance!r} takes rows as independent; with cluster= use 'robust'.")
    if variance is not None or cluster is not None:
        return variance in (None, "robust")
    weights = np.zeros(0) if sample_weight is None else np.asarray(sample_weight)
    return bool(weights.dtype.kind == "f" and np.any(weights != np.floor(weights)))

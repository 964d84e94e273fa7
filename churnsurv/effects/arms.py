"""Reading the arm of each row and what goes with it, with the errors that every comparison of arms needs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, SmallSampleWarning, TooFewEventsError
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome
from churnsurv.rows import refuse_one_cluster, row_labels, row_weights

#: arguments with one label per row
ROW_LABELS = ("arm", "censoring_strata", "cluster", "strata")
#: below this many clusters in an arm the normal interval is too short
FEW_CLUSTERS = 20


def read_arms(y: Outcome, arm: ArrayLike) -> tuple[NDArray[np.int64], pd.Index]:
    """Give codes 0…K−1 and the sorted labels of at least two arms with at least two customers each."""
    codes, labels = row_labels(arm, len(y), "arm")
    if len(labels) < 2:
        raise DataError(f"All rows are in arm {labels[0]!r}: a comparison needs two arms. Was the other filtered out?")
    subjects = pd.Series(y.subject).groupby(codes).nunique()
    alone = labels[(subjects < 2).to_numpy()]
    if len(alone):
        raise DataError(
            f"Arm {first_of([repr(v) for v in alone])} has one customer only: nothing can be said about its variability. "
            "Leave the arm out, or join it with another."
        )
    return codes, labels


def read_two_arms(y: Outcome, arm: ArrayLike, reference: Any) -> tuple[NDArray[np.int64], pd.Index]:
    """Give codes and labels of exactly two arms, the reference first (default: the first in sorted order)."""
    codes, labels = read_arms(y, arm)
    if len(labels) != 2:
        raise DataError(f"There are {len(labels)} arms ({first_of([repr(v) for v in labels])}); give the rows of two.")
    if reference is None or reference == labels[0]:
        return codes, labels
    if reference != labels[1]:
        raise DataError(f"reference={reference!r} is no arm; the arms are {labels[0]!r} and {labels[1]!r}.")
    return 1 - codes, labels[::-1]


def refuse_subjects_across_arms(y: Outcome, codes: NDArray[np.int64]) -> None:
    """Refuse subjects with rows in both arms: they change their arm."""
    units, both = _across(y.subject, codes)
    if len(both):
        raise DataError(
            f"{counted(len(both), 'subject')} with rows in both arms (rows {first_of(np.flatnonzero(units == both[0]))}): "
            "time before a change of arm would count for neither. Give each subject the arm it was assigned at time zero; "
            "the loans of a customer are subjects of one cluster."
        )


def refuse_clusters_across_arms(cluster: ArrayLike | None, codes: NDArray[np.int64]) -> None:
    """Refuse clusters with rows in both arms, where arms must be independent."""
    if cluster is None:
        return
    units, both = _across(row_labels(cluster, len(codes), "cluster")[0], codes)
    if len(both):
        raise DataError(
            f"{counted(len(both), 'cluster')} with rows in both arms (rows {first_of(np.flatnonzero(units == both[0]))}): "
            "the intervals of the arms are combined as those of independent customers. Compare risks or restricted times, "
            "which sum the influences of a cluster over both arms."
        )


def _across(labels: NDArray[Any], codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the unit of each row and the units with rows in both arms."""
    units = pd.factorize(labels)[0].astype(np.int64)
    return units, np.intersect1d(units[codes == 0], units[codes == 1])


def refuse_lone_clusters(cluster: ArrayLike | None, codes: NDArray[np.int64], labels: pd.Index) -> None:
    """Refuse an arm that lies in one cluster, and two clusters in all: their variance is not that of the comparison."""
    if cluster is None:
        return
    units = row_labels(cluster, len(codes), "cluster")[0]
    refuse_one_cluster(units)
    alone = labels[pd.Series(units).groupby(codes).nunique().to_numpy() < 2]
    if len(alone):
        raise DataError(
            f"Arm {first_of([repr(v) for v in alone])} lies in one cluster: what its cluster does cannot be told from what the "
            "arm does. Use smaller clusters, or leave the arm out."
        )
    if units.max() < 2:
        raise DataError(
            "Two clusters, both with rows in both arms: their variance is not estimable. Use smaller clusters."
        )


def warn_of_few_clusters(
    cluster: ArrayLike | None, codes: NDArray[np.int64], labels: pd.Index, stacklevel: int
) -> None:
    """Warn of arms with few clusters; `stacklevel` as of ``warnings.warn``, counted from here."""
    if cluster is None:
        return
    units = row_labels(cluster, len(codes), "cluster")[0]
    for code, label in enumerate(labels):
        n = int(np.count_nonzero(np.bincount(units[codes == code])))
        if n < FEW_CLUSTERS:
            warnings.warn(
                f"Arm {label!r} has {counted(n, 'cluster')}: with fewer than {FEW_CLUSTERS} the interval is too short. Use a "
                "permutation test of the clusters.",
                SmallSampleWarning,
                stacklevel=stacklevel,
            )


def values_of(values: Any, rows: NDArray[Any], n: int, argument: str) -> Any:
    """Give the values of some of n rows; labels are read first, or a missing one in a list would become the text "nan"."""
    if argument in ROW_LABELS:
        row_labels(values, n, argument)
    if np.shape(values)[:1] != (n,):
        raise DataError(
            f"{argument} has shape {np.shape(values)}, the outcome has {counted(n, 'row')}; give one value per row."
        )
    if isinstance(values, pd.DataFrame | pd.Series):
        return values.iloc[rows]
    if isinstance(values, np.ndarray):
        return values[rows]
    return (pd.Series(values) if np.ndim(values) == 1 else pd.DataFrame(values)).iloc[rows]


def units_that_vary(values: NDArray[Any], units: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the units 0…U−1 (subjects, clusters) whose rows differ in `values`."""
    by_unit = pd.Series(values).groupby(units)
    return np.flatnonzero((by_unit.min() != by_unit.max()).to_numpy())


def positive_weights(values: ArrayLike | None, n: int, argument: str = "sample_weight") -> NDArray[np.float64] | None:
    """Give weights as doubles; 0 is refused too: such a row belongs in no arm."""
    weights = row_weights(values, n, argument)
    if weights is not None and not weights.all():
        rows = np.flatnonzero(weights == 0)
        raise DataError(
            f"{argument} is 0 in {counted(len(rows), 'row')} (row {first_of(rows)}): such rows count for nothing. Leave "
            "them out of the outcome and of the arms too."
        )
    return weights


def refuse_arms_without_events(
    events: NDArray[np.int64], labels: pd.Index, cause: str | None, within: str, what: str
) -> None:
    """Refuse arms with no event; `events` (A,) are their numbers, `within` says where they were looked for."""
    without = labels[events == 0]
    if len(without):
        of_cause = "" if cause is None else f" of cause {cause!r}"
        raise TooFewEventsError(
            f"Arm {first_of([repr(v) for v in without])} has no event{of_cause}{within}: {what} is not estimable. Ask for a "
            "longer horizon, or report the counts of the arms."
        )

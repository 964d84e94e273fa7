"""Two arms from a common origin: their risks and restricted times with variances, in strata where asked for.

An arm's number is Σ_s q_s θ_s over strata s, with θ_s from its Kaplan–Meier or Aalen–Johansen curve in the stratum and q_s the
stratum's share of both arms' customers at risk at the origin, taken as known (direct standardisation). Shares of all who ever
entered would be wrong with late entry: who enters late has stayed so far. Without strata it is θ.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.effects.arms import (
    positive_weights,
    read_two_arms,
    refuse_arms_without_events,
    refuse_lone_clusters,
    refuse_subjects_across_arms,
    units_that_vary,
    warn_of_few_clusters,
)
from churnsurv.exceptions import DataError, SmallSampleWarning
from churnsurv.kernels import hazard_functions as kernel
from churnsurv.kernels.nonparametric import RiskTable, kaplan_meier
from churnsurv.kernels.times import Floats, Ints, slack
from churnsurv.messages import confidence_level, counted, first_of, one_number
from churnsurv.nonparametric.groups import GroupRows, from_origin, group_rows
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, refuse_recurrent, row_labels

#: what all causes are called when they are taken as one
ANY_CAUSE = "any cause"


@dataclass(frozen=True, eq=False)
class Cell:
    """One arm in one stratum, from the common origin."""

    arm: int
    name: str
    share: float  #: of the stratum
    rows: GroupRows
    table: RiskTable
    survival: Floats
    marked: Ints  #: (n,) the rows' kinds of event as given, with those that are no leaving

    def refuse_beyond_support(self, horizon: float) -> None:
        """Refuse a horizon past the last time with data, unless everybody has left by then."""
        times, origin = self.table.times, self.rows.origin
        if origin + horizon > times[-1] + slack(times) and self.survival[-1] > 0:
            raise DataError(
                f"Horizon {horizon:g} is past the last time with data of {self.name} ({times[-1] - origin:g} after the "
                f"origin {origin:g}): not estimable. Ask for at most {times[-1] - origin:g}."
            )


@dataclass(frozen=True, eq=False)
class ArmNumbers:
    """One number for each of two arms, the reference first."""

    value: Floats  #: (2,)
    variance: Floats  #: (2,)
    covariance: float  #: not 0 where clusters have rows in both arms
    n: int
    n_events: int


@dataclass(frozen=True, eq=False)
class TwoArms:
    """The cells of two arms, and how their variance is computed."""

    labels: pd.Index  #: the reference first
    cells: tuple[Cell, ...]
    n: tuple[int, int]  #: subjects by arm
    causes: tuple[str, ...]
    robust: bool
    words: tuple[str, ...]  #: what ``method`` says of weights, strata and entry
    level: float

    def risk(self, horizon: float, cause: str | None) -> ArmNumbers:
        """Give the probability of leaving (by the cause) within the horizon."""
        return self._numbers(horizon, cause, area=False, what="the variance of its risk")

    def time_lost(self, horizon: float, cause: str | None) -> ArmNumbers:
        """Give the expected time lost (to the cause) within the horizon."""
        return self._numbers(horizon, cause, area=True, what="the variance of its mean")

    def method(self, estimator: str, interval: str, cause: str | None) -> str:
        """Say how it was estimated."""
        variance = "infinitesimal-jackknife" if self.is_robust(cause) else "Greenwood"
        return "; ".join([estimator, interval, f"{variance} variance", *self.words])

    def named(self, cause: str | None) -> str | None:
        """Give the name of a cause that was asked for; all of them taken as one have none."""
        return None if self.causes == (ANY_CAUSE,) else cause

    def estimator(self, cause: str | None) -> str:
        """Name the curve."""
        return "Kaplan-Meier" if cause is None or len(self.causes) == 1 else "Aalen-Johansen"

    def is_robust(self, cause: str | None) -> bool:
        """Whether the variance is the infinitesimal jackknife; incidences of competing causes always have it."""
        return self.robust or (cause is not None and len(self.causes) > 1)

    def _numbers(self, horizon: float, cause: str | None, *, area: bool, what: str) -> ArmNumbers:
        horizon = one_number(horizon, "horizon")
        if horizon <= 0:
            raise DataError(f"horizon={horizon!r}: give a positive number, e.g. horizon=12.")
        counts = np.ones(len(self.causes), dtype=bool) if cause is None else np.array(self.causes) == cause
        if not counts.any():
            raise DataError(f"Cause {cause!r} is unknown; the outcome has the causes {list(self.causes)}.")
        robust = self.is_robust(cause)
        value, variance, events = np.zeros(2), np.zeros(2), np.zeros(2, dtype=np.int64)
        influence = np.zeros((2, 1 + max(int(cell.rows.cluster.max()) for cell in self.cells)))
        for cell in self.cells:
            cell.refuse_beyond_support(horizon)
            end = cell.rows.origin + horizon
            theta, slopes = kernel.risk_or_time_lost(cell.table, cell.survival, counts, end, area=area)
            value[cell.arm] += cell.share * theta
            if robust:
                of_rows = kernel.row_influence(cell.table, slopes, cell.rows.event, cell.rows.weight)
                influence[cell.arm] += cell.share * np.bincount(cell.rows.cluster, of_rows, influence.shape[1])
            else:
                variance[cell.arm] += cell.share**2 * kernel.multinomial_variance(cell.table, slopes)
            within = cell.rows.stop <= end + slack(cell.table.times)
            counting = np.concatenate(([False], counts))[cell.rows.event]
            events[cell.arm] += int(np.count_nonzero(within & counting))
        refuse_arms_without_events(events, self.labels, self.named(cause), f" within {horizon:g}", what)
        joint = influence @ influence.T if robust else np.diag(variance)
        return ArmNumbers(value, np.diag(joint), float(joint[0, 1]), sum(self.n), int(events.sum()))


def two_arms(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    what: str,
    reference: Any,
    level: float,
    cluster: ArrayLike | None,
    sample_weight: ArrayLike | None,
    strata: ArrayLike | pd.DataFrame | None,
    min_at_risk: int,
    *,
    n_leaving: int | None = None,
    stacklevel: int = 4,
) -> TwoArms:
    """Read two arms and cut them at the first age at which each has enough at risk (in each stratum).

    Kinds of event after the first `n_leaving` are no leaving: they count as censored and are kept in ``Cell.marked``. The
    default `stacklevel` lets warnings point to the line that called the public function that called this one.
    """
    y = as_outcome(y)
    refuse_recurrent(y, what)
    codes, labels = read_two_arms(y, arm, reference)
    refuse_subjects_across_arms(y, codes)
    refuse_lone_clusters(cluster, codes, labels)
    warn_of_few_clusters(cluster, codes, labels, stacklevel)
    weight = positive_weights(sample_weight, len(y))
    level = confidence_level(level)
    least = one_number(min_at_risk, "min_at_risk")
    if least != int(least) or least < 1:
        raise DataError(f"min_at_risk={min_at_risk!r}: give a number of rows, 1 or more.")
    stratum, names = _strata(y, strata)
    size = len(names)
    group = codes * size + stratum
    named = [f"arm {a!r}" + (f" in stratum {s!r}" if strata is not None else "") for a in labels for s in names]
    _refuse_thin_cells(y, group, named, strata is not None)
    parts = list(group_rows(y, group, 2 * size, weight, cluster))
    rows = _from_common_origin(parts, named, int(least), y.from_origin)
    shares = _shares(rows, size)
    leaving = len(y.causes) if n_leaving is None else n_leaving
    cells = tuple(_cell(part, g // size, named[g], shares[g % size], leaving) for g, part in enumerate(rows))
    n = _subjects(y, codes, cells[0].rows.origin)
    _warn_of_emptied(cells, stacklevel)
    words = ["sampling weights"] if weight is not None else []
    words += (
        [f"standardised to the shares of {counted(size, 'stratum')}".replace("stratums", "strata")] if size > 1 else []
    )
    late = bool(np.any(y.entry > 0)) or cells[0].rows.origin > 0
    words += [f"delayed entry, from {cells[0].rows.origin:g}"] if late else []
    return TwoArms(labels, cells, n, y.causes[:leaving], weight is not None or cluster is not None, tuple(words), level)


def _strata(y: Outcome, strata: ArrayLike | pd.DataFrame | None) -> tuple[Ints, pd.Index]:
    """Give the stratum of each row and the labels."""
    if strata is None:
        return np.zeros(len(y), dtype=np.int64), pd.Index(["all"])
    stratum, names = row_labels(strata, len(y), "strata")
    subject = pd.factorize(y.subject)[0]
    moving = units_that_vary(stratum, subject)
    if len(moving):
        raise DataError(
            f"{counted(len(moving), 'subject')} with rows in several strata (rows "
            f"{first_of(np.flatnonzero(subject == moving[0]))}): what changes after time zero may be changed by the arm. Give "
            "each subject its stratum at time zero."
        )
    return stratum, names


def _shares(rows: list[GroupRows], size: int) -> list[float]:
    """Give the strata's shares (by weight) of those at risk at the origin, of both arms."""
    there = np.array([part.weight[part.entry <= part.origin].sum() for part in rows]).reshape(-1, size).sum(axis=0)
    return [float(share) for share in there / there.sum()]


def _refuse_thin_cells(y: Outcome, group: Ints, named: list[str], stratified: bool) -> None:
    if not stratified:
        return
    subjects = pd.Series(y.subject).groupby(group).nunique().reindex(range(len(named)), fill_value=0)
    thin = [name for name, n in zip(named, subjects, strict=True) if n < 2]
    if thin:
        raise DataError(
            f"There are fewer than two customers of {first_of(thin)}: the arms cannot be compared there. Join strata, or "
            "leave these out."
        )


def _from_common_origin(parts: list[GroupRows], named: list[str], least: int, closed: bool) -> list[GroupRows]:
    """Cut all cells at the first age from which each has enough at risk."""
    origin = None
    while True:  # the origin rises through ages of entry until all begin at it
        cut = [
            from_origin(p, name[0].upper() + name[1:], least, origin, closed)
            for p, name in zip(parts, named, strict=True)
        ]
        latest = max(rows.origin for rows in cut)
        if all(rows.origin == latest for rows in cut):
            return cut
        origin = latest


def _cell(rows: GroupRows, arm: int, name: str, share: float, n_causes: int) -> Cell:
    leaves = replace(rows, event=np.where(rows.event > n_causes, 0, rows.event))
    table = leaves.risk_table(n_causes)
    return Cell(arm, name, share, leaves, table, kaplan_meier(table).survival, rows.event)


def _subjects(y: Outcome, codes: Ints, origin: float) -> tuple[int, int]:
    """Count the subjects of each arm that are watched after the origin."""
    there = (y.stop > origin) | (y.from_origin & (origin == 0))
    reference, other = (len(pd.unique(y.subject[there & (codes == k)])) for k in (0, 1))
    return reference, other


def _warn_of_emptied(cells: tuple[Cell, ...], stacklevel: int) -> None:
    early = [cell.name for cell in cells if np.any(cell.survival[:-1] == 0)]
    if early:
        warnings.warn(
            f"The curve in {first_of(early)} falls to 0 while customers enter later: everybody of a small early risk set "
            "left. Begin where more are at risk: min_at_risk=20, say.",
            SmallSampleWarning,
            stacklevel=stacklevel,
        )

"""Customers at the time of their assignment: one arm, one set of covariates and one time zero each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.effects.propensity_fit import Arms, arm_position, read_arm_labels
from churnsurv.exceptions import DataError, NotIdentifiedError, TooFewEventsError
from churnsurv.kernels.times import slack
from churnsurv.messages import counted, first_of, one_number
from churnsurv.outcome import Outcome
from churnsurv.rows import refuse_recurrent, row_labels

Ints = NDArray[np.int64]


class Assigned(NamedTuple):
    """An outcome with its arms; subjects may have several rows that follow each other."""

    y: Outcome
    arms: Arms  #: of the subjects' first rows
    target: int  #: position of the arm compared with the reference, which is 0
    first: Ints  #: (m,) position of the first row of each subject
    subject: Ints  #: (n,) position of each row's subject in `first`
    origin: float  #: time zero: the time from which everybody is watched

    @property
    def code(self) -> Ints:
        """Arm of each row."""
        return self.arms.code[self.subject]

    @property
    def unit(self) -> Ints:
        """Customer of each row."""
        return self.arms.unit[self.subject]

    @property
    def n_compared(self) -> int:
        """Subjects in the arm or in the reference, those whose events are counted."""
        return int(np.count_nonzero(np.isin(self.arms.code, (0, self.target))))

    @property
    def pair(self) -> tuple[Any, Any]:
        """Labels of the arm and of the reference."""
        return self.arms.labels[self.target], self.arms.labels[0]


def read_assigned(
    y: Outcome, arm: ArrayLike, cluster: ArrayLike | None, reference: Any, treated: Any, what: str
) -> Assigned:
    """Check that subjects are in one arm from a common time zero, and give their first rows."""
    refuse_recurrent(y, what)
    n = len(y)
    if np.shape(arm) != (n,):
        raise DataError(f"arm has shape {np.shape(arm)}, the outcome has {counted(n, 'row')}; give one value per row.")
    subject = pd.factorize(y.subject, sort=True)[0].astype(np.int64)
    order = np.lexsort((y.start, subject))
    first = order[np.flatnonzero(np.diff(subject[order], prepend=-1))]
    held = arm.reset_index(drop=True) if isinstance(arm, pd.Series) else pd.Series(arm)
    if len(first) < n:
        of_row = row_labels(held, n, "arm")[0]
        moved = np.flatnonzero(of_row != of_row[first][subject])
        if len(moved):
            raise DataError(
                f"{counted(len(np.unique(subject[moved])), 'subject')} changes arm (row {first_of(moved)}): time before the "
                "change would count for neither. Give each subject the arm it was assigned at time zero, and see "
                "ImmortalTimeError's remedies for treatments that begin later."
            )
    clusters = None if cluster is None else pd.Series(np.asarray(cluster))
    if clusters is not None and len(clusters) != n:
        raise DataError(f"cluster has {len(clusters):,} values, the outcome has {counted(n, 'row')}; give one per row.")
    arms = read_arm_labels(held.iloc[first], len(first), None if clusters is None else clusters.iloc[first], reference)
    if treated is None and len(arms.labels) > 2:
        raise DataError(
            f"There are {len(arms.labels)} arms ({first_of([repr(v) for v in arms.labels])}): name the one to compare with "
            f"{arms.labels[0]!r} by treated=."
        )
    target = 1 if treated is None else arm_position(arms.labels, treated, "treated")
    if target == 0:
        raise DataError(f"treated={treated!r} is the reference: give another arm, or another reference.")
    start = y.entry[first]
    return Assigned(y, arms, target, first, subject, max(float(start.min()), 0.0))


def refuse_late_entry(assigned: Assigned, what: str) -> None:
    """Refuse subjects that are watched only from some time after their assignment."""
    start = assigned.y.entry[assigned.first]
    late = np.flatnonzero(start > start.min() + slack(np.unique(assigned.y.stop)))
    if len(late):
        raise NotIdentifiedError(
            f"{counted(len(late), 'subject')} of {len(start):,} is watched only from some time after time zero (row "
            f"{first_of(assigned.first[late])}). {what} models who got which arm; those who left before they were watched are "
            "missing, more of them in the arm that leaves sooner, so their probabilities cannot be learnt from the others. "
            "Let the clock start at the assignment and keep all who were assigned, or use standardised_effect with a Cox "
            "model, whose risk sets account for late entry."
        )


def checked_horizon(assigned: Assigned, horizon: float, used: NDArray[np.bool_]) -> float:
    """Give the time of the horizon; past the follow-up of an arm it is refused. `used` (n,): rows with weight."""
    length = one_number(horizon, "horizon")
    if length <= 0:
        raise DataError(f"horizon={horizon!r}: give a positive number, e.g. horizon=12.")
    end = assigned.origin + length
    for k in (0, assigned.target):
        mine = used & (assigned.code == k)
        stop = assigned.y.stop[mine]
        last = float(stop.max())
        all_left = bool(np.all(assigned.y.event[mine & (assigned.y.stop == last)] > 0))
        if end > last + slack(np.unique(stop)) and not all_left:
            raise DataError(
                f"Horizon {length:g} is past the last time with data of arm {assigned.arms.labels[k]!r} "
                f"({last - assigned.origin:g}): not estimable. Ask for at most {last - assigned.origin:g}."
            )
    return end


def events_of_arms(
    assigned: Assigned, event: NDArray[np.bool_], end: float, used: NDArray[np.bool_], cause: str | None
) -> int:
    """Count the events of both arms by `end`; an arm without is refused."""
    until = event & used & (assigned.y.stop <= end + slack(np.unique(assigned.y.stop)))
    total = 0
    for k in (0, assigned.target):
        count = int(np.count_nonzero(until & (assigned.code == k)))
        if count == 0:
            raise TooFewEventsError(
                f"Arm {assigned.arms.labels[k]!r} has no event{f' of cause {cause!r}' if cause else ''} in the period: no "
                "effect can be estimated. Ask for a longer horizon, or report the counts of the arms."
            )
        total += count
    return total

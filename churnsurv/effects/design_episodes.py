"""Rows cut at the start of a treatment, so that no time before it counts for the treated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, ImmortalTimeError
from churnsurv.messages import counted, first_of, numeric_column
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, refuse_recurrent, row_labels


def treatment_episodes(
    X: pd.DataFrame, y: Outcome | NDArray[Any], treatment_start: ArrayLike, *, arm: ArrayLike | None = None,
    control: Any = None,
) -> tuple[pd.DataFrame, Outcome, NDArray[np.bool_]]:  # fmt: skip
    """Cut rows at the start of a treatment: untreated before, treated after, so that no time is immortal.

    Parameters
    ----------
    X : DataFrame (n, p)
    y : Outcome, of n rows
        One row per subject, or start–stop rows.
    treatment_start : (n,)
        On the clock of y; NaN or infinite: never. The same in all rows of a subject.
    arm : (n,), optional
        Groups that somebody has formed, which are checked: a row of another group than `control` whose treatment begins after
        the row does is sorted by the future.
    control : label
        Of the untreated, with `arm`.

    Returns
    -------
    tuple
        X and y of the episodes, and whether each is treated.

    Raises
    ------
    ImmortalTimeError
        See `arm`.
    DataError
        Treatment before the subject enters, or after the exit; dates that differ between rows of a subject; nobody treated or
        untreated.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> X = pd.DataFrame({"rate": [4.0, 5.5, 5.0]})
    >>> y = cs.Outcome(stop=[4, 5, 9], event=[1, 1, 0])
    >>> X, y, treated = cs.effects.treatment_episodes(X, y, [np.nan, 2, 3])
    >>> y.start.tolist(), y.stop.tolist(), treated.tolist()
    ([0.0, 0.0, 2.0, 0.0, 3.0], [4.0, 2.0, 5.0, 3.0, 9.0], [False, False, True, False, True])
    """
    if not isinstance(X, pd.DataFrame):
        raise DataError(f"X is a {type(X).__name__}: give a DataFrame, a row for each row of the outcome.")
    outcome = as_outcome(y)
    refuse_recurrent(outcome, "A treatment that begins once")
    begin = numeric_column(np.asarray(treatment_start), "treatment_start")
    if begin.shape != (len(outcome),) or len(X) != len(outcome):
        raise DataError(
            f"treatment_start has shape {begin.shape}, X {len(X):,} rows, the outcome {len(outcome):,}: give one per row."
        )
    begin = np.where(np.isnan(begin), np.inf, begin)
    if arm is not None:
        _refuse_future_arms(outcome, begin, arm, control)
    by_subject = pd.DataFrame({"begin": begin, "start": outcome.start, "stop": outcome.stop, "event": outcome.event})
    by_subject = by_subject.groupby(outcome.subject).agg(
        begin=("begin", "min"),
        most=("begin", "max"),
        start=("start", "min"),
        stop=("stop", "max"),
        event=("event", "max"),
    )
    _refuse_starts(by_subject)
    inside = (begin > outcome.start) & (begin < outcome.stop)
    rows = np.repeat(np.arange(len(outcome)), 1 + inside)
    second = np.concatenate(([False], rows[1:] == rows[:-1]))
    first = inside[rows] & ~second
    coded = Outcome(
        stop=np.where(first, begin[rows], outcome.stop[rows]),
        event=np.where(first, 0, outcome.event[rows]),
        start=np.where(second, begin[rows], outcome.start[rows]),
        subject=outcome.subject[rows],
        causes=outcome.causes,
    )
    return X.iloc[rows].reset_index(drop=True), coded, np.asarray(coded.start >= begin[rows])


def _refuse_future_arms(y: Outcome, begin: NDArray[np.float64], arm: ArrayLike, control: Any) -> None:
    codes, labels = row_labels(arm, len(y), "arm")
    if control not in labels:
        raise DataError(f"control={control!r} is no arm; the arms are {first_of(map(repr, labels))}.")
    future = np.flatnonzero((labels.to_numpy()[codes] != control) & (begin > y.start))
    if len(future):
        raise ImmortalTimeError(
            f"{counted(len(future), 'row')} (row {first_of(future)}) of arm {labels[codes[future[0]]]!r} were treated "
            "only after time zero: sorted by the future, their arm gets time in which they could not have left. Leave "
            "arm= out: rows are then untreated until the treatment begins; or choose a Landmark."
        )


def _refuse_starts(subjects: pd.DataFrame) -> None:
    treated = np.isfinite(subjects["begin"])
    moved = subjects.index[(subjects["begin"] != subjects["most"]).to_numpy()]
    if len(moved):
        raise DataError(
            f"treatment_start differs between the rows of {counted(len(moved), 'subject')} ({first_of(moved)}): give "
            "one date each."
        )
    late = subjects.index[treated & (subjects["begin"] > subjects["stop"]) & (subjects["event"] > 0)]
    if len(late):
        raise DataError(
            f"{counted(len(late), 'subject')} treated after the exit (subject {first_of(late)}): correct treatment_start."
        )
    early = subjects.index[treated & (subjects["begin"] < subjects["start"])]
    if len(early):
        raise DataError(
            f"{counted(len(early), 'subject')} treated before entry (subject {first_of(early)}): who left soon after the "
            "treatment is not among them. Begin earlier, or leave them out."
        )
    reached = treated & (subjects["begin"] < subjects["stop"])
    if not reached.any() or (reached.all() and (subjects["begin"] <= subjects["start"]).all()):
        who = "treated while at risk" if not reached.any() else "untreated at any time"
        raise DataError(f"Nobody is {who}: there is nothing to compare.")

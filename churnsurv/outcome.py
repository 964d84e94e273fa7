"""Outcome: what happened, to whom, from when to when.

One row is one interval (start, stop] during which one subject (a loan) is under observation; ``event`` says how it
ended: 0 censored, k = left by ``causes[k - 1]``. The frame of covariates travels beside it, row for row.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, MissingDataWarning
from churnsurv.messages import counted, first_of, time_column
from churnsurv.outcome_checks import cause_codes, checked_parts

Missing = Literal["raise", "drop"]


@dataclass(frozen=True, repr=False, eq=False)
class Outcome:
    """Checked intervals with their endings, the ``y`` of every estimator, metric and test.

    Parameters
    ----------
    stop : array of n
        End of the interval, on the scale of the analysis (loan age in months for models, time since assignment for
        intervention effects). Times that differ by rounding alone are made one time.
    event : array of n
        0 censored, 1…K index into `causes`.
    start : array of n, optional
        Begin of the interval: the subject is at risk on (start, stop]. ``None``: at risk from the origin, which is
        then included, so that ``stop = 0`` is legal.
    subject : array of n, optional
        Whose interval it is; default: every row is a subject of its own.
    causes : tuple of str
        Names of the K ways to leave.
    recurrent : bool
        Subjects may have events before their last interval (Cox and Nelson–Aalen only).

    Raises
    ------
    DataError
        Values that are not finite, negative times, start ≥ stop, codes without a name, intervals of one subject that
        overlap, intervals after the event.

    Examples
    --------
    >>> from churnsurv import Outcome
    >>> y = Outcome(stop=[5, 8, 12], event=[1, 0, 2], causes=("attrition", "default"))
    >>> len(y), y.n_events
    (3, 2)
    """

    stop: NDArray[np.float64]
    event: NDArray[np.int64]
    start: NDArray[np.float64]
    subject: NDArray[Any]
    causes: tuple[str, ...]
    recurrent: bool
    from_origin: bool

    def __init__(
        self,
        stop: ArrayLike,
        event: ArrayLike,
        start: ArrayLike | None = None,
        subject: ArrayLike | None = None,
        causes: Sequence[str] = ("event",),
        recurrent: bool = False,
    ) -> None:
        names = {"stop": "stop", "event": "event", "start": "start", "subject": "subject"}
        self._assign(*checked_parts(stop, event, start, subject, causes, recurrent, names))

    def _assign(
        self,
        stop: NDArray[np.float64],
        event: NDArray[np.int64],
        start: NDArray[np.float64],
        subject: NDArray[Any],
        causes: tuple[str, ...],
        recurrent: bool,
        from_origin: bool,
    ) -> None:
        fields = (stop, event, start, subject, causes, recurrent, from_origin)
        for name, value in zip(self.__dataclass_fields__, fields, strict=True):
            if isinstance(value, np.ndarray):
                value = value.view()
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    @classmethod
    def from_frame(
        cls,
        df: pd.DataFrame,
        *,
        stop: str,
        event: str,
        start: str | None = None,
        subject: str | None = None,
        causes: Mapping[Any, str] | Sequence[str] | None = None,
        censored: Any = 0,
        missing: Missing = "raise",
    ) -> Outcome:
        """Build an outcome from columns of a frame.

        Parameters
        ----------
        df : DataFrame
            One row per interval.
        stop, event, start, subject : str
            Names of the columns.
        causes : mapping or sequence, optional
            Raw value → name of the cause (several values may share a name), or the names of the raw values 1…K.
            Default: 1 (or True) is the only cause, "event".
        censored : value or list of values
            Raw values that mean: still under observation at ``stop``.
        missing : {"raise", "drop"}
            What to do with rows in which one of the columns is missing. After ``"drop"`` rows correspond to
            ``df.dropna(subset=[the columns])``; the count is given in a :class:`MissingDataWarning`.

        Examples
        --------
        >>> import pandas as pd
        >>> from churnsurv import Outcome
        >>> df = pd.DataFrame({"age": [5, 8, 12], "status": ["paid off", "open", "charged off"]})
        >>> y = Outcome.from_frame(df, stop="age", event="status", censored="open",
        ...                        causes={"paid off": "attrition", "charged off": "default"})
        >>> y.causes
        ('attrition', 'default')
        """
        names = {"stop": stop, "event": event, "start": start, "subject": subject}
        given = [name for name in names.values() if name is not None]
        absent = [name for name in given if name not in df.columns]
        if absent:
            raise DataError(f"No column {absent[0]!r} in the frame; its columns are {first_of(df.columns, 12)}.")
        if missing not in ("raise", "drop"):
            raise DataError(f"missing={missing!r} is not known: use 'raise' or 'drop'.")
        if missing == "drop":
            kept = df.dropna(subset=given)
            if len(kept) < len(df):
                warnings.warn(
                    f"{counted(len(df) - len(kept), 'row')} of {len(df):,} dropped: a value of {given} is missing.",
                    MissingDataWarning,
                    stacklevel=2,
                )
            df = kept
        codes, cause_names = cause_codes(df[event], event, causes, censored)
        outcome = cls.__new__(cls)
        outcome._assign(
            *checked_parts(
                time_column(df[stop], stop),
                codes,
                None if start is None else time_column(df[start], start),
                None if subject is None else df[subject].to_numpy(),
                cause_names,
                False,
                names,
            )
        )
        return outcome

    @classmethod
    def from_sksurv(cls, y: NDArray[Any]) -> Outcome:
        """Build an outcome from scikit-survival's structured array (a boolean field, then a time field)."""
        fields = getattr(y, "dtype", np.dtype(float)).names
        if fields is None or len(fields) != 2 or y.dtype[0] != np.bool_:
            raise DataError(
                "y is not an Outcome nor a structured array of (boolean event, time) as scikit-survival makes it. "
                "Build one with churnsurv.Outcome(stop, event) or Outcome.from_frame(df, stop=..., event=...)."
            )
        return cls(stop=y[fields[1]], event=y[fields[0]].astype(np.int64))

    def to_sksurv(self, cause: str | None = None) -> NDArray[Any]:
        """Give scikit-survival's structured array; other causes become censored. Refused with entry times."""
        if not self.from_origin and bool(np.any(self.start > 0)):
            raise DataError(
                "scikit-survival knows no entry times: with them left out the answer would be wrong. "
                "Use churnsurv's own estimator, or a landmark cohort (churnsurv.data.landmark)."
            )
        left = self.event > 0 if cause is None else self.event == self.cause_code(cause)
        return np.array(list(zip(left, self.stop, strict=True)), dtype=[("event", bool), ("time", float)])

    def to_frame(self) -> pd.DataFrame:
        """Give the columns start, stop, event and subject as a frame."""
        return pd.DataFrame({"start": self.start, "stop": self.stop, "event": self.event, "subject": self.subject})

    @property
    def shape(self) -> tuple[int]:
        """Number of rows, as arrays give it."""
        return (len(self.stop),)

    @property
    def entry(self) -> NDArray[np.float64]:
        """Start of the time at risk, −∞ for rows at risk from the closed origin: at risk at t when entry < t ≤ stop."""
        return np.full(len(self), -np.inf) if self.from_origin else self.start

    @property
    def n_events(self) -> int:
        """Number of events of any cause."""
        return int(np.count_nonzero(self.event))

    @property
    def n_subjects(self) -> int:
        """Number of different subjects."""
        return len(pd.unique(self.subject))

    def cause_code(self, cause: str) -> int:
        """Give the code (1…K) of a named cause."""
        if cause not in self.causes:
            raise DataError(f"Cause {cause!r} is unknown; the outcome has the causes {list(self.causes)}.")
        return self.causes.index(cause) + 1

    def only(self, cause: str) -> Outcome:
        """Give the outcome of one cause: events of the others are censored (cause-specific hazard)."""
        event = (self.event == self.cause_code(cause)).astype(np.int64)
        return self._with(self.stop, event, self.start, self.subject, (cause,))

    def resample(self, subjects: ArrayLike) -> Outcome:
        """Give the intervals of the listed subjects, once per mention; the copies are labelled 0, 1, 2, … as listed.

        The rows are in the order of :meth:`rows_of`, which also selects the covariates:
        ``X.iloc[y.rows_of(subjects)], y.resample(subjects)``.
        """
        rows, copy = self._rows_and_copies(np.asarray(subjects))
        return self._with(self.stop[rows], self.event[rows], self.start[rows], copy, self.causes)

    def rows_of(self, subjects: ArrayLike) -> NDArray[np.int64]:
        """Give the positions of the rows of the listed subjects, once per mention."""
        return self._rows_and_copies(np.asarray(subjects))[0]

    def _rows_and_copies(self, subjects: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        codes, labels = pd.factorize(self.subject)
        wanted = pd.Index(labels).get_indexer(pd.Index(subjects))
        if np.any(wanted < 0):
            raise DataError(f"Unknown subject {subjects[wanted < 0][0]}: resample takes labels of `subject`.")
        by_subject = np.argsort(codes, kind="stable")
        counts = np.bincount(codes, minlength=len(labels))
        first = np.concatenate(([0], np.cumsum(counts)))[wanted]
        n_rows = counts[wanted]
        copy = np.repeat(np.arange(len(wanted)), n_rows)
        within = np.arange(len(copy)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
        return by_subject[np.repeat(first, n_rows) + within], copy

    def _with(
        self,
        stop: NDArray[np.float64],
        event: NDArray[np.int64],
        start: NDArray[np.float64],
        subject: NDArray[Any],
        causes: tuple[str, ...],
    ) -> Outcome:
        made = Outcome.__new__(Outcome)
        made._assign(stop, event, start, subject, causes, self.recurrent, self.from_origin)
        return made

    def __len__(self) -> int:
        return len(self.stop)

    def __getitem__(self, key: Any) -> Outcome:
        # scikit-learn selects rows of array-likes with y[key, ...]
        rows = key[0] if isinstance(key, tuple) else key
        if np.isscalar(rows):
            rows = [rows]
        return self._with(self.stop[rows], self.event[rows], self.start[rows], self.subject[rows], self.causes)

    def __repr__(self) -> str:
        counts = np.bincount(self.event, minlength=len(self.causes) + 1)
        endings = ", ".join(f"{name} {n:,}" for name, n in zip(("censored", *self.causes), counts, strict=True))
        entry = "from the origin" if self.from_origin else "with entry times"
        return f"Outcome of {counted(len(self), 'row')}, {counted(self.n_subjects, 'subject')}, {entry}: {endings}"

"""Outcome: what happened, to whom, from when to when.

One row is one interval (start, stop] during which one subject (a loan) is under observation; ``event`` says how it
ended: 0 censored, k = left by ``causes[k - 1]``. The frame of covariates travels beside it, row for row.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, MissingDataWarning, ZeroDurationWarning
from churnsurv.kernels.times import snap_ties
from churnsurv.messages import counted, first_of, time_column

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
        self._assign(*_checked(stop, event, start, subject, causes, recurrent, names))

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
        codes, cause_names = _cause_codes(df[event], event, causes, censored)
        outcome = cls.__new__(cls)
        outcome._assign(
            *_checked(
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
            raise DataError(f"Unknown subject {subjects[wanted < 0][0]!r}: resample takes labels of `subject`.")
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


def _cause_codes(
    raw: pd.Series, column: str, causes: Mapping[Any, str] | Sequence[str] | None, censored: Any
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Translate raw endings into 0…K; every raw value must be explained by `causes` or `censored`."""
    if raw.isna().any():
        where = np.flatnonzero(raw.isna())
        raise DataError(
            f"Column {column!r} has {counted(len(where), 'missing value')} (row {first_of(where)}). "
            "Drop them (missing='drop'), or code them."
        )
    if isinstance(causes, str):
        raise DataError(f"causes={causes!r} is text; give a list of names, or a mapping raw value → name.")
    if causes is None:
        mapping: dict[Any, str] = {1: "event"}
    elif isinstance(causes, Mapping):
        mapping = dict(causes)
    else:
        mapping = dict(enumerate(causes, start=1))
    names = tuple(dict.fromkeys(mapping.values()))
    stay = list(censored) if isinstance(censored, list | tuple | set | np.ndarray) else [censored]
    code_of = {value: names.index(name) + 1 for value, name in mapping.items()} | dict.fromkeys(stay, 0)
    codes = raw.map(code_of)
    unexplained = np.flatnonzero(codes.isna())
    if len(unexplained):
        values = sorted(pd.unique(raw.iloc[unexplained]).tolist(), key=str)
        raise DataError(
            f"Column {column!r} holds {first_of([repr(v) for v in values])} in {counted(len(unexplained), 'row')} "
            f"(row {first_of(unexplained)}), which neither `causes` ({first_of([repr(v) for v in mapping])}) nor "
            f"`censored` ({first_of([repr(v) for v in stay])}) explains. Name every ending, e.g. "
            f"causes={{{values[0]!r}: 'attrition'}}, or list it in censored=[...]."
        )
    return codes.to_numpy(dtype=np.int64), names


def _checked(
    stop: ArrayLike,
    event: ArrayLike,
    start: ArrayLike | None,
    subject: ArrayLike | None,
    causes: Sequence[str],
    recurrent: bool,
    names: Mapping[str, str | None],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[Any], tuple[str, ...], bool, bool]:
    """Check the parts of an outcome and give them in the order of its fields."""
    if isinstance(causes, str) or not causes or len(set(causes)) < len(causes):
        raise DataError(f"causes={causes!r}: give one different name per code, such as ('attrition', 'default').")
    column = {key: name or key for key, name in names.items()}
    stop_ = _times(stop, column["stop"])
    n = len(stop_)
    if n == 0:
        raise DataError("0 rows: there is nothing to analyse. Was everything filtered out before?")
    start_ = np.zeros(n) if start is None else _times(start, column["start"])
    event_ = _event_codes(event, column["event"], tuple(causes))
    subject_ = np.arange(n) if subject is None else np.asarray(subject)
    for key, array in (("start", start_), ("event", event_), ("subject", subject_)):
        if array.shape != (n,):
            raise DataError(
                f"{column[key]!r} has shape {array.shape}, {column['stop']!r} has {n:,} rows; they must match."
            )
    start_, stop_ = cast(tuple[Any, Any], snap_ties(start_, stop_))
    if start is not None and np.any(start_ >= stop_):
        bad = np.flatnonzero(start_ >= stop_)
        raise DataError(
            f"{counted(len(bad), 'row')} with start >= stop (id {subject_[bad[0]]}: {start_[bad[0]]:g} >= "
            f"{stop_[bad[0]]:g}; rows {first_of(bad)}). Intervals are (start, stop]: leave such rows out, or move the "
            "exit of a loan that leaves in its month of entry to the end of that month."
        )
    at_zero = np.flatnonzero((stop_ == 0) & (event_ > 0))
    if len(at_zero):
        warnings.warn(
            f"{counted(len(at_zero), 'event')} at time 0 (row {first_of(at_zero)}): kept, at risk at time 0.",
            ZeroDurationWarning,
            stacklevel=3,
        )
    if subject is not None:
        _check_subjects(subject_, start_, stop_, event_, recurrent, column["subject"])
    return stop_, event_, start_, subject_, tuple(causes), bool(recurrent), start is None


def _times(values: ArrayLike, column: str) -> NDArray[np.float64]:
    times = time_column(values, column)
    if times.ndim != 1:
        raise DataError(f"{column!r} has {times.ndim} dimensions; give one time per row.")
    for kind, bad in (("missing", np.isnan(times)), ("infinite", np.isinf(times)), ("negative", times < 0)):
        if bad.any():
            rows = np.flatnonzero(bad)
            remedy = (
                "Does the exit lie before the origin?" if kind == "negative" else "Correct or leave out these rows."
            )
            raise DataError(
                f"{column!r} has {counted(len(rows), f'{kind} value')} (row {first_of(rows)}; {times[rows[0]]:g}). {remedy}"
            )
    return times


def _event_codes(values: ArrayLike, column: str, causes: tuple[str, ...]) -> NDArray[np.int64]:
    raw = np.asarray(values)
    if raw.dtype.kind not in "biuf":
        seen = first_of([repr(v) for v in pd.unique(pd.Series(raw.ravel()))])
        raise DataError(
            f"{column!r} is not numeric (it holds {seen}). Use Outcome.from_frame(..., causes={{raw value: name}}, "
            "censored=raw value) to say what the values mean."
        )
    if raw.dtype.kind == "f" and np.isnan(raw).any():
        where = np.flatnonzero(np.isnan(raw))
        raise DataError(f"{column!r} has {counted(len(where), 'missing value')} (row {first_of(where)}).")
    legal = (raw >= 0) & (raw <= len(causes)) & (raw == np.floor(raw))
    if not legal.all():
        values_seen = ", ".join(f"{v:g}" for v in np.unique(raw)[:8])
        raise DataError(
            f"{column!r} has the values {{{values_seen}}}, but with {counted(len(causes), 'cause')} {list(causes)} "
            f"only 0 (censored) to {len(causes)} are explained (row {first_of(np.flatnonzero(~legal))}). "
            "Name every cause in `causes`, or code the others as 0."
        )
    return raw.astype(np.int64)


def _check_subjects(
    subject: NDArray[Any],
    start: NDArray[np.float64],
    stop: NDArray[np.float64],
    event: NDArray[np.int64],
    recurrent: bool,
    column: str,
) -> None:
    """Refuse intervals of a subject that overlap or follow its event. O(n) when rows are grouped, else O(n log n)."""
    codes, labels = pd.factorize(subject)
    if np.any(codes < 0):
        raise DataError(
            f"{column!r} is missing in row {first_of(np.flatnonzero(codes < 0))}; every row needs an owner."
        )
    if len(labels) == len(codes):
        return
    same = codes[1:] == codes[:-1]
    in_order = np.all(codes[1:] >= codes[:-1]) and np.all(start[1:][same] >= start[:-1][same])
    order = np.arange(len(codes)) if in_order else np.lexsort((start, codes))
    i, j = order[:-1], order[1:]
    same = codes[i] == codes[j]
    overlap = np.flatnonzero(same & (start[j] < stop[i]))
    if len(overlap):
        a, b = i[overlap[0]], j[overlap[0]]
        raise DataError(
            f"{column} {subject[a]} is at risk twice on ({start[b]:g}, {min(stop[a], stop[b]):g}]: rows {a}, {b} "
            f"({counted(len(overlap), 'overlap')} in all). Correct the intervals, or give the rows different "
            "subjects and pass cluster=."
        )
    later = np.flatnonzero(same & (event[i] > 0))
    if len(later) and not recurrent:
        a, b = i[later[0]], j[later[0]]
        raise DataError(
            f"{column} {subject[a]} has rows after its event at {stop[a]:g} (row {b}; "
            f"{counted(len(later), 'such row')} in all). Leave them out, or allow several events with recurrent=True."
        )

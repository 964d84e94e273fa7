"""The checks behind :class:`churnsurv.outcome.Outcome`: what is legal, and the words for what is not."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, ZeroDurationWarning
from churnsurv.kernels.times import snap_ties
from churnsurv.messages import counted, first_of, time_column


def cause_codes(
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
    both = [v for v in stay if v in mapping]
    if both:
        raise DataError(
            f"The value {both[0]!r} of {column!r} is named in `causes` and in `censored` (whose default is 0). Say what means "
            "still under observation, e.g. censored='open', or censored=[] if every row ends in an exit."
        )
    if pd.api.types.infer_dtype(raw) == "boolean":
        raw = raw.astype(int)
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


def checked_parts(
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

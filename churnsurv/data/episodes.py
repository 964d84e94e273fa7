r"""Rows (start, stop] cut at times, for effects that change with time: x × g(t), or a coefficient of its own per period.

In a Cox model only the event times matter: with a row cut at every event time of its stratum at which it is at risk, a
column may take another value in every risk set, and :math:`x\,g(t)` with g at the end of the episode is exactly R's
``tt(x)``. Cutting at the borders of a few periods is enough for a coefficient per period (R's ``survSplit``). Neither
changes the likelihood of the columns that stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.features import feature_frame
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of, numeric_column
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, meant_times, row_labels

Floats = NDArray[np.float64]
#: times at which rows are cut
Cuts = Literal["events"] | Sequence[float] | NDArray[np.float64]
#: rows beyond which a split is refused unless asked for
MOST_ROWS = 20_000_000


class Episodes(NamedTuple):
    """Covariates and outcome of the episodes, and for each the position of the row it is a part of.

    ``rows`` carries what is not in X over: ``sample_weight=weight[episodes.rows]``.
    """

    X: pd.DataFrame
    y: Outcome
    rows: NDArray[np.int64]


class _Grid(NamedTuple):
    """Sorted times of all strata one after another, and for each row the part of them strictly within it."""

    times: Floats
    low: NDArray[np.int64]
    high: NDArray[np.int64]


def count_episodes(
    y: Outcome | NDArray[Any], at: Cuts = "events", *, strata: ArrayLike | pd.DataFrame | None = None,
    cause: str | None = None,
) -> int:  # fmt: skip
    """Give the number of rows that :func:`split_episodes` would make (`strata` an array), without making them.

    Examples
    --------
    >>> import churnsurv as cs
    >>> cs.data.count_episodes(cs.Outcome(stop=[2, 5, 9], event=[1, 1, 0]), at=[3])
    5
    """
    outcome = as_outcome(y)
    grid = _grid(outcome, at, strata, cause)
    return int(np.sum(grid.high - grid.low + 1))


def split_episodes(
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    at: Cuts = "events",
    *,
    strata: str | Sequence[str] | ArrayLike | pd.DataFrame | None = None,
    cause: str | None = None,
    max_rows: int = MOST_ROWS,
) -> Episodes:
    """Cut rows (start, stop] at times; the event stays with the last episode of its row.

    Parameters
    ----------
    X : frame or array (n, p)
    y : Outcome
        Subjects are kept: the episodes of one customer share theirs.
    at : "events" or sequence of float
        Every event time (of the stratum), or given times.
    strata : array of n, or name(s) of column(s) of X, optional
        Those of the fit: rows are then cut only at event times of their own stratum, which is far fewer.
    cause : str, optional
        Only its events are cut at; default: those of any cause.
    max_rows : int
        A split into more is refused, with its size, before memory is taken.

    Returns
    -------
    Episodes
        X, y, and the positions of the rows cut.

    Raises
    ------
    DataError
        Too many rows; events at time 0; times that are not finite.

    References
    ----------
    Therneau and Grambsch (2000), Modeling Survival Data, section 3.7; Therneau, Crowson and Atkinson (2024), the vignette
    "timedep" of R's survival.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate": [4.0, 5.5, 5.0]})
    >>> X2, y2, rows = cs.data.split_episodes(X, cs.Outcome(stop=[2, 5, 9], event=[1, 1, 0]), at=[3])
    >>> y2.to_frame()[["start", "stop", "event", "subject"]].values.tolist()
    [[0.0, 2.0, 1.0, 0.0], [0.0, 3.0, 0.0, 1.0], [3.0, 5.0, 1.0, 1.0], [0.0, 3.0, 0.0, 2.0], [3.0, 9.0, 0.0, 2.0]]
    """
    frame, outcome = feature_frame(X), as_outcome(y)
    if len(frame) != len(outcome):
        raise DataError(
            f"X has {counted(len(frame), 'row')}, y has {counted(len(outcome), 'row')}; they must match row for row."
        )
    named = [strata] if isinstance(strata, str) else strata
    if isinstance(named, list | tuple) and named and all(isinstance(name, str) for name in named):
        absent = [name for name in named if name not in frame.columns]
        if absent:
            raise DataError(f"No column {absent[0]!r} in X; its columns are {first_of(frame.columns, 12)}.")
        named = frame[list(named)]
    at_zero = np.flatnonzero((outcome.stop == 0) & (outcome.event > 0))
    if outcome.from_origin and len(at_zero):
        raise DataError(
            f"{counted(len(at_zero), 'event')} at time 0 (row {first_of(at_zero)}): episodes (0, t] begin after it. Give such "
            "events a small positive time."
        )
    grid = _grid(outcome, at, named, cause)
    counts = grid.high - grid.low + 1
    counts[outcome.stop <= outcome.start] = 0
    total = int(counts.sum())
    if total > max_rows:
        raise DataError(
            f"The split makes {total:,} rows of {len(outcome):,} ({total * 8 * (frame.shape[1] + 4) / 1e9:.1f} GB). Cut at "
            "fewer times (at=[12, 24]), name the strata, take a sample of those who stay, or raise max_rows."
        )
    return _cut(frame, outcome, grid, counts)


def _grid(y: Outcome, at: Cuts, strata: Any, cause: str | None) -> _Grid:
    if isinstance(at, str):
        if at != "events":
            raise DataError(f"at={at!r} is not known: use 'events', or a list of times.")
        event = y.event > 0 if cause is None else y.event == y.cause_code(cause)
        codes = np.zeros(len(y), dtype=np.int64) if strata is None else row_labels(strata, len(y), "strata")[0]
    else:
        times = numeric_column(np.atleast_1d(np.asarray(at)), "at")
        if not len(times) or not np.all(np.isfinite(times)):
            raise DataError("at holds no time, or one that is not finite.")
        cuts = np.unique(meant_times(times, y))
        return _Grid(cuts, np.searchsorted(cuts, y.start, "right"), np.searchsorted(cuts, y.stop, "left"))
    # a pair (stratum, time) as one number that sorts by stratum, then time
    every = np.unique(np.concatenate((y.start, y.stop)))
    stop, start = np.searchsorted(every, y.stop), np.searchsorted(every, y.start)
    keys = np.unique(codes[event] * len(every) + stop[event])
    low = np.searchsorted(keys, codes * len(every) + start, "right")
    high = np.searchsorted(keys, codes * len(every) + stop, "left")
    return _Grid(every[keys % len(every)], low, np.maximum(high, low))


def _cut(frame: pd.DataFrame, y: Outcome, grid: _Grid, counts: NDArray[np.int64]) -> Episodes:
    rows = np.repeat(np.arange(len(y)), counts)
    ends = np.cumsum(counts)
    position = np.arange(len(rows)) - np.repeat(ends - counts, counts)
    is_first, is_last = position == 0, position == counts[rows] - 1
    next_cut = grid.low[rows] + position
    padded = np.concatenate((grid.times, [np.nan]))
    outcome = Outcome(
        stop=np.where(is_last, y.stop[rows], padded[np.minimum(next_cut, len(grid.times))]),
        event=np.where(is_last, y.event[rows], 0),
        start=np.where(is_first, y.start[rows], padded[np.maximum(next_cut - 1, 0)]),
        subject=y.subject[rows],
        causes=y.causes,
        recurrent=y.recurrent,
    )
    return Episodes(frame.iloc[rows].reset_index(drop=True), outcome, rows)


def time_interaction(
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    column: str,
    g: Callable[[Floats], ArrayLike] | Sequence[float],
    *,
    name: str | None = None,
    strata: str | Sequence[str] | ArrayLike | pd.DataFrame | None = None,
    cause: str | None = None,
    max_rows: int = MOST_ROWS,
) -> Episodes:
    """Cut rows into episodes and let the effect of one column change with time.

    Parameters
    ----------
    X, y
        As in :func:`split_episodes`.
    column : str
        A number.
    g : function, or sequence of float
        A function of time such as ``np.log`` (called with the ends of the episodes, one per event time): the column
        ``{column}_{name}`` = x g(t) is added. A list of cut points: the column is replaced by one per period
        (0, c₁], (c₁, c₂], …, so that each has a coefficient of its own.
    name : str, optional
        Of g in the new column; default its ``__name__``. Periods are named by their borders, ``rate_0_12``.
    strata, cause, max_rows
        As in :func:`split_episodes`.

    Raises
    ------
    DataError
        As in :func:`split_episodes`; g is not finite at an event time; a new column is there already.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> X = pd.DataFrame({"rate": [4.0, 5.5, 5.0]})
    >>> y = cs.Outcome(stop=[2, 5, 9], event=[1, 1, 0])
    >>> cs.data.time_interaction(X, y, "rate", np.log).X.columns.tolist()
    ['rate', 'rate_log']
    >>> cs.data.time_interaction(X, y, "rate", [3]).X.values.tolist()
    [[4.0, 0.0], [5.5, 0.0], [0.0, 5.5], [5.0, 0.0], [0.0, 5.0]]
    """
    frame = feature_frame(X)
    if column not in frame.columns:
        raise DataError(f"No column {column!r} in X; its columns are {first_of(frame.columns, 12)}.")
    outcome = as_outcome(y)
    options: dict[str, Any] = {"strata": strata, "cause": cause, "max_rows": max_rows}
    if callable(g):
        made = split_episodes(frame, outcome, **options)
        label = name or str(getattr(g, "__name__", "t")).strip("<>").replace("lambda", "t")
        values = {f"{column}_{label}": _of_time(g, made.y.stop)}
        rest = made.X
    else:
        cuts = np.unique(meant_times(numeric_column(np.atleast_1d(np.asarray(g)), "g"), outcome))
        made = split_episodes(frame, outcome, cuts, **options)
        period = np.searchsorted(cuts, made.y.stop, "left")
        borders = ["0", *(f"{c:g}" for c in cuts), "on"]
        values = {f"{column}_{a}_{b}": period == k for k, (a, b) in enumerate(pairwise(borders))}
        rest = made.X.drop(columns=column)
    taken = [new for new in values if new in frame.columns]
    if taken:
        raise DataError(f"X has a column {taken[0]!r} already: rename it, or pass another name=.")
    x = numeric_column(made.X[column], column)
    # a missing covariate stays missing in every episode
    added = {
        new: np.where(v, x, np.where(np.isnan(x), np.nan, 0.0)) if v.dtype == bool else x * v
        for new, v in values.items()
    }
    return Episodes(rest.assign(**added), made.y, made.rows)


def _of_time(g: Callable[[Floats], ArrayLike], stop: Floats) -> Floats:
    times = np.unique(stop)
    with np.errstate(all="ignore"):
        try:
            values = np.broadcast_to(np.asarray(g(times), dtype=np.float64), times.shape)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise DataError(f"g does not turn {len(times):,} times into as many numbers: {error}.") from error
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise DataError(f"g is not finite at time {times[bad[0]]:g}: choose one that is, such as log(t + 1).")
    return np.asarray(values[np.searchsorted(times, stop)])

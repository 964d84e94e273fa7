"""State probabilities of a forest along paths of covariates, in chunks, with or without the trees' influences on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves, check_size, within_support
from churnsurv.data.features import feature_frame
from churnsurv.estimators.forest_inputs import numeric_columns
from churnsurv.estimators.forest_rows import binned
from churnsurv.estimators.inputs import RowArgument, requested_start, requested_times
from churnsurv.estimators.path_rows import path_rows
from churnsurv.kernels.forest_paths import LeafCounts, fill_leaves, path_states
from churnsurv.kernels.times import slack, steps_until
from churnsurv.messages import counted, first_of

if TYPE_CHECKING:
    from churnsurv.estimators.forest_prediction import ForestPrediction

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: numbers that one chunk of paths may hold: leaves of its pieces, or influences of the trees on its probabilities
CHUNK = 4_000_000


class Pieces(NamedTuple):
    """Pieces of paths: features `numbers` (R, p), event times `begin` ≤ j < `end` (R,), paths `first` (n + 1,)."""

    numbers: Floats
    first: Integers
    begin: Integers
    end: Integers

    @property
    def n_paths(self) -> int:
        """Give the number of paths."""
        return len(self.first) - 1

    def paths(self, rows: slice) -> Pieces:
        """Give some of the paths."""
        first = self.first[rows.start : rows.stop + 1]
        inside = slice(first[0], first[-1])
        return Pieces(self.numbers[inside], first - first[0], self.begin[inside], self.end[inside])


def standing(numbers: Floats, begin: Integers, n_times: int) -> Pieces:
    """Give paths on which the covariates of a row stay, from the event time `begin` on."""
    return Pieces(numbers, np.arange(len(numbers) + 1), begin, np.full(len(numbers), n_times))


def forest_leaves(forest: ForestPrediction, numbers: Floats) -> Integers:
    """Give the number of the leaf (n, B) that each row falls into in each tree."""
    names = ("node_begin", "leaf_begin", "level_begin", "feature", "cut", "child", "missing_left", "level_rank")
    trees = [forest.trees_[name] for name in names]
    leaf = np.empty((len(numbers), len(trees[0]) - 1), dtype=np.int64)
    fill_leaves(binned(numbers, forest.bin_edges_), *trees, leaf)  # type: ignore[call-arg]
    return leaf


def leaf_counts(forest: ForestPrediction) -> LeafCounts:
    """Give the counts of the leaves in the kernel's terms."""
    parts: list[Any] = [forest.trees_[name] for name in LeafCounts._fields]
    return LeafCounts(*parts)


def states_in_chunks(
    forest: ForestPrediction, pieces: Pieces, times: Floats, *, influences: bool
) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield, chunk by chunk of the paths: which they are, state probabilities (c, 1 + K, m) and influences (c, 1 + K, m, B).

    Without `influences` these are empty. Chunks are made in threads; a few are held at a time.
    """
    n_trees, n_states = len(forest.trees_["node_begin"]) - 1, 1 + len(forest.causes_)
    counts, pick = leaf_counts(forest), steps_until(forest.event_times_, times) - 1
    held = n_trees * (n_states * max(1, len(times)) if influences else 1)
    size = max(1, int(CHUNK / held * pieces.n_paths / max(pieces.n_paths, len(pieces.numbers))))

    def states(rows: slice) -> tuple[slice, Floats, Floats]:
        part = pieces.paths(rows)
        probability = np.empty((part.n_paths, n_states, len(times)))
        influence = np.empty((*probability.shape, n_trees) if influences else (0, 0, 0, 0))
        path_states(
            forest_leaves(forest, part.numbers), part.first, part.begin, part.end, counts, forest.portfolio_hazard_, pick,
            probability, influence,
        )  # fmt: skip
        return rows, probability, influence

    chunks = [slice(at, min(at + size, pieces.n_paths)) for at in range(0, pieces.n_paths, size)]
    yield from Parallel(n_jobs=forest.n_jobs, require="sharedmem", return_as="generator", pre_dispatch="n_jobs")(
        delayed(states)(rows) for rows in chunks
    )


def predicted_paths(
    forest: ForestPrediction,
    X: pd.DataFrame | ArrayLike,
    start: RowArgument,
    stop: RowArgument,
    subject: RowArgument,
    times: ArrayLike | None,
    add_bounds: Callable[[Curves, Pieces], Curves] | None,
) -> Curves:
    """Give the curves of paths (see ``predict_path``); `add_bounds` adds their bounds."""
    frame = feature_frame(X, names=forest.feature_names_in_)
    paths = path_rows(frame, start, stop, subject)
    numbers = numeric_columns(frame, forest.columns_, forest.levels_)[paths.order]
    requested_start(paths.start, len(numbers), np.full(len(numbers), forest.first_entry_))
    last = paths.last(np.full(len(numbers), forest.last_))
    grid = requested_times(times, forest.event_times_)
    if times is None:
        grid = grid[grid <= last.max() + slack(grid)]
    check_size(len(last), 1 + len(forest.causes_), len(grid), asked=times is not None)
    begin, end = (steps_until(forest.event_times_, at) for at in (paths.start, paths.stop))
    pieces = Pieces(numbers, paths.first, begin, end)
    probability = np.empty((pieces.n_paths, 1 + len(forest.causes_), len(grid)))
    for rows, found, _ in states_in_chunks(forest, pieces, grid, influences=False):
        probability[rows] = found
    curves = Curves(grid, probability, paths.origin, last, tuple(forest.causes_), paths.labels)
    if add_bounds is not None:
        curves = add_bounds(curves, pieces)
    curves = _until_missing(forest, curves, pieces, paths.start)
    return within_support(curves, times is not None, forest.event_times_, stacklevel=3)


def unanswered(forest: ForestPrediction, numbers: Floats) -> NDArray[np.bool_]:
    """Tell which rows the forest has no answer for: those with a missing value where the training rows had none."""
    known = [f for f, column in enumerate(forest.columns_) if column not in forest.missing_columns_]
    return np.asarray(np.isnan(numbers[:, known]).any(axis=1))


def said_unanswered(forest: ForestPrediction, numbers: Floats, rows: NDArray[np.int64]) -> str:
    """Say of rows without an answer which values they lack."""
    lacking = [
        repr(column)
        for column, values in zip(forest.columns_, numbers[rows].T, strict=True)
        if column not in forest.missing_columns_ and np.isnan(values).any()
    ]
    return (
        f"{counted(len(rows), 'row')} (row {first_of(rows)}) without a prediction: a value is missing in {first_of(lacking)}, "
        "where no row that the trees were grown on lacked one"
    )


def _until_missing(forest: ForestPrediction, curves: Curves, pieces: Pieces, start: Floats) -> Curves:
    """Give NaN after the start of the first piece of each path that the forest has no answer for."""
    known_until = np.minimum.reduceat(np.where(unanswered(forest, pieces.numbers), start, np.inf), pieces.first[:-1])
    unknown = (curves.times[None, :] > known_until[:, None] + slack(curves.times))[:, None, :]
    changed: dict[str, Any] = {
        name: np.where(unknown, np.nan, values)
        for name in ("probability", "lower", "upper", "se")
        if (values := getattr(curves, name)) is not None
    }
    return replace(curves, **changed)

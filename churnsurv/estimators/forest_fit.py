"""Growing the trees of a forest: the rows in the kernel's terms, the sample of each tree, the trees in one set of arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tqdm import tqdm

from churnsurv.exceptions import NoEventsError
from churnsurv.kernels.forest import grow_tree
from churnsurv.kernels.forest_bins import bin_codes, bin_edges, cut_values, grid_positions
from churnsurv.messages import counted
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

#: distinct event times kept as they are when `time_bins` is not given: more than the months of a 40-year mortgage
TIME_BINS = 512
#: names of the arrays that make up a forest, in the order the kernels take them
TREE_ARRAYS = (
    "feature",
    "cut",
    "child",
    "risk_begin",
    "risk_time",
    "risk_change",
    "event_begin",
    "event_time",
    "event_cause",
    "event_count",
)


@dataclass(frozen=True)
class TrainingRows:
    """The rows at risk at some event time, sorted by subject and time, in the terms of :func:`grow_tree`.

    ``unit`` (n of all rows): each row's subject, `n_subjects` for those whose rows are never at risk at an event time.
    """

    codes: Bytes
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    cause: NDArray[np.int32]
    subject: NDArray[np.int32]
    weight: Floats
    n_subjects: int
    unit: NDArray[np.int32]
    grid: Floats
    edges: list[Floats]


def training_rows(
    numbers: Floats, y: Outcome, weight: Floats | None, max_bins: int, time_bins: int | None
) -> TrainingRows:
    """Bin features and times, leave out rows without weight or never at risk at an event time, and sort the rest.

    Subjects are sorted by what is known of them, not by label or place, so that the order of the rows does not decide
    which of them a tree draws.
    """
    row_weight = np.ones(len(y)) if weight is None else weight
    is_event = (y.event > 0) & (row_weight > 0)
    if not is_event.any():
        raise NoEventsError(
            f"No events among {counted(len(y), 'row')}: there is nothing to estimate (Kaplan-Meier still works). "
            "Check the coding of `event`."
        )
    grid = cut_values(y.stop[is_event], row_weight[is_event], TIME_BINS if time_bins is None else time_bins)
    first, last = grid_positions(grid, y.entry, y.stop, y.event > 0)
    kept = np.flatnonzero((first < last) & (row_weight > 0))
    edges = [bin_edges(column[kept], row_weight[kept], max_bins) for column in numbers.T]
    codes = binned(numbers, edges)
    subject = pd.factorize(y.subject)[0]
    order, rank, n_subjects = _canonical_order(subject, kept, codes, first, last, y.event)
    owner = rank[subject[order]]
    return TrainingRows(
        codes=np.ascontiguousarray(codes[:, order]),
        first=first[order],
        last=last[order],
        cause=y.event[order].astype(np.int32),
        subject=owner,
        weight=counted_weight(row_weight[order], owner),
        n_subjects=n_subjects,
        unit=rank[subject],
        grid=grid,
        edges=edges,
    )


def counted_weight(weight: Floats, subject: NDArray[np.int32]) -> Floats:
    """Give weights that count customers: whole numbers as they are, others scaled to a mean of 1 per subject.

    A subject weighs what its first row does, so that splitting a spell changes nothing.
    """
    if np.array_equal(weight, np.floor(weight)):
        return weight
    return np.asarray(weight / weight[np.diff(subject, prepend=-1) > 0].mean())


def binned(numbers: Floats, edges: list[Floats]) -> Bytes:
    """Give the cells (p, n) of the columns of `numbers` (n, p)."""
    codes = np.empty(numbers.shape[::-1], dtype=np.uint8)
    for f, cuts in enumerate(edges):
        codes[f] = bin_codes(numbers[:, f], cuts)
    return codes


def _canonical_order(
    subject: NDArray[np.int64],
    kept: NDArray[np.int64],
    codes: Bytes,
    first: NDArray[np.int32],
    last: NDArray[np.int32],
    event: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
    """Give the kept rows in order, the rank of each subject (number of subjects for those left out), and that number.

    Subjects are ranked by a hash of their last row and their entry, which neither the order of rows nor the splitting of
    a spell in two changes. Subjects with the same hash are interchangeable, but for their earlier covariates.
    """
    by_time = kept[np.lexsort((last[kept], subject[kept]))]
    begins = np.flatnonzero(np.diff(subject[by_time], prepend=-1))
    final = by_time[np.append(begins[1:], len(by_time)) - 1]
    key = np.zeros(len(begins), dtype=np.uint64)
    parts = [first[by_time[begins]], last[final], event[final], *(column[final] for column in codes)]
    for part in parts:
        # one round of a multiplicative hash (Fibonacci hashing), wrapping around in 64 bits
        key = (key ^ part.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    rank = np.full(int(subject.max()) + 1, len(begins), dtype=np.int32)
    rank[subject[final][np.argsort(key, kind="stable")]] = np.arange(len(begins), dtype=np.int32)
    return by_time[np.argsort(rank[subject[by_time]], kind="stable")], rank, len(begins)


def digest(rows: TrainingRows) -> str:
    """Give a checksum of the rows, by which a forest recognises them later; it tells nothing about them."""
    total = hashlib.blake2b(digest_size=16)
    for part in (rows.codes, rows.first, rows.last, rows.cause, rows.subject, rows.weight, rows.grid, *rows.edges):
        total.update(np.ascontiguousarray(part).data)
    return total.hexdigest()


def portfolio_counts(rows: TrainingRows, n_causes: int) -> tuple[Floats, Floats]:
    """Give the hazards (K, T) of the causes in the whole sample, and its number at risk (T,)."""
    n_times = len(rows.grid)
    change = np.bincount(rows.first, rows.weight, n_times + 1) - np.bincount(rows.last, rows.weight, n_times + 1)
    at_risk = np.cumsum(change)[:n_times]
    events = np.zeros((n_causes, n_times))
    happened = rows.cause > 0
    np.add.at(events, (rows.cause[happened] - 1, rows.last[happened] - 1), rows.weight[happened])
    # sums of weights of very different size may fall short by rounding
    at_risk = np.maximum(at_risk, events.sum(axis=0))
    return events / at_risk, at_risk


def draw_counts(n_subjects: int, n_drawn: int, seed: int) -> NDArray[np.int64]:
    """Give how often a bootstrap sample with this seed holds each subject."""
    return np.bincount(np.random.default_rng(seed).integers(0, n_subjects, n_drawn), minlength=n_subjects)


def drawn_subjects(n_subjects: int, n_drawn: int, seeds: NDArray[np.int64]) -> Bytes:
    """Give which trees (B) drew which subjects, (B, n_subjects + 1); the last column, of rows left out, is 0."""
    drawn = np.zeros((len(seeds), n_subjects + 1), dtype=np.uint8)
    for tree, seed in enumerate(seeds.tolist()):
        drawn[tree, :-1] = draw_counts(n_subjects, n_drawn, seed) > 0
    return drawn


def grow_forest(
    rows: TrainingRows,
    n_causes: int,
    seeds: NDArray[np.int64],
    *,
    n_drawn: int | None,
    min_samples_leaf: int,
    max_depth: int | None,
    n_features: int,
    n_jobs: int | None,
    verbose: bool,
) -> dict[str, Any]:
    """Grow one tree per seed, on `n_drawn` subjects drawn with replacement (None: on all), in threads."""

    def grow(seed: int) -> tuple[Any, ...]:
        weight = rows.weight
        if n_drawn is not None:
            weight = weight * draw_counts(rows.n_subjects, n_drawn, seed)[rows.subject]
        return grow_tree(  # type: ignore[no-any-return]
            rows.codes, rows.first, rows.last, rows.cause, rows.subject, weight, n_causes, len(rows.grid),
            min_samples_leaf, np.iinfo(np.int32).max if max_depth is None else max_depth, n_features, np.uint64(seed),
        )  # fmt: skip

    return flat_forest(_in_threads(grow, seeds.tolist(), n_jobs, verbose))


def _in_threads(grow: Callable[[int], Any], seeds: list[int], n_jobs: int | None, verbose: bool) -> list[Any]:
    made = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(delayed(grow)(seed) for seed in seeds)
    return list(tqdm(made, total=len(seeds), desc="Growing trees", unit="tree", disable=not verbose))


def flat_forest(trees: list[tuple[NDArray[Any], ...]]) -> dict[str, Any]:
    """Put the trees' arrays one after the other; node_begin and leaf_begin say where each tree starts."""
    forest: dict[str, Any] = {}
    for position, name in enumerate(TREE_ARRAYS):
        parts = [tree[position] for tree in trees]
        if name.endswith("begin"):
            ends = np.cumsum([part[-1] for part in parts])
            parts = [part[:-1] + end - part[-1] for part, end in zip(parts, ends, strict=True)]
            parts.append(ends[-1:])
        forest[name] = np.concatenate(parts)
    for name in ("risk_change", "event_count"):
        # counts of customers are exact in half the space; fractional weights are not
        small = forest[name].astype(np.float32)
        if np.array_equal(small, forest[name]):
            forest[name] = small
    forest["node_begin"] = np.cumsum([0, *(len(tree[0]) for tree in trees)])
    forest["leaf_begin"] = np.cumsum([0, *(len(tree[3]) - 1 for tree in trees)])
    return forest

"""Training rows in the terms of the forest's kernels: features as cells, times on the grid, in an order of their own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.exceptions import NoEventsError
from churnsurv.kernels.forest_bins import bin_codes, bin_edges, cut_values, grid_positions
from churnsurv.kernels.forest_split import MISSING
from churnsurv.messages import counted
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

#: distinct event times kept as they are when `time_bins` is not given: more than the months of a 40-year mortgage
TIME_BINS = 512


@dataclass(frozen=True)
class TrainingRows:
    """The rows at risk at some event time, sorted by subject and time, see :func:`churnsurv.kernels.forest.grow_tree`.

    ``unit`` (n of all rows): each row's subject, `n_subjects` for those whose rows are never at risk at an event time.
    ``level_begin`` (p + 1,): where the levels of each unordered category begin in a table of them all.
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
    level_begin: NDArray[np.int32]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Whether a feature (p,) has missing values."""
        return np.asarray((self.codes == MISSING).any(axis=1))


def training_rows(
    numbers: Floats,
    y: Outcome,
    weight: Floats | None,
    max_bins: int,
    time_bins: int | None,
    level_begin: NDArray[np.int32],
) -> TrainingRows:
    """Bin features and times, leave out rows without weight or never at risk at an event time, and sort the rest.

    Subjects are sorted by what is known of them, not by label or place, so that the order of the rows does not decide
    which of them a tree draws. Every level of an unordered category has a cell of its own, its position.
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
    n_levels = np.diff(level_begin)
    edges = [
        np.arange(n_levels[f] - 1) + 0.5 if n_levels[f] else bin_edges(column[kept], row_weight[kept], max_bins)
        for f, column in enumerate(numbers.T)
    ]
    codes = binned(numbers, edges)
    subject = pd.factorize(y.subject)[0]
    order, rank, n_subjects = _canonical_order(subject, kept, codes, first, last, y.event, n_levels, row_weight)
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
        level_begin=level_begin,
    )


def counted_weight(weight: Floats, subject: NDArray[np.int32]) -> Floats:
    """Give weights that count customers: whole numbers as they are, others scaled to a mean of 1 per subject.

    A subject weighs what its first row does, so that splitting a spell changes nothing.
    """
    if np.array_equal(weight, np.floor(weight)):
        return weight
    return np.asarray(weight / weight[np.diff(subject, prepend=-1) > 0].mean())


def binned(numbers: Floats, edges: list[Floats]) -> Bytes:
    """Give the cells (p, n) of the columns of `numbers` (n, p); 255 where they are missing."""
    codes = np.empty(numbers.shape[::-1], dtype=np.uint8)
    for f, cuts in enumerate(edges):
        codes[f] = bin_codes(numbers[:, f], cuts)
    return codes


def mixed(key: NDArray[np.uint64], part: NDArray[Any]) -> NDArray[np.uint64]:
    """Give one round of a multiplicative hash (Fibonacci hashing), wrapping around in 64 bits."""
    key = (key ^ part.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    return key ^ (key >> np.uint64(29))


def _canonical_order(
    subject: NDArray[np.int64],
    kept: NDArray[np.int64],
    codes: Bytes,
    first: NDArray[np.int32],
    last: NDArray[np.int32],
    event: NDArray[np.int64],
    n_levels: NDArray[np.int32],
    weight: Floats,
) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
    """Give the kept rows in order, the rank of each subject (number of subjects for those left out), and that number.

    Subjects are ranked by a hash of their last row and their entry, and where that ties, of all their rows and weights; neither
    the order of rows nor the splitting of a spell in two changes them. In them the levels of an unordered category go by
    what happened in them, not by their names, which decide only between subjects that are alike otherwise. Subjects with
    the same hashes are interchangeable.
    """
    by_time = kept[np.lexsort((last[kept], subject[kept]))]
    begins = np.flatnonzero(np.diff(subject[by_time], prepend=-1))
    final = np.append(begins[1:], len(by_time)) - 1
    key, named = np.zeros(len(by_time), dtype=np.uint64), np.zeros(len(by_time), dtype=np.uint64)
    entry = np.repeat(first[by_time[begins]], np.diff(begins, append=len(by_time)))
    for part in (entry, last[by_time], event[by_time]):
        key = mixed(key, part)
    # without the times: what a row is, and with names
    profile, plain = np.zeros(len(by_time), dtype=np.uint64), np.zeros(len(by_time), dtype=np.uint64)
    for column, size in zip(codes, n_levels, strict=True):
        cells = column[by_time]
        if size:
            known = _fates(column[kept], first[kept], last[kept], event[kept])
            key, named, profile = mixed(key, known[cells]), mixed(named, cells), mixed(profile, known[cells])
        else:
            key, profile = mixed(key, cells), mixed(profile, cells)
        plain = mixed(plain, cells)
    # multiples of the weights are the same weights
    size_rank = np.unique(weight[by_time], return_inverse=True)[1]
    profile, plain = mixed(profile, size_rank), mixed(plain, size_rank)
    begin, end = first[by_time], last[by_time]
    path, plain_path = (_paths(of, begins, begin, end) for of in (profile, plain))
    # where a spell was cut changes nothing but the checksum
    rows = np.add.reduceat(mixed(mixed(plain, begin), end), begins)
    rank = np.full(int(subject.max()) + 1, len(begins), dtype=np.int32)
    order = np.lexsort((rows, plain_path, named[final], path, key[final]))
    rank[subject[by_time[final]][order]] = np.arange(len(begins), dtype=np.int32)
    return by_time[np.argsort(rank[subject[by_time]], kind="stable")], rank, len(begins)


def _paths(
    profile: NDArray[np.uint64], begins: NDArray[np.int64], first: NDArray[np.int32], last: NDArray[np.int32]
) -> NDArray[np.uint64]:
    """Give a hash of each subject's rows (sorted by subject and time), adjacent rows with the same `profile` taken as one."""
    same = np.append(False, (profile[1:] == profile[:-1]) & (first[1:] == last[:-1]))
    same[begins] = False
    piece = np.flatnonzero(~same)
    end = np.append(piece[1:], len(first)) - 1
    part = mixed(mixed(profile[piece], first[piece]), last[end])
    return np.add.reduceat(part, np.searchsorted(piece, begins))


def _fates(
    cells: Bytes, first: NDArray[np.int32], last: NDArray[np.int32], event: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Give a hash of each cell (256,) from whole sums over its rows: time at risk, its square, and events by cause."""
    key = np.zeros(MISSING + 1, dtype=np.uint64)
    begin, end = first.astype(np.float64), last.astype(np.float64)
    # sums of whole numbers below 2^53 do not depend on their order, and those of a spell cut in two telescope
    for total in (
        end - begin,
        end**2 - begin**2,
        *((event == cause).astype(float) for cause in np.unique(event[event > 0])),
    ):
        key = mixed(key, np.bincount(cells, total, MISSING + 1))
    return key


def digest(rows: TrainingRows) -> str:
    """Give a checksum of the rows, by which a forest recognises them later; it tells nothing about them."""
    total = hashlib.blake2b(digest_size=16)
    for part in (rows.codes, rows.first, rows.last, rows.cause, rows.subject, rows.weight, rows.grid, *rows.edges):
        total.update(np.ascontiguousarray(part).data)
    return total.hexdigest()

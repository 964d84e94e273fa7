"""Paths of covariates as given to predict: each subject's rows (start, stop], one after the other, without gaps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.estimators.inputs import RowArgument, resolved
from churnsurv.exceptions import DataError
from churnsurv.kernels.times import slack
from churnsurv.messages import counted, first_of
from churnsurv.rows import row_labels, row_numbers

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class PathRows(NamedTuple):
    """The rows of paths in order: `order` (n,) sorts the given rows by subject and start; the rest is sorted so.

    start, stop (n,); first (paths + 1,): where each path begins; labels (paths,): whose it is.
    """

    order: Integers
    start: Floats
    stop: Floats
    first: Integers
    labels: pd.Index

    @property
    def origin(self) -> Floats:
        """Give the start of each path."""
        return self.start[self.first[:-1]]

    def last(self, known: Floats) -> Floats:
        """Give the end of each path's support: its own, or the end of the follow-up (n,) of the first row past its own."""
        limit: Any = np.where(self.stop > known, known, np.inf)
        return np.asarray(np.minimum(np.minimum.reduceat(limit, self.first[:-1]), self.stop[self.first[1:] - 1]))


def path_rows(frame: pd.DataFrame, start: RowArgument, stop: RowArgument, subject: RowArgument) -> PathRows:
    """Sort the rows of paths; refused are rows that end before they start, gaps and overlaps."""
    begin, end = _required(start, frame, "start"), _required(stop, frame, "stop")
    codes, labels = row_labels(resolved(subject, frame), len(frame), "subject")
    order = np.lexsort((begin, codes))
    begin, end, codes = begin[order], end[order], codes[order]
    first = np.concatenate(([0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]))
    _refuse_broken(begin, end, codes, first, labels)
    return PathRows(order, begin, end, first, labels)


def _required(value: RowArgument, frame: pd.DataFrame, name: str) -> Floats:
    numbers = row_numbers(resolved(value, frame), len(frame), name)
    if numbers is None:
        raise DataError(f"A path needs {name}=: one time per row, or the name of a column of X.")
    return numbers


def _refuse_broken(start: Floats, stop: Floats, codes: Integers, first: Integers, labels: pd.Index) -> None:
    """Refuse rows that end before they start, and paths with gaps or overlaps (rows sorted by subject and start)."""
    empty = np.flatnonzero(start >= stop)
    if len(empty):
        raise DataError(
            f"start is not before stop in {counted(len(empty), 'row')} of the paths (subject {first_of(labels[codes[empty]])}; "
            f"{start[empty[0]]:g} and {stop[empty[0]]:g}): each row covers (start, stop]."
        )
    inner = np.setdiff1d(np.arange(len(start)), first[:-1], assume_unique=True)
    gap = start[inner] - stop[inner - 1]
    broken = inner[np.abs(gap) > slack(np.unique(np.concatenate((start, stop))))]
    if len(broken):
        row = broken[0]
        kind = "a gap" if start[row] > stop[row - 1] else "an overlap"
        raise DataError(
            f"The path of subject {labels[codes[row]]} has {kind}: a row ends at {stop[row - 1]:g} and the next starts at "
            f"{start[row]:g} ({counted(len(np.unique(codes[broken])), 'subject')} so). The hazard in between needs covariates: "
            "let each row start where the one before ends."
        )

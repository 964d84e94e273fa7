"""Reading the arm of each row, with the errors that every comparison of arms needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.outcome import Outcome
from churnsurv.rows import row_labels


def read_arms(y: Outcome, arm: ArrayLike) -> tuple[NDArray[np.int64], pd.Index]:
    """Give codes 0…K−1 and the sorted labels of at least two arms with at least two customers each."""
    codes, labels = row_labels(arm, len(y), "arm")
    if len(labels) < 2:
        raise DataError(f"All rows are in arm {labels[0]!r}: a comparison needs two arms. Was the other filtered out?")
    subjects = pd.Series(y.subject).groupby(codes).nunique()
    alone = labels[(subjects < 2).to_numpy()]
    if len(alone):
        raise DataError(
            f"Arm {first_of([repr(v) for v in alone])} has one customer only: nothing can be said about its variability. "
            "Leave the arm out, or join it with another."
        )
    return codes, labels


def read_two_arms(y: Outcome, arm: ArrayLike, reference: Any) -> tuple[NDArray[np.int64], pd.Index]:
    """Give codes and labels of exactly two arms, the reference first (default: the first in sorted order)."""
    codes, labels = read_arms(y, arm)
    if len(labels) != 2:
        raise DataError(f"There are {len(labels)} arms ({first_of([repr(v) for v in labels])}); give the rows of two.")
    if reference is None or reference == labels[0]:
        return codes, labels
    if reference != labels[1]:
        raise DataError(f"reference={reference!r} is no arm; the arms are {labels[0]!r} and {labels[1]!r}.")
    return 1 - codes, labels[::-1]

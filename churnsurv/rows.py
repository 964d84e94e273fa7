"""Reading arguments that hold one value per row of the outcome: weights, groups, strata, clusters.

Values are taken by position; the index of a Series is not looked at, as everywhere beside an :class:`Outcome`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.times import slack, steps_until
from churnsurv.messages import counted, first_of, numeric_column
from churnsurv.outcome import Outcome


def as_outcome(y: Outcome | NDArray[Any]) -> Outcome:
    """Give an Outcome: as it is, or made of scikit-survival's structured array."""
    return y if isinstance(y, Outcome) else Outcome.from_sksurv(np.asarray(y))


def refuse_recurrent(y: Outcome, what: str) -> None:
    """Refuse outcomes with several events per subject."""
    if y.recurrent:
        raise NotIdentifiedError(
            f"{what} needs one way out per subject; this outcome has recurrent events. Use NelsonAalen for the mean number "
            "of events or CoxPH for what drives them, or keep each subject's rows up to its first event."
        )


def meant_times(asked: NDArray[np.float64], y: Outcome) -> NDArray[np.float64]:
    """Give the times asked for; what differs from a time of the outcome by rounding alone is that time."""
    known = np.unique(np.concatenate((y.start, y.stop)))
    nearest = known[np.maximum(steps_until(known, asked) - 1, 0)]
    return np.where(np.abs(nearest - asked) <= slack(known), nearest, asked)


def row_numbers(
    values: ArrayLike | None, n: int, argument: str, remedy: str = "Correct them."
) -> NDArray[np.float64] | None:
    """Give one finite number per row as doubles; None stays None. `remedy` ends the message about the others."""
    if values is None:
        return None
    _check_length(np.shape(values), n, argument)
    numbers = numeric_column(values, argument)
    for kind, bad in (("missing", np.isnan(numbers)), ("infinite", np.isinf(numbers))):
        if bad.any():
            rows = np.flatnonzero(bad)
            raise DataError(f"{argument} has {counted(len(rows), f'{kind} value')} (row {first_of(rows)}). {remedy}")
    return numbers


def row_weights(values: ArrayLike | None, n: int, argument: str = "sample_weight") -> NDArray[np.float64] | None:
    """Give weights as doubles; missing, infinite and negative ones, and all zero, are refused."""
    weights = row_numbers(values, n, argument)
    if weights is None:
        return None
    negative = np.flatnonzero(weights < 0)
    if len(negative):
        raise DataError(
            f"{argument} has {counted(len(negative), 'negative value')} (row {first_of(negative)}; "
            f"{weights[negative[0]]:g}): a weight is the number of customers a row stands for, 0 or more."
        )
    if not np.any(weights > 0):
        raise DataError(f"Every {argument} is zero: no row is left.")
    return weights


def row_labels(values: ArrayLike | pd.DataFrame, n: int, argument: str) -> tuple[NDArray[np.int64], pd.Index]:
    """Give codes 0…G−1 and the G sorted labels (categories in their order; of a frame: combinations as text)."""
    _check_length(np.shape(values)[:1] if isinstance(values, pd.DataFrame) else np.shape(values), n, argument)
    frame = values.reset_index(drop=True) if isinstance(values, pd.DataFrame) else pd.Series(values).to_frame(argument)
    missing = np.flatnonzero(frame.isna().any(axis=1))
    if len(missing):
        raise DataError(
            f"{argument} has {counted(len(missing), 'missing value')} (row {first_of(missing)}). Leave these rows out of "
            "the outcome too, or give them a label of their own, such as 'unknown'."
        )
    if frame.shape[1] == 1:
        codes, labels = pd.factorize(frame.iloc[:, 0], sort=True)
        named = labels.astype(object) if isinstance(labels, pd.CategoricalIndex) else pd.Index(labels)
        return codes.astype(np.int64), named.rename(getattr(values, "name", None) or argument)
    # combinations in the order of their parts, not of their text
    codes, keys = pd.factorize(pd.MultiIndex.from_frame(frame), sort=True)
    texts = [", ".join(f"{c}={v}" for c, v in zip(frame.columns, key, strict=True)) for key in keys]
    return codes.astype(np.int64), pd.Index(texts, name=argument)


def _check_length(shape: tuple[int, ...], n: int, argument: str) -> None:
    if shape != (n,):
        raise DataError(f"{argument} has shape {shape}, the outcome has {counted(n, 'row')}; give one value per row.")


def refuse_one_cluster(cluster: NDArray[Any], where: str = "") -> None:
    """Refuse rows that are all of one cluster: their variance between clusters would come out as zero."""
    if len(np.unique(cluster)) < 2:
        raise DataError(
            f"All rows{where} are of one cluster: a variance between clusters needs at least two, better forty. Leave cluster= "
            "out, or pass smaller clusters."
        )

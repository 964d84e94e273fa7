"""What a forest is given: its parameters, and the columns of a frame as numbers that a tree can cut.

A number is taken as it is, a category as the position of its level: an ordered categorical's own order counts, levels
without one (text, unordered categoricals) are put in order by each tree, :mod:`churnsurv.kernels.forest_levels`.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from churnsurv.curves import SIZE_LIMIT
from churnsurv.data.features import is_categorical, levels_of, no_levels, refuse_text_that_is_no_category
from churnsurv.exceptions import DataError, UnseenCategoryError
from churnsurv.kernels.forest_split import MISSING
from churnsurv.messages import counted, first_of, numeric_column

Floats = NDArray[np.float64]

#: levels that an unordered category may have: each has a cell of its own
MOST_LEVELS = 254
#: largest whole number that the kernels take
MOST_WHOLE = 2**31 - 1


def learn_levels(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Give the known levels of each categorical column, in their order."""
    levels: dict[str, list[Any]] = {}
    for column in frame.columns:
        values = frame[column]
        if not is_categorical(values):
            continue
        levels[column] = levels_of(values)
        if levels[column]:
            refuse_text_that_is_no_category(values, levels[column], column)
    return levels


def level_offsets(frame: pd.DataFrame, columns: list[str], levels: dict[str, list[Any]]) -> NDArray[np.int32]:
    """Give where the levels of each unordered category begin in a table of them all, (p + 1,); others have none there.

    Raises
    ------
    DataError
        More levels than a tree can tell apart.
    """
    sizes = []
    for column in columns:
        dtype = frame[column].dtype
        ordered = isinstance(dtype, pd.CategoricalDtype) and bool(dtype.ordered)
        sizes.append(0 if ordered else len(levels.get(column, [])))
        if sizes[-1] > MOST_LEVELS:
            raise DataError(
                f"Column {column!r} has {sizes[-1]:,} levels, a forest tells {MOST_LEVELS} apart: join rare ones into one "
                "(e.g. 'other'), or make it an ordered categorical, which is cut into quantiles."
            )
    return np.cumsum([0, *sizes]).astype(np.int32)


def numeric_columns(frame: pd.DataFrame, columns: list[str], levels: dict[str, list[Any]]) -> Floats:
    """Give the columns of the frame, found by name, as numbers (n, p); missing values are NaN.

    Raises
    ------
    DataError
        A column is absent, or holds infinities, or is no number.
    UnseenCategoryError
        A category that is not among the known levels.
    """
    absent = [c for c in columns if c not in frame.columns]
    if absent:
        raise DataError(
            f"Missing {counted(len(absent), 'column')} {first_of([repr(c) for c in absent])} in X; "
            f"it has {first_of(frame.columns, 12)}."
        )
    numbers = np.empty((len(frame), len(columns)), order="F")
    for position, column in enumerate(columns):
        if column in levels:
            numbers[:, position] = _level_positions(frame[column], levels[column])
        elif frame[column].isna().all():
            # of None alone (JSON's null, pd.NA) the type tells nothing
            numbers[:, position] = np.nan
        else:
            numbers[:, position] = numeric_column(frame[column], column)
        infinite = np.flatnonzero(np.isinf(numbers[:, position]))
        if len(infinite):
            raise DataError(
                f"Column {column!r} has {counted(len(infinite), 'infinite value')} (row {first_of(infinite)}). "
                "Correct them, or cap the column (e.g. a logarithm of zero)."
            )
    return numbers


def counted_columns(
    frame: pd.DataFrame, weight: Floats | None, columns: list[str], levels: dict[str, list[Any]]
) -> Floats:
    """Give the columns of training rows as numbers (n, p), see :func:`numeric_columns`; rows of weight 0 are NaN, unread."""
    if weight is None or (weight > 0).all():
        return numeric_columns(frame, columns, levels)
    numbers = np.full((len(frame), len(columns)), np.nan, order="F")
    numbers[weight > 0] = numeric_columns(frame[weight > 0], columns, levels)
    return numbers


def _level_positions(values: pd.Series, known: list[Any]) -> Floats:
    given = values.astype(object)
    try:
        position = pd.Index(known, dtype=object).get_indexer(pd.Index(given, dtype=object)).astype(np.float64)
    except TypeError as error:
        raise no_levels(values) from error
    unseen = np.flatnonzero((position < 0) & given.notna().to_numpy())
    if len(unseen):
        raise UnseenCategoryError(
            f"Column {values.name!r} has {first_of([repr(v) for v in given.iloc[unseen].unique()])} in "
            f"{counted(len(unseen), 'row')} (row {first_of(unseen)}), not seen in training (known: "
            f"{first_of(known, 12)}). Map it to a known level, or fit again with such rows."
        )
    position[position < 0] = np.nan
    return position


def refuse_empty(numbers: Floats, columns: list[str]) -> None:
    """Refuse columns of the training rows without any value."""
    empty = [repr(columns[f]) for f in np.flatnonzero(np.isnan(numbers).all(axis=0))]
    if empty:
        raise DataError(f"No row has a value in {counted(len(empty), 'column')} {first_of(empty)}. Leave it out of X.")


def check_parameters(parameters: dict[str, Any]) -> None:
    """Refuse parameters of a forest outside their range, naming them."""
    for name, least, most in (
        ("n_estimators", 1, MOST_WHOLE),
        ("min_samples_leaf", 1, MOST_WHOLE),
        ("max_depth", 1, MOST_WHOLE),
        ("max_bins", 2, MISSING),
        ("time_bins", 1, 65_535),
    ):
        if parameters[name] is not None or name not in ("max_depth", "time_bins"):
            check_whole(name, parameters[name], least, most)
    for name, known in (("criterion", ("logrank", "gray")), ("splitter", ("best", "random"))):
        if parameters[name] not in known:
            raise DataError(f"{name}={parameters[name]!r} is not known: use {known[0]!r} or {known[1]!r}.")
    check_n_jobs(parameters["n_jobs"])
    checked_random_state(parameters["random_state"])
    if not parameters["bootstrap"]:
        for name, unset in (("max_samples", None), ("oob", False)):
            if parameters[name] != unset:
                raise DataError(
                    f"{name}={parameters[name]!r} needs bootstrap=True: without it every tree sees all rows."
                )


def check_whole(name: str, value: Any, least: int, most: int = MOST_WHOLE) -> None:
    """Refuse what is no whole number within a range, naming it."""
    if not _is_whole(value) or not least <= value <= most:
        span = f"of at least {least}" if most == MOST_WHOLE else f"from {least} to {most:,}"
        beyond = " (at most 2,147,483,647)" if _is_whole(value) and value > most == MOST_WHOLE else ""
        raise DataError(f"{name}={value!r}: give a whole number {span}{beyond}.")


def check_n_jobs(n_jobs: Any) -> None:
    """Refuse what is no number of threads."""
    if n_jobs is not None and (not _is_whole(n_jobs) or n_jobs == 0):
        raise DataError(f"n_jobs={n_jobs!r}: give the number of threads, -1 for all cores, or None for one.")


def checked_random_state(seed: Any) -> np.random.RandomState:
    """Give the generator of a seed."""
    try:
        return check_random_state(seed)  # type: ignore[no-any-return]
    except ValueError:
        raise DataError(
            f"random_state={seed!r}: give a whole number from 0 to 4,294,967,295, a RandomState, or None."
        ) from None


def refuse_uncountable(weight: Floats | None) -> None:
    """Refuse whole weights, which count customers, that sum to more than doubles count exactly."""
    if weight is not None and np.array_equal(weight, np.floor(weight)) and not weight.sum() <= 2**53:
        raise DataError(
            f"sample_weight sums to {weight.sum():.3g}, and whole weights count customers: divide them by their mean."
        )


def features_per_split(max_features: Any, n_features: int) -> int:
    """Give the number of features to try at each node."""
    if max_features is None:
        return n_features
    if isinstance(max_features, str) and max_features in ("sqrt", "log2"):
        root = np.sqrt(n_features) if max_features == "sqrt" else np.log2(n_features)
        return max(1, int(root))
    if _is_whole(max_features) and 1 <= max_features <= n_features:
        return int(max_features)
    if isinstance(max_features, float) and 0 < max_features <= 1:
        return max(1, int(max_features * n_features))
    raise DataError(
        f"max_features={max_features!r}: give 'sqrt', 'log2', None (all), a whole number up to the {n_features} "
        "column(s) of X, or a share in (0, 1]."
    )


def check_oob_size(n_rows: int, n_states: int, n_times: int) -> None:
    """Refuse out-of-bag curves that would fill the memory."""
    size = 8 * n_rows * n_states * n_times
    if size > SIZE_LIMIT:
        raise DataError(
            f"oob=True: out-of-bag curves of {n_rows:,} rows x {n_states} states x {n_times:,} times would take "
            f"{size / 2**30:.1f} GB. Set time_bins to fewer times, fit on a sample of the rows, or leave oob out and judge "
            "the forest on held-out rows."
        )


def subjects_per_tree(max_samples: Any, n_subjects: int, n_at_risk: int) -> int:
    """Give the number of subjects to draw for each tree; shares are of those at risk at some event time."""
    if max_samples is None:
        return n_at_risk
    if _is_whole(max_samples) and 1 <= max_samples <= n_subjects:
        return int(max_samples)
    if isinstance(max_samples, float) and 0 < max_samples <= 1:
        return max(1, round(max_samples * n_at_risk))
    raise DataError(
        f"max_samples={max_samples!r}: give a whole number up to the {counted(n_subjects, 'subject')}, or a share in (0, 1]."
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and isinstance(value, Real) and not isinstance(value, bool | np.bool_)

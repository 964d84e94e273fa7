"""Which trees of a forest drew which training subjects: what every out-of-bag estimate rests on.

A forest keeps no training rows. Given again, they are recognised by the digest kept at the fit, and the trees' samples
are drawn again from their seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from churnsurv.data.features import feature_frame
from churnsurv.estimators.forest_fit import drawn_subjects
from churnsurv.estimators.forest_inputs import counted_columns
from churnsurv.estimators.forest_rows import digest, training_rows
from churnsurv.estimators.inputs import RowArgument, as_outcome, check_rows, weights_argument
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.forest import RandomSurvivalForest


@dataclass(frozen=True)
class TrainingBags:
    """The training rows again, with the trees' samples.

    ``frame`` and ``y``: the rows as given; ``weight`` (n,) or None; ``numbers`` (n, p): features in the order of
    ``columns_``; ``drawn`` (B, n_subjects + 1): 1 where tree b drew the subject; ``unit`` (n,): each row's place in it,
    the last one, never drawn, for rows that took no part.
    """

    frame: pd.DataFrame
    y: Outcome
    weight: NDArray[np.float64] | None
    numbers: NDArray[np.float64]
    drawn: NDArray[np.uint8]
    unit: NDArray[np.int32]


def training_bags(
    forest: RandomSurvivalForest,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    sample_weight: RowArgument = None,
) -> TrainingBags:
    """Recognise the training rows and tell which trees drew them.

    Raises
    ------
    DataError
        The rows are not those of the fit.
    NotIdentifiedError
        The forest was grown with ``bootstrap=False``: no row is out of any bag.
    """
    check_is_fitted(forest)
    if forest.n_drawn_ is None:
        raise NotIdentifiedError("bootstrap=False: every tree saw all rows, none is out of bag. Use held-out rows.")
    frame, outcome = feature_frame(X, names=forest.feature_names_in_), as_outcome(y)
    check_rows(frame, outcome)
    if list(outcome.causes) != forest.causes_:
        raise DataError(
            f"These are not the rows the forest was fitted on: the outcome has the causes {list(outcome.causes)} (codes 1, 2, "
            f"…), the fit had {forest.causes_}. Pass the outcome of the fit."
        )
    weight = weights_argument(sample_weight, frame)
    numbers = counted_columns(frame, weight, forest.columns_, forest.levels_)
    level_begin = forest.trees_["level_begin"]
    rows = training_rows(numbers, outcome, weight, forest.max_bins, forest.time_bins, level_begin)
    if digest(rows) != forest.digest_:
        raise DataError(
            "These are not the rows the forest was fitted on (X, y and sample_weight must be the same): out-of-bag "
            "answers need them. For other rows use the forest's predictions."
        )
    drawn = drawn_subjects(rows.n_subjects, forest.n_drawn_, forest.seeds_)
    return TrainingBags(frame, outcome, weight, numbers, drawn, rows.unit)

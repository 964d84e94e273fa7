"""Customers predicted in either arm by a model that knows the arm, and the averages of the predictions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from churnsurv.data.features import feature_frame
from churnsurv.effects.assigned import Assigned, read_assigned
from churnsurv.estimators.cox import CoxPH
from churnsurv.estimators.predict import predict_curves
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Whose = Literal["ate", "att"]

#: rows predicted at once
CHUNK = 2048


class Standardised(NamedTuple):
    """A model to be fitted to checked rows, and the customers to average over."""

    model: Any
    X: pd.DataFrame
    assigned: Assigned
    arm: str  #: column of X
    cause: str | None
    counted: NDArray[np.bool_]  #: (m,) subjects that are averaged over

    def averages(self, times: Ints | None) -> tuple[Floats, Floats]:
        """Fit and give the times (T,) and the average risks (2, T) in the reference and in the arm.

        `times` (m,) says how often each subject was drawn.
        """
        model, y = clone(self.model), self.assigned.y
        if times is None:
            model.fit(self.X, y)
        else:
            drawn = np.repeat(y.subject[self.assigned.first], times)
            model.fit(self.X.iloc[y.rows_of(drawn)].reset_index(drop=True), y.resample(drawn))
        weight = self.counted * (np.ones(len(self.counted)) if times is None else times)
        kept = np.flatnonzero(weight)
        if not len(kept):
            raise DataError("A resample lacks an arm.")
        people, weight = self.X.iloc[self.assigned.first[kept]], weight[kept] / weight.sum()
        found = [self._average(model, people, weight, label) for label in reversed(self.assigned.pair)]
        return found[0][0], np.stack([risk for _, risk in found])

    def _average(self, model: Any, people: pd.DataFrame, weight: Floats, label: Any) -> tuple[Floats, Floats]:
        total: Any = 0.0
        times = np.empty(0)
        for rows, grid, risk in self.risks(model, people, label):
            times, total = grid, total + weight[rows] @ risk
        return times, total

    def with_arm(self, people: pd.DataFrame, label: Any) -> pd.DataFrame:
        """Give customers as they would be, had they been in the arm with the label."""
        return people.assign(**{self.arm: pd.Series([label] * len(people), people.index, people[self.arm].dtype)})

    def risks(self, model: Any, people: pd.DataFrame, label: Any) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield rows, the times (T,) and the rows' risks (n, T), had they been in the arm with the label."""
        moved = self.with_arm(people, label)
        for begin in range(0, len(moved), CHUNK):
            rows = slice(begin, begin + CHUNK)
            curves = predict_curves(model, moved.iloc[rows])
            yield (
                rows,
                curves.times,
                1 - curves.survival if self.cause is None else curves.cumulative_incidence(self.cause),
            )


def read_standardised(
    model: Any,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    arm: str,
    cause: str | None,
    estimand: Whose,
    reference: Any,
    treated: Any,
    cluster: ArrayLike | None,
) -> Standardised:
    """Check rows, arm and model, and give what is to be fitted."""
    outcome, frame = as_outcome(y), feature_frame(X)
    if len(frame) != len(outcome):
        raise DataError(f"X has {counted(len(frame), 'row')}, y has {len(outcome):,}; they must match row for row.")
    if not isinstance(arm, str) or arm not in frame.columns:
        raise DataError(f"arm={arm!r} is no column of X: name the column with the arm ({first_of(frame.columns, 12)}).")
    if estimand not in get_args(Whose):
        raise DataError(
            f"estimand={estimand!r} is not known here: average over all customers ('ate') or the treated ('att')."
        )
    last = last_step(model)
    searched = last_step(getattr(last, "estimator", last))  # a search predicts by its best model
    if isinstance(last, type) or not (hasattr(last, "fit") and hasattr(searched, "predict_curves")):
        raise DataError(
            f"model={model!r} predicts no curves: give a churnsurv model such as CoxPH(), or a Pipeline that ends in one."
        )
    cause = cause if cause is not None or type(last).__name__ != "FineGray" else last.cause
    if cause is not None:
        outcome.cause_code(cause)
    if isinstance(last, CoxPH) and len(outcome.causes) > 1:
        if cause is not None:
            raise NotIdentifiedError(
                f"A Cox model of {cause!r} alone gives no risk of it while the other causes compete: use CauseSpecificCox, "
                "FineGray or a forest."
            )
        start = None if outcome.from_origin else outcome.start
        outcome = Outcome(outcome.stop, (outcome.event > 0).astype(np.int64), start, outcome.subject)
    assigned = read_assigned(outcome, frame[arm], cluster, reference, treated, "A standardised effect")
    if len(assigned.first) < len(frame):
        _refuse_changes(frame, assigned)
    _refuse_without_arm(last, arm)
    frame = _with_arm_as_labels(model, last, frame, arm, assigned.arms.labels)
    counted_over = np.ones(len(assigned.first), bool) if estimand == "ate" else assigned.arms.code == assigned.target
    return Standardised(model, frame, assigned, arm, cause, counted_over)


def last_step(model: Any) -> Any:
    """Give the model itself, or the last step of a pipeline."""
    return model[-1] if isinstance(model, Pipeline) else model


def _refuse_changes(frame: pd.DataFrame, assigned: Assigned) -> None:
    for column in frame.columns:
        code = pd.factorize(frame[column])[0]
        changed = np.flatnonzero(code != code[assigned.first][assigned.subject])
        if len(changed):
            raise DataError(
                f"Column {column!r} changes within {counted(len(np.unique(assigned.subject[changed])), 'subject')} (row "
                f"{first_of(changed)}): what comes after time zero may be an effect of the arm, and adjusting for it would "
                "hide that. Give every row of a subject what was known at time zero."
            )


def _with_arm_as_labels(model: Any, last: Any, frame: pd.DataFrame, arm: str, labels: tuple[Any, ...]) -> pd.DataFrame:
    """Make more than two arms that are numbers categories, so that no model takes the number for a dose."""
    if len(labels) == 2 or not pd.api.types.is_numeric_dtype(frame[arm]):
        return frame
    if isinstance(model, Pipeline):
        raise DataError(
            f"The {len(labels)} arms of {arm!r} are numbers, which a step of the Pipeline would take for a dose: give them "
            "labels of text."
        )
    formula = getattr(last, "formula", None)
    for text in formula.values() if isinstance(formula, dict) else [formula]:
        if isinstance(text, str) and re.search(rf"(?<!\bC\()\b{re.escape(arm)}\b", text):
            raise DataError(
                f"The formula {text!r} takes the numbers of the {len(labels)} arms of {arm!r} for a dose: write C({arm})."
            )
    if formula is not None:
        return frame
    return frame.assign(**{arm: pd.Categorical(frame[arm])})


def _refuse_without_arm(model: Any, arm: str) -> None:
    formula = getattr(model, "formula", None)
    formulas = list(formula.values()) if isinstance(formula, dict) else [formula]
    if all(isinstance(f, str) and arm not in f for f in formulas):
        raise DataError(
            f"The formula {formulas[0]!r} does not use the arm {arm!r}: no effect of it could be seen. Add it."
        )

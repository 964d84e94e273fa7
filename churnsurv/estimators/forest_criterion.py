"""What the cuts of a forest are scored by: which causes count, and for Gray's criterion who stays at risk with what weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from churnsurv.estimators.fine_gray_fit import spells_of
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.forest_scores import Criterion
from churnsurv.kernels.observation import observation_steps
from churnsurv.messages import first_of
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]


def criterion_of(
    kind: str, cause: str | Sequence[str] | None, y: Outcome, weight: Floats | None, grid: Floats
) -> Criterion:
    """Give the criterion of a forest on the grid of its event times.

    The probability of being under observation is estimated once, from all rows, as of one population.

    Raises
    ------
    DataError
        Unknown causes, or none of their events.
    NotIdentifiedError
        Gray's criterion where nobody was watched through some age between exits by several causes.
    """
    given = list(y.causes) if cause is None else cause
    causes = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    unknown = [c for c in causes if c not in y.causes]
    if unknown or not causes:
        raise DataError(f"cause={cause!r}: the causes of y are {list(y.causes)}.")
    codes = np.array(sorted({y.cause_code(c) for c in causes}), dtype=np.int64)
    row_weight = np.ones(len(y)) if weight is None else weight
    if not (np.isin(y.event, codes) & (row_weight > 0)).any():
        raise DataError(f"cause={cause!r} has no event: no cut can be scored by it. Leave cause out to use all causes.")
    nothing = np.zeros(len(grid))
    if kind == "logrank" or len(y.causes) == 1:
        return Criterion(codes - 1, nothing, nothing, False)
    steps = observation_steps(spells_of(y, row_weight, np.zeros(len(y), dtype=np.int64)), True)
    across = steps.broken[(steps.broken >= grid[0]) & (steps.broken < grid[-1])]
    if len(across):
        raise NotIdentifiedError(
            f"Nobody was watched through the age of {first_of([f'{t:g}' for t in across])}, so that those who left before by "
            "one cause cannot be kept at risk of another after it: use criterion='logrank', or rows up to that age."
        )
    stay = steps.weight_at(grid)
    return Criterion(codes - 1, stay, np.divide(1.0, stay, out=np.zeros(len(grid)), where=stay > 0), True)

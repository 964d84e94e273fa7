"""What the states of customers are made of: memories of months, counts from given random numbers, published values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Around:
    """What surrounds every customer in a month.

    ``market`` and ``branch`` hold series of the customers' regions and branches. ``factor`` and ``shift`` are what the
    interventions in force do to a column (by customer), ``drift`` what has drifted (a number). Customers draw the same
    random numbers whatever these are, so that two worlds that differ in them can be compared person by person.
    """

    month: int
    market: Mapping[str, NDArray[Any]]
    branch: Mapping[str, NDArray[Any]]
    factor: Mapping[str, Floats] = field(default_factory=dict)
    shift: Mapping[str, Floats] = field(default_factory=dict)
    drift: Mapping[str, float] = field(default_factory=dict)

    def factor_of(self, column: str) -> Floats | float:
        """Give what a column is multiplied by."""
        return self.factor.get(column, 1.0)

    def shift_of(self, column: str) -> Floats | float:
        """Give what is added to a column."""
        return self.shift.get(column, 0.0)

    def published(self, column: str, values: Floats, bounds: tuple[float, float], decimals: int = 0) -> NDArray[Any]:
        """Give a column as stored: drifted, within its bounds, rounded; whole numbers in 16 bits."""
        stored = np.round(np.clip(values + self.drift.get(column, 0.0), *bounds), decimals)
        return stored if decimals else stored.astype(np.int16)


class Recent:
    """Values of the last months, by customer."""

    def __init__(self, months: int, n: int) -> None:
        self._values = np.zeros((months, n), np.int16)

    def add(self, month: int, values: NDArray[Any]) -> None:
        """Put in the values of a month, in place of the oldest."""
        self._values[month % len(self._values)] = values

    def oldest(self, month: int) -> NDArray[np.int16]:
        """Give the values that those of the month will replace."""
        return np.array(self._values[month % len(self._values)])

    def fill(self, values: NDArray[Any]) -> None:
        """Take the values for those of all months."""
        self._values[:] = values

    def sum(self) -> NDArray[np.int16]:
        """Give the sums."""
        return np.asarray(self._values.sum(axis=0, dtype=np.int16))

    def max(self) -> NDArray[np.int16]:
        """Give the largest values."""
        return np.asarray(self._values.max(axis=0))


def count_of(uniform: Floats, mean: Floats | float, most: int = 6) -> Ints:
    """Give Poisson counts (at most `most`) by inversion: one uniform number each, whatever the mean."""
    probability = np.exp(-np.asarray(mean, dtype=float)) * np.ones(len(uniform))
    below, count = probability.copy(), np.zeros(len(uniform), np.int64)
    for k in range(1, most + 1):
        count += uniform > below
        probability = probability * mean / k
        below += probability
    return count


def chance(logit: Floats) -> Floats:
    """Give the probability of a logit."""
    return np.asarray(1 / (1 + np.exp(-logit)))

"""One who reads all counts that the data sections publish, and solves for those that they hide."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from churnsurv.report.disclosure import HIDDEN


class Attacker:
    """Whole numbers with what is known of them; :meth:`bounds` finds the values that all of it together allows.

    A cell shown as "<5" is 1 … 4; one that is not shown otherwise is at least 5; one that was never published is 0 or more.
    """

    def __init__(self, smallest: int) -> None:
        self.smallest = smallest
        self.place: dict[Hashable, int] = {}
        self.low: list[float] = []
        self.high: list[float] = []
        self.rows: list[tuple[dict[int, float], float, float]] = []

    def cell(self, key: Hashable) -> int:
        if key not in self.place:
            self.place[key] = len(self.low)
            self.low.append(0.0)
            self.high.append(np.inf)
        return self.place[key]

    def reads(self, key: Hashable, shown: Any) -> None:
        """Read a published cell; a second reading narrows the first."""
        i = self.cell(key)
        if shown == f"<{self.smallest}":
            low, high = 1.0, self.smallest - 1.0
        elif shown == HIDDEN:
            low, high = float(self.smallest), np.inf
        else:
            low = high = float(shown)
        self.low[i], self.high[i] = max(self.low[i], low), min(self.high[i], high)
        assert self.low[i] <= self.high[i], (key, shown)

    def knows_sum(self, parts: Iterable[Hashable], total: Hashable | float) -> None:
        """Parts add up to a total: another cell, or a number."""
        row: dict[int, float] = {}
        for key in parts:
            row[self.cell(key)] = row.get(self.cell(key), 0.0) + 1.0
        value = 0.0
        if isinstance(total, int | float):
            value = float(total)
        else:
            row[self.cell(total)] = row.get(self.cell(total), 0.0) - 1.0
        self.rows.append((row, value, value))

    def knows_at_most(self, parts: Iterable[Hashable], whole: Hashable) -> None:
        """Parts are together no more than the whole."""
        row = {self.cell(key): 1.0 for key in parts}
        row[self.cell(whole)] = row.get(self.cell(whole), 0.0) - 1.0
        self.rows.append((row, -np.inf, 0.0))

    def hidden(self) -> list[Hashable]:
        """Small cells that the report hides."""
        return [key for key, i in self.place.items() if (self.low[i], self.high[i]) == (1.0, self.smallest - 1.0)]

    def bounds(self, key: Hashable) -> tuple[int, int]:
        """Smallest and largest value of a cell, as integer programmes find them."""
        n, ends = len(self.low), []
        matrix = np.zeros((len(self.rows), n))
        for line, (row, _, _) in enumerate(self.rows):
            for i, weight in row.items():
                matrix[line, i] = weight
        limits = LinearConstraint(matrix, [low for _, low, _ in self.rows], [high for *_, high in self.rows])
        for sign in (1, -1):
            aim = np.zeros(n)
            aim[self.cell(key)] = sign
            found = milp(aim, constraints=limits, integrality=np.ones(n), bounds=Bounds(self.low, self.high))
            assert found.success, (key, found.message)
            ends.append(round(sign * found.fun))
        return ends[0], ends[1]

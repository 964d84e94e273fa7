"""Small counts: which cells must be hidden so that no customer can be recognised, directly or from sums that are known.

Primary: a count of 1 … smallest − 1. Complementary: what could be computed, or narrowed down too far, from the sums that the
cells are part of (Willenborg and de Waal, 2001, chapter 4; Fischetti and Salazar, 2001). The reader is taken to know every sum,
that a cell shown as "<5" is 1 … 4, and that any other hidden one is at least 5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

#: values next to each other that a reader must still think possible for a hidden small count: this many steps from end to end
_WIDTH = 2


class Sum(NamedTuple):
    """Cells that add up to a total: positions of the parts, and of the total; None where every reader knows it."""

    parts: tuple[int, ...]
    total: int | None = None

    @property
    def cells(self) -> tuple[int, ...]:
        """All positions."""
        return self.parts if self.total is None else (*self.parts, self.total)


class Protection(NamedTuple):
    """Cells to hide: small ones, others that protect them; and the small ones that nothing is left to protect."""

    small: list[int]
    others: list[int]
    computable: list[int]


def is_small(count: float, smallest: int) -> bool:
    """Whether a count is 1 … smallest − 1."""
    return 0 < count < smallest


def hidden_cells(counts: Sequence[int], smallest: int) -> tuple[list[int], list[int]]:
    """Give the positions of the cells of a column with known total to hide: small ones, and others that protect them.

    One hidden count would be the total minus the others, so a second one, the next smallest, is hidden with it; likewise
    where the sum of the hidden ones leaves a count fewer than three values.

    >>> hidden_cells([3, 40, 12, 0], 5), hidden_cells([3, 2, 12], 5)
    (([0], [2]), ([0, 1], []))
    """
    return protected_cells(counts, [Sum(tuple(range(len(counts))))], smallest)


def protected_cells(counts: Sequence[int], sums: Sequence[Sum], smallest: int) -> tuple[list[int], list[int]]:
    """Give the cells to hide when any number of sums of them are known: small ones, and others that protect them.

    As :func:`protection`, where the reader knows no cell for certain and every other one is published.

    Examples
    --------
    A table of two rows and three columns with known totals:

    >>> table = [3, 40, 12, 50, 60, 70]
    >>> sums = [Sum((0, 1, 2)), Sum((3, 4, 5)), Sum((0, 3)), Sum((1, 4)), Sum((2, 5))]
    >>> protected_cells(table, sums, 5)
    ([0], [2, 3, 5])
    """
    small, others, _ = protection(counts, sums, smallest)
    return small, others


def protection(
    counts: Sequence[int],
    sums: Sequence[Sum],
    smallest: int,
    *,
    fixed: Iterable[int] = (),
    withheld: Iterable[int] = (),
    first: Iterable[int] = (),
) -> Protection:
    """Give the cells to hide when any number of sums of them are known, and those that stay computable.

    Every small cell is audited: the smallest and largest value that the known sums allow are found by linear programming,
    and where they are too close one more cell that shares a sum with it is hidden, until the audit passes. Then cells that
    turn out not to be needed are shown again, the largest first. The choice is greedy, not the smallest possible. Bounds are
    exact where the sums are totals of one two-way table or nested in each other (the linear programme then has whole-numbered
    corners), and outer bounds else.

    Parameters
    ----------
    counts : (n,)
        All cells, totals among them.
    sums : sequence of Sum
        What adds up to what.
    smallest : int
        Counts from 1 to one less are hidden.
    fixed : positions
        Cells that every reader knows; they are never hidden to protect others.
    withheld : positions
        Cells that are published nowhere, not even as "<5": of them the reader knows what the sums tell, and that they are
        0 or more. They need no protection of their own.
    first : positions
        Cells to hide for the protection of others before any other, such as those that an earlier call found.

    Returns
    -------
    Protection
        Where nothing is left to hide, small cells stay computable: four of them that add up to "<5" are 1 each.

    Examples
    --------
    >>> protection([1, 1, 0, 2], [Sum((0, 1, 2), 3), Sum((3,))], 5)
    Protection(small=[0, 1, 3], others=[], computable=[0, 1, 3])
    >>> protection([1, 1, 0, 2], [Sum((0, 1, 2), 3)], 5, withheld=(0, 1, 2))
    Protection(small=[3], others=[], computable=[])
    """
    known, unpublished = set(fixed), set(withheld)
    small = [i for i, n in enumerate(counts) if is_small(n, smallest) and i not in known and i not in unpublished]
    system = _System(counts, sums, smallest, known, set(small), unpublished)
    width = min(_WIDTH, smallest - 2)
    others = [i for i in dict.fromkeys(first) if system.may_be_hidden(i)]
    system.hidden.update(others)
    waiting, computable = list(small), set()
    while waiting:
        cell = waiting[-1]
        cells, together = system.component(cell)
        if system.is_open(cell, cells, together, width):
            computable.discard(waiting.pop())
            continue
        added = system.next_to_hide(cell, together)
        if added is None:
            computable.add(waiting.pop())
            continue
        system.hidden.add(added)
        others.append(added)
        # what is hidden now may itself be computable, and then protects nothing: whoever is connected is audited again
        connected = system.component(added)[0]
        waiting = list(dict.fromkeys([*(i for i in small if i in connected and i != cell), *waiting[:-1], cell]))
    if not computable:
        for cell in sorted(others, key=lambda i: (-counts[i], i)):
            if system.shows_again(cell, small, width):
                others.remove(cell)
    return Protection(small, others, sorted(computable))


class _System:
    """Cells, what is hidden of them, and the sums that connect them."""

    def __init__(
        self,
        counts: Sequence[int],
        sums: Sequence[Sum],
        smallest: int,
        known: set[int],
        small: set[int],
        withheld: set[int],
    ) -> None:
        self.counts, self.sums, self.smallest, self.known, self.withheld = counts, sums, smallest, known, withheld
        self.hidden = small | withheld
        #: solutions of the sums: all counts as they could be
        self.found: list[NDArray[np.float64]] = [np.array(counts, dtype=float)]
        self.sums_of: dict[int, list[int]] = {}
        for number, one in enumerate(sums):
            for cell in one.cells:
                self.sums_of.setdefault(cell, []).append(number)

    def component(self, cell: int) -> tuple[list[int], list[int]]:
        """Give the hidden cells that sums connect with a hidden one, the nearest first, and those sums."""
        cells, together = {cell: None}, set()
        waiting = deque(cells)
        while waiting:
            for number in self.sums_of.get(waiting.popleft(), ()):
                if number not in together:
                    together.add(number)
                    new = [i for i in self.sums[number].cells if i in self.hidden and i not in cells]
                    cells.update(dict.fromkeys(new))
                    waiting += new
        return list(cells), sorted(together)

    def is_open(self, cell: int, cells: list[int], together: list[int], width: float) -> bool:
        """Whether the sums allow a cell values that lie at least `width` apart.

        A solution stays one when more cells are hidden, so those that any programme found are kept: many cells need none of
        their own.
        """
        if not together or self._width_seen(cell) >= width:
            return True
        if any(self._n_hidden(number) == 1 for number in self.sums_of[cell]):
            return False
        place = {i: column for column, i in enumerate(cells)}
        left = np.zeros((len(together), len(cells)))
        for row, number in enumerate(together):
            for i in self.sums[number].cells:
                if i in place:
                    left[row, place[i]] += -1 if i == self.sums[number].total else 1
        unpublished = np.array([i in self.withheld for i in cells])
        small = np.array([is_small(self.counts[i], self.smallest) for i in cells]) & ~unpublished
        least = np.where(small, 1, np.where(unpublished, 0, self.smallest))
        bounds = Bounds(least, np.where(small, self.smallest - 1, np.inf))
        right = left @ np.array([self.counts[i] for i in cells], dtype=float)
        # the others, by so little that the cell itself comes within 1e-3 of its bound, are moved along with it
        own = np.where(small, 1e-3 / (self.smallest * len(cells)), 0.0)
        own[place[cell]] = 1.0
        for aim in (own, -own):
            found = milp(aim, constraints=LinearConstraint(left, right, right), bounds=bounds).x
            solution = self.found[0].copy()
            solution[cells] = found
            self.found.append(solution)
            if self._width_seen(cell) >= width:
                return True
        return False

    def _width_seen(self, cell: int) -> float:
        values = [float(solution[cell]) for solution in self.found]
        return max(values) - min(values) + 5e-3

    def shows_again(self, cell: int, small: Sequence[int], width: float) -> bool:
        """Show a hidden cell again if the small ones stay open without it, and say whether they do."""
        connected, before, of_concern = self.component(cell)[0], self.found, set(small)
        self.hidden.discard(cell)
        # in them it has the value that is shown now
        self.found = [solution for solution in before if abs(solution[cell] - self.counts[cell]) < 1e-6]
        if all(self.is_open(i, *self.component(i), width) for i in connected if i in of_concern):
            return True
        self.hidden.add(cell)
        self.found = before
        return False

    def next_to_hide(self, cell: int, together: list[int]) -> int | None:
        """Give the cell to hide next: of a sum with one hidden cell if there is one; least new such sums, smallest count."""
        free = {n: [i for i in self.sums[n].cells if self.may_be_hidden(i)] for n in together}
        tight = [n for n in together if self._n_hidden(n) == 1 and free[n]]
        own = [n for n in self.sums_of[cell] if free[n]]
        for numbers in (tight, own, together):
            candidates = {i for n in numbers for i in free[n]}
            if candidates:
                return min(candidates, key=lambda i: (self._new_tight(i), self.counts[i], i))
        return None

    def may_be_hidden(self, i: int) -> bool:
        return i not in self.hidden and i not in self.known and self.counts[i] >= self.smallest

    def _n_hidden(self, number: int) -> int:
        return sum(i in self.hidden for i in self.sums[number].cells)

    def _new_tight(self, i: int) -> int:
        return sum(self._n_hidden(number) == 0 for number in self.sums_of[i])


def hidden_rows(counts: NDArray[np.int64], smallest: int) -> tuple[list[int], list[int]]:
    """Give the rows of a table (rows, columns) with known totals to hide, with all their cells; the first column is their size.

    Small rows hold a small count in some column, or are empty of customers. Rows that protect them, the next in size, are
    added until at least two are hidden and the sum of what is hidden is small in no column.

    >>> hidden_rows(np.array([[40, 20], [30, 9], [12, 3]]), 5)
    ([2], [1])
    """
    small = [i for i, row in enumerate(counts) if row[0] < max(smallest, 1) or any(is_small(c, smallest) for c in row)]
    shown = sorted(set(range(len(counts))) - set(small), key=lambda i: (counts[i, 0], i))
    others: list[int] = []
    while small and shown:
        together = counts[[*small, *others]].sum(axis=0)
        if len(small) + len(others) > 1 and not any(is_small(c, smallest) for c in together):
            break
        others.append(shown.pop(0))
    return small, others

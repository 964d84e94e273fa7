"""Small counts: which cells must be hidden so that no customer can be recognised, directly or from a total.

Primary: a count of 1 … smallest − 1. Complementary: what could be computed from the total and the cells that are shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def is_small(count: float, smallest: int) -> bool:
    """Whether a count is 1 … smallest − 1."""
    return 0 < count < smallest


def hidden_cells(counts: Sequence[int], smallest: int) -> tuple[list[int], list[int]]:
    """Give the positions of the cells of a column with known total to hide: small ones, and others that protect them.

    One hidden count would be the total minus the others, so a second one, the next smallest, is hidden with it; likewise
    when the hidden ones can only be all 1 or all smallest − 1.

    >>> hidden_cells([3, 40, 12, 0], 5), hidden_cells([3, 2, 12], 5)
    (([0], [2]), ([0, 1], []))
    """
    small = [i for i, count in enumerate(counts) if is_small(count, smallest)]
    shown = sorted((i for i, count in enumerate(counts) if count >= smallest), key=lambda i: counts[i])
    others: list[int] = []
    while small and shown and _is_determined([counts[i] for i in (*small, *others)], smallest):
        others.append(shown.pop(0))
    return small, others


def _is_determined(hidden: list[int], smallest: int) -> bool:
    return len(hidden) == 1 or sum(hidden) in (len(hidden), len(hidden) * (smallest - 1))


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

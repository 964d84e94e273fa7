"""Small counts stay hidden from a reader who knows every sum and solves for them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnsurv.small_counts import Sum, is_small, protected_cells, protection
from tests.report.attacker import Attacker

SMALLEST = 5
COUNTS = st.sampled_from([0, 0, 1, 1, 2, 3, 4, 5, 7, 12, 30])


def attacked(counts, sums, small, others):
    """Smallest and largest possible value of each hidden small cell."""
    attacker = Attacker(SMALLEST)
    for i, count in enumerate(counts):
        attacker.reads(("cell", i), f"<{SMALLEST}" if i in small else "not shown" if i in others else count)
    for one in sums:
        parts = [("cell", i) for i in one.parts]
        attacker.knows_sum(
            parts, float(sum(counts[i] for i in one.parts)) if one.total is None else ("cell", one.total)
        )
    return {i: attacker.bounds(("cell", i)) for i in small}


def nothing_left(counts, sums, hidden, cell):
    """Whether every cell that sums connect with this one through hidden ones is hidden, or no help (0)."""
    reached, waiting = {cell}, [cell]
    while waiting:
        i = waiting.pop()
        for one in sums:
            if i in one.cells:
                if any(j not in hidden and counts[j] >= SMALLEST for j in one.cells):
                    return False
                new = [j for j in one.cells if j in hidden and j not in reached]
                reached.update(new)
                waiting += new
    return True


def check(counts, sums):
    small, others = protected_cells(counts, sums, SMALLEST)
    assert small == [i for i, count in enumerate(counts) if is_small(count, SMALLEST)]
    assert all(counts[i] >= SMALLEST for i in others)
    for cell, (low, high) in attacked(counts, sums, small, others).items():
        assert low <= counts[cell] <= high
        assert high - low >= 2 or nothing_left(counts, sums, {*small, *others}, cell), (cell, low, high)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4).flatmap(lambda k: st.lists(st.lists(COUNTS, min_size=k, max_size=k), min_size=2, max_size=4)))
def test_a_two_way_table_with_known_margins_keeps_its_small_counts(rows):
    table = np.array(rows)
    place = np.arange(table.size).reshape(table.shape)
    check(table.ravel().tolist(), [Sum(tuple(map(int, line))) for line in [*place, *place.T]])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(COUNTS, min_size=2, max_size=4), min_size=2, max_size=4), st.lists(COUNTS, min_size=2, max_size=4)
)
def test_sums_within_sums_and_a_second_split_of_the_total_keep_small_counts(groups, second):
    counts, sums, totals = [], [], []
    for group in groups:
        parts = tuple(range(len(counts), len(counts) + len(group)))
        counts += [*group, sum(group)]
        totals.append(len(counts) - 1)
        sums.append(Sum(parts, totals[-1]))
    total = sum(map(sum, groups))
    second = [*second, max(total - sum(second), 0)]
    counts.append(total)
    sums.append(Sum(tuple(totals), len(counts) - 1))
    if sum(second) == total:
        sums.append(Sum(tuple(range(len(counts), len(counts) + len(second))), len(counts) - 1))
        counts += second
    check(counts, sums)


def test_a_hidden_cell_of_one_table_is_not_the_rest_of_another():
    # 3 defaults in the north; by quarter 3 and 20; the total 23 is known from both
    counts = [3, 20, 3, 20]
    small, others = protected_cells(counts, [Sum((0, 1)), Sum((2, 3))], SMALLEST)
    assert (small, sorted(others)) == ([0, 2], [1, 3])


def test_cells_that_everybody_knows_are_not_hidden_in_vain():
    assert protection([3, 50, 53, 9], [Sum((0, 1), 2)], SMALLEST, fixed=[1])[:2] == ([0], [2])


def test_cells_that_turn_out_not_to_be_needed_are_shown_again():
    # hidden from the start are the 9 and the 30; the 9 is enough
    small, others, computable = protection([3, 9, 30, 40], [Sum((0, 1, 2, 3))], SMALLEST, first=[2, 1])
    assert (small, others, computable) == ([0], [1], [])


@pytest.mark.parametrize("smallest", [0, 1])
def test_nothing_is_hidden_without_a_smallest_cell(smallest):
    assert protected_cells([1, 2, 9], [Sum((0, 1, 2))], smallest) == ([], [])

import pandas as pd
import pytest

from churnsurv.report.disclosure import (
    HIDDEN,
    merged_small_groups,
    suppressed_column,
    suppression_notes,
    told,
    without_small,
)


def test_a_single_hidden_count_takes_the_next_smallest_with_it():
    # 55 in all: 55 − 40 − 12 would tell the 3
    assert suppressed_column([3, 40, 12], 5) == ["<5", 40, HIDDEN]


@pytest.mark.parametrize(("small", "hidden"), [([1, 1], True), ([4, 4], True), ([2, 4], False)])
def test_hidden_counts_that_their_sum_would_tell_take_another_with_them(small, hidden):
    cells = suppressed_column([*small, 30, 20], 5)
    assert cells[:2] == ["<5", "<5"]
    assert cells[2:] == ([30, HIDDEN] if hidden else [30, 20])


def test_a_column_without_small_counts_stays():
    assert suppressed_column([0, 5, 12], 5) == [0, 5, 12]
    assert suppressed_column([1, 2], 1) == [1, 2]


def test_a_single_small_group_joins_the_next_smallest():
    labels = pd.Series(["a"] * 9 + ["b"] * 6 + ["c"] * 2)
    merged = merged_small_groups(labels, pd.Series(range(17)), 5, "others")
    assert merged.value_counts().to_dict() == {"a": 9, "others": 8}


def test_words_for_counts_fit_the_smallest_cell():
    assert told(1, "loan", 1) == "1 loan"
    assert told(1, "loan", 5) == "fewer than 5 loans"
    assert suppression_notes(0) == suppression_notes(1) == ()
    assert suppression_notes(2)[0].startswith("Counts of 1 are")
    assert suppression_notes(5)[0].startswith("Counts from 1 to 4 are")


def test_rates_of_small_counts_are_blanked():
    table = pd.DataFrame({"x": [3, 9], "x rate": [0.1, 0.2], "x lower": [0.0, 0.1], "x upper": [0.2, 0.3]})
    blanked = without_small(table, ["x"], 5)
    assert blanked["x rate"].isna().tolist() == [True, False]
    assert blanked["x upper"].isna().tolist() == [True, False]

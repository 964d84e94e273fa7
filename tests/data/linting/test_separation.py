import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from churnsurv.data.linting.separation import FEWEST_OTHERS, OF_LOANS, OF_SPELLS, GroupRanks, implied, never


def concordance_by_hand(values, group, exits):
    """Count the pairs of an exit and a row that stays, group by group."""
    won = pairs = 0.0
    for g in np.unique(group):
        left = values[(group == g) & exits]
        stay = values[(group == g) & ~exits]
        left, stay = left[~np.isnan(left)], stay[~np.isnan(stay)]
        if len(left) and len(stay) >= FEWEST_OTHERS:
            won += sum((x > stay).sum() + 0.5 * (x == stay).sum() for x in left)
            pairs += len(left) * len(stay)
    return (won, pairs)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 9))
def test_the_concordance_is_the_share_of_pairs_within_groups(seed, n_groups, n_values):
    rng = np.random.default_rng(seed)
    n = 150
    values = rng.integers(0, n_values, n).astype(float)
    values[rng.random(n) < 0.1] = np.nan
    group, exits = rng.integers(0, n_groups, n), rng.random(n) < 0.1
    found = GroupRanks(values, group).concordance(exits)
    won, pairs = concordance_by_hand(values, group, exits)
    if pairs == 0:
        assert found is None
    else:
        assert found.value == pytest.approx(max(won / pairs, 1 - won / pairs))
        assert found.higher == (won / pairs >= 0.5)


def test_in_one_group_it_is_the_area_under_the_curve():
    rng = np.random.default_rng(0)
    exits = rng.random(500) < 0.2
    values = rng.normal(0, 1, 500) + exits
    found = GroupRanks(values, np.zeros(500, int)).concordance(exits)
    assert found.value == pytest.approx(roc_auc_score(exits, values))


def test_the_standard_error_is_the_spread_over_samples_or_a_little_above():
    rng = np.random.default_rng(1)
    exits, found = np.arange(400) < 40, []
    for _ in range(400):
        values = rng.normal(0, 1, 400) + 1.5 * exits
        found.append(GroupRanks(values, np.zeros(400, int)).concordance(exits))
    spread = np.std([one.value for one in found])
    assert 0.95 * spread < np.mean([one.se for one in found]) < 1.3 * spread


def test_few_exits_never_count_as_suspicious():
    exits = np.arange(100) < 7
    assert not GroupRanks(exits.astype(float), np.zeros(100, int)).concordance(exits).beyond
    exits = np.arange(100) < 8
    assert GroupRanks(exits.astype(float), np.zeros(100, int)).concordance(exits).beyond


def test_a_mark_of_the_exit_is_told_from_one_that_raises_the_hazard_five_times():
    rng = np.random.default_rng(2)
    cohort = rng.integers(0, 4, 4000)
    mark = rng.random(4000) < 0.05
    leaves = rng.random(4000) < 0.2
    honest = np.where(mark, rng.random(4000) < 1 - 0.8**5, leaves)
    assert implied(mark, honest, cohort, OF_LOANS) is None
    made = leaves & (rng.random(4000) < 0.5)
    found = implied(made, leaves, cohort, OF_LOANS)
    assert (found.marked, found.exits) == (made.sum(), made.sum())
    assert found.exits_of_others == (leaves & ~made).sum()


def test_loans_of_a_vintage_of_which_all_left_imply_nothing():
    # the old product is only in the first vintage, all of which has left
    cohort = np.repeat([0, 1], 500)
    exits = np.where(cohort == 0, True, np.arange(1000) % 10 == 0)
    old = (cohort == 0) & (np.arange(1000) % 2 == 0)
    assert implied(old, exits, cohort, OF_LOANS) is None


def test_a_few_mistakes_do_not_hide_a_mark():
    exits = np.arange(5000) < 200
    mark = exits.copy()
    mark[1000:1004] = True
    assert implied(mark, exits, np.zeros(5000, int), OF_SPELLS) is not None
    mark[1000:1010] = True
    assert implied(mark, exits, np.zeros(5000, int), OF_SPELLS) is None


def test_no_exit_among_many_is_told_from_protection():
    rng = np.random.default_rng(3)
    mark, exits = rng.random(3000) < 0.5, rng.random(3000) < 0.3
    cohort = np.zeros(3000, int)
    assert never(mark, exits & ~mark, cohort, OF_LOANS)
    protected = exits & (~mark | (rng.random(3000) < 0.2))
    assert not never(mark, protected, cohort, OF_LOANS)
    few = np.arange(3000) < 20
    assert not never(few, exits & ~few, cohort, OF_LOANS)
    assert not never(np.zeros(3000, bool), exits, cohort, OF_LOANS)

"""Splits by customer: nobody is on both sides, events are spread, and the books still balance."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import churnsurv as cs
from churnsurv.data import CustomerKFold, build_spells, customer_split
from churnsurv.data.splits import rarest_event
from churnsurv.exceptions import DataError, SmallSampleWarning
from tests.data.tables import loan_table, performance_table, rules

RULES = rules(customer_id="customer_id")
#: customer → how each of its loans ends, and after how many months; 30 customers with 45 loans
ENDINGS = {
    f"K{number:02d}": [("prepaid" if number % 3 == 0 else "charged off" if number % 7 == 0 else "open", 2 + number % 5)]
    + ([("open", 4)] if number % 2 else [])
    for number in range(30)
}


def tables(endings=ENDINGS):
    loans, rows, customers = [], [], []
    for customer, ends in endings.items():
        for status, months in ends:
            loan = len(loans) + 1
            loans.append((loan, 0, 24))
            customers.append(customer)
            rows += [(loan, month, "open", 600 + loan) for month in range(months - 1)]
            rows.append((loan, months - 1, status, 600))
    return loan_table(*loans).assign(customer_id=customers), performance_table(*rows)


@pytest.fixture(scope="module")
def spells():
    return build_spells(*tables(), RULES)


def folds_of(splitter, y, groups):
    """Give the set of tested customers, fold by fold."""
    return [set(np.asarray(groups)[test]) for _, test in splitter.split(y, y, groups)]


# ---- folds


@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
def test_no_customer_is_on_both_sides_and_every_row_is_tested_once(spells):
    tested = []
    for train, test in CustomerKFold(4, random_state=0).split(spells.X, spells.y, spells.groups):
        assert set(spells.groups[train]).isdisjoint(spells.groups[test])
        assert sorted([*train, *test]) == list(range(len(spells)))
        tested += [*test]
    assert sorted(tested) == list(range(len(spells)))


@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
@pytest.mark.parametrize("shuffle", [False, True])
def test_events_of_each_cause_are_spread_evenly(spells, shuffle):
    folds = CustomerKFold(4, shuffle=shuffle).split(spells.X, spells.y, spells.groups)
    events = np.array([np.bincount(spells.y.event[test], minlength=3) for _, test in folds])
    # 10 customers repaid early, 3 (numbers 7, 14, 28) failed
    assert events.sum(axis=0)[1:].tolist() == [10, 3]
    assert (np.ptp(events, axis=0)[1:] <= 1).all()


def test_of_a_customers_events_the_rarest_counts():
    #                  a     b     c  d
    customer = np.array([0, 0, 1, 1, 2, 3])
    event = np.array([1, 2, 1, 0, 1, 0])
    assert rarest_event(customer, event, 4).tolist() == [2, 1, 1, 0]


def test_rare_events_are_spread_though_their_customers_have_frequent_ones_too():
    rng = np.random.default_rng(0)
    customer = np.repeat(np.arange(300), 2)
    event = np.ones(600, int)
    rare = rng.choice(300, 15, replace=False)
    event[2 * rare] = 2
    for _, test in CustomerKFold(5, random_state=1).split(
        customer, cs.Outcome(event, event, causes=("a", "b")), customer
    ):
        assert (event[test] == 2).sum() == 3


def test_the_order_of_the_rows_does_not_matter(spells):
    order = np.random.default_rng(5).permutation(len(spells))
    splitter = CustomerKFold(3, random_state=7)
    assert folds_of(splitter, spells.y, spells.groups) == folds_of(splitter, spells.y[order], spells.groups[order])


def test_the_seed_decides(spells):
    first = folds_of(CustomerKFold(3, random_state=1), spells.y, spells.groups)
    assert first == folds_of(CustomerKFold(3, random_state=1), spells.y, spells.groups)
    assert first != folds_of(CustomerKFold(3, random_state=2), spells.y, spells.groups)


def test_without_shuffling_folds_are_blocks_of_identifiers():
    folds = folds_of(CustomerKFold(3, shuffle=False), None, ["b", "a", "c", "f", "e", "d", "a"])
    assert folds == [{"a", "b"}, {"c", "d"}, {"e", "f"}]


def test_labels_and_structured_arrays_are_spread_like_an_outcome(spells):
    y = spells.y
    splitter = CustomerKFold(3, random_state=1)
    any_event = cs.Outcome(y.stop, (y.event > 0).astype(int))
    expected = folds_of(splitter, any_event, spells.groups)
    structured = np.array(list(zip(y.event > 0, y.stop, strict=True)), dtype=[("event", bool), ("time", float)])
    assert folds_of(splitter, structured, spells.groups) == expected
    assert folds_of(splitter, y.event > 0, spells.groups) == expected
    assert folds_of(splitter, np.where(y.event > 0, "left", "here"), spells.groups) == expected
    # numbers are no labels: nothing to spread
    numbers = folds_of(splitter, y.stop + 0.5, spells.groups)
    assert numbers == folds_of(splitter, None, spells.groups)


@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
def test_fewer_events_than_folds_everywhere_still_split():
    y = cs.Outcome([1, 2, 3, 4, 5, 6], [1, 2, 3, 1, 2, 3], causes=("a", "b", "c"))
    with pytest.warns(SmallSampleWarning, match="'a' happened to 2 customers, fewer than 5 folds"):
        folds = folds_of(CustomerKFold(5, random_state=0), y, list("uvwxyz"))
    assert sorted(len(fold) for fold in folds) == [1, 1, 1, 1, 2]


def test_a_cause_rarer_than_the_folds_is_warned_of(spells):
    with pytest.warns(SmallSampleWarning, match=r"'default' happened to 3 customers, fewer than 4 folds") as caught:
        list(CustomerKFold(4, random_state=0).split(spells.X, spells.y, spells.groups))
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
def test_it_works_in_cross_validation_and_grid_search():
    rng = np.random.default_rng(0)
    n = 240
    groups = rng.integers(0, 90, n)
    X = pd.DataFrame({"x": rng.normal(size=n)})
    y = cs.Outcome(rng.integers(1, 25, n), rng.integers(0, 3, n), causes=("attrition", "default"))
    model, splitter = cs.CoxPH(cause="attrition"), CustomerKFold(3, random_state=3)

    def score(fitted, X, y):
        return cs.metrics.concordance_index(y, fitted.predict(X), cause="attrition").value

    values = cross_val_score(model, X, y, groups=groups, cv=splitter, scoring=score)
    by_hand = [score(model.fit(X.iloc[a], y[a]), X.iloc[b], y[b]) for a, b in splitter.split(X, y, groups)]
    np.testing.assert_allclose(values, by_hand)
    search = GridSearchCV(model, {"ties": ["efron", "breslow"]}, cv=splitter, scoring=score).fit(X, y, groups=groups)
    assert search.cv_results_["mean_test_score"][0] == pytest.approx(np.mean(by_hand))


def test_a_model_that_knows_customers_by_heart_is_found_out():
    # labels and features of customers are drawn apart, so the truth is that nothing can be learnt
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(200), 5)
    x, z = np.repeat(rng.normal(size=(200, 3)), 5, axis=0), np.repeat(rng.integers(0, 2, 200), 5)
    by_heart = KNeighborsClassifier(1)
    rows = cross_val_score(by_heart, x, z, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    customers = cross_val_score(by_heart, x, z, groups=groups, cv=CustomerKFold(5, random_state=0))
    assert rows.mean() > 0.99
    assert abs(customers.mean() - 0.5) < 0.12


def test_it_says_how_many_folds_it_has():
    assert CustomerKFold(7).get_n_splits() == 7
    assert repr(CustomerKFold(3, random_state=1)) == "CustomerKFold(n_splits=3, random_state=1, shuffle=True)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_splits": 1}, "n_splits=1: give a whole number of folds, 2 or more"),
        ({"n_splits": 2.5}, "n_splits=2.5"),
        ({"n_splits": True}, "n_splits=True"),
        ({"shuffle": "yes"}, "shuffle='yes'"),
        ({"shuffle": False, "random_state": 3}, "random_state has no effect"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        CustomerKFold(**options)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (None, "pass groups=spells.groups"),
        (["a", "a", "a", "a"], r"All rows are of one customer \(a\)"),
        (["a", "a", "b", "b"], r"2 customers \(a, b\) cannot be spread over 3 folds"),
        (["a", None, "b", "c"], r"groups has 1 missing value \(row 1\)"),
        (["a", "b", "c"], r"groups has shape \(3,\), the outcome has 4 rows"),
    ],
)
def test_groups_that_cannot_be_split_are_refused(groups, message):
    X = np.zeros((4, 1))
    with pytest.raises(DataError, match=message):
        list(CustomerKFold(3).split(X, None, groups))


def test_an_outcome_of_another_length_and_a_seed_that_is_none_are_refused():
    with pytest.raises(DataError, match="y has 2 rows, groups have 3"):
        list(CustomerKFold(2).split(np.zeros(3), cs.Outcome([1, 2], [1, 0]), list("abc")))
    with pytest.raises(DataError, match="random_state='luck' is no seed"):
        list(CustomerKFold(2, random_state="luck").split(np.zeros(3), None, list("abc")))


# ---- two parts


def test_two_parts_have_different_customers_and_together_all_rows(spells):
    development, test = customer_split(spells, test_share=0.3, random_state=0)
    assert set(development.groups).isdisjoint(test.groups)
    assert len(set(test.groups)) == 9
    together = pd.concat([development.frame, test.frame]).sort_values(["loan_id", "start"], ignore_index=True)
    pd.testing.assert_frame_equal(together, spells.frame.sort_values(["loan_id", "start"], ignore_index=True))
    # a fifth of them failed or repaid: 10 and 3 of 30 customers
    assert np.bincount(test.y.event, minlength=3)[1:].tolist() == [3, 1]


@pytest.mark.parametrize("complete", [False, True])
def test_the_reconciliation_of_each_part_balances(spells, complete):
    whole = spells.complete() if complete else spells
    for part in customer_split(whole, random_state=0):
        balance = part.reconciliation.set_index("reason")["loans"]
        assert balance["loans in"] == balance.iloc[1:].sum() == 45
        others = 45 - spells.frame["loan_id"][spells.frame["customer_id"].isin(part.groups)].nunique()
        assert balance["of other customers"] == others


@pytest.mark.parametrize("complete", [False, True])
def test_a_part_is_cut_at_a_date_as_the_whole_is(spells, complete):
    whole = spells.complete() if complete else spells
    part = customer_split(whole, test_share=0.5, random_state=3)[1]
    for cut in ("landmark", "until", "after"):
        expected = getattr(whole, cut)("2024-02-29").frame
        expected = expected[expected["customer_id"].isin(part.groups)].reset_index(drop=True)
        pd.testing.assert_frame_equal(getattr(part, cut)("2024-02-29").frame, expected)
    today = whole.landmark("2024-06-30").frame
    assert set(part.landmark("2024-06-30").groups) == set(today["customer_id"]) & set(part.groups)


def test_a_cohort_is_split_like_spells_even_without_an_outcome(spells):
    for date in ("2024-02-29", "2024-06-30"):
        cohort = spells.landmark(date)
        development, test = customer_split(cohort, test_share=0.4, random_state=0)
        assert set(development.groups).isdisjoint(test.groups)
        assert len(development) + len(test) == len(cohort)
        assert test.date == cohort.date
    assert len(spells.landmark("2024-02-29").of_customers(["K01"])) == 2


def test_the_draw_depends_on_the_seed_alone(spells):
    first = customer_split(spells, random_state=1)[1].groups
    np.testing.assert_array_equal(customer_split(spells, random_state=1)[1].groups, first)
    assert set(customer_split(spells, random_state=2)[1].groups) != set(first)


def test_few_customers_are_split_without_spreading_their_events():
    few = build_spells(*tables({"a": [("prepaid", 2)], "b": [("charged off", 3)], "c": [("open", 4)]}), RULES)
    development, test = customer_split(few, random_state=0)
    assert len(set(test.groups)) == 1
    assert len(set(development.groups)) == 2


def test_spells_of_listed_customers(spells):
    some = spells.of_customers(["K03", "K04", "K03"])
    assert set(some.groups) == {"K03", "K04"}
    assert some.frame["loan_id"].nunique() == 3
    with pytest.raises(DataError, match=r"1 customer of 2 listed have no row here \(K99\)"):
        spells.of_customers(["K03", "K99"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_share": 0}, "test_share=0: give a share between 0 and 1"),
        ({"test_share": "half"}, "test_share='half'"),
        (
            {"test_share": 0.01},
            r"test_share=0.01 of 30 customers leaves a part without customers: give a share from 0.0333",
        ),
        ({"random_state": "luck"}, "no seed"),
    ],
)
def test_shares_and_seeds_that_mean_nothing_are_refused(spells, change, message):
    with pytest.raises(DataError, match=message):
        customer_split(spells, **change)


def test_what_cannot_be_split_by_customer_is_refused(spells):
    with pytest.raises(DataError, match="DataFrame cannot be split by customer"):
        customer_split(spells.frame)
    with pytest.raises(DataError, match=r"All rows are of one customer \(K01\)"):
        customer_split(spells.of_customers(["K01"]))


def test_groups_are_routed_where_scikit_learn_routes_metadata():
    groups = np.repeat(np.arange(30), 2)
    x, z = groups[:, None].astype(float), (groups % 3 == 0).astype(int)
    splitter = CustomerKFold(3, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_val_score(KNeighborsClassifier(1), x, z, cv=splitter, params={"groups": groups})
    np.testing.assert_array_equal(routed, cross_val_score(KNeighborsClassifier(1), x, z, cv=splitter, groups=groups))

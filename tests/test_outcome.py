"""Outcomes: what is legal, what is refused and with which words, and how they are cut and resampled."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError, MissingDataWarning, ZeroDurationWarning


def test_without_entry_times_the_origin_is_closed_and_time_zero_is_legal():
    y = cs.Outcome([0, 3], [0, 1])
    assert y.from_origin
    assert np.all(y.entry == -np.inf)
    assert cs.Outcome([1, 3], [0, 1], start=[0, 2]).entry.tolist() == [0, 2]


def test_an_event_at_time_zero_is_kept_and_said():
    with pytest.warns(ZeroDurationWarning, match=r"1 event at time 0 \(row 1\): kept"):
        y = cs.Outcome([2, 0], [1, 1])
    assert len(y) == 2
    assert cs.KaplanMeier().fit(y).table_["n_risk"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"stop": [1, np.nan], "event": [0, 1]}, ["'stop'", "1 missing value", "row 1"]),
        ({"stop": [1, np.inf], "event": [0, 1]}, ["'stop'", "infinite"]),
        ({"stop": [1, -5], "event": [0, 1]}, ["1 negative value", "row 1", "-5", "before the origin"]),
        ({"stop": [1, 2], "event": [0, np.nan]}, ["'event'", "missing", "row 1"]),
        ({"stop": [1, 2], "event": [1, 2]}, ["{1, 2}", "1 cause", "Name every cause"]),
        ({"stop": [1, 2], "event": ["paid", "default"]}, ["'paid'", "from_frame", "causes="]),
        (
            {"stop": [5.2, 7], "event": [0, 1], "start": [6.2, 1], "subject": [17, 18]},
            ["start >= stop", "id 17", "6.2 >= 5.2"],
        ),
        (
            {"stop": [3, 4], "event": [0, 1], "start": [0, 1], "subject": [4, 4]},
            ["at risk twice on (1, 3]", "rows 0, 1"],
        ),
        (
            {"stop": [3, 6], "event": [1, 0], "start": [0, 4], "subject": [4, 4]},
            ["after its event at 3", "recurrent=True"],
        ),
        ({"stop": [], "event": []}, ["0 rows"]),
        ({"stop": [1, 2], "event": [0]}, ["shape (1,)", "2 rows"]),
        ({"stop": [1, 2], "event": [0, 1], "causes": ("a", "a")}, ["different name"]),
        ({"stop": [1, 2], "event": [0, 1], "causes": "attrition"}, ["'attrition'"]),
        ({"stop": pd.to_timedelta([1, 2], unit="D"), "event": [0, 1]}, ["timedelta", "pd.Timedelta(days=1)"]),
        ({"stop": ["1", "2"], "event": [0, 1]}, ["not numeric", "pd.to_numeric"]),
        ({"stop": [[1, 2]], "event": [0]}, ["2 dimensions"]),
        ({"stop": [1, 2], "event": [0, 1], "subject": [1.0, np.nan]}, ["missing in row 1"]),
    ],
)
def test_what_is_wrong_is_refused_in_words_that_name_it(arguments, words):
    with pytest.raises(DataError) as caught:
        cs.Outcome(**arguments)
    for word in words:
        assert word in str(caught.value)


def test_recurrent_outcomes_may_go_on_after_an_event():
    y = cs.Outcome([3, 6], [1, 0], start=[0, 3], subject=[4, 4], recurrent=True)
    assert y.n_subjects == 1
    assert y.n_events == 1


def test_rows_of_subjects_may_come_in_any_order():
    y = cs.Outcome([6, 2, 3], [1, 0, 1], start=[2, 0, 1], subject=["a", "a", "b"])
    assert y.n_subjects == 2
    with pytest.raises(DataError, match="at risk twice"):
        cs.Outcome([6, 3, 3], [1, 0, 1], start=[2, 0, 1], subject=["a", "a", "b"])


def test_times_that_differ_by_rounding_are_one_time():
    days = np.array([100, 200, 300, 100])
    noisy = (1234.5 + days / 365.25) - 1234.5
    noisy[3] += 1e-13
    y = cs.Outcome(noisy, [1, 1, 0, 1])
    assert y.stop[0] == y.stop[3]
    assert len(np.unique(y.stop)) == 3


def test_from_frame_translates_raw_values():
    df = pd.DataFrame({"t": [1, 2, 3, 4], "s": ["open", "refi", "sold", "loss"]})
    y = cs.Outcome.from_frame(
        df, stop="t", event="s", censored=["open", "sold"], causes={"refi": "attrition", "loss": "default"}
    )
    assert y.event.tolist() == [0, 1, 0, 2]
    assert y.causes == ("attrition", "default")


def test_from_frame_refuses_values_that_nothing_explains():
    df = pd.DataFrame({"t": [1, 2, 3], "status": [0, 1, 3]})
    with pytest.raises(DataError, match=r"'status' holds 3 in 1 row \(row 2\).*censored="):
        cs.Outcome.from_frame(df, stop="t", event="status", causes=("attrition", "default"))
    with pytest.raises(DataError, match=r"\{'paid': 'attrition'\}|causes="):
        cs.Outcome.from_frame(df.assign(status=["paid", "default", "paid"]), stop="t", event="status")
    with pytest.raises(DataError, match="No column 'age'"):
        cs.Outcome.from_frame(df, stop="age", event="status")


def test_from_frame_drops_missing_rows_when_asked_and_counts_them():
    df = pd.DataFrame({"t": [1, None, 3], "e": [1, 1, 0]})
    with pytest.raises(DataError, match="'t' has 1 missing value"):
        cs.Outcome.from_frame(df, stop="t", event="e")
    with pytest.warns(MissingDataWarning, match="1 row of 3 dropped"):
        y = cs.Outcome.from_frame(df, stop="t", event="e", missing="drop")
    assert len(y) == 2
    with pytest.raises(DataError, match="'raise' or 'drop'"):
        cs.Outcome.from_frame(df, stop="t", event="e", missing="ignore")


def test_scikit_survival_arrays_go_there_and_back():
    y = cs.Outcome([2, 3], [1, 0])
    again = cs.Outcome.from_sksurv(y.to_sksurv())
    assert again.stop.tolist() == [2, 3]
    assert again.event.tolist() == [1, 0]
    with pytest.raises(DataError, match="entry times"):
        cs.Outcome([2, 3], [1, 0], start=[1, 0]).to_sksurv()
    with pytest.raises(DataError, match="not an Outcome"):
        cs.Outcome.from_sksurv(np.array([1.0, 2.0]))


def test_one_cause_censors_the_others():
    y = cs.Outcome([1, 2, 3], [1, 2, 0], causes=("attrition", "default"))
    assert y.only("default").event.tolist() == [0, 1, 0]
    with pytest.raises(DataError, match=r"'death' is unknown.*'attrition', 'default'"):
        y.only("death")


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_resampled_subjects_come_once_per_mention_with_new_labels(chosen):
    y = cs.Outcome([2, 5, 3, 4], [0, 1, 0, 1], start=[0, 2, 0, 1], subject=["a", "a", "b", "c"])
    rows, again = y.rows_of(chosen), y.resample(chosen)
    assert y.subject[rows].tolist() == [s for c in chosen for s in y.subject if s == c]
    assert again.n_subjects == len(chosen)
    np.testing.assert_array_equal(again.stop, y.stop[rows])
    np.testing.assert_array_equal(np.asarray(chosen)[again.subject], y.subject[rows])


def test_resample_refuses_subjects_it_does_not_know():
    with pytest.raises(DataError, match="Unknown subject 7"):
        cs.Outcome([1, 2], [0, 1]).resample([0, 7])


def test_rows_are_selected_by_mask_position_slice_and_as_scikit_learn_does():
    y = cs.Outcome([1, 2, 3], [1, 0, 1])
    for key in ([0, 2], np.array([True, False, True]), slice(0, None, 2), (np.array([0, 2]), ...)):
        assert y[key].stop.tolist() == [1, 3]
    assert y.shape == (3,)


def test_an_outcome_is_frozen():
    y = cs.Outcome([1, 2], [1, 0])
    with pytest.raises(AttributeError):
        y.stop = np.array([5.0, 6.0])
    with pytest.raises(ValueError, match="read-only"):
        y.stop[0] = 9


def test_the_callers_array_stays_writable():
    stop = np.array([1.0, 2.0])
    y = cs.Outcome(stop, [1, 0])
    assert stop.flags.writeable
    assert not y.stop.flags.writeable


def test_the_repr_says_what_is_in_it():
    y = cs.Outcome([1, 2, 3], [1, 2, 0], causes=("attrition", "default"))
    assert repr(y) == "Outcome of 3 rows, 3 subjects, from the origin: censored 1, attrition 1, default 1"


@pytest.mark.parametrize("dtype", [bool, "boolean", object])
def test_true_is_the_event_and_false_is_censored(dtype):
    df = pd.DataFrame({"t": [1, 2, 3], "e": pd.Series([True, False, True], dtype=dtype)})
    assert cs.Outcome.from_frame(df, stop="t", event="e").event.tolist() == [1, 0, 1]
    named = cs.Outcome.from_frame(df, stop="t", event="e", causes=["attrition"])
    assert named.causes == ("attrition",)


def test_a_value_is_a_cause_or_censored_not_both():
    df = pd.DataFrame({"t": [1, 2, 3], "e": [0, 1, 2]})
    causes = {0: "attrition", 1: "default", 2: "renewed"}
    with pytest.raises(
        DataError, match=r"value 0 of 'e' is named in `causes` and in `censored` \(whose default is 0\)"
    ):
        cs.Outcome.from_frame(df, stop="t", event="e", causes=causes)
    assert cs.Outcome.from_frame(df, stop="t", event="e", causes=causes, censored=[]).event.tolist() == [1, 2, 3]


def test_dates_as_times_are_refused_with_what_to_do():
    df = pd.DataFrame({"t": pd.date_range("2026-01-01", periods=2), "e": [0, 1]})
    with pytest.raises(DataError, match="'t' is datetime64.*months since origination"):
        cs.Outcome.from_frame(df, stop="t", event="e")

"""Curves without a model at the edges: fractional ages, rows of weight zero, options of the wrong kind."""

import numpy as np
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.nonparametric import cumulative_incidence, kaplan_meier, risk_table
from churnsurv.rows import meant_times
from tests.nonparametric_twins import close

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")

THREE = 0.1 + 0.2  # 0.30000000000000004
TENTHS = cs.Outcome([0.1, 0.2, THREE, 0.4], [1, 1, 1, 0])
SMALL = cs.Outcome(stop=[6, 6, 12, 18], event=[1, 0, 1, 0])
ESTIMATORS = (cs.KaplanMeier, cs.NelsonAalen, cs.AalenJohansen)


def test_a_time_within_rounding_of_one_of_the_outcome_is_that_time():
    asked = np.array([0.1 - 1e-17, 0.25, 0.3, 0.4 + 1e-12, 7])
    assert meant_times(asked, TENTHS).tolist() == [0.1, 0.25, THREE, 0.4, 7]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_restricted_mean_to_an_age_known_up_to_rounding_has_the_same_variance(estimator):
    fitted = estimator().fit(TENTHS)
    exact, rounded = fitted.rmst(THREE), fitted.rmst(0.3)
    assert rounded.value == pytest.approx(exact.value)
    assert rounded.se == pytest.approx(exact.se)
    robust = estimator().fit(TENTHS, variance="robust")
    assert robust.rmst(0.3).se == pytest.approx(robust.rmst(THREE).se)


def test_a_restricted_mean_to_the_last_time_up_to_rounding_is_known():
    # S = 2/3 from 0.1 on
    assert cs.KaplanMeier().fit(cs.Outcome([0.1, 0.3, 0.3], [1, 0, 0])).rmst(THREE).value == pytest.approx(0.7 / 3)


def test_an_origin_within_rounding_of_an_event_is_after_it():
    exact, rounded = (cs.KaplanMeier().fit(TENTHS, origin=o) for o in (THREE, 0.3))
    close(rounded.table_, exact.table_)
    assert rounded.table_["time"].tolist() == [0.4]


def test_the_censoring_probability_is_read_up_to_rounding_on_both_sides():
    # 3 of 4, 1 of 2 stay uncensored
    model = cs.CensoringModel().fit(cs.Outcome([0.1, 0.2, THREE, 0.4], [0, 1, 0, 1]))
    np.testing.assert_allclose(model.probability([0.3, THREE]), 3 / 8)
    np.testing.assert_allclose(model.probability([0.3, THREE, THREE + 1e-16], before=True), 3 / 4)
    assert model.probability(0.4 + 1e-16) == pytest.approx(3 / 8)
    other = cs.CensoringModel().fit(cs.Outcome([0.1, 0.3, 0.4], [0, 0, 1]))
    np.testing.assert_allclose(other.probability([0.3, THREE], before=True), 2 / 3)


def test_a_row_before_one_of_weight_zero_ends_in_a_censoring():
    y = cs.Outcome([7, 9, 4, 2], [0, 0, 1, 1], start=[0, 7, 0, 0], subject=[1, 1, 2, 3])
    for estimator in ESTIMATORS:
        weighted = estimator().fit(y, sample_weight=[1, 0, 1, 1]).table_
        close(weighted, estimator().fit(y[[0, 2, 3]]).table_)
        assert weighted["n_censored"].iloc[-1] == 1
        assert weighted["time"].iloc[-1] == 7
    censoring = cs.CensoringModel().fit(y, sample_weight=[1, 0, 1, 1])
    assert censoring.table_["time"].tolist() == [7]
    assert censoring.last_ == 7


def test_a_gap_left_by_weight_zero_ends_and_begins_an_observation():
    y = cs.Outcome([3, 5, 8, 9], [0, 0, 1, 0], start=[0, 3, 5, 0], subject=[1, 1, 1, 2])
    table = cs.KaplanMeier().fit(y, sample_weight=[1, 0, 1, 1]).table_
    assert table[["time", "n_risk", "n_event", "n_censored"]].to_numpy().tolist() == [
        [3, 2, 0, 1],
        [8, 2, 1, 0],
        [9, 1, 0, 1],
    ]


def test_an_incidence_does_not_pass_one_by_rounding():
    stop, event = np.array([1.0, 2, 2, 3, 3, 3]), np.array([0, 0, 1, 1, 1, 1])
    table = risk_table(np.full(6, -np.inf), stop, event, np.ones(6), 2, np.zeros(6, dtype=bool))
    assert cumulative_incidence(table, kaplan_meier(table).survival)[0, -1] == 1


def test_recurrent_events_have_no_censoring_probability():
    y = cs.Outcome([2, 5, 6], [1, 1, 0], start=[0, 2, 0], subject=[1, 1, 2], recurrent=True)
    with pytest.raises(NotIdentifiedError, match="not being censored .* recurrent events"):
        cs.CensoringModel().fit(y)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "a"}, "level='a' is no confidence level"),
        ({"level": None}, "level=None is no confidence level"),
        ({"min_at_risk": None}, "min_at_risk=None is not a finite number"),
        ({"min_at_risk": np.nan}, "min_at_risk=nan is not a finite number"),
        ({"min_at_risk": "a"}, "min_at_risk='a' is not a finite number"),
        ({"min_at_risk": 1.5}, r"min_at_risk=1.5: give a number of rows"),
        ({"origin": "a"}, "origin='a' is not a finite number"),
        ({"origin": np.nan}, "origin=nan is not a finite number"),
    ],
)
def test_options_of_the_wrong_kind_are_named(estimator, options, message):
    with pytest.raises(DataError, match=message):
        estimator().fit(SMALL, **options)


@pytest.mark.parametrize("value", ["a", None, np.nan, True])
def test_horizons_and_shares_that_are_no_numbers_are_named(value):
    km = cs.KaplanMeier().fit(SMALL)
    with pytest.raises(DataError, match=f"horizon={value!r}"):
        km.rmst(value)
    with pytest.raises(DataError, match=f"share={value!r}"):
        km.quantile(value)


def test_a_variance_of_none_is_none_of_aalen_johansen():
    with pytest.raises(DataError, match="variance=None is not known.*'robust'"):
        cs.AalenJohansen().fit(SMALL, variance=None)


@pytest.mark.parametrize("times", ["a", None, [np.nan], [3, np.inf]])
def test_times_of_the_censoring_model_are_finite_numbers(times):
    with pytest.raises(DataError, match="times"):
        cs.CensoringModel().fit(SMALL).probability(times)


@pytest.mark.parametrize("estimator", [cs.KaplanMeier, cs.NelsonAalen, cs.AalenJohansen], ids=lambda e: e.__name__)
def test_one_cluster_has_no_variance_between_clusters(estimator):
    y = cs.Outcome([1, 2, 3, 4], [1, 2, 0, 1], causes=("attrition", "default"))
    with pytest.raises(DataError, match="one cluster.*at least two"):
        estimator().fit(y, cluster=np.zeros(4))
    with pytest.raises(DataError, match="group 2 of 2 are of one cluster"):
        estimator().fit(y, by=["a", "a", "b", "b"], cluster=[0, 1, 2, 2])

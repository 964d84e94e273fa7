"""Cox tests of an arm: against the model's own tests, identities, what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

import churnsurv as cs
from churnsurv.effects import cox_test, logrank_test
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, SmallSampleWarning, TooFewEventsError
from tests.effects.test_logrank import drawn

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
KINDS = ("likelihood-ratio", "score", "wald")


def sample(seed=0, arms=3):
    y, arm, rng = drawn(seed, arms=arms)
    n = len(arm)
    X = pd.DataFrame({"rate": rng.normal(size=n) + 0.3 * arm, "grade": rng.choice(list("ABC"), n)})
    return y, arm, X, rng.integers(0, 60, n), rng


def fitted(y, arm, X, cause="attrition", **options):
    frame = X.assign(**{f"arm{k}": (arm == k).astype(float) for k in range(1, arm.max() + 1)})
    return cs.CoxPH(cause=cause).fit(frame, y, **options)


def test_without_covariates_the_tests_are_those_of_the_model():
    y, arm, X, cluster, _rng = sample()
    for options in ({}, {"strata": cluster % 3}):
        model = fitted(y, arm, X[[]], **options)
        for kind in KINDS:
            got = cox_test(y, arm, kind=kind, cause="attrition", **options)
            want = model.tests().loc[kind.replace("-", "_")]
            assert got.statistic == pytest.approx(want["statistic"], rel=1e-8)
            assert (got.df, got.p_value) == (2, pytest.approx(want["p_value"], rel=1e-6))
    model = fitted(y, arm, X[[]], cluster=cluster)
    got = cox_test(y, arm, kind="score", cause="attrition", cluster=cluster)
    assert got.statistic == pytest.approx(model.robust_score_statistic_, rel=1e-8)
    assert got.name == "Robust Cox score test of the arm"


def test_with_covariates_the_arm_is_tested_beside_them():
    y, arm, X, cluster, _ = sample(1)
    full, without = fitted(y, arm, X), cs.CoxPH(cause="attrition").fit(X, y)
    got = cox_test(y, arm, X=X, cause="attrition")
    assert got.statistic == pytest.approx(cs.compare_nested(without, full).statistic, rel=1e-8)
    assert "adjusted for rate, grade" in got.method
    for options in ({}, {"cluster": cluster}):
        model = fitted(y, arm, X, **options)
        got = cox_test(y, arm, X=X, kind="wald", cause="attrition", **options)
        assert got.statistic == pytest.approx(model.wald_test(["arm1", "arm2"]).statistic, rel=1e-8)


def test_the_score_test_with_a_covariate_is_the_slope_of_the_profile_likelihood():
    # U and I of the arm's coefficient at 0, from likelihoods that are maximised over the covariate: the offset fixes the arm
    y, arm, X, _, _ = sample(2, arms=2)

    def profile(coefficient):
        return cs.CoxPH(cause="attrition").fit(X[["rate"]], y, offset=coefficient * arm).log_likelihood_

    step = 0.02
    low, middle, high = profile(-step), profile(0.0), profile(step)
    slope, curvature = (high - low) / (2 * step), (2 * middle - high - low) / step**2
    got = cox_test(y, arm, X=X[["rate"]], kind="score", cause="attrition")
    assert got.statistic == pytest.approx(slope**2 / curvature, rel=1e-3)
    top = minimize_scalar(lambda c: -profile(c), bounds=(-3, 3), method="bounded", options={"xatol": 1e-8})
    got = cox_test(y, arm, X=X[["rate"]], cause="attrition")
    assert got.statistic == pytest.approx(2 * (-top.fun - middle), rel=1e-6)


def test_the_robust_score_with_a_covariate_uses_influences_at_the_estimate_without_the_arm():
    # the score residuals of the arm and the covariate there, the arm's cleared of the covariate's by the information
    y, arm, X, cluster, rng = sample(3, arms=2)
    y = cs.Outcome(y.stop + rng.uniform(0, 0.5, len(y)), y.event, start=y.start, causes=y.causes)  # no ties
    rate, event = X["rate"].to_numpy(), y.event == 1
    eta = cs.CoxPH(cause="attrition").fit(X[["rate"]], y).coef_["rate"] * rate
    z = np.column_stack([arm, rate])
    u, information = np.zeros((len(y), 2)), np.zeros((2, 2))
    for i in np.flatnonzero(event):
        at_risk = (y.start < y.stop[i]) & (y.stop >= y.stop[i])
        r = np.where(at_risk, np.exp(eta), 0)
        mean = r @ z / r.sum()
        information += (z * r[:, None]).T @ z / r.sum() - np.outer(mean, mean)
        u += (z - mean) * ((np.arange(len(y)) == i) - r / r.sum())[:, None]
    projected = u[:, 0] - u[:, 1] * information[0, 1] / information[1, 1]
    by_cluster = np.bincount(cluster, projected)
    got = cox_test(y, arm, X=X[["rate"]], kind="score", cause="attrition", cluster=cluster)
    assert got.statistic == pytest.approx(projected.sum() ** 2 / np.sum(by_cluster**2), rel=1e-8)
    model_based = projected.sum() ** 2 / (information[0, 0] - information[0, 1] ** 2 / information[1, 1])
    got = cox_test(y, arm, X=X[["rate"]], kind="score", cause="attrition")
    assert got.statistic == pytest.approx(model_based, rel=1e-8)


def test_breslows_score_test_without_ties_is_the_log_rank_test():
    y, arm, _, _, rng = sample(4)
    y = cs.Outcome(y.stop + rng.uniform(0, 0.5, len(y)), y.event, start=y.start, causes=y.causes)
    for options in ({}, {"cause": "default"}, {"strata": arm % 1}):
        got = cox_test(y, arm, kind="score", ties="breslow", **options)
        assert got.statistic == pytest.approx(logrank_test(y, arm, **options).statistic, rel=1e-8)


def test_weights():
    y, arm, X, _, rng = sample(5)
    copies = rng.integers(1, 4, len(arm))
    rows = np.repeat(np.arange(len(arm)), copies)
    many = cs.Outcome(y.stop[rows], y.event[rows], start=y.start[rows], causes=y.causes)
    options = {"ties": "breslow", "cause": "attrition"}
    for kind in KINDS:
        one = cox_test(y, arm, X=X, kind=kind, sample_weight=copies, weight_type="case", **options)
        other = cox_test(many, arm[rows], X=X.iloc[rows], kind=kind, **options)
        assert one.statistic == pytest.approx(other.statistic, rel=1e-8)
    for kind in ("score", "wald"):
        one = cox_test(y, arm, X=X, kind=kind, sample_weight=0.1 * copies, **options)
        other = cox_test(many, arm[rows], X=X.iloc[rows], kind=kind, cluster=rows, **options)
        assert one.statistic == pytest.approx(other.statistic, rel=1e-8)


def test_an_arm_without_events_has_a_likelihood_ratio_and_a_score_but_no_wald():
    y = cs.Outcome([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0])
    arm = ["A", "A", "A", "A", "B", "B"]
    with pytest.warns(SmallSampleWarning, match="Arm 'B' has no event"):
        result = cox_test(y, arm)
    # the supremum of the likelihood: only arm A counts, 4, 3, 2 at risk of which one leaves, against 6, 5, 4
    assert result.statistic == pytest.approx(2 * np.log((6 * 5 * 4) / (4 * 3 * 2)), rel=1e-5)
    assert cox_test(y, arm, kind="score").p_value < 1
    with pytest.raises(TooFewEventsError, match="Arm 'B' has no event.*kind='score'"):
        cox_test(y, arm, kind="wald")


def test_what_is_not_identified_is_refused():
    y, arm, _X, cluster, rng = sample(6)
    for options in ({"cluster": cluster}, {"sample_weight": rng.uniform(1, 2, len(arm))}):
        with pytest.raises(NotIdentifiedError, match="no χ² distribution.*kind='score'"):
            cox_test(y, arm, **options)
    apart = cs.Outcome([2, 3, 7, 8, 2, 4], [1] * 6, start=[0, 0, 5, 5, 0, 0])
    with pytest.raises(NotIdentifiedError, match=r"Some arms \(such as 'B'\) are never at risk together"):
        cox_test(apart, list("AABBCC"))
    with pytest.raises(NotIdentifiedError, match="at risk together"):
        cox_test(y, arm, strata=arm)
    with pytest.raises(NoEventsError):
        cox_test(cs.Outcome([1, 2, 3, 4], [0] * 4), [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "f"}, "kind='f' is not known"),
        ({"ties": "exact"}, "ties='exact' is not known"),
        ({"arm": np.zeros(300)}, "All rows are in arm"),
        ({"arm": np.arange(300) == 0}, "one customer only"),
        ({"arm": [None] + [0, 1] * 149 + [1]}, "missing value"),
        ({"X": pd.DataFrame({"rate": [1.0, 2.0]})}, "X has 2 rows, y has 300"),
        ({"X": pd.DataFrame({"arm=1": np.arange(300.0)})}, "the name of the arm's own column"),
        ({"X": pd.DataFrame({"rate": [np.nan] + [1.0, 2.0] * 149 + [1.0]})}, "missing value"),
        ({"sample_weight": np.zeros(300)}, "zero"),
        ({"sample_weight": -np.ones(300)}, "negative value"),
    ],
)
def test_bad_arguments_are_named(options, message):
    y, arm, _, _, _ = sample(7, arms=2)
    arguments = {"arm": arm, "cause": "attrition", **options}
    with pytest.raises(DataError, match=message):
        cox_test(y, arguments.pop("arm"), **arguments)


def test_a_covariate_that_is_the_arm_is_refused_by_name():
    y, arm, _, _, _ = sample(8, arms=2)
    for kind in KINDS:
        with pytest.raises(DataError, match="linear combination"):
            cox_test(y, arm, kind=kind, X=pd.DataFrame({"copy": 2.0 * arm}))

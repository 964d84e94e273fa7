"""Weighted effects: against the oracle, the slow twin of the bootstrap, identities, and what is refused."""

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import churnsurv as cs
from churnsurv.effects import propensity, rmst_difference, weighted_effect
from churnsurv.exceptions import DataError, NotIdentifiedError, PositivityWarning, SmallSampleWarning, TooFewEventsError
from tests.effects.simulate_confounding import draw, simulate
from tests.oracle_cases import input_of, read

EFFECTS = ("risk_difference", "risk_ratio", "rmst_difference", "rmtl_difference", "hazard_ratio")


def sample(n=240, seed=0):
    """Give an outcome with two causes in whole months, the arm, and confounders."""
    X, y = draw(seed, n)
    y = cs.Outcome(np.ceil(y.stop), y.event, causes=y.causes)
    return y, np.where(X["deferral"] == 1, "deferral", "none"), X[["z", "f"]]


def robust(y, arm, X, **options):
    return weighted_effect(y, arm, X, reference="none", variance="robust", **options)


def brute_force(y, arm, weight, horizon, cause=None):
    """Risk of the cause by the definition of Aalen and Johansen, and the area under it, of one arm's rows."""
    stop, event, weight = y.stop[arm], y.event[arm], weight[arm]
    stay, risk, area, before = 1.0, 0.0, 0.0, 0.0
    for t in np.unique(stop[stop <= horizon]):
        area += risk * (t - before)
        before = t
        at_risk, now = weight[stop >= t].sum(), stop == t
        risk += stay * weight[now & ((event == cause) if cause else (event > 0))].sum() / at_risk
        stay *= 1 - weight[now & (event > 0)].sum() / at_risk
    return risk, area + risk * (horizon - before)


@pytest.mark.parametrize("cause", [None, "attrition", "default"])
@pytest.mark.parametrize("estimand", ["ate", "att", "overlap"])
def test_curves_are_those_of_the_weighted_arms(cause, estimand):
    y, arm, X = sample()
    weight = propensity(X, arm, reference="none").weights(estimand)
    code = None if cause is None else y.cause_code(cause)
    found = [brute_force(y, arm == a, weight, 10.5, code) for a in ("deferral", "none")]
    options = {"horizon": 10.5, "cause": cause, "estimand": estimand}
    assert robust(y, arm, X, **options).value == pytest.approx(found[0][0] - found[1][0], rel=1e-9)
    assert robust(y, arm, X, effect="risk_ratio", **options).value == pytest.approx(found[0][0] / found[1][0], rel=1e-9)
    lost = found[0][1] - found[1][1]
    quick = {"reference": "none", "n_resamples": 20, "random_state": 1}
    assert weighted_effect(y, arm, X, effect="rmtl_difference", **options, **quick).value == pytest.approx(lost)
    if cause is None:
        assert robust(y, arm, X, effect="rmst_difference", **options).value == pytest.approx(-lost)


def test_the_hazard_ratio_is_that_of_the_weighted_cox_model():
    y, arm, X = sample()
    weight = propensity(X, arm, reference="none").weights("ate", stabilised=True)
    design = pd.DataFrame({"arm": (arm == "deferral").astype(int)})
    model = cs.CoxPH(cause="attrition", weight_type="sampling").fit(design, y, sample_weight=weight)
    found = robust(y, arm, X, effect="hazard_ratio", cause="attrition", stabilised=True)
    row = model.summary().iloc[0]
    np.testing.assert_allclose(
        [found.value, found.se / found.value, found.lower, found.upper],
        row[["hazard_ratio", "se", "hr_lower", "hr_upper"]].to_numpy(),
    )
    # up to a horizon: nobody is followed longer
    cut = cs.Outcome(np.minimum(y.stop, 6), np.where(y.stop <= 6, y.event, 0), causes=y.causes)
    short = robust(y, arm, X, effect="hazard_ratio", cause="attrition", horizon=6)
    assert short.value == pytest.approx(robust(cut, arm, X, effect="hazard_ratio", cause="attrition").value)
    assert short.n_events == np.sum((y.event == 1) & (y.stop <= 6))


KINDS = {
    "ate": {},
    "stabilized": {"stabilised": True},
    "att": {"estimand": "att"},
    "overlap": {"estimand": "overlap"},
    "ate_trim_01_99": {"truncate": 0.01},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_of_weighted_effects_is_reproduced(kind):
    data, expected = input_of("iptw_rotterdam"), read("iptw_rotterdam")["expected"]
    X = data[[term for term in expected["propensity"]["coef"] if term != "(Intercept)"]]
    y, arm, oracle = cs.Outcome(data["time"], data["event"]), data["hormon"], expected[f"cox_{kind}"]
    options = {"variance": "robust", **KINDS[kind]}
    ratio = weighted_effect(y, arm, X, effect="hazard_ratio", **options)
    assert np.log(ratio.value) == pytest.approx(oracle["efron"]["coef"]["hormon"], rel=1e-8)
    assert ratio.se / ratio.value == pytest.approx(oracle["efron"]["se"]["hormon"], rel=1e-8)
    assert ratio.upper == pytest.approx(oracle["efron"]["hr_upper95"]["hormon"], rel=1e-8)
    risk = weighted_effect(y, arm, X, horizon=5, **options)
    assert -risk.value == pytest.approx(oracle["km_diff_5"]["diff"], rel=1e-8)
    assert risk.se == pytest.approx(oracle["km_diff_5"]["diff_se"], rel=1e-8)
    # R's se(rmean) is Greenwood's, which takes weights for numbers of customers: only the value is comparable
    gain = weighted_effect(y, arm, X, effect="rmst_difference", horizon=5, **options)
    assert gain.value == pytest.approx(oracle["rmst_5"]["contrast"]["diff"], rel=1e-8)


def test_a_constant_propensity_is_no_weighting():
    y, arm, X = sample()
    weighted = robust(y, arm, X.assign(z=1.0, f=2.0), effect="rmst_difference", horizon=10)
    plain = rmst_difference(y, arm, horizon=10, reference="none")
    assert weighted.value == pytest.approx(plain.value)
    # the infinitesimal jackknife against Greenwood's variance
    assert weighted.se == pytest.approx(plain.se, rel=0.02)


def test_curves_are_the_same_under_stabilised_weights_a_hazard_ratio_is_not():
    y, arm, X = sample()
    for effect in ("risk_difference", "rmst_difference"):
        a, b = (robust(y, arm, X, effect=effect, horizon=10, stabilised=s) for s in (False, True))
        np.testing.assert_allclose([a.value, a.se], [b.value, b.se], rtol=1e-9)
    a, b = (robust(y, arm, X, effect="hazard_ratio", stabilised=s).value for s in (False, True))
    assert a != pytest.approx(b, rel=1e-6)


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_bootstrap_is_that_of_customers_written_out(effect):
    y, arm, X = sample(120)
    customer = np.random.default_rng(1).integers(0, 50, 120)
    customer = np.unique(customer, return_inverse=True)[1]
    options = {"effect": effect, "reference": "none", "horizon": 10}
    found = weighted_effect(y, arm, X, cluster=customer, n_resamples=25, random_state=5, **options)
    values = []
    for seed in np.random.SeedSequence(5).spawn(25):
        drawn = np.random.default_rng(seed).integers(0, customer.max() + 1, customer.max() + 1)
        rows = np.concatenate([np.flatnonzero(customer == c) for c in drawn])
        again = cs.Outcome(y.stop[rows], y.event[rows], causes=y.causes)
        values.append(weighted_effect(again, arm[rows], X.iloc[rows], variance="robust", **options).value)
    # the last digits of a Cox fit differ between a row of weight two and two rows of weight one under Efron's ties
    rtol = 2e-2 if effect == "hazard_ratio" else 1e-7
    np.testing.assert_allclose([found.lower, found.upper], np.percentile(values, [2.5, 97.5]), rtol=rtol)
    ratio = effect.endswith("ratio")
    scale, factor = (np.log(values), found.value) if ratio else (values, 1.0)
    assert found.se == pytest.approx(factor * np.std(scale, ddof=1), rel=rtol)


def test_seeds_repeat_processes_change_nothing():
    y, arm, X = sample(120)
    options = {"horizon": 10, "n_resamples": 20, "random_state": 3}
    one = weighted_effect(y, arm, X, **options)
    with joblib.parallel_config("threading"):
        assert weighted_effect(y, arm, X, n_jobs=2, **options) == one
    other = weighted_effect(y, arm, X, **{**options, "random_state": 4})
    assert (other.value, other.lower) != (one.value, one.lower)


def test_the_normal_interval_is_symmetric_for_the_logarithm_of_ratios():
    y, arm, X = sample()
    options = {"horizon": 10, "n_resamples": 20, "random_state": 3, "interval": "normal", "level": 0.9}
    ratio = weighted_effect(y, arm, X, effect="risk_ratio", **options)
    assert ratio.lower * ratio.upper == pytest.approx(ratio.value**2)
    assert np.log(ratio.upper / ratio.value) == pytest.approx(1.6448536 * ratio.se / ratio.value)
    difference = weighted_effect(y, arm, X, **options)
    assert difference.lower + difference.upper == pytest.approx(2 * difference.value)


def test_the_order_of_rows_changes_nothing():
    y, arm, X = sample()
    y = cs.Outcome(y.stop, y.event, subject=np.arange(240), causes=y.causes)
    order = np.random.default_rng(2).permutation(240)
    for options in ({"variance": "robust"}, {"n_resamples": 20, "random_state": 2}):
        a = weighted_effect(y, arm, X, horizon=10, **options)
        b = weighted_effect(y[order], arm[order], X.iloc[order], horizon=10, **options)
        np.testing.assert_allclose([a.value, a.se, a.lower], [b.value, b.se, b.lower], rtol=1e-8)


@pytest.mark.parametrize("effect", EFFECTS)
def test_splitting_rows_changes_nothing(effect):
    y, arm, X = sample()
    long = y.stop > 3
    n, ids = len(y), np.arange(len(y))
    split = cs.Outcome(
        np.r_[np.minimum(y.stop, 3), y.stop[long]],
        np.r_[np.where(long, 0, y.event), y.event[long]],
        start=np.r_[np.zeros(n), np.full(long.sum(), 3.0)],
        subject=np.r_[ids, ids[long]],
        causes=y.causes,
    )
    rows = np.r_[ids, ids[long]]
    later = X.iloc[rows].assign(z=np.r_[X["z"], np.zeros(long.sum())])  # what comes later is not looked at
    options = {"effect": effect, "horizon": 10, "variance": "robust"}
    a, b = weighted_effect(y, arm, X, **options), weighted_effect(split, arm[rows], later, **options)
    np.testing.assert_allclose([b.value, b.se], [a.value, a.se], rtol=1e-9)
    assert (a.n, a.n_events) == (b.n, b.n_events)


def test_of_three_arms_two_are_compared_and_all_weighted_to_the_same_customers():
    y, arm, X = sample(400)
    arm = np.where(np.arange(400) % 3 == 0, "other", arm)
    weight = propensity(X, arm, reference="none").weights("ate")
    expected = np.subtract(*(brute_force(y, arm == a, weight, 10)[0] for a in ("deferral", "none")))
    found = robust(y, arm, X, treated="deferral", horizon=10)
    assert found.value == pytest.approx(expected, rel=1e-7)
    assert found.n == np.sum(arm != "other")
    with pytest.raises(DataError, match="treated="):
        robust(y, arm, X, horizon=10)


def test_classifiers_are_fitted_again_in_every_resample():
    y, arm, X = sample(120)
    fits = []

    class Counted(LogisticRegression):
        def fit(self, X, y):
            fits.append(len(X))
            return super().fit(X, y)

    found = weighted_effect(y, arm, X, horizon=10, model=Counted(), folds=2, n_resamples=20, random_state=0)
    assert len(fits) == 2 * 21
    assert "Counted, cross-fitted in 2 folds" in found.method
    assert found.lower < found.value < found.upper


def test_resamples_without_an_estimate_are_counted():
    # three events in one arm: one resample in twenty has none, and no ratio
    y, arm, X = sample(200)
    few = np.flatnonzero((arm == "deferral") & (y.event > 0))[3:]
    event = y.event.copy()
    event[few] = 0
    y = cs.Outcome(y.stop, event, causes=y.causes)
    with pytest.warns(SmallSampleWarning, match="without an estimate") as caught:
        weighted_effect(y, arm, X, effect="hazard_ratio", n_resamples=200, random_state=0)
    assert caught[0].filename == __file__


def test_what_the_variance_holds_is_said():
    y, arm, X = sample()
    assert "takes the weights as known (too large" in robust(y, arm, X, horizon=10).method
    assert "too large or too small" in robust(y, arm, X, horizon=10, estimand="overlap").method
    made = weighted_effect(y, arm, X, horizon=10, cause="attrition", n_resamples=20, trim=0.05, reference="none")
    assert made.name == "Risk difference of attrition within 10, deferral - none"
    for words in ("Aalen-Johansen", "estimated again", "below 0.05 left out", "effective sample sizes", "logistic"):
        assert words in made.method


def test_positivity_is_warned_of_once():
    rng = np.random.default_rng(3)
    z = rng.normal(size=600) * 3
    arm = rng.random(600) < 1 / (1 + np.exp(-1.5 * z))
    y = cs.Outcome(rng.integers(1, 20, 600), np.ones(600))
    with pytest.warns(PositivityWarning) as caught:
        weighted_effect(y, arm, pd.DataFrame({"z": z}), horizon=10, n_resamples=20, random_state=0)
    assert len([w for w in caught if w.category is PositivityWarning]) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"arm": lambda a: np.where(np.arange(len(a)) == 0, None, a)}, DataError, "missing value"),
        ({"arm": lambda a: np.where(np.arange(len(a)) == 0, "one", "none")}, DataError, "one customer only"),
        ({"arm": lambda a: np.full(len(a), "none")}, DataError, "All rows are in arm"),
        ({"reference": "nobody"}, DataError, "reference='nobody' is no arm"),
        ({"treated": "nobody"}, DataError, "treated='nobody' is no arm"),
        ({"horizon": 99}, DataError, "past the last time"),
        ({"horizon": -1}, DataError, "positive number"),
        ({"horizon": None}, DataError, "give its length"),
        ({"horizon": 0.5}, TooFewEventsError, "has no event"),
        ({"cause": "fire"}, DataError, "Cause 'fire' is unknown"),
        ({"effect": "odds_ratio"}, DataError, "odds_ratio"),
        ({"effect": "rmst_difference", "cause": "default"}, DataError, "rmtl_difference"),
        ({"effect": "rmtl_difference", "cause": "default", "variance": "robust"}, NotIdentifiedError, "bootstrap"),
        ({"estimand": "atu"}, DataError, "estimand='atu'"),
        ({"variance": "jackknife"}, DataError, "variance='jackknife'"),
        ({"interval": "bca"}, DataError, "interval='bca'"),
        ({"n_resamples": 3}, DataError, "at least 20"),
        ({"level": 95}, DataError, "confidence level"),
        ({"random_state": -1}, DataError, "random_state"),
        ({"X": lambda X: X.mask(X["z"] > 2)}, DataError, "'z' has"),
        ({"X": lambda X: X.iloc[1:]}, DataError, "match row for row"),
        ({"cluster": [1, 2]}, DataError, "cluster has 2 values"),
    ],
)
def test_bad_input_is_refused(change, error, message):
    y, arm, X = sample()
    options = {"horizon": 10, "n_resamples": 20}
    for name, value in change.items():
        if name == "arm":
            arm = value(arm)
        elif name == "X":
            X = value(X)
        else:
            options[name] = value
    with pytest.raises(error, match=message):
        weighted_effect(y, arm, X, **options)


def test_a_separating_column_is_refused():
    y, arm, X = sample()
    with pytest.raises(NotIdentifiedError, match="'rule' separates"):
        weighted_effect(y, arm, X.assign(rule=(arm == "none") * 1), horizon=10)


def test_an_arm_without_events_is_refused():
    y, arm, X = sample()
    quiet = cs.Outcome(y.stop, np.where(arm == "none", 0, y.event), causes=y.causes)
    with pytest.raises(TooFewEventsError, match="Arm 'none' has no event"):
        weighted_effect(quiet, arm, X, horizon=10)


def test_late_entry_and_changes_of_arm_are_refused():
    y, arm, X = sample()
    late = cs.Outcome(y.stop + 1, y.event, start=np.arange(240) % 2, causes=y.causes)
    with pytest.raises(NotIdentifiedError, match="watched only from some time after"):
        weighted_effect(late, arm, X, horizon=10)
    # a common start is a time zero
    shifted = cs.Outcome(y.stop + 1, y.event, start=np.ones(240), causes=y.causes)
    assert robust(shifted, arm, X, horizon=10).value == pytest.approx(robust(y, arm, X, horizon=10).value)
    pairs = cs.Outcome([3, 6] * 120, [0, 1] * 120, start=[0, 3] * 120, subject=np.repeat(np.arange(120), 2))
    with pytest.raises(DataError, match="changes arm"):
        weighted_effect(pairs, np.tile(["none", "deferral"], 120), X, horizon=5)
    again = cs.Outcome(
        [3, 6] * 120, [1, 1] * 120, start=[0, 3] * 120, subject=np.repeat(np.arange(120), 2), recurrent=True
    )
    with pytest.raises(NotIdentifiedError, match="recurrent"):
        weighted_effect(again, np.repeat(arm[:120], 2), X, horizon=5)


def test_robust_curves_refuse_customers_in_both_arms_the_bootstrap_does_not():
    y, arm, X = sample()
    customer = np.repeat(np.arange(80), 3)
    with pytest.raises(NotIdentifiedError, match="rows in both arms"):
        robust(y, arm, X, horizon=10, cluster=customer)
    assert robust(y, arm, X, effect="hazard_ratio", cluster=customer).se > 0
    assert weighted_effect(y, arm, X, horizon=10, cluster=customer, n_resamples=20).se > 0


def test_confounding_misleads_and_weighting_and_standardisation_do_not():
    # 30 portfolios; the bands are three Monte-Carlo errors
    table = simulate(30)
    distance = (table["mean"] - table["truth"]) / table["mean_error"]
    assert distance["naive"] > 6
    assert table.loc["naive", "mean"] > 0 > table.loc["naive", "truth"]
    for method in ("robust", "robust hazard ratio", "Cox standardised"):
        assert abs(distance[method]) < 3


@pytest.mark.slow
def test_intervals_cover_the_effect_of_a_confounded_deferral():
    # 100 portfolios: three Monte-Carlo errors are 6.5 points; robust variance may cover more
    table = simulate(100, n_resamples=200, n_jobs=2)
    band = 3 * table["coverage_error"]
    assert table.loc["naive", "coverage"] < 0.5
    correct = table.index[table.index.str.contains("bootstrap") | table.index.str.contains("standardised")]
    assert (abs(table.loc[correct, "coverage"] - 0.95) <= band[correct]).all(), table
    assert (table.loc[["robust", "robust hazard ratio"], "coverage"] >= 0.95 - band.iloc[0]).all(), table
    bias = abs(table["mean"] - table["truth"]) / table["mean_error"]
    # the ratio is biased away from one in small samples
    assert (bias.drop(["naive", "bootstrap hazard ratio", "robust hazard ratio"]) < 3.5).all(), table

"""Standardised effects: against averages written out, the oracle, the bootstrap's slow twin, and what is refused."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import churnsurv as cs
from churnsurv.effects import standardised_effect, standardised_risks
from churnsurv.exceptions import DataError, NotIdentifiedError, TooFewEventsError
from tests.effects.simulate_confounding import draw
from tests.oracle_cases import input_of, read

QUICK = {"n_resamples": 20, "random_state": 1}


def sample(n=200, seed=0):
    X, y = draw(seed, n)
    return X, cs.Outcome(np.ceil(y.stop), y.event, causes=y.causes)


MODELS = {
    "causes": cs.CauseSpecificCox(),
    "subdistribution": cs.FineGray("attrition"),
    "forest": cs.RandomSurvivalForest(5, min_samples_leaf=20, random_state=0),
}


@pytest.mark.parametrize("name", MODELS)
def test_effects_are_those_of_the_averages_of_predictions(name):
    X, y = sample()
    model = MODELS[name]
    fitted = model.fit(X, y) if name == "forest" else type(model)(**model.get_params()).fit(X, y)
    curves = [fitted.predict_curves(X.assign(deferral=arm)) for arm in (1, 0)]
    for estimand, rows in (("ate", np.full(200, True)), ("att", (X["deferral"] == 1).to_numpy())):
        risk = [c.risk("attrition", 9)[rows].mean() for c in curves]
        options = {"horizon": 9, "cause": "attrition", "estimand": estimand, **QUICK}
        found = standardised_effect(model, X, y, "deferral", **options)
        assert found.value == pytest.approx(risk[0] - risk[1])
        assert found.lower <= found.upper
        assert found.n == 200  # both arms, as of the events
        assert f"{rows.sum()} {'customers' if estimand == 'ate' else 'treated'};" in found.method
    # the area by the months: times are whole
    grid = [[c.risk("attrition", m).mean() for m in range(1, 9)] for c in curves]
    lost = standardised_effect(model, X, y, "deferral", effect="rmtl_difference", horizon=9, cause="attrition", **QUICK)
    assert lost.value == pytest.approx(np.sum(grid[0]) - np.sum(grid[1]))
    table = standardised_risks(model, X, y, "deferral", [3, 9], cause="attrition", **QUICK)
    expected = [c.risk("attrition", m).mean() for c in curves[::-1] for m in (3, 9)]
    np.testing.assert_allclose(table["estimate"], expected)
    assert table["arm"].tolist() == [0, 0, 1, 1]


def test_restricted_means_by_any_cause():
    X, y = sample()
    fitted = cs.CauseSpecificCox().fit(X, y)
    expected = np.subtract(*[fitted.predict_curves(X.assign(deferral=a)).rmst(9).mean() for a in (1, 0)])
    found = standardised_effect(cs.CauseSpecificCox(), X, y, "deferral", effect="rmst_difference", horizon=9, **QUICK)
    assert found.value == pytest.approx(expected)


def influence_errors(X, y, times, once):
    """Standard errors of standardised risk differences of the first column by influence functions (Ozenne et al. 2020).

    riskRegression counts what a row was exposed to at a time of several exits `once`, not as often as somebody left.
    """
    model, x, t, left = cs.CoxPH().fit(X, y), X.to_numpy(dtype=float), y.stop, y.event
    beta, V = model.coef_.to_numpy(), model.covariance_.to_numpy()
    r = np.exp(x @ beta)
    at = np.unique(t[left == 1])
    steps = model.baseline_cumulative_hazard_.set_index("time")["hazard"].diff().fillna(0.0)
    steps.iloc[0] = model.baseline_cumulative_hazard_["hazard"].iloc[0]
    hazard = steps.reindex(at).to_numpy()
    at_risk = t[:, None] >= at
    s0, mean = r @ at_risk, (at_risk.T @ (r[:, None] * x)) / (r @ at_risk)[:, None]
    exposure = 1 / s0 if once else hazard
    own = np.searchsorted(at, np.where(left == 1, t, at[0]))
    score = left[:, None] * (x - mean[own]) - r[:, None] * (
        x * (at_risk @ exposure)[:, None] - at_risk @ (mean * exposure[:, None])
    )
    of_beta, errors = score @ V, []
    for time in times:
        until = at <= time
        of_hazard = -of_beta @ (mean * hazard[:, None])[until].sum(axis=0)
        of_hazard += np.where((left == 1) & (t <= time), 1 / s0[own], 0) - r * (
            at_risk[:, until] @ (hazard / s0)[until]
        )
        difference = 0.0
        for arm, sign in ((1.0, 1), (0.0, -1)):
            z = np.column_stack((np.full(len(x), arm), x[:, 1:]))
            q = np.exp(z @ beta)
            risk, slope = 1 - np.exp(-hazard[until].sum() * q), np.exp(-hazard[until].sum() * q) * q
            part = (risk - risk.mean()) / len(x) + of_hazard * slope.mean()
            difference += sign * (part + hazard[until].sum() * of_beta @ (slope[:, None] * z).mean(axis=0))
        errors.append(np.sqrt(np.sum(difference**2)))
    return np.array(errors)


def test_the_oracle_of_the_g_formula_is_reproduced():
    data, expected = input_of("iptw_rotterdam"), read("iptw_rotterdam")["expected"]
    X = data[["hormon", *[t for t in expected["propensity"]["coef"] if t != "(Intercept)"]]]
    y, oracle = cs.Outcome(data["time"], data["event"]), expected["gformula_cox"]["diffRisk"]
    right = influence_errors(X, y, oracle["time"], once=False)
    np.testing.assert_allclose(influence_errors(X, y, oracle["time"], once=True), oracle["se"], rtol=1e-8)
    for k, time in enumerate(oracle["time"]):
        found = standardised_effect(cs.CoxPH(), X, y, "hormon", horizon=time)
        assert found.value == pytest.approx(oracle["estimate"][k], rel=1e-8)
        # the model's variance and its empirical counterpart agree in large samples
        assert found.se == pytest.approx(right[k], rel=0.03)
    ratio = standardised_effect(cs.CoxPH(), X, y, "hormon", effect="risk_ratio", horizon=5)
    assert ratio.value == pytest.approx(oracle["estimate.B"][1] / oracle["estimate.A"][1], rel=1e-8)


def test_formula_and_bootstrap_agree():
    X, y = sample(400)
    for effect in ("risk_difference", "risk_ratio"):
        a, b = (
            standardised_effect(
                cs.CoxPH(), X, y, "deferral", effect=effect, horizon=9, variance=v, n_resamples=100, random_state=0
            )
            for v in ("analytic", "bootstrap")
        )
        assert a.value == pytest.approx(b.value, rel=1e-9)
        # a standard deviation of 100 draws is known to 7 %
        assert a.se == pytest.approx(b.se, rel=0.25)
        assert "bootstrap" in b.method
        assert "bootstrap" not in a.method


def test_the_bootstrap_is_that_of_customers_written_out():
    X, y = sample(120)
    customer = np.unique(np.random.default_rng(1).integers(0, 50, 120), return_inverse=True)[1]
    model, options = cs.CauseSpecificCox(), {"horizon": 9, "cause": "attrition"}
    drawing = {"variance": "bootstrap", "n_resamples": 20, "random_state": 5}
    found = standardised_effect(model, X, y, "deferral", cluster=customer, **drawing, **options)
    values = []
    for seed in np.random.SeedSequence(5).spawn(20):
        drawn = np.random.default_rng(seed).integers(0, customer.max() + 1, customer.max() + 1)
        rows = np.concatenate([np.flatnonzero(customer == c) for c in drawn])
        many, again = X.iloc[rows], cs.Outcome(y.stop[rows], y.event[rows], causes=y.causes)
        fitted = cs.CauseSpecificCox().fit(many, again)
        risks = [fitted.predict_curves(many.assign(deferral=a)).risk("attrition", 9).mean() for a in (1, 0)]
        values.append(risks[0] - risks[1])
    np.testing.assert_allclose([found.lower, found.upper], np.percentile(values, [2.5, 97.5]), rtol=1e-6)


def test_late_entry_enters_the_risk_sets():
    X, y = sample()
    rng = np.random.default_rng(0)
    start = np.where(rng.random(200) < 0.3, np.minimum(rng.integers(1, 5, 200), y.stop - 1), 0)
    late = cs.Outcome(y.stop, y.event > 0, start=start)
    fitted = cs.CoxPH().fit(X, late)
    expected = np.subtract(
        *[1 - fitted.predict_curves(X.assign(deferral=a), [9]).survival[:, 0] for a in (1, 0)]
    ).mean()
    assert standardised_effect(cs.CoxPH(), X, late, "deferral", horizon=9).value == pytest.approx(expected)
    boot = standardised_effect(cs.CoxPH(), X, late, "deferral", horizon=9, variance="bootstrap", **QUICK)
    assert boot.value == pytest.approx(expected)


def test_splitting_rows_changes_nothing():
    X, y = sample()
    long = y.stop > 3
    rows = np.r_[np.arange(200), np.flatnonzero(long)]
    split = cs.Outcome(
        np.r_[np.minimum(y.stop, 3), y.stop[long]],
        np.r_[np.where(long, 0, y.event), y.event[long]],
        start=np.r_[np.zeros(200), np.full(long.sum(), 3.0)],
        subject=rows,
        causes=y.causes,
    )
    many = X.iloc[rows].reset_index(drop=True)
    for model, options in ((cs.CoxPH(), {}), (cs.CauseSpecificCox(), {"cause": "attrition", **QUICK})):
        a = standardised_effect(model, X, y, "deferral", horizon=9, **options)
        b = standardised_effect(model, many, split, "deferral", horizon=9, **options)
        np.testing.assert_allclose([b.value, b.lower, b.n], [a.value, a.lower, a.n], rtol=1e-7)
    changing = many.assign(z=np.arange(len(many)))
    with pytest.raises(DataError, match="'z' changes within"):
        standardised_effect(cs.CoxPH(), changing, split, "deferral", horizon=9)


def test_text_arms_and_pipelines():
    X, y = sample()
    named = X.assign(deferral=np.where(X["deferral"] == 1, "yes", "no"))
    a = standardised_effect(cs.CoxPH(), X, y, "deferral", horizon=9)
    b = standardised_effect(cs.CoxPH(), named, y, "deferral", horizon=9)
    assert b.value == pytest.approx(a.value)
    assert b.name.endswith("yes - no")
    pipe = make_pipeline(StandardScaler().set_output(transform="pandas"), cs.CoxPH())
    c = standardised_effect(pipe, X, y, "deferral", horizon=9, **QUICK)
    assert c.value == pytest.approx(a.value)
    reverse = standardised_effect(cs.CoxPH(), named, y, "deferral", horizon=9, reference="yes")
    assert reverse.value == pytest.approx(-a.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"arm": "offer"}, DataError, "no column of X"),
        ({"horizon": 99}, DataError, "past the last time"),
        ({"horizon": 0.5}, TooFewEventsError, "has no event"),
        ({"effect": "hazard_ratio"}, DataError, "hazard_ratio"),
        ({"estimand": "overlap"}, DataError, "estimand='overlap'"),
        ({"treated": 5}, DataError, "treated=5 is no arm"),
        ({"reference": 5}, DataError, "reference=5 is no arm"),
        ({"cause": "fire"}, DataError, "'fire' is unknown"),
        ({"cause": "attrition"}, NotIdentifiedError, "CauseSpecificCox"),
        ({"variance": "exact"}, DataError, "variance='exact'"),
        ({"effect": "rmst_difference", "variance": "analytic"}, NotIdentifiedError, "use variance='bootstrap'"),
        ({"model": cs.CoxPH("z + f")}, DataError, "does not use the arm 'deferral'"),
        ({"model": cs.FineGray("attrition"), "variance": "analytic"}, NotIdentifiedError, "CauseSpecificCox"),
        (
            {"model": cs.CauseSpecificCox(), "effect": "rmst_difference", "cause": "default"},
            DataError,
            "rmtl_difference",
        ),
    ],
)
def test_bad_input_is_refused(options, error, message):
    X, y = sample()
    options = {"model": cs.CoxPH(), "arm": "deferral", "horizon": 9, **options}
    with pytest.raises(error, match=message):
        standardised_effect(options.pop("model"), X, y, options.pop("arm"), **options)


def test_missing_and_lonely_arms_are_refused():
    X, y = sample()
    with pytest.raises(DataError, match="arm has 1 missing value"):
        standardised_effect(cs.CoxPH(), X.assign(deferral=X["deferral"].where(X.index > 0)), y, "deferral", horizon=9)
    with pytest.raises(DataError, match="one customer only"):
        standardised_effect(cs.CoxPH(), X.assign(deferral=(X.index == 0) * 1), y, "deferral", horizon=9)
    with pytest.raises(DataError, match="match row for row"):
        standardised_effect(cs.CoxPH(), X.iloc[1:], y, "deferral", horizon=9)

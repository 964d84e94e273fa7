"""The sandwich of weighted effects: against its numerical twin, the jackknife, identities, simulation, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import churnsurv as cs
from churnsurv.effects import propensity, risk_difference, weighted_effect
from churnsurv.effects.propensity_fit import Logistic
from churnsurv.effects.weights import arm_weights, log_weight_slopes
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning
from churnsurv.kernels.incidence_influence import incidence_influence
from churnsurv.kernels.nonparametric import kaplan_meier, risk_table
from tests.effects.simulate_weighted_sandwich import ESTIMANDS, SCENARIOS, draw, simulate
from tests.effects.test_weighted import brute_force

CURVES = ("risk_difference", "risk_ratio", "rmst_difference", "rmtl_difference")


def sample(customers=100, arms=2, seed=1):
    """Give two causes in whole months, the arm, confounders, and customers, most of them with loans in several arms."""
    y, arm, X, customer = draw(seed, 0.6, -0.4, customers)
    arm = np.where((arm == 1) & (np.random.default_rng(seed).random(len(arm)) < 0.4), arms - 1, arm)
    return y, np.array(["none", "deferral", "plan"])[arm], X, customer


def sandwich(y, arm, X, **options):
    options = {"horizon": 10, "reference": "none", "treated": "deferral"} | options
    return weighted_effect(y, arm, X, variance="sandwich", **options)


def log_se(estimate):
    return estimate.se / (estimate.value if "ratio" in estimate.name.lower() else 1.0)


def newton(design, code, row_weight, n_arms):
    """Fit a multinomial logistic regression to weighted rows by Newton's method, written out."""
    x, k = np.column_stack((np.ones(len(design)), design)), n_arms - 1
    gamma = np.zeros((k, x.shape[1]))
    for _ in range(25):
        p = Logistic(gamma[:, 0], gamma[:, 1:].T).probabilities(x[:, 1:])
        residual = (code[:, None] == np.arange(1, n_arms)) - p[:, 1:]
        cross = [
            [(x.T * (row_weight * p[:, i] * ((i == j) - p[:, j]))) @ x for j in range(1, n_arms)]
            for i in range(1, n_arms)
        ]
        gamma = gamma + np.linalg.solve(np.block(cross), ((residual.T * row_weight) @ x).ravel()).reshape(k, -1)
    return p


def refitted(y, arm, X, row_weight, cause, hazards=False, **weighting):
    """Estimate all effects from the beginning with rows that count as often as `row_weight` says: the slow twin."""
    labels = ["none", "deferral", *(["plan"] if "plan" in arm else [])]
    code = np.array([labels.index(a) for a in arm])
    p = newton(X.to_numpy(float), code, row_weight, len(labels))
    weight = row_weight * arm_weights(p, code, target=1, times=row_weight, **weighting)
    pair = (code < 2) & (weight > 0)
    if hazards:
        y, weight, code = y[pair], weight[pair], code[pair]
        cut = cs.Outcome(np.minimum(y.stop, 10), np.where(y.stop <= 10, y.event, 0), causes=y.causes)
        return np.log([weighted_hazard_ratio(cut if c is None else cut.only(c), code, weight) for c in (None, cause)])
    of_cause, any_cause = (
        [brute_force(y, pair & (code == k), weight, 10, c) for k in (1, 0)] for c in (y.cause_code(cause), None)
    )
    (risk, lost), (risk0, lost0) = of_cause
    return np.array([risk - risk0, np.log(risk / risk0), any_cause[1][1] - any_cause[0][1], lost - lost0])


def weighted_hazard_ratio(y, treated, weight):
    """Solve Efron's score equation of a weighted Cox model with the arm alone."""
    event, beta = y.event > 0, 0.0
    for _ in range(30):
        score = information = 0.0
        risk = weight * np.exp(beta * treated)
        for t in np.unique(y.stop[event]):
            dead, there = event & (y.stop == t), y.stop >= t
            score += weight[dead] @ treated[dead]
            d = int(dead.sum())
            for k in range(d):
                total = risk[there].sum() - k / d * risk[dead].sum()
                mean = (risk[there] @ treated[there] - k / d * risk[dead] @ treated[dead]) / total
                score -= weight[dead].mean() * mean
                information += weight[dead].mean() * mean * (1 - mean)
        beta += score / information
    return np.exp(beta)


def numerical_error(y, arm, X, customer, step=1e-4, **options):
    """Give the standard errors by the derivative of everything, fits included, by how often each customer counts."""
    squares = 0.0
    n_customers = len(np.unique(customer))
    for c in np.unique(customer):
        ends = [refitted(y, arm, X, 1.0 + s * (customer == c), **options) for s in (step, -step)]
        squares = squares + ((ends[0] - ends[1]) / (2 * step)) ** 2
    return np.sqrt(squares * n_customers / (n_customers - 1))


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_curves_move_with_a_customer_as_the_sandwich_says(estimand, arms):
    y, arm, X, customer = sample(arms=arms)
    options = {"estimand": estimand, "cluster": customer}
    found = [
        sandwich(y, arm, X, effect=effect, cause=None if effect == "rmst_difference" else "attrition", **options)
        for effect in CURVES
    ]
    weighting = {"estimand": estimand, "cause": "attrition"}
    values = refitted(y, arm, X, np.ones(len(y)), **weighting)
    np.testing.assert_allclose([np.log(e.value) if "ratio" in e.name else e.value for e in found], values, rtol=1e-6)
    errors = numerical_error(y, arm, X, customer, **weighting)
    np.testing.assert_allclose([log_se(e) for e in found], errors, rtol=1e-5)


@pytest.mark.parametrize(
    "weighting", [{"estimand": "ate", "stabilised": True}, {"estimand": "att"}, {"estimand": "overlap"}]
)
def test_hazard_ratios_move_with_a_customer_as_the_sandwich_says(weighting):
    y, arm, X, customer = sample(30)
    options = {"effect": "hazard_ratio", "cluster": customer} | weighting
    found = [sandwich(y, arm, X, cause=cause, **options) for cause in (None, "attrition")]
    values = refitted(y, arm, X, np.ones(len(y)), "attrition", hazards=True, **weighting)
    np.testing.assert_allclose(np.log([e.value for e in found]), values, rtol=1e-6)
    errors = numerical_error(y, arm, X, customer, cause="attrition", hazards=True, **weighting)
    np.testing.assert_allclose([log_se(e) for e in found], errors, rtol=1e-5)


def test_without_censoring_it_is_the_textbook_variance_of_weighted_means():
    # Lunceford and Davidian (2004), their second weighted estimator: eq. 21 with the sample's own sums of weights
    y, arm, X, _ = sample()
    y = cs.Outcome(y.stop, np.ones(len(y)))
    left, z = (y.stop <= 10) * 1.0, (arm == "deferral") * 1.0
    x = np.column_stack((np.ones(len(y)), X))
    e = newton(X.to_numpy(float), z.astype(int), np.ones(len(y)), 2)[:, 1]
    weights = z / e / np.sum(z / e), (1 - z) / (1 - e) / np.sum((1 - z) / (1 - e))
    means = [w @ left for w in weights]
    treated, reference = (w * (left - m) for w, m in zip(weights, means, strict=True))
    slope = x.T @ (treated * (1 - e) + reference * e)
    influence = treated - reference - (z - e) * (x @ np.linalg.solve((x.T * e * (1 - e)) @ x, slope))
    found = sandwich(y, arm, X)
    assert found.value == pytest.approx(means[0] - means[1], rel=1e-8)
    assert found.se == pytest.approx(np.sqrt(np.sum(influence**2) * len(y) / (len(y) - 1)), rel=1e-7)


@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_the_jackknife_that_leaves_out_customers_agrees_to_a_few_percent(estimand):
    y, arm, X, customer = sample(300)
    values = np.array(
        [refitted(y, arm, X, (customer != c) * 1.0, "attrition", estimand=estimand) for c in np.unique(customer)]
    )
    jackknife = np.sqrt(299 / 300 * np.sum((values - values.mean(axis=0)) ** 2, axis=0))
    for effect, expected in zip(CURVES, jackknife, strict=True):
        cause = None if effect == "rmst_difference" else "attrition"
        found = sandwich(y, arm, X, effect=effect, cause=cause, estimand=estimand, cluster=customer)
        assert log_se(found) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_slopes_of_log_weights_are_those_of_central_differences(estimand):
    rng = np.random.default_rng(0)
    eta, code = rng.normal(size=(50, 3)), rng.integers(0, 4, 50)

    def log_weights(eta):
        p = np.exp(np.column_stack((np.zeros(50), eta)))
        return np.log(arm_weights(p / p.sum(axis=1, keepdims=True), code, estimand, target=2))

    p = np.exp(np.column_stack((np.zeros(50), eta)))
    slopes = log_weight_slopes(p / p.sum(axis=1, keepdims=True), code, estimand, target=2)
    for j in range(3):
        step = 1e-5 * (np.arange(3) == j)
        np.testing.assert_allclose(slopes[:, j], (log_weights(eta + step) - log_weights(eta - step)) / 2e-5, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(0, 2), st.floats(0.1, 5.0)), min_size=3, max_size=25
    ),
    area=st.booleans(),
    cause=st.integers(1, 2),
)
def test_rows_move_an_incidence_and_its_area_by_their_influence(rows, area, cause):
    start, length, event, weight = np.array(rows).T
    entry, stop, event = np.where(start == 0, -np.inf, start), start + length, event.astype(np.int64)
    # somebody watched from the beginning to the end: every risk set has rows that stay
    entry, stop, event, weight = (
        np.append(a, v) for a, v in ((entry, -np.inf), (stop, 20.0), (event, 0), (weight, 1.0))
    )

    def value(weight):
        table = risk_table(entry, stop, event, weight, 2, np.zeros(len(stop), dtype=bool))
        stay, total = 1.0, 0.0
        for t, n, d in zip(table.times, table.n_risk, table.n_event.T, strict=True):
            total += stay * d[cause - 1] / n * ((6 - t if area else 1) if t <= 6 else 0)
            stay *= 1 - d.sum() / n
        return total

    table = risk_table(entry, stop, event, weight, 2, np.zeros(len(stop), dtype=bool))
    value_at = np.where(table.times <= 6, 6 - table.times if area else 1.0, 0.0)
    found = incidence_influence(table, kaplan_meier(table).survival, event, cause, value_at)
    steps = [1e-5 * (np.arange(len(stop)) == i) for i in range(len(stop))]
    np.testing.assert_allclose(found, [(value(weight + s) - value(weight - s)) / 2e-5 for s in steps], atol=1e-7)


@pytest.mark.parametrize("effect", CURVES[:3])
def test_without_covariates_it_is_the_robust_variance_of_weights_that_are_known(effect):
    y, arm, X, _ = sample()
    constant = X.assign(z=1.0, f=2.0)
    found = sandwich(y, arm, constant, effect=effect)
    known = weighted_effect(y, arm, constant, effect=effect, horizon=10, reference="none", variance="robust")
    n = len(y)
    assert found.se == pytest.approx(known.se * np.sqrt(n / (n - 1)), rel=1e-9)


def test_without_covariates_customers_in_both_arms_are_summed_as_without_weights():
    y, arm, X, customer = sample()
    found = sandwich(y, arm, X.assign(z=1.0, f=2.0), cause="attrition", cluster=customer)
    plain = risk_difference(y, arm, horizon=10, cause="attrition", reference="none", cluster=customer)
    assert found.value == pytest.approx(plain.value, rel=1e-9)
    assert found.se == pytest.approx(plain.se * np.sqrt(100 / 99), rel=1e-9)
    assert np.mean(pd.Series(arm).groupby(customer).nunique() > 1) > 0.3


@pytest.mark.parametrize("effect", [*CURVES, "hazard_ratio"])
def test_order_copies_and_splits_of_rows_and_the_scale_of_covariates_change_nothing(effect):
    y, arm, X, customer = sample()
    options = {"effect": effect, "cause": None if effect == "rmst_difference" else "attrition"}
    one = sandwich(y, arm, X, cluster=customer, **options)
    expected = [one.value, one.se, one.lower, one.upper]

    def same(y, arm, X, customer):
        other = sandwich(y, arm, X, cluster=customer, **options)
        np.testing.assert_allclose([other.value, other.se, other.lower, other.upper], expected, rtol=1e-7)

    n = len(y)
    order = np.random.default_rng(2).permutation(n)
    same(y[order], arm[order], X.iloc[order], customer[order])
    same(y, arm, 1e4 * X.assign(same=X["z"] + X["f"], constant=3.0) + 7, customer)
    if effect != "hazard_ratio":  # Efron's ties tell two rows from one row of weight two
        twice = np.tile(np.arange(n), 2)
        copied = cs.Outcome(y.stop[twice], y.event[twice], causes=y.causes)
        same(copied, arm[twice], X.iloc[twice], customer[twice])
    long = np.flatnonzero(y.stop > 3)
    rows = np.r_[np.arange(n), long]
    split = cs.Outcome(
        np.r_[np.minimum(y.stop, 3), y.stop[long]],
        np.r_[np.where(y.stop > 3, 0, y.event), y.event[long]],
        start=np.r_[np.zeros(n), np.full(len(long), 3.0)],
        subject=rows,
        causes=y.causes,
    )
    same(split, arm[rows], X.iloc[rows], customer[rows])


def test_stabilised_weights_give_the_same_variance_of_curves():
    y, arm, X, customer = sample()
    a, b = (sandwich(y, arm, X, cluster=customer, stabilised=s) for s in (False, True))
    assert a.se == pytest.approx(b.se, rel=1e-9)


def test_cuts_that_cut_nothing_change_nothing_and_others_are_said_to_be_taken_as_known():
    y, arm, X, customer = sample()
    one = sandwich(y, arm, X, cluster=customer)
    for cut in ({"truncate": 0.0}, {"trim": 0.0}):
        assert sandwich(y, arm, X, cluster=customer, **cut).se == pytest.approx(one.se, rel=1e-12)
    found = sandwich(y, arm, X, cluster=customer, truncate=0.05)
    assert "the cut taken as known" in found.method
    assert "sandwich variance by customer with the estimation of the propensity" in one.method
    assert "cut" not in one.method


def test_weights_at_a_bound_do_not_move_with_the_coefficients():
    y, arm, X, customer = sample(60)
    found = sandwich(y, arm, X, cluster=customer, truncate=0.1)
    code = (arm == "deferral").astype(int)
    low, high = np.quantile(propensity(X, arm, reference="none").weights("ate"), [0.1, 0.9])
    squares = 0.0
    for c in range(60):
        ends = []
        for step in (1e-4, -1e-4):
            rows = 1.0 + step * (customer == c)
            p = newton(X.to_numpy(float), code, rows, 2)
            weight = rows * np.clip(arm_weights(p, code, "ate"), low, high)
            ends.append(brute_force(y, code == 1, weight, 10)[0] - brute_force(y, code == 0, weight, 10)[0])
        squares += ((ends[0] - ends[1]) / 2e-4) ** 2
    # the interpolated bounds lie between two weights: no weight is at them by itself
    assert found.se == pytest.approx(np.sqrt(squares * 60 / 59), rel=1e-4)


def test_intervals_are_normal_of_ratios_for_the_logarithm():
    y, arm, X, customer = sample()
    ratio = sandwich(y, arm, X, effect="risk_ratio", cluster=customer, level=0.9)
    assert ratio.lower * ratio.upper == pytest.approx(ratio.value**2)
    assert np.log(ratio.upper / ratio.value) == pytest.approx(1.6448536 * ratio.se / ratio.value)
    difference = sandwich(y, arm, X, cluster=customer)
    assert difference.upper - difference.value == pytest.approx(1.9599640 * difference.se)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": LogisticRegression()}, NotIdentifiedError, "model=LogisticRegression .* Use variance='bootstrap'"),
        ({"folds": 2}, NotIdentifiedError, "folds=2 .* Use variance='bootstrap'"),
        ({"cluster": 0}, DataError, "one cluster|one customer"),
        ({"variance": "sandwhich"}, DataError, r"'bootstrap', 'sandwich', 'robust'"),
    ],
)
def test_what_is_not_known_is_refused(options, error, message):
    y, arm, X, _ = sample()
    if "cluster" in options:
        options = {"cluster": np.zeros(len(y))}
    with pytest.raises(error, match=message):
        weighted_effect(y, arm, X, **{"horizon": 10, "variance": "sandwich"} | options)


def test_a_risk_of_one_is_refused_its_area_is_not():
    y, arm, X, _ = sample()
    gone = cs.Outcome(np.minimum(y.stop, 5), np.ones(len(y)))
    with pytest.raises(NotIdentifiedError, match="Everybody of arm 'none' has left"):
        sandwich(gone, arm, X, horizon=5)
    two = cs.Outcome(gone.stop, gone.event, causes=("attrition", "default"))
    with pytest.raises(NotIdentifiedError, match="a risk of 1"):
        sandwich(two, arm, X, horizon=5, cause="attrition")
    assert sandwich(gone, arm, X, horizon=4).se > 0
    assert sandwich(gone, arm, X, horizon=5, effect="rmst_difference").se > 0


def test_few_customers_in_an_arm_are_warned_of_at_the_line_that_asks():
    y, arm, X, customer = sample(14)
    with pytest.warns(SmallSampleWarning, match="with fewer than 20") as caught:
        weighted_effect(y, arm, X, horizon=10, reference="none", variance="sandwich", cluster=customer)
    words = [str(w.message) for w in caught]
    assert [w[: w.index(":")] for w in words] == ["Arm 'none' has 9 customers", "Arm 'deferral' has 9 customers"]
    assert {w.filename for w in caught} == {__file__}


def inside(table, repetitions, column, truth, errors=1.96):
    """Say where shares are within so many Monte-Carlo errors of what they should be."""
    return abs(table[column] - truth) <= errors * np.sqrt(truth * (1 - truth) / repetitions)


def test_intervals_of_a_few_portfolios_cover():
    # 60 portfolios of 200 customers: three Monte-Carlo errors are 8.4 points
    table = simulate(60, *SCENARIOS["effect"], customers=200)
    assert inside(table, 60, "coverage", 0.95, errors=3).all(), table
    assert (abs(table["mean"] - table["truth"]) < 3.5 * table["mean_error"]).all(), table


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_intervals_cover_and_reject_as_often_as_they_say(name):
    # 1,000 portfolios, bands of 1.96 Monte-Carlo errors (1.35 points); under no effect the complement is the type-I error
    table = simulate(1000, *SCENARIOS[name])
    assert inside(table, 1000, "coverage", 0.95).all(), table
    assert (abs(table["mean"] - table["truth"]) < 3 * table["mean_error"]).all(), table

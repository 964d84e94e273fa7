"""Diagnostics of Cox models: they find what was planted, stay quiet otherwise, and their remedies run."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import churnsurv as cs
from churnsurv.exceptions import DataError
from tests.estimators.test_residuals import spells, split_rows


def exits(rng, hazard, until=3.0):
    """Exponential times with these hazards, censored uniformly."""
    time, censoring = rng.exponential(1 / hazard), rng.uniform(0, until, len(hazard))
    return np.minimum(time, censoring), time <= censoring


def well_behaved(seed=0, n=600):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"rate": rng.normal(size=n), "score": rng.normal(size=n), "segment": rng.choice(list("abc"), n)})
    stop, event = exits(rng, np.exp(0.5 * X["rate"].to_numpy() - 0.3 * (X["segment"] == "b").to_numpy()))
    return X, cs.Outcome(stop, event)


def changing(seed=0, n=1500):
    """An effect of 1.5 before time 0.5 and of -0.5 after it; the median time without effect is 0.69."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    early = rng.exponential(1 / np.exp(1.5 * x))
    stop = np.where(early < 0.5, early, 0.5 + rng.exponential(1 / np.exp(-0.5 * x)))
    censoring = rng.uniform(0, 3, n)
    X = pd.DataFrame({"rate": x, "other": rng.normal(size=n)})
    return X, cs.Outcome(np.minimum(stop, censoring), stop <= censoring)


# ---- a coefficient over time ----


def test_coefficient_over_time_follows_an_effect_that_changes():
    X, y = changing()
    table = cs.hazard_ratio_over_time(cs.CoxPH().fit(X, y), X, y, "rate", transform="identity", df=5).set_index("time")
    early, late = table[table.index < 0.2], table[(table.index > 0.9) & (table.index < 1.5)]
    assert early["coef"].mean() > 1.0
    assert late["coef"].mean() < -0.2
    assert (late["upper"] < early["lower"].min()).all()
    np.testing.assert_allclose(
        np.log(table[["hazard_ratio", "hr_lower", "hr_upper"]]), table[["coef", "lower", "upper"]]
    )


def test_coefficient_over_time_is_the_least_squares_smooth_of_scaled_schoenfeld_residuals():
    X, y, _ = spells(1)
    model = cs.CoxPH().fit(X, y)
    table = cs.hazard_ratio_over_time(model, X, y, "score", transform="identity", df=2)
    residual = model.residuals(X, y, "scaled_schoenfeld")
    basis = np.column_stack([np.ones(len(residual)), residual["time"]])
    line, *_ = np.linalg.lstsq(basis, residual["score"], rcond=None)
    np.testing.assert_allclose(table["coef"], line[0] + line[1] * table["time"], rtol=1e-7, atol=1e-10)
    variance = model.n_events_ * model.naive_covariance_.loc["score", "score"] * np.linalg.inv(basis.T @ basis)
    at = np.column_stack([np.ones(len(table)), table["time"]])
    np.testing.assert_allclose(table["se"], np.sqrt(np.einsum("ij,jk,ik->i", at, variance, at)), rtol=1e-8)


def test_straight_line_over_time_has_the_slope_that_the_test_is_about():
    # (slope / se)² is the score test with the variance of the covariates taken as constant: close to it, and sharing its sign
    X, y = changing(3)
    model = cs.CoxPH().fit(X, y)
    statistic = cs.proportional_hazards_test(model, X, y).loc["rate", "statistic"]
    table = cs.hazard_ratio_over_time(model, X, y, "rate", df=2)
    assert statistic > 50
    assert np.diff(table["coef"]).max() < 0


@pytest.mark.parametrize("seed", range(3))
def test_splitting_spells_changes_no_smooth(seed):
    X, y, arguments = spells(31)
    arguments["cluster"] = np.arange(len(X)) // 2
    split_X, split_y, rows = split_rows(X, y, seed)
    cut = {name: value[rows] for name, value in arguments.items()}
    a, b = cs.CoxPH().fit(X, y, **arguments), cs.CoxPH().fit(split_X, split_y, **cut)
    pd.testing.assert_frame_equal(
        cs.hazard_ratio_over_time(a, X, y, "rate", **arguments),
        cs.hazard_ratio_over_time(b, split_X, split_y, "rate", **cut),
        rtol=1e-6,
        atol=1e-8,
    )
    columns = ["log_hazard", "se"]
    one = cs.functional_form(a, X, y, "rate", **arguments).set_index("value")[columns]
    two = cs.functional_form(b, split_X, split_y, "rate", **cut).set_index("value")[columns]
    common = one.index.intersection(two.index)
    assert len(common) > 5
    pd.testing.assert_frame_equal(one.loc[common], two.loc[common], rtol=1e-6, atol=1e-8)


def test_robust_band_without_real_clusters_is_close_to_the_model_band():
    X, y = changing(1)
    plain = cs.hazard_ratio_over_time(cs.CoxPH().fit(X, y), X, y, "other")
    each = np.arange(len(X))
    robust = cs.hazard_ratio_over_time(cs.CoxPH().fit(X, y, cluster=each), X, y, "other", cluster=each)
    pd.testing.assert_series_equal(plain["coef"], robust["coef"], rtol=1e-8)
    middle = slice(10, 40)
    np.testing.assert_allclose(robust["se"].iloc[middle], plain["se"].iloc[middle], rtol=0.2)


@pytest.mark.slow
def test_bands_cover_a_coefficient_that_does_not_change():
    covered = {"model": [], "cluster": []}
    for seed in range(400):
        X, y = well_behaved(seed, 300)
        each = np.arange(len(X))
        for name, fit in (("model", {}), ("cluster", {"cluster": each})):
            model = cs.CoxPH().fit(X, y, **fit)
            table = cs.hazard_ratio_over_time(model, X, y, "rate", **fit).iloc[[5, 25, 45]]
            covered[name].append((table["lower"] < 0.5) & (table["upper"] > 0.5))
    for shares in covered.values():
        assert np.all(np.abs(np.mean(shares, axis=0) - 0.95) < 0.035)


def test_unknown_term_or_column_is_refused_by_name():
    X, y, _ = spells(2)
    model = cs.CoxPH().fit(X, y)
    with pytest.raises(DataError, match="'rates'"):
        cs.hazard_ratio_over_time(model, X, y, "rates")
    with pytest.raises(DataError, match="'rates'"):
        cs.functional_form(model, X, y, "rates")
    with pytest.raises(DataError, match="straight line"):
        cs.functional_form(model, X, y, "rate", df=1)
    with pytest.raises(DataError, match="'segment'"):
        cs.functional_form(model, X.assign(segment="a"), y, "segment")


# ---- functional form ----


def curved(seed=0, n=2000):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"age": rng.uniform(-1.5, 1.5, n), "rate": rng.normal(size=n)})
    stop, event = exits(rng, np.exp(X["age"].to_numpy() ** 2 + 0.5 * X["rate"].to_numpy()))
    return X, cs.Outcome(stop, event)


@pytest.mark.parametrize("formula", [None, "age + rate", "cs(age, df=3) + rate", "rate + age:rate", "age"])
def test_functional_form_shows_the_curve_with_the_column_in_whatever_form(formula):
    X, y = curved()
    model = cs.CoxPH(formula).fit(X, y)
    table = cs.functional_form(model, X, y, "age", df=5)
    shape = table["log_hazard"] - table["log_hazard"].mean()
    truth = table["value"] ** 2 - (table["value"] ** 2).mean()
    # without `rate` in the model the curve is somewhat flatter
    assert np.abs(shape - truth).max() < 0.45
    assert np.corrcoef(shape, truth)[0, 1] > 0.98


def test_functional_form_is_the_same_whatever_form_the_column_had():
    X, y = curved(1)
    tables = [
        cs.functional_form(cs.CoxPH(f).fit(X, y), X, y, "age")
        for f in (None, "cs(age, df=4) + rate", "rate", "rate + age")
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], table, rtol=1e-6, atol=1e-9)


def test_functional_form_of_the_only_column_starts_from_no_covariates():
    X, y = curved(2)
    only = cs.functional_form(cs.CoxPH().fit(X[["age"]], y), X[["age"]], y, "age")
    assert only["log_hazard"].iloc[0] > only["log_hazard"].min() + 0.5


def test_functional_form_of_a_two_valued_column_is_the_log_ratio_of_observed_to_expected():
    X, y, _ = spells(4, n=200)
    table = cs.functional_form(cs.CoxPH().fit(X, y), X, y, "offer")
    without = cs.CoxPH().fit(X.drop(columns="offer"), y).residuals(X.drop(columns="offer"), y, "martingale").to_numpy()
    for value, log_hazard in zip(table["value"], table["log_hazard"], strict=True):
        rows = (X["offer"] == value).to_numpy()
        n, m = (y.event[rows] > 0).sum(), without[rows].sum()
        assert log_hazard == pytest.approx(np.log(n / (n - m)), abs=1e-8)


# ---- influence, inflation, events ----


def with_one_who_stays(data):
    """Let the first customer stay longest, with a rate at which all others leave soon."""
    X, y = data
    X.loc[0, "rate"] = 4.0
    stop, event = y.stop.copy(), y.event.copy()
    stop[0], event[0] = stop.max() + 0.1, 0
    return X, cs.Outcome(stop, event)


def test_influence_lists_the_planted_customer_first():
    X, y = with_one_who_stays(well_behaved(9))
    model = cs.CoxPH().fit(X, y)
    table = cs.influence(model, X, y, most=3)
    assert table.index[0] == 0
    assert table.loc[0, "term"] == "rate"
    assert table["likelihood_displacement"].is_monotonic_decreasing
    # the displacement and the shift by their definitions
    u = model.residuals(X, y, "score", by="subject").loc[0].to_numpy()
    assert table.loc[0, "likelihood_displacement"] == pytest.approx(u @ model.naive_covariance_.to_numpy() @ u)
    dfbetas = model.residuals(X, y, "dfbetas").iloc[0]
    assert table.loc[0, "dfbetas"] == pytest.approx(dfbetas["rate"])


def test_influence_is_about_what_leaving_customers_out_does():
    X, y = well_behaved(1)
    customer = np.arange(len(X)) // 3
    model = cs.CoxPH().fit(X, y, cluster=customer)
    table = cs.influence(model, X, y, by="cluster", cluster=customer, most=5)
    assert (table["rows"] == 3).all()
    se = np.sqrt(np.diag(model.naive_covariance_))
    for label, row in table.iterrows():
        rest = customer != label
        moved = (model.coef_ - cs.CoxPH().fit(X[rest], y[rest]).coef_) / se
        assert row["dfbetas"] == pytest.approx(moved[row["term"]], rel=0.15)
        left = y.event[~rest].sum()
        assert row["events"] == left
    with pytest.raises(DataError, match="most="):
        cs.influence(model, X, y, most=0)


def test_variance_inflation_of_a_coefficient_is_the_ordinary_one():
    X, y = well_behaved(2)
    X["double"] = X["rate"] + 0.2 * np.random.default_rng(0).normal(size=len(X))
    model = cs.CoxPH("rate + double + score").fit(X, y)
    table = cs.variance_inflation(model)
    v = model.naive_covariance_.to_numpy()
    np.testing.assert_allclose(table["gvif"], np.diag(v) * np.diag(np.linalg.inv(v)), rtol=1e-8)
    assert table.loc["double", "factor"] > 10
    assert table.loc["score", "factor"] < 1.2


def test_variance_inflation_of_a_category_does_not_depend_on_its_reference():
    X, y = well_behaved(3)
    X["rate"] = X["rate"] + 2.0 * (X["segment"] == "a")
    tables = [
        cs.variance_inflation(cs.CoxPH(f"rate + C(segment, contr.treatment('{level}'))").fit(X, y)) for level in "abc"
    ]
    for table in tables[1:]:
        np.testing.assert_allclose(table.to_numpy(), tables[0].to_numpy(), rtol=1e-7)
    assert tables[0]["df"].tolist() == [1, 2]
    np.testing.assert_allclose(tables[0]["factor"], tables[0]["gvif"] ** (1 / tables[0]["df"]))


def test_events_per_parameter():
    X, y = well_behaved(4)
    model = cs.CoxPH().fit(X, y)
    assert cs.events_per_parameter(model) == y.n_events / 4


# ---- the check of everything ----


def remedies_run(diagnosis, model, X, y, **arguments):
    for finding in diagnosis.findings:
        names = {"cs": cs, "np": np, "pd": pd, "clone": clone, "model": model, "X": X, "y": y, **arguments}
        exec(finding.code, names)


def test_nothing_is_found_where_the_model_holds():
    X, y = well_behaved(5)
    model = cs.CoxPH().fit(X, y)
    diagnosis = cs.diagnose(model, X, y)
    assert diagnosis.findings == ()
    assert "Nothing found" in repr(diagnosis)
    assert diagnosis.to_frame().empty
    assert set(diagnosis.tables) == {"proportional_hazards", "linearity", "influence", "variance_inflation"}


@pytest.mark.slow
def test_diagnosis_raises_false_alarms_as_rarely_as_promised():
    alarms = 0
    for seed in range(400):
        X, y = well_behaved(seed, 400)
        found = cs.diagnose(cs.CoxPH().fit(X, y), X, y, alpha=0.05).findings
        alarms += any(f.check in ("proportional_hazards", "linearity") for f in found)
    # two families at 5 %, three standard errors above
    assert alarms / 400 < 0.0975 + 3 * np.sqrt(0.0975 * 0.9025 / 400)


@pytest.mark.parametrize("formula", [None, "rate + other", "rate"])
def test_a_changing_effect_is_found_with_remedies_that_run_and_help(formula):
    X, y = changing(2)
    model = cs.CoxPH(formula).fit(X if formula != "rate" else X[["rate"]], y)
    X = X if formula != "rate" else X[["rate"]]
    diagnosis = cs.diagnose(model, X, y)
    finding = next(f for f in diagnosis.findings if f.check == "proportional_hazards")
    assert (finding.term, finding.severity) == ("rate", "serious")
    assert "rate" in repr(diagnosis)
    assert diagnosis.to_frame()["term"].tolist()[0] == "rate"
    remedies_run(diagnosis, model, X, y)
    names = {"cs": cs, "np": np, "pd": pd, "clone": clone, "model": model, "X": X, "y": y}
    last = finding.code.rindex("clone(model)") if formula == "rate" else finding.code.index("clone(model)")
    lines = finding.code[:last], finding.code[last:].split("\n")[0]
    exec(lines[0], names)
    later = eval(lines[1], names)
    assert later.coef_["later"] == pytest.approx(-2.0, abs=0.6)


def test_a_category_with_crossing_hazards_is_found_and_can_be_stratified():
    rng = np.random.default_rng(4)
    X = pd.DataFrame({"segment": rng.choice(["a", "b"], 1500), "rate": rng.normal(size=1500)})
    shape = np.where(X["segment"] == "a", 0.6, 2.0)
    stop = rng.weibull(shape) * np.exp(-0.5 * X["rate"].to_numpy() / shape)
    y = cs.Outcome(np.minimum(stop, 2.0), stop <= 2.0)
    region = rng.integers(0, 2, 1500)
    model = cs.CoxPH().fit(X, y, strata=region, cluster=np.arange(1500) // 2)
    arguments = {"strata": region, "cluster": np.arange(1500) // 2}
    diagnosis = cs.diagnose(model, X, y, **arguments)
    finding = next(f for f in diagnosis.findings if f.term == "segment")
    assert finding.severity == "serious"
    names = {"np": np, "clone": clone, "model": model, "X": X, "y": y, **arguments}
    stratified = eval(finding.code, names)
    assert len(stratified.strata_) == 4
    assert stratified.coef_.index.tolist() == ["rate"]
    assert stratified.coef_["rate"] == pytest.approx(0.5, abs=0.15)
    only = cs.CoxPH().fit(X[["segment"]], y)
    alone = cs.diagnose(only, X[["segment"]], y)
    assert "NelsonAalen" in alone.findings[0].code
    remedies_run(alone, only, X[["segment"]], y)


def test_a_curve_is_found_with_a_spline_that_runs_and_helps():
    X, y = curved(3)
    X = X.rename(columns={"age": "loan age"})
    model = cs.CoxPH().fit(X.assign(w=1.0), y, sample_weight="w")
    diagnosis = cs.diagnose(model, X.assign(w=1.0), y)
    finding = next(f for f in diagnosis.findings if f.check == "linearity")
    assert (finding.term, finding.severity) == ("loan age", "serious")
    assert not any(f.term == "rate" for f in diagnosis.findings)
    remedies_run(diagnosis, model, X.assign(w=1.0), y)
    better = eval(finding.code.split("\n")[1], {"clone": clone, "model": model, "X": X.assign(w=1.0), "y": y})
    assert better.log_likelihood_ > model.log_likelihood_ + 50


def test_linearity_statistic_is_that_of_the_score_test_of_the_larger_model():
    # the larger model's score test at the smaller one's coefficients, which its likelihood-ratio test approaches
    X, y = well_behaved(6, 3000)
    rng = np.random.default_rng(0)
    X["age"] = rng.uniform(-1, 1, len(X))
    model = cs.CoxPH("rate + age").fit(X, y)
    statistic = cs.diagnose(model, X, y).tables["linearity"].loc["age", "statistic"]
    bent = model_with_spline(X, y, "age")
    assert statistic == pytest.approx(2 * (bent.log_likelihood_ - model.log_likelihood_), rel=0.05, abs=0.05)


def model_with_spline(X, y, column):
    """The model with a natural spline of a column, of its knots at the range and the thirds of its values at events."""
    from churnsurv.kernels.splines import natural_basis, spline_knots

    values = X[column].to_numpy()
    knots = spline_knots(values[y.event > 0], values.min(), values.max(), 4)
    basis = natural_basis(values, knots)[:, 1:]
    return cs.CoxPH().fit(X[["rate"]].assign(**{f"b{j}": basis[:, j] for j in range(basis.shape[1])}), y)


def test_an_influential_customer_is_found_by_the_label_passed():
    X, y = with_one_who_stays(well_behaved(9))
    labelled = cs.Outcome(y.stop, y.event, subject=[f"loan {i}" for i in range(len(X))])
    model = cs.CoxPH().fit(X, labelled)
    diagnosis = cs.diagnose(model, X, labelled)
    finding = next(f for f in diagnosis.findings if f.check == "influence")
    assert "loan 0" in finding.finding
    assert finding.term == "rate"
    remedies_run(diagnosis, model, X, labelled)


def test_inflation_and_few_events_are_found_serious_ones_first():
    X, y = well_behaved(7, 60)
    X["double"] = X["rate"] + 0.15 * np.random.default_rng(1).normal(size=len(X))
    model = cs.CoxPH().fit(X, y)
    diagnosis = cs.diagnose(model, X, y)
    assert {"variance_inflation", "events_per_parameter"} <= {f.check for f in diagnosis.findings}
    severities = [f.severity for f in diagnosis.findings]
    assert severities == sorted(severities, reverse=True)
    remedies_run(diagnosis, model, X, y)


def test_a_saved_model_with_a_formula_gives_the_same_diagnosis(tmp_path):
    X, y = changing(4, 400)
    model = cs.CoxPH("cs(rate, df=3) + other").fit(X, y)
    again = cs.load(cs.save(model, tmp_path / "model.churnsurv"))
    for table, same in zip(
        cs.diagnose(model, X, y).tables.values(), cs.diagnose(again, X, y).tables.values(), strict=True
    ):
        pd.testing.assert_frame_equal(table, same)
    pd.testing.assert_frame_equal(cs.functional_form(model, X, y, "rate"), cs.functional_form(again, X, y, "rate"))


@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.MissingDataWarning")
def test_rows_dropped_for_missing_values_are_left_out_of_every_diagnostic():
    X, y = changing(5, 400)
    X.loc[[3, 50], "rate"] = np.nan
    there = X["rate"].notna().to_numpy()
    holed, whole = cs.CoxPH(missing="drop").fit(X, y), cs.CoxPH().fit(X[there], y[there])
    a, b = cs.diagnose(holed, X, y), cs.diagnose(whole, X[there], y[there])
    for name in ("proportional_hazards", "linearity", "variance_inflation"):
        pd.testing.assert_frame_equal(a.tables[name], b.tables[name], rtol=1e-7)
    pd.testing.assert_frame_equal(
        cs.functional_form(holed, X, y, "rate"), cs.functional_form(whole, X[there], y[there], "rate"), rtol=1e-6
    )


def test_the_model_of_one_cause_among_several_is_diagnosed_as_that_of_its_events():
    X, y, _ = spells(6, n=200)
    codes = np.where(y.event > 0, 1 + (np.arange(len(X)) % 2), 0)
    both = cs.Outcome(y.stop, codes, start=y.start, causes=("attrition", "default"))
    model = cs.CauseSpecificCox().fit(X, both).models_["default"]
    alone, only = cs.CoxPH().fit(X, both.only("default")), both.only("default")
    pd.testing.assert_frame_equal(
        cs.proportional_hazards_test(model, X, both), cs.proportional_hazards_test(alone, X, only), rtol=1e-8
    )
    pd.testing.assert_frame_equal(model.residuals(X, both, "dfbeta"), alone.residuals(X, only, "dfbeta"), rtol=1e-7)


def test_alpha_is_a_significance_level():
    X, y = well_behaved(8)
    with pytest.raises(DataError, match="alpha="):
        cs.diagnose(cs.CoxPH().fit(X, y), X, y, alpha=5.0)

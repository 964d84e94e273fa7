"""Scenarios: the expected exits of a portfolio are those of its loans taken one by one along the path."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data.landmark import Cohort
from churnsurv.evaluation.scenario_paths import read_path
from churnsurv.evaluation.scenario_result import _count_quantile
from churnsurv.evaluation.scenario_rows import followed_values, read_book
from churnsurv.exceptions import DataError, NotIdentifiedError

FORMULA = "rate_incentive + burnout + credit_score + unemployment_rate"
HORIZON = 6
CAUSES = ["attrition", "default", "renewed"]


@pytest.fixture(scope="module")
def portfolio():
    return cs.data.simulate(500, seed=3)


@pytest.fixture(scope="module")
def spells(portfolio):
    tables = (portfolio.loans, portfolio.performance, portfolio.rules)
    return cs.data.build_spells(*tables, macro=portfolio.macro).complete()


@pytest.fixture(scope="module")
def model(spells):
    return cs.CauseSpecificCox(FORMULA).fit(spells.X, spells.y, cluster=spells.groups)


@pytest.fixture(scope="module")
def cohort(spells, portfolio):
    found = spells.landmark("2026-03-31").complete()
    rate = portfolio.loans.set_index("loan_id")["contract_rate"]
    return replace(found, frame=found.frame.assign(contract_rate=found.frame["loan_id"].map(rate).to_numpy()))


@pytest.fixture(scope="module")
def paths(portfolio, cohort):
    return cs.evaluation.shock_paths(portfolio.macro, portfolio.rules, date=cohort.date, horizon=HORIZON)


@pytest.fixture(scope="module")
def found(model, cohort, paths):
    return cs.evaluation.scenario(model, cohort, paths, horizon=HORIZON)


def values(result, **options):
    frame = result.to_frame(**options)
    return frame.set_index(["scenario", "month", "cause", "quantity"])


def one_loan(model, loan, path, macro_of_landmark):
    """Give the probabilities of leaving by each cause in each month, from the three Cox models' own hazards."""
    market = path.set_index("month")["market_rate"]
    unemployment = path.set_index("month")["unemployment_rate"]
    incentive, burnout, stays, found = loan["rate_incentive"], loan["burnout"], 1.0, []
    for m in range(1, HORIZON + 1):
        known = macro_of_landmark + pd.DateOffset(months=m - 1)  # lag 1: the month before the spell's
        now = incentive - (market[known] - market[macro_of_landmark])
        x = pd.DataFrame(
            {"rate_incentive": now, "burnout": burnout, "credit_score": loan["credit_score"],
             "unemployment_rate": loan["unemployment_rate"] if m == 1 else unemployment[known]}, index=[0]
        )  # fmt: skip
        burnout += max(now, 0.0)
        age = loan["age"] + m
        if age > loan["term"]:
            found.append(dict.fromkeys(CAUSES, 0.0))
            continue
        jump = {}
        for cause, cox in model.models_.items():
            base = cox.baseline_cumulative_hazard_.set_index("time")["hazard"].diff().fillna(0.0)
            jump[cause] = base.get(age, 0.0) * np.exp(cox.predict(x)[0])
        found.append({cause: stays * h for cause, h in jump.items()})
        stays *= 1 - sum(jump.values())
    return pd.DataFrame(found), stays


@pytest.mark.parametrize("name", ["base", "recession"])
def test_sums_are_those_of_the_loans_followed_one_by_one(name, model, cohort, paths, found):
    loans, customers = 0.0, []
    some = cohort.frame[cohort.frame["customer_id"].isin(cohort.frame["customer_id"].unique()[:25])]
    part = Cohort(some.reset_index(drop=True), cohort.rules, cohort.date)
    result = values(cs.evaluation.scenario(model, part, paths, horizon=HORIZON)).loc[name]["value"]
    balance = open_loans = 0.0
    for row in some.to_dict("records"):
        mine = paths[name][paths[name]["region"] == row["region"]]
        monthly, stays = one_loan(model, row, mine, pd.Timestamp("2026-03-01"))
        loans = loans + monthly
        n, r = row["term"] - row["age"], row["contract_rate"] / 1200
        m = np.arange(HORIZON)
        left = row["balance"] * ((1 + r) ** n - (1 + r) ** np.minimum(m, n)) / ((1 + r) ** n - 1)
        balance = balance + monthly.mul(left, axis=0)
        open_loans += stays * (row["age"] + HORIZON < row["term"])
        customers.append(monthly.cumsum().assign(customer=row["customer_id"]))
    for cause in CAUSES:
        np.testing.assert_allclose(result.loc[:, cause, "loans"], loans[cause], rtol=1e-9)
        np.testing.assert_allclose(result.loc[:, cause, "balance"], balance[cause], rtol=1e-9)
        ever = (
            pd.concat(customers).set_index("customer", append=True)[cause].rsub(1).groupby(level=[0, 1]).prod().rsub(1)
        )
        np.testing.assert_allclose(
            result.loc[:, cause, "customers"].cumsum(), ever.groupby(level=0).sum(), rtol=1e-9
        )  # fmt: skip
    assert result.loc[HORIZON, "open", "loans"] == pytest.approx(open_loans, rel=1e-9)


def test_covariates_along_what_happened_are_those_of_the_spells(spells, cohort, portfolio):
    market = portfolio.rules.rate_incentive.market
    actual = portfolio.macro[["month", "region", market, "unemployment_rate", "gdp_growth"]]
    features = ["rate_incentive", "burnout", "unemployment_rate", "gdp_growth", "credit_score"]
    book, _ = read_book(cohort, features, HORIZON, None, "term", None)
    along = followed_values(book, read_path(actual, "actual", portfolio.rules, features, ()), features, "actual")
    assert set(along) == set(features) - {"credit_score"}
    ids = cohort.frame.sort_values("customer_id", kind="stable")["loan_id"].to_numpy()
    position = pd.Series(range(len(ids)), index=ids)
    later = spells.frame[(spells.frame["period"] > "2026-03-31") & spells.frame["loan_id"].isin(ids)]
    month = (later["period"].dt.year - 2026) * 12 + later["period"].dt.month - 3
    later, month = later[month <= HORIZON], month[month <= HORIZON]
    assert len(later) > 300
    for name, array in along.items():
        assert len(ids) == len(array)
        np.testing.assert_allclose(array[position[later["loan_id"]], month - 1], later[name], atol=1e-9)


def test_a_shock_of_zero_is_the_base_exactly(model, cohort, portfolio):
    paths = cs.evaluation.shock_paths(
        portfolio.macro, portfolio.rules, date=cohort.date, horizon=3, shocks={"nothing": {"market_rate": 0.0}}
    )
    result = cs.evaluation.scenario(model, cohort, paths, horizon=3)
    difference = result.difference()
    assert (difference[["value", "se", "lower", "upper"]] == 0).all(axis=None)


def test_every_loan_is_somewhere_and_shocks_after_the_horizon_change_nothing(found, cohort):
    total = values(found, cumulative=True)["value"]
    at_end = total.xs(HORIZON, level="month").xs("loans", level="quantity")
    np.testing.assert_allclose(at_end.groupby(level="scenario").sum(), len(cohort), rtol=1e-12)
    # with lag 1 the first month is known at the landmark whatever the path
    first = values(found)["value"].xs(1, level="month").unstack("scenario")
    np.testing.assert_array_equal(first["base"], first["rates +100 bp"])


def test_a_positive_coefficient_makes_more_leave_the_higher_its_path(spells, cohort, portfolio):
    gone = cs.Outcome(spells.y.stop, (spells.y.event > 0).astype(int), start=spells.y.start, subject=spells.y.subject)
    cox = cs.CoxPH("unemployment_rate").fit(spells.X, gone)
    sign = np.sign(cox.coef_.iloc[0])
    shocks = {f"{step}": {"unemployment_rate": step} for step in (0.5, 1.0, 2.0)}
    paths = cs.evaluation.shock_paths(portfolio.macro, portfolio.rules, date=cohort.date, horizon=4, shocks=shocks)
    result = values(cs.evaluation.scenario(cox, cohort, paths, horizon=4), cumulative=True)["value"]
    leave = result.xs((4, "event", "loans"), level=["month", "cause", "quantity"])
    assert (np.diff(sign * leave) > 0).all()


def test_parts_of_the_portfolio_add_up_and_the_order_of_rows_does_not_matter(model, cohort, paths, found):
    customers = cohort.frame["customer_id"].unique()
    parts = [cohort.of_customers(some) for some in np.array_split(customers, 3)]
    split = [values(cs.evaluation.scenario(model, part, paths, horizon=HORIZON))["value"] for part in parts]
    np.testing.assert_allclose(sum(split), values(found)["value"], rtol=1e-10, atol=1e-12)
    shuffled = replace(cohort, frame=cohort.frame.sample(frac=1, random_state=1).reset_index(drop=True))
    again = cs.evaluation.scenario(model, shuffled, paths, horizon=HORIZON)
    pd.testing.assert_frame_equal(again.to_frame(), found.to_frame(), rtol=1e-9)


@pytest.mark.parametrize("robust", [False, True])
def test_the_interval_of_one_loan_is_that_of_its_curve(robust, spells, cohort, paths, portfolio):
    cluster = spells.groups if robust else None
    model = cs.CauseSpecificCox(FORMULA).fit(spells.X, spells.y, cluster=cluster)
    longest = int((cohort.frame["term"] - cohort.frame["age"]).argmax())
    one = Cohort(cohort.frame.iloc[[longest]].reset_index(drop=True), cohort.rules, cohort.date)
    result = cs.evaluation.scenario(model, one, {"recession": paths["recession"]}, horizon=HORIZON)
    features = FORMULA.split(" + ")
    book, _ = read_book(one, features, HORIZON, None, "term", None)
    path = read_path(paths["recession"], "recession", cohort.rules, features, ())
    along = followed_values(book, path, features, "recession")
    pieces = pd.DataFrame({name: along.get(name, np.full((1, HORIZON), one.frame[name]))[0] for name in features})
    age = one.frame["age"].iloc[0] + np.arange(HORIZON)
    curves = model.predict_path(pieces, age, age + 1, np.zeros(HORIZON), age + 1, level=0.95)
    mine = values(result, cumulative=True).loc["recession"]
    np.testing.assert_allclose(mine["value"].loc[:, "attrition", "loans"], curves.cumulative_incidence("attrition")[0])
    # the curve's bounds are symmetric on the log(-log) scale, with the same standard error
    p, lower = curves.probability[0, 1, -1], curves.lower[0, 1, -1]
    se = np.log(np.log(lower) / np.log(p)) * p * -np.log(p) / 1.959963984540054
    assert mine["se"].loc[HORIZON, "attrition", "loans"] == pytest.approx(se, rel=1e-6)


def test_the_interval_of_a_model_of_one_cause_is_that_of_its_curve(spells, cohort, paths):
    gone = cs.Outcome(spells.y.stop, (spells.y.event > 0).astype(int), start=spells.y.start, subject=spells.y.subject)
    X = spells.X[["unemployment_rate", "credit_score"]].assign(region=spells.frame["region"].astype(str))
    cox = cs.CoxPH().fit(X, gone, strata="region", cluster=spells.groups)
    longest = int((cohort.frame["term"] - cohort.frame["age"]).argmax())
    frame = cohort.frame.iloc[[longest]].reset_index(drop=True)
    one = Cohort(frame.astype({"region": str}), cohort.rules, cohort.date)
    path = paths["recession"]
    result = cs.evaluation.scenario(cox, one, {"recession": path}, horizon=HORIZON)
    mine = path[path["region"] == frame["region"].iloc[0]]["unemployment_rate"].to_numpy()[:HORIZON]
    pieces = pd.DataFrame({"unemployment_rate": mine, "credit_score": frame["credit_score"].iloc[0]})
    pieces["region"] = str(frame["region"].iloc[0])
    pieces.loc[0, "unemployment_rate"] = frame["unemployment_rate"].iloc[0]
    age = frame["age"].iloc[0] + np.arange(HORIZON)
    curves = cox.predict_path(pieces, age, age + 1, np.zeros(HORIZON), age + 1, level=0.95, conf_type="log")
    stays, lower = curves.survival[0, -1], curves.lower[0, 0, -1]
    se = stays * np.log(stays / lower) / 1.959963984540054
    row = values(result, cumulative=True).loc["recession", HORIZON, "event", "loans"]
    assert row["value"] == pytest.approx(1 - stays, rel=1e-10)
    assert row["se"] == pytest.approx(se, rel=1e-6)


def test_standard_errors_are_those_of_refits_with_moved_parameters(cohort, spells, paths):
    """The influences times themselves give, for coefficients alone, what moving each coefficient by a little gives."""
    X, step = spells.X[["unemployment_rate", "credit_score"]], 1e-5
    model = cs.CauseSpecificCox().fit(X, spells.y)
    part = {"recession": paths["recession"]}
    run = cs.evaluation.scenario(model, cohort, part, horizon=3).runs["recession"]
    root = []
    for cause, cox in model.models_.items():
        scale = np.linalg.cholesky(cox.covariance_.to_numpy())
        for column in scale.T:
            moved = []
            for sign in (1, -1):
                beta = cox.coef_ + sign * step * column
                moved.append(_with_coefficients(model, cause, beta, X, spells.y))
            ends = [cs.evaluation.scenario(m, cohort, part, horizon=3).runs["recession"].totals.value for m in moved]
            root.append((ends[0] - ends[1]) / (2 * step))
    by_coefficients = np.square(root).sum(axis=0)
    # the last directions of the influences are the coefficients'
    ours = np.square(run.influence[..., -6:]).sum(axis=-1)
    known = ~np.isnan(by_coefficients)
    np.testing.assert_allclose(ours[known], by_coefficients[known], rtol=1e-4)


def _with_coefficients(model, cause, beta, X, y):
    """Give the model with other coefficients of one cause and the baseline (Efron) that belongs to them."""
    import copy

    other = copy.deepcopy(model)
    cox = other.models_[cause]
    event = (y.event == y.cause_code(cause)).astype(float)
    ratio = np.exp((X - cox.center_).to_numpy() @ beta.to_numpy())
    hazard = []
    for time in cox.event_times_:
        at_risk, dies = (y.start < time) & (y.stop >= time), (y.stop == time) & (event == 1)
        d = dies.sum()
        all_risk, own = ratio[at_risk].sum(), ratio[dies].sum()
        hazard.append(sum(1 / (all_risk - j / d * own) for j in range(int(d))))
    cox.coef_ = beta
    frame = cox.centred_hazard_.copy()
    frame["hazard"] = np.cumsum(hazard)
    cox.centred_hazard_ = frame
    return other


def test_the_noise_of_single_exits_is_that_of_draws(model, cohort, paths, found):
    """Each loan leaves at most once: 20,000 draws give the variances to 5 % (a standard error of 1 %, of rare causes more)."""
    rng = np.random.default_rng(0)
    few = Cohort(cohort.frame.iloc[:12].reset_index(drop=True), cohort.rules, cohort.date)
    totals = cs.evaluation.scenario(model, few, {"base": paths["base"]}, horizon=HORIZON).runs["base"].totals
    balance = count = 0.0
    for row in few.frame.to_dict("records"):
        mine = paths["base"][paths["base"]["region"] == row["region"]]
        monthly = one_loan(model, row, mine, pd.Timestamp("2026-03-01"))[0]["attrition"].to_numpy()
        when = rng.choice(HORIZON + 1, 20_000, p=[*monthly, 1 - monthly.sum()])
        n, r = row["term"] - row["age"], row["contract_rate"] / 1200
        left = row["balance"] * ((1 + r) ** n - (1 + r) ** np.minimum(range(HORIZON), n)) / ((1 + r) ** n - 1)
        count = count + (when < HORIZON)
        balance = balance + np.append(left, 0.0)[when]
    assert totals.noise_so_far[-1, 0, 0] == pytest.approx(np.var(count), rel=0.05)
    assert totals.noise_so_far[-1, 0, 2] == pytest.approx(np.var(balance), rel=0.05)


@pytest.mark.parametrize(("mean", "variance"), [(3.0, 2.8), (3.0, 5.0), (40.0, 38.0), (0.2, 0.2), (0.02, 0.0199)])
def test_quantiles_of_counts_belong_to_a_distribution_of_that_mean_and_variance(mean, variance):
    shares = (np.arange(20_000) + 0.5) / 20_000
    counts = np.array([_count_quantile(mean, variance, share) for share in shares])
    assert counts.mean() == pytest.approx(mean, rel=0.02)
    assert counts.var() == pytest.approx(variance, rel=0.05)


def test_prediction_intervals_of_counts_are_counts(found):
    counts = values(found, interval="prediction").query("quantity != 'balance'")
    assert (counts["lower"] == counts["lower"].round()).all()
    assert ((counts["lower"] <= counts["value"]) & (counts["value"] <= counts["upper"].clip(lower=1))).all()


def test_what_is_frozen_and_what_follows_is_said(found):
    assert found.followed == ("unemployment_rate", "rate_incentive", "burnout")
    assert found.frozen == ("credit_score",)
    assert "frozen at the landmark: credit_score" in repr(found)
    assert "extrapolation was not checked" in repr(found)


def test_extrapolation_is_counted_in_loan_months(model, cohort, paths):
    highest = paths["base"]["unemployment_rate"].max()
    result = cs.evaluation.scenario(
        model,
        cohort,
        paths,
        horizon=HORIZON,
        development={"unemployment_rate": (0.0, highest), "credit_score": (0, 900)},
    )
    share = result.extrapolation.set_index(["scenario", "variable"])["share_outside"]
    assert share["base", "unemployment_rate"] == 0
    assert 0 < share["recession", "unemployment_rate"] < 1
    assert "unemployment_rate outside" in repr(result)


def test_a_model_without_gradients_takes_its_interval_from_replicates(spells, cohort, paths):
    X = spells.X[["rate_incentive", "unemployment_rate"]]
    options = {"n_estimators": 5, "min_samples_leaf": 200}
    forest = cs.RandomSurvivalForest(random_state=0, **options).fit(X, spells.y)
    refits = [cs.RandomSurvivalForest(random_state=seed, **options).fit(X, spells.y) for seed in (1, 2, 3)]
    some = cohort.of_customers(cohort.frame["customer_id"].unique()[:20])
    alone = cs.evaluation.scenario(forest, some, paths, horizon=3)
    assert alone.to_frame()["se"].isna().all()
    assert alone.to_frame(interval="prediction")["upper"].notna().all()
    result = cs.evaluation.scenario(forest, some, paths, horizon=3, replicates=refits)
    each = np.stack([cs.evaluation.scenario(f, some, paths, horizon=3).to_frame()["value"] for f in refits])
    np.testing.assert_allclose(result.to_frame()["se"], each.std(axis=0, ddof=1), rtol=1e-9, atol=1e-12)


def test_cox_and_forest_paths_agree_on_how_a_model_is_followed(model, cohort, paths):
    class Plain:
        """Offers predict_path and nothing else."""

        feature_names_in_, causes_ = model.feature_names_in_, model.causes_
        predict_path = staticmethod(model.predict_path)

    plain = cs.evaluation.scenario(Plain(), cohort, paths, horizon=3).to_frame()["value"]
    np.testing.assert_allclose(
        plain, cs.evaluation.scenario(model, cohort, paths, horizon=3).to_frame()["value"], rtol=1e-9
    )


def test_internal_covariates_do_not_follow_unless_it_is_said(model, cohort, paths):
    moved = {"worse scores": paths["base"].assign(credit_score=500.0)}
    with pytest.raises(NotIdentifiedError, match=r"override=\['credit_score'\]"):
        cs.evaluation.scenario(model, cohort, moved, horizon=3)
    result = cs.evaluation.scenario(model, cohort, moved, horizon=3, override=["credit_score"])
    assert "credit_score" in result.followed


def test_models_that_cannot_follow_are_refused_with_the_reason(spells, cohort, paths):
    X = spells.X[["unemployment_rate"]]
    with pytest.raises(NotIdentifiedError, match="alone"):
        cs.evaluation.scenario(cs.CoxPH(cause="attrition").fit(X, spells.y), cohort, paths, horizon=3)
    landmark = cs.Outcome(cohort.frame["stop"] + 1, cohort.y.event, causes=tuple(CAUSES))
    fine_gray = cs.FineGray("attrition").fit(cohort.X[["rate_incentive"]], landmark)
    with pytest.raises(NotIdentifiedError, match="risk set"):
        cs.evaluation.scenario(fine_gray, cohort, paths, horizon=3)
    with pytest.raises(NotIdentifiedError, match="predict_path"):
        cs.evaluation.scenario(object(), cohort, paths, horizon=3)


def test_bad_input_is_refused_with_the_remedy(model, cohort, paths, portfolio):
    def run(**options):
        given = {"cohort": cohort, "paths": paths, "horizon": 3} | options
        return cs.evaluation.scenario(model, given.pop("cohort"), given.pop("paths"), **given)

    with pytest.raises(DataError, match="horizon"):
        run(horizon=0)
    with pytest.raises(DataError, match="no value of"):
        run(horizon=HORIZON + 3, beyond="leave out")
    with pytest.raises(DataError, match="Did you mean 'unemployment_rate'"):
        run(paths={"base": paths["base"].assign(unemployment_rat=1.0)})
    with pytest.raises(DataError, match="region"):
        run(paths={"base": paths["base"][paths["base"]["region"] != cohort.frame["region"].iloc[0]]})
    with pytest.raises(DataError, match="twice"):
        run(paths={"base": pd.concat([paths["base"], paths["base"]])})
    with pytest.raises(DataError, match="lack covariates"):
        run(cohort=replace(cohort, frame=cohort.frame.assign(credit_score=np.nan)))
    with pytest.raises(NotIdentifiedError, match="nobody was watched"):
        run(cohort=replace(cohort, frame=cohort.frame.assign(age=cohort.frame["age"] + 500)), term=None)
    with pytest.raises(DataError, match="nothing to compare"):
        run(paths={"base": paths["base"]}).difference()
    with pytest.raises(DataError, match="no macro column"):
        cs.evaluation.shock_paths(
            portfolio.macro, portfolio.rules, date=cohort.date, horizon=3, shocks={"x": {"credit_score": 1}}
        )

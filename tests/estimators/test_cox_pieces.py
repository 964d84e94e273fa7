"""What belongs to other models or rows is refused, whichever piece it is passed to."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning

N = 240
RNG = np.random.default_rng(4)
X = pd.DataFrame(
    {"a": RNG.normal(size=N), "b": RNG.normal(size=N), "g": RNG.choice(list("uvw"), N), "o": RNG.normal(size=N)}
)
STOP = np.ceil(RNG.exponential(9, N))
Y = cs.Outcome(STOP, RNG.integers(0, 2, N))
CAUSES = cs.Outcome(STOP, RNG.integers(0, 3, N), causes=("attrition", "default"))
TABLE = pa.table({"a": X["a"].to_numpy(), "s": Y.stop, "e": Y.event})
PIECES = {
    "influence": cs.influence,
    "functional_form": lambda m, X, y: cs.functional_form(m, X, y, "a"),
    "hazard_ratio_over_time": lambda m, X, y: cs.hazard_ratio_over_time(m, X, y, "a"),
    "bootstrap_intervals": cs.bootstrap_intervals,
    "proportional_hazards_test": cs.proportional_hazards_test,
    "diagnose": cs.diagnose,
    "profile_intervals": cs.profile_intervals,
}


@pytest.mark.parametrize("piece", PIECES)
def test_models_that_are_no_cox_model_of_one_cause_are_refused(piece):
    several = cs.CauseSpecificCox("a + b").fit(X, CAUSES)
    with pytest.raises(DataError, match=r"pass the model of one cause, e.g. model.models_\['attrition'\]"):
        PIECES[piece](several, X, CAUSES)
    weighted = cs.FineGray("attrition", formula="a + b").fit(X, CAUSES)
    with pytest.raises(DataError, match="a proportional_hazards_test of its own"):
        PIECES[piece](weighted, X, CAUSES)
    with pytest.raises(DataError, match="A str is no Cox model"):
        PIECES[piece]("model", X, Y)


@pytest.mark.parametrize("piece", PIECES)
def test_rows_that_are_not_those_of_the_fit_are_refused(piece):
    model = cs.CoxPH("a + b").fit(X, Y)
    with pytest.raises(DataError, match="not those of the fit|do not maximise the likelihood of these"):
        PIECES[piece](model, X.iloc[::-1], Y)


@pytest.mark.parametrize("piece", PIECES)
def test_penalised_fits_are_refused_where_the_plain_likelihood_is_examined(piece):
    model = cs.CoxPH("a + b", penalty="firth").fit(X, Y)
    with pytest.raises(NotIdentifiedError, match="penal"):
        PIECES[piece](model, X, Y)


def test_walds_tests_of_penalised_fits_carry_a_warning():
    model = cs.CoxPH("a + b", penalty="firth").fit(X, Y)
    for call in (lambda: model.contrast("a"), lambda: model.wald_test(["a", "b"]), model.term_tests):
        with pytest.warns(SmallSampleWarning, match="far off where columns separate"):
            call()


def test_a_fine_gray_test_takes_the_rows_and_arguments_of_its_fit():
    model = cs.FineGray("attrition", formula="a + b").fit(
        X, CAUSES, offset=X["o"].to_numpy(), cluster=np.arange(N) // 2
    )
    given = {"offset": X["o"].to_numpy(), "cluster": np.arange(N) // 2}
    assert model.proportional_hazards_test(X, CAUSES, **given)["p_value"].between(0, 1).all()
    for left_out in given:
        with pytest.raises(DataError, match=f"fitted with {left_out}: pass {left_out}="):
            model.proportional_hazards_test(X, CAUSES, **{k: v for k, v in given.items() if k != left_out})
    with pytest.raises(DataError, match="do not maximise the likelihood of these 240 rows"):
        model.proportional_hazards_test(X.iloc[::-1], CAUSES, **given)


@pytest.mark.parametrize("made", [cs.FineGray("attrition", formula="a + b"), cs.CauseSpecificCox("a + b")], ids=repr)
def test_models_of_causes_saved_without_intervals_keep_no_risk_sets(made, tmp_path):
    model = made.fit(X, CAUSES)
    again = cs.load(cs.save(model, tmp_path / "model.churnsurv", intervals=False))
    ours, theirs = (m.predict_curves(X[:3], [5]).probability for m in (model, again))
    np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(NotIdentifiedError, match="saved without"):
        again.predict_curves(X[:3], [5], level=0.9)


def test_a_formula_may_use_columns_of_other_roles():
    model = cs.CoxPH("a + a:C(g)").fit(X, Y, strata="g")
    assert model.coef_.index.tolist() == ["a", "a:C(g)[T.v]", "a:C(g)[T.w]"]
    apart = [cs.CoxPH("a").fit(X[X["g"] == level], Y[(X["g"] == level).to_numpy()]).coef_["a"] for level in "uvw"]
    np.testing.assert_allclose(model.coef_["a"] + np.append(0, model.coef_.iloc[1:]), apart, rtol=1e-7)
    np.testing.assert_array_equal(model.predict(X[:4]), model.predict(X[["g", "a"]][:4]))


def test_strata_of_dates_are_saved(tmp_path):
    dates = pd.to_datetime(np.where(np.arange(N) % 2, "2024-01-01", "2025-01-01"))
    model = cs.CoxPH("a").fit(X, Y, strata=dates)
    again = cs.load(cs.save(model, tmp_path / "model.churnsurv"))
    ours, theirs = (m.predict_curves(X[:4], [5], strata=dates[:4]).survival for m in (model, again))
    np.testing.assert_array_equal(ours, theirs)


def test_terms_called_as_columns_of_a_table_are_refused():
    frame = X[["a"]].rename(columns={"a": "time"})
    model = cs.CoxPH().fit(frame, Y)
    with pytest.raises(DataError, match="called 'time'"):
        model.residuals(frame, Y, "schoenfeld")
    frame = X[["a"]].rename(columns={"a": "GLOBAL"})
    with pytest.raises(DataError, match="called 'GLOBAL'"):
        cs.proportional_hazards_test(cs.CoxPH().fit(frame, Y), frame, Y)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m: cs.standardised_curves(m, X, [5], values={"x": {"o": 1}}), "does not enter the model"),
        (lambda m: cs.standardised_curves(m, X, [5], values=["a"]), "name settings by what they set"),
        (
            lambda m: cs.standardised_curves(m, X, [5], values={"x": {"a": [1, 2]}}),
            "gives 2 values of 'a' for 240 rows",
        ),
        (lambda m: cs.standardised_curves(m, X, [5], cluster=np.arange(N)), "population='sample'"),
        (lambda m: cs.standardised_curves(m, X, []), "times is empty"),
        (lambda m: m.predict_cumulative_hazard(X, []), "times is empty"),
        (lambda m: m.predict_curves(X, []), "times is empty"),
        (lambda m: cs.CoxPH(max_iter="x").fit(X[["a"]], Y), "max_iter='x'"),
        (lambda m: cs.CoxPH(tol=0).fit(X[["a"]], Y), "tol=0"),
        (lambda m: m.contrast("a / 0"), "cannot be read"),
        (lambda m: cs.bootstrap_intervals(m, X, Y, random_state=-1), "random_state=-1"),
        (lambda m: cs.CoxPH("zz").fit(X, Y), "formula 'zz' names no column of X"),
        (lambda m: cs.data.time_interaction(X, Y, "a", lambda t: ["x"] * len(t)), "g does not turn"),
        (
            lambda m: cs.CoxPH().fit_stream(TABLE, stop="s", event="e", batch_size=0),
            "batch_size=0 is no number of rows",
        ),
    ],
)
def test_slips_are_told(call, told):
    with pytest.raises(DataError, match=told):
        call(cs.CoxPH("a + b").fit(X, Y))

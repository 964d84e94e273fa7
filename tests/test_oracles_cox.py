"""Cox fits of the oracle cases: coefficients, likelihoods, covariances (model and sandwich), tests, intervals."""

from __future__ import annotations

import numpy as np
import pytest

import churnsurv as cs
from churnsurv.exceptions import MissingDataWarning
from tests.oracle_cases import Check, checks, input_of, read, verify


@pytest.mark.parametrize("check", checks("cox"), ids=str)
def test_fit_agrees_with_the_oracle(check: Check) -> None:
    verify(check)


@pytest.mark.parametrize("check", checks("value"), ids=str)
def test_single_quantity_agrees_with_the_oracle(check: Check) -> None:
    verify(check)


def test_formula_gives_the_same_fit_as_columns_made_by_hand() -> None:
    data = input_of("cox_veteran")
    expected = read("cox_veteran")["expected"]["factor_model"]["fit"]
    formula = "C(celltype, contr.treatment(base='squamous')) + trt2 + karno"
    model = cs.CoxPH(formula).fit(data, cs.Outcome(data["time"], data["event"]))
    by_level = {name.split("[T.")[-1].rstrip("]"): value for name, value in model.coef_.items()}
    ours = [by_level[name.removeprefix("cf")] for name in expected["coef_names"]]
    np.testing.assert_allclose(ours, list(expected["coef"].values()), rtol=1e-8)
    assert model.log_likelihood_ == pytest.approx(expected["loglik"], rel=1e-10)


def test_rows_with_missing_covariates_are_dropped_as_r_drops_them() -> None:
    data = input_of("edge_missing_pbc")
    expected = read("edge_missing_pbc")["expected"]["protime_missing_2"]
    formula = "age + np.log(bili) + np.log(protime)"
    with pytest.warns(MissingDataWarning, match="row 358, 367"):
        model = cs.CoxPH(formula, missing="drop").fit(data, cs.Outcome(data["time"], data["event"]))
    assert model.n_dropped_ == expected["n_dropped"]
    assert expected["dropped_rows_1based"] == [359, 368]
    np.testing.assert_allclose(model.coef_, list(expected["coef"].values()), rtol=1e-8)


def test_episodes_are_those_of_survsplit_and_give_the_step_function() -> None:
    data = input_of("tvcoef_veteran")
    first, last = data.groupby("id").first(), data.groupby("id").last()
    # everyone is at risk in the first period
    X = first[["trt2", "prior"]].assign(karno=first["karno_g1"])
    made = cs.data.time_interaction(X, cs.Outcome(last["stop"], last["event"]), "karno", [90, 180])
    ours = np.column_stack([made.y.start, made.y.stop, made.y.event, made.X])
    theirs = data[["start", "stop", "event", "trt2", "prior", "karno_g1", "karno_g2", "karno_g3"]]
    np.testing.assert_array_equal(ours, theirs)
    for ties in ("efron", "breslow"):
        expected = read("tvcoef_veteran")["expected"][ties]["step_function"]
        model = cs.CoxPH(ties=ties).fit(made.X, made.y)
        np.testing.assert_allclose(model.coef_, list(expected["coef"].values()), rtol=1e-8)
        np.testing.assert_allclose(model.covariance_, expected["vcov"], rtol=1e-8)


def test_roles_named_by_column_give_the_same_fit_as_arrays() -> None:
    data = input_of("cluster_colon_wlw")
    expected = read("cluster_colon_wlw")["expected"]["efron"]["wlw"]
    columns = [*expected["coef_names"], "etype", "id"]
    model = cs.CoxPH().fit(data[columns], cs.Outcome(data["time"], data["event"]), strata="etype", cluster="id")
    np.testing.assert_allclose(model.coef_[expected["coef_names"]], list(expected["coef"].values()), rtol=1e-8)
    np.testing.assert_allclose(model.covariance_, expected["vcov"], rtol=1e-8)


def test_tiny_times_are_no_ties_where_r_takes_them_for_ties() -> None:
    # R compares times by an absolute tolerance; the case asks to be held to its reference fit instead
    data = input_of("edge_scale")
    expected = read("edge_scale")["expected"]["reference"]
    y = cs.Outcome(data["time_1em9"], data["event"])
    model = cs.CoxPH().fit(data[expected["coef_names"]], y)
    np.testing.assert_allclose(model.coef_, list(expected["coef"].values()), rtol=1e-8)


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (["karno", "age", "age_months"], "age_months"),
        (["karno", "const"], "const"),
        (["karno", "age", "sum_ka"], "sum_ka"),
        (["karno", "age", "near"], "near"),
    ],
)
def test_collinear_columns_of_the_oracle_are_refused_by_name(columns: list[str], named: str) -> None:
    data = input_of("edge_collinear")
    with pytest.raises(cs.exceptions.DataError, match=named):
        cs.CoxPH().fit(data[columns], cs.Outcome(data["time"], data["event"]))


def test_no_event_is_refused() -> None:
    data = input_of("edge_few_events")
    with pytest.raises(cs.exceptions.NoEventsError):
        cs.CoxPH().fit(data[["trt"]], cs.Outcome(data["time"], data["none"]))


def test_level_without_events_is_reported_and_leaves_the_other_coefficient_at_its_limit() -> None:
    data = input_of("edge_zero_event_level")
    expected = read("edge_zero_event_level")["expected"]
    with pytest.warns(cs.exceptions.SeparationWarning, match="never"):
        model = cs.CoxPH().fit(data[["never", "karno"]], cs.Outcome(data["time"], data["event"]))
    assert model.coef_["karno"] == pytest.approx(expected["limit_coef_karno"], rel=1e-6)
    assert model.log_likelihood_ == pytest.approx(expected["sup_loglik"], rel=1e-7)

"""The linter on the public panel of US mortgages: nothing in the chosen covariates, everything in those written afterwards."""

from dataclasses import replace

import pandas as pd
import pytest

from churnsurv.data import SpellRules, build_spells, lint
from tests.real.panel import FOLDER, ROOT, needs_panel

pytestmark = needs_panel

AFTERWARDS = ["default_time", "payoff_time", "lgd_time", "recovery_res", "res_time"]


@pytest.fixture(scope="module")
def panel():
    return pd.read_parquet(FOLDER / "dcr_mortgage_panel.parquet")


@pytest.fixture(scope="module")
def spells(panel):
    rules = SpellRules.from_toml(ROOT / "reports" / "mortgage.toml")
    return build_spells(None, panel, rules, macro=pd.read_parquet(FOLDER / "macro_monthly.parquet"))


def test_the_chosen_covariates_are_clean(spells):
    for some in (spells, spells.complete()):
        found = lint(some, columns=[*some.rules.covariate_names, "state_orig_time"])
        assert set(found["level"]) == {"ok"}


def test_strata_of_yearly_vintages_leave_little_of_the_national_unemployment(spells):
    found = lint(spells, strata="vintage")
    signs = found[found["level"] != "ok"]
    assert signs[["level", "rule", "column"]].to_numpy().tolist() == [["warning", "calendar-only column", "UNRATE"]]


def test_all_that_is_written_after_the_exit_is_an_error(panel, spells):
    frame = spells.frame
    now = panel.drop_duplicates(["id", "time"]).set_index(["id", "time"])
    time = (frame["period"].dt.year - 2000) * 4 + frame["period"].dt.quarter
    written = now[AFTERWARDS].reindex(pd.MultiIndex.from_arrays([frame["loan_id"], time]))
    some = replace(spells, frame=frame.assign(**{name: written[name].to_numpy() for name in AFTERWARDS}))
    found = lint(some, columns=[*spells.rules.covariate_names, *AFTERWARDS])
    errors = found[(found["level"] == "error") & (found["rule"] == "post-outcome column")]
    assert set(errors["column"]) == set(AFTERWARDS)
    assert set(found.loc[found["level"] == "error", "column"]) == set(AFTERWARDS)

"""The sample of personal loans goes through from its rules alone; every quirk its description lists is counted."""

import pandas as pd
import pytest

from churnsurv.data import SpellRules, build_spells, check_tables
from tests.real.panel import FOLDER, ROOT, needs_panel

pytestmark = needs_panel


@pytest.fixture(scope="module")
def file():
    return FOLDER / "lendingclub_4k.parquet"


@pytest.fixture(scope="module")
def rules():
    return SpellRules.from_toml(ROOT / "reports" / "lendingclub.toml")


@pytest.fixture(scope="module")
def spells(file, rules):
    return build_spells(None, file, rules)


def test_every_quirk_is_counted_under_its_rule(spells, file):
    table = pd.read_parquet(file)
    count = spells.cleaning.set_index(["rule", "column"])["count"]
    used = table[table["selection"] != "terminated only"]
    assert count["number written as text", "term"] == 3999
    assert count["missing period", "last_pymnt_d"] == used["last_pymnt_d"].isna().sum() == 22
    assert count["contradicting rows", "last_pymnt_d"] == 1
    # the loan that is told twice is left out; payments after the term
    used = used[~used["id"].duplicated(keep=False)]
    age = (used["last_pymnt_d"].dt.to_period("M") - used["issue_d"].dt.to_period("M")).dropna().map(lambda gap: gap.n)
    assert count["past the scheduled end", "last_pymnt_d"] == (age >= used["term_m"][age.index]).sum() == 236
    # durations of 0: paid or charged off in the month of issue
    at_once = (age <= 0) & ~used.loc[age.index, "loan_status"].str.contains("Current|Late|Grace|Issued")
    assert count["same-period entry and exit", "last_pymnt_d"] == at_once.sum()
    assert spells.left_out == {"excluded by selection": 1000, "no usable row": 23}


def test_loans_in_are_loans_out(spells):
    balance = spells.reconciliation["loans"]
    assert balance.iloc[0] == balance.iloc[1:].sum() == 3999


def test_the_check_finds_no_error_and_no_leak(file, rules):
    checks = check_tables(None, file, rules)
    assert not (checks["status"] == "error").any()
    leaks = checks[(checks["table"] == "spells") & (checks["status"] == "warning")]
    assert set(leaks["rule"]) <= {"known before the spell"}
    leaky = rules.model_dump(exclude_none=True)
    leaky["covariates"]["loans"] = [*rules.covariates.loans, "recoveries", "total_pymnt"]
    found = check_tables(None, file, leaky)
    found = found[(found["rule"] == "post-outcome column") & (found["status"] != "ok")]
    assert set(found["column"]) == {"recoveries", "total_pymnt"}

"""From the public formats to spells: what is read is what the spell builder takes, and every exit is where it belongs."""

import pandas as pd
import pytest

from churnsurv.data import SpellRules, build_spells
from churnsurv.data.adapters import abs_ee_auto, fannie_mae, freddie_mac, lending_club
from tests.data.adapters.samples import (
    asset,
    document,
    fannie_month,
    freddie_loan,
    freddie_month,
    lending_lines,
    lending_loan,
    write,
)
from tests.real.panel import FOLDER, ROOT


def built(tables, **changes):
    return build_spells(tables.loans, tables.performance, tables.rules, **changes)


def lives(spells):
    """Give loan → (entry, exit, how it ended) of its spells."""
    frame = spells.frame
    first, last = frame.groupby("loan_id")["entry"].first(), frame.drop_duplicates("loan_id", keep="last")
    rows = zip(last["loan_id"], last["stop"], last["cause"].astype(str), strict=True)
    return {loan: (first[loan], stop, cause) for loan, stop, cause in rows}


def balances(spells):
    balance = spells.reconciliation["loans"]
    return balance.iloc[0] == balance.iloc[1:].sum()


def freddie(tmp_path, loans, months, **options):
    return freddie_mac(write(tmp_path / "orig.txt", loans), write(tmp_path / "perf.txt", months), **options)


def test_loans_of_freddie_mac_enter_when_first_reported_and_leave_by_their_codes(tmp_path):
    # first payment in March 2000: age 0 begins in February 2000
    months = [
        *[freddie_month("F1", f"2000{m:02d}") for m in (2, 3)],
        freddie_month("F1", "200004", p9="01", p10="200004"),
        *[freddie_month("F2", f"2000{m:02d}") for m in (6, 7, 8)],
        freddie_month("F3", "200002"),
        freddie_month("F3", "200003", p4="RA"),
        freddie_month("F3", "200004", p9="09", p10="200004"),
        freddie_month("F4", "200002"),
        freddie_month("F4", "200003", p9="16", p10="200003"),
        freddie_month("F5", "200002"),
        freddie_month("F5", "200003", p9="96", p10="200003"),
    ]
    spells = built(freddie(tmp_path, [freddie_loan(f"F{i}") for i in range(1, 7)], months))
    assert lives(spells) == {
        "F1": (0, 3, "attrition"),
        "F2": (4, 7, "open"),
        "F3": (0, 3, "default"),
        "F4": (0, 2, "sold"),
        "F5": (0, 2, "repurchased"),
    }
    assert balances(spells)
    assert spells.left_out == {"not in the performance table": 1}
    assert spells.y.causes == ("attrition", "default")
    assert spells.X.columns.tolist() == ["credit_score", "debt_to_income", "loan_to_value", "contract_rate", "amount"]


def test_loans_of_freddie_mac_mature_in_the_month_of_their_last_payment(tmp_path):
    # eleven months from February to the last payment in December
    loans = [freddie_loan(f"F{i}", p4="200012", p22=10) for i in (1, 2, 3)]
    months = [freddie_month(f"F{i}", f"2000{m:02d}") for i in (1, 2, 3) for m in range(2, 11)]
    months += [
        freddie_month("F1", "200011", p9="01", p10="200011"),
        freddie_month("F2", "200011"),
        freddie_month("F2", "200012", p9="01", p10="200012"),
        freddie_month("F3", "200011", p4="01"),
        freddie_month("F3", "200012", p4="02"),
        freddie_month("F3", "200101", p4="03"),
    ]
    spells = built(freddie(tmp_path, loans, months))
    assert lives(spells) == {"F1": (0, 10, "attrition"), "F2": (0, 11, "matured"), "F3": (0, 11, "matured")}
    assert balances(spells)


def test_a_default_at_180_days_ends_the_loan_before_its_disposition(tmp_path):
    months = [freddie_month("F1", f"2000{m:02d}", p4=f"0{m - 2}") for m in range(2, 9)]
    months += [freddie_month("F1", "200009", p9="03", p10="200009")]
    tables = {
        name: freddie(tmp_path, [freddie_loan("F1")], months, default_at=name) for name in ("d180", "disposition")
    }
    assert lives(built(tables["d180"])) == {"F1": (0, 7, "default")}
    assert lives(built(tables["disposition"])) == {"F1": (0, 8, "default")}


def test_loans_of_fannie_mae_leave_by_their_codes(tmp_path):
    # originated in January 2020, first reported in February
    months = [
        *[fannie_month("1", f"{m:02d}2020") for m in (2, 3)],
        fannie_month("1", "042020", p44="01", p45="042020"),
        *[fannie_month("2", f"{m:02d}2020") for m in (2, 3)],
        fannie_month("2", "042020", p44="02", p45="042020"),
        fannie_month("3", "022020"),
        fannie_month("3", "032020", p44="06", p45="032020"),
        fannie_month("4", "022020"),
        fannie_month("4", "032020", p44="96", p45="032020"),
        fannie_month("5", "062020"),
    ]
    spells = built(fannie_mae(write(tmp_path / "2020Q1.csv", months)))
    assert lives(spells) == {
        "1": (1, 4, "attrition"),
        "2": (1, 4, "default"),
        "3": (1, 3, "repurchased"),
        "4": (1, 3, "removed"),
        "5": (5, 6, "open"),
    }
    assert balances(spells)


def test_auto_loans_leave_by_their_codes_and_closed_ones_are_not_counted(tmp_path):
    def ended(loan, ending, code, effective):
        return asset(loan, ending, zeroBalanceCode=code, zeroBalanceEffectiveDate=effective)

    # originated in May 2023, in the files from January 2024 on
    january = [*(asset(f"A{i}", "01-31-2024") for i in (1, 2, 3, 4)), ended("A5", "01-31-2024", "1", "11/2023")]
    february = [
        ended("A1", "02-29-2024", "1", "02/2024"),
        ended("A2", "02-29-2024", "4", "02/2024"),
        ended("A3", "02-29-2024", "3", "02/2024"),
        asset("A4", "02-29-2024"),
        ended("A5", "02-29-2024", "1", "11/2023"),
    ]
    march = [ended("A1", "03-31-2024", "1", "02/2024"), asset("A4", "03-31-2024")]
    files = [write(tmp_path / f"{i}.xml", [document(*assets)]) for i, assets in enumerate((january, february, march))]
    spells = built(abs_ee_auto(files, cache=tmp_path / "cache"))
    assert lives(spells) == {
        "A1": (8, 10, "attrition"),
        "A2": (8, 10, "default"),
        "A3": (8, 10, "repurchased"),
        "A4": (8, 11, "open"),
    }
    assert balances(spells)
    assert spells.left_out == {"not in the performance table": 1}


def test_loans_of_lending_club_are_observed_from_their_issue_to_their_last_row(tmp_path):
    # issued in December 2015 for 36 months
    loans = [
        lending_loan(1, last_pymnt_d="Mar-2016"),
        lending_loan(2, last_pymnt_d="Dec-2018"),
        lending_loan(3, last_pymnt_d="Feb-2019"),
        lending_loan(4, last_pymnt_d="Nov-2018"),
        lending_loan(5, loan_status="Charged Off", last_pymnt_d="Feb-2016"),
        lending_loan(6, loan_status="Charged Off", last_pymnt_d=""),
        lending_loan(7, loan_status="Current", issue_d="Dec-2018", last_pymnt_d="Feb-2019"),
        lending_loan(8, last_pymnt_d="Dec-2015"),
    ]
    spells = built(lending_club(write(tmp_path / "LoanStats.csv", lending_lines(*loans))))
    assert lives(spells) == {
        "1": (0, 4, "attrition"),
        "2": (0, 37, "matured"),
        "3": (0, 37, "matured"),
        "4": (0, 36, "attrition"),
        "5": (0, 3, "default"),
        "6": (0, 1, "default"),
        "7": (0, 3, "open"),
        "8": (0, 1, "attrition"),
    }
    assert balances(spells)
    assert spells.frame.groupby("loan_id").size()["4"] == 36
    assert set(spells.X["int_rate"]) == {13.56}


@pytest.mark.skipif(
    FOLDER is None or not (FOLDER / "lendingclub_4k.parquet").is_file(),
    reason="lendingclub_4k.parquet is neither in CHURNSURV_DATA nor in ../shared/data",
)
def test_the_rules_for_the_sample_of_lending_club_handle_every_quirk_from_the_file_alone():
    table = pd.read_parquet(FOLDER / "lendingclub_4k.parquet")
    spells = build_spells(None, table, SpellRules.from_toml(ROOT / "reports" / "lendingclub.toml"))
    # what the rules should leave: no source of closed loans, no loan told twice, no loan without a payment
    left = table[(table["selection"] != "terminated only") & table["last_pymnt_d"].notna()]
    left = left[~left["id"].duplicated(keep=False)]
    status = left["loan_status"].str.removeprefix("Does not meet the credit policy. Status:")
    age = (left["last_pymnt_d"].dt.to_period("M") - left["issue_d"].dt.to_period("M")).map(lambda gap: gap.n)
    # the last scheduled month has the age term - 1
    before_end = age < left["term_m"]
    default = status.isin(["Charged Off", "Default"]) & before_end
    attrition = status.eq("Fully Paid") & (age < left["term_m"] - 1)
    found = pd.Series({loan: cause for loan, (_, _, cause) in lives(spells).items()})
    assert set(found.index) == set(left["id"])
    assert set(found.index[found == "attrition"]) == set(left["id"][attrition])
    assert set(found.index[found == "default"]) == set(left["id"][default])
    stop = pd.Series({loan: stop for loan, (_, stop, _) in lives(spells).items()})
    expected = (age + 1).clip(upper=left["term_m"]).set_axis(left["id"])
    pd.testing.assert_series_equal(stop.sort_index(), expected.astype(float).sort_index(), check_names=False)
    assert balances(spells)

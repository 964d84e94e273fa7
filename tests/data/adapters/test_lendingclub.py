from pathlib import Path

import pandas as pd
import pytest

from churnsurv.data import SpellRules
from churnsurv.data.adapters import lending_club
from churnsurv.exceptions import DataError
from tests.data.adapters.samples import lending_lines, lending_loan, write

ROOT = Path(__file__).parents[3]
NOTES = "Notes offered by Prospectus (https://www.lendingclub.com/info/prospectus.action)"
TOTALS = ["", "", "Total amount funded in policy code 1: 460296150", "Total amount funded in policy code 2: 0"]


def read(tmp_path, *loans, **options):
    return lending_club(write(tmp_path / "LoanStats.csv", lending_lines(*loans)), **options)


def frame(table, by="loan_id"):
    return table.order_by(by).to_pandas()


def ends(tmp_path, *loans, **options):
    table = frame(read(tmp_path, *loans, **options).performance)
    return list(zip(table["month"].dt.strftime("%Y-%m"), table["status"], strict=True))


def test_numbers_months_and_units_are_read(tmp_path):
    loan = {
        "loan_id": "1", "loan_amnt": 10000, "term": 36, "int_rate": 13.56, "revol_util": 56.1, "annual_inc": 52000,
        "dti": 18.2, "total_acc": 24, "issue_d": pd.Timestamp(2015, 12, 1), "earliest_cr_line": pd.Timestamp(1998, 8, 1),
        "grade": "C", "emp_length": "10+ years", "purpose": "credit_card", "addr_state": "CA",
        # the month of the last scheduled payment is the last one at risk
        "scheduled_end": pd.Timestamp(2019, 1, 1),
    }  # fmt: skip
    assert frame(read(tmp_path, lending_loan(1)).loans)[list(loan)].iloc[0].to_dict() == loan


def test_what_is_known_only_afterwards_is_in_no_table(tmp_path):
    tables = read(tmp_path, lending_loan(1, next_pymnt_d="", hardship_type="", collection_recovery_fee="0"))
    leaks = (
        "last_",
        "next_",
        "out_",
        "total_pymnt",
        "total_rec",
        "recover",
        "collection",
        "hardship",
        "settle",
        "debt_",
        "loan_st",
    )
    assert [name for name in tables.loans.columns if name.startswith(leaks)] == []
    assert tables.performance.columns == ("loan_id", "month", "status")
    assert "total_acc" in tables.loans.columns


ENDS = {
    "Fully Paid": ("2018-01", "prepaid"),
    "Charged Off": ("2018-01", "charged off"),
    "Default": ("2018-01", "in default"),
    "Current": ("2018-06", "open"),
    "Issued": ("2018-06", "open"),
    "In Grace Period": ("2018-06", "open"),
    "Late (16-30 days)": ("2018-06", "open"),
    "Late (31-120 days)": ("2018-06", "open"),
    "Does not meet the credit policy. Status:Fully Paid": ("2018-01", "prepaid"),
    "Does not meet the credit policy. Status: Charged Off": ("2018-01", "charged off"),
}


def test_every_status_becomes_an_end_at_the_last_payment_or_the_snapshot(tmp_path):
    loans = [lending_loan(f"{i:02}", loan_status=status) for i, status in enumerate(ENDS)]
    latest = lending_loan("99", loan_status="Current", last_pymnt_d="Jun-2018")
    assert ends(tmp_path, *loans, latest)[:-1] == list(ENDS.values())


def test_a_status_with_other_spaces_is_not_guessed(tmp_path):
    with pytest.raises(DataError, match=r"'loan_status' holds 'Does not meet .* in 1 row, which is not a status"):
        ends(tmp_path, lending_loan(1, loan_status="Does not meet the credit policy.  Status:Charged Off"))


def test_loans_repaid_in_the_month_of_the_last_scheduled_payment_or_later_are_matured(tmp_path):
    loans = [lending_loan(i, last_pymnt_d=last) for i, last in enumerate(("Nov-2018", "Dec-2018", "Feb-2019"))]
    assert [status for _, status in ends(tmp_path, *loans)] == ["prepaid", "matured", "matured"]


def test_sixty_months_are_sixty_months(tmp_path):
    loans = (
        lending_loan(1, term=" 60 months", last_pymnt_d="Nov-2020"),
        lending_loan(2, term=" 60 months", last_pymnt_d="Dec-2020"),
    )
    assert [s for _, s in ends(tmp_path, *loans)] == ["prepaid", "matured"]


def test_defaults_can_be_dated_months_after_the_last_payment_but_not_after_the_snapshot(tmp_path):
    loans = [
        lending_loan(1, loan_status="Charged Off", last_pymnt_d="Nov-2017"),
        lending_loan(2, loan_status="Charged Off", last_pymnt_d=""),
        lending_loan(3, loan_status="Default", last_pymnt_d="Mar-2018"),
        lending_loan(4, loan_status="Current", last_pymnt_d="Jun-2018"),
    ]
    at_payment, at_charge_off = ends(tmp_path, *loans), ends(tmp_path, *loans, charge_off_after=5)
    assert [month for month, _ in at_payment] == ["2017-11", "2015-12", "2018-03", "2018-06"]
    assert [month for month, _ in at_charge_off] == ["2018-04", "2016-05", "2018-06", "2018-06"]
    with pytest.raises(DataError, match="charge_off_after=-1 is no number of months"):
        ends(tmp_path, *loans, charge_off_after=-1)


def test_the_snapshot_is_the_latest_payment_or_what_is_said(tmp_path):
    loans = lending_loan(1, loan_status="Current"), lending_loan(2, loan_status="Issued", last_pymnt_d="")
    assert ends(tmp_path, *loans) == [("2018-01", "open")] * 2
    assert ends(tmp_path, *loans, snapshot="2018-03-31") == [("2018-03", "open")] * 2
    with pytest.raises(DataError, match="snapshot is 2017-12-31, but the files hold payments of 2018-01"):
        ends(tmp_path, *loans, snapshot="2017-12-31")
    with pytest.raises(DataError, match="'soon' is no date"):
        ends(tmp_path, *loans, snapshot="soon")
    with pytest.raises(DataError, match="No loan in the files has a payment: pass the day of the download"):
        ends(tmp_path, loans[1])


def test_notes_before_the_header_and_totals_at_the_end_are_passed_over(tmp_path):
    lines = [NOTES, *lending_lines(lending_loan(1), lending_loan(2)), *TOTALS]
    tables = lending_club(write(tmp_path / "LoanStats3a.csv", lines))
    assert frame(tables.loans)["loan_id"].tolist() == ["1", "2"]


def test_totals_padded_with_commas_are_passed_over_too(tmp_path):
    lines = lending_lines(lending_loan(1))
    lines.append("Total amount funded in policy code 1: 460296150" + "," * (lines[0].count(",")))
    assert frame(lending_club(write(tmp_path / "accepted.csv", lines)).loans)["loan_id"].tolist() == ["1"]


def test_texts_with_commas_quotes_and_line_breaks_stay_one_value(tmp_path):
    loan = lending_loan(1, desc='first, ""second""\nthird')
    loans = frame(read(tmp_path, loan, lending_loan(2, desc="")).loans)
    assert loans["desc"].iloc[0] == 'first, "second"\nthird'
    assert len(loans) == 2


def test_files_without_identifiers_are_numbered_the_same_in_both_tables(tmp_path):
    for name, months in {"a": ["Jan", "Feb"], "b": ["Mar"]}.items():
        loans = [lending_loan("", loan_amnt=str(1000 + i), last_pymnt_d=f"{m}-2018") for i, m in enumerate(months)]
        write(tmp_path / f"{name}.csv", [NOTES, *lending_lines(*loans), *TOTALS])
    tables = lending_club(tmp_path / "*.csv")
    loans, months = frame(tables.loans), frame(tables.performance)
    assert loans["loan_id"].tolist() == months["loan_id"].tolist() == ["a.csv:1", "a.csv:2", "b.csv:1"]
    assert loans["loan_amnt"].tolist() == [1000, 1001, 1000]
    assert months["month"].dt.month.tolist() == [1, 2, 3]


def test_several_files_may_have_different_columns(tmp_path):
    write(tmp_path / "LoanStats3a.csv", [NOTES, *lending_lines(lending_loan(1, fico_range_low="705"))])
    other = {name: value for name, value in lending_loan(2).items() if name != "fico_range_low"}
    write(tmp_path / "LoanStats3b.csv", lending_lines(other | {"all_util": "40"}))
    loans = frame(lending_club(tmp_path / "LoanStats3*.csv").loans)
    assert loans["fico_range_low"].tolist()[0] == 705
    assert loans["fico_range_low"].isna().tolist() == [False, True]
    assert loans["all_util"].isna().tolist() == [True, False]


def test_the_rules_name_covariates_of_the_application_that_are_there(tmp_path):
    loan = lending_loan(1)
    loan.pop("fico_range_low")
    rules = read(tmp_path, loan).rules
    assert rules.rows == "loan"
    assert rules.covariate_names == (
        "int_rate",
        "loan_amnt",
        "annual_inc",
        "dti",
        "revol_util",
        "home_ownership",
        "purpose",
    )
    assert rules.causes == {"attrition": ("prepaid",), "default": ("charged off", "in default")}
    assert read(tmp_path, loan, rules={"covariates": {"loans": ["dti"]}}).rules.covariate_names == ("dti",)


def test_the_rules_for_a_prepared_sample_know_every_status_and_use_nothing_that_came_later():
    rules = SpellRules.from_toml(ROOT / "reports" / "lendingclub.toml")
    known = {*rules.open, *(value for values in rules.causes.values() for value in values)}
    assert {"Current", "Issued", "Fully Paid", "Charged Off", "Default", "Late (31-120 days)"} <= known
    later = ("last_", "total_", "recoveries", "out_prncp", "hardship", "debt_settlement", "term_m", "dur_m")
    assert [name for name in (*rules.covariate_names, *rules.keep) if name.startswith(later)] == []
    assert rules.exclude == {"selection": ("terminated only",)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"term": " 3 years"}, "'term' .* holds '3 years' in 1 row .* where a number is expected"),
        ({"issue_d": "2015-12"}, "'issue_d' .* holds '2015-12' .* where a month such as Mar-2020 is expected"),
        ({"int_rate": "low"}, "'int_rate' .* holds 'low' .* where a number is expected"),
    ],
)
def test_values_that_cannot_be_read_are_named(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, lending_loan(1), lending_loan(2, **changes))


def test_files_without_the_columns_are_refused(tmp_path):
    with pytest.raises(DataError, match="has no header with the columns loan_amnt, .* in its first two lines"):
        lending_club(write(tmp_path / "other.csv", ["a,b,c", "1,2,3"]))
    semicolons = [line.replace(",", ";") for line in lending_lines(lending_loan(1))]
    with pytest.raises(DataError, match="separated by ','"):
        lending_club(write(tmp_path / "other.csv", semicolons))
    renamed = [line.replace("last_pymnt_d", "last_payment") for line in lending_lines(lending_loan(1))]
    with pytest.raises(DataError, match="has no column 'last_pymnt_d'"):
        lending_club(write(tmp_path / "other.csv", renamed))


def test_a_line_with_more_fields_than_the_header_is_named(tmp_path):
    lines = lending_lines(lending_loan(1), lending_loan(2), lending_loan(3))
    lines[2] += ',"one","two"'
    with pytest.raises(DataError, match=r"1 line of the loan statistics .*LoanStats.csv, line 3"):
        lending_club(write(tmp_path / "LoanStats.csv", lines))

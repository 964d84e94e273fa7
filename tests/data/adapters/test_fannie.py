import pandas as pd
import pytest

from churnsurv.data.adapters import fannie_mae
from churnsurv.exceptions import DataError
from tests.data.adapters.samples import fannie_month, write

ID = "100000000001"


def read(tmp_path, *months, **options):
    return fannie_mae(write(tmp_path / "2020Q1.csv", months), **options)


def frame(table, by="loan_id"):
    return table.order_by(by).to_pandas()


def statuses(tmp_path, *months, **options):
    return frame(read(tmp_path, *months, **options).performance, "month")["status"].tolist()


def test_the_documented_fields_are_read_from_their_positions(tmp_path):
    first = fannie_month(ID, "022020", p16=0, p34=25, p81="N", p87="Y", p102="F", p12="200000.00")
    tables = read(tmp_path, first)
    loan = {
        "loan_id": ID, "origination": pd.Timestamp(2020, 1, 1), "first_payment": pd.Timestamp(2020, 3, 1),
        "maturity": pd.Timestamp(2050, 2, 1), "scheduled_end": pd.Timestamp(2050, 3, 1), "term": 360, "amount": 200000,
        "contract_rate": 3.5, "credit_score": 751, "co_borrower_credit_score": 740, "debt_to_income": 36,
        "loan_to_value": 80, "combined_loan_to_value": 85, "mortgage_insurance": 25, "units": 1, "borrowers": 2,
        "first_time_buyer": "N", "occupancy": "P", "channel": "R", "purpose": "P", "property_type": "SF", "state": "TX",
        "msa": "12420", "postal_code": "750", "prepayment_penalty": "N", "amortisation": "FRM", "interest_only": "N",
        "high_balance": "Y", "relocation": "N", "seller": "A seller",
    }  # fmt: skip
    month = {
        "month": pd.Timestamp(2020, 2, 1), "balance": 200000, "current_rate": 3.5, "delinquency": 0, "loan_age": 0,
        "remaining_months": 359, "modified": "N", "assistance": "F",
    }  # fmt: skip
    assert frame(tables.loans)[list(loan)].iloc[0].to_dict() == loan
    assert frame(tables.performance)[list(month)].iloc[0].to_dict() == month


@pytest.mark.parametrize("width", [108, 110, 113, 114])
def test_every_release_of_the_layout_is_read(tmp_path, width):
    assert statuses(tmp_path, fannie_month(ID, "022020", width=width)) == ["open"]


def test_releases_can_be_mixed(tmp_path):
    write(tmp_path / "old.csv", [fannie_month(ID, "022020", width=108)])
    write(tmp_path / "new.csv", [fannie_month("100000000002", "022020", width=113)])
    assert len(frame(fannie_mae(tmp_path / "*.csv").loans)) == 2


def test_loans_are_told_once_by_the_first_value_of_each_static_field(tmp_path):
    tables = read(
        tmp_path,
        fannie_month(ID, "042020", p24=700, p23=40, p19="022060"),
        fannie_month(ID, "032020", p24=720, p23=""),
        fannie_month(ID, "022020", p24="", p23=""),
        fannie_month("100000000002", "022020"),
    )
    loans = frame(tables.loans)
    assert loans["loan_id"].tolist() == [ID, "100000000002"]
    assert loans["credit_score"].tolist() == [720, 751]
    assert loans["debt_to_income"].tolist() == [40, 36]
    # a modification moved the end: the latest one counts
    assert loans["maturity"].tolist() == [pd.Timestamp(2060, 2, 1), pd.Timestamp(2050, 2, 1)]
    assert len(frame(tables.performance)) == 4


STATUSES = [
    ("01", "prepaid"),
    ("02", "third-party sale"),
    ("03", "short sale"),
    ("06", "repurchased"),
    ("09", "deed in lieu or foreclosed property"),
    ("15", "note sold"),
    ("16", "reperforming loan sold"),
    ("96", "removed for no credit event"),
    ("97", "credit event of 180 days past due"),
    ("98", "other credit event"),
]


def test_every_zero_balance_code_becomes_a_status_of_the_rules(tmp_path):
    months = []
    for loan, (code, _) in enumerate(STATUSES, start=int(ID)):
        months += [fannie_month(loan, "022020"), fannie_month(loan, "032020", p44=code, p45="032020")]
    tables = read(tmp_path, *months)
    told = frame(tables.performance, ["loan_id", "month"])["status"].tolist()
    assert told == [name for _, status in STATUSES for name in ("open", status)]
    rules = tables.rules
    named = [rules.causes["attrition"], rules.causes["default"], *rules.censored.values()]
    assert [sum(status in values for values in named) for _, status in STATUSES] == [1] * len(STATUSES)


def test_what_left_for_reasons_that_are_not_the_borrowers_is_censored(tmp_path):
    rules = read(tmp_path, fannie_month(ID, "022020")).rules
    assert rules.censored == {
        "repurchased": ("repurchased",),
        "sold": ("reperforming loan sold",),
        "removed": ("removed for no credit event",),
    }


def test_repaid_loans_are_matured_from_the_month_of_the_last_payment_on(tmp_path):
    months = []
    for loan, effective in enumerate(("012050", "022050", ""), start=int(ID)):
        # the static fields of the last row may be empty
        months += [fannie_month(loan, "012050"), fannie_month(loan, "022050", p19="", p44="01", p45=effective)]
    told = frame(read(tmp_path, *months).performance, ["loan_id", "month"])["status"].tolist()
    assert told == ["open", "prepaid", "open", "matured", "open", "matured"]


def test_default_at_180_days_past_due_is_the_sixth_missed_payment_or_the_foreclosure(tmp_path):
    months = [
        fannie_month(ID, "012022", p40="05"),
        fannie_month(ID, "022022", p40="06"),
        fannie_month(ID, "032022", p40="XX", p52="032022"),
        fannie_month(ID, "042022", p40="XX", p44="09", p45="042022", p52="032022"),
    ]
    late = "180 days past due"
    assert statuses(tmp_path, *months, default_at="d180") == ["open", late, late, "deed in lieu or foreclosed property"]
    assert statuses(tmp_path, *months) == ["open", "open", "open", "deed in lieu or foreclosed property"]


def test_an_unknown_code_is_named(tmp_path):
    with pytest.raises(
        DataError, match=r"'zero_balance_code' .* holds '05' in 1 row \(e.g. loan 100000000001, .*2020Q1.csv"
    ):
        read(tmp_path, fannie_month(ID, "022020", p44="05"))


def test_another_layout_or_a_header_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"line 1 has 31 fields. The loan performance file of Fannie Mae has 108 .* or 110"
    ):
        read(tmp_path, "|".join(["x"] * 31))
    with pytest.raises(DataError, match=r"field 3 \(monthly_reporting_period\) of line 1 is 'ACT_PERIOD'.*no header"):
        read(tmp_path, fannie_month("LOAN_ID", "ACT_PERIOD"), fannie_month(ID, "022020"))


def test_months_written_year_first_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"is '202002', where a month such as 032020 is expected"):
        read(tmp_path, fannie_month(ID, "202002"))

import gzip

import pandas as pd
import pytest

from churnsurv.data.adapters import abs_ee_auto
from churnsurv.exceptions import DataError
from tests.data.adapters.samples import SPACE, as_csv, asset, document, write


@pytest.fixture
def read(tmp_path):
    """Read made-up documents, one per month."""

    def reader(*months, **options):
        for i, assets in enumerate(months):
            (tmp_path / f"month_{i}.xml").write_text(document(*assets), encoding="utf-8")
        return abs_ee_auto(tmp_path / "month_*.xml", cache=tmp_path / "cache", **options)

    return reader


def frame(table, by="loan_id"):
    return table.order_by(by).to_pandas()


def statuses(tables):
    return frame(tables.performance, ["loan_id", "month"])["status"].tolist()


def test_the_documented_elements_are_read(read):
    extra = {"reportingPeriodInterestRatePercentage": "0.06", "modificationTypeCode": "1", "subvented": ["1", "2"]}
    tables = read([asset("A1", "01-31-2024", currentDelinquencyStatus="31", repossessedIndicator="false", **extra)])
    loan = {
        "loan_id": "A1", "origination": pd.Timestamp(2023, 5, 1), "maturity": pd.Timestamp(2028, 5, 1),
        "scheduled_end": pd.Timestamp(2028, 6, 1), "first_seen": pd.Timestamp(2024, 1, 1), "term": 60, "amount": 25000,
        "contract_rate": pytest.approx(5.95), "credit_score": 701, "payment_to_income": 0.07, "state": "OH",
        "originator": "A bank", "vehicle_manufacturer": "Marque", "vehicle_new_used": "1", "subvented": "1;2",
    }  # fmt: skip
    month = {
        "month": pd.Timestamp(2024, 1, 1), "status": "open", "balance": 23000, "days_past_due": 31,
        "repossessed": "false", "current_rate": pytest.approx(6.0),
    }  # fmt: skip
    assert frame(tables.loans)[list(loan)].iloc[0].to_dict() == loan
    assert frame(tables.performance)[list(month)].iloc[0].to_dict() == month


def test_loans_of_several_months_are_told_once_by_their_first_values(read):
    tables = read(
        [asset("A1", "01-31-2024", obligorCreditScore="NONE"), asset("A2", "01-31-2024")],
        [asset("A1", "02-29-2024", obligorCreditScore="655", loanMaturityDate="07/2028"), asset("A2", "02-29-2024")],
        [asset("A1", "03-31-2024", obligorCreditScore="640", originalLoanAmount="1.00")],
    )
    loans = frame(tables.loans)
    assert loans["credit_score"].tolist() == [655, 701]
    assert loans["amount"].tolist() == [25000, 25000]
    # an extension moved the end
    assert loans["maturity"].tolist() == [pd.Timestamp(2028, 7, 1), pd.Timestamp(2028, 5, 1)]
    assert len(frame(tables.performance)) == 5


STATUSES = [
    ("1", "prepaid"),
    ("2", "sold to a third party"),
    ("3", "repurchased or replaced"),
    ("4", "charged off"),
    ("5", "servicing transferred"),
    ("99", "ended for an unknown reason"),
    (["1", "4"], "charged off"),
    (["3", "1"], "repurchased or replaced"),
]


def test_every_zero_balance_code_becomes_a_status_of_the_rules(read):
    first = [asset(f"A{i}", "01-31-2024") for i in range(len(STATUSES))]
    last = [
        asset(f"A{i}", "02-29-2024", zeroBalanceCode=code, zeroBalanceEffectiveDate="02/2024")
        for i, (code, _) in enumerate(STATUSES)
    ]
    tables = read(first, last)
    assert statuses(tables) == [name for _, status in STATUSES for name in ("open", status)]
    known = [*tables.rules.causes.values(), *tables.rules.censored.values()]
    assert [sum(status in values for values in known) for _, status in STATUSES] == [1] * len(STATUSES)


def test_repaid_loans_are_matured_from_the_month_of_the_maturity_on(read):
    effective = {"A1": "04/2028", "A2": "05/2028", "A3": None}
    last = [
        asset(loan, "05-31-2028", zeroBalanceCode="1", zeroBalanceEffectiveDate=month, loanMaturityDate=None)
        for loan, month in effective.items()
    ]
    told = statuses(read([asset(loan, "04-30-2028") for loan in effective], last))
    assert told == ["open", "prepaid", "open", "matured", "open", "matured"]


def test_a_charged_off_amount_without_a_balance_is_a_charge_off_even_without_a_code(read):
    gone = {"chargedoffPrincipalAmount": "9000.00", "reportingPeriodActualEndBalanceAmount": "0.00"}
    partly = {"chargedoffPrincipalAmount": "9000.00", "reportingPeriodActualEndBalanceAmount": "5.00"}
    before = [asset("A1", "01-31-2024"), asset("A2", "01-31-2024")]
    tables = read(before, [asset("A1", "02-29-2024", **gone), asset("A2", "02-29-2024", **partly)])
    assert statuses(tables) == ["open", "charged off", "open", "open"]


def test_loans_closed_before_they_are_first_seen_are_left_out_and_late_codes_are_not(read):
    def closed(loan, ending, effective):
        return asset(loan, ending, zeroBalanceCode="1", zeroBalanceEffectiveDate=effective)

    tables = read(
        # kept in the file although it ended before, without a date, and ended in this very month
        [
            closed("A1", "01-31-2024", "12/2023"),
            closed("A2", "01-31-2024", None),
            closed("A3", "01-31-2024", "01/2024"),
        ],
        [closed("A1", "02-29-2024", "12/2023"), closed("A3", "02-29-2024", "01/2024"), asset("A4", "02-29-2024")],
        # told one month late
        [closed("A4", "03-31-2024", "02/2024")],
    )
    months = frame(tables.performance, ["loan_id", "month"])
    assert months["loan_id"].tolist() == ["A3", "A3", "A4", "A4"]
    assert months["status"].tolist() == ["prepaid", "prepaid", "open", "prepaid"]
    assert frame(tables.loans)["loan_id"].tolist() == ["A1", "A2", "A3", "A4"]


def test_rates_in_percent_are_refused_unless_said_so(read):
    percent = [asset("A1", "01-31-2024", originalInterestRatePercentage="5.95")]
    with pytest.raises(
        DataError, match=r"reaches 5.95, which is 595% a year if it is a fraction: pass rates='percent'"
    ):
        read(percent)
    assert frame(read(percent, rates="percent").loans)["contract_rate"].tolist() == [5.95]
    with pytest.raises(DataError, match="rates='per cent' is not known"):
        read(percent, rates="per cent")


def test_an_unknown_code_is_named(read):
    with pytest.raises(DataError, match=r"'zeroBalanceCode' holds '6' in 1 row \(e.g. loan A1\)"):
        read([asset("A1", "01-31-2024", zeroBalanceCode="6")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"originationDate": "2023-05"}, "'originationDate' .* holds '2023-05' .*month_0.xml.*such as 03/2020"),
        ({"originalLoanAmount": "25k"}, "'originalLoanAmount' .* holds '25k' .* where a number is expected"),
        ({"assetNumber": None}, "'assetNumber' .* holds nothing .* where the identifier of a loan is expected"),
    ],
)
def test_values_that_cannot_be_read_are_named_with_the_file(read, changes, message):
    with pytest.raises(DataError, match=message):
        read([asset("A1", "01-31-2024", **changes)])


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>\n'


def test_a_document_type_is_refused_before_its_entities_are_read(tmp_path):
    text = document(asset("A1", "01-31-2024")).replace("<assetData", f"{BOMB}<assetData", 1)
    file = write(tmp_path / "bomb.xml", [text])
    with pytest.raises(DataError, match=r"bomb.xml' declares a document type \(x\).*It is not read"):
        abs_ee_auto(file, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (document(asset("A1", "01-31-2024"))[:-30], "is not well-formed XML"),
        (document(asset("A1", "01-31-2024"), space=SPACE.replace("autoloan", "autolease")), "of the kind 'autolease'"),
        ("<html><body>Not found</body></html>", "begins with the element 'html', not 'assetData'"),
        (document(), "holds no asset"),
        ("no XML", "is not well-formed XML"),
    ],
)
def test_documents_that_are_something_else_are_refused_and_leave_nothing_behind(tmp_path, text, message):
    file = write(tmp_path / "assets.xml", [text])
    with pytest.raises(DataError, match=message):
        abs_ee_auto(file, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_is_used_again_until_the_content_changes(tmp_path, read):
    read([asset("A1", "01-31-2024")])
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()}
    read([asset("A1", "01-31-2024")])
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()} == kept
    tables = read([asset("A1", "01-31-2024", obligorCreditScore="702")])
    assert frame(tables.loans)["credit_score"].tolist() == [702]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_without_a_cache_a_temporary_folder_serves(tmp_path):
    file = write(tmp_path / "assets.xml", [document(asset("A1", "01-31-2024"))])
    assert statuses(abs_ee_auto(file)) == ["open"]
    assert [path.name for path in tmp_path.iterdir()] == ["assets.xml"]


def test_other_encodings_and_compressed_files_are_read(tmp_path):
    text = document(asset("A1", "01-31-2024", originatorName="Crédit")).replace("UTF-8", "Windows-1252")
    file = tmp_path / "assets.xml.gz"
    file.write_bytes(gzip.compress(text.encode("windows-1252")))
    assert frame(abs_ee_auto(file, cache=tmp_path / "cache").loans)["originator"].tolist() == ["Crédit"]


def test_more_assets_than_fit_a_batch_are_all_there(tmp_path, monkeypatch):
    monkeypatch.setattr("churnsurv.data.adapters.asset_xml._BATCH", 3)
    file = write(tmp_path / "assets.xml", [document(*(asset(f"A{i}", "01-31-2024") for i in range(10)))])
    assert len(frame(abs_ee_auto(file, cache=tmp_path / "cache").loans)) == 10


def test_tables_with_the_names_of_the_elements_are_read_beside_xml(tmp_path):
    rows = as_csv([asset("A1", "02-29-2024", zeroBalanceCode="4"), asset("A2", "02-29-2024")])
    files = [
        write(tmp_path / "january.xml", [document(asset("A1", "01-31-2024"), asset("A2", "01-31-2024"))]),
        write(tmp_path / "february.csv", rows),
    ]
    assert statuses(abs_ee_auto(files, cache=tmp_path / "cache")) == ["open", "charged off", "open", "open"]


def test_a_table_without_an_element_that_tells_exits_is_refused(tmp_path):
    rows = as_csv([asset("A1", "02-29-2024", zeroBalanceCode="4")])
    file = write(tmp_path / "assets.csv", [row.replace("zeroBalanceCode", "zeroBalance") for row in rows])
    with pytest.raises(DataError, match=r"assets.csv' has no column 'zeroBalanceCode'. Did you mean 'zeroBalance'"):
        abs_ee_auto(file)


def test_a_table_that_has_a_column_twice_is_refused(tmp_path):
    file = write(tmp_path / "assets.csv", ["assetNumber,originationDate,assetNumber", "A1,05/2023,A1"])
    with pytest.raises(DataError, match="has two columns 'assetNumber'"):
        abs_ee_auto(file)


def test_a_table_with_a_broken_line_is_named(tmp_path):
    rows = as_csv([asset("A1", "02-29-2024", zeroBalanceCode="4")])
    file = write(tmp_path / "assets.csv", [*rows, "A2,1,2"])
    with pytest.raises(DataError, match=r"cannot be read \(.*assets.csv\): .*Line: 3"):
        abs_ee_auto(file)

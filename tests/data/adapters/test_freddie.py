import gzip
import zipfile

import ibis
import pandas as pd
import pytest

from churnsurv.data.adapters import freddie_mac
from churnsurv.exceptions import ConfigError, DataError
from tests.data.adapters.samples import freddie_loan, freddie_month, write

ID = "F00Q10000001"


@pytest.fixture
def files(tmp_path):
    """Two files of one loan that is open in its only month."""
    return write(tmp_path / "orig.txt", [freddie_loan(ID)]), write(tmp_path / "perf.txt", [freddie_month(ID, "200002")])


def read(tmp_path, loans, months, **options):
    return freddie_mac(write(tmp_path / "orig.txt", loans), write(tmp_path / "perf.txt", months), **options)


def frame(table, by="loan_id"):
    return table.order_by(by).to_pandas()


def statuses(tmp_path, *months, loans=None, **options):
    tables = read(tmp_path, loans or [freddie_loan(ID)], [freddie_month(ID, *m[:1], **m[1]) for m in months], **options)
    return frame(tables.performance, "month")["status"].tolist()


def test_the_documented_fields_are_read_from_their_positions(tmp_path):
    months = [freddie_month(ID, "200002", p5=0, p26=78, p8="Y", p30="F", p29="Y")]
    tables = read(tmp_path, [freddie_loan(ID, p30="2", p31="N", p29="Y")], months)
    loan = {
        "loan_id": ID, "credit_score": 751, "mortgage_insurance": 0, "units": 1, "combined_loan_to_value": 85,
        "debt_to_income": 36, "amount": 200000, "loan_to_value": 80, "contract_rate": 6.75, "term": 360, "borrowers": 2,
        "first_time_buyer": "N", "occupancy": "P", "channel": "R", "amortisation": "FRM", "state": "TX",
        "property_type": "SF", "postal_code": "75000", "purpose": "P", "seller": 'O\'Hare "First" Bank', "msa": "12420",
        "interest_only": "N", "harp": "Y",
    }  # fmt: skip
    month = {
        "loan_id": ID, "balance": 199000, "delinquency": 0, "loan_age": 0, "remaining_months": 359, "current_rate": 6.75,
        "estimated_loan_to_value": 78, "modified": "Y", "assistance": "F", "disaster": "Y",
    }  # fmt: skip
    assert frame(tables.loans)[list(loan)].iloc[0].to_dict() == loan
    assert frame(tables.performance)[list(month)].iloc[0].to_dict() == month


def test_age_counts_from_the_month_before_the_first_payment_as_the_loan_age_of_the_file_does(files):
    tables = freddie_mac(*files)
    loan, month = frame(tables.loans).iloc[0], frame(tables.performance).iloc[0]
    # first payment March 2000, last one February 2030: the loan is no longer scheduled to exist in March 2030
    assert loan["origination"] == month["month"] == pd.Timestamp(2000, 2, 1)
    assert loan["first_payment"] == pd.Timestamp(2000, 3, 1)
    assert loan["maturity"] == pd.Timestamp(2030, 2, 1)
    assert loan["scheduled_end"] == pd.Timestamp(2030, 3, 1)


def test_a_first_payment_in_january_means_an_origination_in_december(tmp_path):
    tables = read(tmp_path, [freddie_loan(ID, p2="200001", p4="202912")], [freddie_month(ID, "200001")])
    loan = frame(tables.loans).iloc[0]
    assert loan["origination"] == pd.Timestamp(1999, 12, 1)
    assert loan["scheduled_end"] == pd.Timestamp(2030, 1, 1)


def test_codes_for_not_available_are_missing(tmp_path):
    codes = {"p1": 9999, "p6": 999, "p7": 99, "p9": 999, "p10": 999, "p12": 999, "p23": 99, "p3": 9, "p8": 9, "p14": 9}
    loans = [freddie_loan(ID, **codes, p18=99, p21=9, p5="     ")]
    months = [freddie_month(ID, "200002", p4="XX", p26=999), freddie_month(ID, "200003", p4="   ", p26=" ")]
    tables = read(tmp_path, loans, months)
    missing = [
        "credit_score",
        "mortgage_insurance",
        "units",
        "combined_loan_to_value",
        "debt_to_income",
        "loan_to_value",
    ]
    missing += ["borrowers", "first_time_buyer", "occupancy", "channel", "property_type", "purpose", "msa"]
    assert frame(tables.loans)[missing].isna().all(axis=None)
    assert frame(tables.performance)[["delinquency", "estimated_loan_to_value"]].isna().all(axis=None)


STATUSES = {
    "02": "third-party sale",
    "03": "short sale or charge-off",
    "09": "foreclosed property sold",
    "15": "note sold",
    "16": "reperforming loan sold",
    "96": "repurchased",
    "1": "prepaid",
}


def test_every_zero_balance_code_becomes_a_status_of_the_rules(tmp_path):
    loans = {f"F00Q1000000{i}": code for i, code in enumerate(STATUSES)}
    months = []
    for loan, code in loans.items():
        months += [freddie_month(loan, "200002"), freddie_month(loan, "200003", p9=code, p10="200003")]
    tables = read(tmp_path, [freddie_loan(loan) for loan in loans], months)
    told = frame(tables.performance, ["loan_id", "month"])["status"].tolist()
    assert told == [name for status in STATUSES.values() for name in ("open", status)]


def test_the_rules_know_every_status(files):
    rules = freddie_mac(*files).rules
    assert rules.causes == {
        "attrition": ("prepaid",),
        "default": ("third-party sale", "short sale or charge-off", "foreclosed property sold", "note sold"),
    }
    assert rules.censored == {"sold": ("reperforming loan sold",), "repurchased": ("repurchased",)}
    assert (rules.open, rules.matured) == (("open",), ("matured",))


def test_repaid_loans_are_matured_from_the_month_of_the_last_payment_on(tmp_path):
    # reported in March 2030; without an effective month the reporting month counts
    effective = {"F00Q10000001": "203001", "F00Q10000002": "203002", "F00Q10000003": "203003", "F00Q10000004": ""}
    months = [freddie_month(loan, "203003", p9="01", p10=month) for loan, month in effective.items()]
    tables = read(tmp_path, [freddie_loan(loan) for loan in effective], months)
    assert frame(tables.performance)["status"].tolist() == ["prepaid", "matured", "matured", "matured"]


def test_default_at_180_days_past_due_is_the_sixth_missed_payment_or_the_foreclosed_property(tmp_path):
    months = [("200301", {"p4": "05"}), ("200302", {"p4": "06"}), ("200303", {"p4": "RA"}), ("200304", {"p9": "09"})]
    late = "180 days past due"
    assert statuses(tmp_path, *months, default_at="d180") == ["open", late, late, "foreclosed property sold"]
    assert statuses(tmp_path, *months) == ["open", "open", "open", "foreclosed property sold"]


def test_a_repayment_while_180_days_past_due_is_a_repayment(tmp_path):
    assert statuses(tmp_path, ("200301", {"p4": "07", "p9": "01", "p10": "200301"}), default_at="d180") == ["prepaid"]


def test_default_at_180_days_is_in_the_rules_and_the_notes_say_which_definition_holds(files):
    d180, disposition = freddie_mac(*files, default_at="d180"), freddie_mac(*files)
    assert d180.rules.causes["default"][-1] == "180 days past due"
    assert any(note.startswith("Default is the first month 180 days past due") for note in d180.notes)
    assert any(note.startswith("Default is dated by the disposition") for note in disposition.notes)
    with pytest.raises(DataError, match="default_at='d90' is not known"):
        freddie_mac(*files, default_at="d90")


def test_foreclosed_property_is_flagged_and_has_no_number_of_missed_payments(tmp_path):
    tables = read(
        tmp_path, [freddie_loan(ID)], [freddie_month(ID, "200302", p4="RA"), freddie_month(ID, "200303", p4="02")]
    )
    months = frame(tables.performance, "month")
    assert months["reo"].tolist() == [True, False]
    assert months["delinquency"].isna().tolist() == [True, False]


def test_the_layout_since_july_2026_is_told_by_its_number_of_fields_and_mixes_with_the_old_one(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    other = "F20Q10000002"
    write(old / "orig_1.txt", [freddie_loan(ID, p26="Y", p25="A servicer")])
    write(new / "orig_2.txt", [freddie_loan(other, width=31, p25="Y", p31="9999")])
    write(old / "perf_1.txt", [freddie_month(ID, "200002")])
    write(new / "perf_2.txt", [freddie_month(other, "200002", width=35, p34="A servicer", p9="01")])
    tables = freddie_mac(tmp_path / "*" / "orig_*.txt", [old / "perf_1.txt", new / "perf_2.txt"])
    assert frame(tables.loans)["super_conforming"].tolist() == ["Y", "Y"]
    assert frame(tables.performance)["status"].tolist() == ["open", "prepaid"]


def test_tables_are_lazy_and_on_the_connection_given(files):
    connection = ibis.duckdb.connect()
    tables = freddie_mac(*files, connection=connection)
    assert isinstance(tables.loans, ibis.Table)
    assert tables.loans.get_backend() is tables.performance.get_backend() is connection
    with pytest.raises(DataError, match="connection is a str; give an Ibis connection to DuckDB"):
        freddie_mac(*files, connection="duckdb://")


def test_keys_of_the_rules_are_replaced_by_those_given(files):
    rules = freddie_mac(*files, rules={"covariates": {"loans": ["credit_score"]}, "keep": ["seller"]}).rules
    assert rules.covariate_names == ("credit_score",)
    assert rules.keep == ("seller",)
    with pytest.raises(ConfigError, match="no key 'covariate'"):
        freddie_mac(*files, rules={"covariate": {}})


def test_default_columns_of_the_rules_are_there(files):
    tables = freddie_mac(*files)
    rules = tables.rules
    named = [rules.loan_id, rules.origination, rules.maturity, *rules.covariates.loans, *rules.keep]
    assert set(named) <= set(tables.loans.columns)
    assert {rules.loan_id, rules.observed, rules.status} <= set(tables.performance.columns)


def test_the_text_of_the_tables_names_causes_and_notes(files):
    text = repr(freddie_mac(*files))
    assert "causes: attrition = prepaid" in text
    assert "censored: repurchased = repurchased" in text
    assert "1. The date of origination is not told" in text
    assert max(map(len, text.splitlines())) <= 120


def test_compressed_files_are_read_as_they_are(tmp_path, files):
    compressed = tmp_path / "perf.txt.gz"
    compressed.write_bytes(gzip.compress(files[1].read_bytes()))
    assert len(frame(freddie_mac(files[0], compressed).performance)) == 1


def test_archives_are_unpacked_where_asked_and_both_kinds_of_file_found_in_them(tmp_path, files):
    archive = tmp_path / "historical_data_2000Q1.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(files[0], "historical_data_2000Q1.txt")
        packed.write(files[1], "../historical_data_time_2000Q1.txt")
    with pytest.raises(DataError, match="is a zip archive.*pass extract_to="):
        freddie_mac(archive, archive)
    folder = tmp_path / "plain"
    tables = freddie_mac(archive, archive, extract_to=folder)
    assert frame(tables.performance)["loan_id"].tolist() == [ID]
    assert sorted(file.name for file in folder.iterdir()) == [
        "historical_data_2000Q1.txt", "historical_data_time_2000Q1.txt",
    ]  # fmt: skip


def test_a_broken_archive_is_named(tmp_path, files):
    archive = tmp_path / "orig.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(files[0], "orig_2000Q1.txt")
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"orig.zip' cannot be unpacked to .*plain'"):
        freddie_mac(archive, files[1], extract_to=tmp_path / "plain")


def test_the_connection_can_be_used_after_a_broken_file(tmp_path, files):
    connection = ibis.duckdb.connect()
    broken = write(tmp_path / "broken.txt", [freddie_month(ID, "200002"), "x|y"])
    with pytest.raises(DataError, match="line 2"):
        freddie_mac(files[0], broken, connection=connection)
    assert len(frame(freddie_mac(*files, connection=connection).performance)) == 1


def test_letters_of_another_encoding_are_named_with_their_line(tmp_path, files):
    text = freddie_loan(ID) + "\n" + freddie_loan("F00Q10000002", p24="Crédit")
    (tmp_path / "latin.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"latin.txt, line 2: .*(utf|UTF|unicode)"):
        freddie_mac(tmp_path / "latin.txt", files[1])


def test_an_archive_without_the_file_names_what_it_holds(tmp_path, files):
    archive = tmp_path / "orig.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(files[0], "orig_2000Q1.txt")
    with pytest.raises(DataError, match=r"has no performance file of Freddie Mac; it holds orig_2000Q1.txt"):
        freddie_mac(archive, archive, extract_to=tmp_path)


@pytest.mark.parametrize("code", ["77", "011"])
def test_an_unknown_code_is_named_with_loan_and_file(tmp_path, code):
    message = rf"'zero_balance_code' .* holds '{code}' in 1 row \(e.g. loan F00Q10000001, .*perf.txt\)"
    with pytest.raises(DataError, match=message):
        read(tmp_path, [freddie_loan(ID)], [freddie_month(ID, "200002", p9=code)])


def test_line_ends_of_windows_belong_to_no_value(tmp_path, files):
    for file in files:
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    tables = freddie_mac(*files)
    assert frame(tables.loans)["interest_only"].isna().all()
    assert frame(tables.performance)["status"].tolist() == ["open"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p4": "Q"}, "'current_loan_delinquency_status' .* holds 'Q' in 1 row .* where a number is expected"),
        (
            {"p10": "200013"},
            "'zero_balance_effective_date' .* holds '200013' .* where a month such as 202003 is expected",
        ),
        ({"p3": "inf"}, "'current_actual_upb' .* holds 'inf' .* where a number is expected"),
        ({"p3": "1,000"}, "'current_actual_upb' .* holds '1,000' .* where a number is expected"),
        ({"p1": ""}, "'loan_sequence_number' .* holds nothing in 1 row .* where the identifier of a loan is expected"),
    ],
)
def test_values_that_cannot_be_read_are_named(tmp_path, changes, message):
    # in the second line: the first one is looked at before all others
    with pytest.raises(DataError, match=message):
        read(tmp_path, [freddie_loan(ID)], [freddie_month(ID, "200002"), freddie_month(ID, "200003", **changes)])


def test_a_line_with_another_number_of_fields_is_named_with_file_and_line(tmp_path):
    months = [freddie_month(ID, f"2000{month:02d}") for month in range(2, 6)]
    months[2] = "|".join(months[2].split("|")[:30])
    with pytest.raises(DataError, match=r"1 line of the performance file .*perf.txt, line 3: .*Columns: 32 Found: 30"):
        read(tmp_path, [freddie_loan(ID)], months)


def test_a_line_that_is_cut_off_is_named_as_such_although_its_values_cannot_be_read_either(tmp_path):
    months = [freddie_month(ID, "200002"), f"{ID}|2000"]
    with pytest.raises(DataError, match=r"line 2: Expected Number of Columns: 32 Found: 2.*is the file whole"):
        read(tmp_path, [freddie_loan(ID)], months)


def test_another_number_of_fields_throughout_tells_the_layouts_that_are_known(tmp_path):
    with pytest.raises(
        DataError, match=r"line 1 has 27 fields. The origination file of Freddie Mac has 32 \(before July 2026"
    ):
        read(tmp_path, [freddie_loan(ID, width=27)], [freddie_month(ID, "200002")])


def test_another_separator_is_named(tmp_path):
    with pytest.raises(DataError, match="line 1 is separated by ',', not by '|'"):
        read(tmp_path, [freddie_loan(ID).replace("|", ",")], [freddie_month(ID, "200002")])


def test_a_header_is_refused(tmp_path):
    header = "|".join(f"field_{i}" for i in range(1, 33))
    with pytest.raises(DataError, match=r"field 2 \(first_payment_date\) of line 1 is 'field_2'.*has no header"):
        read(tmp_path, [header, freddie_loan(ID)], [freddie_month(ID, "200002")])


def test_files_given_in_the_wrong_order_are_refused(files):
    with pytest.raises(DataError, match=r"field 4 \(maturity_date\) of line 1 is '00'.*or another file"):
        freddie_mac(*reversed(files))


def test_files_that_are_absent_or_empty_are_named(tmp_path, files):
    with pytest.raises(
        DataError, match=r"no origination file of Freddie Mac .*origin.txt'. In its folder are: orig.txt"
    ):
        freddie_mac(tmp_path / "origin.txt", files[1])
    with pytest.raises(DataError, match=r"no performance file of Freddie Mac .*time_\*.txt'"):
        freddie_mac(files[0], tmp_path / "time_*.txt")
    with pytest.raises(DataError, match=r"is a folder: name the performance file"):
        freddie_mac(files[0], tmp_path)
    with pytest.raises(DataError, match="No performance file of Freddie Mac is given"):
        freddie_mac(files[0], [])
    with pytest.raises(DataError, match=r"The performance file .* perf.txt is given twice"):
        freddie_mac(files[0], [files[1], files[1]])
    (tmp_path / "none.txt").touch()
    with pytest.raises(DataError, match=r"none.txt' is empty"):
        freddie_mac(files[0], tmp_path / "none.txt")
    write(tmp_path / "blank.txt", ["", ""])
    with pytest.raises(DataError, match=r"blank.txt': line 1 is empty"):
        freddie_mac(files[0], tmp_path / "blank.txt")


def test_a_broken_compressed_file_is_named(tmp_path, files):
    broken = tmp_path / "perf.txt.gz"
    broken.write_bytes(gzip.compress(files[1].read_bytes() * 1000)[:60])
    with pytest.raises(DataError, match=r"perf.txt.gz"):
        freddie_mac(files[0], broken)
    broken.write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match=r"perf.txt.gz' cannot be read"):
        freddie_mac(files[0], broken)


def test_loans_that_are_in_two_files_are_refused(tmp_path, files):
    again = write(tmp_path / "sample.txt", [freddie_loan(ID)])
    with pytest.raises(DataError, match=r"1 loan of the origination file .* there twice \(e.g. F00Q10000001\)"):
        freddie_mac([files[0], again], files[1])

"""Files are read as they are written: no pattern in a name, no guessed date, no silent gap between the files of a folder."""

import gzip

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churnsurv.data import build_spells
from churnsurv.data.files import frame_of_file
from churnsurv.exceptions import DataError
from tests.data.tables import RULES, loan_table, performance_table, rules

LOANS = loan_table((1, 0, 12), (2, 0, 12))
PERFORMANCE = performance_table(
    *[(1, 0, "open", 600), (1, 1, "prepaid", 601)], *[(2, 0, "open", 610), (2, 1, "charged off", 611)]
)
CAUSES = ["open", "attrition", "open", "default"]
BY_CODE = rules(
    status=None,
    open=(),
    matured=(),
    causes={},
    exits=[{"cause": "default", "when": [{"column": "code", "values": ["03"]}]}],
)


def written(folder, name, text, encoding="utf-8"):
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return file


def causes(performance, given=RULES):
    return build_spells(LOANS, performance, given).frame["cause"].tolist()


@pytest.mark.parametrize("name", ["a[1].parquet", "a*.parquet", "a?.parquet", "it's.parquet", "{a,b}.parquet"])
def test_names_of_files_and_folders_are_no_patterns(name, tmp_path):
    for decoy in ("a1.parquet", "ab.parquet"):
        PERFORMANCE.assign(status="open").to_parquet(tmp_path / decoy)
    PERFORMANCE.to_parquet(tmp_path / name)
    assert causes(tmp_path / name) == CAUSES
    (tmp_path / f"{name}.d").mkdir()
    PERFORMANCE.to_parquet(tmp_path / f"{name}.d" / "part.parquet")
    assert causes(tmp_path / f"{name}.d") == CAUSES


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_header_is_the_line_that_names_the_columns(separator, tmp_path):
    text = "\ufeffExport of 2024\n\n" + PERFORMANCE.to_csv(index=False, sep=separator)
    assert causes(written(tmp_path, "rows.csv", text)) == CAUSES
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert causes(tmp_path / "rows.csv.gz") == CAUSES


def test_dates_of_csv_files_are_read_as_the_rules_say_and_not_guessed(tmp_path):
    days = ["01/02/2024", "01/03/2024"] * 2
    file = written(tmp_path, "rows.csv", PERFORMANCE.assign(month=days).to_csv(index=False))
    with pytest.raises(DataError, match=r"'month' holds 4 values that are no date .* '01/02/2024'"):
        build_spells(LOANS, file, RULES)
    frame = build_spells(LOANS, file, rules(dates={"month": "%d/%m/%Y"})).frame
    assert frame["period"].dt.month.tolist() == [2, 3, 2, 3]


def test_values_of_csv_files_that_stand_for_missing_are_missing(tmp_path):
    scores = ["600", "NA", "NULL", "nan"]
    file = written(tmp_path, "rows.csv", PERFORMANCE.assign(score=scores).to_csv(index=False))
    assert frame_of_file("performance", file)["score"].isna().tolist() == [False, True, True, True]


@pytest.mark.parametrize("code", [["01", "03", "01", "01"], [None, "03", None, None]])
def test_codes_with_zeros_in_front_are_found_however_they_were_read(code, tmp_path):
    coded = PERFORMANCE.assign(code=code)
    expected = ["open", "default", "open", "open"]
    assert causes(coded, BY_CODE) == expected
    assert causes(written(tmp_path, "rows.csv", coded.to_csv(index=False)), BY_CODE) == expected
    # pandas reads such a column as numbers
    assert causes(pd.read_csv(tmp_path / "rows.csv"), BY_CODE) == expected


def test_truth_values_of_csv_files_are_statuses(tmp_path):
    gone = PERFORMANCE.assign(gone=["F", "T", "F", "T"])
    file = written(tmp_path, "rows.csv", gone.to_csv(index=False))
    given = rules(status="gone", open=["F"], matured=[], causes={"attrition": ["T"]})
    assert causes(gone, given) == causes(file, given) == ["open", "attrition"] * 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        (PERFORMANCE.to_csv(index=False) + "3,2024\n", "line 6 has 2 fields, the header 4"),
        (PERFORMANCE.to_csv(index=False) + "3,2024-01-01,open,1,2,3\n", "line 6 has 6 fields, the header 4"),
    ],
    ids=["empty", "short", "long"],
)
def test_faults_of_csv_files_are_told_by_their_line(text, told, tmp_path):
    with pytest.raises(DataError, match=rf"performance table: .*{told}"):
        build_spells(LOANS, written(tmp_path, "rows.csv", text), RULES)


def test_other_encodings_are_told(tmp_path):
    file = written(tmp_path, "rows.csv", PERFORMANCE.assign(status="öpen").to_csv(index=False), "latin-1")
    with pytest.raises(DataError, match="not encoded as UTF-8; save it so"):
        build_spells(LOANS, file, RULES)


def folder_of(folder, **tables):
    for name, table in tables.items():
        target = folder / f"{name}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table), target)
    return folder


def test_a_column_that_is_wholly_missing_in_one_file_of_a_folder_is_read_in_the_others(tmp_path):
    first = pa.Table.from_pandas(PERFORMANCE[:2].assign(code=None))
    assert pa.types.is_null(first.schema.field("code").type)
    last = PERFORMANCE[2:].assign(code=["", "03"])
    assert causes(folder_of(tmp_path, a=first, b=last), BY_CODE) == ["open", "open", "open", "default"]


def test_files_of_a_folder_without_a_used_column_are_named(tmp_path):
    folder = folder_of(tmp_path, a=PERFORMANCE[:2], b=PERFORMANCE[2:].drop(columns="score"))
    with pytest.raises(DataError, match=r"column 'score' is not in every file .* missing in .*b.parquet"):
        build_spells(LOANS, folder, RULES)


def test_hidden_files_of_a_folder_are_passed_over(tmp_path):
    hidden = PERFORMANCE.assign(score=1.0)
    folder = folder_of(tmp_path, **{"a": PERFORMANCE, ".b": hidden, "_temporary/c": hidden})
    assert causes(folder) == CAUSES
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no file that ends in .parquet"):
        build_spells(LOANS, tmp_path / "empty", RULES)


def test_a_path_that_is_empty_is_refused():
    with pytest.raises(DataError, match="performance table: the path is empty"):
        build_spells(LOANS, "", RULES)

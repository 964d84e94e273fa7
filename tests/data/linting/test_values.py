import numpy as np
import pandas as pd
import pytest

from churnsurv.data.linting.values import coded

NAN = np.nan


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, 2, 3], "number", [1, 2, 3]),
        ([True, False, True], "number", [1, 0, 1]),
        ([1.5, np.inf, NAN], "number", [1.5, NAN, NAN]),
        ([None, None, None], "number", [NAN, NAN, NAN]),
        ([1, None, 2.5], "number", [1, NAN, 2.5]),
        (pd.array([1, None, 3], dtype="Int64"), "number", [1, NAN, 3]),
        (pd.array([True, None, False], dtype="boolean"), "number", [1, NAN, 0]),
        (pd.to_timedelta([1, None, 3], unit="D"), "number", [1, NAN, 3]),
        (pd.to_datetime(["1970-01-03", None, "1970-02-01"]), "date", [2, NAN, 31]),
        (pd.to_datetime(["1970-01-03", None, "1970-02-01"]).tz_localize("Asia/Tokyo"), "date", [2, NAN, 31]),
        (pd.PeriodIndex(["1970-01", "1970-02", None], freq="M"), "date", [0, 31, NAN]),
        ([pd.Timestamp("1970-01-02").date(), None, pd.Timestamp("1970-01-01").date()], "date", [1, NAN, 0]),
        (["b", None, "a"], "category", [1, NAN, 0]),
        (["b ", "", " b"], "category", [1, 0, 1]),
        (pd.array(["b", None, "a"], dtype="string"), "category", [1, NAN, 0]),
        (pd.Categorical(["b", None, "a"], categories=["b", "a", "c"]), "category", [1, NAN, 0]),
        (pd.Categorical([20, None, 10]), "category", [1, NAN, 0]),
        ([[2], None, [1]], "category", [1, NAN, 0]),
        ([1, "a", None], "category", [0, 1, NAN]),
    ],
    ids=str,
)
def test_every_type_is_read_as_numbers_with_the_missing_ones_missing(values, kind, expected):
    read = coded(pd.Series(values, name="x"))
    assert read.kind == kind
    np.testing.assert_array_equal(read.values, expected)

"""The encoding of covariates is learnt once and replayed."""

import numpy as np
import pandas as pd
import pytest

from churnsurv.data.encoder import DesignEncoder
from churnsurv.data.features import feature_frame
from churnsurv.exceptions import DataError, UnseenCategoryError


def frame():
    return pd.DataFrame(
        {"rate": [4.0, 5.5, 5.0, 6.0], "segment": ["a", "b", "a", "c"], "secured": [True, False, True, True]}
    )


def test_every_column_is_encoded_with_the_first_level_as_reference():
    encoder = DesignEncoder().fit(frame())
    assert encoder.terms_ == ["rate", "segment[T.b]", "segment[T.c]", "secured"]
    np.testing.assert_array_equal(encoder.transform(frame())[1], [5.5, 1, 0, 0])


def test_a_formula_without_intercept_keeps_the_reference_level():
    with_it = DesignEncoder("rate + segment").fit(frame())
    without = DesignEncoder("rate + segment - 1").fit(frame())
    assert with_it.terms_ == without.terms_ == ["rate", "segment[T.b]", "segment[T.c]"]


def test_knots_and_centres_are_those_of_the_fit():
    encoder = DesignEncoder("center(rate)").fit(frame())
    moved = frame().assign(rate=lambda d: d["rate"] + 100)
    np.testing.assert_allclose(encoder.transform(moved)[:, 0], frame()["rate"] - frame()["rate"].mean() + 100)


@pytest.mark.parametrize(
    "formula", [None, "rate + segment", "rate * C(segment, contr.treatment('b'))", "bs(rate, df=4)"]
)
def test_the_state_rebuilds_the_encoder(formula):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"rate": rng.normal(size=60), "segment": rng.choice(list("abc"), 60)})
    encoder = DesignEncoder(formula).fit(X)
    again = DesignEncoder.from_state(encoder.state())
    assert again.terms_ == encoder.terms_
    np.testing.assert_array_equal(again.transform(X), encoder.transform(X))


def test_unseen_levels_are_named_and_missing_ones_give_missing_rows():
    encoder = DesignEncoder().fit(frame())
    with pytest.raises(UnseenCategoryError, match=r"'segment' has 'Z' in 1 row \(row 0\).*known: a, b, c"):
        encoder.transform(frame().assign(segment=["Z", "a", "b", "c"]))
    design = encoder.transform(frame().assign(segment=[None, "a", "b", "c"]))
    assert np.isnan(design[0]).all()
    assert np.isfinite(design[1:]).all()


def test_storage_types_do_not_matter():
    plain = DesignEncoder().fit(frame()).transform(frame())
    other = frame().astype({"rate": "Float64", "segment": "category", "secured": "boolean"})
    np.testing.assert_array_equal(DesignEncoder().fit(other).transform(other), plain)


@pytest.mark.parametrize(
    ("formula", "columns", "words"),
    [
        (None, {"rate": ["4.0", "5.5", "5.0", "6.1"]}, "numbers as text.*pd.to_numeric"),
        (None, {"when": pd.date_range("2026-01-01", periods=4, tz="UTC")}, "'when' is datetime64"),
        (None, {"span": pd.to_timedelta([1, 2, 3, 4], unit="D")}, "'span' is timedelta64"),
        (None, {"rate": [1.0, np.inf, 2.0, 3.0]}, r"'rate' has 1 infinite value \(row 1\)"),
        ("rate + nothing", {}, "'rate [+] nothing'.*nothing"),
        ("rate ~ segment", {}, "left-hand side"),
        ("rate + (", {}, "cannot be read"),
        ("rate.__class__", {}, "__"),
        ("1", {}, "no covariate"),
        ("C(rate > 5)", {}, "make it a column of X first"),
    ],
)
def test_what_cannot_be_encoded_is_refused_in_words(formula, columns, words):
    X = frame().assign(**columns)
    with pytest.raises(DataError, match=words):
        DesignEncoder(formula).fit(X).transform(X)


def test_identifiers_are_no_categories():
    X = pd.DataFrame({"loan_id": [f"L{i}" for i in range(500)], "rate": 1.0})
    with pytest.raises(DataError, match=r"'loan_id' is text with 500 different values.*identifier"):
        DesignEncoder().fit(X)


def test_frames_are_made_of_arrays_and_refused_when_empty_or_ambiguous():
    assert list(feature_frame(np.ones((2, 3))).columns) == ["x0", "x1", "x2"]
    with pytest.raises(DataError, match="0 rows"):
        feature_frame(frame().iloc[:0])
    with pytest.raises(DataError, match="repeat: a"):
        feature_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match="1 dimension"):
        feature_frame([1.0, 2.0])

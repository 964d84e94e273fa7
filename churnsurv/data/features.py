"""From a frame of covariates to the numeric design matrix of a regression, the same way at the fit and at prediction.

:class:`DesignEncoder` learns the encoding once (columns, levels of categories, knots and centres of transforms) and
replays it on new rows. Formulas are evaluated by formulaic; the stored state is plain data, so a fitted encoder is
saved without pickle: a frame with one row per level rebuilds formulaic's specification.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from typing import Any, Self, cast

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec
from formulaic.errors import DataMismatchWarning, FormulaicError
from formulaic.parser.types import Factor
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from churnsurv.exceptions import DataError, UnseenCategoryError
from churnsurv.messages import counted, first_of, numeric_column

#: text columns with more levels than this, in more than half of the rows, are taken for identifiers
MOST_LEVELS = 200


def feature_frame(X: pd.DataFrame | ArrayLike, names: ArrayLike | None = None) -> pd.DataFrame:
    """Give covariates as a frame: a DataFrame as it is, polars and Arrow converted, arrays with columns x0, x1 and so on.

    Parameters
    ----------
    X : frame or array (n, p)
    names : sequence of str, optional
        Columns of the fit: an array without names has exactly these, in this order.

    Raises
    ------
    DataError
        No rows, no two dimensions, column names that repeat, an array of another width than at the fit.
    """
    if isinstance(X, pd.Series):
        X = X.to_frame()
    if not isinstance(X, pd.DataFrame):
        if hasattr(X, "to_pandas"):
            X = cast(pd.DataFrame, cast(Any, X).to_pandas())
        else:
            X = _named_array(np.asarray(X), None if names is None else [str(n) for n in np.asarray(names)])
    if len(X) == 0:
        raise DataError("X has 0 rows: there is nothing to analyse. Was everything filtered out before?")
    if not all(isinstance(c, str) for c in X.columns):
        X = X.set_axis([str(c) for c in X.columns], axis=1)
    if not X.columns.is_unique:
        raise DataError(f"Column names repeat: {first_of(X.columns[X.columns.duplicated()])}. Rename them.")
    return X


def _named_array(values: NDArray[Any], names: list[str] | None) -> pd.DataFrame:
    if values.ndim != 2:
        raise DataError(f"X has {values.ndim} dimension(s); give a frame or a 2-d array (rows x columns).")
    if names is None:
        names = [f"x{i}" for i in range(values.shape[1])]
    if values.shape[1] != len(names):
        raise DataError(
            f"X has {counted(values.shape[1], 'column')} without names, the fit had {len(names)} ({first_of(names, 8)}). "
            "Pass the same columns in the same order, or a frame with names."
        )
    return pd.DataFrame(values, columns=names)


class DesignEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Encode covariates as numbers by a formula (right-hand side, formulaic's grammar) or column by column.

    Parameters
    ----------
    formula : str, optional
        E.g. ``"rate_incentive + C(term) + bs(age, df=4)"``. An intercept is never part of the design (it cancels in Cox's
        partial likelihood) but categories are coded against a reference level as if it were. Default: every column,
        numbers as they are and text or categories by indicators against the first level.

    Attributes
    ----------
    terms_ : list of str
        Names of the columns of the design.
    columns_ : list of str
        Columns of X that are needed.
    levels_ : dict
        Known levels of the categorical columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv.data.features import DesignEncoder
    >>> X = pd.DataFrame({"rate": [4.0, 5.5, 5.0], "segment": ["a", "b", "a"]})
    >>> encoder = DesignEncoder().fit(X)
    >>> encoder.terms_
    ['rate', 'segment[T.b]']
    >>> encoder.transform(X)[1]
    array([5.5, 1. ])
    """

    def __init__(self, formula: str | None = None) -> None:
        self.formula = formula

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Learn columns, levels and transforms from `X`."""
        frame = feature_frame(X)
        formula = None
        if self.formula is None:
            self.columns_ = [str(c) for c in frame.columns]
            if any(is_categorical(frame[c]) for c in frame.columns):
                formula = " + ".join(f"`{c}`" for c in frame.columns)
        else:
            formula = self.formula.strip().removeprefix("~")
            self.columns_ = _formula_columns(formula, frame)
            terms = [str(term).strip("`") for term in Formula(formula) if str(term) != "1"]
            if sorted(terms) == sorted(self.columns_) and not any(is_categorical(frame[c]) for c in terms):
                # plain numbers need no formula: the columns as they are, a hundred times faster
                self.columns_, formula = terms, None
        if not self.columns_:
            raise DataError("There is no covariate: X has no column left, or the formula names none.")
        self.__dict__.pop("formula_", None)
        self.levels_: dict[str, list[Any]] = {}
        self.transform_state_: dict[str, Any] = {}
        if formula is None:
            self.terms_ = list(self.columns_)
            return self
        self.formula_ = formula
        self._build_spec(_plain_types(frame[self.columns_]))
        return self

    def transform(self, X: pd.DataFrame | ArrayLike) -> NDArray[np.float64]:
        """Give the design matrix (n, p); rows in which a needed value is missing are NaN throughout."""
        frame = feature_frame(X)
        absent = [c for c in self.columns_ if c not in frame.columns]
        if absent and not isinstance(X, pd.DataFrame) and frame.shape[1] == len(self.columns_):
            frame = frame.set_axis(self.columns_, axis=1)
            absent = []
        if absent:
            raise DataError(f"Missing {counted(len(absent), 'column')} {first_of([repr(c) for c in absent])} in X.")
        if list(frame.columns) != self.columns_:
            frame = frame[self.columns_]
        if not hasattr(self, "formula_"):
            design = _numeric_matrix(frame)
        else:
            plain = _plain_types(frame, known=self.levels_)
            self._check_levels(plain)
            design = self._replay(plain)
        _refuse_infinities(design, self.terms_)
        return design

    def state(self) -> dict[str, Any]:
        """Give everything learnt as plain data, see :meth:`from_state`."""
        return {
            "formula": self.formula,
            "fitted_formula": getattr(self, "formula_", None),
            "columns": self.columns_,
            "terms": self.terms_,
            "levels": self.levels_,
            "transform_state": self.transform_state_,
            "typical": getattr(self, "typical_", {}),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> DesignEncoder:
        """Rebuild a fitted encoder."""
        encoder = cls(state["formula"])
        encoder.columns_, encoder.terms_ = list(state["columns"]), list(state["terms"])
        encoder.levels_, encoder.transform_state_ = state["levels"], state["transform_state"]
        if state["fitted_formula"] is not None:
            encoder.formula_ = state["fitted_formula"]
            levels, typical = encoder.levels_, state["typical"]
            n = max([len(v) for v in levels.values()] + [2])
            prototype = {
                c: [levels[c][i % len(levels[c])] if c in levels else typical[c] for i in range(n)]
                for c in encoder.columns_
            }
            encoder._build_spec(pd.DataFrame(prototype))
        return encoder

    def __getstate__(self) -> dict[str, Any]:
        return {"formula": self.formula} | ({"fitted": self.state()} if hasattr(self, "terms_") else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(
            self.from_state(state["fitted"]).__dict__ if "fitted" in state else {"formula": state["formula"]}
        )

    def _build_spec(self, frame: pd.DataFrame) -> None:
        """Let formulaic learn the encoding from a frame without missing values."""
        terms = Formula(self.formula_)
        if "1" not in [str(term) for term in terms]:
            terms = Formula(["1", *[str(term) for term in terms]])
        complete = frame.dropna()
        if complete.empty:
            raise DataError(f"Every row has a missing value in one of {first_of(frame.columns)}.")
        spec = ModelSpec(formula=terms, na_action="ignore", transform_state=dict(self.transform_state_))
        try:
            spec = spec.get_model_matrix(complete, context={"np": np}).model_spec
        except FormulaicError as error:
            raise DataError(
                f"Formula {self.formula_!r} cannot be evaluated: {str(error).splitlines()[0]} "
                f"It uses these columns of X: {first_of(frame.columns, 15) or 'none'}."
            ) from error
        self.spec_ = spec
        self.terms_ = [name for name in spec.column_names if name != "Intercept"]
        self.transform_state_ = dict(spec.transform_state)
        self.typical_ = {c: float(complete[c].mean()) for c in self.columns_ if complete[c].dtype == np.float64}
        for expression, (kind, _) in spec.encoder_state.items():
            if kind is Factor.Kind.CATEGORICAL:
                self._learn_levels(expression, complete)

    def _learn_levels(self, expression: str, frame: pd.DataFrame) -> None:
        """Remember the levels of the column behind a categorical factor: the column itself, or C(column, …)."""
        named = re.fullmatch(r"(?:C\(\s*)?(?:`([^`]+)`|([^\W\d]\w*))(?:\s*[,)].*)?", expression, re.DOTALL)
        column = (named[1] or named[2]) if named else None
        if column not in self.columns_:
            raise DataError(
                f"{expression!r} makes a category of an expression: make it a column of X first, e.g. "
                "X.assign(high_rate=X['rate'] > 5), and name that in the formula."
            )
        values = frame[column]
        levels = sorted(values.unique().tolist(), key=lambda v: (str(type(v)), v))
        if expression.strip("`") == column:
            refuse_text_that_is_no_category(values, levels, column)
        self.levels_[column] = levels

    def _check_levels(self, frame: pd.DataFrame) -> None:
        for column, levels in self.levels_.items():
            values = frame[column]
            unseen = np.flatnonzero(values.notna() & ~values.isin(levels))
            if len(unseen):
                raise UnseenCategoryError(
                    f"Column {column!r} has {first_of([repr(v) for v in values.iloc[unseen].unique()])} in "
                    f"{counted(len(unseen), 'row')} (row {first_of(unseen)}), not seen in training (known: "
                    f"{first_of(levels, 12)}). Map it to a known level, or fit again with such rows."
                )

    def _replay(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        # rows with missing values are left to the caller: formulaic would code a missing category as the reference
        missing = frame.isna().any(axis=1).to_numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)
            design = np.full((len(frame), len(self.terms_)), np.nan)
            if not missing.all():
                try:
                    matrix = self.spec_.get_model_matrix(frame[~missing], context={"np": np})
                except DataMismatchWarning as error:
                    raise UnseenCategoryError(str(error)) from error
                design[~missing] = matrix[self.terms_].to_numpy(dtype=np.float64)
        return design


def missing_report(design: NDArray[np.float64], frame: pd.DataFrame) -> str:
    """Say which columns of `frame` (or terms) have missing values and where, for an error or a warning."""
    parts = []
    for column in frame.columns:
        rows = np.flatnonzero(frame[column].isna())
        if len(rows):
            parts.append(f"column {column!r} has {counted(len(rows), 'missing value')} (row {first_of(rows)})")
    if not parts:
        rows = np.flatnonzero(np.isnan(design).any(axis=1))
        parts.append(f"a term of the formula is not a number in {counted(len(rows), 'row')} (row {first_of(rows)})")
    more = f"; and {counted(len(parts) - 3, 'more column')}" if len(parts) > 3 else ""
    return "; ".join(parts[:3]) + more


def is_categorical(values: pd.Series) -> bool:
    """Tell whether a column holds categories or text, not numbers, dates or durations."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype | pd.StringDtype):
        return True
    if dtype != np.dtype(object):
        return False
    return pd.api.types.infer_dtype(values, skipna=True) in ("string", "mixed", "categorical")


def _plain_types(frame: pd.DataFrame, known: Collection[str] = ()) -> pd.DataFrame:
    """Give numbers as doubles and categories as plain values, so that encodings do not depend on storage types."""
    columns: dict[Any, pd.Series] = {}
    for name in frame.columns:
        values = frame[name]
        if isinstance(values.dtype, pd.CategoricalDtype):
            columns[name] = values.cat.remove_unused_categories()
        elif is_categorical(values) or (name in known and values.dtype.kind == "O"):
            columns[name] = values.astype(object)
        else:
            columns[name] = pd.Series(numeric_column(values, str(name)), index=frame.index)
    return pd.DataFrame(columns, index=frame.index)


def _numeric_matrix(frame: pd.DataFrame) -> NDArray[np.float64]:
    if all(dtype == np.float64 for dtype in frame.dtypes):
        return frame.to_numpy()
    design = np.empty(frame.shape, order="F")
    for position, name in enumerate(frame.columns):
        design[:, position] = numeric_column(frame[name], str(name))
    return design


def _refuse_infinities(design: NDArray[np.float64], terms: list[str]) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        sums = design.sum(axis=0)
    for column in np.flatnonzero(~np.isfinite(sums)):
        rows = np.flatnonzero(np.isinf(design[:, column]))
        if len(rows):
            raise DataError(
                f"Column {terms[column]!r} has {counted(len(rows), 'infinite value')} (row {first_of(rows)}). "
                "Correct them, or cap the column (e.g. a logarithm of zero)."
            )


def refuse_text_that_is_no_category(values: pd.Series, levels: list[Any], column: str) -> None:
    """Refuse text that is numbers or an identifier; a categorical type is taken at its word."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return
    if pd.to_numeric(pd.Series(levels), errors="coerce").notna().all():
        raise DataError(
            f"Column {column!r} holds numbers as text (e.g. {levels[0]!r}): convert it with pd.to_numeric(X[{column!r}]), "
            f"or write C({column}) in the formula if they are labels."
        )
    if len(levels) > MOST_LEVELS and len(levels) > len(values) / 2:
        raise DataError(
            f"Column {column!r} is text with {len(levels):,} different values in {counted(len(values), 'row')}: an "
            "identifier? Leave it out of X, or pass it as cluster= or as the outcome's subject."
        )


def _formula_columns(formula: str, frame: pd.DataFrame) -> list[str]:
    """Give the columns of the frame that a formula needs; other names in it are an error."""
    if "__" in formula:
        raise DataError("A formula may not contain '__'.")
    try:
        parsed = Formula(formula)
    except (FormulaicError, SyntaxError) as error:
        raise DataError(f"Formula {formula!r} cannot be read: {str(error).splitlines()[0]}") from error
    if hasattr(parsed, "lhs"):
        raise DataError(
            f"Formula {formula!r} has a left-hand side; the outcome is passed as y, give the right-hand side."
        )
    return [str(c) for c in frame.columns if str(c) in _names_in(formula)]


def _names_in(expression: str) -> set[str]:
    """Give what could be names of columns in an expression; formulaic cannot list them before it has seen data."""
    return {quoted or plain for quoted, plain in re.findall(r"`([^`]+)`|([^\W\d]\w*)", expression)}

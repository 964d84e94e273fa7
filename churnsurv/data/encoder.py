"""From a frame of covariates to the numeric design matrix of a regression, the same way at the fit and at prediction.

:class:`DesignEncoder` learns the encoding once (columns, levels of categories, knots and centres of transforms) and
replays it on new rows. Formulas are evaluated by formulaic; the stored state is plain data, so a fitted encoder is
saved without pickle: a frame with one row per level rebuilds formulaic's specification.
"""

from __future__ import annotations

import re
import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec
from formulaic.errors import DataMismatchWarning, FormulaicError
from formulaic.parser.types import Factor
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from churnsurv.data.features import feature_frame, is_categorical, levels_of, refuse_text_that_is_no_category
from churnsurv.exceptions import DataError, UnseenCategoryError
from churnsurv.messages import counted, first_of, numeric_column


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
    >>> from churnsurv.data.encoder import DesignEncoder
    >>> X = pd.DataFrame({"rate": [4.0, 5.5, 5.0], "segment": ["a", "b", "a"]})
    >>> encoder = DesignEncoder().fit(X)
    >>> encoder.terms_
    ['rate', 'segment[T.b]']
    >>> encoder.transform(X)[1]
    array([5.5, 1. ])
    """

    def __init__(self, formula: str | None = None) -> None:
        self.formula = formula

    def fit(self, X: pd.DataFrame | ArrayLike, y: Any = None) -> Self:
        """Learn columns, levels and transforms from `X`."""
        frame = feature_frame(X)
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.transform_state_: dict[str, Any] = {}
        self.typical_: dict[str, float] = {}
        self.formula_: str | None = None
        if self.formula is None:
            self.columns_ = expressions = [str(c) for c in frame.columns]
        else:
            formula = self.formula.strip().removeprefix("~")
            self.columns_, expressions = _formula_columns(formula, frame), _expressions(formula)
        if not self.columns_:
            raise DataError("There is no covariate: X has no column left, or the formula names none.")
        self.levels_: dict[str, list[Any]] = _category_levels(expressions, frame)
        if sorted(expressions) == sorted(self.columns_) and _is_a_plain_sum(self.formula):
            # columns as they are need no formula, and are encoded a hundred times faster
            self.columns_ = expressions
            self.terms_ = [term for c in expressions for term in self._terms_of(c)]
            return self
        self.formula_ = formula
        typed = self._typed(frame[self.columns_])
        self.typical_ = {c: float(typed[c].mean()) for c in self.columns_ if c not in self.levels_}
        self._build_spec(typed)
        return self

    def transform(self, X: pd.DataFrame | ArrayLike) -> NDArray[np.float64]:
        """Give the design matrix (n, p); rows in which a needed value is missing are NaN throughout."""
        frame = feature_frame(X, self.feature_names_in_)
        absent = [c for c in self.columns_ if c not in frame.columns]
        if absent:
            raise DataError(f"Missing {counted(len(absent), 'column')} {first_of([repr(c) for c in absent])} in X.")
        if list(frame.columns) != self.columns_:
            frame = frame[self.columns_]
        self._check_levels(frame)
        design = self._by_column(frame) if self.formula_ is None else self._replay(self._typed(frame))
        _refuse_infinities(design, self.terms_)
        return design

    def state(self) -> dict[str, Any]:
        """Give everything learnt as plain data, see :meth:`from_state`."""
        return {
            "formula": self.formula,
            "fitted_formula": self.formula_,
            "names": [str(c) for c in self.feature_names_in_],
            "columns": self.columns_,
            "terms": self.terms_,
            "levels": self.levels_,
            "transform_state": self.transform_state_,
            "typical": self.typical_,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> DesignEncoder:
        """Rebuild a fitted encoder."""
        encoder = cls(state["formula"])
        encoder.feature_names_in_ = np.asarray(state["names"], dtype=object)
        encoder.columns_, encoder.terms_ = list(state["columns"]), list(state["terms"])
        encoder.levels_, encoder.transform_state_ = state["levels"], state["transform_state"]
        encoder.typical_, encoder.formula_ = state["typical"], state["fitted_formula"]
        if encoder.formula_ is not None:
            levels = encoder.levels_
            n = max([len(v) for v in levels.values()] + [2])
            rows = {
                c: [levels[c][i % len(levels[c])] for i in range(n)] if c in levels else [encoder.typical_[c]] * n
                for c in encoder.columns_
            }
            encoder._build_spec(encoder._typed(pd.DataFrame(rows)))
            if encoder.terms_ != list(state["terms"]):
                raise DataError("The encoding of the covariates cannot be rebuilt with this version of formulaic.")
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
        if not any(f.eval_method is Factor.EvalMethod.LITERAL for term in terms for f in term.factors):
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
        for expression, (kind, _) in spec.encoder_state.items():
            if kind is Factor.Kind.CATEGORICAL and _column_of(expression) not in self.levels_:
                _refuse_category_of_expression(expression)

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give numbers as doubles and categories with the known levels, however the columns are stored."""
        columns: dict[str, Any] = {}
        for name in self.columns_:
            if name in self.levels_:
                columns[name] = pd.Categorical(frame[name].astype(object), categories=self.levels_[name])
            else:
                columns[name] = numeric_column(frame[name], name)
        return pd.DataFrame(columns, index=frame.index)

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

    def _terms_of(self, column: str) -> list[str]:
        """Give the names of a column's terms: itself, or an indicator of every level but the first."""
        return [f"{column}[T.{v}]" for v in self.levels_[column][1:]] if column in self.levels_ else [column]

    def _by_column(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Give the design without a formula: numbers as they are, categories by indicators against the first level."""
        if all(dtype == np.float64 for dtype in frame.dtypes):
            return frame.to_numpy()
        design = np.empty((len(frame), len(self.terms_)), order="F")
        position = 0
        for name in self.columns_:
            if name not in self.levels_:
                design[:, position] = numeric_column(frame[name], name)
                position += 1
                continue
            codes = pd.Categorical(frame[name].astype(object), categories=self.levels_[name]).codes
            for code in range(1, len(self.levels_[name])):
                design[:, position] = np.where(codes < 0, np.nan, codes == code)
                position += 1
        design[np.isnan(design).any(axis=1)] = np.nan
        return design

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


def _expressions(formula: str) -> list[str]:
    """Give the factors of a formula, once each, in their order, without the intercept."""
    factors = [factor for term in Formula(formula) for factor in term.factors]
    return list(dict.fromkeys(str(f.expr) for f in factors if f.eval_method is not Factor.EvalMethod.LITERAL))


def _is_a_plain_sum(formula: str | None) -> bool:
    return formula is None or all(len(term.factors) == 1 for term in Formula(formula.strip().removeprefix("~")))


def _column_of(expression: str) -> str | None:
    """Give the column behind a categorical factor: the column itself, or C(column, …)."""
    named = re.fullmatch(r"(?:C\(\s*)?(?:`([^`]+)`|([^\W\d]\w*))(?:\s*[,)].*)?", expression, re.DOTALL)
    return (named[1] or named[2]) if named else None


def _refuse_category_of_expression(expression: str) -> None:
    raise DataError(
        f"{expression!r} makes a category of an expression: make it a column of X first, e.g. "
        "X.assign(high_rate=X['rate'] > 5), and name that in the formula."
    )


def _category_levels(expressions: list[str], frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Give the levels of every column that the formula takes as a category."""
    levels: dict[str, list[Any]] = {}
    for expression in expressions:
        if expression in frame.columns:
            if is_categorical(frame[expression]):
                levels[expression] = levels_of(frame[expression])
                refuse_text_that_is_no_category(frame[expression], levels[expression], expression)
        elif re.match(r"C\s*\(", expression):
            column = _column_of(expression)
            if column not in frame.columns:
                _refuse_category_of_expression(expression)
            levels[str(column)] = levels_of(frame[column])
    both = [c for c in levels if c in expressions and not is_categorical(frame[c])]
    if both:
        raise DataError(
            f"The formula takes {both[0]!r} as a number and, by C({both[0]}), as a category: make a second column for one."
        )
    return levels

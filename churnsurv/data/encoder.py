"""From a frame of covariates to the numeric design matrix of a regression, the same way at the fit and at prediction.

:class:`DesignEncoder` learns the encoding once (columns, levels of categories, knots and centres of transforms) and
replays it on new rows. Formulas are evaluated by formulaic; the stored state is plain data, so a fitted encoder is
saved without pickle: a frame with one row per level rebuilds formulaic's specification.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec
from formulaic.errors import DataMismatchWarning, FormulaicError
from formulaic.parser.types import Factor
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from churnsurv.data.design_rows import finite_or_missing, not_evaluated
from churnsurv.data.features import feature_frame
from churnsurv.data.formulas import (
    category_levels,
    column_of,
    expressions_of,
    formula_columns,
    is_a_plain_sum,
    refuse_category_of_expression,
    right_hand_side,
)
from churnsurv.data.splines import HELD_SPLINES, SPLINES
from churnsurv.exceptions import DataError, UnseenCategoryError
from churnsurv.messages import counted, first_of, numeric_column


class DesignEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Encode covariates as numbers by a formula (right-hand side, formulaic's grammar) or column by column.

    Parameters
    ----------
    formula : str, optional
        E.g. ``"rate_incentive + C(term) + cs(age, df=4)"``. An intercept is never part of the design (it cancels in Cox's
        partial likelihood) but categories are coded against a reference level as if it were: the first one (of a
        pandas categorical, its first category), or that of ``C(segment, contr.treatment("b"))``. Default: every column,
        numbers as they are and text or categories by indicators against the first level.

    Notes
    -----
    Curves: ``cs(x, df=4)`` (also ``cr``) is a natural cubic spline, also called restricted, with knots at quantiles of the
    fit; beyond the outermost it goes on as a straight line. With ``knots=[...], lower_bound=, upper_bound=`` at Harrell's
    knots it is his restricted cubic spline (R's ``rms::rcs``) in another basis. ``bs(x, df=4)`` are B-splines; beyond the
    range of the fit they are refused, unless ``lower_bound`` and ``upper_bound`` are given or ``extrapolation="clip"`` holds
    the ends. ``cc(x, df=4, lower_bound=1, upper_bound=13)`` is cyclic, for months of the year. ``df`` is the number of columns.
    Knots and centres are those of the fit; terms that depend on other rows in another way (``x.rank()``, ``lag(x)``) are
    refused.

    A step of a scikit-learn pipeline: ``set_output``, ``clone`` and pickling work as they should.

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
    >>> import churnsurv as cs
    >>> X = pd.DataFrame({"rate": [4.0, 5.5, 5.0], "segment": ["a", "b", "a"]})
    >>> encoder = cs.data.DesignEncoder().fit(X)
    >>> encoder.terms_
    ['rate', 'segment[T.b]']
    >>> encoder.transform(X)[1]
    array([5.5, 1. ])
    """

    def __init__(self, formula: str | None = None) -> None:
        self.formula = formula

    def fit(self, X: pd.DataFrame | ArrayLike, y: Any = None) -> Self:
        """Learn columns, levels and transforms from `X`; `y` is not looked at."""
        frame = feature_frame(X)
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        self.transform_state_: dict[str, Any] = {}
        self.typical_: dict[str, float] = {}
        self.formula_: str | None = None
        formula = None if self.formula is None else right_hand_side(self.formula)
        if formula is None:
            self.columns_ = expressions = [str(c) for c in frame.columns]
        else:
            self.columns_, expressions = formula_columns(formula, frame), expressions_of(formula)
        if not self.columns_:
            what = "X has no column left" if formula is None else f"formula {formula!r} names no column of X"
            raise DataError(f"There is no covariate: {what}. Columns of X: {first_of(frame.columns, 12) or 'none'}.")
        self.levels_: dict[str, list[Any]] = category_levels(expressions, frame)
        if formula is None or (sorted(expressions) == sorted(self.columns_) and is_a_plain_sum(formula)):
            # columns as they are need no formula, and are encoded a hundred times faster
            self.columns_ = expressions
            for column in expressions:
                if column not in self.levels_:
                    numeric_column(frame[column], column)
            self.terms_ = [term for c in expressions for term in self._terms_of(c)]
            return self
        self.formula_ = formula
        typed = self._typed(frame[self.columns_])
        complete = typed.dropna()
        if complete.empty:
            raise DataError(f"Every row has a missing value in one of {first_of(self.columns_)}.")
        self.typical_ = {c: float(typed[c].mean()) for c in self.columns_ if c not in self.levels_}
        design = self._build_spec(complete, SPLINES)
        self._refuse_dependence_between_rows(complete, design)
        return self

    def transform(self, X: pd.DataFrame | ArrayLike) -> NDArray[np.float64]:
        """Give the design matrix (n, p), as a frame after ``set_output(transform="pandas")``; see :meth:`design`."""
        return self.design(X)

    def design(self, X: pd.DataFrame | ArrayLike) -> NDArray[np.float64]:
        """Give the design matrix (n, p) as an array; rows in which a needed value is missing are NaN throughout.

        Raises
        ------
        DataError
            The encoder is not fitted; a column is absent, not numeric or infinite; a value lies beyond the knots of a
            B-spline.
        UnseenCategoryError
            A level that the fit did not see.
        """
        self._require_fit()
        frame = feature_frame(X, self.feature_names_in_)
        absent = [c for c in self.columns_ if c not in frame.columns]
        if absent:
            raise DataError(f"Missing {counted(len(absent), 'column')} {first_of([repr(c) for c in absent])} in X.")
        if list(frame.columns) != self.columns_:
            frame = frame[self.columns_]
        self._check_levels(frame)
        design = self._by_column(frame) if self.formula_ is None else self._replay(self._typed(frame))
        return finite_or_missing(design, self.terms_)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Give the names of the columns of the design; `input_features`, if given, must be those of the fit."""
        self._require_fit()
        if input_features is not None and list(np.asarray(input_features)) != list(self.feature_names_in_):
            raise DataError(
                f"input_features are {first_of(np.asarray(input_features))}; the fit had {first_of(self.feature_names_in_)}."
            )
        return np.asarray(self.terms_, dtype=object)

    def columns_by_term(self) -> dict[str, list[int]]:
        """Give each term of the formula (without one: each column of X) with the positions of its columns in the design."""
        self._require_fit()
        if self.formula_ is None:
            sizes = [(column, len(self._terms_of(column))) for column in self.columns_]
        else:
            # the intercept is no column of the design
            sizes = [(str(term), len(at)) for term, at in self.spec_.term_indices.items() if str(term) != "1"]
        ends = np.cumsum([size for _, size in sizes])
        return {term: list(range(end - size, end)) for (term, size), end in zip(sizes, ends, strict=True) if size}

    def sources_by_term(self) -> dict[str, set[str]]:
        """Give each term with the columns of X of which it is made."""
        self._require_fit()
        if self.formula_ is None:
            return {column: {column} for column in self.columns_}
        made_of = self.spec_.term_variables.items()
        return {str(term): {str(v) for v in variables if v.source == "data"} for term, variables in made_of}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def state(self) -> dict[str, Any]:
        """Give everything learnt as plain data, see :meth:`from_state`."""
        self._require_fit()
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
        encoder.n_features_in_ = len(state["names"])
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
            encoder._build_spec(encoder._typed(pd.DataFrame(rows)), HELD_SPLINES)
            if encoder.terms_ != list(state["terms"]):
                raise DataError("The encoding of the covariates cannot be rebuilt with this version of formulaic.")
        return encoder

    def __getstate__(self) -> dict[str, Any]:
        # the configuration of set_output lives in a private attribute of scikit-learn's
        kept = {name: value for name, value in vars(self).items() if name.startswith("_")}
        return {"formula": self.formula, **kept} | ({"fitted": self.state()} if hasattr(self, "terms_") else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        fitted = state.pop("fitted", None)
        self.__dict__.update({} if fitted is None else self.from_state(fitted).__dict__)
        self.__dict__.update(state)

    def _require_fit(self) -> None:
        if not hasattr(self, "terms_"):
            raise DataError("This DesignEncoder is not fitted yet: call fit(X) first.")

    def _build_spec(self, complete: pd.DataFrame, splines: Mapping[str, Any]) -> Any:
        """Let formulaic learn the encoding from a frame without missing values, and give its design."""
        terms = Formula(self.formula_)
        if not any(f.eval_method is Factor.EvalMethod.LITERAL for term in terms for f in term.factors):
            terms = Formula(["1", *[str(term) for term in terms]])
        spec = ModelSpec(formula=terms, na_action="ignore", transform_state=dict(self.transform_state_))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", DataMismatchWarning)
                matrix = spec.get_model_matrix(complete, context={"np": np, **splines})
        # formulaic wraps what fails when a factor is evaluated, not what fails when it is encoded
        except (FormulaicError, DataMismatchWarning, ValueError, TypeError, LookupError) as error:
            raise DataError(
                f"Formula {self.formula_!r} cannot be evaluated: {str(error).splitlines()[0]} "
                f"It uses these columns of X: {first_of(complete.columns, 15) or 'none'}."
            ) from error
        self.spec_ = matrix.model_spec
        self.terms_ = [name for name in self.spec_.column_names if name != "Intercept"]
        self.transform_state_ = dict(self.spec_.transform_state)
        for expression, (kind, _) in self.spec_.encoder_state.items():
            named = {
                expression,
                column_of(expression),
            }  # a column whose name is no identifier stands there without quotes
            if kind is Factor.Kind.CATEGORICAL and not named & set(self.levels_):
                refuse_category_of_expression(expression)
        return matrix

    def _refuse_dependence_between_rows(self, complete: pd.DataFrame, design: Any) -> None:
        """Refuse terms that the fit cannot replay: a customer would be encoded by who else is in the table."""
        some = np.arange(len(complete))[::-2][:50]
        alone, among = self._replay(complete.iloc[some]), design.iloc[some][self.terms_].to_numpy(dtype=np.float64)
        differs = ~np.isclose(alone, among, rtol=1e-9, atol=1e-9, equal_nan=True).all(axis=0)
        if differs.any():
            raise DataError(
                f"Term {self.terms_[int(np.argmax(differs))]!r} of a row depends on the other rows. Use center(), scale(), "
                "poly() or a spline, which keep what the fit learnt, or make it a column of X first."
            )

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
        return design

    def _replay(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        # rows with missing values are left to the caller: formulaic would code a missing category as the reference
        there = np.flatnonzero(~frame.isna().any(axis=1))
        design = np.full((len(frame), len(self.terms_)), np.nan)
        if len(there):
            with warnings.catch_warnings():
                warnings.simplefilter("error", DataMismatchWarning)
                try:
                    matrix = self.spec_.get_model_matrix(frame.iloc[there], context={"np": np, **SPLINES})
                except DataMismatchWarning as error:
                    raise UnseenCategoryError(str(error)) from error
                except FormulaicError as error:
                    raise DataError(not_evaluated(error, there)) from error
            design[there] = matrix[self.terms_].to_numpy(dtype=np.float64)
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

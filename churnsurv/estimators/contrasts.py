r"""Linear contrasts of coefficients and joint Wald tests: of hypotheses written as text, and of the terms of a formula.

For a matrix L and hypothesised values c, :math:`L\hat\beta - c` is asymptotically normal with covariance :math:`L V L'` when
:math:`L\beta = c`; V is the model's ``covariance_`` (the sandwich in robust fits). Wald (1943), Trans. Am. Math. Soc. 54.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from formulaic.utils.constraints import LinearConstraints
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm

from churnsurv.data.config import did_you_mean
from churnsurv.data.features import feature_frame
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.messages import confidence_level, counted, first_of, one_number
from churnsurv.results import TestResult

if TYPE_CHECKING:
    from churnsurv.estimators.cox_inference import CoxInference

Floats = NDArray[np.float64]
#: "a - b", {"a": 1, "b": -1}, or a list of such
Contrast = str | Mapping[str, float]


class Hypotheses(NamedTuple):
    """Rows of L with their labels, and the values c."""

    labels: list[Any]
    matrix: Floats
    values: Floats


def hypotheses(contrasts: Contrast | Sequence[Contrast], terms: list[str], value: float = 0.0) -> Hypotheses:
    """Read contrasts of the named terms.

    Raises
    ------
    DataError
        A text that cannot be read, an unknown term, a contrast without any coefficient, a value given twice.
    """
    several = list(contrasts) if isinstance(contrasts, list | tuple) else [contrasts]
    if not several:
        raise DataError("No contrast is given; write one such as 'a - b', or {'a': 1, 'b': -1}.")
    parts = [_of_mapping(c, terms) if isinstance(c, Mapping) else _of_text(c, terms) for c in several]
    labels = [label for part in parts for label in part.labels]
    matrix = np.vstack([part.matrix for part in parts])
    values = np.concatenate([part.values for part in parts])
    value = one_number(value, "value")
    if value != 0 and values.any():
        raise DataError(f"value={value:g} is given, but a contrast has a number of its own: write it there only.")
    empty = np.flatnonzero(~matrix.any(axis=1))
    if len(empty):
        raise DataError(f"Contrast {labels[empty[0]]!r} leaves no coefficient: it holds for every model.")
    return Hypotheses(labels, matrix, values + value)


def _of_mapping(contrast: Mapping[str, float], terms: list[str]) -> Hypotheses:
    row = np.zeros(len(terms))
    for term, number in contrast.items():
        if term not in terms:
            raise _unknown(str(term), terms)
        row[terms.index(term)] = one_number(number, f"the number of {term!r}")
    return Hypotheses([_written(row, terms)], row[None, :], np.zeros(1))


def _of_text(contrast: Any, terms: list[str]) -> Hypotheses:
    if not isinstance(contrast, str) or not contrast.strip():
        raise DataError(f"A contrast is a text such as 'a - b' or a mapping term → number, not {contrast!r}.")
    try:
        read = LinearConstraints.from_spec(_quoted(contrast, terms), variable_names=terms)
    except KeyError as error:
        raise _unknown(str(error.args[0]), terms) from error
    except (FormulaicError, RuntimeError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"Contrast {contrast!r} cannot be read: {str(error).splitlines()[0] if str(error) else 'it is empty'} Write "
            "sums such as 'a - b' or '2 * a = 0.5', the names as in coef_ (in backticks where they could be misread)."
        ) from error
    matrix = np.atleast_2d(np.asarray(read.constraint_matrix, dtype=np.float64))
    values = np.atleast_1d(np.asarray(read.constraint_values, dtype=np.float64))
    labels = [contrast.strip()] if len(matrix) == 1 else [_written(row, terms) for row in matrix]
    return Hypotheses(labels, matrix, values)


def _quoted(text: str, terms: list[str]) -> str:
    """Put names that hold more than letters into formulaic's backticks, whether they are bare or in quotes."""
    forms = []
    for term in sorted(terms, key=len, reverse=True):
        name = re.escape(term)
        forms += [f"`{name}`", f'"{name}"', f"'{name}'"]
        if re.search(r"\W", term):
            forms.append(rf"(?<![\w`.:]){name}(?![\w`])")
    return re.sub("|".join(forms), lambda found: f"`{_without_quotes(found[0], terms)}`", text)


def _without_quotes(found: str, terms: list[str]) -> str:
    return found if found in terms else found[1:-1]


def _unknown(term: str, terms: list[str]) -> DataError:
    return DataError(f"The contrast names {term!r}, which is no term of the model. {did_you_mean(term, terms)}")


def _written(row: Floats, terms: list[str]) -> str:
    text = ""
    for j in np.flatnonzero(row):
        size = abs(row[j])
        sign = " - " if row[j] < 0 else " + "
        text += (sign if text else sign.strip().replace("+", "")) + (
            terms[j] if size == 1 else f"{size:g} * {terms[j]}"
        )
    return text or "0"


def differences(
    model: CoxInference, X: pd.DataFrame | ArrayLike, reference: pd.DataFrame | ArrayLike | None
) -> Hypotheses:
    """Give the contrasts between the design rows of X and those of the reference; see :meth:`CoxInference.hazard_ratio`."""
    frame = feature_frame(X, model.feature_names_in_)
    # about the centre: columns of far-off numbers keep their digits
    matrix = model.encoder_.design(frame) - model.center_.to_numpy()
    if reference is None:
        return Hypotheses(list(frame.index), matrix, np.zeros(len(matrix)))
    against = feature_frame(reference, model.feature_names_in_)
    if len(against) not in (1, len(frame)):
        raise DataError(
            f"reference has {counted(len(against), 'row')}, X has {counted(len(frame), 'row')}; give one row, or as many."
        )
    matrix = matrix - (model.encoder_.design(against) - model.center_.to_numpy())
    return Hypotheses(list(frame.index), matrix, np.zeros(len(matrix)))


def contrast_table(model: CoxInference, asked: Hypotheses, level: float) -> pd.DataFrame:
    """Give one row per contrast; see :meth:`CoxInference.contrast`."""
    estimate = asked.matrix @ model.coef_.to_numpy()
    variance = np.einsum("ij,ij->i", asked.matrix @ model.covariance_.to_numpy(), asked.matrix)
    # a sandwich of few clusters is singular: zero may be rounded below
    se = np.sqrt(np.maximum(variance, 0.0))
    margin = norm.ppf(0.5 + confidence_level(level) / 2) * se
    with np.errstate(over="ignore", invalid="ignore"):
        # a row against itself has no uncertainty and no statistic
        statistic = (estimate - asked.values) / se
        ratios = [np.exp(estimate + d) for d in (0.0, -margin, margin)]
    return pd.DataFrame(
        {
            "estimate": estimate,
            "se": se,
            "lower": estimate - margin,
            "upper": estimate + margin,
            "value": asked.values,
            "statistic": statistic,
            "p_value": 2 * norm.sf(np.abs(statistic)),
            "hazard_ratio": ratios[0],
            "hr_lower": ratios[1],
            "hr_upper": ratios[2],
        },
        index=pd.Index(asked.labels, name="contrast"),
    )


def joint_test(model: CoxInference, asked: Hypotheses) -> TestResult:
    """Test all hypotheses together by Wald's chi-square; see :meth:`CoxInference.wald_test`."""
    df = len(asked.matrix)
    if np.linalg.matrix_rank(asked.matrix) < df:
        raise DataError(
            f"The {counted(df, 'contrast')} are not independent: one follows from the others. Leave it out "
            f"({first_of(asked.labels)})."
        )
    statistic = wald(model, asked.matrix, asked.values)
    if np.isnan(statistic):
        raise NotIdentifiedError(
            f"The clusters give a covariance of rank {model.covariance_rank_}, so that {counted(df, 'contrast')} cannot be "
            "tested jointly. Use more, smaller clusters, or test fewer at a time."
        )
    pairs = zip(asked.labels, asked.values, strict=True)
    return TestResult(
        name="Wald test",
        statistic=statistic,
        df=df,
        p_value=float(chi2.sf(statistic, df)),
        method=f"Wald chi-square with the {covariance_words(model)}",
        estimand="; ".join(label if "=" in label else f"{label} = {value:g}" for label, value in pairs),
        n=model.n_observations_,
        n_events=model.n_events_,
    )


def covariance_words(model: CoxInference) -> str:
    """Name the covariance that the model's Wald statistics use."""
    return "sandwich covariance by cluster" if model.is_robust_ else "inverse observed information"


def wald(model: CoxInference, matrix: Floats, values: Floats) -> float:
    """Give (Lβ − c)' (L V L')⁻¹ (Lβ − c); NaN when the clusters span too few dimensions for it."""
    if model.covariance_rank_ < min(len(matrix), len(model.coef_)):
        return float("nan")
    distance = matrix @ model.coef_.to_numpy() - values
    covariance = matrix @ model.covariance_.to_numpy() @ matrix.T
    # on the scale of correlations, so that units of the covariates do not matter
    scale = np.sqrt(np.diag(covariance))
    return float(distance / scale @ np.linalg.solve(covariance / np.outer(scale, scale), distance / scale))


def term_table(model: CoxInference) -> pd.DataFrame:
    """Test each term of the formula with all its columns; see :meth:`CoxInference.term_tests`."""
    identity = np.eye(len(model.coef_))
    rows = {}
    for term, columns in model.encoder_.columns_by_term().items():
        df = len(columns)
        statistic = wald(model, identity[columns], np.zeros(df))
        rows[term] = {"statistic": statistic, "df": df, "p_value": float(chi2.sf(statistic, df))}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"df": int}).rename_axis("term")

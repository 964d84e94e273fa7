"""Reading formulas before they see data: columns, factors, and the levels of categories.

Formulas have formulaic's grammar; what it cannot list before it has data, or would encode without a word, is settled here.
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
from formulaic import Formula
from formulaic.errors import FormulaicError
from formulaic.parser.types import Factor

from churnsurv.data.features import is_categorical, levels_of, refuse_text_that_is_no_category
from churnsurv.exceptions import DataError


def right_hand_side(formula: Any) -> str:
    """Give a formula without a leading tilde; what is no text is refused."""
    if not isinstance(formula, str):
        raise DataError(
            f"formula is a {type(formula).__name__}; give text such as 'rate_incentive + C(term)', or leave it out for all "
            "columns."
        )
    return formula.strip().removeprefix("~")


def formula_columns(formula: str, frame: pd.DataFrame) -> list[str]:
    """Give the columns of the frame that a formula needs."""
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


def expressions_of(formula: str) -> list[str]:
    """Give the factors of a formula, once each, in their order, without the intercept."""
    factors = [factor for term in Formula(formula) for factor in term.factors]
    return list(dict.fromkeys(str(f.expr) for f in factors if f.eval_method is not Factor.EvalMethod.LITERAL))


def is_a_plain_sum(formula: str) -> bool:
    """Tell whether a formula has no interaction."""
    return all(len(term.factors) == 1 for term in Formula(formula))


def column_of(expression: str) -> str | None:
    """Give the column behind a categorical factor: the column itself, or C(column, …)."""
    named = re.fullmatch(r"(?:C\(\s*)?(?:`([^`]+)`|([^\W\d]\w*))(?:\s*[,)].*)?", expression, re.DOTALL)
    return (named[1] or named[2]) if named else None


def refuse_category_of_expression(expression: str) -> None:
    """Refuse a category that is no column: its levels could not be checked at prediction."""
    raise DataError(
        f"{expression!r} makes a category of an expression: make it a column of X first, e.g. "
        "X.assign(high_rate=X['rate'] > 5), and name that in the formula."
    )


def category_levels(expressions: list[str], frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Give the levels of every column that the formula takes as a category."""
    levels: dict[str, list[Any]] = {}
    for expression in expressions:
        if expression in frame.columns:
            if is_categorical(frame[expression]):
                levels[expression] = levels_of(frame[expression])
                refuse_text_that_is_no_category(frame[expression], levels[expression], expression)
        elif re.match(r"C\s*\(", expression):
            column = column_of(expression)
            if column not in frame.columns:
                refuse_category_of_expression(expression)
            levels[str(column)] = levels_of(frame[column])
    both = [c for c in levels if c in expressions and not is_categorical(frame[c])]
    if both:
        raise DataError(
            f"The formula takes {both[0]!r} as a number and, by C({both[0]}), as a category: make a second column for one."
        )
    return levels

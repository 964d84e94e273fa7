"""Terms of a formula in words: "Grade: C vs B" for ``C(grade, contr.treatment('B'))[T.C]``, interactions, spline columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from churnsurv.data.formulas import column_of

#: a factor of a term: an expression, and in brackets a level (T. before it: against a reference) or the number of a column
_FACTOR = re.compile(r"^(?P<expression>.+?)(?:\[(?P<coding>T\.)?(?P<part>[^\[\]]*)\])?$", re.DOTALL)
_TREATMENT = re.compile(r"contr\.treatment\(\s*(?:base\s*=\s*)?(?P<quote>['\"]?)(?P<base>.*?)(?P=quote)\s*[,)]")
_CURVES = {
    "cs": "natural spline",
    "cr": "natural spline",
    "bs": "B-spline",
    "cc": "cyclic spline",
    "poly": "polynomial",
}
_CURVE = re.compile(rf"^(?P<kind>{'|'.join(_CURVES)})\(\s*(?:`(?P<quoted>[^`]+)`|(?P<name>[^\W\d]\w*))\s*[,)]")


class Factor(NamedTuple):
    """A factor of a term: the column behind it, the level of a category and the level it is compared with, or a curve."""

    column: str
    level: str | None = None
    reference: str | None = None
    curve: str | None = None


def factors_of(term: str) -> list[Factor]:
    """Give the factors of a term, several for an interaction."""
    return [_factor(part) for part in _split(term)]


def category_of(term: str) -> Factor | None:
    """Give the column and level of a term that is one category, else None."""
    factors = factors_of(term)
    return factors[0] if len(factors) == 1 and factors[0].level is not None else None


def label_of(term: str, levels: Mapping[str, list[object]], labels: Mapping[str, str]) -> str:
    """Give the label of a term; `levels` are those of the fit, `labels` the words for columns."""
    factors = factors_of(term)
    words = [_words(factor, labels) for factor in factors]
    if len(factors) > 1:
        return " × ".join(words)
    factor = factors[0]
    if factor.level is None:
        return words[0]
    first = [str(level) for level in levels.get(factor.column, [])][:1]
    reference = factor.reference or (first[0] if first else None)
    return words[0] + (f" vs {reference}" if reference not in (None, factor.level) else "")


def _words(factor: Factor, labels: Mapping[str, str]) -> str:
    column = labels.get(factor.column, plain_name(factor.column))
    if factor.curve is not None:
        return f"{column}, {factor.curve}"
    return column if factor.level is None else f"{column}: {factor.level}"


def plain_name(column: str) -> str:
    """Give "Rate incentive" for rate_incentive; names with other than word characters stay."""
    return column.replace("_", " ").capitalize() if re.fullmatch(r"[a-z0-9_]+", column) else column


def _factor(text: str) -> Factor:
    match = _FACTOR.match(text)
    if match is None or match["part"] is None:
        return Factor(text.strip("`"))
    expression, part = match["expression"], match["part"]
    curve = _CURVE.match(expression)
    if curve:
        return Factor(curve["quoted"] or curve["name"], curve=f"{_CURVES[curve['kind']]} {part}")
    column = column_of(expression) or (expression if not re.search(r"[()]", expression) else None)
    treatment = _TREATMENT.search(expression)
    if column is None or ("contr." in expression and treatment is None):
        return Factor(text)  # a coding that compares with something else than one level: shown as it is written
    return Factor(column, part, treatment["base"] if treatment else None)


def _split(term: str) -> list[str]:
    """Split a term at the colons between its factors, not at those within brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for character in term:
        if quote:
            quote = "" if character == quote else quote
        elif character in "`'\"":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == ":" and depth == 0:
            parts.append("")
            continue
        parts[-1] += character
    return parts if all(parts) and depth == 0 and not quote else [term]

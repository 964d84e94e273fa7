"""The words of a table of hazard ratios: labels, units and expected signs of terms, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from churnsurv.data.config import did_you_mean
from churnsurv.exceptions import DataError
from churnsurv.report.ratio_models import columns_behind, known_names
from churnsurv.report.term_labels import category_of, label_of

#: what the table says of a sign
EXPECTED, UNCLEAR, CONTRARY, NO_SIGN = "as expected", "not distinguishable", "contrary", ""

#: a unit: its name ("pp": the ratio refers to +1 pp) or how many of it the ratio refers to ((20, "points"))
Unit = str | tuple[float, str]
ByTerm = Mapping[str, str]


def check_words(models: Mapping[str, Any], words: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse words for models or terms that are not there: a misspelt sign would never be checked."""
    nested = any(isinstance(value, Mapping) for value in expected.values())
    unknown = [name for name in expected if nested and name not in models]
    if unknown:
        raise DataError(f"expected_signs names no model: {unknown[0]!r}. {did_you_mean(unknown[0], list(models))}")
    every = list(dict.fromkeys(name for fitted in models.values() for name in known_names(fitted)))
    columns = [column for fitted in models.values() for column in columns_behind(fitted)]
    given = [
        (argument, term, [*every, *columns] if argument == "labels" else every)
        for argument, given_words in words.items()
        for term in given_words or {}
    ]
    for model, fitted in models.items():
        signs = expected.get(model, {}) if nested else {}
        given += [(f"expected_signs of {model!r}", term, known_names(fitted)) for term in signs]
    given += [("expected_signs", term, every) for term in expected if not nested]
    for argument, term, known in given:
        if term not in known:
            raise DataError(
                f"{argument} names {term!r}, which is no term of the model. {did_you_mean(str(term), known)}"
            )


def signs_of(expected: Mapping[str, Any], model: str) -> ByTerm:
    """Give the expected signs of a model."""
    nested = any(isinstance(value, Mapping) for value in expected.values())
    signs = expected.get(model, {}) if nested else expected
    for term, sign in signs.items():
        if sign not in ("+", "-", ""):
            raise DataError(f"The expected sign of {term!r} is {sign!r}; give '+', '-' or ''.")
    return dict(signs)


def named(term: str, words: Mapping[str, Any]) -> Any:
    """Look a term up by its own name, or by the column whose category it is."""
    if term in words:
        return words[term]
    category = category_of(term)
    return words.get(category.column) if category else None


def words_of(term: str, model: Any, labels: ByTerm, units: Mapping[str, Unit]) -> dict[str, Any]:
    """Give label, unit and scale (how many units of the column the ratio refers to) of a term."""
    unit, levels = named(term, units), getattr(model.encoder_, "levels_", {})
    label = labels[term] if term in labels else label_of(term, levels, labels)
    if category_of(term) and term not in labels:
        unit = None
    if unit is None:
        return {"label": label, "per": "", "scale": 1.0}
    scale, name = (1.0, unit) if isinstance(unit, str) else unit
    if not np.isfinite(scale) or scale == 0:
        raise DataError(f"The unit of {term!r} is {scale!r} {name}; give a finite number that is not zero.")
    sign = "+" if scale > 0 else "\u2212"
    per = name if name == "yes vs no" else f"per {sign}{abs(scale):,g} {name}".rstrip()
    return {"label": label, "per": per, "scale": float(scale)}


def verdict(sign: str, scale: float, hazard_ratio: float, hr_lower: float, hr_upper: float) -> str:
    """Say whether the interval bears the expected sign out."""
    if not sign:
        return NO_SIGN
    if not hr_lower <= hr_upper or hr_lower <= 1 <= hr_upper:
        return UNCLEAR
    raises = hazard_ratio > 1 if scale > 0 else hazard_ratio < 1
    return EXPECTED if raises == (sign == "+") else CONTRARY

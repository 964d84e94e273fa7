"""The table of hazard ratios: labels, units, intervals, p-values, and whether each sign is the one expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.data.config import did_you_mean
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.report.content import Column, Table
from churnsurv.report.term_labels import category_of, factors_of, label_of
from churnsurv.report.words import level_words

#: what the table says of a sign
EXPECTED, UNCLEAR, CONTRARY, NO_SIGN = "as expected", "not distinguishable", "contrary", ""

#: a unit: its name ("pp": the ratio refers to +1 pp) or how many of it the ratio refers to ((20, "points"))
Unit = str | tuple[float, str]
ByTerm = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class HazardRatioTable:
    """Hazard ratios of one or several models, ready for a page.

    Attributes
    ----------
    frame : DataFrame
        One row per model and term: model, group, term, label, per, hazard_ratio, hr_lower, hr_upper, p_value, expected
        ("+", "-" or ""), verdict.
    level : float
        Confidence level of the intervals.
    title : str
        Heading of the table.
    """

    frame: pd.DataFrame
    level: float = 0.95
    title: str = "Hazard ratios"

    def to_frame(self) -> pd.DataFrame:
        """Give the table as a tidy frame."""
        return self.frame.copy()

    def of(self, model: str) -> HazardRatioTable:
        """Give the rows of one model."""
        rows = self.frame[self.frame["model"] == model]
        if rows.empty:
            raise DataError(f"No model {model!r} in the table; there are {first_of(self.frame['model'].unique())}.")
        return HazardRatioTable(rows.reset_index(drop=True), self.level, self.title)

    def inline(self, term: str, model: str | None = None) -> str:
        """Give one ratio for a sentence, e.g. "HR 1.34 per +1 pp (95% CI 1.30 to 1.39, p <0.001)"."""
        row = self.row(term, model)
        per = f" {row['per']}" if row["per"] else ""
        p_value = "p <0.001" if row["p_value"] < 0.001 else f"p = {row['p_value']:.3f}"
        interval = f"{level_words(self.level)} CI {row['hr_lower']:.2f} to {row['hr_upper']:.2f}"
        return f"HR {row['hazard_ratio']:.2f}{per} ({interval}, {p_value})"

    def row(self, term: str, model: str | None = None) -> dict[str, Any]:
        """Give the row of a term as a dict; with several models name the model."""
        rows = self.frame[self.frame["term"] == term]
        if model is not None:
            rows = rows[rows["model"] == model]
        if rows.empty:
            raise DataError(
                f"No term {term!r} in the table; its terms are {first_of(self.frame['term'].unique(), 30)}."
            )
        if len(rows) > 1:
            raise DataError(f"Term {term!r} is in the models {first_of(rows['model'])}: name one with model=.")
        return {str(key): value for key, value in rows.iloc[0].items()}

    def to_table(self, key: str = "hazard-ratios") -> Table:
        """Give the table as content of a report."""
        several = len(set(self.frame["model"])) > 1
        signs = bool((self.frame["expected"] != "").any())
        columns = [Column("label", "Term"), Column("per", "Unit")]
        columns += [
            Column("hazard_ratio", "Hazard ratio", "number:2"),
            Column("interval", f"{level_words(self.level)} CI", "interval:2"),
            Column("p_value", "p", "p"),
        ]
        if signs:
            columns += [Column("expected", "Expected sign"), Column("verdict", "Sign check")]
        rows = []
        for record in self.frame.to_dict("records"):
            values = {**record, "interval": (record["hr_lower"], record["hr_upper"])}
            values["expected"] = {"+": "above 1", "-": "below 1"}.get(record["expected"])
            values["verdict"] = record["verdict"] or None
            values["per"] = record["per"] or None
            rows.append(tuple(values[column.name] for column in columns))
        groups = tuple(self.frame["model"] if several else self.frame["group"])
        return Table(key, self.title, tuple(columns), tuple(rows), groups if any(groups) else ())

    def to_html(self) -> str:
        """Give the table as HTML; text is escaped."""
        from churnsurv.report.render.html import render_table

        return render_table(self._plain())

    def to_latex(self) -> str:
        """Give the table as LaTeX (package booktabs); text is escaped."""
        from churnsurv.report.render.latex import render_table

        return render_table(self._plain())

    def to_docx(self) -> Any:
        """Give a Word document (python-docx) that holds the table; save it with ``.save(path)``."""
        from churnsurv.report.render.word import table_document

        return table_document(self._plain())

    def _plain(self) -> Any:
        from churnsurv.report.canonical import plain

        return plain(asdict(self.to_table()))

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        shown = ["model", "label", "per", "hazard_ratio", "hr_lower", "hr_upper", "p_value", "verdict"]
        return self.frame[shown].to_string(index=False, float_format=lambda v: f"{v:.3g}")


def hazard_ratio_table(
    model: Any,
    *,
    labels: ByTerm | None = None,
    units: Mapping[str, Unit] | None = None,
    groups: ByTerm | None = None,
    expected_signs: Mapping[str, str] | Mapping[str, ByTerm] | None = None,
    level: float = 0.95,
    title: str = "Hazard ratios",
) -> HazardRatioTable:
    """Lay out the hazard ratios of fitted models.

    A hazard ratio compares the rate of leaving of two customers who differ by one unit of the term and are alike
    otherwise, among those who are still customers.

    Parameters
    ----------
    model : CoxPH, CauseSpecificCox, or mapping name → CoxPH
        Fitted.
    labels, groups : mapping, optional
        Term, or column of a category → name shown; → heading under which it stands.
    units : mapping, optional
        Term → unit: ``"pp"`` (ratio per +1 pp) or ``(20, "points")`` (ratio per +20 points).
    expected_signs : mapping, optional
        Term → "+" (raises the hazard) or "-"; by model where they differ: model → mapping of terms.
    level : float
        Confidence level of the intervals.
    title : str
        Heading.

    Raises
    ------
    DataError
        The model is not fitted, a sign is not "+" or "-", a label, unit, group or sign is given for no term of the model.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
    >>> model = cs.CoxPH().fit(X, cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1]))
    >>> table = cs.report.hazard_ratio_table(model, units={"rate_incentive": (0.5, "pp")})
    >>> table.to_frame()[["label", "per", "verdict"]].values.tolist()
    [['Rate incentive', 'per +0.5 pp', '']]
    """
    models = _models(model)
    _check_words(models, {"labels": labels, "units": units, "groups": groups}, expected_signs or {})
    rows = []
    for name, fitted in models.items():
        signs = _signs_of(expected_signs or {}, name)
        for term, estimate in fitted.summary(level).iterrows():
            words = _words(str(term), fitted, labels or {}, units or {})
            scale = words.pop("scale")
            ratios = {c: float(estimate[c]) ** scale for c in ("hazard_ratio", "hr_lower", "hr_upper")}
            if scale < 0:
                ratios["hr_lower"], ratios["hr_upper"] = ratios["hr_upper"], ratios["hr_lower"]
            sign = _named(str(term), signs) or ""
            rows.append(
                {"model": name, "group": _named(str(term), groups or {}) or "", "term": str(term), **words, **ratios}
                | {"p_value": float(estimate["p_value"]), "expected": sign, "verdict": _verdict(sign, scale, **ratios)}
            )
    frame = pd.DataFrame(rows)
    # rows of a group stand together, groups in the order of their first row
    order = frame.groupby(["model", "group"], sort=False).ngroup()
    return HazardRatioTable(frame.iloc[np.argsort(order, kind="stable")].reset_index(drop=True), level, title)


def _models(model: Any) -> dict[str, Any]:
    if isinstance(model, Mapping):
        models = {str(name): fitted for name, fitted in model.items()}
    elif hasattr(model, "models_"):
        models = dict(model.models_)
    else:
        models = {str(getattr(model, "cause_", "event")): model}
    for fitted in models.values():
        if not hasattr(fitted, "coef_"):
            raise DataError(f"{type(fitted).__name__} has no coefficients; give fitted Cox models.")
    return models


def known_names(model: Any) -> list[str]:
    """Give the names by which terms of a fitted model can be spoken of: the terms, and columns of categories."""
    names: dict[str, None] = {}
    for term in map(str, model.coef_.index):
        category = category_of(term)
        names |= dict.fromkeys([term, category.column] if category else [term])
    return list(names)


def _columns_behind(model: Any) -> list[str]:
    """Give the columns within interactions and curves: they can be labelled, but have no sign or unit of their own."""
    return [factor.column for term in map(str, model.coef_.index) for factor in factors_of(term)]


def _check_words(models: Mapping[str, Any], words: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse words for models or terms that are not there: a misspelt sign would never be checked."""
    nested = any(isinstance(value, Mapping) for value in expected.values())
    unknown = [name for name in expected if nested and name not in models]
    if unknown:
        raise DataError(f"expected_signs names no model: {unknown[0]!r}. {did_you_mean(unknown[0], list(models))}")
    every = list(dict.fromkeys(name for fitted in models.values() for name in known_names(fitted)))
    columns = [column for fitted in models.values() for column in _columns_behind(fitted)]
    given = [
        (argument, term, [*every, *columns] if argument == "labels" else every)
        for argument, named in words.items()
        for term in named or {}
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


def _signs_of(expected: Mapping[str, Any], model: str) -> ByTerm:
    nested = any(isinstance(value, Mapping) for value in expected.values())
    signs = expected.get(model, {}) if nested else expected
    for term, sign in signs.items():
        if sign not in ("+", "-", ""):
            raise DataError(f"The expected sign of {term!r} is {sign!r}; give '+', '-' or ''.")
    return dict(signs)


def _named(term: str, words: Mapping[str, Any]) -> Any:
    """Look a term up by its own name, or by the column whose category it is."""
    if term in words:
        return words[term]
    category = category_of(term)
    return words.get(category.column) if category else None


def _words(term: str, model: Any, labels: ByTerm, units: Mapping[str, Unit]) -> dict[str, Any]:
    """Give label, unit and scale (how many units of the column the ratio refers to) of a term."""
    unit, levels = _named(term, units), getattr(model.encoder_, "levels_", {})
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


def _verdict(sign: str, scale: float, hazard_ratio: float, hr_lower: float, hr_upper: float) -> str:
    if not sign:
        return NO_SIGN
    if not hr_lower <= hr_upper or hr_lower <= 1 <= hr_upper:
        return UNCLEAR
    raises = hazard_ratio > 1 if scale > 0 else hazard_ratio < 1
    return EXPECTED if raises == (sign == "+") else CONTRARY

"""Hazard ratios of fitted models as a table: words, reference levels, univariable beside multivariable, models side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from churnsurv.estimators.diagnostics import variance_inflation
from churnsurv.exceptions import DataError
from churnsurv.report.ratio_data import RatioData, counted_terms, given_data, univariable_summaries
from churnsurv.report.ratio_models import Fitted, fitted_models
from churnsurv.report.ratio_table import RATIOS, HazardRatioTable
from churnsurv.report.ratio_words import (
    CONTRARY,
    EXPECTED,
    NO_SIGN,
    UNCLEAR,
    ByTerm,
    Unit,
    check_words,
    named,
    signs_of,
    verdict,
    words_of,
)
from churnsurv.report.term_labels import factors_of, label_of, plain_name
from churnsurv.report.words import level_words

__all__ = ["CONTRARY", "EXPECTED", "NO_SIGN", "UNCLEAR", "HazardRatioTable", "Unit", "hazard_ratio_table"]


def hazard_ratio_table(
    model: Any,
    *,
    labels: ByTerm | None = None,
    units: Mapping[str, Unit] | None = None,
    groups: ByTerm | None = None,
    expected_signs: Mapping[str, str] | Mapping[str, ByTerm] | None = None,
    data: RatioData | None = None,
    univariable: bool = False,
    vif: bool = False,
    layout: Literal["below", "beside"] = "below",
    emphasise: float | None = None,
    level: float = 0.95,
    title: str = "Hazard ratios",
) -> HazardRatioTable:
    """Lay out the hazard ratios of fitted models.

    A hazard ratio compares the rate of leaving of two customers who differ by one unit of the term and are alike
    otherwise, among those who are still customers. Categories stand below their name with the reference level; the p-value
    beside the name is that of Wald's test of all levels. A spline stands on one line, with that test: its coefficients mean
    nothing one by one.

    Parameters
    ----------
    model : CoxPH, CauseSpecificCox, FineGray, DiscreteHazard, or mapping name → such a model
        Fitted. The ratios of Fine–Gray models are named subdistribution hazard ratios.
    labels, groups : mapping, optional
        Term, or column of a category → name shown; → heading under which it stands.
    units : mapping, optional
        Term → unit: ``"pp"`` (ratio per +1 pp) or ``(20, "points")`` (ratio per +20 points).
    expected_signs : mapping, optional
        Term → "+" (raises the hazard) or "-"; by model where they differ: model → mapping of terms.
    data : (X, y) or (X, y, {"strata": ..., "cluster": ...}), optional
        The rows of the fit and its row arguments (those that were columns of X are remembered). Estimators keep no rows,
        so that the columns N (subjects) and Events, by level for categories, need them. A subject whose level changes
        counts in each.
    univariable : bool
        Also show each term in a model of its own, on the same rows with the same strata and clusters; needs `data`.
    vif : bool
        Also show the variance inflation factor of each term (:func:`churnsurv.variance_inflation`; Cox models).
    layout : {"below", "beside"}
        Several models below each other, or side by side, merged on their terms.
    emphasise : float, optional
        Set rows with a p-value below it in bold; by default none is, as an interval says more than a mark.
    level : float
        Confidence level of the intervals.
    title : str
        Heading.

    Raises
    ------
    DataError
        The model is not fitted, a sign is not "+" or "-", a label, unit, group or sign is given for no term of the model,
        `data` are not the rows of the fit, or are needed and not given.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
    >>> model = cs.CoxPH().fit(X, cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1]))
    >>> table = cs.report.hazard_ratio_table(model, units={"rate_incentive": (0.5, "pp")})
    >>> table.to_frame()[["label", "per", "verdict"]].values.tolist()
    [['Rate incentive', 'per +0.5 pp', '']]
    """
    if layout not in ("below", "beside"):
        raise DataError(f"layout={layout!r} is not known: use 'below' or 'beside'.")
    models = fitted_models(model)
    check_words(models, {"labels": labels, "units": units, "groups": groups}, expected_signs or {})
    rows = given_data(data, univariable)
    words = {"labels": labels or {}, "units": units or {}, "groups": groups or {}}
    frames = []
    for name, fitted in models.items():
        frame = _frame_of(name, fitted, words, signs_of(expected_signs or {}, name), level)
        if rows is not None:
            counted_terms(frame, fitted, rows)
        if rows is not None and univariable:
            univariable_summaries(frame, fitted, rows, level)
        if vif:
            factors = variance_inflation(fitted.source)["factor"]
            frame["vif"] = [factors[term] for term in frame["formula_term"]]
        frames.append(frame)
    whole = pd.concat(frames, ignore_index=True)
    # rows of a group stand together, groups in the order of their first row
    order = whole.groupby(["model", "group"], sort=False).ngroup()
    whole = whole.iloc[np.argsort(order, kind="stable")].reset_index(drop=True).assign(position=lambda f: range(len(f)))
    whole["position"] = whole["position"].astype(float)
    references, estimated = whole[whole["is_reference"]], whole[~whole["is_reference"]]
    notes = [fitted.note(level_words(level)) for fitted in models.values()]
    if univariable:
        notes.append(
            "Univariable: each term in a model of its own, on the same rows, with the same strata and clusters."
        )
    return HazardRatioTable(
        estimated.drop(columns="is_reference").reset_index(drop=True),
        level,
        title,
        references.drop(columns="is_reference").reset_index(drop=True),
        layout,
        tuple(f"{name}: {note}" if len(models) > 1 and i < len(models) else note
              for i, (name, note) in enumerate(zip([*models, ""], notes, strict=False))),
        {name: fitted.symbol for name, fitted in models.items()},
        {name: fitted.ratio_name for name, fitted in models.items()},
        emphasise,
    )  # fmt: skip


def _frame_of(name: str, fitted: Fitted, words: dict[str, Any], signs: ByTerm, level: float) -> pd.DataFrame:
    """Give the rows of a model, each reference level before the first level of its column that comes after it."""
    summary, joint = fitted.summary(level), fitted.joint_p_values()
    by_position = {j: term for term, columns in fitted.encoder_.columns_by_term().items() for j in columns}
    labels = words["labels"]
    rows: list[dict[str, Any]] = []
    for position, (index, estimate) in enumerate(summary.iterrows()):
        term = str(index)
        shown = words_of(term, fitted, labels, words["units"])
        scale = shown.pop("scale")
        ratios = {c: float(estimate[c]) ** scale for c in RATIOS}
        if scale < 0:
            ratios["hr_lower"], ratios["hr_upper"] = ratios["hr_upper"], ratios["hr_lower"]
        sign, factors = named(term, signs) or "", factors_of(term)
        factor = factors[0]._replace(level=None, curve=None) if len(factors) > 1 else factors[0]
        rows.append(
            {"model": name, "group": named(term, words["groups"]) or "", "term": term, **shown, **ratios}
            | {"p_value": float(estimate["p_value"]), "expected": sign, "verdict": verdict(sign, scale, **ratios)}
            | {"column": factor.column if len(factors) == 1 else term, "level": factor.level or ""}
            | {"level_label": labels.get(term, factor.level or "")}
            | {"factor_label": labels.get(factor.column, plain_name(factor.column)), "curve": factor.curve is not None}
            | {"formula_term": by_position[position], "p_term": joint[by_position[position]], "scale": scale}
            | {"is_reference": False}
        )
    return pd.DataFrame(_with_references(rows, fitted))


def _with_references(rows: list[dict[str, Any]], fitted: Fitted) -> list[dict[str, Any]]:
    """Put the reference level of each category among its levels, where the order of the levels has it."""
    found: list[dict[str, Any]] = []
    for column in dict.fromkeys(row["column"] if row["level"] else row["term"] for row in rows):
        own = [row for row in rows if (row["column"] if row["level"] else row["term"]) == column]
        levels = [str(v) for v in fitted.encoder_.levels_.get(column, [])] if own[0]["level"] else []
        base = factors_of(own[0]["term"])[0].reference or (levels[0] if levels else None)
        if own[0]["level"] and base is not None and base not in [row["level"] for row in own]:
            term = own[0]["term"].removesuffix(f"{own[0]['level']}]") + f"{base}]"
            ratios = dict.fromkeys(RATIOS, np.nan) | {"hazard_ratio": 1.0, "p_value": np.nan}
            label = label_of(term, {}, {column: own[0]["factor_label"]})
            marks = {"expected": "", "verdict": "", "is_reference": True}
            at = levels.index(base) if base in levels else 0
            own.insert(
                at, own[0] | {"term": term, "level": base, "level_label": base, "label": label, **ratios, **marks}
            )
        found += own
    return found

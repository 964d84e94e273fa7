"""Columns of a table of hazard ratios that need the rows of the fit: counts by level, each term in a model of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.estimators.univariable import level_counts, univariable_fits
from churnsurv.exceptions import DataError
from churnsurv.report.ratio_models import Fitted, fitted_models

#: the rows of a fit: X, y and, where the fit had any that were no columns of X, its row arguments by name
RatioData = tuple[Any, Any] | tuple[Any, Any, Mapping[str, Any]]


def given_data(data: RatioData | None, univariable: bool) -> tuple[Any, Any, dict[str, Any]] | None:
    """Give X, y and row arguments of what was passed."""
    if data is None:
        if univariable:
            raise DataError("univariable=True fits models: pass the rows of the fit as data=(X, y).")
        return None
    if not isinstance(data, tuple) or len(data) not in (2, 3):
        raise DataError("data must be (X, y), or (X, y, arguments) such as (X, y, {'cluster': customers}).")
    return data[0], data[1], dict(data[2]) if len(data) == 3 else {}


def counted_terms(frame: pd.DataFrame, fitted: Fitted, rows: tuple[Any, Any, dict[str, Any]]) -> None:
    """Add the columns n and events."""
    if fitted.kind == "monthly":
        raise DataError("Counts and univariable fits are of Cox and Fine\u2013Gray models: leave data= out.")
    counts = level_counts(fitted.source, rows[0], rows[1]).set_index(["column", "level"])
    keys = [
        (c, v) if v and (c, v) in counts.index else ("", "")
        for c, v in zip(frame["column"], frame["level"], strict=True)
    ]
    frame["n"] = [int(counts.loc[key, "subjects"]) for key in keys]
    frame["events"] = [int(counts.loc[key, "events"]) for key in keys]


def univariable_summaries(
    frame: pd.DataFrame, fitted: Fitted, rows: tuple[Any, Any, dict[str, Any]], level: float
) -> None:
    """Add the columns uni_hazard_ratio, uni_hr_lower, uni_hr_upper, uni_p_value and uni_p_term, per the same units."""
    fits = univariable_fits(fitted.source, rows[0], rows[1], **rows[2])
    summaries = {term: fit.summary(level) for term, fit in fits.items()}
    joint = {
        term: one.joint_p_values().get(next(iter(one.encoder_.columns_by_term())), np.nan)
        for term, fit in fits.items()
        for one in fitted_models(fit).values()
    }
    frame["uni_p_term"] = [joint.get(term, np.nan) for term in frame["formula_term"]]
    names = ("hazard_ratio", "hr_lower", "hr_upper", "p_value")
    found = {name: np.full(len(frame), np.nan) for name in names}
    for i, row in enumerate(frame.to_dict("records")):
        summary = summaries.get(row["formula_term"])
        if row["is_reference"] or summary is None or row["term"] not in summary.index:
            continue
        estimate, scale = summary.loc[row["term"]], row["scale"]
        ratio, *bounds = (float(estimate[name]) ** scale for name in names[:3])
        for name, value in zip(names, (ratio, *sorted(bounds), float(estimate["p_value"])), strict=True):
            found[name][i] = value
    for name in names:
        frame[f"uni_{name}"] = np.where(frame["is_reference"] & (name == "hazard_ratio"), 1.0, found[name])

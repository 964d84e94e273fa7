"""Early-warning covariates: which of today's loans are among the worst tenth in arrears, income, score and the like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data import covariates
from churnsurv.report.analysis import Analysis
from churnsurv.report.settings import EarlyWarning
from churnsurv.report.term_labels import plain_name

#: share of the portfolio that counts as the worst
WORST = 0.1
#: references of the catalogue: finances, early warning
REFERENCES = ("C1", "C2")


@dataclass(frozen=True, eq=False)
class Sign:
    """An early-warning covariate.

    Attributes
    ----------
    column, label : str
    begins : str
        Which values are in the worst tenth of today's loans.
    shown : array of bool
        Which of today's loans are in it, and worse than the median: where most loans share the worst value, it is no sign.
    """

    column: str
    label: str
    begins: str
    shown: NDArray[np.bool_]


def early_signs(frame: pd.DataFrame, analysis: Analysis, settings: EarlyWarning) -> list[Sign]:
    """Find the signs among today's loans; a covariate without a stated direction, or that is no number, gives none."""
    known = covariates().set_index("column")
    available = analysis.config.spells.covariate_names
    chosen = settings.covariates or [n for n in known.index[known["reference"].isin(REFERENCES)] if n in available]
    signs = []
    for column in chosen:
        direction = _direction(column, known, analysis)
        if not direction or not pd.api.types.is_numeric_dtype(frame[column]):
            continue
        values = frame[column].to_numpy(dtype=float) * (1 if direction == "+" else -1)
        limit = float(np.nanquantile(values, 1 - WORST, method="higher"))
        middle = float(np.nanmedian(values))
        shown = (values >= limit) & (values > middle)
        terms = analysis.config.terms
        label = (terms[column].label if column in terms else None) or plain_name(column)
        if column in known.index and column not in terms:
            label = str(known.loc[column, "label"])
        signs.append(Sign(column, label, _begins(limit, middle, high=direction == "+"), shown))
    return signs


def _begins(limit: float, middle: float, *, high: bool) -> str:
    """Say which values are bad, where `limit` and `middle` have the sign of "high is bad"."""
    if limit > middle:
        return f"from {limit:.4g}" if high else f"up to {-limit:.4g}"
    return f"above {middle:.4g}" if high else f"below {-middle:.4g}"


def _direction(column: str, known: pd.DataFrame, analysis: Analysis) -> str:
    """Give the sign stated for the safety cause, else for the main one: by the configuration, else by the catalogue."""
    causes = [c for c in (analysis.config.safety_cause, analysis.config.main_cause) if c is not None]
    for cause in causes:
        term = analysis.config.terms.get(column)
        stated: str = term.expected.get(cause, "") if term is not None else ""
        if not stated and column in known.index and f"expected_{cause}" in known.columns:
            stated = str(known.loc[column, f"expected_{cause}"])
        if stated:
            return stated
    return ""

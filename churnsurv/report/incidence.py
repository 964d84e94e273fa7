"""Cumulative incidences of the portfolio and its groups, as several sections need them."""

from __future__ import annotations

import numpy as np

from churnsurv.curves import Curves
from churnsurv.exceptions import DataError
from churnsurv.nonparametric import AalenJohansen
from churnsurv.report.analysis import Analysis

#: value, lower, upper of a probability or rate; None where it is not estimable
Bounded = tuple[float, float, float] | None


def risk_at(curves: Curves, row: int, cause: str, time: float) -> Bounded:
    """Give the cumulative incidence of a group at a time with its bounds; None past the group's last time."""
    if time > curves.last[row] or curves.lower is None or curves.upper is None:
        return None
    position = int(np.searchsorted(curves.times, time, side="right")) - 1
    if position < 0:
        return 0.0, 0.0, 0.0
    state = curves.causes.index(cause) + 1
    value, lower, upper = (float(a[row, state, position]) for a in (curves.probability, curves.lower, curves.upper))
    return value, lower, upper


def fitted_group(analysis: Analysis, name: str | None, label: str | None) -> AalenJohansen | None:
    """Fit one group, or with None all loans; None where too few loans are ever at risk together."""
    spells, config = analysis.spells, analysis.config
    rows = np.arange(len(spells)) if name is None else np.flatnonzero((analysis.groups[name] == label).to_numpy())
    try:
        return AalenJohansen().fit(
            spells.y[rows], cluster=spells.groups[rows], min_at_risk=config.incidence.min_at_risk, level=config.level
        )
    except DataError:
        return None


def is_group_shown(analysis: Analysis, name: str, label: str, cause: str) -> bool:
    """Whether estimates of a cause in a group may be shown: where its loans and its exits are."""
    return analysis.exits.is_shown("loans", name, label) and analysis.exits.is_shown(cause, name, label)

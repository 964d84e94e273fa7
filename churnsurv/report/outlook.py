"""Today's portfolio and its risks: who is under observation at the date of the report, and may leave within a horizon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from churnsurv.data import Cohort
from churnsurv.report.analysis import Analysis

#: rows whose curves are held at once
CHUNK = 10_000


@dataclass(frozen=True, eq=False)
class Outlook:
    """Loans under observation at the date of the report, with their risks.

    Attributes
    ----------
    cohort : Cohort
        Those with all covariates and an age at which the hazards are known up to the horizon.
    risk : DataFrame
        Probability of leaving by each cause within the horizon, the other causes at work, row for row with the cohort.
    n_open, n_incomplete, n_beyond : int
        Loans under observation; of them without a covariate; too old for the horizon.
    """

    cohort: Cohort
    risk: pd.DataFrame
    n_open: int
    n_incomplete: int
    n_beyond: int


def today(analysis: Analysis) -> Cohort:
    """Give the loans under observation at the date of the report."""
    return analysis.spells.landmark(analysis.config.as_of)


def outlook(analysis: Analysis, horizon: int) -> Outlook:
    """Predict, for each loan now under observation, the probability of leaving by each cause within the horizon."""
    everybody = today(analysis)
    complete = everybody.complete()
    model = analysis.model
    # beyond the oldest age seen no hazard is known
    kept = (complete.frame["age"] + horizon <= analysis.complete.frame["stop"].max()).to_numpy()
    cohort = Cohort(complete.frame[kept].reset_index(drop=True), complete.rules, complete.date)
    rows, age = cohort.frame[analysis.model_columns], cohort.frame["age"].to_numpy()
    risk = {cause: np.empty(len(cohort)) for cause in model.causes_}
    for begin in range(0, len(cohort), CHUNK):
        part = slice(begin, begin + CHUNK)
        curves = model.predict_curves(rows.iloc[part], start=age[part])
        for cause, values in risk.items():
            values[part] = curves.risk(cause, horizon)
    n_open = len(everybody)
    return Outlook(cohort, pd.DataFrame(risk), n_open, n_open - len(complete), int((~kept).sum()))

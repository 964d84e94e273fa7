"""The censoring distribution, for weights by the inverse probability of being uncensored."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from churnsurv.exceptions import DataError, SupportWarning
from churnsurv.kernels.times import Floats, slack, steps_until
from churnsurv.messages import first_of, numeric_column
from churnsurv.nonparametric.groups import from_origin, group_rows
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, refuse_recurrent


class CensoringModel(BaseEstimator):  # type: ignore[misc]
    """Probability G(t) of not being censored by t, by Kaplan–Meier.

    At a tie events come before censorings: a customer who leaves at t is not at risk of being censored at t. So a row that
    leaves at T is weighted by 1/G(T−), a row still there at t by 1/G(t) (Graf et al. 1999; Gerds & Schumacher 2006).
    Assumes that censoring does not depend on covariates.

    Attributes
    ----------
    table_ : DataFrame
        time, n_risk (at risk of being censored), n_censored, estimate; one row per time with a censoring.
    last_ : float
        Last time with data.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[6, 6, 12, 18], event=[1, 0, 1, 0])
    >>> censoring = cs.CensoringModel().fit(y)
    >>> censoring.probability([6, 12]).round(3), censoring.probability([6, 12], before=True).round(3)
    (array([0.667, 0.667]), array([1.   , 0.667]))
    """

    def fit(self, y: Outcome | NDArray[Any], *, sample_weight: ArrayLike | None = None) -> Self:
        """Fit G to the outcome; every end without event is a censoring, also at the end of the study.

        Recurrent events raise :class:`NotIdentifiedError`.
        """
        y = as_outcome(y)
        refuse_recurrent(y, "The probability of not being censored")
        rows = next(group_rows(y, np.zeros(len(y), dtype=np.int64), 1, sample_weight, None))
        table = from_origin(rows, "The outcome", 1, None, y.from_origin).risk_table(n_causes=1)
        censored = table.n_censored > 0
        n_censored = table.n_censored[censored]
        at_risk = (table.n_risk - table.n_event[0])[censored]
        # sums of fractional weights need not cancel to exactly 0 where everybody left is censored
        remaining = 1 - n_censored / at_risk
        remaining[remaining < 1e-12] = 0.0
        self.table_ = pd.DataFrame(
            {
                "time": table.times[censored],
                "n_risk": at_risk,
                "n_censored": n_censored,
                "estimate": np.cumprod(remaining),
            }
        )
        self.last_ = float(table.times[-1])
        return self

    def probability(self, times: ArrayLike, *, before: bool = False) -> Floats:
        """Give G at the times, or with `before` its left limit G(t−); the array has the shape of `times`.

        Past the last time with data G is not known unless it is 0: NaN, with a :class:`SupportWarning`.
        """
        if not hasattr(self, "table_"):
            raise DataError("This CensoringModel is not fitted yet: call fit(y) first.")
        wanted = numeric_column(np.ravel(times), "times").reshape(np.shape(times))
        if not np.all(np.isfinite(wanted)):
            raise DataError("times must be finite numbers.")
        steps = self.table_["time"].to_numpy()
        rounding = slack(np.unique(np.append(steps, self.last_)))
        # a step within rounding of t belongs to G(t), and not to G(t−)
        position = np.searchsorted(steps, wanted - rounding) if before else steps_until(steps, wanted)
        found = np.concatenate(([1.0], self.table_["estimate"].to_numpy()))[position]
        beyond = (wanted > self.last_ + rounding) & (found > 0)
        if beyond.any():
            warnings.warn(
                f"Time {first_of([f'{t:g}' for t in wanted[beyond]])} is past the last time with data ({self.last_:g}): the "
                "probability of being uncensored is not known there. The answer is NaN.",
                SupportWarning,
                stacklevel=2,
            )
        return np.where(beyond, np.nan, found)

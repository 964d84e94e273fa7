"""The record of a difference of two metrics, with Wald's test."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import erfc, ndtri

from churnsurv.exceptions import SmallSampleWarning
from churnsurv.results import Estimate, TestResult

#: a difference below this share of what is compared is rounding
_ROUNDING = 1e-12


@dataclass(frozen=True, repr=False)
class Difference(Estimate):
    """A metric of one prediction minus that of another for the same rows; the fields are those of Estimate.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12, 14], event=[1, 1, 0, 1, 0])
    >>> better = cs.metrics.concordance_difference(y, [0.9, 0.2, 0.5, 0.1, 0.3], [0.1, 0.8, 0.2, 0.9, 0.3])
    >>> better.test().p_value == better.p_value
    True
    """

    @property
    def statistic(self) -> float:
        """Value over standard error; 0 where both predictions have the same, NaN without a standard error."""
        if self.se > 0:
            return self.value / self.se
        return 0.0 if self.value == 0 else np.nan

    @property
    def p_value(self) -> float:
        """Two-sided, from the normal distribution of the statistic."""
        return float(erfc(abs(self.statistic) / np.sqrt(2)))

    def test(self) -> TestResult:
        """Give Wald's test that both predictions are equally good."""
        return TestResult(
            name=f"Wald test, {self.name[0].lower()}{self.name[1:]}",
            statistic=self.statistic,
            df=np.nan,
            p_value=self.p_value,
            method=self.method,
            estimand="both predictions have the same value of the metric among customers such as these",
            n=self.n,
            n_events=self.n_events,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the record as a frame of one row, with the statistic and p-value of :meth:`test`."""
        table = super().to_frame()
        at = list(table.columns).index("level")
        table.insert(at, "statistic", self.statistic)
        table.insert(at + 1, "p_value", self.p_value)
        return table

    def _lines(self) -> list[tuple[str, str]]:
        p_value = "<0.0001" if self.p_value < 1e-4 else f"{self.p_value:.4f}"
        return [*super()._lines(), ("test", f"statistic {self.statistic:.4g}, p-value {p_value}")]


def difference_of(
    name: str, values: list[float], se: float, level: float, n: int, n_events: int, method: str
) -> Difference:
    """Give the first of two values minus the second, with the standard error of the difference."""
    value, scale = values[0] - values[1], max(values[0], values[1])
    value, se = (x if abs(x) > _ROUNDING * scale else 0.0 for x in (value, se))
    method += "; predictions taken as given; "
    if se == 0 and value == 0:
        method += "the two predictions are the same to this metric: the difference is 0 without uncertainty"
    elif se == 0:
        warnings.warn(
            f"The difference of {name} is {value:g} without any variation between customers: no interval and no test can be "
            "given. Are there too few events?",
            SmallSampleWarning,
            stacklevel=4,
        )
        method += "no variation between customers: no interval"
        se = np.nan
    else:
        method += "normal interval and test"
    half = float(ndtri((1 + level) / 2)) * se
    return Difference(
        name=f"Difference of {name}",
        value=value,
        se=se,
        lower=max(value - half, -1.0) if half == half else np.nan,
        upper=min(value + half, 1.0) if half == half else np.nan,
        level=level,
        n=n,
        n_events=n_events,
        method=method,
    )

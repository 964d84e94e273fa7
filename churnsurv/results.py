"""Small frozen records of what was estimated or tested.

Lives here: :class:`Estimate` and :class:`TestResult`. They hold numbers and the words that say what the numbers mean;
tables, figures and documents are made from them elsewhere.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from math import isnan

import pandas as pd


def _number(value: float) -> str:
    return f"{value:.4g}"


class _Record:
    """Shared presentation of the frozen records."""

    def to_frame(self) -> pd.DataFrame:
        """Give the record as a frame of one row."""
        return pd.DataFrame([asdict(self)])  # type: ignore[call-overload]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row' style='text-align:left'>{escape(key)}</th><td>{escape(value)}</td></tr>"
            for key, value in self._lines()
        )
        return f"<table>{rows}</table>"

    def __repr__(self) -> str:
        lines = self._lines()
        width = max(len(key) for key, _ in lines)
        return "\n".join([type(self).__name__, *(f"  {key:<{width}}  {value}" for key, value in lines)])

    def _lines(self) -> list[tuple[str, str]]:
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Estimate(_Record):
    """One estimated quantity with its uncertainty.

    Parameters
    ----------
    name : str
        What was estimated.
    value, se : float
        Point estimate and its standard error (NaN where no variance theory applies).
    lower, upper : float
        Ends of the confidence interval.
    level : float
        Confidence level of the interval.
    n, n_events : int
        Subjects (or rows, as ``method`` says) and events used.
    method : str
        Estimator, variance and interval in words.

    Examples
    --------
    >>> from churnsurv import Estimate
    >>> Estimate("RMST at 12 months", 10.2, 0.1, 10.0, 10.4, 0.95, 500, 120, "Kaplan-Meier area").value
    10.2
    """

    name: str
    value: float
    se: float
    lower: float
    upper: float
    level: float
    n: int
    n_events: int
    method: str

    def _lines(self) -> list[tuple[str, str]]:
        interval = f"{self.level:.0%} interval {_number(self.lower)} to {_number(self.upper)}"
        se = "" if isnan(self.se) else f"se {_number(self.se)}; "
        return [
            (self.name, f"{_number(self.value)} ({se}{interval})"),
            ("based on", f"n = {self.n:,}, events = {self.n_events:,}"),
            ("method", self.method),
        ]


@dataclass(frozen=True, repr=False)
class TestResult(_Record):
    """One statistical test.

    Parameters
    ----------
    name : str
        Name of the test.
    statistic, df, p_value : float
        Test statistic, its degrees of freedom (NaN where there are none) and two-sided p-value.
    method : str
        How the statistic and its variance were computed (ties, strata, entry).
    estimand : str
        The hypothesis in words: what is equal to what if it holds.
    n, n_events : int
        Rows and events used.

    Examples
    --------
    >>> from churnsurv import TestResult
    >>> TestResult("log-rank", 4.2, 1, 0.04, "unstratified", "equal hazards of leaving", 500, 120).p_value
    0.04
    """

    __test__ = False  # the name starts with "Test": pytest must not collect it

    name: str
    statistic: float
    df: float
    p_value: float
    method: str
    estimand: str
    n: int
    n_events: int

    def _lines(self) -> list[tuple[str, str]]:
        df = "" if isnan(self.df) else f", df {self.df:g}"
        p_value = "<0.0001" if self.p_value < 1e-4 else f"{self.p_value:.4f}"
        return [
            (self.name, f"statistic {_number(self.statistic)}{df}, p-value {p_value}"),
            ("tests", self.estimand),
            ("based on", f"n = {self.n:,}, events = {self.n_events:,}"),
            ("method", self.method),
        ]

"""Dirt in the tables of a simulated portfolio, as real tables have it; how much of each kind is recorded.

Every kind of dirt falls on loans of its own, so that the counts of a clean-up are the counts recorded here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Soiled:
    """Tables with dirt.

    Parameters
    ----------
    loans, performance : DataFrame
        Clean tables, the performance table sorted by loan and month.
    share : float
        Share of the loans made dirty.
    seed : int
        Seed of the dirt alone: the tables underneath stay what they are.

    Attributes
    ----------
    loans, performance : DataFrame
        With the dirt; the performance table repeats ``term``, as extracts do, for some loans with another value later on.
    record : list of dict
        ``rule`` (as the clean-up and the check call it), ``table``, ``column``, ``count``.
    """

    def __init__(self, loans: pd.DataFrame, performance: pd.DataFrame, share: float, seed: int) -> None:
        self.loans = loans
        term = loans.set_index("loan_id")["term"]
        self.performance = performance.assign(term=performance["loan_id"].map(term).astype(np.int16))
        self.record: list[dict[str, Any]] = []
        self._first = np.flatnonzero(~performance["loan_id"].duplicated())
        self._n_rows = np.diff(np.append(self._first, len(performance)))
        self._last = self._first + self._n_rows - 1
        rng = np.random.default_rng(seed)
        self._middle = (
            self._first + 1 + (rng.random(len(self._first)) * np.maximum(self._n_rows - 2, 0)).astype(np.int64)
        )
        self._added: list[pd.DataFrame] = []
        self._dropped: Rows = np.zeros(0, np.int64)
        self._apply(rng, share * len(loans))

    def _kinds(self) -> list[tuple[NDArray[np.bool_], Callable[[Rows], None]]]:
        """Give each kind of dirt: the loans that can have it, and what makes it."""
        status = self.performance["status"].to_numpy()[self._last]
        month = self.performance["month"].to_numpy()
        several = self._n_rows > 2
        opened = pd.DatetimeIndex(self.loans["origination_date"]) + pd.offsets.MonthEnd(0)
        seen_from_origin = month[self._first] == opened.to_numpy()
        gone = np.isin(status, ["prepaid", "charged_off", "refinanced"]) & (month[self._last] < month.max())
        still = several & (status == "open")
        return [
            (several, self._gap),
            (still, self._missing_status),
            (still, self._missing_period),
            (gone, self._after_exit),
            (seen_from_origin, self._before_origination),
            (several, self._moving),
            (several, self._zero),
            (several, self._implausible),
            (several, self._missing_value),
            (several, self._unknown),
            (several, self._duplicates),
        ]

    def _apply(self, rng: np.random.Generator, n_dirty: float) -> None:
        free, kinds = np.ones(len(self._first), bool), self._kinds()
        for possible, make in kinds:
            candidates = np.flatnonzero(possible & free)
            n = min(max(1, round(n_dirty / len(kinds))), len(candidates))
            loans = rng.choice(candidates, n, replace=False)
            free[loans] = False
            if n:
                make(loans)
        kept = self.performance[~np.isin(np.arange(len(self.performance)), self._dropped)]
        self.performance = pd.concat([kept, *self._added], ignore_index=True)

    def _note(self, rule: str, column: str, count: int, table: str = "performance") -> None:
        self.record.append({"rule": rule, "table": table, "column": column, "count": count})

    def _set(self, column: str, rows: Rows, value: Any) -> None:
        values = self.performance[column].to_numpy(copy=True)
        values[rows] = value
        self.performance[column] = values

    def _gap(self, loans: Rows) -> None:
        self._dropped = self._middle[loans]
        self._note("gap", "month", len(loans))

    def _missing_status(self, loans: Rows) -> None:
        self._set("status", self._last[loans], None)
        self._note("missing status", "status", len(loans))

    def _missing_period(self, loans: Rows) -> None:
        self._set("month", self._last[loans], np.datetime64("NaT"))
        self._note("missing period", "month", len(loans))

    def _after_exit(self, loans: Rows) -> None:
        late = self.performance.iloc[self._last[loans]].copy()
        late["month"] += pd.offsets.MonthEnd(1)
        self._added.append(late.assign(status="open"))
        self._note("after the exit", "status", len(loans))

    def _before_origination(self, loans: Rows) -> None:
        early = self.performance.iloc[self._first[loans]].copy()
        early["month"] -= pd.offsets.MonthEnd(1)
        self._added.append(early.assign(status="open"))
        self._note("before origination", "month", len(loans))

    def _moving(self, loans: Rows) -> None:
        rows = np.concatenate([np.arange(self._middle[loan], self._last[loan] + 1) for loan in loans])
        self._set("term", rows, self.performance["term"].to_numpy()[rows] + 12)
        self._note("static column moves", "term", len(loans))

    def _zero(self, loans: Rows) -> None:
        self._set("credit_score", self._middle[loans], 0)
        self._note("zero means missing", "credit_score", len(loans))

    def _implausible(self, loans: Rows) -> None:
        half = len(loans) // 2
        for column, value, part in (("debt_to_income", 999.0, loans[:half]), ("csat", 50.0, loans[half:])):
            self._set(column, self._middle[part], value)
            if len(part):
                self._note("not plausible", column, len(part))

    def _missing_value(self, loans: Rows) -> None:
        self._set("response_hours", self._middle[loans], np.nan)
        self._note("missing values", "response_hours", len(loans))

    def _unknown(self, loans: Rows) -> None:
        rows = self.performance.iloc[self._middle[loans]]
        self._added.append(rows.assign(loan_id=rows["loan_id"] + 9_000_000))
        self._note("unknown loan", "loan_id", len(loans))

    def _duplicates(self, loans: Rows) -> None:
        half = len(loans) // 2
        self._added.append(self.performance.iloc[self._middle[loans[half:]]])
        self._note("exact duplicate", "month", len(loans) - half)
        if half:
            self.loans = pd.concat([self.loans, self.loans.iloc[loans[:half]]], ignore_index=True)
            self._note("exact duplicate", "loan_id", half, "loans")

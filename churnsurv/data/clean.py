"""Clean-up of loan and performance tables: every row that is not used as it stands is counted under a named rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.duplicates import refuse_conflicts, refuse_sparse_rows, repeated
from churnsurv.data.findings import Finding
from churnsurv.data.ids import check_ids, check_labels, check_same_type
from churnsurv.data.periods import NO_PERIOD, period_numbers
from churnsurv.data.rules import SpellRules
from churnsurv.data.schema import loan_columns, performance_columns, require_columns, require_corrected_columns
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of, numeric_column

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: code of a loan-period that ends with the scheduled end of the loan; 0 is open, 1…K are causes
MATURITY = -1


@dataclass(frozen=True)
class LoanPeriods:
    """Clean loan-periods, sorted by loan and period.

    ``row`` points into `performance` and ``loan`` into `loans`; ``age`` is the loan's age at the start of the period,
    ``code`` how the period ended. ``origination`` and ``maturity`` (age at the scheduled end, ∞ without one) are given
    per loan; ``left_out`` counts loans without any loan-period by reason.
    """

    loans: pd.DataFrame
    performance: pd.DataFrame
    row: Ints
    loan: Ints
    period: Ints
    age: Ints
    code: Ints
    origination: Ints
    maturity: NDArray[np.float64]
    left_out: dict[str, int]
    findings: list[Finding] = field(default_factory=list)


def clean(loans: pd.DataFrame | None, performance: pd.DataFrame, rules: SpellRules) -> LoanPeriods:
    """Give the loan-periods that the rules leave, and count everything else.

    Raises
    ------
    DataError
        Columns that are absent, a status without a meaning, two different rows of one loan and period.
    """
    require_columns(performance, performance_columns(rules), "performance")
    check_ids(performance[rules.loan_id], "performance")
    findings: list[Finding] = []
    period = period_numbers(performance[rules.observed], rules)
    if loans is None:
        require_columns(performance, loan_columns(rules, performance), "performance")
        loans = _first_rows(performance, period, rules, findings)
    else:
        require_columns(loans, loan_columns(rules, performance), "loans")
        check_ids(loans[rules.loan_id], "loans")
        check_ids(loans[rules.customer_id or rules.loan_id], "loans")
        check_same_type(performance[rules.loan_id], loans[rules.loan_id], "performance")
    require_corrected_columns(loans, performance, rules)
    loans = _distinct_loans(loans, rules, findings)
    origination = period_numbers(loans[rules.origination], rules)
    maturity = _maturity(loans, origination, rules, findings)

    ids = performance[rules.loan_id]
    loan = pd.Index(loans[rules.loan_id]).get_indexer(pd.Index(ids)).astype(np.int64)
    status = _status_codes(performance[rules.status], rules)
    row = np.arange(len(performance))
    table = _Rows(row, loan, period, status, ids, findings)
    table.drop(ids.isna().to_numpy()[table.row], "missing loan id", rules.loan_id)
    table.drop(table.loan < 0, "unknown loan", rules.loan_id)
    known = np.bincount(table.loan, minlength=len(loans)) > 0
    table.drop(table.period == NO_PERIOD, "missing period", rules.observed)
    table.drop(table.code == _NO_STATUS, "missing status", rules.status or "")
    table.drop(origination[table.loan] == NO_PERIOD, "origination unknown", rules.origination)
    table.sort()
    refuse_sparse_rows(table.loan, table.period, rules)
    table.drop_duplicates(performance, rules)
    table.drop(table.period < origination[table.loan], "before origination", rules.observed)
    table.drop(table.after_exit(), "after the exit", rules.status or "")
    age = table.period - origination[table.loan]
    table.drop(age >= maturity[table.loan], "past the scheduled end", rules.observed)
    age = table.period - origination[table.loan]
    code = _with_maturity(table.code, age + 1 >= maturity[table.loan], rules, findings)
    _count_gaps(table, findings)
    left_out = _left_out(loans, known, origination, table.loan)
    return LoanPeriods(
        loans, performance, table.row, table.loan, table.period, age, code, origination, maturity, left_out, findings
    )


class _Rows:
    """Parallel arrays of the rows still in use; dropping some counts them."""

    def __init__(
        self, row: Ints, loan: Ints, period: Ints, code: Ints, ids: pd.Series, findings: list[Finding]
    ) -> None:
        self.row, self.loan, self.period, self.code = row, loan, period, code
        self.ids, self.findings = ids, findings

    def _select(self, which: Flags | Ints) -> None:
        self.row, self.loan = self.row[which], self.loan[which]
        self.period, self.code = self.period[which], self.code[which]

    def drop(self, flags: Flags, rule: str, column: str, action: str = "row left out") -> None:
        if np.any(flags):
            examples = tuple(pd.unique(self.ids.iloc[self.row[flags]])[:5].tolist())
            n = int(np.count_nonzero(flags))
            self.findings.append(Finding(rule, "performance", column, n, "row", action, examples))
            self._select(~flags)

    def sort(self) -> None:
        step = np.diff(self.loan)
        if not bool(np.all((step > 0) | ((step == 0) & (np.diff(self.period) >= 0)))):
            self._select(np.lexsort((self.period, self.loan)))

    def drop_duplicates(self, performance: pd.DataFrame, rules: SpellRules) -> None:
        same_as_last = np.zeros(len(self.row), bool)
        same_as_last[1:] = (np.diff(self.loan) == 0) & (np.diff(self.period) == 0)
        if not np.any(same_as_last):
            return
        with_twin = same_as_last.copy()
        with_twin[:-1] |= same_as_last[1:]
        refuse_conflicts(performance.iloc[self.row[with_twin]], self.loan[with_twin], self.period[with_twin], rules)
        self.drop(same_as_last, "exact duplicate", rules.observed, "one of the equal rows kept")

    def after_exit(self) -> Flags:
        exits = np.flatnonzero(self.code != 0)
        first_exit = np.full(int(self.loan.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first_exit, self.loan[exits], self.period[exits])
        return self.period > first_exit[self.loan]


#: code of a row whose status is missing
_NO_STATUS = -2


def _status_codes(status: pd.Series, rules: SpellRules) -> Ints:
    """Translate the status into 0 open, 1…K causes, `MATURITY`, `_NO_STATUS`; every value must have a meaning."""
    meaning = _meaning(rules)
    unexplained = unexplained_statuses(status, rules)
    which, values = pd.factorize(status)
    if unexplained:
        value, rows = next(iter(unexplained.items()))
        raise DataError(
            f"Column {rules.status!r} holds {value!r} in {counted(len(rows), 'row')} (row {first_of(rows)}), "
            f"which the rules do not explain. They know {first_of(map(repr, meaning), 12)}: "
            "add it to open, matured or one of the causes."
        )
    return np.array([meaning[value] for value in values] + [_NO_STATUS], dtype=np.int64)[which]


def _meaning(rules: SpellRules) -> dict[Any, int]:
    meaning: dict[Any, int] = dict.fromkeys(rules.open, 0) | dict.fromkeys(rules.matured, MATURITY)
    for code, values in enumerate(rules.causes.values(), start=1):
        meaning |= dict.fromkeys(values, code)
    return meaning


def unexplained_statuses(status: pd.Series, rules: SpellRules) -> dict[Any, Ints]:
    """Give the values of the status that the rules do not explain, with the positions of their rows."""
    check_labels(status, "performance")
    which, values = pd.factorize(status)
    known = _meaning(rules)
    return {value: np.flatnonzero(which == code) for code, value in enumerate(values) if value not in known}


def _first_rows(panel: pd.DataFrame, period: Ints, rules: SpellRules, findings: list[Finding]) -> pd.DataFrame:
    """Take the loan table from each loan's first row, counting the loans whose static columns move afterwards."""
    usable = np.flatnonzero((period != NO_PERIOD) & panel[rules.loan_id].notna().to_numpy())
    in_order = panel.iloc[usable[np.argsort(period[usable], kind="stable")]]
    columns = loan_columns(rules, panel)
    first = in_order.drop_duplicates(rules.loan_id)[columns].reset_index(drop=True)
    position = pd.Index(first[rules.loan_id]).get_indexer(pd.Index(in_order[rules.loan_id]))
    for name in columns:
        now, then = in_order[name].reset_index(drop=True), first[name].iloc[position].reset_index(drop=True)
        moved = ~((now == then) | (now.isna() & then.isna())).to_numpy(dtype=bool)
        ids = pd.unique(in_order[rules.loan_id].to_numpy()[moved])
        if len(ids):
            findings.append(
                Finding(
                    "static column moves",
                    "performance",
                    name,
                    len(ids),
                    "loan",
                    "first value kept",
                    tuple(ids[:5].tolist()),
                )
            )
    return first


def _distinct_loans(loans: pd.DataFrame, rules: SpellRules, findings: list[Finding]) -> pd.DataFrame:
    ids = loans[rules.loan_id]
    nameless = int(ids.isna().sum())
    if nameless:
        findings.append(Finding("missing loan id", "loans", rules.loan_id, nameless, "row", "row left out"))
        loans = loans[ids.notna()]
    if loans[rules.loan_id].duplicated().any():
        n = len(loans)
        loans = loans[~repeated(loans)]
        twice = loans.loc[loans[rules.loan_id].duplicated(), rules.loan_id]
        if len(twice):
            raise DataError(
                f"{counted(twice.nunique(), 'loan')} of the loan table have rows that differ "
                f"(loan {first_of(twice.unique())}). Keep one row per loan."
            )
        findings.append(
            Finding("exact duplicate", "loans", rules.loan_id, n - len(loans), "row", "one of the equal rows kept")
        )
    return loans.reset_index(drop=True)


def _maturity(
    loans: pd.DataFrame, origination: Ints, rules: SpellRules, findings: list[Finding]
) -> NDArray[np.float64]:
    """Give the age at the scheduled end of each loan, ∞ where there is none."""
    column = rules.term or rules.maturity
    if column is None:
        return np.full(len(loans), np.inf)
    if rules.term is not None:
        age = numeric_column(loans[column], column)
    else:
        end = period_numbers(loans[column], rules)
        unknown = (end == NO_PERIOD) | (origination == NO_PERIOD)
        age = np.where(unknown, np.nan, end.astype(float) - origination)
    wrong = ~(age > 0)
    if np.any(wrong):
        ids = loans[rules.loan_id].to_numpy()[wrong]
        action = "no scheduled end assumed"
        n = int(np.count_nonzero(wrong))
        findings.append(Finding("no valid term", "loans", column, n, "loan", action, tuple(ids[:5].tolist())))
    return np.where(wrong, np.inf, age)


def _with_maturity(code: Ints, at_end: Flags, rules: SpellRules, findings: list[Finding]) -> Ints:
    """Read the last scheduled period: what is still open matures, and so do the causes of ``paid_at_term``."""
    paid = at_end & np.isin(code, [rules.cause_names.index(name) + 1 for name in rules.paid_at_term])
    if np.any(paid):
        n = int(np.count_nonzero(paid))
        findings.append(Finding("paid at term", "performance", rules.status or "", n, "loan", "matured, not an exit"))
    return np.where(paid | (at_end & (code == 0)), MATURITY, code)


def _count_gaps(table: _Rows, findings: list[Finding]) -> None:
    step = np.where(np.diff(table.loan) == 0, np.diff(table.period), 1)
    gaps = np.flatnonzero(step > 1)
    if len(gaps):
        ids = pd.unique(table.ids.iloc[table.row[gaps]])
        n = int((step[gaps] - 1).sum())
        action = f"not at risk in these periods ({counted(len(ids), 'loan')})"
        findings.append(Finding("gap", "performance", "", n, "period", action, tuple(ids[:5].tolist())))


def _left_out(loans: pd.DataFrame, known: Flags, origination: Ints, used: Ints) -> dict[str, int]:
    in_use = np.bincount(used, minlength=len(loans)) > 0
    no_origin = ~in_use & (origination == NO_PERIOD)
    no_rows = ~in_use & ~no_origin & ~known
    reasons = {
        "origination unknown": no_origin,
        "not in the performance table": no_rows,
        "no usable row": ~in_use & ~no_origin & ~no_rows,
    }
    return {reason: int(np.count_nonzero(flags)) for reason, flags in reasons.items() if np.any(flags)}

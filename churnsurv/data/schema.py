"""Roles of the columns: which table must have which, by the rules."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from churnsurv.data.config import did_you_mean
from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import DataError


def require_columns(frame: pd.DataFrame, columns: Iterable[str], table: str) -> None:
    """Raise when a column that the rules name is absent or there twice."""
    for name in columns:
        n = int(np.count_nonzero(frame.columns == name))
        if n == 0:
            raise DataError(
                f"The {table} table has no column {name!r}, which the rules name. "
                f"{did_you_mean(name, [str(c) for c in frame.columns])}"
            )
        if n > 1:
            raise DataError(f"The {table} table has {n} columns called {name!r}; rename or drop all but one.")


def require_corrected_columns(loans: pd.DataFrame, performance: pd.DataFrame, rules: SpellRules) -> None:
    """Raise when a rule about values names a column that no table has: it would do nothing."""
    known = [str(name) for name in dict.fromkeys([*performance.columns, *loans.columns])]
    named = {"plausible": rules.plausible, "zero_is_missing": rules.zero_is_missing, "numbers": rules.numbers}
    for key, names in named.items():
        for name in names:
            if name not in known:
                raise DataError(
                    f"The rules' {key} names {name!r}, which neither the loans nor the performance table has. "
                    f"{did_you_mean(name, known)}"
                )


def loan_columns(rules: SpellRules, performance: pd.DataFrame) -> list[str]:
    """Give the columns that the loan table must have."""
    own = rules.rate_incentive.own if rules.rate_incentive else None
    wanted = [
        rules.loan_id,
        rules.customer_id,
        rules.origination,
        rules.term or rules.maturity,
        *rules.covariates.loans,
        *rules.at_origination.values(),
        rules.acquired,
        *rules.exclude,
        rules.macro.region if rules.macro else None,
        own if own not in performance.columns else None,
        *rules.keep,
    ]
    return list(dict.fromkeys(name for name in wanted if name is not None))


def performance_columns(rules: SpellRules) -> list[str]:
    """Give the columns that the performance table must have."""
    wanted = [
        rules.loan_id,
        rules.observed,
        rules.status,
        *(condition.column for rule in rules.exits for condition in rule.when),
        *rules.covariates.performance,
        *(window.column for window in rules.windows.values()),
        *rules.at_origination,
    ]
    return list(dict.fromkeys(name for name in wanted if name is not None))


def macro_columns(rules: SpellRules, *, keys: bool = True) -> list[str]:
    """Give the columns that the macro table must have, with or without those it is joined by."""
    used = [*rules.covariates.macro, rules.rate_incentive.market if rules.rate_incentive else None]
    if keys and rules.macro is not None and rules.needs_macro:
        used = [rules.macro.region, rules.macro.period, *used]
    return list(dict.fromkeys(name for name in used if name is not None))

"""Roles of the columns: which table must have which, by the rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from churnsurv.data.config import did_you_mean
from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import DataError


def require_columns(available: Sequence[str], columns: Iterable[str], table: str) -> None:
    """Raise when a column that the rules name is absent or there twice."""
    for name in columns:
        n = list(available).count(name)
        if n == 0:
            raise DataError(
                f"The {table} table has no column {name!r}, which the rules name. "
                f"{did_you_mean(name, [str(c) for c in available])}"
            )
        if n > 1:
            raise DataError(f"The {table} table has {n} columns called {name!r}; rename or drop all but one.")


def require_corrected_columns(columns: Mapping[str, Sequence[str]], rules: SpellRules) -> None:
    """Raise when a rule about values names a column that no table has: it would do nothing.

    Parameters
    ----------
    columns : mapping
        Table → its columns.
    """
    of_macro = set(columns.get("macro", ()))
    known = list(dict.fromkeys(name for table, names in columns.items() if table != "macro" for name in names))
    named: dict[str, Iterable[str]] = {
        "plausible": rules.plausible,
        "zero_is_missing": rules.zero_is_missing,
        "numbers": rules.numbers,
        "dates": rules.dates,
    }
    for key, names in named.items():
        for name in names:
            if name not in known and not (key in ("dates", "numbers") and name in of_macro):
                raise DataError(
                    f"The rules' {key} names {name!r}, which neither the loans nor the performance table has. "
                    f"{did_you_mean(name, known)}"
                )


def static_columns(rules: SpellRules, performance: Sequence[str]) -> list[str]:
    """Give the columns of the loan table that spells carry: covariates, values at origination, what is kept or joined by."""
    own = rules.rate_incentive.own if rules.rate_incentive else None
    wanted = [
        *rules.covariates.loans,
        *rules.at_origination.values(),
        rules.macro.region if rules.macro else None,
        own if own not in performance else None,
        *rules.keep,
    ]
    return list(dict.fromkeys(name for name in wanted if name is not None))


def loan_columns(rules: SpellRules, performance: Sequence[str]) -> list[str]:
    """Give the columns that the loan table must have, given those of the performance table."""
    wanted = [
        rules.loan_id,
        rules.customer_id,
        rules.origination,
        rules.term or rules.maturity,
        rules.acquired,
        *rules.exclude,
        *static_columns(rules, performance),
    ]
    return list(dict.fromkeys(name for name in wanted if name is not None))


def value_columns(rules: SpellRules, performance: Sequence[str]) -> list[str]:
    """Give the columns of the performance table whose values covariates are made of, given all of its columns."""
    own = rules.rate_incentive.own if rules.rate_incentive else None
    wanted = [
        *rules.covariates.performance,
        *(window.column for window in rules.windows.values()),
        *rules.at_origination,
        own if own in performance and rules.rows == "period" else None,
    ]
    return list(dict.fromkeys(name for name in wanted if name is not None))


def performance_columns(rules: SpellRules) -> list[str]:
    """Give the columns that the performance table must have."""
    conditions = (condition.column for rule in rules.exits for condition in rule.when)
    wanted = [rules.loan_id, rules.observed, rules.status, *conditions, *value_columns(rules, [])]
    return list(dict.fromkeys(name for name in wanted if name is not None))


def macro_columns(rules: SpellRules, *, keys: bool = True) -> list[str]:
    """Give the columns that the macro table must have, with or without those it is joined by."""
    used = [*rules.covariates.macro, rules.rate_incentive.market if rules.rate_incentive else None]
    if keys and rules.macro is not None and rules.needs_macro:
        used = [rules.macro.region, rules.macro.period, *used]
    return list(dict.fromkeys(name for name in used if name is not None))


def columns_used(rules: SpellRules, *, with_loans: bool) -> dict[str, list[str]]:
    """Give the columns of each table that may be used: those that frames hand over to the database."""
    own = [rules.rate_incentive.own] if rules.rate_incentive else []
    of_loans = loan_columns(rules, [])
    of_performance = [*performance_columns(rules), *own]
    return {
        "loans": of_loans,
        "performance": of_performance if with_loans else [*of_performance, *of_loans],
        "macro": macro_columns(rules),
    }

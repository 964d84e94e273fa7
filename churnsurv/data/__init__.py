"""From a lender's tables to covariates and outcomes: rules, checks, spells, landmark cohorts, simulated portfolios.

Lives here: whatever reads, checks, joins or simulates tables. May not: estimate, plot, print.
The names are loaded on first use, so that importing one module of this package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

#: public name → module it lives in
_HOME = {
    "Cohort": "landmark",
    "Portfolio": "portfolio",
    "SpellRules": "rules",
    "Spells": "spells",
    "build_spells": "spells",
    "check_leakage": "leakage",
    "check_tables": "check",
    "lint": "leakage",
    "load_example": "portfolio",
    "simulate": "synthetic",
}

__all__ = [
    "Cohort",
    "Portfolio",
    "SpellRules",
    "Spells",
    "build_spells",
    "check_leakage",
    "check_tables",
    "lint",
    "load_example",
    "simulate",
]

if TYPE_CHECKING:
    from churnsurv.data.check import check_tables
    from churnsurv.data.landmark import Cohort
    from churnsurv.data.leakage import check_leakage, lint
    from churnsurv.data.portfolio import Portfolio, load_example
    from churnsurv.data.rules import SpellRules
    from churnsurv.data.spells import Spells, build_spells
    from churnsurv.data.synthetic import simulate


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'churnsurv.data' has no attribute {name!r}")
    value = getattr(import_module(f"churnsurv.data.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

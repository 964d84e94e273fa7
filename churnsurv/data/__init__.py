"""From a lender's tables to covariates and outcomes: rules, checks, spells, landmark cohorts, simulations, public formats.

Lives here: whatever reads, checks, joins or simulates tables. May not: estimate, plot, print.
The names are loaded on first use, so that importing one module of this package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

#: public name → module it lives in
_HOME = {
    "Cohort": "landmark",
    "CustomerKFold": "splits",
    "DesignEncoder": "encoder",
    "Drift": "synthetic.drift",
    "Portfolio": "portfolio",
    "SpellFile": "stored",
    "SpellRules": "rules",
    "Spells": "spells",
    "build_spells": "build",
    "catalogue_words": "catalogue",
    "check_leakage": "leakage",
    "check_tables": "check",
    "count_episodes": "episodes",
    "covariates": "catalogue",
    "customer_split": "splits",
    "interventions": "catalogue",
    "lint": "leakage",
    "load_example": "portfolio",
    "missingness": "missing",
    "out_of_time": "calendar_splits",
    "read_fred": "macro",
    "requirements": "catalogue",
    "rolling_origin": "calendar_splits",
    "simulate": "synthetic.simulation",
    "split_episodes": "episodes",
    "time_interaction": "episodes",
    "write_spells": "stored",
}
#: packages of this one
_PACKAGES = ("adapters",)

__all__ = [
    "Cohort",
    "CustomerKFold",
    "DesignEncoder",
    "Drift",
    "Portfolio",
    "SpellFile",
    "SpellRules",
    "Spells",
    "adapters",
    "build_spells",
    "catalogue_words",
    "check_leakage",
    "check_tables",
    "count_episodes",
    "covariates",
    "customer_split",
    "interventions",
    "lint",
    "load_example",
    "missingness",
    "out_of_time",
    "read_fred",
    "requirements",
    "rolling_origin",
    "simulate",
    "split_episodes",
    "time_interaction",
    "write_spells",
]

if TYPE_CHECKING:
    from churnsurv.data import adapters
    from churnsurv.data.build import build_spells
    from churnsurv.data.calendar_splits import out_of_time, rolling_origin
    from churnsurv.data.catalogue import catalogue_words, covariates, interventions, requirements
    from churnsurv.data.check import check_tables
    from churnsurv.data.encoder import DesignEncoder
    from churnsurv.data.episodes import count_episodes, split_episodes, time_interaction
    from churnsurv.data.landmark import Cohort
    from churnsurv.data.leakage import check_leakage, lint
    from churnsurv.data.macro import read_fred
    from churnsurv.data.missing import missingness
    from churnsurv.data.portfolio import Portfolio, load_example
    from churnsurv.data.rules import SpellRules
    from churnsurv.data.spells import Spells
    from churnsurv.data.splits import CustomerKFold, customer_split
    from churnsurv.data.stored import SpellFile, write_spells
    from churnsurv.data.synthetic.drift import Drift
    from churnsurv.data.synthetic.simulation import simulate


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"churnsurv.data.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'churnsurv.data' has no attribute {name!r}")
    value = getattr(import_module(f"churnsurv.data.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

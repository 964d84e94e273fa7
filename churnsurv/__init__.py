"""churnsurv: survival analysis of loan-customer attrition.

Lives here: the public names, loaded on first use so that ``import churnsurv`` stays cheap. Nothing is computed here.

>>> import churnsurv as cs
>>> y = cs.Outcome(stop=[5, 8, 12], event=[1, 0, 1])
>>> cs.KaplanMeier().fit(y).median().value
12.0
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: public name → module it lives in
_HOME = {
    "Outcome": "outcome",
    "Curves": "curves",
    "Estimate": "results",
    "TestResult": "results",
    "KaplanMeier": "nonparametric",
    "NelsonAalen": "nonparametric",
    "AalenJohansen": "nonparametric",
    "CensoringModel": "nonparametric",
    "CoxPH": "estimators.cox",
    "CauseSpecificCox": "estimators.cause_specific",
    "RandomSurvivalForest": "estimators.forest",
    "bootstrap_intervals": "estimators.bootstrap",
    "predict_curves": "estimators.predict",
    "save": "persistence",
    "load": "persistence",
}
_MODULES = ("data", "effects", "exceptions", "metrics", "plot", "report")

__all__ = [
    "AalenJohansen",
    "CauseSpecificCox",
    "CensoringModel",
    "CoxPH",
    "Curves",
    "Estimate",
    "KaplanMeier",
    "NelsonAalen",
    "Outcome",
    "RandomSurvivalForest",
    "TestResult",
    "bootstrap_intervals",
    "data",
    "effects",
    "exceptions",
    "load",
    "metrics",
    "plot",
    "predict_curves",
    "report",
    "save",
]

if TYPE_CHECKING:
    from churnsurv import data, effects, exceptions, metrics, plot, report
    from churnsurv.curves import Curves
    from churnsurv.estimators.bootstrap import bootstrap_intervals
    from churnsurv.estimators.cause_specific import CauseSpecificCox
    from churnsurv.estimators.cox import CoxPH
    from churnsurv.estimators.forest import RandomSurvivalForest
    from churnsurv.estimators.predict import predict_curves
    from churnsurv.nonparametric import AalenJohansen, CensoringModel, KaplanMeier, NelsonAalen
    from churnsurv.outcome import Outcome
    from churnsurv.persistence import load, save
    from churnsurv.results import Estimate, TestResult


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"churnsurv.{name}")
    if name in _HOME:
        value = getattr(import_module(f"churnsurv.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'churnsurv' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

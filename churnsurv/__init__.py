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
    "FineGray": "estimators.fine_gray",
    "RandomSurvivalForest": "estimators.forest",
    "DiscreteHazard": "estimators.discrete",
    "NullModel": "estimators.null",
    "Recalibrated": "estimators.recalibrated",
    "adapt": "estimators.adapters",
    "compare_nested": "estimators.nested",
    "bootstrap_intervals": "estimators.bootstrap",
    "partial_dependence": "estimators.dependence",
    "predict_curves": "estimators.predict",
    "scorer": "estimators.scoring",
    "tune_forest": "estimators.forest_tuning",
    "proportional_hazards_test": "estimators.ph_test",
    "diagnose": "estimators.diagnosis",
    "events_per_parameter": "estimators.diagnostics",
    "functional_form": "estimators.smooths",
    "hazard_ratio_over_time": "estimators.smooths",
    "influence": "estimators.diagnostics",
    "variance_inflation": "estimators.diagnostics",
    "StandardisedCurves": "estimators.standardise",
    "standardised_curves": "estimators.standardise",
    "profile_intervals": "estimators.profile",
    "save": "persistence",
    "load": "persistence",
}
_MODULES = ("data", "effects", "evaluation", "exceptions", "metrics", "plot", "report")

__all__ = [
    "AalenJohansen",
    "CauseSpecificCox",
    "CensoringModel",
    "CoxPH",
    "Curves",
    "DiscreteHazard",
    "Estimate",
    "FineGray",
    "KaplanMeier",
    "NelsonAalen",
    "NullModel",
    "Outcome",
    "RandomSurvivalForest",
    "Recalibrated",
    "StandardisedCurves",
    "TestResult",
    "adapt",
    "bootstrap_intervals",
    "compare_nested",
    "data",
    "diagnose",
    "effects",
    "evaluation",
    "events_per_parameter",
    "exceptions",
    "functional_form",
    "hazard_ratio_over_time",
    "influence",
    "load",
    "metrics",
    "partial_dependence",
    "plot",
    "predict_curves",
    "profile_intervals",
    "proportional_hazards_test",
    "report",
    "save",
    "scorer",
    "standardised_curves",
    "tune_forest",
    "variance_inflation",
]

if TYPE_CHECKING:
    from churnsurv import data, effects, evaluation, exceptions, metrics, plot, report
    from churnsurv.curves import Curves
    from churnsurv.estimators.adapters import adapt
    from churnsurv.estimators.bootstrap import bootstrap_intervals
    from churnsurv.estimators.cause_specific import CauseSpecificCox
    from churnsurv.estimators.cox import CoxPH
    from churnsurv.estimators.dependence import partial_dependence
    from churnsurv.estimators.diagnosis import diagnose
    from churnsurv.estimators.diagnostics import events_per_parameter, influence, variance_inflation
    from churnsurv.estimators.discrete import DiscreteHazard
    from churnsurv.estimators.fine_gray import FineGray
    from churnsurv.estimators.forest import RandomSurvivalForest
    from churnsurv.estimators.forest_tuning import tune_forest
    from churnsurv.estimators.nested import compare_nested
    from churnsurv.estimators.null import NullModel
    from churnsurv.estimators.ph_test import proportional_hazards_test
    from churnsurv.estimators.predict import predict_curves
    from churnsurv.estimators.profile import profile_intervals
    from churnsurv.estimators.recalibrated import Recalibrated
    from churnsurv.estimators.scoring import scorer
    from churnsurv.estimators.smooths import functional_form, hazard_ratio_over_time
    from churnsurv.estimators.standardise import StandardisedCurves, standardised_curves
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

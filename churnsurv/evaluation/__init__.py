"""Evaluation of models on rows that they were not fitted to.

Other customers (:func:`cross_validate`, :func:`compare`), a later time (:func:`backtest`), or the same rows less what a fit
flatters itself by (:func:`optimism`). Lives here: fitting and predicting on splits, pooling, paired comparison. What a metric
is stands in :mod:`churnsurv.metrics`.
"""

from churnsurv.evaluation.backtesting import backtest
from churnsurv.evaluation.comparison import compare
from churnsurv.evaluation.control_chart import ControlChart, control_chart
from churnsurv.evaluation.cross_validation import cross_validate
from churnsurv.evaluation.drift import characteristic_stability, population_stability
from churnsurv.evaluation.fairness import Fairness, fairness
from churnsurv.evaluation.optimism_bootstrap import OptimismCorrected, optimism
from churnsurv.evaluation.performance_drift import PerformanceDrift, performance, performance_drift
from churnsurv.evaluation.records import Evaluation
from churnsurv.evaluation.replication import Replication, replicate
from churnsurv.evaluation.roll_forward import RollForward, roll_forward
from churnsurv.evaluation.scenario_paths import shock_paths
from churnsurv.evaluation.scenarios import ScenarioResult, scenario
from churnsurv.evaluation.stability import CharacteristicStability, Stability

__all__ = [
    "CharacteristicStability",
    "ControlChart",
    "Evaluation",
    "Fairness",
    "OptimismCorrected",
    "PerformanceDrift",
    "Replication",
    "RollForward",
    "ScenarioResult",
    "Stability",
    "backtest",
    "characteristic_stability",
    "compare",
    "control_chart",
    "cross_validate",
    "fairness",
    "optimism",
    "performance",
    "performance_drift",
    "population_stability",
    "replicate",
    "roll_forward",
    "scenario",
    "shock_paths",
]

"""Evaluation over time: whether the model is still right, and the customers still those it was made for.

Lives here: :func:`population_stability`, :func:`characteristic_stability`, :func:`performance`, :func:`performance_drift`,
:func:`control_chart`, :func:`roll_forward` and their records. Nothing is drawn here.
"""

from churnsurv.evaluation.control_chart import ControlChart, control_chart
from churnsurv.evaluation.drift import characteristic_stability, population_stability
from churnsurv.evaluation.performance_drift import PerformanceDrift, performance, performance_drift
from churnsurv.evaluation.roll_forward import RollForward, roll_forward
from churnsurv.evaluation.stability import CharacteristicStability, Stability

__all__ = [
    "CharacteristicStability",
    "ControlChart",
    "PerformanceDrift",
    "RollForward",
    "Stability",
    "characteristic_stability",
    "control_chart",
    "performance",
    "performance_drift",
    "population_stability",
    "roll_forward",
]

"""Figures of results, by matplotlib: every function takes ``ax`` and returns ``ax`` (of several panels: ``axes``).

Lives here: the functions listed in ``__all__`` and the one theme they share (:mod:`churnsurv.plot.theme`). Nothing is
estimated here; a figure shows what a result already holds.
"""

from churnsurv.plot.balance import love_plot
from churnsurv.plot.calibration import auc_over_time, calibration
from churnsurv.plot.comparison import comparison, rolling_origin
from churnsurv.plot.curves import cumulative_incidence, survival
from churnsurv.plot.dependence import partial_dependence
from churnsurv.plot.diagnostics import functional_form, hazard_ratio_over_time
from churnsurv.plot.fairness import fairness
from churnsurv.plot.hazard_ratios import forest, forest_height
from churnsurv.plot.heat import heat
from churnsurv.plot.importance import importance
from churnsurv.plot.monitoring import control_chart, roll_forward, stability
from churnsurv.plot.power import power_curve
from churnsurv.plot.predicted import predicted_incidence
from churnsurv.plot.rates import rates
from churnsurv.plot.scenarios import scenarios
from churnsurv.plot.subgroups import subgroup_forest
from churnsurv.plot.waterfall import waterfall

__all__ = [
    "auc_over_time",
    "calibration",
    "comparison",
    "control_chart",
    "cumulative_incidence",
    "fairness",
    "forest",
    "forest_height",
    "functional_form",
    "hazard_ratio_over_time",
    "heat",
    "importance",
    "love_plot",
    "partial_dependence",
    "power_curve",
    "predicted_incidence",
    "rates",
    "roll_forward",
    "rolling_origin",
    "scenarios",
    "stability",
    "subgroup_forest",
    "survival",
    "waterfall",
]

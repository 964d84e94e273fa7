"""Figures of results, by matplotlib: every function takes ``ax`` and returns ``ax``.

Lives here: :func:`survival`, :func:`cumulative_incidence`, :func:`forest`, :func:`rates`,
:func:`hazard_ratio_over_time`, :func:`functional_form`, :func:`love_plot`, :func:`power_curve`, :func:`subgroup_forest`
and the one theme they share (:mod:`churnsurv.plot.theme`). Nothing is estimated here; a figure shows what a result
already holds.
"""

from churnsurv.plot.balance import love_plot
from churnsurv.plot.curves import cumulative_incidence, survival
from churnsurv.plot.diagnostics import functional_form, hazard_ratio_over_time
from churnsurv.plot.hazard_ratios import forest, forest_height
from churnsurv.plot.power import power_curve
from churnsurv.plot.rates import rates
from churnsurv.plot.subgroups import subgroup_forest

__all__ = [
    "cumulative_incidence",
    "forest",
    "forest_height",
    "functional_form",
    "hazard_ratio_over_time",
    "love_plot",
    "power_curve",
    "rates",
    "subgroup_forest",
    "survival",
]

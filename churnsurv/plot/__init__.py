"""Figures of results, by matplotlib: every function takes ``ax`` and returns ``ax``.

Lives here: :func:`survival`, :func:`cumulative_incidence`, :func:`forest`, :func:`rates`,
:func:`hazard_ratio_over_time`, :func:`functional_form`, :func:`importance`, :func:`partial_dependence` and the one theme
they share (:mod:`churnsurv.plot.theme`).
Nothing is estimated here; a figure shows what a result already holds.
"""

from churnsurv.plot.curves import cumulative_incidence, survival
from churnsurv.plot.dependence import partial_dependence
from churnsurv.plot.diagnostics import functional_form, hazard_ratio_over_time
from churnsurv.plot.hazard_ratios import forest, forest_height
from churnsurv.plot.importance import importance
from churnsurv.plot.rates import rates

__all__ = [
    "cumulative_incidence",
    "forest",
    "forest_height",
    "functional_form",
    "hazard_ratio_over_time",
    "importance",
    "partial_dependence",
    "rates",
    "survival",
]

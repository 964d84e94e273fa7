"""Figures of results, by matplotlib: every function takes ``ax`` and returns ``ax``.

Lives here: :func:`survival`, :func:`cumulative_incidence`, :func:`forest`, :func:`rates` and the one theme they share
(:mod:`churnsurv.plot.theme`). Nothing is estimated here; a figure shows what a result already holds.
"""

from churnsurv.plot.curves import cumulative_incidence, survival
from churnsurv.plot.hazard_ratios import forest, forest_height
from churnsurv.plot.rates import rates

__all__ = ["cumulative_incidence", "forest", "forest_height", "rates", "survival"]

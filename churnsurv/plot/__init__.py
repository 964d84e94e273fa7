"""Figures of results, by matplotlib: every function takes ``ax`` and returns ``ax``.

Lives here: :func:`survival`, :func:`cumulative_incidence`, :func:`forest` and the one theme they share
(:mod:`churnsurv.plot.theme`). Nothing is estimated here; a figure shows what a result already holds.
"""

from churnsurv.plot.curves import cumulative_incidence, survival
from churnsurv.plot.hazard_ratios import forest

__all__ = ["cumulative_incidence", "forest", "survival"]

"""Models put to the test, and to use: what a portfolio would do under scenarios, and how well a model serves each group.

Lives here: :func:`scenario`, :func:`shock_paths`, :func:`fairness`. Nothing here plots or prints.
"""

from __future__ import annotations

from churnsurv.evaluation.fairness import Fairness, fairness
from churnsurv.evaluation.scenario_paths import shock_paths
from churnsurv.evaluation.scenarios import ScenarioResult, scenario

__all__ = ["Fairness", "ScenarioResult", "fairness", "scenario", "shock_paths"]

"""How good predictions are: functions of what happened (an Outcome) and what was predicted, each with its uncertainty.

Lives here: discrimination (``discrimination``, ``auc``), accuracy of probabilities (``brier``), two predictions of the same
rows compared (``paired``), calibration (``calibration``, ``d_calibration``, ``observed_expected``). Metrics never see an
estimator, so any model's predictions are measured the same way.
"""

from __future__ import annotations

from churnsurv.metrics.auc import cumulative_dynamic_auc
from churnsurv.metrics.brier import brier_score, integrated_brier_score
from churnsurv.metrics.calibration import Calibration, calibration
from churnsurv.metrics.d_calibration import d_calibration
from churnsurv.metrics.difference import Difference
from churnsurv.metrics.discrimination import concordance_index
from churnsurv.metrics.ipa import index_of_prediction_accuracy
from churnsurv.metrics.observed_expected import observed_expected
from churnsurv.metrics.paired import (
    auc_difference,
    brier_difference,
    concordance_difference,
    integrated_brier_difference,
)

__all__ = [
    "Calibration",
    "Difference",
    "auc_difference",
    "brier_difference",
    "brier_score",
    "calibration",
    "concordance_difference",
    "concordance_index",
    "cumulative_dynamic_auc",
    "d_calibration",
    "index_of_prediction_accuracy",
    "integrated_brier_difference",
    "integrated_brier_score",
    "observed_expected",
]

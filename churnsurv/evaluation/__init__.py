"""Evaluation of models on rows that they were not fitted to.

Other customers (:func:`cross_validate`, :func:`compare`), a later time (:func:`backtest`), or the same rows less what a fit
flatters itself by (:func:`optimism`). Lives here: fitting and predicting on splits, pooling, paired comparison. What a metric
is stands in :mod:`churnsurv.metrics`.
"""

from churnsurv.evaluation.backtesting import backtest
from churnsurv.evaluation.comparison import compare
from churnsurv.evaluation.cross_validation import cross_validate
from churnsurv.evaluation.optimism_bootstrap import OptimismCorrected, optimism
from churnsurv.evaluation.records import Evaluation
from churnsurv.evaluation.replication import Replication, replicate

__all__ = [
    "Evaluation",
    "OptimismCorrected",
    "Replication",
    "backtest",
    "compare",
    "cross_validate",
    "optimism",
    "replicate",
]

"""What the peers can fit, and where their numbers are worth comparing."""

from __future__ import annotations

from typing import Any

import numpy as np

from churnsurv.estimators.fine_gray import FineGray
from churnsurv.evaluation.replication_peers import CoxAnswer, CoxRows
from churnsurv.outcome import Outcome


def no_peer_fits(model: Any, y: Outcome) -> str | None:
    """Say why no peer can fit this model, or None."""
    if "offset" in model.argument_columns_:
        return "no peer takes an offset"
    if getattr(model, "penalty", 0.0):
        return "no peer has Firth's penalised likelihood"
    if isinstance(model, FineGray):
        if not y.from_origin and bool(np.any(y.start > 0)):
            return "the weights of a Fine-Gray model under delayed entry are built here without a peer"
        if "censoring_strata" in model.argument_columns_:
            return "the weights of a Fine-Gray model by censoring strata are built here without a peer"
    return None


def lifelines_lacks(model: Any) -> str | None:
    """Say why lifelines cannot fit this model, or None."""
    return None if model.ties == "efron" else "it has Efron's tie rule only"


def sksurv_lacks(model: Any, data: CoxRows) -> str | None:
    """Say why scikit-survival cannot fit these rows, or None."""
    beyond = {
        "weights": data.weight is not None,
        "strata": data.strata is not None,
        "delayed entry": data.start is not None and bool(np.any(data.start > 0)),
    }
    absent = [name for name, there in beyond.items() if there]
    return f"it takes no {' or '.join(absent)}" if absent else None


def flat_terms(model: Any, data: CoxRows, answer: CoxAnswer) -> list[str]:
    """Name the terms in which the likelihood rises without end: a huge effect over the column's range, known to nobody."""
    width = np.ptp(data.design, axis=0)
    error = np.sqrt(np.diag(model.naive_covariance_.to_numpy()))
    if answer.covariance is not None:
        error = np.maximum(error, np.sqrt(np.diag(answer.covariance)))
    effect = np.maximum(np.abs(model.coef_.to_numpy()), np.abs(answer.coef))
    return [t for t, e, c, w in zip(model.coef_.index, error, effect, width, strict=True) if e * w > 100 and c * w > 12]

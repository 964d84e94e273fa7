"""A forest beside scikit-survival's: its accuracy out of the bag within Monte-Carlo error, and its own seeds again."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from churnsurv.data.encoder import DesignEncoder
from churnsurv.estimators.forest import RandomSurvivalForest
from churnsurv.evaluation.replication_peers import PeerFailedError, guarded, peer_module
from churnsurv.metrics import concordance_index
from churnsurv.outcome import Outcome

#: forests of scikit-survival that are grown, and the difference in concordance that is allowed beyond Monte-Carlo error
N_FORESTS, MARGIN = 5, 0.02
METHOD = (
    f"A forest is replicated in accuracy, not number by number: its out-of-bag concordance and the mean of {N_FORESTS} forests "
    f"of scikit-survival with the same settings may differ by {MARGIN} and three Monte-Carlo standard errors."
)


def forest_refusal(model: RandomSurvivalForest, X: pd.DataFrame, y: Outcome, weighted: bool) -> str | None:
    """Say why scikit-survival cannot grow a comparable forest, or None."""
    if not model.bootstrap:
        return "without bootstrap a forest has no out-of-bag rows to be judged on"
    if len(y.causes) > 1:
        return "scikit-survival's forest knows one cause, and with the others censored it splits by another rule"
    if not y.from_origin and bool(np.any(y.start > 0)):
        return "scikit-survival's forest knows no delayed entry"
    if y.n_subjects < len(y) or weighted:
        return "scikit-survival's forest draws rows, not subjects, and would count weights otherwise"
    if X.isna().to_numpy().any():
        return "missing values are sent down the trees by another rule"
    return None


def forest_rows(model: RandomSurvivalForest, X: pd.DataFrame, y: Outcome) -> list[dict[str, Any]]:
    """Give the rows of the comparison: quantity, ours, theirs, tolerance."""
    ensemble = peer_module("sksurv.ensemble")
    theirs = []
    design = DesignEncoder().fit(X).design(X)
    for seed in range(N_FORESTS):
        forest = ensemble.RandomSurvivalForest(
            model.n_estimators,
            min_samples_leaf=model.min_samples_leaf,
            min_samples_split=2 * model.min_samples_leaf,
            max_depth=model.max_depth,
            max_features=model.max_features,
            max_samples=model.max_samples,
            oob_score=True,
            random_state=seed,
        )
        forest, _ = guarded(partial(forest.fit, design, y.to_sksurv()), "scikit-survival")
        risk = np.asarray(forest.oob_prediction_, np.float64)
        if np.isnan(risk).any():
            raise PeerFailedError("every tree of scikit-survival's forest drew some row: grow more trees")
        theirs.append(concordance_index(y, risk).value)
    found = model.oob_score(X, y).concordance
    spread = float(np.std(theirs, ddof=1) * np.sqrt(1 + 1 / N_FORESTS))
    rows = [
        {
            "peer": "scikit-survival",
            "quantity": "out-of-bag concordance",
            "ours": next(iter(found.values())).value,
            "theirs": float(np.mean(theirs)),
            "tolerance": MARGIN + 3 * spread,
        }
    ]
    if isinstance(model.random_state, int):
        again = clone(model).set_params(oob=False).fit(X, y)
        for name, of in (("mean", np.mean), ("standard deviation", np.std)):
            values = [float(of(m.predict(X))) for m in (model, again)]
            rows.append(
                {
                    "peer": "own refit, same seed",
                    "quantity": f"mortality, {name}",
                    "ours": values[0],
                    "theirs": values[1],
                    "tolerance": 1e-9 * max(1.0, abs(values[1])),
                }
            )
    return rows

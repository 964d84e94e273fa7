"""A fitted Cox model on rows of data again: the likelihood's sums at its estimate, for residuals, tests and checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_rows import Prepared, Rows, prepared, read_rows
from churnsurv.estimators.inputs import RowArgument, as_outcome
from churnsurv.exceptions import DataError
from churnsurv.kernels.newton import State, evaluate
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]


class Seen(NamedTuple):
    """Rows, the same as the kernel takes them, and the likelihood at the model's coefficients.

    Covariates of ``data`` are standardised: coefficients there are ``coef_ * data.scale``.
    """

    rows: Rows
    data: Prepared
    state: State


def seen(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    offset: RowArgument = None,
    stacklevel: int = 4,
) -> Seen:
    """Read rows as the fit did (its encoder, its remembered columns) and evaluate the likelihood at its estimate.

    Row arguments that were columns of X in the fit are remembered, arrays are passed again.
    """
    check_is_fitted(model)
    frame, outcome = feature_frame(X, model.feature_names_in_), as_outcome(y)
    given = {"strata": strata, "sample_weight": sample_weight, "cluster": cluster, "offset": offset}
    arguments = {name: model.remembered(name, value, frame) for name, value in given.items()}
    for name in ("strata", "sample_weight", "offset"):
        if arguments[name] is None and name in model.argument_columns_:
            raise DataError(f"The model was fitted with {name}: pass {name}= for these rows too.")
    rows = read_rows(frame, outcome, arguments, model.encoder_, model.missing, model.cause_, stacklevel)
    data = prepared(rows, model.ties == "efron")
    return Seen(rows, data, evaluate(data.problem, model.coef_.to_numpy() * data.scale))

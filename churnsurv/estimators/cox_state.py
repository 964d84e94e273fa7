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
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.cox import gradient
from churnsurv.kernels.newton import State, evaluate
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]


#: the squared length of a score, in standard errors, up to which coefficients count as those of a maximum
MOST_OFF = 1e-6


def require_cox(model: Any) -> None:
    """Refuse what is no Cox model of one cause.

    Raises
    ------
    DataError
        Naming the class, and what to pass.
    """
    from churnsurv.estimators.cox import CoxPH

    if isinstance(model, CoxPH):
        check_is_fitted(model)
        return
    hint = "pass a fitted CoxPH"
    if hasattr(model, "models_"):
        hint = f"pass the model of one cause, e.g. model.models_[{next(iter(model.models_))!r}]"
    elif hasattr(model, "curve_parts_"):
        hint = "a Fine-Gray model has weighted risk sets, and a proportional_hazards_test of its own"
    raise DataError(f"A {type(model).__name__} is no Cox model of one cause: {hint}.")


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
    like: Seen | None = None,
    stacklevel: int = 4,
) -> Seen:
    """Read rows as the fit did (its encoder, its remembered columns) and evaluate the likelihood at its estimate.

    Row arguments that were columns of X in the fit are remembered, arrays are passed again. Where another model was seen on
    the same design, such as that of another cause, `like` lets both hold one copy of it.
    """
    require_cox(model)
    frame, outcome = feature_frame(X, model.feature_names_in_), as_outcome(y)
    given = {"strata": strata, "sample_weight": sample_weight, "cluster": cluster, "offset": offset}
    arguments = {name: model.remembered(name, value, frame) for name, value in given.items()}
    for name in ("strata", "sample_weight", "offset"):
        if arguments[name] is None and name in model.argument_columns_:
            raise DataError(f"The model was fitted with {name}: pass {name}= for these rows too.")
    rows = read_rows(frame, outcome, arguments, model.encoder_, model.missing, model.cause_, stacklevel)
    efron = model.ties == "efron"
    if like is not None and np.array_equal(rows.design, like.rows.design):
        rows = rows._replace(design=like.rows.design)
        data = prepared(rows, efron, like.data.center, like.data.scale, like.data.shard.x)
    else:
        data = prepared(rows, efron)
    return Seen(rows, data, evaluate(data.problem, model.coef_.to_numpy() * data.scale))


def refuse_other_rows(model: CoxPH, at: Seen) -> None:
    """Refuse rows at which the likelihood is not at its maximum: they are not those of the fit.

    Raises
    ------
    NotIdentifiedError
        A penalised fit, which is at no maximum of the likelihood.
    """
    if model.penalty:
        raise NotIdentifiedError(
            f"A fit with penalty={model.penalty!r} does not maximise the likelihood that is examined here. Examine the fit "
            "without it, leaving out the columns that separate."
        )
    score = gradient(at.state.sums, at.state.terms)
    inverse = model.naive_covariance_.to_numpy() * np.outer(at.data.scale, at.data.scale)
    refuse_off(float(score @ inverse @ score) * at.data.factor**2, len(at.rows.outcome), model.n_observations_)


def refuse_off(off: float, n: int, n_of_fit: int) -> None:
    """Refuse `n` rows when a squared score of length `off` says that they are not those of the fit."""
    if n != n_of_fit or not off <= MOST_OFF:
        raise DataError(
            f"The coefficients do not maximise the likelihood of these {n:,} rows (the fit had {n_of_fit:,}): pass X, y, "
            "strata, weights and offset of the fit. A model is examined on its own rows."
        )

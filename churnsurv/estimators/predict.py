"""One way to ask any model, or a pipeline that ends in one, for its curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

from churnsurv.curves import Curves
from churnsurv.exceptions import DataError


def predict_curves(model: Any, X: pd.DataFrame | ArrayLike, times: ArrayLike | None = None, **arguments: Any) -> Curves:
    """Predict state probabilities over time.

    Parameters
    ----------
    model : fitted estimator, Pipeline or search
        A churnsurv model, or a scikit-learn pipeline with one as its last step; the steps before transform `X`. Of a fitted
        search (``GridSearchCV``) its best model.
    X : frame or array
        Covariates.
    times : array, optional
        Default: the event times of the fit.
    **arguments
        Passed on, such as ``start=`` (current age).

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X, y = pd.DataFrame({"x": [0.0, 1.0, 0.5, 0.2]}), cs.Outcome([3, 1, 2, 4], [1, 1, 0, 1])
    >>> cs.predict_curves(cs.CoxPH().fit(X, y), X, times=[2]).survival.shape
    (4, 1)
    """
    model, X = last_step(model, X)
    if not hasattr(model, "predict_curves"):
        raise DataError(
            f"{type(model).__name__} does not predict curves; pass a churnsurv model, or a pipeline that ends in one."
        )
    return model.predict_curves(X, times, **arguments)  # type: ignore[no-any-return]


def last_step(model: Any, X: pd.DataFrame | ArrayLike) -> tuple[Any, pd.DataFrame | ArrayLike]:
    """Give the model at the end of a fitted search or pipeline, and X as the steps before hand it over."""
    if hasattr(model, "best_estimator_"):
        return last_step(model.best_estimator_, X)
    if not isinstance(model, Pipeline):
        return model, X
    index = getattr(X, "index", None)
    X = model[:-1].transform(X) if len(model) > 1 else X
    if index is not None and not isinstance(X, pd.DataFrame):
        X = pd.DataFrame(np.asarray(X), index=index, columns=getattr(model[-1], "feature_names_in_", None))
    return last_step(model[-1], X)

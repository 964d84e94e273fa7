"""Why a model ranks a customer high: what each term adds to the linear predictor, against the mean of a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_state import require_cox
from churnsurv.exceptions import DataError

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH


def term_contributions(
    model: CoxPH, X: pd.DataFrame | ArrayLike, *, reference: pd.DataFrame | ArrayLike | None = None
) -> pd.DataFrame:
    r"""Split the linear predictor of each customer by the terms of the model.

    Term :math:`m` with the columns :math:`J_m` of the design :math:`z(x)` adds

    .. math:: c_m(x) = \sum_{j \in J_m} (z_j(x) - \bar z_j)\,\hat\beta_j, \qquad \sum_m c_m(x) = x'\hat\beta - \bar z'\hat\beta,

    so that :math:`\exp c_m` is the factor by which the hazard of the customer exceeds that of one who has the mean in this
    term and is otherwise alike. It describes how the model ranks; it is no effect of changing the covariate, and carries no
    interval (that of the coefficient is in :meth:`CoxPH.summary`). Categories of one column count as one term.

    Parameters
    ----------
    model : CoxPH
        Of a cause-specific model one of ``models_``.
    X : frame or array
        Customers; a row with a missing value gives NaN.
    reference : frame or array, optional
        Customers whose mean is compared with (complete rows of it). Default: the rows of the fit.

    Returns
    -------
    DataFrame
        (n, number of terms), on the log hazard, index of `X`.

    Raises
    ------
    DataError
        No Cox model of one cause; no complete row in `reference`.

    References
    ----------
    The contributions of an additive predictor are those of Kumar et al. (2020), ICML, for independent terms (linear SHAP
    values: Štrumbelj & Kononenko 2014, Knowl. Inf. Syst. 41).

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> from churnsurv.estimators.contributions import term_contributions
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1])
    >>> added = term_contributions(cs.CoxPH().fit(X, y), X)
    >>> bool(added["rate_incentive"].idxmax() == 1), bool(abs(added["rate_incentive"].sum()) < 1e-12)
    (True, True)
    """
    require_cox(model)
    frame = feature_frame(X, model.feature_names_in_)
    centre = model.center_.to_numpy()
    if reference is not None:
        rows = model.encoder_.design(feature_frame(reference, model.feature_names_in_))
        rows = rows[~np.isnan(rows).any(axis=1)]
        if not len(rows):
            raise DataError("reference has no row without a missing value: there is no mean to compare with.")
        centre = rows.mean(axis=0)
    added = (model.encoder_.design(frame) - centre) * model.coef_.to_numpy()
    terms = model.encoder_.columns_by_term()
    return pd.DataFrame({term: added[:, at].sum(axis=1) for term, at in terms.items()}, index=frame.index)

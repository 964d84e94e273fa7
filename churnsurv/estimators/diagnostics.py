"""What single customers, correlated covariates and few events do to a Cox model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_state import Seen, refuse_other_rows, require_cox, seen
from churnsurv.estimators.inputs import RowArgument
from churnsurv.estimators.residuals import groups_of, unit
from churnsurv.exceptions import DataError
from churnsurv.kernels.residuals import group_scores
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]


def influence(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    by: Literal["subject", "cluster"] = "subject",
    most: int = 20,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    offset: RowArgument = None,
) -> pd.DataFrame:
    r"""List the loans, or customers, that move the coefficients most.

    Without refitting: leaving a group out changes the coefficients by about :math:`D = u' I^{-1}`, u its score residuals
    (Therneau and Grambsch 2000, ch. 7), and twice the log likelihood by about :math:`u' I^{-1} u`, the likelihood
    displacement (Pettitt and Bin Daud 1989). Both fall short for groups that dominate a coefficient.

    Parameters
    ----------
    model : CoxPH
    X, y : frame or array, Outcome
        The rows of the fit.
    by : {"subject", "cluster"}
        What is left out at once.
    most : int
        Number of groups listed.
    strata, sample_weight, cluster, offset
        As in :meth:`CoxPH.fit`.

    Returns
    -------
    DataFrame
        Index: label of the subject or cluster, as passed by the caller, the most influential first. Columns
        likelihood_displacement; term, the coefficient moved most, and dfbetas, by how many of its standard errors the group
        raises it; rows, events.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 9.0]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 10], event=[1, 1, 0, 1, 0, 1], subject=list("abcdef"))
    >>> model = cs.CoxPH().fit(X, y)
    >>> cs.influence(model, X, y, most=1).index.tolist()
    ['c']
    """
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or most < 1:
        raise DataError(f"most={most!r} is no number of groups to list; give 1 or more.")
    at = seen(model, X, y, strata=strata, sample_weight=sample_weight, cluster=cluster, offset=offset)
    refuse_other_rows(model, at)
    codes, labels = groups_of(model, at, feature_frame(X, model.feature_names_in_), by, cluster)
    return influence_table(model, at, codes, labels).head(int(most))


def influence_table(model: CoxPH, at: Seen, codes: NDArray[np.int64], labels: pd.Index) -> pd.DataFrame:
    """Give the table of :func:`influence` of all groups; `codes` (n,) are positions in `labels`."""
    v, n = model.naive_covariance_.to_numpy(), len(labels)
    u = at.data.factor * group_scores(at.data.shard, unit(at), codes, n) * at.data.scale
    change = u @ v
    standardised = change / np.sqrt(np.diag(v))
    largest = np.argmax(np.abs(standardised), axis=1)
    table = pd.DataFrame(
        {
            "likelihood_displacement": np.einsum("ij,ij->i", change, u),
            "term": model.coef_.index.to_numpy()[largest],
            "dfbetas": standardised[np.arange(n), largest],
            "rows": np.bincount(codes, minlength=n),
            "events": np.bincount(codes, at.rows.event, n).astype(np.int64),
        },
        index=labels,
    )
    return table.sort_values("likelihood_displacement", ascending=False, kind="stable")


def variance_inflation(model: CoxPH) -> pd.DataFrame:
    r"""Give by how much the correlation with other terms inflates the variance of each term's coefficients.

    For the coefficients of a term (one, or those of a category or spline jointly) the generalised factor is
    :math:`\det R_{11} \det R_{22} / \det R`, R the correlation matrix of the coefficients in blocks: term, all others
    (Fox and Monette 1992). It is the ratio of the squared volumes of the confidence ellipsoids with and without correlation,
    whatever the coding of the category.

    Returns
    -------
    DataFrame
        Index term; columns df, gvif, and factor, :math:`gvif^{1/df}`, comparable between terms: that of one coefficient is
        its ordinary variance inflation. Of the model's covariance, not the robust one. Above 5 it is a warning, above 10
        the coefficients cannot be read one by one; predictions do not suffer.

    References
    ----------
    Fox and Monette (1992), J. Am. Stat. Assoc. 87.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3], "age": [3, 1, 2, 5, 4, 6]})
    >>> model = cs.CoxPH().fit(X, cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1]))
    >>> cs.variance_inflation(model)["df"].tolist()
    [1, 1]
    """
    require_cox(model)
    v = model.naive_covariance_.to_numpy()
    root = np.sqrt(np.diag(v))
    correlation = v / np.outer(root, root)
    groups = model.encoder_.columns_by_term()
    rows = []
    for columns in groups.values():
        others = np.setdiff1d(np.arange(len(v)), columns)
        parts = (np.asarray(columns), others, np.arange(len(v)))
        logs = [np.linalg.slogdet(correlation[np.ix_(part, part)])[1] for part in parts]
        rows.append((len(columns), float(np.exp(logs[0] + logs[1] - logs[2]))))
    table = pd.DataFrame(rows, index=pd.Index(groups, name="term"), columns=["df", "gvif"])
    table["factor"] = table["gvif"] ** (1 / table["df"])
    return table


def events_per_parameter(model: CoxPH) -> float:
    """Give the number of events per coefficient; below about ten, estimates and their intervals are unreliable.

    References
    ----------
    Peduzzi et al. (1995), J. Clin. Epidemiol. 48; Vittinghoff and McCulloch (2007), Am. J. Epidemiol. 165, who find five to
    nine often enough.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
    >>> model = cs.CoxPH().fit(X, cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1]))
    >>> cs.events_per_parameter(model)
    4.0
    """
    require_cox(model)
    return model.n_events_ / len(model.coef_)

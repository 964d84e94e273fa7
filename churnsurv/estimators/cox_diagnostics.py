"""What the rows of a fit tell of a fitted Cox model: residuals."""

from __future__ import annotations

from typing import Any

import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.estimators.inputs import RowArgument
from churnsurv.estimators.residuals import By, Kind, residuals
from churnsurv.outcome import Outcome


class CoxDiagnostics:
    """Residuals of models with a partial likelihood; a part of the estimators that inherit it."""

    def residuals(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        kind: Kind,
        *,
        by: By = None,
        strata: RowArgument = None,
        sample_weight: RowArgument = None,
        cluster: RowArgument = None,
        offset: RowArgument = None,
    ) -> pd.Series | pd.DataFrame:
        r"""Give the residuals of the rows of the fit.

        Parameters
        ----------
        X : frame or array (n, p)
        y : Outcome
            The rows of the fit. Of other rows the residuals are those of these coefficients with a baseline hazard of the
            rows passed.
        kind : str
            ``"martingale"``: events minus the cumulative hazard, by which a customer left earlier (> 0) or later than
            expected; they sum to zero. ``"deviance"``: the same made symmetric.

            ``"score"``: what a row adds to the derivative of the log likelihood. ``"dfbeta"``: about how much the
            coefficients change by the row, weight times score times the inverse information; ``"dfbetas"``: in standard
            errors.

            ``"schoenfeld"``: covariates of an event minus their mean over those at risk. ``"scaled_schoenfeld"``: number of
            events times inverse information times that, plus the coefficient: its mean at t is the coefficient at t
            (Grambsch and Therneau 1994).
        by : {"subject", "cluster"}, optional
            Sum over the rows of each subject of `y`, or of each cluster (a customer). Weights enter dfbeta and dfbetas only,
            as in R; sum the others with weights by hand.
        strata, sample_weight, cluster, offset
            As in :meth:`fit`; columns named there are remembered, arrays are passed again.

        Returns
        -------
        Series (martingale, deviance) or DataFrame (rows by terms)
            With the index of `X`, or with `by` of the labels. Schoenfeld residuals: a row per event, by stratum and time,
            with columns time, stratum and the terms. NaN for rows of weight 0 and, with ``missing="drop"``, for rows dropped.

        Raises
        ------
        DataError
            An unknown kind; strata, weights or an offset of the fit that are not passed; `by` for Schoenfeld residuals.

        Notes
        -----
        Ties follow the fit. Efron: martingale residuals use Efron's hazard, in which a tied death has a part only of the
        last increment (Therneau and Grambsch 2000, sec. 4.2); Schoenfeld residuals the mean of the d risk sets. The inverse
        information is the model's (`naive_covariance_`), also with clusters: summed by cluster, dfbeta gives the sandwich,
        :math:`V = \sum_c D_c D_c'`.

        Examples
        --------
        >>> import churnsurv as cs, pandas as pd
        >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
        >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1])
        >>> model = cs.CoxPH().fit(X, y)
        >>> bool(abs(model.residuals(X, y, "martingale").sum()) < 1e-9)
        True
        """
        return residuals(
            self,  # type: ignore[arg-type]
            X,
            y,
            kind,
            by=by,
            strata=strata,
            sample_weight=sample_weight,
            cluster=cluster,
            offset=offset,
        )

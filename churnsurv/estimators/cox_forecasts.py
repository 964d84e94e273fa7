"""What a fitted Cox model predicts beyond curves: along paths, lifetimes, exits, relative hazards."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves
from churnsurv.estimators import cox_lifetimes
from churnsurv.estimators.cox_curves import predicted_hazard
from churnsurv.estimators.cox_paths import path_hazard
from churnsurv.estimators.cox_prediction import CoxPrediction
from churnsurv.estimators.cox_variance import ConfType, hazard_variance, log_bounds
from churnsurv.estimators.inputs import RowArgument


class CoxForecasts(CoxPrediction):
    """Predictions with standard errors; a part of the estimators that inherit it."""

    def predict_path(
        self,
        X: pd.DataFrame | ArrayLike,
        start: RowArgument,
        stop: RowArgument,
        subject: RowArgument,
        times: ArrayLike | None = None,
        *,
        strata: RowArgument = None,
        offset: RowArgument = None,
        level: float | None = None,
        conf_type: ConfType = "log-log",
    ) -> Curves:
        r"""Predict curves along a path of covariates, such as a scenario of rates.

        :math:`S = \exp\{-\int e^{x(s)'\beta} d\Lambda_0(s)\}` over the path x(s) from its start on.

        The path must be known whatever the customer does (external covariates, or a scenario that is set): along a path of
        complaints or arrears the result is no probability of anything.

        Parameters
        ----------
        X : frame or array
            Covariates of the pieces of all paths, in any order.
        start, stop, subject : array of n, or name of a column of X
            The covariates of a row hold over (start, stop] of its subject. Each row starts where the one before ends.
        times : array, optional
            Default: the event times of the fit up to the end of the longest path.
        strata, offset
            As in :meth:`fit`; a stratum may change along a path.
        level, conf_type
            As in :meth:`predict_curves`. The variance takes the changing covariates into the integral,
            :math:`\sum r^2 dA + c'Vc` with :math:`c = \sum r(s)\{x(s) - \bar x(s)\} d\Lambda_0(s)` (R's ``survfit(id=)``).

        Returns
        -------
        Curves
            One row per subject, conditional on being a customer at the start of its path; NaN past its end.

        Raises
        ------
        DataError
            A path with gaps or overlaps, or a row that ends before it starts.

        Examples
        --------
        >>> import churnsurv as cs, pandas as pd
        >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
        >>> model = cs.CoxPH().fit(X, cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1]))
        >>> scenario = pd.DataFrame({"rate_incentive": [0.2, 1.0], "start": [0, 3], "stop": [3, 9], "loan": ["a", "a"]})
        >>> curves = model.predict_path(scenario, "start", "stop", "loan", times=[6], level=0.95)
        >>> bool((curves.lower <= curves.probability).all())
        True
        """
        check_is_fitted(self)
        found, variance = path_hazard(self, X, start, stop, subject, times, strata=strata, offset=offset)
        return self.curves_of(found, variance, level, conf_type, asked=times is not None)

    def predict_cumulative_hazard(
        self,
        X: pd.DataFrame | ArrayLike,
        times: ArrayLike | None = None,
        *,
        start: ArrayLike | None = None,
        strata: RowArgument = None,
        offset: RowArgument = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Predict cumulative hazards since `start` with standard errors; the standard error of S is S times that of Λ.

        Arguments as in :meth:`predict_curves`; the interval is that of the hazard's logarithm.

        Returns
        -------
        DataFrame
            Columns row, time, cumulative_hazard, se, lower, upper.
        """
        check_is_fitted(self)
        found = predicted_hazard(self, X, times, start=start, strata=strata, offset=offset)
        variance = hazard_variance(self, found, start is None)
        lower, upper = log_bounds(found.hazard, np.sqrt(variance), level)
        known = ~np.isnan(self.curves_of(found, None, None, "log", asked=times is not None).probability[:, 0])
        values = {"cumulative_hazard": found.hazard, "se": np.sqrt(variance), "lower": lower, "upper": upper}
        return pd.DataFrame(
            {
                "row": np.repeat(found.rows.labels.to_numpy(), len(found.grid)),
                "time": np.tile(found.grid, len(found.hazard)),
                **{name: np.where(known, value, np.nan).ravel() for name, value in values.items()},
            }
        )

    def expected_lifetime(
        self,
        X: pd.DataFrame | ArrayLike,
        horizon: float,
        *,
        start: ArrayLike | None = None,
        strata: RowArgument = None,
        offset: RowArgument = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        r"""Predict the mean time still a customer within `horizon` after `start`, :math:`\int S(t|x) dt`, with its interval.

        The standard error is the delta method's, for the baseline and the coefficients together; the interval is symmetric,
        within 0 and `horizon`. Other arguments as in :meth:`predict_curves`.

        Returns
        -------
        DataFrame
            Columns estimate, se, lower, upper, one row per row of X; NaN where the horizon is past the follow-up.

        Raises
        ------
        NotIdentifiedError
            The model is of one cause among several, or of recurrent events.

        Examples
        --------
        >>> import churnsurv as cs, pandas as pd
        >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
        >>> model = cs.CoxPH().fit(X, cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1]))
        >>> model.expected_lifetime(X.iloc[:2], horizon=8).columns.tolist()
        ['estimate', 'se', 'lower', 'upper']
        """
        check_is_fitted(self)
        return cox_lifetimes.expected_lifetime(self, X, horizon, start=start, strata=strata, offset=offset, level=level)

    def median_lifetime(
        self,
        X: pd.DataFrame | ArrayLike,
        *,
        start: ArrayLike | None = None,
        strata: RowArgument = None,
        offset: RowArgument = None,
        level: float = 0.95,
        conf_type: ConfType = "log-log",
    ) -> pd.DataFrame:
        """Predict the age by which half of such customers have left, columns estimate, lower, upper.

        The interval holds the ages at which the bounds of the curve cross one half (Brookmeyer and Crowley 1982); NaN where
        a curve or bound stays above. Arguments as in :meth:`predict_curves`.
        """
        check_is_fitted(self)
        return cox_lifetimes.median_lifetime(
            self, X, start=start, strata=strata, offset=offset, level=level, conf_type=conf_type
        )

    def expected_events(
        self,
        X: pd.DataFrame | ArrayLike,
        stop: ArrayLike,
        *,
        start: ArrayLike | None = None,
        strata: RowArgument = None,
        offset: RowArgument = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Predict the number of exits expected of each row while it is watched over (start, stop], its cumulative hazard.

        Summed over new customers and compared with their exits it measures calibration. Over the rows of the fit the sum is
        the observed number with Breslow's ties; with Efron's it is a little larger, as tied exits bear only part of the last
        step (their own share is in the martingale residuals). Other arguments as in :meth:`predict_curves`.

        Returns
        -------
        DataFrame
            Columns estimate, se, lower, upper (interval of the logarithm); NaN past the follow-up.
        """
        check_is_fitted(self)
        return cox_lifetimes.expected_events(self, X, start, stop, strata=strata, offset=offset, level=level)

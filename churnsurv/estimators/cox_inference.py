"""What a fitted Cox model tells of its coefficients: the summary, tests of all of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm
from sklearn.utils.validation import check_is_fitted

from churnsurv.data.encoder import DesignEncoder
from churnsurv.estimators.contrasts import Contrast, contrast_table, differences, hypotheses, joint_test, term_table
from churnsurv.estimators.firth import firth_summary
from churnsurv.estimators.nested import information_criterion
from churnsurv.exceptions import SmallSampleWarning
from churnsurv.messages import confidence_level
from churnsurv.results import TestResult


class CoxInference:
    """Inference of models with coefficients and a partial likelihood; a part of the estimators that inherit it."""

    coef_: pd.Series
    covariance_: pd.DataFrame
    center_: pd.Series
    covariance_rank_: int
    encoder_: DesignEncoder
    feature_names_in_: NDArray[np.object_]
    is_robust_: bool
    n_observations_: int
    n_events_: int
    log_likelihood_: float
    null_log_likelihood_: float
    score_statistic_: float
    robust_score_statistic_: float | None
    firth_profile_: pd.DataFrame | None = None

    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """Give coefficients, hazard ratios and Wald intervals, one row per term.

        Columns: coef, se, statistic (coef / se), p_value (two-sided), hazard_ratio, hr_lower, hr_upper. Of a Firth fit
        statistic is the signed root of the penalised likelihood-ratio statistic, and intervals are those of the profile
        penalised likelihood, at the levels 0.9, 0.95 and 0.99.
        """
        check_is_fitted(self)
        if self.firth_profile_ is not None:
            return firth_summary(self, self.firth_profile_, level)
        se = pd.Series(np.sqrt(np.diag(self.covariance_)), index=self.coef_.index)
        statistic = self.coef_ / se
        margin = norm.ppf(0.5 + confidence_level(level) / 2) * se
        # a covariate in tiny units has a hazard ratio per unit that no double holds: inf is the right answer
        with np.errstate(over="ignore"):
            ratio, lower, upper = (
                np.exp(self.coef_.to_numpy() + d) for d in (0.0, -margin.to_numpy(), margin.to_numpy())
            )
        return pd.DataFrame(
            {
                "coef": self.coef_,
                "se": se,
                "statistic": statistic,
                "p_value": 2 * norm.sf(np.abs(statistic)),
                "hazard_ratio": ratio,
                "hr_lower": lower,
                "hr_upper": upper,
            }
        )

    def tests(self) -> pd.DataFrame:
        """Test that all coefficients are zero: likelihood_ratio, wald, score (and robust_score with clusters).

        Columns: statistic, df, p_value. The likelihood-ratio and score tests assume independent rows; with clusters or
        sampling weights rely on the Wald and robust score tests (NaN when there are too few clusters for them). A Firth fit
        has the penalised likelihood-ratio test only: under separation the others are not valid.
        """
        check_is_fitted(self)
        coef = self.coef_.to_numpy()
        full_rank = self.covariance_rank_ == len(coef)
        statistics = {
            "likelihood_ratio": 2 * (self.log_likelihood_ - self.null_log_likelihood_),
            "wald": float(coef @ np.linalg.solve(self.covariance_.to_numpy(), coef)) if full_rank else np.nan,
            "score": self.score_statistic_,
        }
        if self.firth_profile_ is not None:
            statistics = {"likelihood_ratio": statistics["likelihood_ratio"]}
        if self.robust_score_statistic_ is not None:
            statistics["robust_score"] = self.robust_score_statistic_ if full_rank else np.nan
        frame = pd.DataFrame({"statistic": statistics, "df": len(coef)})
        frame["p_value"] = chi2.sf(frame["statistic"], frame["df"])
        return frame.rename_axis("test")

    def contrast(
        self, contrasts: Contrast | Sequence[Contrast], *, value: float = 0.0, level: float = 0.95
    ) -> pd.DataFrame:
        """Estimate linear combinations of coefficients with Wald intervals.

        Parameters
        ----------
        contrasts : str, mapping, or list of these
            ``"a - b"``, ``"2 * a = 0.5"``, or ``{"a": 1, "b": -1}``. Names of terms as in `coef_`, such as
            ``C(term)[T.36]`` or ``age:rate``; backticks or quotes around a name keep it from being read otherwise.
            Commas separate several in one text.
        value : float
            Hypothesised value of contrasts that have no ``=``.
        level : float
            Confidence level of the intervals, each by itself (no adjustment for their number).

        Returns
        -------
        DataFrame
            Index contrast; columns estimate, se, lower, upper (log hazard), value, statistic ((estimate - value) / se),
            p_value (two-sided), and exponentiated hazard_ratio, hr_lower, hr_upper.

        Raises
        ------
        DataError
            An unknown term, or a text that is no linear combination.

        Examples
        --------
        >>> import churnsurv as cs, pandas as pd
        >>> X = pd.DataFrame({"term": [12, 24, 36, 12, 24, 36, 12, 24], "rate": [2.0, 3, 1, 5, 4, 2, 1, 2]})
        >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5, 7, 3], event=[1, 1, 0, 1, 1, 1, 1, 1])
        >>> model = cs.CoxPH("C(term) + rate").fit(X, y)
        >>> model.contrast("C(term)[T.36] - C(term)[T.24]").index.tolist()
        ['C(term)[T.36] - C(term)[T.24]']
        """
        self._warn_of_wald()
        return contrast_table(self, hypotheses(contrasts, list(self.coef_.index), value), level)

    def hazard_ratio(
        self, X: pd.DataFrame | ArrayLike, reference: pd.DataFrame | ArrayLike | None = None, *, level: float = 0.95
    ) -> pd.DataFrame:
        """Compare the hazards of customers with those of others: for curves and interactions, whose coefficients say little.

        Parameters
        ----------
        X : frame or array (n, p)
            Covariates as in the fit.
        reference : frame or array (1, p) or (n, p), optional
            What each row of X is compared with. Default: the means of the encoded covariates in the fit. Strata and offsets do
            not enter: compare rows of one stratum.
        level : float
            Confidence level of the Wald intervals.

        Returns
        -------
        DataFrame
            One row per row of X (its index), columns as of :meth:`contrast`; NaN where a covariate is missing.

        Raises
        ------
        DataError
            `reference` has neither one row nor as many as X; values that the fit's encoding does not know.

        Examples
        --------
        >>> import churnsurv as cs, pandas as pd
        >>> X = pd.DataFrame({"rate": [2.0, 3, 1, 5, 4, 2, 1, 2]})
        >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5, 7, 3], event=[1, 1, 0, 1, 1, 1, 1, 1])
        >>> model = cs.CoxPH("cs(rate, df=2)").fit(X, y)
        >>> model.hazard_ratio(pd.DataFrame({"rate": [1.0, 2.0]}), pd.DataFrame({"rate": [2.0]}))["hazard_ratio"].iloc[1]
        np.float64(1.0)
        """
        self._warn_of_wald()
        return contrast_table(self, differences(self, X, reference), level).rename_axis(None)

    def wald_test(self, contrasts: Contrast | Sequence[Contrast], *, value: float = 0.0) -> TestResult:
        """Test several contrasts jointly: Wald's chi-square, df = number of contrasts.

        `contrasts` and `value` as in :meth:`contrast`. Uses `covariance_`, so that clusters are respected.

        Raises
        ------
        DataError
            As in :meth:`contrast`; a contrast follows from the others.
        NotIdentifiedError
            Too few clusters for a joint test.
        """
        self._warn_of_wald()
        return joint_test(self, hypotheses(contrasts, list(self.coef_.index), value))

    def term_tests(self) -> pd.DataFrame:
        """Test each term of the formula (all levels of a category, all columns of a spline) jointly.

        Wald's chi-square that all its coefficients are zero, given the other terms; in a model with interactions a main
        effect is tested where the other factor is at its reference or zero. Index term; columns statistic, df, p_value
        (NaN with fewer clusters than a term has columns).
        """
        self._warn_of_wald()
        return term_table(self)

    def _warn_of_wald(self) -> None:
        check_is_fitted(self)
        if getattr(self, "penalty", None):
            warnings.warn(
                "Wald's tests and intervals of a penalised fit are far off where columns separate; summary() has profile "
                "intervals of the coefficients.",
                SmallSampleWarning,
                stacklevel=3,
            )

    @property
    def aic_(self) -> float:
        """Akaike's (1974) information criterion, −2 log partial likelihood + 2 p; for models of the same rows."""
        check_is_fitted(self)
        return information_criterion(self, 2.0)

    @property
    def bic_(self) -> float:
        """Schwarz's criterion with the number of events in the place of n (Volinsky and Raftery 2000), as in R."""
        check_is_fitted(self)
        return information_criterion(self, float(np.log(self.n_events_)))

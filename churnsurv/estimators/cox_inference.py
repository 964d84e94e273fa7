"""What a fitted Cox model tells of its coefficients: the summary, tests of all of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm
from sklearn.utils.validation import check_is_fitted

from churnsurv.estimators.firth import firth_summary
from churnsurv.messages import confidence_level


class CoxInference:
    """Inference of models with coefficients and a partial likelihood; a part of the estimators that inherit it."""

    coef_: pd.Series
    covariance_: pd.DataFrame
    covariance_rank_: int
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

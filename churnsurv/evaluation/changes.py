"""Changes of estimates between two data deliveries, when the later one may contain the data of the earlier."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from churnsurv.exceptions import DataError
from churnsurv.kernels.multiplicity import adjusted_p_values
from churnsurv.messages import confidence_level


def estimate_changes(
    before: ArrayLike,
    before_se: ArrayLike,
    now: ArrayLike,
    now_se: ArrayLike,
    *,
    nested: ArrayLike = False,
    level: float = 0.95,
) -> pd.DataFrame:
    r"""Compare m estimates with those of an earlier delivery of the data: change, interval, and whether it exceeds noise.

    The estimand is the difference of what the two estimates are consistent for; the null hypothesis is that nothing
    changed. With estimates :math:`x_0, x_1` and standard errors :math:`s_0, s_1`:

    - separate data: :math:`\mathrm{Var}(x_1 - x_0) = s_0^2 + s_1^2`. For overlapping data whose correlation is positive but
      not known, this is too large, and the test errs on the side of "no change";
    - nested data (`nested`): the earlier data are a part of the later. A statistic of accumulating data that is efficient
      has independent increments of information, so that :math:`\mathrm{Cov}(x_0, x_1) = s_1^2` and
      :math:`\mathrm{Var}(x_1 - x_0) = s_0^2 - s_1^2` (Scharfstein, Tsiatis and Robins, 1997). The test is then that of the
      new data alone against the earlier ones. Where :math:`s_1 \ge s_0` that cannot hold (the estimator is not efficient, or
      the data vary more than before), and the errors are taken as independent; `basis` says so.

    P-values are two-sided Wald's; `p_adjusted` are Holm's (1979) over all comparisons with a p-value, whatever their
    dependence.

    Parameters
    ----------
    before, before_se, now, now_se : array-like of shape (m,)
        Estimates and standard errors on the scale of comparison, such as the logarithm of a ratio; NaN where there is none.
    nested : bool or array-like of bool of shape (m,)
        Whether the data of the earlier estimate are contained in those of the later.
    level : float
        Confidence level of the intervals, each by itself.

    Returns
    -------
    DataFrame
        One row per comparison: `change` (now minus before), `se`, `lower`, `upper`, `p_value`, `p_adjusted`, `basis`
        ("nested" or "independent").

    Raises
    ------
    DataError
        Arrays of different lengths, negative standard errors, or a level outside (0, 1).

    References
    ----------
    Scharfstein, D. O., Tsiatis, A. A. and Robins, J. M. (1997). Semiparametric efficiency and its implication on the design
    and analysis of group-sequential studies. Journal of the American Statistical Association 92, 1342-1350.

    Examples
    --------
    >>> from churnsurv.evaluation import estimate_changes
    >>> found = estimate_changes([0.10, 0.10], [0.05, 0.05], [0.16, 0.16], [0.04, 0.04], nested=[True, False])
    >>> found[["change", "se", "p_value", "basis"]].round(3)
       change     se  p_value        basis
    0    0.06  0.030    0.046       nested
    1    0.06  0.064    0.349  independent
    """
    confidence_level(level)
    arrays = [np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (before, before_se, now, now_se)]
    if len({len(values) for values in arrays}) > 1 or any(values.ndim != 1 for values in arrays):
        raise DataError(
            "before, before_se, now and now_se need one number per comparison each, but have the shapes "
            f"{[values.shape for values in arrays]}."
        )
    old, old_se, new, new_se = arrays
    if (old_se < 0).any() or (new_se < 0).any():
        raise DataError("A standard error is negative: give standard errors, not variances on another scale.")
    contained = np.broadcast_to(np.asarray(nested, dtype=bool), old.shape)
    less = old_se**2 - new_se**2
    is_nested = contained & (less > 0)
    se = np.sqrt(np.where(is_nested, less, old_se**2 + new_se**2))
    change = new - old
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(se > 0, change / se, np.where(change == 0, 0.0, np.inf * np.sign(change)))
    p_value = np.where(np.isnan(change) | np.isnan(se), np.nan, 2 * ndtr(-np.abs(z)))
    half = float(ndtri((1 + level) / 2)) * se
    return pd.DataFrame(
        {
            "change": change,
            "se": se,
            "lower": change - half,
            "upper": change + half,
            "p_value": p_value,
            "p_adjusted": adjusted_p_values(p_value, "holm"),
            "basis": np.where(is_nested, "nested", "independent"),
        }
    )

"""Exit rates of a portfolio by group of spells, and exact comparisons of two of them."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincinv, gammaincinv

from churnsurv.data import Spells
from churnsurv.exceptions import DataError
from churnsurv.messages import confidence_level
from churnsurv.results import Estimate


def exit_rates(spells: Spells, by: ArrayLike, *, level: float = 0.95) -> pd.DataFrame:
    r"""Give yearly exit rates by group of spells, with exact Poisson intervals (Garwood, 1936).

    The rate of a cause is its number of exits over the loan-years at risk, :math:`d/T`; the bounds are
    :math:`\chi^2_{2d}(\alpha/2)/2T` and :math:`\chi^2_{2d+2}(1-\alpha/2)/2T`. Within a group the rate is taken as constant,
    and exits as independent: where loans of one customer leave together, the intervals are too short.

    Parameters
    ----------
    spells : Spells
        One row per loan and period.
    by : (n,)
        Group of each spell, such as its calendar quarter.
    level : float
        Confidence level.

    Returns
    -------
    DataFrame
        One row per group: loans (under observation at any time), exposure (loan-years), and for each cause its exits,
        "<cause> rate", "<cause> lower", "<cause> upper".

    Raises
    ------
    DataError
        As many labels as spells are needed.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> rates = cs.evaluation.exit_rates(spells, spells.frame["period"].dt.year)
    >>> [bool(ok) for ok in rates["attrition lower"] < rates["attrition rate"]]
    [True, True, True, True]
    """
    level, frame = confidence_level(level), spells.frame
    labels = np.asarray(by)
    if labels.shape != (len(frame),):
        raise DataError(f"by has the shape {labels.shape}: give one label for each of the {len(frame):,} spells.")
    per_year = 12 if spells.rules.period == "month" else 4
    grouped = frame.groupby(labels)
    result = pd.DataFrame({"loans": grouped["loan_id"].nunique(), "exposure": grouped.size() / per_year})
    for cause in spells.rules.cause_names:
        result[cause] = (frame["cause"] == cause).groupby(labels).sum().astype(int)
    tail = (1 - level) / 2
    for cause in spells.rules.cause_names:
        events = result[cause].to_numpy(dtype=float)
        lower = np.where(events > 0, gammaincinv(np.maximum(events, 1), tail), 0.0)
        result[f"{cause} rate"] = events / result["exposure"]
        result[f"{cause} lower"] = lower / result["exposure"]
        result[f"{cause} upper"] = gammaincinv(events + 1, 1 - tail) / result["exposure"]
    return result


def rate_ratio(
    events: tuple[int, int], exposure: tuple[float, float], *, level: float = 0.95
) -> tuple[Estimate, float]:
    r"""Compare two Poisson rates exactly: ratio of the first to the second, interval, p-value of a ratio of 1.

    Given the sum of both counts, the first is binomial with probability :math:`\rho T_1/(\rho T_1 + T_2)` (Przyborowski and
    Wilenski, 1940); the bounds are Clopper and Pearson's, the p-value is twice the smaller tail. The test of the last four
    quarters against the four before is one for a trend that needs no model of the time between.

    Parameters
    ----------
    events : two int
        Exits.
    exposure : two float
        Loan-years at risk, above 0.
    level : float
        Confidence level.

    Returns
    -------
    ratio : Estimate
        NaN without exits in the second group (its lower bound stands).
    p_value : float

    Raises
    ------
    DataError
        Counts below 0, exposures that are not above 0.

    Examples
    --------
    >>> from churnsurv.evaluation import rate_ratio
    >>> ratio, p_value = rate_ratio((11, 6), (800, 1000))
    >>> round(ratio.value, 3), round(ratio.lower, 3), round(ratio.upper, 3), round(p_value, 3)
    (2.292, 0.777, 7.547, 0.151)
    """
    level = confidence_level(level)
    first, second = (int(n) for n in events)
    if min(first, second) < 0 or not min(exposure) > 0 or not all(map(math.isfinite, exposure)):
        raise DataError(f"events={events}, exposure={exposure}: give counts of 0 or more and finite exposures above 0.")
    total, tail, scale = first + second, (1 - level) / 2, exposure[1] / exposure[0]
    lower = float(betaincinv(first, second + 1, tail)) if first else 0.0
    upper = float(betaincinv(first + 1, second, 1 - tail)) if second else 1.0
    chance = exposure[0] / (exposure[0] + exposure[1])
    below = float(betainc(second, first + 1, 1 - chance)) if second else 1.0
    above = float(betainc(first, second + 1, chance)) if first else 1.0
    value = first / second * scale if second else math.nan
    se = math.sqrt(1 / first + 1 / second) * value if first and second else math.nan
    estimate = Estimate(
        "rate ratio",
        value,
        se,
        lower / (1 - lower) * scale,
        upper / (1 - upper) * scale if upper < 1 else math.inf,
        level,
        total,
        total,
        "Ratio of Poisson rates, exact conditional interval (Clopper and Pearson); standard error by the delta method",
    )
    return estimate, min(1.0, 2 * min(below, above))


def exit_rate(
    spells: Spells,
    cause: str,
    *,
    unit: Literal["loan", "customer"] = "loan",
    weight: ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    r"""Give the yearly rate at which loans, customers or weighted loans (their balance) leave by a cause.

    The rate is :math:`\sum w d / \sum w t` over loan-periods of t years with exit indicator d; its variance is that of a ratio
    of sums over customers, :math:`\sum_i \{\sum_{j \in i} w_j (d_j - \hat r t_j)\}^2 / (\sum w t)^2` (Cochran 1977, chapter
    6), so that loans of one customer may leave together; the interval is on the log scale. Of customers, one of several loans
    closed in a period counts as leaving once, and the customer is at risk with any loan.

    Parameters
    ----------
    spells : Spells
        One row per loan and period.
    cause : str
    unit : {"loan", "customer"}
    weight : (n,), optional
        Weight of each spell, such as the balance before the period; spells without one (NaN) are left out. Of loans only.
    level : float
        Confidence level.

    Returns
    -------
    Estimate
        n is the number of loans or customers, n_events of their exits.

    Raises
    ------
    DataError
        An unknown cause or unit; weights of another length, below 0, or all missing; weights of customers.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> loans = cs.evaluation.exit_rate(spells, "attrition")
    >>> balances = cs.evaluation.exit_rate(spells, "attrition", weight=spells.frame["balance"])
    >>> loans.lower < loans.value < loans.upper, balances.n_events <= loans.n_events
    (True, True)
    """
    level, frame = confidence_level(level), spells.frame
    if cause not in spells.rules.cause_names:
        raise DataError(f"There is no cause {cause!r}; those of the spells are {list(spells.rules.cause_names)}.")
    if unit not in ("loan", "customer") or (unit == "customer" and weight is not None):
        raise DataError(f"unit={unit!r}: give 'loan', or 'customer' without weights.")
    weights = np.ones(len(frame)) if weight is None else np.asarray(weight, dtype=float)
    if weights.shape != (len(frame),) or np.any(weights < 0) or not np.any(weights > 0):
        raise DataError(f"weight: give a number of 0 or more for each of the {len(frame):,} spells, not 0 for all.")
    rows = pd.DataFrame(
        {
            "customer": frame["customer_id"].to_numpy(),
            "w": weights,
            "d": (frame["cause"] == cause).to_numpy(dtype=float),
        }
    )
    if unit == "customer":
        rows["period"] = frame["period"].to_numpy()
        rows = rows.groupby(["customer", "period"], as_index=False).max()
    known = rows["w"].notna().to_numpy()
    rows = rows[known]
    exposure = rows["w"] / (12 if spells.rules.period == "month" else 4)
    value = float((rows["w"] * rows["d"]).sum() / exposure.sum())
    residual = (rows["w"] * rows["d"] - value * exposure).groupby(rows["customer"]).sum()
    se = float(np.sqrt((residual**2).sum()) / exposure.sum())
    factor = math.exp(NormalDist().inv_cdf((1 + level) / 2) * se / value) if value > 0 else math.nan
    n = rows["customer"].nunique() if unit == "customer" else frame["loan_id"][known].nunique()
    return Estimate(
        f"yearly rate of {cause}",
        value,
        se if value > 0 else math.nan,
        value / factor,
        value * factor,
        level,
        int(n),
        int(rows["d"].sum()),
        "Ratio of exits to years at risk, variance over customers, interval on the log scale",
    )

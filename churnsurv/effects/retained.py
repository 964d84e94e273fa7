"""What an intervention keeps: customer-months and balance, per customer and in total."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.effects.arms import positive_weights, units_that_vary
from churnsurv.effects.contrasts import difference
from churnsurv.effects.two_arms import two_arms
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of, one_number
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome


def retained_months(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    horizon: float,
    customers: float | None = None,
    cause: str | None = None,
    reference: Any = None,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    strata: ArrayLike | pd.DataFrame | None = None,
    min_at_risk: int = 1,
) -> Estimate:
    """Estimate the customer-months that the other arm keeps within a horizon, against the reference.

    Months in which customers of the other arm have not left (by the cause) while those of the reference have: minus the
    :func:`rmtl_difference`. Per customer, or for as many customers as are to be treated.

    Parameters
    ----------
    y, arm, horizon, cause, reference, level, cluster, sample_weight, strata, min_at_risk
        As of :func:`risk_difference`.
    customers : float, optional
        Give the total for this many customers (taken as known); default: per customer.

    Raises
    ------
    DataError, NotIdentifiedError, TooFewEventsError
        As of :func:`risk_difference`; a number of customers that is not positive.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> cs.effects.retained_months(y, ["offer"] * 4 + ["none"] * 4, horizon=6, customers=1000).value
    1500.0
    """
    scale = _customers(customers)
    arms = two_arms(
        y, arm, "A restricted mean time lost", reference, level, cluster, sample_weight, strata, min_at_risk
    )
    lost = arms.time_lost(horizon, cause)
    method = arms.method(f"{arms.estimator(cause)}; area under the cumulative incidence", "normal interval", cause)
    name = f"Customer-months not lost{f' to {cause}' if cause else ''} within {horizon:g}{_per(customers)}"
    return difference(arms, lost, name, method, scale=-scale)


def retained_balance(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    balance: ArrayLike,
    *,
    horizon: float,
    customers: float | None = None,
    cause: str | None = None,
    reference: Any = None,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    strata: ArrayLike | pd.DataFrame | None = None,
    min_at_risk: int = 1,
) -> Estimate:
    """Estimate the balance that the other arm keeps at the horizon, against the reference.

    The balance at time zero of those who have not left (by the cause) by the horizon: the mean balance of those at risk at the
    origin, times minus the difference of the arms' balance-weighted risks, so that customers with large balances count
    for more. Balances are as they were at time zero (repayment by schedule is the same in both arms), and known. Censoring
    must not depend on the balance within an arm and stratum.

    Parameters
    ----------
    y, arm, horizon, cause, reference, level, cluster, sample_weight, strata, min_at_risk
        As of :func:`risk_difference`. Strata are averaged with their shares of the balance.
    balance : (n,)
        Balance at time zero, positive, the same in all rows of a subject.
    customers : float, optional
        Give the total for this many customers with such balances; default: per customer.

    Returns
    -------
    Estimate
        Variance by the infinitesimal jackknife by subject or cluster; the mean balance is taken as known.

    Raises
    ------
    DataError, NotIdentifiedError, TooFewEventsError
        As of :func:`risk_difference`; balances that are missing, not positive, or that change within a subject.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> arm, balance = ["offer"] * 4 + ["none"] * 4, [100, 300, 200, 400, 100, 200, 300, 400]
    >>> cs.effects.retained_balance(y, arm, balance, horizon=3).value
    125.0
    """
    scale = _customers(customers)
    y = as_outcome(y)
    weight = positive_weights(sample_weight, len(y))
    amounts = positive_weights(balance, len(y), "balance")
    if amounts is None:
        raise DataError("balance is None: give each row's balance at time zero, or use retained_months.")
    _refuse_changing(y, amounts)
    arms = two_arms(
        y,
        arm,
        "A retained balance",
        reference,
        level,
        cluster,
        amounts if weight is None else amounts * weight,
        strata,
        min_at_risk,
    )
    mean = _mean_balance(y, amounts, weight, arms.cells[0].rows.origin)
    method = arms.method(f"balance-weighted {arms.estimator(cause)}", "normal interval", cause)
    method = method.replace(
        "sampling weights", f"mean balance {mean:g}" + ("; sampling weights" if weight is not None else "")
    )
    risk = arms.risk(horizon, cause)  # a horizon that is no number is refused here
    name = f"Balance not lost{f' to {cause}' if cause else ''} within {horizon:g}{_per(customers)}"
    return difference(arms, risk, name, method, scale=-scale * mean)


def _refuse_changing(y: Outcome, balance: NDArray[np.float64]) -> None:
    subject = pd.factorize(y.subject)[0]
    changing = units_that_vary(balance, subject)
    if len(changing):
        raise DataError(
            f"balance changes within {counted(len(changing), 'subject')} (rows "
            f"{first_of(np.flatnonzero(subject == changing[0]))}): later balances depend on what the arm did. Give each "
            "subject its balance at time zero."
        )


def _mean_balance(y: Outcome, balance: NDArray[np.float64], weight: NDArray[np.float64] | None, origin: float) -> float:
    """Give the mean over those at risk at the origin: who enters late has stayed so far, so their balances do not count."""
    there = (y.entry <= origin) & ((y.stop > origin) | y.from_origin)
    return float(np.average(balance[there], weights=None if weight is None else weight[there]))


def _customers(customers: float | None) -> float:
    if customers is None:
        return 1.0
    number = one_number(customers, "customers")
    if number <= 0:
        raise DataError(f"customers={customers!r}: give the number of customers to be treated, such as 10_000.")
    return number


def _per(customers: float | None) -> str:
    return " per customer" if customers is None else f" in {customers:,g} customers"

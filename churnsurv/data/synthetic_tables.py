"""Tables of the simulated portfolio, written from the record of what happened."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.portfolio import Portfolio
from churnsurv.data.synthetic_states import REGIONS, Branches, Customers, Market
from churnsurv.data.synthetic_truth import CENTRE, COEFFICIENTS, RECOVERY_FORMULA, baseline_hazard, truth_of_effects

Ints = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]

#: how a loan stands at the end of a month
OPEN, ATTRITION, DEFAULT, MATURED = range(4)
_STATUS = np.array(["open", "prepaid", "charged_off", "matured"], dtype=object)

#: columns of a row that are not stored with it: they live in the loan and macro tables
_ELSEWHERE = ("loan", "month", "status", "rate_incentive", "term", "approval_days", "unemployment_rate")


@dataclass(frozen=True)
class Record:
    """What happened in a simulated world.

    ``loans`` holds arrays over all candidates, ``rows`` one part per observed month, ``offered`` the loans for which a
    coin was tossed at the end of ``offer_month`` and ``offer`` how it fell. Months count from the first origination.
    """

    loans: Columns
    rows: list[Columns]
    customers: Customers
    branches: Branches
    market: Market
    offered: Ints
    offer: NDArray[np.bool_]
    offer_month: int
    first_month: int
    last_month: int


def portfolio_of(record: Record, seed: int, as_of: str) -> Portfolio:
    """Give the tables: loans numbered by origination, rows by loan and month."""
    # the first period is the one before the first month: its market drives the first hazards
    periods = pd.period_range(end=pd.Period(as_of, freq="M"), periods=record.last_month + 2, freq="M")
    ends = pd.DatetimeIndex(periods.to_timestamp(how="end")).normalize().as_unit("ns")
    rows = {name: np.concatenate([part[name] for part in record.rows]) for name in record.rows[0]}
    seen = np.unique(rows["loan"])
    order = seen[np.lexsort((seen, record.loans["day"][seen], record.loans["origination"][seen]))]
    number = np.zeros(len(record.loans["origination"]), np.int64)
    number[order] = 100_001 + np.arange(len(order))
    return Portfolio(
        loans=_loan_table(record, order, number, periods),
        performance=_performance(rows, number, ends),
        macro=record.market.frame(ends),
        interventions=pd.concat(
            [_offers(record, number, ends), _rollout(record, order, number, ends)], ignore_index=True
        ),
        truth=_truth(len(order), seed, as_of, str(periods[record.first_month + 1])),
    )


def _performance(rows: Columns, number: Ints, ends: pd.DatetimeIndex) -> pd.DataFrame:
    order = np.lexsort((rows["month"], number[rows["loan"]]))
    columns: Columns = {
        "loan_id": number[rows["loan"][order]],
        "month": ends.to_numpy()[rows["month"][order] + 1],
        "status": _STATUS[rows["status"][order]],
    }
    return pd.DataFrame(columns | {name: _compact(rows[name][order]) for name in rows if name not in _ELSEWHERE})


def _compact(values: NDArray[Any]) -> NDArray[Any]:
    """Store whole numbers in 32 bits."""
    return values.astype(np.int32) if values.dtype.kind == "i" else values


def _loan_table(record: Record, order: Ints, number: Ints, periods: pd.PeriodIndex) -> pd.DataFrame:
    loans = {name: values[order] for name, values in record.loans.items()}
    customer = loans["customer"]
    branch = record.customers.branch[customer]
    month_start = periods.to_timestamp(how="start").to_numpy()[loans["origination"] + 1]
    return pd.DataFrame(
        {
            "loan_id": number[order],
            "customer_id": 500_001 + pd.factorize(customer)[0],
            "origination_date": month_start + (loans["day"] - 1).astype("timedelta64[D]"),
            "product": loans["product"],
            "segment": record.customers.segment[customer],
            "region": np.array(REGIONS, dtype=object)[record.branches.region[branch]],
            "branch": np.array([f"B{code + 1:02d}" for code in branch], dtype=object),
            "amount": _compact(loans["amount"]),
            "term": _compact(loans["term"]),
            "contract_rate": loans["contract_rate"],
            "approval_days": _compact(loans["approval_days"]),
        }
    )


def _offers(record: Record, number: Ints, ends: pd.DatetimeIndex) -> pd.DataFrame:
    """Give the loans for which the coin of the rate offer was tossed."""
    offered = record.offered[np.argsort(number[record.offered])]
    return pd.DataFrame(
        {
            "loan_id": number[offered],
            "intervention": "rate_offer",
            "assigned_on": ends[record.offer_month + 1],
            "arm": np.where(record.offer[offered], "offer", "hold_out"),
        }
    )


def _rollout(record: Record, order: Ints, number: Ints, ends: pd.DatetimeIndex) -> pd.DataFrame:
    """Give the loans that met faster service: from the switch of their branch, or from their origination if later."""
    switch = record.branches.switch[record.customers.branch[record.loans["customer"][order]]]
    begins = np.maximum(switch, record.loans["origination"][order])
    exit_month = np.full(len(number), record.last_month + 1)
    for part in record.rows:
        exit_month[part["loan"][part["status"] != OPEN]] = part["month"][0]
    exposed = (switch <= record.last_month) & (exit_month[order] > begins)
    return pd.DataFrame(
        {
            "loan_id": number[order][exposed],
            "intervention": "faster_service",
            "assigned_on": ends.to_numpy()[begins[exposed] + 1],
            "arm": "faster_service",
        }
    )


def _truth(n_loans: int, seed: int, as_of: str, first_month: str) -> dict[str, Any]:
    baseline = {
        cause: [round(float(hazard), 8) for hazard in baseline_hazard(cause, np.arange(84.0))] for cause in COEFFICIENTS
    }
    return {
        "seed": seed,
        "n_loans": n_loans,
        "as_of": as_of,
        "first_month": first_month,
        "formula": RECOVERY_FORMULA,
        "hazard": "baseline_hazard_by_age[a] * exp(sum of coefficient * (covariate - centre)) in the month of loan age "
        "(a, a + 1], covariates at the end of the month before",
        "coefficients": COEFFICIENTS,
        "centre": CENTRE,
        "baseline_hazard_by_age": baseline,
        "interventions": truth_of_effects(),
        "versions": {"churnsurv": version("churnsurv"), "numpy": np.__version__},
    }

"""How a mortgage left a disclosure: zero-balance codes as words, and the rules for them.

Both agencies give one code to loans repaid early and to loans repaid at their scheduled end. They are told apart by date:
a balance that became zero in the month of the last scheduled payment, or later, is the scheduled end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import ibis

from churnsurv.exceptions import DataError

DefaultAt = Literal["disposition", "d180"]

#: status of a loan under observation, and of one repaid at its scheduled end
OPEN, MATURED = "open", "matured"

#: code of a loan that was repaid, early or not
REPAID = "01"

#: 180 days past due: six monthly payments
_D180 = 6
_LATE = "180 days past due"


class Exit(NamedTuple):
    """What a code means: the status it becomes, and the cause or stated censoring that the rules make of that."""

    status: str
    becomes: str
    censored: bool = False


def mortgage_status(performance: Any, loans: Any, exits: Mapping[str, Exit], default_at: DefaultAt) -> Any:
    """Give the performance table with the column ``status``, in words.

    Parameters
    ----------
    performance : ibis table
        Columns loan_id, month, zero_balance_code, zero_balance_month, delinquency, reo.
    loans : ibis table
        Columns loan_id, maturity.
    exits : mapping
        Code → what it means, for all codes but 01.
    default_at : {"disposition", "d180"}
        "d180": the first month 180 days past due, or of a foreclosed property, is an exit of its own.
    """
    ends = loans.select("loan_id", scheduled=loans["maturity"])
    joined = performance.left_join(ends, "loan_id").drop("loan_id_right")
    code = joined["zero_balance_code"]
    at_zero = ibis.coalesce(joined["zero_balance_month"], joined["month"])
    branches = [
        ((code == REPAID) & (at_zero >= joined["scheduled"]), MATURED),
        (code == REPAID, "prepaid"),
        *((code == key, exit_.status) for key, exit_ in exits.items()),
    ]
    if default_at == "d180":
        branches.append(((joined["delinquency"] >= _D180) | joined["reo"], _LATE))
    return joined.mutate(status=ibis.cases(*branches, else_=OPEN)).drop("scheduled")


def mortgage_rules(exits: Mapping[str, Exit], default_at: DefaultAt) -> dict[str, Any]:
    """Give the rules that both agencies share."""
    causes: dict[str, list[str]] = {"attrition": ["prepaid"], "default": []}
    censored: dict[str, list[str]] = {}
    for exit_ in exits.values():
        named = censored if exit_.censored else causes
        named.setdefault(exit_.becomes, []).append(exit_.status)
    if default_at == "d180":
        causes["default"].append(_LATE)
    return {
        "period": "month",
        "loan_id": "loan_id",
        "origination": "origination",
        "maturity": "scheduled_end",
        "observed": "month",
        "status": "status",
        "open": [OPEN],
        "matured": [MATURED],
        "causes": causes,
        "censored": censored,
        "covariates": {"loans": ["credit_score", "debt_to_income", "loan_to_value", "contract_rate", "amount"]},
        "keep": ["state", "purpose", "occupancy", "channel"],
    }


def mortgage_notes(default_at: DefaultAt) -> list[str]:
    """Give what neither agency tells."""
    when = {
        "disposition": "Default is dated by the disposition (third-party sale, short sale, sale of the property or note), "
        "which may come years after the last payment; default_at='d180' dates it by the first month 180 days past due.",
        "d180": "Default is the first month 180 days past due or with a foreclosed property; what happened to the loan "
        "afterwards (a cure, a modification, a repayment) is not seen.",
    }
    return [
        "Code 01 is given to loans repaid early and at their end: those whose balance became zero in the month of the last "
        "scheduled payment or later are 'matured', the others are attrition. Why a loan was repaid (refinanced elsewhere or "
        "with the same lender, house sold) is not told, so 'renewed' is not a cause here.",
        when[default_at],
        "Loans sold or repurchased out of the disclosure are stated censorings, and may be informative: reperforming loans "
        "were delinquent before, repurchased ones were found defective. The sale of a note counts as default.",
        "A loan is seen from its first reported month, usually one to three months after its origination; loans that ended "
        "before are not in the files (late entry).",
        "Borrowers are not identified: every loan is a customer of its own, and death, divorce or a move are not told.",
    ]


def check_default_at(default_at: str) -> None:
    """Refuse what is no definition of default."""
    if default_at not in ("disposition", "d180"):
        raise DataError(f"default_at={default_at!r} is not known; give 'disposition' or 'd180'.")

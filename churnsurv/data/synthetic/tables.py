"""Tables of the simulated portfolio, written from what happened in its world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.synthetic.book import PRODUCTS
from churnsurv.data.synthetic.customers import SEGMENTS
from churnsurv.data.synthetic.hazards import CAUSES
from churnsurv.data.synthetic.market import REGIONS
from churnsurv.data.synthetic.programmes import Programme
from churnsurv.data.synthetic.states import Columns, Ints
from churnsurv.data.synthetic.world import HISTORY, LAST_MONTH, OPEN, World

#: what the status says of a loan that left by a cause
_LEFT_BY = {"attrition": "prepaid", "default": "charged_off", "renewed": "refinanced"}
#: and of any loan at the end of a month, by its code
_STATUS = np.array(["open", *(_LEFT_BY[cause] for cause in CAUSES), "matured"], dtype=object)
_STATIC = ("term", "term_gap", "amount_gap", "contract_rate", "approval_days", "application_steps")


class Tables:
    """The four tables; loans are numbered by origination, rows come by loan and month.

    Parameters
    ----------
    world : World
        After its last month.
    last : Period
        The last month.
    """

    def __init__(self, world: World, last: pd.Period) -> None:
        self._world = world
        # the first period is the one before the first month: its market drives the first hazards
        self._periods = pd.period_range(end=last, periods=LAST_MONTH + 2, freq="M")
        self._ends = pd.DatetimeIndex(self._periods.to_timestamp(how="end")).normalize().as_unit("ns")
        self._rows = {name: np.concatenate([part[name] for part in world.rows]) for name in world.rows[0]}
        fixed, seen = world.book.fixed, np.unique(self._rows["loan"])
        self._order = seen[np.lexsort((seen, fixed["day"][seen], fixed["origination"][seen]))]
        self._number = np.zeros(len(fixed["origination"]), np.int64)
        self._number[self._order] = 100_001 + np.arange(len(self._order))

    @property
    def first_month(self) -> str:
        """The month in which observation starts."""
        return str(self._periods[HISTORY + 1])

    def day(self, month: int) -> str:
        """Give the last day of a month of the world."""
        return str(self._ends[month + 1].date())

    def loans(self) -> pd.DataFrame:
        """Give the loan table."""
        world, order = self._world, self._order
        fixed = {name: values[order] for name, values in world.book.fixed.items()}
        customer, branch = fixed["customer"], world.customers.branch[fixed["customer"]]
        month_start = self._periods.to_timestamp(how="start").to_numpy()[fixed["origination"] + 1]
        return pd.DataFrame(
            {
                "loan_id": self._number[order],
                "customer_id": 500_001 + pd.factorize(customer)[0],
                "origination_date": month_start + (fixed["day"] - 1).astype("timedelta64[D]"),
                "product": _names(PRODUCTS)[fixed["product"]],
                "segment": _names(SEGMENTS)[world.customers.segment[customer]],
                "region": _names(REGIONS)[world.branches.region[branch]],
                "branch": np.array([f"B{code + 1:02d}" for code in branch], dtype=object),
                "amount": fixed["amount"],
                **{name: fixed[name] for name in _STATIC},
            }
        )

    def performance(self) -> pd.DataFrame:
        """Give the performance table; the rows of the world are used up."""
        rows = self._rows
        order = np.lexsort((rows["month"], self._number[rows["loan"]]))
        columns: Columns = {
            "loan_id": self._number[rows["loan"][order]],
            "month": self._ends.to_numpy()[rows["month"][order] + 1],
            "status": _STATUS[rows["status"][order]],
        }
        for name in [name for name in rows if name not in ("loan", "month", "status")]:
            columns[name] = rows.pop(name)[order]
        return pd.DataFrame(columns)

    def macro(self) -> pd.DataFrame:
        """Give the macro table."""
        return self._world.market.frame(self._ends)

    def interventions(self) -> pd.DataFrame:
        """Give the table of assignments: loan, intervention, date, arm, and the date of taking part of the invited."""
        parts = [
            self._tossed(programme, programme.spec.arms) if programme.spec.arms else self._met(programme)
            for programme in self._world.programmes.values()
        ]
        return pd.concat(parts, ignore_index=True)

    def _tossed(self, programme: Programme, arms: tuple[str, str]) -> pd.DataFrame:
        """Give the loans for whose unit a coin was tossed."""
        spec = programme.spec
        loans = programme.offered[np.argsort(self._number[programme.offered])]
        unit = self._world.unit(spec.unit, loans)
        uptake = np.full(len(loans), np.datetime64("NaT"), "datetime64[ns]")
        if spec.design == "encouraged":
            # who left before taking part never did
            joined = (programme.since[unit] <= LAST_MONTH) & (self._left()[loans] > programme.since[unit])
            uptake[joined] = self._ends.to_numpy()[programme.since[unit][joined] + 1]
        return pd.DataFrame(
            {
                "loan_id": self._number[loans],
                "intervention": spec.name,
                "assigned_on": self._ends[programme.zero + 1],
                "arm": np.where(programme.invited[unit], *arms),
                "uptake_on": uptake,
            }
        )

    def _met(self, programme: Programme) -> pd.DataFrame:
        """Give the loans that met an intervention: from its date, or from their origination where that is later."""
        since = programme.since[self._world.unit(programme.spec.unit, self._order)]
        begins = np.maximum(since, self._world.book.fixed["origination"][self._order])
        met = (since <= LAST_MONTH) & (self._left()[self._order] > begins)
        return pd.DataFrame(
            {
                "loan_id": self._number[self._order][met],
                "intervention": programme.spec.name,
                "assigned_on": self._ends.to_numpy()[begins[met] + 1],
                "arm": programme.spec.name,
                "uptake_on": pd.NaT,
            }
        )

    def _left(self) -> Ints:
        """Give the month in which each loan left, one after the last for those that did not."""
        month = np.full(len(self._number), LAST_MONTH + 1)
        gone = self._rows["status"] != OPEN
        month[self._rows["loan"][gone]] = self._rows["month"][gone]
        return month


def _names(names: Any) -> NDArray[np.object_]:
    return np.array(list(names), dtype=object)

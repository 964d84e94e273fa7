"""Simulation of a lender's monthly portfolio with known cause-specific hazards.

Time runs month by month. During a month every loan at risk is exposed to the hazards of
:mod:`churnsurv.data.synthetic_truth`, given the covariates at the end of the month before; then the world moves on and
the month's rows are written. Observation starts in the month ``window`` months before the as-of date: loans originated
earlier are simulated from their origination and enter late, if they are still there.
"""

from __future__ import annotations

from datetime import date
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from churnsurv.data.periods import one_date
from churnsurv.data.portfolio import Portfolio
from churnsurv.data.synthetic_states import Branches, Customers, Market
from churnsurv.data.synthetic_tables import ATTRITION, DEFAULT, MATURED, OPEN, Record, portfolio_of
from churnsurv.data.synthetic_truth import hazards
from churnsurv.exceptions import DataError

Ints = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]

#: months in which loans were originated before observation starts, and months under observation
HISTORY, WINDOW = 36, 45
#: loans originated before the window, as a share of the loans asked for; not all of them last until it starts
_OLD_SHARE = 0.55
#: months from the assignment of the rate offer to the as-of date
OFFER_BACK = 12

#: product → (share, terms, median amount, spread on the rate)
_PRODUCTS: dict[str, tuple[float, list[int], float, float]] = {
    "personal": (0.5, [24, 36, 48, 60], 9_000, 1.5),
    "car": (0.3, [36, 48, 60, 72], 18_000, 0.3),
    "home improvement": (0.2, [48, 60, 72, 84], 25_000, 0.6),
}


def simulate(
    n_loans: int = 5_000, *, seed: int = 20260930, as_of: str | date = "2026-09-30", progress: bool = False
) -> Portfolio:
    """Simulate a lender's portfolio.

    Parameters
    ----------
    n_loans : int
        Number of loans that were under observation at some time.
    seed : int
        The same seed gives the same portfolio.
    as_of : str or date
        Date of the last observation, the end of a month.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Portfolio
        Its ``truth`` holds the formula and the coefficients that a Cox model of the spells recovers.

    Raises
    ------
    DataError
        Fewer than 100 loans, a negative seed, or a date that is not the end of a month.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.simulate(200, seed=1)
    >>> portfolio.truth["coefficients"]["attrition"]["rate_incentive"]
    0.25
    """
    if _whole(n_loans, "n_loans") < 100:
        raise DataError(f"n_loans is {n_loans}; a portfolio of branches and cohorts needs at least 100.")
    if _whole(seed, "seed") < 0:
        raise DataError(f"seed is {seed}; give a whole number from 0.")
    last = one_date(as_of)
    if not last.is_month_end or not 1900 <= last.year <= 2200:
        raise DataError(f"as_of {as_of!r} is not the end of a month from 1900 to 2200; give e.g. '2026-09-30'.")
    world = _World(np.random.default_rng(int(seed)), int(n_loans))
    for month in tqdm(range(HISTORY + WINDOW), desc="months", disable=not progress, leave=False):
        world.live(month)
    return portfolio_of(world.record(), int(seed), str(last.date()))


def _whole(number: Any, argument: str) -> int:
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise DataError(f"{argument} is {number!r}; give a whole number.")
    return int(number)


class _World:
    """State of the simulation; month 0 is the first month of originations, months are counted by their end."""

    def __init__(self, rng: np.random.Generator, n_loans: int) -> None:
        self.rng, self.n_loans = rng, n_loans
        self.last_month = HISTORY + WINDOW - 1
        # one month more than is lived through: the first hazards use the month before
        self.market = Market.drawn(rng, HISTORY + WINDOW + 1)
        self.branches = Branches(rng, self.last_month)
        n_old = round(_OLD_SHARE * n_loans)
        self.customers = Customers(rng, max(1, round(0.75 * (n_old + n_loans))))
        self.loans = _drawn_loans(rng, n_old, n_loans, self.customers)
        #: candidates at risk in the months to come; new ones are cut to the number asked for when the window opens
        self.in_use = np.arange(len(self.loans["origination"])) < n_old
        self.exit = np.full(len(self.in_use), OPEN)
        self.offer = np.zeros(len(self.in_use), bool)
        self.offered: Ints = np.zeros(0, np.int64)
        self.n_old = n_old
        self.rows: list[Columns] = []

    def live(self, month: int) -> None:
        """Go through one month: exits, then the new state of the world, then the rows."""
        if month == HISTORY:
            survivors = int(np.count_nonzero(self.exit[: self.n_old] == OPEN))
            self.in_use[self.n_old : self.n_old + self.n_loans - survivors] = True
        origination = self.loans["origination"]
        here = np.flatnonzero(self.in_use & (self.exit == OPEN) & (origination <= month))
        age = month - origination[here]
        # the contract is signed in the first month, at the rate of the month before
        new = here[age == 0]
        self.loans["contract_rate"][new] = self._contract_rate(new, month)
        ends = self._exits(here, age, self._columns(here, age, month - 1))
        ends = np.where((ends == OPEN) & (age + 1 == self.loans["term"][here]), MATURED, ends)
        self.exit[here] = ends
        self.branches.advance(self.rng, month)
        self.customers.advance(self.rng, month, self.branches)
        if month == self.last_month - OFFER_BACK:
            self._assign_offer(here[ends == OPEN], month)
        if month >= HISTORY:
            columns = self._columns(here, age + 1, month)
            columns["balance"] = np.where((ends == ATTRITION) | (ends == MATURED), 0, columns["balance"])
            self.rows.append({"loan": here, "month": np.full(len(here), month), "status": ends} | columns)

    def record(self) -> Record:
        """Give what happened, for the tables."""
        return Record(
            loans=self.loans,
            rows=self.rows,
            customers=self.customers,
            branches=self.branches,
            market=self.market,
            offered=self.offered,
            offer=self.offer,
            offer_month=self.last_month - OFFER_BACK,
            first_month=HISTORY,
            last_month=self.last_month,
        )

    def _columns(self, here: Ints, age: Ints, month: int) -> Columns:
        """Give the covariates of loans at the end of a month (of the given age then), as stored."""
        loans, customer = self.loans, self.loans["customer"][here]
        branch = self.customers.branch[customer]
        region = self.branches.region[branch]
        rate, unemployment = self.market.market_rate[month + 1], self.market.unemployment_rate[month + 1]
        return {
            "rate_incentive": loans["contract_rate"][here] - rate[region],
            "term": loans["term"][here],
            "approval_days": loans["approval_days"][here],
            "balance": _balance(loans["amount"][here], loans["contract_rate"][here], loans["term"][here], age),
            **self.customers.columns(customer),
            "outage_minutes": self.branches.outage_minutes[branch],
            "unemployment_rate": unemployment[region],
            "rate_offer": self.offer[here].astype(np.int64),
            "faster_service": (self.branches.switch[branch] <= month).astype(np.int64),
        }

    def _exits(self, here: Ints, age: Ints, columns: Columns) -> Ints:
        """Draw who leaves in the month: competing exponential times with the month's constant hazards."""
        hazard = hazards(age.astype(float), columns)
        total = hazard["attrition"] + hazard["default"]
        leaves = self.rng.random(len(here)) < -np.expm1(-total)
        by_attrition = self.rng.random(len(here)) * total < hazard["attrition"]
        return np.where(leaves, np.where(by_attrition, ATTRITION, DEFAULT), OPEN)

    def _contract_rate(self, new: Ints, month: int) -> NDArray[np.float64]:
        customer = self.loans["customer"][new]
        market = self.market.market_rate[month, self.branches.region[self.customers.branch[customer]]]
        risk = -0.012 * (self.customers.credit_score[customer] - 690)
        rate = market + self.loans["spread"][new] + risk + self.rng.normal(0, 0.6, len(new))
        return np.asarray(np.round(np.clip(rate, 2.5, 19.9), 2))

    def _assign_offer(self, still_here: Ints, month: int) -> None:
        """Toss a coin for every loan that is at least 6 months old and has at least 12 to go."""
        age = month + 1 - self.loans["origination"][still_here]
        eligible = still_here[(age >= 6) & (self.loans["term"][still_here] - age >= 12)]
        self.offered = eligible
        self.offer[eligible] = self.rng.random(len(eligible)) < 0.5


def _drawn_loans(rng: np.random.Generator, n_old: int, n_new: int, customers: Customers) -> Columns:
    """Draw what is fixed at origination, but for the contract rate."""
    n = n_old + n_new
    names = list(_PRODUCTS)
    product = rng.choice(len(names), n, p=[_PRODUCTS[name][0] for name in names])
    terms = np.array([_PRODUCTS[name][1] for name in names])
    median = np.array([_PRODUCTS[name][2] for name in names])
    spread = np.array([_PRODUCTS[name][3] for name in names])
    return {
        "origination": np.concatenate(
            (rng.integers(0, HISTORY, n_old), rng.integers(HISTORY, HISTORY + WINDOW, n_new))
        ),
        "day": rng.integers(1, 29, n),
        "customer": rng.integers(0, customers.n, n),
        "product": np.array(names, dtype=object)[product],
        "term": terms[product, rng.integers(0, terms.shape[1], n)],
        "amount": (np.round(median[product] * np.exp(rng.normal(0, 0.45, n)) / 100) * 100).astype(np.int64),
        "approval_days": 1 + rng.gamma(2, 2.5, n).astype(np.int64),
        "spread": spread[product],
        "contract_rate": np.zeros(n),
    }


def _balance(amount: NDArray[Any], rate: NDArray[Any], term: NDArray[Any], age: NDArray[Any]) -> Ints:
    """Give the scheduled balance of an annuity after `age` of `term` monthly payments."""
    growth = 1 + rate / 1200
    due = amount * (growth**term - growth**age) / (growth**term - 1)
    return np.asarray(np.round(due).astype(np.int64))

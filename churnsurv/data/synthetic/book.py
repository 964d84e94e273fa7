"""The loans: drawn once with their terms, then paid down month by month, a little faster by some than scheduled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from churnsurv.data.synthetic.customers import Customers
from churnsurv.data.synthetic.states import Columns, Floats, Ints

#: product → (share, terms, median amount, spread on the rate)
PRODUCTS: dict[str, tuple[float, list[int], float, float]] = {
    "personal": (0.5, [24, 36, 48, 60], 9_000, 1.8),
    "car": (0.3, [36, 48, 60, 72], 18_000, 0.6),
    "home improvement": (0.2, [48, 60, 72, 84], 25_000, 0.9),
}
#: columns of a loan that are fixed at origination and enter hazards
STATIC = ("term", "term_gap", "amount_gap", "approval_days", "application_steps")


class Book:
    """All loans that the world may hold: what is fixed of them, and what is paid.

    Attributes
    ----------
    fixed : dict
        ``origination`` (month), ``day``, ``customer``, ``product``, ``term``, ``amount``, ... by loan; ``contract_rate`` is
        set when the loan is signed.
    balance, burnout : arrays of n
        At the end of the month: what is still owed, and the positive rate incentives cumulated since origination.
    """

    def __init__(self, rng: np.random.Generator, fixed: Columns) -> None:
        self._rng, self.fixed = rng, fixed
        n = len(fixed["origination"])
        self._rate_noise = rng.normal(0, 0.6, n)
        self._paid_ahead = np.zeros(n)
        self.balance = fixed["amount"].astype(float)
        self._before = np.repeat(self.balance[None], 3, axis=0)
        self.burnout = np.zeros(n)
        self._slope = np.zeros(n)

    def sign(self, new: Ints, market_rate: Floats, score: NDArray[Any]) -> None:
        """Set the rate of loans that are signed: the market's, the product's spread, a price of risk."""
        rate = market_rate + self.fixed["spread"][new] - 0.012 * (score - 690.0) + self._rate_noise[new]
        self.fixed["contract_rate"][new] = np.round(np.clip(rate, 2.5, 19.9), 2)

    def advance(self, month: int, here: Ints, market_rate: Floats) -> None:
        """Move the loans at risk in the month to its end; `market_rate` is the one that they saw when it began."""
        u = self._rng.random((2, len(self.balance)))
        self.burnout[here] += np.maximum(self.fixed["contract_rate"][here] - market_rate, 0)
        self._paid_ahead += np.where(u[0] < 0.012, 0.03 + 0.12 * u[1], 0)
        age = month + 1 - self.fixed["origination"][here]
        oldest = self._before[month % 3][here]
        scheduled = _scheduled(
            self.fixed["amount"][here], self.fixed["contract_rate"][here], self.fixed["term"][here], age
        )
        owed = np.round(scheduled * np.exp(-self._paid_ahead[here]))
        ratio = np.maximum(owed, 1) / np.maximum(oldest, 1)
        self._slope[here] = np.round(np.clip(100 * (1 - ratio ** (1 / np.minimum(age, 3))), 0, 15), 2)
        self.balance[here] = owed
        self._before[month % 3][here] = owed

    def owed(self, month: int, here: Ints) -> Floats:
        """Give the balance of the listed loans at the end of one of the last three months."""
        return np.asarray(self._before[month % 3][here])

    def columns(self, here: Ints) -> Columns:
        """Give the covariates of the listed loans at the end of the month, as stored."""
        static = {name: self.fixed[name][here] for name in STATIC}
        return static | {"balance": self.balance[here].astype(np.int32), "balance_slope_3m": self._slope[here]}


def drawn_loans(rng: np.random.Generator, origination: Ints, n_months: int, customers: Customers) -> Columns:
    """Draw what is fixed at origination; vintages differ, because standards, process and prices change over the years.

    In the years of loose standards an applicant is taken as he comes; in strict ones the better of two.
    """
    n = len(origination)
    year = origination / n_months
    names = list(PRODUCTS)
    product = rng.choice(len(names), n, p=[PRODUCTS[name][0] for name in names])
    terms = np.array([PRODUCTS[name][1] for name in names])
    median = np.array([PRODUCTS[name][2] for name in names])
    customer = _accepted(rng, year, customers)
    weak = -customers.quality[customer]
    asked = rng.exponential(14, n) * np.exp(0.2 * weak) * (rng.random(n) < 0.4)
    amount = median[product] * np.exp(rng.normal(0, 0.45, n)) * (1 + 0.25 * year)
    return {
        "origination": origination,
        "day": rng.integers(1, 29, n),
        "customer": customer,
        "product": product,
        "term": terms[product, rng.integers(0, terms.shape[1], n)].astype(np.int16),
        "amount": (np.round(amount / 100) * 100).astype(np.int32),
        "term_gap": rng.choice(np.array([-12, 0, 12, 24], np.int16), n, p=[0.05, 0.7, 0.18, 0.07]),
        "amount_gap": np.round(np.minimum(asked, 60)).astype(np.int16),
        "approval_days": (1 + rng.gamma(2, 3.2 - 1.4 * year)).astype(np.int16),
        "application_steps": (4 + rng.poisson(7.5 - 5 * year)).astype(np.int16),
        "spread": np.array([PRODUCTS[name][3] for name in names])[product],
        "contract_rate": np.zeros(n),
    }


def _accepted(rng: np.random.Generator, year: Floats, customers: Customers) -> Ints:
    """Give the customer of each loan; standards are loose at a third of the time and strict at two thirds."""
    first, second = rng.integers(0, customers.n, (2, len(year)))
    strict = rng.random(len(year)) < 0.35 - 0.3 * np.cos(2 * np.pi * (year - 1 / 3) * 1.5)
    better = customers.quality[second] > customers.quality[first]
    return np.asarray(np.where(strict & better, second, first))


def _scheduled(amount: NDArray[Any], rate: Floats, term: NDArray[Any], age: Ints) -> Floats:
    """Give the scheduled balance of an annuity after `age` of `term` monthly payments."""
    growth = 1 + rate / 1200
    full = growth**term
    return np.asarray(amount * (full - growth**age) / (full - 1))

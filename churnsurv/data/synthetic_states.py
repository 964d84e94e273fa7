"""The world of the simulated portfolio, month by month: markets, branches, customers and their covariates.

All values are rounded as they are stored, before they act on any hazard, so the tables hold exactly what drove the exits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.synthetic_truth import FASTER_RESPONSE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REGIONS = ("Coast", "Hills", "Lakes", "Metro", "Plains")
N_BRANCHES = 40
#: months from the switch of the wave to the as-of date; the last wave of branches never switches
WAVES = (27, 21, 15, 9)


@dataclass(frozen=True)
class Market:
    """Monthly series by region, from the month before the first origination to the as-of month."""

    market_rate: Floats  # (months, regions), % p.a.
    unemployment_rate: Floats  # (months, regions), %

    @classmethod
    def drawn(cls, rng: np.random.Generator, n_months: int) -> Market:
        """Draw a rate cycle that ends with falling rates, and regional unemployment around a national wave."""
        clock = np.arange(n_months)
        knots = n_months - 1 - np.array([80, 56, 40, 22, 0])
        national = (
            np.interp(clock, knots, [7.4, 6.2, 9.2, 8.4, 6.8]) + _autoregressive(rng, (n_months, 1), 0.8, 0.06)[:, 0]
        )
        rate = national[:, None] + np.linspace(-0.1, 0.1, len(REGIONS))
        wave = 5.7 + 1.2 * np.sin(2 * np.pi * (clock - n_months) / 60)
        offset = np.array([-0.6, 0.3, -0.2, -0.9, 1.2])
        unemployment = wave[:, None] + offset + _autoregressive(rng, (n_months, len(REGIONS)), 0.95, 0.18)
        return cls(np.round(rate, 2), np.round(np.clip(unemployment, 2, 14), 1))

    def frame(self, months: pd.DatetimeIndex) -> pd.DataFrame:
        """Give the macro table: one row per month and region."""
        n_months, n_regions = self.market_rate.shape
        return pd.DataFrame(
            {
                "month": months.repeat(n_regions),
                "region": np.tile(np.array(REGIONS, dtype=object), n_months),
                "market_rate": self.market_rate.ravel(),
                "unemployment_rate": self.unemployment_rate.ravel(),
            }
        )


class Branches:
    """Branches with their response time, outages, and the month in which they switch to faster service."""

    def __init__(self, rng: np.random.Generator, last_month: int) -> None:
        self.region = np.arange(N_BRANCHES) % len(REGIONS)
        self._usual_hours = rng.uniform(17, 31, N_BRANCHES)
        self._deviation = np.zeros(N_BRANCHES)
        wave = rng.permutation(N_BRANCHES) % (len(WAVES) + 1)
        never = last_month + 1_000_000
        self.switch = np.array([last_month - back for back in WAVES] + [never])[wave]
        self.hours = self._usual_hours.copy()
        self.outage_minutes = np.zeros(N_BRANCHES, np.int64)

    def advance(self, rng: np.random.Generator, month: int) -> None:
        """Move to the end of the month."""
        self._deviation = 0.8 * self._deviation + rng.normal(0, 0.06, N_BRANCHES)
        # the response time is a median over 90 days, so the gain arrives over three months
        share = np.clip((month - self.switch + 1) / 3, 0, 1)
        self.hours = self._usual_hours * np.exp(self._deviation) * (1 - FASTER_RESPONSE * share)
        minutes = rng.gamma(1.2, 50, N_BRANCHES) * (rng.random(N_BRANCHES) < 0.35)
        self.outage_minutes = np.minimum(minutes, 480).astype(np.int64)


class Customers:
    """Customers and their time-varying covariates; several loans of one customer share them."""

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        self.n = n
        self.branch = rng.integers(0, N_BRANCHES, n)
        self.segment = rng.choice(np.array(["salaried", "self-employed", "young"], dtype=object), n, p=[0.6, 0.2, 0.2])
        quality = rng.normal(0, 1, n) - 0.4 * (self.segment == "young")
        self._usual_score = 695 + 55 * quality
        self._usual_debt = 32 - 3 * quality + rng.normal(0, 7, n)
        self._usual_csat = np.clip(4.1 + 0.35 * rng.normal(0, 1, n), 2.5, 5)
        self._hours_factor = np.exp(rng.normal(0, 0.15, n))
        self._complains = rng.gamma(2, 0.5, n)
        self._score_deviation = rng.normal(0, 29, n)
        self._debt_deviation = rng.normal(0, 4, n)
        self._csat_deviation = rng.normal(0, 0.3, n)
        self._complaints, self._fees = np.zeros((12, n), np.int64), np.zeros((12, n), np.int64)
        self.months_since_contact = rng.geometric(0.1, n) - 1
        self.products_held = 1 + np.minimum(rng.poisson(0.8, n), 5)
        self.loyalty_tier = np.minimum(rng.poisson(0.4 * self.products_held), 3)
        self.response_hours = np.full(n, 24.0)
        self._publish()

    def advance(self, rng: np.random.Generator, month: int, branches: Branches) -> None:
        """Move to the end of the month; service shapes complaints, and both shape satisfaction."""
        n = self.n
        hours = branches.hours[self.branch] * self._hours_factor * np.exp(rng.normal(0, 0.1, n))
        self.response_hours = np.round(hours, 1)
        self._complaints[month % 12] = rng.poisson(0.035 * self._complains * np.exp(0.025 * (hours - 24)))
        charged = rng.random(n) < np.clip(0.06 * np.exp((690 - self.credit_score) / 150), 0, 0.5)
        self._fees[month % 12] = charged * rng.integers(15, 46, n)
        self._score_deviation = 0.97 * self._score_deviation + rng.normal(0, 7, n)
        self._debt_deviation = 0.95 * self._debt_deviation + rng.normal(0, 1.25, n)
        self._csat_deviation = 0.8 * self._csat_deviation + rng.normal(0, 0.18, n)
        reached = rng.random(n) < 0.08 + 0.02 * self.loyalty_tier
        self.months_since_contact = np.where(reached, 0, np.minimum(self.months_since_contact + 1, 60))
        change = (rng.random(n) < 0.005).astype(np.int64) - (rng.random(n) < 0.004)
        self.products_held = np.clip(self.products_held + change, 1, 6)
        change = (rng.random(n) < 0.01).astype(np.int64) - (rng.random(n) < 0.008)
        self.loyalty_tier = np.clip(self.loyalty_tier + change, 0, 3)
        self._publish()

    def _publish(self) -> None:
        self.complaints_12m = self._complaints.sum(axis=0)
        self.fees_12m = self._fees.sum(axis=0)
        self.credit_score = np.clip(self._usual_score + self._score_deviation, 450, 850).astype(np.int64)
        self.debt_to_income = np.round(np.clip(self._usual_debt + self._debt_deviation, 2, 75), 1)
        csat = self._usual_csat + self._csat_deviation - 0.15 * np.minimum(self.complaints_12m, 4)
        self.csat = np.round(np.clip(csat - 0.012 * (self.response_hours - 24), 1, 5), 1)

    def columns(self, customer: Ints) -> dict[str, NDArray[Any]]:
        """Give the covariates of the listed customers, as stored."""
        names = (
            "credit_score",
            "debt_to_income",
            "fees_12m",
            "response_hours",
            "complaints_12m",
            "csat",
            "months_since_contact",
            "products_held",
            "loyalty_tier",
        )
        return {name: getattr(self, name)[customer] for name in names}


def _autoregressive(rng: np.random.Generator, shape: tuple[int, int], memory: float, spread: float) -> Floats:
    """Give columns of x_t = memory * x_{t−1} + spread * noise, started at 0."""
    noise = rng.normal(0, spread, shape)
    for t in range(1, shape[0]):
        noise[t] += memory * noise[t - 1]
    return noise

"""The world around the lender: monthly series by region, drawn before anything happens in it.

Regions have cycles of their own around the national one. Press and regulation vary by calendar month alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REGIONS = ("Coast", "Hills", "Islands", "Lakes", "Metro", "North", "Plains", "Valley")
#: months from a dated event to the last month
MISCONDUCT_BACK, REGULATION_BACK = 29, 17


@dataclass(frozen=True)
class Market:
    """Series of shape (months, regions); the first month is the one before the first origination."""

    series: Mapping[str, NDArray[Any]]

    def at(self, month: int) -> dict[str, NDArray[Any]]:
        """Give every series at the end of a month, by region; months count from the first origination."""
        return {name: values[month + 1] for name, values in self.series.items()}

    def frame(self, months: pd.DatetimeIndex) -> pd.DataFrame:
        """Give the macro table: one row per month and region."""
        columns = {"month": months.repeat(len(REGIONS)), "region": np.tile(np.array(REGIONS, object), len(months))}
        return pd.DataFrame(columns | {name: values.ravel() for name, values in self.series.items()})


def drawn_market(rng: np.random.Generator, n_months: int) -> Market:
    """Draw the series."""
    shape = (n_months, len(REGIONS))
    disaster = _disasters(rng, shape)
    return Market(
        {
            **_economy(rng, shape, disaster),
            **_competition(rng, shape),
            **_press_and_regulation(rng, shape),
            **_demography(rng, shape),
            "disaster": disaster,
        }
    )


def _economy(rng: np.random.Generator, shape: tuple[int, int], disaster: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Draw a rate cycle that ends with falling rates, unemployment and growth around national waves."""
    clock = np.arange(shape[0])
    knots = shape[0] - 1 - np.array([80, 56, 40, 22, 0])
    policy = np.interp(clock, knots, [2.6, 1.2, 4.4, 3.6, 2.0])
    # the policy rate moves in steps of a quarter point
    policy = np.round(4 * policy) / 4
    funding = _autoregressive(rng, (shape[0], 1), 0.8, 0.06)
    regional = _autoregressive(rng, shape, 0.93, 0.1)
    market = np.interp(clock, knots, [7.4, 6.2, 9.2, 8.4, 6.8])[:, None] + funding + regional
    wave = np.sin(2 * np.pi * (clock[:, None] - shape[0] + 7 * _between(rng, shape[1], 1.0)) / 60)
    unemployment = 5.7 + 1.2 * wave + _between(rng, shape[1], 1.0) + _autoregressive(rng, shape, 0.95, 0.15)
    growth = 1.5 - 1.3 * wave + _autoregressive(rng, shape, 0.85, 0.25) - 1.5 * disaster
    return {
        "market_rate": np.round(market, 2),
        "policy_rate": np.repeat(policy[:, None], shape[1], axis=1),
        "unemployment_rate": np.round(np.clip(unemployment, 2, 14), 1),
        "gdp_growth": np.round(growth, 1),
    }


def _competition(rng: np.random.Generator, shape: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Draw what rivals offer; lenders that work online gain share everywhere, not at one pace."""
    trend = np.linspace(0, 1, shape[0])[:, None] * (9 + _between(rng, shape[1], 4))
    fees = 20 + _between(rng, shape[1], 8) + _autoregressive(rng, shape, 0.9, 4)
    flexibility = _between(rng, shape[1], 0.4) + _autoregressive(rng, shape, 0.9, 0.25)
    service = 3.6 + _between(rng, shape[1], 0.2) + _autoregressive(rng, shape, 0.9, 0.1)
    products = 12 + _between(rng, shape[1], 3) + _autoregressive(rng, shape, 0.95, 0.8)
    fintech = 8 + _between(rng, shape[1], 2) + trend + _autoregressive(rng, shape, 0.9, 0.6)
    return {
        "fee_gap": np.round(fees, 0).astype(np.int16),
        "flexibility_gap": np.round(flexibility, 1),
        "rival_service_score": np.round(np.clip(service, 1, 5), 1),
        "rival_products": np.clip(np.round(products), 1, None).astype(np.int16),
        "fintech_share": np.round(np.clip(fintech, 0, 60), 1),
    }


def _press_and_regulation(rng: np.random.Generator, shape: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Draw news and rules, the same in all regions; a scandal fills the papers for some months."""
    since = np.arange(shape[0]) - (shape[0] - 1 - MISCONDUCT_BACK)
    scandal = np.where(since >= 0, 8 * np.exp(-np.maximum(since, 0) / 6), 0)
    news = rng.poisson(4 + scandal)
    ruled = np.arange(shape[0]) >= shape[0] - 1 - REGULATION_BACK
    cost = 25 + 15 * ruled + _autoregressive(rng, (shape[0], 1), 0.9, 3)[:, 0]
    national: dict[str, NDArray[Any]] = {
        "negative_news_30d": news.astype(np.int16),
        "misconduct_event": (since >= 0).astype(np.int8),
        "regulation_step": ruled.astype(np.int8),
        "regulatory_cost": np.round(cost, 1),
    }
    return {name: np.repeat(values[:, None], shape[1], axis=1) for name, values in national.items()}


def _demography(rng: np.random.Generator, shape: tuple[int, int]) -> dict[str, NDArray[Any]]:
    years = np.arange(shape[0])[:, None] / 12
    older = 20 + _between(rng, shape[1], 2.5) + years * (0.25 + _between(rng, shape[1], 0.1))
    migration = 0.1 + _between(rng, shape[1], 0.3) + _autoregressive(rng, shape, 0.95, 0.08)
    return {"share_over_65": np.round(older, 1), "net_migration": np.round(migration, 2)}


def _disasters(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[Any]:
    """Draw disasters: every year strikes one region, in some month, and it weighs on it for three."""
    begins = np.arange(0, shape[0], 12)
    month = np.minimum(begins + rng.integers(0, 12, len(begins)), shape[0] - 1)
    struck = np.zeros(shape, np.int8)
    region = rng.integers(0, shape[1], len(begins))
    for later in range(3):
        struck[np.minimum(month + later, shape[0] - 1), region] = 1
    return struck


def _between(rng: np.random.Generator, n: int, spread: float) -> Floats:
    """Give one level per region: evenly spread, so that regions differ in every portfolio, in random order."""
    return np.asarray(rng.permutation(np.linspace(-1.5, 1.5, n)) * spread)


def _autoregressive(rng: np.random.Generator, shape: tuple[int, int], memory: float, spread: float) -> Floats:
    """Give columns of x_t = memory * x_{t−1} + spread * noise, started at 0."""
    noise = rng.normal(0, spread, shape)
    for t in range(1, shape[0]):
        noise[t] += memory * noise[t - 1]
    return np.asarray(noise)

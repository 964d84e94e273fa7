"""A lender's portfolio simulated: arguments in, four tables and the truth out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from numbers import Integral, Real
from typing import Any

import pandas as pd
from tqdm import tqdm

from churnsurv.data.periods import one_date
from churnsurv.data.portfolio import Portfolio
from churnsurv.data.synthetic.dirt import Soiled
from churnsurv.data.synthetic.drift import QUARTER, Drift, as_drift
from churnsurv.data.synthetic.effects import described, true_effect
from churnsurv.data.synthetic.tables import Tables
from churnsurv.data.synthetic.truth import truth_of_hazards, truth_of_incidence, versions
from churnsurv.data.synthetic.world import LAST_MONTH, World
from churnsurv.exceptions import DataError


def simulate(
    n_loans: int = 5_000,
    *,
    seed: int = 20260930,
    as_of: str | date = "2026-09-30",
    drift: Drift | str | None = None,
    dirty: float = 0.0,
    truth_of_effects: bool = True,
    progress: bool = False,
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
    drift : Drift or {"population", "concept"}, optional
        What changes in the last months: who the customers are, or what makes them leave.
    dirty : float
        Share of the loans made dirty in the ways of real tables: copies, gaps, zeros for missing values, rows after the exit
        and so on. ``truth["dirt"]`` counts them by the rules of the clean-up.
    truth_of_effects : bool
        Whether the true effects of the interventions are computed; without them it takes a third of the time.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Portfolio
        Its ``truth`` holds the formula and the coefficients that a Cox model of the spells recovers, the cumulative
        incidences, and the effects of the interventions.

    Raises
    ------
    DataError
        Fewer than 100 loans, a negative seed, a date that is not the end of a month, an unknown drift,
        a share of dirty loans that is none.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.simulate(200, seed=1)
    >>> portfolio.truth["coefficients"]["attrition"]["rate_incentive"]
    0.28
    """
    last = _checked(n_loans, seed, as_of, dirty)
    drifting = as_drift(drift)
    since = LAST_MONTH + 1 - (0 if drifting is None else drifting.months(last))
    world = World(int(seed), int(n_loans), drift=drifting, drift_month=since)
    found = _lived_through(world, last, truth_of_effects, progress)
    tables = Tables(world, last)
    truth = {
        "seed": int(seed),
        "n_loans": int(n_loans),
        "as_of": tables.day(LAST_MONTH),
        "first_month": tables.first_month,
        "drift": None if drifting is None else drifting.record(last),
        "dirt": [],
        **truth_of_hazards(),
        "cumulative_incidence": found.incidence,
        "interventions": {
            name: described(programme.spec, tables.day(programme.zero)) | found.effects.get(name, {})
            for name, programme in world.programmes.items()
        },
        "versions": versions(),
    }
    loans, performance = tables.loans(), tables.performance()
    if dirty > 0:
        soiled = Soiled(loans, performance, float(dirty), int(seed))
        loans, performance, truth["dirt"] = soiled.loans, soiled.performance, soiled.record
    return Portfolio(loans, performance, tables.macro(), tables.interventions(), truth)


@dataclass(frozen=True)
class _Found:
    """What was taken down on the way: effects by intervention, cumulative incidences by date."""

    effects: dict[str, dict[str, Any]] = field(default_factory=dict)
    incidence: dict[str, dict[str, Any]] = field(default_factory=dict)


def _lived_through(world: World, last: pd.Period, with_effects: bool, progress: bool) -> _Found:
    """Live through all months."""
    found = _Found()

    def take_effects(month: int) -> None:
        for name, programme in world.programmes.items():
            if with_effects and month == programme.zero:
                found.effects[name] = true_effect(world, programme.spec)

    for month in tqdm(range(LAST_MONTH + 1), desc="months", disable=not progress, leave=False):
        world.live(month, take_effects)
        back = LAST_MONTH - month
        if back in (0, QUARTER):
            found.incidence[str((last - back).end_time.date())] = truth_of_incidence(world)
    return found


def _checked(n_loans: Any, seed: Any, as_of: Any, dirty: Any) -> pd.Period:
    """Give the last month; refuse arguments that make no portfolio."""
    if _whole(n_loans, "n_loans") < 100:
        raise DataError(f"n_loans is {n_loans}; a portfolio of branches and cohorts needs at least 100.")
    if _whole(seed, "seed") < 0:
        raise DataError(f"seed is {seed}; give a whole number from 0.")
    day = one_date(as_of)
    if not day.is_month_end or not 1900 <= day.year <= 2200:
        raise DataError(f"as_of {as_of!r} is not the end of a month from 1900 to 2200; give e.g. '2026-09-30'.")
    if isinstance(dirty, bool) or not isinstance(dirty, Real) or not 0 <= float(dirty) <= 0.5:
        raise DataError(f"dirty is {dirty!r}; give the share of the loans to make dirty, from 0 to 0.5.")
    return pd.Period(day, freq="M")


def _whole(number: Any, argument: str) -> int:
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise DataError(f"{argument} is {number!r}; give a whole number.")
    return int(number)

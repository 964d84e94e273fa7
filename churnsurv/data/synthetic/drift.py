"""Drift: what changes in the simulated world from a stated month on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.data.config import did_you_mean
from churnsurv.data.periods import one_date
from churnsurv.data.synthetic.customers import DRIFTING, SEGMENTS, Customers
from churnsurv.data.synthetic.hazards import COEFFICIENTS
from churnsurv.data.synthetic.states import Ints
from churnsurv.exceptions import DataError

#: months that drift where no date is given
QUARTER = 3


@dataclass(frozen=True)
class Drift:
    """A change of the population or of the hazards, for tests of monitoring.

    Parameters
    ----------
    covariates : mapping
        Column of the customers → what is added to everybody's value, in its unit: population drift.
    segments : mapping
        Segment → share among the customers of new loans: population drift. The shares add up to 1.
    coefficients : mapping
        Cause → covariate → its new log hazard ratio: concept drift.
    since : str or date, optional
        A day of the first month that is concerned; without it, the last three months are.

    Raises
    ------
    DataError
        A name that is unknown or cannot drift, shares that are none.

    Examples
    --------
    >>> from churnsurv.data import Drift, simulate
    >>> drift = Drift(covariates={"credit_score": -20}, since="2026-07-01")
    >>> simulate(200, seed=1, drift=drift).truth["drift"]["covariates"]
    {'credit_score': -20}
    """

    covariates: Mapping[str, float] = field(default_factory=dict)
    segments: Mapping[str, float] = field(default_factory=dict)
    coefficients: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    since: Any = None

    def __post_init__(self) -> None:
        _known(self.covariates, DRIFTING, "covariates")
        _known(self.segments, SEGMENTS, "segments")
        _known(self.coefficients, COEFFICIENTS, "coefficients")
        for cause, changed in self.coefficients.items():
            _known(changed, COEFFICIENTS[cause], f"coefficients of {cause}")
        shares = list(self.segments.values())
        if shares and (min(shares) < 0 or abs(sum(shares) - 1) > 1e-9):
            raise DataError(f"The segments of the drift have the shares {shares}: give shares from 0 that add up to 1.")

    def months(self, last: pd.Period) -> int:
        """Give the number of months, up to the `last` one, that are concerned."""
        if self.since is None:
            return QUARTER
        months = (last - pd.Period(one_date(self.since), freq="M")).n + 1
        if months < 1:
            raise DataError(f"The drift begins in {one_date(self.since):%Y-%m}, after the last month ({last}).")
        return int(months)

    def record(self, last: pd.Period) -> dict[str, Any]:
        """Give the drift as plain data, with the first month that is concerned."""
        return asdict(self) | {"since": str(last - self.months(last) + 1)}


def _known(names: Mapping[str, Any], known: Any, what: str) -> None:
    for name in names:
        if name not in known:
            raise DataError(f"The {what} of the drift name {name!r}. {did_you_mean(name, list(known))}")


#: drifts by name: of who the customers are, and of what makes them leave
DRIFTS = {
    "population": Drift(
        covariates={"credit_score": -20, "debt_to_income": 3.0, "csat": -0.2},
        segments={"salaried": 0.45, "self-employed": 0.2, "young": 0.35},
    ),
    "concept": Drift(coefficients={"attrition": {"rate_incentive": 0.05, "csat": -0.4}}),
}


def as_drift(drift: Drift | str | None) -> Drift | None:
    """Give the drift of a name; a drift and None pass through."""
    if drift is None or isinstance(drift, Drift):
        return drift
    if drift not in DRIFTS:
        raise DataError(f"There is no drift {drift!r}; give a Drift or one of {', '.join(map(repr, DRIFTS))}.")
    return DRIFTS[drift]


def remixed(rng: np.random.Generator, customer: Ints, which: Ints, drift: Drift, customers: Customers) -> Ints:
    """Give the customers of all loans, with those of the loans `which` drawn by the segments of the drift."""
    names = list(SEGMENTS)
    asked = rng.choice(len(names), len(which), p=[drift.segments.get(name, 0.0) for name in names])
    place = rng.random(len(which))
    result = customer.copy()
    for code in range(len(names)):
        pool = np.flatnonzero(customers.segment == code)
        here = asked == code
        if here.any():
            result[which[here]] = pool[(place[here] * len(pool)).astype(np.int64)]
    return result

"""Customers: who they are, and their covariates month by month; several loans of one customer share them.

All values are rounded as they are stored before they act on any hazard, so the tables hold exactly what drove the exits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from churnsurv.data.synthetic import finances, service
from churnsurv.data.synthetic.branches import N_BRANCHES, Branches
from churnsurv.data.synthetic.finances import Finances
from churnsurv.data.synthetic.market import Market
from churnsurv.data.synthetic.relationship import Relationship
from churnsurv.data.synthetic.service import Service
from churnsurv.data.synthetic.states import Around, Columns, Floats, Ints

#: segment → share of the customers
SEGMENTS = {"salaried": 0.6, "self-employed": 0.2, "young": 0.2}
#: what branches are to their customers
_OF_BRANCH = ("hours", "latency", "outage_minutes", "quality", "records")
#: columns that a drift can shift
DRIFTING = (*finances.DRIFTING, *service.DRIFTING)


class Customers:
    """Customers of the lender.

    Attributes
    ----------
    branch, region, segment, quality, loyalty : arrays of n
        Where they belong (codes), and their latent credit quality and loyalty (standardised), which act on the hazards
        through the columns alone.
    """

    def __init__(self, rng: np.random.Generator, n: int, branches: Branches) -> None:
        self.n = n
        self.branch = rng.integers(0, N_BRANCHES, n)
        self.region = branches.region[self.branch]
        self.segment = rng.choice(len(SEGMENTS), n, p=list(SEGMENTS.values()))
        self.quality = rng.normal(0, 1, n) - 0.4 * (self.segment == list(SEGMENTS).index("young"))
        self.loyalty = rng.normal(0, 1, n)
        streams = rng.spawn(3)
        self._parts = (
            Finances(streams[0], self.quality),
            Service(streams[1], self.loyalty),
            Relationship(streams[2], self.quality, self.loyalty),
        )

    def advance(
        self,
        month: int,
        market: Market,
        branches: Branches,
        acting: tuple[Mapping[str, Floats], Mapping[str, Floats]] = ({}, {}),
        drift: Mapping[str, float] | None = None,
    ) -> None:
        """Move to the end of the month; `acting` holds the factors and shifts of the interventions in force."""
        around = Around(
            month,
            {name: values[self.region] for name, values in market.at(month).items()},
            {name: getattr(branches, name)[self.branch] for name in _OF_BRANCH},
            *acting,
            drift or {},
        )
        for part in self._parts:
            part.advance(around)

    def columns(self, customer: Ints) -> Columns:
        """Give the covariates of the listed customers, as stored."""
        return {name: values[customer] for part in self._parts for name, values in part.columns.items()}

"""Assignment of interventions: since when each is in force, for whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from churnsurv.data.synthetic.interventions import Intervention
from churnsurv.data.synthetic.states import Columns, Floats, Ints, chance

#: a month that does not come
NEVER = 1_000_000


@dataclass(frozen=True)
class Sight:
    """What an assignment at the end of a month sees: the eligible loans, their units, the columns of the units."""

    month: int
    loans: Ints
    unit: Ints
    columns: Columns


class Programme:
    """An intervention at work.

    Random numbers are drawn for every unit, whoever is eligible, so that worlds in which arms are forced differ in nothing
    else. What is assigned at the end of a month acts from the next one on.

    Attributes
    ----------
    since : array over units
        Month at whose end it came into force; `NEVER` where it did not.
    offered : array
        Loans whose unit a coin was tossed for, at time zero.
    invited, takes : arrays over units
        How the coin fell, and who takes part when invited.
    propensity : array over units
        Probability of getting it at time zero, of dated ones.
    forced : bool or None
        Everyone eligible at time zero gets it (True) or nobody ever does (False), whatever the design.
    """

    def __init__(
        self, spec: Intervention, rng: np.random.Generator, n_units: int, last_month: int, forced: bool | None = None
    ) -> None:
        self.spec, self.forced, self.zero = spec, forced, last_month - spec.back
        self._rng, self._n = rng, n_units
        self.since = np.full(n_units, NEVER)
        if spec.design == "staggered":
            switch = np.array([*(last_month - back for back in spec.waves), NEVER])
            self.since = switch[rng.permutation(n_units) % len(switch)]
        self.offered: Ints = np.zeros(0, np.int64)
        self.invited = np.zeros(n_units, bool)
        self.takes = np.ones(n_units, bool)
        self.propensity = np.zeros(n_units)

    def in_force(self, month: int) -> NDArray[np.int8]:
        """Give the indicator of every unit at the end of the month."""
        return np.asarray(self.since <= month, dtype=np.int8)

    def reached(self, month: int, months: int) -> Floats:
        """Give the share of the full effect on a column that is reached in the month, by unit."""
        return np.clip((month - self.since) / months, 0, 1)

    def needs_sight(self, month: int) -> bool:
        """Tell whether someone may be assigned at the end of the month."""
        if self.spec.design == "dated":
            return month >= self.zero and (month - self.zero) % self.spec.every == 0
        return month == self.zero and self.spec.design != "staggered"

    def assign(self, sight: Sight) -> None:
        """Assign at the end of a month in which :meth:`needs_sight`."""
        if self.spec.design == "dated":
            self._grant(sight)
        else:
            self._toss(sight)

    def force_rollout(self, month: int) -> None:
        """Let all units of a staggered rollout switch at its time zero, or none, where that is forced."""
        if self.spec.design == "staggered" and month == self.zero and self.forced is not None:
            self.since = np.full(self._n, self.zero if self.forced else NEVER)

    def _toss(self, sight: Sight) -> None:
        self.offered = sight.loans
        coin = self._rng.random(self._n)
        self.invited = coin < 0.5 if self.forced is None else np.full(self._n, self.forced)
        delay = np.zeros(self._n, np.int64)
        if self.spec.design == "encouraged":
            self.takes = self._rng.random(self._n) < self._by_unit(sight)
            delay = self._rng.integers(0, 3, self._n)
        joins = sight.unit[(self.invited & self.takes)[sight.unit]]
        self.since[joins] = sight.month + delay[joins]

    def _grant(self, sight: Sight) -> None:
        probability = self._by_unit(sight)
        drawn = self._rng.random(self._n) < probability
        if sight.month == self.zero:
            self.propensity = probability
        if self.forced is not None:
            drawn = np.full(self._n, self.forced and sight.month == self.zero)
        gets = sight.unit[(drawn & (self.since == NEVER))[sight.unit]]
        self.since[gets] = sight.month

    def _by_unit(self, sight: Sight) -> Floats:
        """Give the probability of taking part, by unit; 0 for those without an eligible loan."""
        logit = np.full(len(sight.unit), self.spec.intercept)
        for name, (centre, slope) in self.spec.inclined.items():
            values: NDArray[Any] = sight.columns[name]
            logit += slope * (values - float(centre))
        probability = np.zeros(self._n)
        probability[sight.unit] = chance(logit)
        return probability

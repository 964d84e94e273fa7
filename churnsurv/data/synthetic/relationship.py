"""Relationship of the customers with the lender, and what happens in their lives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from churnsurv.data.synthetic.states import Around, Columns, Floats, chance

#: life event → chance in a month
_EVENTS = {
    "moved_12m": 0.006,
    "job_change_12m": 0.008,
    "married_12m": 0.0016,
    "divorced_12m": 0.0012,
    "retired_12m": 0.0012,
    "disabled_12m": 0.0011,
}


class Relationship:
    """State of contact, needs review, loyalty, products, life events and declined top-ups."""

    def __init__(self, rng: np.random.Generator, quality: Floats, loyalty: Floats) -> None:
        n = len(quality)
        self._rng, self._quality, self._loyalty = rng, quality, loyalty
        self._since_contact = rng.geometric(0.1, n) - 1
        self._since_review = rng.geometric(0.06, n) - 1
        self._personal = rng.normal(0, 6, n)
        self._products = 1 + np.minimum(rng.poisson(0.7 * np.exp(0.2 * loyalty), n), 5)
        self._tier = np.minimum(rng.poisson(0.4 * self._products * np.exp(0.3 * loyalty)), 3)
        #: months since the event, by event; the declined top-up is the last one
        self._since = np.minimum(rng.geometric(np.array([[p] for p in (*_EVENTS.values(), 0.004)]), (7, n)) - 1, 99)
        self.columns: Columns = {}

    def advance(self, around: Around) -> None:
        """Move to the end of the month."""
        u = self._rng.random((13, len(self._quality)))
        reached = u[0] < 0.08 + 0.02 * self._tier + around.shift_of("months_since_contact")
        self._since_contact = np.where(reached, 0, np.minimum(self._since_contact + 1, 60))
        reviewed = u[1] < 0.045 + 0.15 * reached
        self._since_review = np.where(reviewed, 0, np.minimum(self._since_review + 1, 60))
        self._personal = 0.9 * self._personal + 2.6 * self._rng.standard_normal(len(self._quality))
        gains = u[2] < 0.006 + around.shift_of("products_held")
        self._products = np.clip(self._products + gains - (u[3] < 0.005), 1, 6)
        self._tier = np.clip(self._tier + (u[4] < 0.01 * np.exp(0.4 * self._loyalty)) - (u[5] < 0.008), 0, 3)
        happens = u[6:] < np.array([[p] for p in (*_EVENTS.values(), 1.0)])
        # some ask for more in a month, and the weaker ones are told no
        happens[-1] = u[12] < 0.008 * chance(-0.2 - 0.8 * self._quality)
        self._since = np.where(happens, 0, np.minimum(self._since + 1, 99))
        self._publish(around)

    def _publish(self, around: Around) -> None:
        personal = 40 + 8 * around.branch["records"] + 5 * self._loyalty + self._personal
        lately: NDArray[np.int8] = (self._since < 12).astype(np.int8)
        self.columns = {
            "top_up_declined": lately[-1],
            **dict(zip(_EVENTS, lately, strict=False)),
            "months_since_contact": self._since_contact.astype(np.int8),
            "needs_review_age": self._since_review.astype(np.int8),
            "personalised_share": np.round(np.clip(personal, 0, 100)).astype(np.int8),
            "loyalty_tier": self._tier.astype(np.int8),
            "products_held": self._products.astype(np.int8),
        }

"""Branches: where they are, how good their service is, and how their platform runs from month to month."""

from __future__ import annotations

import numpy as np

from churnsurv.data.synthetic.market import REGIONS

N_BRANCHES = 48


class Branches:
    """State of the branches at the end of a month.

    ``quality`` is the lasting quality of a branch's service (standardised): it shapes response times, manners and, through
    them, complaints and satisfaction. ``hours`` is the usual response time in the month, ``outage_minutes`` and
    ``latency_ms`` tell how the platform ran.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.region = np.arange(N_BRANCHES) % len(REGIONS)
        self.quality = rng.normal(0, 1, N_BRANCHES)
        #: how well the branch knows its customers
        self.records = 0.5 * self.quality + rng.normal(0, 0.9, N_BRANCHES)
        self._usual_hours = 24 * np.exp(-0.15 * self.quality + rng.normal(0, 0.12, N_BRANCHES))
        self._usual_latency = 400 * np.exp(rng.normal(0, 0.2, N_BRANCHES))
        self._deviation = np.zeros((2, N_BRANCHES))
        self.advance()

    def advance(self) -> None:
        """Move to the end of the next month."""
        rng = self._rng
        spread = np.array([[0.06], [0.08]])
        self._deviation = 0.8 * self._deviation + spread * rng.standard_normal((2, N_BRANCHES))
        self.hours = self._usual_hours * np.exp(self._deviation[0])
        self.latency = self._usual_latency * np.exp(self._deviation[1])
        minutes = rng.gamma(1.2, 50, N_BRANCHES) * (rng.random(N_BRANCHES) < 0.35)
        self.outage_minutes = np.minimum(minutes, 480).astype(np.int16)

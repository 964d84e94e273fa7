"""What customers live through with the lender: answers, complaints, satisfaction, the app."""

from __future__ import annotations

import numpy as np

from churnsurv.data.synthetic.states import Around, Columns, Floats, Recent, count_of

#: columns that a drift can shift
DRIFTING = ("response_hours", "csat", "attitude_score", "digital_completion", "nps")

#: share of customers asked for their opinion in a month; the last answer stands until the next
_ASKED = 0.2


class Service:
    """State of the customers' dealings: slow answers make complaints, both lower satisfaction, and that lowers NPS."""

    def __init__(self, rng: np.random.Generator, loyalty: Floats) -> None:
        n = len(loyalty)
        self._rng, self._loyalty = rng, loyalty
        self._usual_csat = np.clip(4.2 + 0.3 * rng.normal(0, 1, n) + 0.1 * loyalty, 2.5, 5)
        self._usual_attitude = 4.0 + 0.35 * rng.normal(0, 1, n)
        self._hours_factor = np.exp(rng.normal(0, 0.15, n))
        self._complains = rng.gamma(2, 0.5, n)
        self._uses_app = rng.normal(0, 1, n)
        self._csat_deviation = rng.normal(0, 0.3, n)
        self._completion = rng.normal(0, 4, n)
        self._complaints, self._breaches = Recent(12, n), Recent(3, n)
        self._csat, self._attitude, self._nps = self._usual_csat, self._usual_attitude, 20 + 22 * loyalty
        self.columns: Columns = {}

    def advance(self, around: Around) -> None:
        """Move to the end of the month."""
        u = self._rng.random((4, len(self._loyalty)))
        noise = self._rng.standard_normal((5, len(self._loyalty)))
        hours = (
            around.branch["hours"] * self._hours_factor * np.exp(0.1 * noise[0]) * around.factor_of("response_hours")
        )
        self._breaches.add(around.month, count_of(u[0], 0.15 * np.exp(0.05 * (hours - 24))))
        often = 0.035 * self._complains * np.exp(0.025 * (hours - 24)) * around.factor_of("complaints_12m")
        self._complaints.add(around.month, count_of(u[1], often))
        self._csat_deviation = 0.8 * self._csat_deviation + 0.18 * noise[1]
        self._survey(u[2] < _ASKED, hours, noise[2:4], around)
        latency = around.branch["latency"] * around.factor_of("latency_ms")
        crashes = 0.7 * np.exp(0.35 * self._uses_app) * around.factor_of("app_crashes_30d")
        self._completion = 0.8 * self._completion + 2.4 * noise[4]
        completion = 65 + 10 * self._uses_app + self._completion - 0.01 * (latency - 400)
        self.columns = {
            "response_hours": around.published("response_hours", hours, (0.5, 200), 1),
            "sla_breaches_90d": self._breaches.sum(),
            "complaints_12m": self._complaints.sum(),
            "csat": around.published("csat", self._csat, (1, 5), 1),
            "attitude_score": around.published("attitude_score", self._attitude, (1, 5), 1),
            "outage_minutes": around.branch["outage_minutes"],
            "latency_ms": np.round(latency).astype(np.int16),
            "app_crashes_30d": count_of(u[3], crashes).astype(np.int8),
            "digital_completion": around.published(
                "digital_completion", completion + around.shift_of("digital_completion"), (0, 100)
            ),
            "nps": around.published("nps", self._nps, (-100, 100)),
        }

    def _survey(self, asked: Floats, hours: Floats, noise: Floats, around: Around) -> None:
        """Ask some customers what they think."""
        csat = self._usual_csat + self._csat_deviation - 0.15 * np.minimum(self._complaints.sum(), 4)
        csat = csat - 0.012 * (hours - 24) + around.shift_of("csat")
        attitude = self._usual_attitude + 0.2 * around.branch["quality"] + 0.25 * noise[0]
        nps = 20 + 22 * self._loyalty + 18 * (csat - 3.9) + 14 * noise[1]
        self._csat = np.where(asked, csat, self._csat)
        self._attitude = np.where(asked, attitude + around.shift_of("attitude_score"), self._attitude)
        self._nps = np.where(asked, nps, self._nps)

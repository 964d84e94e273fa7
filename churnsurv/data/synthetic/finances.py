"""Finances of the customers: income, work, shocks, credit score, debt, late payments."""

from __future__ import annotations

import numpy as np

from churnsurv.data.synthetic.states import Around, Columns, Floats, Recent, chance

#: columns that a drift can shift
DRIFTING = ("credit_score", "debt_to_income", "income_change_12m")


class Finances:
    """State of the customers' finances; one latent credit quality stands behind score, debt, late payments and default.

    Work is lost where unemployment is high; a lost income and unexpected expenses make payments late, and late payments
    cost penalties and credit score. Who pays late for months on end then defaults far more often: the hazard says so.
    """

    def __init__(self, rng: np.random.Generator, quality: Floats) -> None:
        n = len(quality)
        self._rng, self._quality = rng, quality
        self._usual_score = 700 + 52 * quality
        self._usual_debt = 31 - 3 * quality + rng.normal(0, 7, n)
        self._score_deviation = rng.normal(0, 25, n)
        self._debt_deviation = rng.normal(0, 4, n)
        self._income = rng.normal(0, 6, n)
        self._unemployed = rng.random(n) < 0.03
        self._strain = np.zeros(n)
        self._months_since_expense = np.full(n, 99)
        self._stage = np.zeros(n, np.int64)
        self._past_due, self._penalties, self._fees = Recent(12, n), Recent(12, n), Recent(12, n)
        self._scores = Recent(6, n)
        self._scores.fill(np.clip(self._usual_score + self._score_deviation, 450, 850))
        self._score = self._scores.oldest(0)
        self._debt = self._usual_debt + self._debt_deviation
        self.columns: Columns = {}

    def advance(self, around: Around) -> None:
        """Move to the end of the month."""
        u = self._rng.random((7, len(self._quality)))
        noise = self._rng.standard_normal((3, len(self._quality)))
        self._work(u[0], noise[0], around)
        expense = u[1] < 0.014 + 0.05 * around.market["disaster"]
        self._months_since_expense = np.where(expense, 0, self._months_since_expense + 1)
        self._pay(u[2:5], around)
        charged = u[5] < np.clip(0.06 * np.exp((690.0 - self._score) / 150), 0, 0.5)
        self._fees.add(around.month, charged * (15 + (31 * u[6]).astype(np.int64)))
        self._borrow(noise[1], noise[2])
        self._publish(around)

    def _work(self, u: Floats, noise: Floats, around: Around) -> None:
        loses = 0.0045 * np.exp(0.18 * (around.market["unemployment_rate"] - 5.5) - 0.35 * self._quality)
        self._unemployed = np.where(self._unemployed, u > 0.12, u < loses)
        self._strain = 0.85 * self._strain + 0.15 * self._unemployed
        self._income = 0.92 * self._income + 2.3 * noise

    def _pay(self, u: Floats, around: Around) -> None:
        """Pay, or be late: every further month that is missed adds 30 days, until all is made good."""
        logit = -4.3 - 0.8 * self._quality + 2.5 * self._strain + 0.03 * (self._debt - 32)
        misses = u[0] < chance(logit + 0.9 * (self._months_since_expense < 3))
        late = self._stage > 0
        self._stage = np.where(late, np.where(u[1] < 0.5, 0, np.minimum(self._stage + 1, 4)), misses)
        late = self._stage > 0
        days = np.where(late, 30 * (self._stage - 1) + 1 + (29 * u[2]).astype(np.int64), 0)
        self._past_due.add(around.month, days)
        self._penalties.add(around.month, late * (12 + (12 * u[2]).astype(np.int64)))

    def _borrow(self, score_noise: Floats, debt_noise: Floats) -> None:
        self._score_deviation = 0.97 * self._score_deviation + 6.5 * score_noise - 8 * (self._stage > 0)
        self._debt_deviation = 0.95 * self._debt_deviation + 1.25 * debt_noise
        self._debt = self._usual_debt + self._debt_deviation + 12 * self._strain

    def _publish(self, around: Around) -> None:
        income = around.market["gdp_growth"] + self._income - 30 * self._strain
        before = self._scores.oldest(around.month)
        score = self._usual_score + self._score_deviation
        self._score = around.published("credit_score", score, (450, 850))
        self._scores.add(around.month, self._score)
        self.columns = {
            "fees_12m": self._fees.sum(),
            "penalties_12m": self._penalties.sum(),
            "income_change_12m": around.published("income_change_12m", income, (-90, 90)),
            "unemployed": self._unemployed.astype(np.int8),
            "expense_shock_3m": (self._months_since_expense < 3).astype(np.int8),
            "credit_score": self._score,
            "credit_score_change_6m": self._score - before,
            "debt_to_income": around.published("debt_to_income", self._debt, (2, 90), 1),
            "days_past_due_max_12m": self._past_due.max(),
        }

"""R's ``concordance``, of a formula or of Cox fits, computed with churnsurv."""

from __future__ import annotations

import itertools
import warnings
from functools import cached_property
from typing import Any

import numpy as np

import churnsurv as cs
from churnsurv.exceptions import SmallSampleWarning
from churnsurv.metrics.discrimination import ComparedPairs, read_pairs
from tests.oracle_r.formula import ModelFrame, outcome_of
from tests.oracle_r.values import Later, Outside, Pack, Record, settled

COUNTS = ("concordant", "discordant", "tied.x", "tied.y", "tied.xy")


class Concordance(Record):
    """The concordance of one score, or of several with their covariance."""

    def __init__(
        self,
        frame: ModelFrame,
        scores: list[np.ndarray],
        weighting: str = "n",
        tau: float | None = None,
        cluster: np.ndarray | None = None,
        sign: float = 1.0,
    ) -> None:
        self.frame, self.scores, self.weighting, self.tau = frame, [sign * score for score in scores], weighting, tau
        self.cluster = cluster if cluster is not None else frame.extra.get("cluster")

    @cached_property
    def outcome(self) -> cs.Outcome:
        """Give the outcome; every row is a subject of its own, as R takes it."""
        return outcome_of(self.frame.response)

    @property
    def weight(self) -> np.ndarray:
        """Give the weights."""
        return np.asarray(self.frame.extra.get("weights", np.ones(len(self.outcome))), dtype=float)

    @property
    def options(self) -> dict[str, Any]:
        """Give the options of churnsurv's functions."""
        return {"weighting": self.weighting, "tau": self.tau, "cluster": self.cluster, "strata": self.frame.strata}

    @cached_property
    def estimates(self) -> list[cs.Estimate]:
        """Give churnsurv's estimate of each score."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            return [
                cs.metrics.concordance_index(self.outcome, score, sample_weight=self.weight, **self.options)
                for score in self.scores
            ]

    @cached_property
    def stratum(self) -> np.ndarray:
        """Give the strata as codes."""
        strata = self.frame.strata
        return np.zeros(len(self.outcome), int) if strata is None else np.unique(strata, return_inverse=True)[1]

    def laid_out(self, rows: np.ndarray) -> ComparedPairs:
        """Give the comparable pairs of some rows."""
        return read_pairs(self.outcome[rows], None, self.tau, self.weighting, None, self.weight[rows], None, None)

    def counts(self) -> np.ndarray:
        """Give R's counts by stratum, (strata, 5); pairs of events at one time are none here, and are counted for R."""
        found = []
        for s in range(self.stratum.max() + 1):
            rows = np.flatnonzero(self.stratum == s)
            compared = self.laid_out(rows)
            pairs = compared.pairs(compared.score(self.scores[0][rows], "risk"))
            tied = pairs.comparable - pairs.concordant - pairs.discordant
            found.append([pairs.concordant, pairs.discordant, tied, *self._tied_events(compared, rows)])
        return np.array(found)

    def _tied_events(self, compared: ComparedPairs, rows: np.ndarray) -> tuple[float, float]:
        """Give the weight of pairs of events at one time: of unequal and of equal scores."""
        weight, score = compared.judged.weight, self.scores[0][rows][compared.judged.rows]
        apart = alike = 0.0
        for number, factor in enumerate(compared.time_weight):
            here = np.flatnonzero(compared.death == number)
            for k, i in enumerate(here):
                same = score[here[:k]] == score[i]
                both = factor * weight[i] * weight[here[:k]]
                alike += both[same].sum()
                apart += both[~same].sum()
        return apart, alike

    def covariance(self) -> np.ndarray:
        """Give the covariance of the scores' concordances, from the errors of their differences."""
        variance = np.array([estimate.se**2 for estimate in self.estimates])
        between = np.zeros((len(variance), len(variance)))
        for i, j in itertools.combinations(range(len(variance)), 2):
            difference = cs.metrics.concordance_difference(
                self.outcome, self.scores[i], self.scores[j], sample_weight=self.weight, **self.options
            )
            between[i, j] = between[j, i] = difference.se**2
        return (variance[:, None] + variance - between) / 2

    def component(self, name: str) -> Any:
        """Give a component as R names it."""
        one = len(self.scores) == 1
        quantity = {
            "concordance": lambda: np.array([estimate.value for estimate in self.estimates]),
            "var": lambda: np.array([self.estimates[0].se ** 2]) if one else self.covariance(),
            "n": lambda: np.array([len(self.outcome)]),
        }.get(name)
        return Outside(f"outside the scope: ${name} of a concordance") if quantity is None else Later(quantity)


def of_fits(fits: list[Any]) -> Concordance:
    """Give the concordance of Cox fits to the same rows: of their linear predictors."""
    scores = []
    for fit in fits:
        away = fit.design.to_numpy(float) @ fit.model.coef_.fillna(0.0).to_numpy()
        offset = 0.0 if fit.frame.offset is None else np.asarray(fit.frame.offset, dtype=float)
        # rows of equal covariates stay tied, whatever the rounding of products
        scores.append(np.round(away + offset, 9))
    return Concordance(fits[0].frame, scores)


def reading(found: Any, read: Any) -> Later:
    """Read something of a concordance when it is asked for."""
    return Later(lambda: read(settled(found)))


def named_counts(counts: np.ndarray) -> Any:
    return dict(zip(COUNTS, counts[0], strict=True)) if len(counts) == 1 else counts


def fit_pack(fit: Any) -> Pack:
    """Give what a Cox fit of R holds of its concordance."""
    found = Later(lambda: of_fits([fit]))
    values: dict[str, Any] = {
        name: reading(found, lambda c, k=k: c.counts()[:, k].sum()) for k, name in enumerate(COUNTS)
    }
    values["concordance"] = reading(found, lambda c: c.estimates[0].value)
    values["std"] = reading(found, lambda c: c.estimates[0].se)
    return Pack("concordance", values)

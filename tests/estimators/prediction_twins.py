"""Predictions of a Cox model and their variance by loops over rows and event times: what the fast ones are compared with."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

import churnsurv as cs


@dataclass
class Sample:
    """Rows of one cause with everything that a fit may have."""

    X: pd.DataFrame
    start: np.ndarray | None
    stop: np.ndarray
    event: np.ndarray
    stratum: np.ndarray | None = None
    weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def fit(self, **options):
        cluster = options.pop("cluster", None)
        y = cs.Outcome(self.stop, self.event, start=self.start)
        return cs.CoxPH(**options).fit(
            self.X, y, strata=self.stratum, sample_weight=self.weight, offset=self.offset, cluster=cluster
        )


def sample(seed, n=120, late=True, strata=True, weights=True, offset=False, grid=1.0):
    """Months with many ties, late entry, strata, weights that are no whole numbers."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"rate": rng.normal(0.5, 1, n), "score": rng.normal(650, 60, n), "branch": rng.integers(0, 2, n)})
    hazard = 0.08 * np.exp(0.5 * X["rate"] + 0.3 * X["branch"])
    start = rng.integers(0, 8, n) * grid if late else None
    stop = (0 if start is None else start) + rng.geometric(np.clip(hazard, 0, 0.9)) * grid
    return Sample(
        X,
        start,
        stop,
        rng.choice([0, 1], n, p=[0.3, 0.7]),
        rng.choice(["east", "west"], n) if strata else None,
        rng.uniform(0.5, 2, n) if weights else None,
        rng.normal(0, 0.3, n) if offset else None,
    )


def steps_of(s, beta, ties, label):
    """Give, for each tied death of a stratum in order of time: time, hazard, variance, mean covariates."""
    x = s.X.to_numpy(dtype=float)
    n = len(x)
    start = np.full(n, -np.inf) if s.start is None else s.start
    weight = np.ones(n) if s.weight is None else s.weight
    eta = x @ beta + (0 if s.offset is None else s.offset)
    r = weight * np.exp(eta)
    mine = np.ones(n, bool) if s.stratum is None else s.stratum == label
    for t in np.unique(s.stop[(s.event == 1) & mine]):
        risk = mine & (start < t) & (t <= s.stop)
        dead = mine & (s.event == 1) & (s.stop == t)
        d = dead.sum()
        for k in range(d):
            f = k / d if ties == "efron" else 0.0
            s0 = r[risk].sum() - f * r[dead].sum()
            s1 = r[risk] @ x[risk] - f * (r[dead] @ x[dead])
            w = weight[dead].mean()
            yield t, w / s0, w / s0**2, s1 / s0


def path_twin(s, model, pieces, time, offset=0.0):
    """Cumulative hazard at `time` along pieces (x, start, stop, label), its variance, and c."""
    beta, V = model.coef_.to_numpy(), model.covariance_.to_numpy()
    hazard, variance, c = 0.0, 0.0, np.zeros(len(beta))
    for x, start, stop, label in pieces:
        x = np.asarray(x, dtype=float)
        r = np.exp(x @ beta + offset)
        for t, step, spread, mean in steps_of(s, beta, model.ties, label):
            if start < t <= min(stop, time):
                hazard += r * step
                variance += r**2 * spread
                c += r * (x - mean) * step
    return hazard, variance + c @ V @ c, c

"""Slow, obviously correct twins of the Fine–Gray model: row expansion, and derivatives by the rows' weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

import churnsurv as cs

CAUSES = ("attrition", "default")


def data(
    seed: int, n: int = 80, *, entry: bool = False, months: bool = True, rates: tuple[float, float] = (0.05, 0.05)
):
    """Simulate covariates and an outcome with two causes, censoring, and (asked for) late entry and monthly ties."""
    rng = np.random.default_rng(seed)
    x = pd.DataFrame({"a": rng.normal(size=n), "b": rng.integers(0, 2, n).astype(float)})
    hazard = np.column_stack([rates[0] * np.exp(0.5 * x["a"]), rates[1] * np.exp(-0.4 * x["b"])])
    time = rng.exponential(1 / hazard.sum(axis=1))
    cause = np.where(rng.uniform(size=n) < hazard[:, 0] / hazard.sum(axis=1), 1, 2)
    start = rng.uniform(0, 6, n) * (rng.uniform(size=n) < 0.7) if entry else np.zeros(n)
    if months:
        start = np.floor(start)
        time = np.ceil(time)
    time = start + time
    censored = start + (np.ceil(rng.uniform(1, 20, n)) if months else rng.uniform(1, 20, n))
    event = np.where(time <= censored, cause, 0)
    return x, cs.Outcome(np.minimum(time, censored), event, start=start if entry else None, causes=CAUSES)


def observation(y: cs.Outcome, weight: np.ndarray) -> Callable[[float, float], float]:
    """Give A(t) / A(since), a function of both, by the definition: factors of censoring and of entry at every time."""
    times = np.unique(np.concatenate((y.stop, y.start)))
    factors = []
    for v in times:
        at_risk = weight[(y.entry < v) & (y.stop >= v) & ~((y.stop == v) & (y.event > 0))].sum()
        censored = weight[(y.stop == v) & (y.event == 0)].sum()
        entered = weight[(y.entry == v)].sum()
        around = weight[(y.entry <= v) & (y.stop > v)].sum()
        factors.append(
            (1 - censored / at_risk if censored else 1.0) / (1 - entered / around if entered < around else 1.0)
        )
    product = np.array(factors)
    return lambda t, since: float(np.prod(product[(times >= since) & (times < t)]))


def expanded(
    x: pd.DataFrame, y: cs.Outcome, cause: str, weight: np.ndarray | None = None, group: np.ndarray | None = None
) -> tuple[pd.DataFrame, cs.Outcome, np.ndarray, np.ndarray]:
    """Give the data set of R's ``finegray``: rows with competing exits go on, in pieces of constant weight.

    Returns covariates, outcome of the one cause, weights, and the row of the input each piece comes from.
    """
    weight = np.ones(len(y)) if weight is None else weight
    group = np.zeros(len(y), dtype=int) if group is None else group
    code = y.cause_code(cause)
    events = np.unique(y.stop[y.event == code])
    source, start, stop, event, weights = [], [], [], [], []
    factor = {label: observation(y[group == label], weight[group == label]) for label in np.unique(group)}

    def piece(i: int, begin: float, end: float, has: bool, w: float) -> None:
        for column, value in zip((source, start, stop, event, weights), (i, begin, end, int(has), w), strict=True):
            column.append(value)

    for i in range(len(y)):
        piece(i, max(y.entry[i], -1.0), y.stop[i], y.event[i] == code, weight[i])
        if y.event[i] in (0, code):
            continue
        begin = y.stop[i]
        for t in events[events > y.stop[i]]:
            w = factor[group[i]](t, y.stop[i])
            if w > 0:
                piece(i, begin, t, False, w * weight[i])
            begin = t
    # times are moved by one so that a closed origin has room before it
    outcome = cs.Outcome(np.array(stop) + 1, np.array(event), start=np.array(start) + 1, causes=(cause,))
    rows = np.array(source)
    return x.iloc[rows].reset_index(drop=True), outcome, np.array(weights), rows


def influence(x: pd.DataFrame, y: cs.Outcome, quantity, weight: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Differentiate quantity(weights) numerically by each row's weight, times that weight, (n, …)."""
    found = []
    for i in range(len(y)):
        ends = []
        for sign in (1, -1):
            moved = weight.copy()
            moved[i] *= 1 + sign * step
            ends.append(np.asarray(quantity(moved)))
        found.append((ends[0] - ends[1]) / (2 * step))
    return np.array(found)

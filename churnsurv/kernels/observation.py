r"""How observation starts and ends: product-limit weights of rows that left by a competing cause.

Such a row would have stayed under observation until censored, and one like it could have entered late. At t > T it counts
:math:`A(t) / A(T)`, :math:`A(t) = G(t-) H(t-)`, with G the Kaplan–Meier estimator of remaining uncensored (Fine & Gray 1999)
and H the reverse-time product-limit estimator of having entered (Geskus 2011). Up to a constant

.. math:: A(t) = \prod_{v < t} \frac{1 - c_v / Y_v}{1 - e_v / R_v}

over the times v with c censorings among Y at risk of it (entry < v ≤ stop) and e entries among R at risk (start ≤ v < stop).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Spells(NamedTuple):
    """Rows under observation on (entry, stop], each (n,)."""

    entry: Floats  #: −∞: from the closed origin
    stop: Floats
    weight: Floats
    exits: Bools  #: the row ends by any cause
    first: Bools  #: the subject's observation begins here
    censored: Bools  #: the subject's observation ends here, without exit
    group: Ints  #: of the censoring distribution

    def rows(self, chosen: Any) -> Spells:
        """Give some rows."""
        return Spells._make(part[chosen] for part in self)


class Steps(NamedTuple):
    """Steps of A in one group, each (V,): time, the two hazards and the weights at risk less those that have the event.

    broken: times at which everybody at risk was censored though others were watched later, or before which nobody was
    watched: the product does not pass them, and no row may be weighted across.
    """

    time: Floats
    censoring: Floats
    uncensored: Floats
    entry: Floats
    unentered: Floats
    broken: Floats
    after: bool

    def weight_at(self, times: Floats) -> Floats:
        """Give A at the times, left limits."""
        with np.errstate(divide="ignore"):
            factor = (1 - self.censoring) / (1 - self.entry)
        factor[np.isin(self.time, self.broken)] = 1.0
        return np.concatenate(([1.0], np.cumprod(factor)))[np.searchsorted(self.time, times)]


def observation_steps(rows: Spells, after: bool) -> Steps:
    """Estimate the steps of A from the rows of one group; `after`: at a tie exits come before censorings.

    Otherwise exits at a time are at risk of being censored there, as in cmprsk's ``crr``. O(n log n).
    """
    counts = rows.weight > 0
    if not counts.all():
        rows = rows.rows(counts)
    censored, entered = rows.censored, rows.first & np.isfinite(rows.entry)
    time = np.unique(np.concatenate((rows.stop[censored], rows.entry[entered])))

    def at(values: Floats, chosen: Bools) -> Floats:
        where = np.searchsorted(time, values[chosen])
        inside = (where < len(time)) & (time[np.minimum(where, len(time) - 1)] == values[chosen])
        return np.bincount(where[inside], rows.weight[chosen][inside], len(time)).astype(np.float64)

    def beyond(values: Floats, side: str) -> Floats:
        # weight of rows whose value is ≥ (side "left") or > the step
        order = np.argsort(values, kind="stable")
        total = np.concatenate((np.cumsum(rows.weight[order][::-1])[::-1], [0.0]))
        return np.asarray(total[np.searchsorted(values[order], time, side=side)])  # type: ignore[call-overload]

    if not len(time):
        empty = np.zeros(0)
        return Steps(empty, empty, empty, empty, empty, empty, after)
    n_censored, n_entered = at(rows.stop, censored), at(rows.entry, entered)
    at_risk = beyond(rows.stop, "left") - beyond(rows.entry, "left")
    if after:
        at_risk -= at(rows.stop, rows.exits)
    entry_risk = beyond(rows.stop, "right") - beyond(rows.entry, "right")
    censoring, uncensored = _shares(n_censored, at_risk)
    entry, unentered = _shares(n_entered, entry_risk)
    # before the very first entry there is nobody to weight; after the group's last time nobody is left
    entry[(entry == 1) & (time <= rows.entry.min())] = 0.0
    ended = (censoring == 1) & (time < rows.stop.max())
    broken = time[ended | (entry == 1)]
    return Steps(time, censoring, uncensored if after else at_risk, entry, unentered, broken, after)


def _shares(n: Floats, at_risk: Floats) -> tuple[Floats, Floats]:
    """Give n / at risk and the rest; sums of fractional weights need not cancel to exactly 0."""
    share = np.divide(n, at_risk, out=np.zeros(len(n)), where=n > 0)
    share[share > 1 - 1e-12] = 1.0
    return share, np.where(share == 1, 0.0, at_risk - n)


def observation_influence(rows: Spells, steps: Steps, kappa: Floats) -> Floats:
    r"""Give each row's influence on a sum of weighted terms, through the estimation of A, (n, p).

    With κ(v) (V, p) minus the derivative of the sum by log A beyond v, a row has
    :math:`w \sum_v \kappa_v \{dM^c(v) / (Y_v - c_v) - dM^e(v) / (R_v - e_v)\}`, its martingale increments of censoring and
    entry; without the subtrahends Fine and Gray's (1999) ψ.
    """
    out = np.zeros((len(rows.stop), kappa.shape[1]))

    def add(sign: float, hazard: Floats, rest: Floats, had: Bools, when: Floats, low: Ints, high: Ints) -> None:
        scaled = sign * kappa * np.divide(1.0, rest, out=np.zeros(len(rest)), where=rest > 0)[:, None]
        running = np.concatenate((np.zeros((1, kappa.shape[1])), np.cumsum(scaled * hazard[:, None], axis=0)))
        jump = np.where(had, position(when, "left"), -1)
        _add_martingale(out, rows.weight, scaled, running, jump, low, np.maximum(high, low))

    def position(values: Floats, side: str) -> Ints:
        return np.searchsorted(steps.time, values, side=side)  # type: ignore[call-overload, no-any-return]

    until = position(rows.stop, "right")
    if steps.after:
        until = np.where(rows.exits, position(rows.stop, "left"), until)
    add(1.0, steps.censoring, steps.uncensored, rows.censored, rows.stop, position(rows.entry, "right"), until)
    if np.isfinite(rows.entry).any():
        entered = rows.first & np.isfinite(rows.entry)
        low, high = position(rows.entry, "left"), position(rows.stop, "left")
        add(-1.0, steps.entry, steps.unentered, entered, rows.entry, low, high)
    return out


@njit(cache=True, nogil=True)
def _add_martingale(out, weight, scaled, running, jump, low, high):  # type: ignore[no-untyped-def]
    for i in range(len(weight)):
        row, before, after = out[i], running[low[i]], running[high[i]]
        for j in range(len(row)):
            row[j] += weight[i] * (before[j] - after[j])
        if jump[i] >= 0:
            now = scaled[jump[i]]
            for j in range(len(row)):
                row[j] += weight[i] * now[j]

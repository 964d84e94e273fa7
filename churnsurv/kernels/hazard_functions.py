"""Risks and restricted times as functions of the hazards' increments, with the influence of each row on them.

Notation as in :mod:`churnsurv.kernels.nonparametric`: h_m(s) = d_m(s)/n(s), h = Σ h_m. A number θ that is a smooth function
of the increments, with g_m(s) = ∂θ/∂h_m(s), moves with a row of weight w, at risk on (a, b], by

    w Σ_{a < s ≤ b} Σ_m g_m(s) (dN_m(s) − h_m(s)) / n(s)

(the infinitesimal jackknife; Andersen, Borgan, Gill & Keiding 1993, II.8 and IV.4). O(n + K T).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from churnsurv.kernels.nonparametric import RiskTable, before
from churnsurv.kernels.times import Floats, Ints, steps_until


def hazards(table: RiskTable) -> Floats:
    """Give the increments h_m(s), (K, T)."""
    return np.asarray(table.n_event / table.n_risk)


def risk_or_time_lost(
    table: RiskTable, survival: Floats, counts: NDArray[np.bool_], end: float, *, area: bool
) -> tuple[float, Floats]:
    """Give Σ_{s ≤ end} v(s) S(s−) h_c(s), with h_c the hazard of the causes that count, and its gradient (K, T).

    v = 1 gives the cumulative incidence at `end`; v(s) = end − s (`area`) the area under it, the time lost up to `end`.
    With A(t) the sum up to t, g_m(s) = v(s) S(s−) 1(m counts) − (A(end) − A(s)) / (1 − h(s)): a leaving at s adds its own
    part and takes from all later ones their share. `counts` is (K,).
    """
    upto = int(steps_until(table.times, np.array(end)))
    h = hazards(table)
    v = np.maximum(end - table.times, 0.0) if area else np.ones(len(table.times))
    v[upto:] = 0.0
    reached = v * before(survival, 1.0)
    total = np.cumsum(reached * h[counts].sum(axis=0))
    if not len(total):
        return 0.0, np.zeros_like(h)
    # where everybody leaves nothing follows: A(end) - A(s) is 0
    stays = np.where(table.emptied, 1.0, 1 - h.sum(axis=0))
    later = np.where(table.emptied, 0.0, (total[-1] - total) / stays)
    slopes = reached * counts[:, None] - later
    slopes[:, upto:] = 0.0
    return float(total[-1]), slopes


def row_influence(table: RiskTable, slopes: Floats, event: Ints, weight: Floats) -> Floats:
    """Give the influence of each row on the number with the gradient `slopes` (K, T); (n,)."""
    steps = (slopes * hazards(table)).sum(axis=0) / table.n_risk
    expected = np.concatenate(([0.0], np.cumsum(steps)))
    influence = expected[table.entry_at + 1] - expected[table.exit_at + 1]
    leaves = np.flatnonzero(event > 0)
    at = table.exit_at[leaves]
    influence[leaves] += slopes[event[leaves] - 1, at] / table.n_risk[at]
    return np.asarray(weight * influence)


def multinomial_variance(table: RiskTable, slopes: Floats) -> float:
    """Give Σ_s (Σ_m g_m² h_m − (Σ_m g_m h_m)²)/n: leavings by cause are multinomial given n (one cause: Greenwood's)."""
    h = hazards(table)
    return float(np.sum(((slopes**2 * h).sum(axis=0) - (slopes * h).sum(axis=0) ** 2) / table.n_risk))


def shifted_risk(table: RiskTable, cause: int, delta: float, end: float) -> tuple[float, Floats]:
    """Give the risk of a cause when its hazard is multiplied by `delta` after censoring, and its gradient (K + 1, T).

    The last of the table's K + 1 kinds of event is the censoring at issue. Three states: watched (P0), censored and still a
    customer (P1), left. From P1 the cause takes 1 − (1 − h)^δ at each step (grouped proportional hazards), the other causes
    what they take from P0. Censoring follows the leavings of its time, so its risk set is n − d. With δ = 1 the
    sum P0 + P1 is Kaplan–Meier's curve. The gradient is by the adjoint recursion, from the last step to the first.
    """
    upto = int(steps_until(table.times, np.array(end)))
    h = hazards(table)[:-1, :upto]
    total = h.sum(axis=0)
    n = _left_to_censor(table)[:upto]
    c = np.divide(table.n_event[-1, :upto], n, out=np.zeros(upto), where=n > 0)
    shifted = 1 - (1 - h[cause]) ** delta
    leaves = np.minimum(shifted + total - h[cause], 1.0)
    watched, censored, risk = np.empty(upto), np.empty(upto), 0.0
    p0, p1 = 1.0, 0.0
    for s in range(upto):
        watched[s], censored[s] = p0, p1
        risk += p0 * h[cause, s] + p1 * shifted[s]
        stays = p0 * (1 - total[s])
        p0, p1 = stays * (1 - c[s]), p1 * (1 - leaves[s]) + stays * c[s]
    a0, a1 = _adjoints(h[cause], total, c, shifted, leaves)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(h[cause] < 1, delta * (1 - h[cause]) ** (delta - 1), 0.0)
    open_end = leaves < 1
    slopes = np.zeros((len(table.n_event), len(table.times)))
    slopes[:-1, :upto] = -a0 * watched * (1 - c) - a1 * (censored * open_end + watched * c)
    slopes[cause, :upto] += watched + slope * censored + a1 * censored * open_end * (1 - slope)
    slopes[-1, :upto] = (a1 - a0) * watched * (1 - total)
    return float(risk), slopes


def _adjoints(own: Floats, total: Floats, c: Floats, shifted: Floats, leaves: Floats) -> tuple[Floats, Floats]:
    """Give how the final risk moves with P0 and P1 after each step."""
    a0, a1 = np.zeros(len(own)), np.zeros(len(own))
    for s in range(len(own) - 1, 0, -1):
        stays = 1 - total[s]
        a0[s - 1] = own[s] + stays * ((1 - c[s]) * a0[s] + c[s] * a1[s])
        a1[s - 1] = shifted[s] + (1 - leaves[s]) * a1[s]
    return a0, a1


def shifted_influence(table: RiskTable, slopes: Floats, event: Ints, weight: Floats) -> Floats:
    """Give the influence of each row on :func:`shifted_risk`, (n,); `event` codes the censoring at issue as the last."""
    leaving = table._replace(n_event=table.n_event[:-1])
    last = len(table.n_event)
    influence = row_influence(leaving, slopes[:-1], np.where(event == last, 0, event), weight)
    n = _left_to_censor(table)
    per_head = np.divide(slopes[-1], n, out=np.zeros(len(n)), where=n > 0)
    steps = per_head * np.divide(table.n_event[-1], n, out=np.zeros(len(n)), where=n > 0)
    expected = np.concatenate(([0.0], np.cumsum(steps)))
    own = expected[table.entry_at + 1] - expected[table.exit_at + 1]
    ends = event > 0
    at = table.exit_at[ends]
    # who leaves at a time is no longer there to be censored at it
    own[ends] += np.where(event[ends] == last, per_head[at], steps[at])
    return np.asarray(influence + weight * own)


def _left_to_censor(table: RiskTable) -> Floats:
    n = table.n_risk - table.n_event[:-1].sum(axis=0)
    return np.where(n > 1e-9 * table.n_risk, n, 0.0)

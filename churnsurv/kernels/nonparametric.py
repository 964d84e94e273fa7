"""Risk sets, survival and cumulative incidence of one group, with their variances, in linear time after sorting.

Notation: at a distinct time t, n(t) is the weight at risk (entry < t ≤ stop), d_k(t) the weight leaving by cause k, d = Σ d_k,
S the survival, F_k the cumulative incidence. Influence functions follow the infinitesimal jackknife (Therneau & Grambsch
2000, ch. 7; Aalen, Borgan & Gjessing 2008, ch. 3): the derivative of the estimate with respect to a row's weight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from churnsurv.kernels.times import Floats, Ints, count_up_to

CONF_TYPES = ("log", "log-log", "plain", "logit", "arcsin")


class RiskTable(NamedTuple):
    """Risk sets at the distinct times; T times, n rows, K causes."""

    times: Floats  #: (T,) increasing: times at which somebody leaves or is censored
    n_risk: Floats  #: (T,) weight at risk
    n_event: Floats  #: (K, T) weight leaving by each cause
    n_censored: Floats  #: (T,) weight whose observation ends without event
    event_rows: Ints  #: (T,) number of rows with an event
    emptied: NDArray[np.bool_]  #: (T,) everybody at risk has the event
    entry_at: Ints  #: (n,) position of the last time ≤ entry, -1 if none
    exit_at: Ints  #: (n,) position of the last time ≤ stop: at risk at positions entry_at + 1 … exit_at

    def columns(self) -> dict[str, Floats]:
        """Give the counts over causes as columns of a table."""
        return {
            "time": self.times,
            "n_risk": self.n_risk,
            "n_event": self.n_event.sum(axis=0),
            "n_censored": self.n_censored,
        }


def first_age_at_risk(entry: Floats, stop: Floats, least: int, earliest: float) -> float:
    """Give the first age ≥ `earliest` right after which at least `least` rows are at risk; NaN if there is none.

    Rows with entry −∞ are at risk from 0, included. O(n log n).
    """
    ages = np.unique(np.maximum(np.where(np.isinf(entry), 0.0, entry), earliest))
    at_risk = np.searchsorted(np.sort(entry), ages, side="right") - np.searchsorted(np.sort(stop), ages, side="right")
    closed = np.isinf(entry) & (stop == 0)  # at risk at 0 itself, the closed origin
    at_risk = at_risk + np.count_nonzero(closed) * (ages == 0)
    enough = np.flatnonzero(at_risk >= least)
    return float(ages[enough[0]]) if len(enough) else np.nan


def risk_table(
    entry: Floats, stop: Floats, event: Ints, weight: Floats, n_causes: int, continued: NDArray[np.bool_]
) -> RiskTable:
    """Count who is at risk, leaves and is censored at each time.

    Parameters
    ----------
    entry, stop : (n,) at risk on (entry, stop]
    event : (n,) 0 censored, 1…K
    weight : (n,) positive
    n_causes : K
    continued : (n,) the subject's next row begins where this one stops, so that this end is no censoring and no time

    Returns
    -------
    RiskTable; O(n log n), no order of rows required
    """
    times = np.unique(stop[~continued])
    size = len(times)
    exit_at = count_up_to(times, stop) - 1
    entry_at = count_up_to(times, entry) - 1

    def counted(at: Ints, values: Floats | None = None) -> Floats:
        return np.bincount(at, weights=values, minlength=size).astype(np.float64)

    def at_risk(values: Floats | None = None) -> Floats:
        # from the right, so that the small late risk sets are not differences of large sums;
        # a position of -1 is moved behind the last time, where it is dropped
        ends = np.where(exit_at < 0, size, exit_at), np.where(entry_at < 0, size, entry_at)
        later = [np.bincount(e, weights=values, minlength=size + 1)[:size][::-1].cumsum()[::-1] for e in ends]
        return np.asarray(later[0] - later[1], dtype=np.float64)

    left = event > 0
    equal = bool(np.all(weight == 1))
    values = None if equal else weight
    where = (event - 1) * size + exit_at
    by_cause = np.bincount(where[left], weights=None if equal else weight[left], minlength=n_causes * size)
    n_event = by_cause.reshape(n_causes, size).astype(np.float64)
    event_rows = np.bincount(exit_at[left], minlength=size)
    ended = ~left & ~continued
    return RiskTable(
        times=times,
        n_risk=at_risk(values),
        n_event=n_event,
        n_censored=counted(exit_at[ended], None if equal else weight[ended]),
        event_rows=event_rows,
        # counted in rows: sums of fractional weights need not cancel to exactly 0
        emptied=event_rows == at_risk(),
        entry_at=entry_at,
        exit_at=exit_at,
    )


class LogSurvival(NamedTuple):
    """Survival with what the variance of its logarithm is made of, each (T,)."""

    survival: Floats
    variance_steps: Floats  #: increments of Var(log S); their sum is also the compensator of the influence
    event_influence: Floats  #: fall of log S per unit of weight that has the event


def kaplan_meier(table: RiskTable) -> LogSurvival:
    """S = Π (1 − d/n) with Greenwood's Σ d/(n (n − d)); steps to S = 0 carry no variance (it is not defined there)."""
    n, d = table.n_risk, table.n_event.sum(axis=0)
    remaining = np.where(table.emptied, np.inf, n - d)
    factors = np.where(table.emptied, 0.0, 1 - d / n)
    return LogSurvival(np.asarray(np.cumprod(factors)), d / (n * remaining), 1 / remaining)


def nelson_aalen(table: RiskTable) -> LogSurvival:
    """S = exp(−Σ d/n) with the variance Σ d/n² of the cumulative hazard (Aalen 1978)."""
    n, d = table.n_risk, table.n_event.sum(axis=0)
    return LogSurvival(np.exp(-np.cumsum(d / n)), d / n**2, 1 / n)


def cumulative_incidence(table: RiskTable, survival: Floats) -> Floats:
    """F_k(t) = Σ_{s ≤ t} S(s−) d_k(s)/n(s) (Aalen & Johansen 1978), (K, T)."""
    # rounding of the sum may pass 1 where everybody has left
    return np.minimum(np.cumsum(before(survival, 1.0) * table.n_event / table.n_risk, axis=1), 1.0)


def before(values: Floats, first: float) -> Floats:
    """Give the left limits of right-continuous steps (T,), `first` before the first time."""
    return np.concatenate(([first], values[:-1]))


def delta_variance(table: RiskTable, survival: Floats, incidence: Floats, *, multinomial: bool) -> Floats:
    """Delta-method variance of each cumulative incidence, (K, T), from the variances of the hazards' increments.

    F_k(t) moves with the hazard of cause k at s by x − y F_k(t), x = S(s−) + y F_k(s), y = 1/(1 − h(s)), and with that of the
    other causes together by the same without S(s−). `multinomial`: the leavings by cause are multinomial given n, so that
    with one cause it is Greenwood's formula. Else they are independent (Aalen 1978), m tied leavings among n giving
    m/n² (1 − (m − 1)/(n − 1)). Squares are expanded in F_k(t), so that cumulated sums suffice. O(K T).
    """
    n, d = table.n_risk, table.n_event.sum(axis=0)
    y = np.where(table.emptied, 0.0, 1 / np.where(table.emptied, 1.0, 1 - d / n))
    result = np.empty_like(incidence)

    for k, f in enumerate(incidence):
        own, others = table.n_event[k], d - table.n_event[k]
        x_own, x_others = y * f + before(survival, 1.0), y * f
        if multinomial:
            # Σ v x² − (Σ v x)² over the two kinds of leaving, v = m/n² and its n-th part
            x2 = (own * x_own**2 + others * x_others**2) / n**2 - (own * x_own + others * x_others) ** 2 / n**3
            xy = (own * x_own + others * x_others) * (1 / n**2 - d / n**3) * y
            y2 = (d / n**2 - d**2 / n**3) * y**2
        else:
            v_own, v_others = (m * (1 - np.maximum(m - 1, 0) / np.maximum(n - 1, 1)) / n**2 for m in (own, others))
            x2 = v_own * x_own**2 + v_others * x_others**2
            xy = (v_own * x_own + v_others * x_others) * y
            y2 = (v_own + v_others) * y**2
        result[k] = np.cumsum(x2) - 2 * f * np.cumsum(xy) + f**2 * np.cumsum(y2)
    return np.maximum(result, 0.0)


class Influence(NamedTuple):
    """How clusters move log S: by P + m·C(t), where (P, m) change twice per row; m changes, in time within cluster."""

    compensator: Floats  #: (T,) C, the cumulated `variance_steps`
    starts: Ints  #: position of each cluster's first change
    at: Ints  #: (2n,) position of the time from which the change holds, -1 before the first
    row: Ints  #: (2n,) 2i: row i enters, 2i + 1: row i leaves
    changes: tuple[Floats, Floats]  #: (2n,) of P and of m
    after: tuple[Floats, Floats]  #: (2n,) P and m of the cluster after the change
    moments: Floats  #: (2, 2, T) sums over clusters of P², P m, m²


def influence(table: RiskTable, fit: LogSurvival, event: Ints, weight: Floats, cluster: Ints) -> Influence:
    """Prepare the changes of the clusters' influence on log S.

    A row at risk over (a, b] with weight w moves log S(t) by w (C(t) − C(a)) while at risk, and by
    w (C(b) − C(a) − δ/(n(b) − d(b))) after: linear in C(t) with coefficients that change at a and at b only. So the
    variance Σ_c (P_c + m_c C(t))² needs the sums of P², P m, m² over clusters alone. O(n), plus sorting by cluster.
    """
    compensator = np.cumsum(fit.variance_steps)
    padded = np.concatenate(([0.0], compensator))
    p, m = (np.empty(2 * len(weight)) for _ in range(2))
    at = np.empty(2 * len(weight), dtype=np.int64)
    at[0::2], at[1::2] = table.entry_at, table.exit_at
    p[0::2] = -weight * padded[table.entry_at + 1]
    p[1::2] = weight * padded[table.exit_at + 1] - np.where(event > 0, weight * fit.event_influence[table.exit_at], 0.0)
    m[0::2], m[1::2] = weight, -weight
    owner, row = np.repeat(cluster, 2), np.arange(2 * len(weight))
    if np.any(cluster[1:] < cluster[:-1]) or np.any((cluster[1:] == cluster[:-1]) & (at[2::2] < at[1:-1:2])):
        order = np.lexsort((row, at, owner))
        owner, at, row, p, m = owner[order], at[order], row[order], p[order], m[order]
    starts = np.flatnonzero(np.concatenate(([True], owner[1:] != owner[:-1])))
    after = _cumulated_within(p, starts), _cumulated_within(m, starts)
    moments = np.empty((2, 2, len(table.times)))
    for i, j in ((0, 0), (0, 1), (1, 1)):
        moments[i, j] = moments[j, i] = _cumulated_products(
            after[i], (p, m)[i], after[j], (p, m)[j], at, moments.shape[2]
        )
    return Influence(compensator, starts, at, row, (p, m), after, moments)


def influence_moments(parts: Influence, f: Floats, g: Floats, jump: Floats | None = None) -> Floats:
    """Cumulate Σ_c s_a s_b over clusters for the states s = (Q, P, m) of an influence Q + P f(t) + m g(t), (3, 3, T).

    `f`, `g` (T,) are functions of time; Q keeps the influence continuous where P and m change, up to the `jump` (2n,)
    of rows that leave, in the order of `parts`. The variance at t is v' M(t) v with v = (1, f(t), g(t)).
    """
    (p, m), size = parts.changes, len(f)
    q = -p * np.concatenate(([0.0], f))[parts.at + 1] - m * np.concatenate(([0.0], g))[parts.at + 1]
    if jump is not None:
        q = q + jump
    q_after = _cumulated_within(q, parts.starts)
    moments = np.empty((3, 3, size))
    moments[1:, 1:] = parts.moments
    for j, (after, change) in enumerate(zip((q_after, *parts.after), (q, p, m), strict=True)):
        moments[0, j] = moments[j, 0] = _cumulated_products(q_after, q, after, change, parts.at, size)
    return moments


def _cumulated_within(values: Floats, starts: Ints) -> Floats:
    """Cumulate within the blocks that begin at `starts`; the sum is taken back at each start, so rounding stays local."""
    reset = values.copy()
    reset[starts[1:]] -= np.add.reduceat(values, starts)[:-1]
    return np.asarray(np.cumsum(reset))


def _cumulated_products(a: Floats, a_change: Floats, b: Floats, b_change: Floats, at: Ints, size: int) -> Floats:
    """Cumulate over time the changes of Σ a b, given both after each change and the change; (size,)."""
    change = a * b_change + (b - b_change) * a_change
    # what changes before the first time holds at it
    return np.asarray(np.cumsum(np.bincount(np.maximum(at, 0), weights=change, minlength=size)))


def quadratic(moments: Floats, *functions: Floats | float) -> Floats:
    """Give v' M(t) v for v = `functions`, at each time; rounding below 0 is cut."""
    r = range(len(functions))
    return np.asarray(np.maximum(sum(functions[a] * functions[b] * moments[a, b] for a in r for b in r), 0.0))


def robust_log_variance(parts: Influence) -> Floats:
    """Infinitesimal-jackknife variance of log S, clusters being the independent units, (T,)."""
    return quadratic(parts.moments, 1.0, parts.compensator)


def robust_incidence_variance(
    parts: Influence, table: RiskTable, survival: Floats, incidence: Floats, event: Ints, weight: Floats
) -> Floats:
    """Infinitesimal-jackknife variance of each cumulative incidence, (K, T).

    dF_k = S(s−) h_k moves with a row by S(s−) h_k (P + m C(s−)) + S(s−) w (dN_k − Y h_k)/n: with
    D_k(t) = Σ_{s ≤ t} (C(s−) − 1/n(s)) ΔF_k(s) the influence is Q + P F_k(t) + m D_k(t), Q jumping by w S(b−)/n(b) where
    the row leaves by cause k.
    """
    result = np.empty_like(incidence)
    survived = before(survival, 1.0)
    for k, f in enumerate(incidence):
        steps = np.diff(f, prepend=0.0)
        g = np.cumsum((before(parts.compensator, 0.0) - 1 / table.n_risk) * steps)
        per_row = np.zeros(2 * len(weight))
        leaves = event == k + 1
        at = table.exit_at[leaves]
        per_row[1::2][leaves] = weight[leaves] * survived[at] / table.n_risk[at]
        result[k] = quadratic(influence_moments(parts, f, g, per_row[parts.row]), 1.0, f, g)
    return result


def area_moments(parts: Influence, times: Floats, origin: float, survival: Floats) -> Floats:
    """Moments (see :func:`influence_moments`) of the influence on the area under S from the origin, (3, 3, T)."""
    return influence_moments(parts, *area_functions(times, origin, survival, parts.compensator))


def area_functions(times: Floats, origin: float, survival: Floats, compensator: Floats) -> tuple[Floats, Floats]:
    """Give ∫ S and ∫ S C from the origin to each time, the functions of the influence on the restricted mean."""
    lengths = np.diff(times, prepend=origin)
    return np.cumsum(before(survival, 1.0) * lengths), np.cumsum(before(survival * compensator, 0.0) * lengths)


def interval(estimate: Floats, se: Floats, level: float, conf_type: str) -> tuple[Floats, Floats]:
    """Give pointwise confidence bounds of probabilities, the transformed scale being `conf_type`.

    NaN where the transformation is not defined (0, and except for "log" and "plain" 1). Any shape.
    """
    z = float(ndtri((1 + level) / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(estimate == 0, np.nan, estimate)
        if conf_type == "plain":
            return np.maximum(estimate - z * se, 0.0), np.minimum(estimate + z * se, 1.0)
        if conf_type == "log":
            half = z * se / p
            return p * np.exp(-half), np.minimum(p * np.exp(half), 1.0)
        p = np.where(estimate == 1, np.nan, p)
        if conf_type == "log-log":
            half = z * se / (p * np.log(p))  # negative
            return p ** np.exp(-half), p ** np.exp(half)
        if conf_type == "logit":
            half, logit = z * se / (p * (1 - p)), np.log(p / (1 - p))
            return 1 / (1 + np.exp(half - logit)), 1 / (1 + np.exp(-half - logit))
        half, angle = z * se / (2 * np.sqrt(p * (1 - p))), np.arcsin(np.sqrt(p))
        return np.sin(np.maximum(angle - half, 0)) ** 2, np.sin(np.minimum(angle + half, np.pi / 2)) ** 2


def step_quantile(times: Floats, curve: Floats, share: float) -> float:
    """Give the time at which a falling step curve is at most 1 − `share`; midpoint where it is flat there, NaN if never."""
    target, tolerance = 1 - share, 1e-9
    reached = np.flatnonzero(curve <= target + tolerance)  # NaN compares as not reached
    if not len(reached):
        return np.nan
    first = reached[0]
    below = np.flatnonzero(curve < target - tolerance)
    if curve[first] >= target - tolerance and len(below):
        return float(times[first] + times[below[0]]) / 2
    return float(times[first])

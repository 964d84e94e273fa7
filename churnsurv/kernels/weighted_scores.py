"""Sums over rows weighted for censoring, at K horizons at once: squared errors, ranks of cases among controls, influence.

Row i counts at horizon k with w_i W_ik, W_ik = 1/G(t_k) while it is under observation beyond t_k, 1/G(T_i−) once it has left,
and 0 once it is censored (see churnsurv/metrics/ipcw.py). A score is a sum of **parts** of rows; to a part belong the row's own
influence and what it moves through the Kaplan–Meier of censoring: 1/Ĝ(s) moves by (1/G(s)) ∫_0^s dM(u)/Y(u) with M the
martingales of censoring and Y the weight at risk, so that a row moves the score by w_i ∫_0^{t_k} L_k(u)/Y(u) dM_i(u), L_k(u)
being the sum of the parts of rows beyond u. As in riskRegression (Gerds and Kattan 2021) Y counts who leaves at u, which
ties change by less than their share.

Rows are read in the order given: any for squared errors, ascending scores for ranks. Two or three readings of the rows,
O(n K) time, O(C K) memory for C times of censoring.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Rows(NamedTuple):
    """What is known of the rows, in the order in which they are read."""

    weight: Floats  #: (n,) w_i
    at_event: Floats  #: (n,) 1/G(T_i−) of who left by any cause, 0 of who was censored
    of_cause: NDArray[np.bool_]  #: (n,) whether an event is of the cause
    beyond: NDArray[np.int32]  #: (n,) number of horizons, in ascending order, beyond which the row is under observation
    passed: NDArray[np.int32]  #: (n,) number of times of censoring before the row's end
    reached: NDArray[np.int32]  #: (n,) number of those up to its end
    unit: Ints  #: (n,) the independent unit to whose influence the row's is added; (0,): every row is a unit


class Censorings(NamedTuple):
    """The distinct times of censoring; none where G is taken as known."""

    at_risk: Floats  #: (C,) weight whose end is not before each time
    hazard: Floats  #: (C,) weight censored there over `at_risk`
    within: Ints  #: (K,) number of times by each horizon


class Sums(NamedTuple):
    """A score at each horizon and its influence."""

    value: Floats  #: (K,)
    squares: Floats  #: (K,) sum of the squared influence of rows; 0 where units are given
    by_unit: Floats  #: (units, K) influence of the units; (1, K) zeros without units
    totals: Floats  #: (2, K) squared errors: weight known, of it left by the cause; ranks: weight of cases, of controls


def squared_errors(rows: Rows, at_horizon: Floats, risk: Floats, censorings: Censorings, n_units: int) -> Sums:
    """Average w W (1{left by the cause} − risk)² over the weight of all rows.

    at_horizon : (1, K) 1/G(t), or (n, K) where it differs by row
    risk : (n, K) or (1, K)
    """
    n_horizons, n_times = risk.shape[1], len(censorings.at_risk)
    part = np.empty(n_horizons)
    gone, staying = np.zeros((n_times + 1, n_horizons)), np.zeros(n_horizons)
    totals = np.zeros((2, n_horizons))
    weight = float(rows.weight.sum())
    value = np.zeros(n_horizons)
    _collect_errors(rows, at_horizon, risk, 1 / weight, part, gone, staying, totals, value)
    moved = _censoring_steps(gone, staying, censorings.at_risk, censorings.hazard, censorings.within)
    squares, by_unit = np.zeros(n_horizons), np.zeros((max(n_units, 1), n_horizons))
    _spread_errors(rows, at_horizon, risk, 1 / weight, value, part, gone, moved, squares, by_unit)
    return Sums(value, squares, by_unit, totals / weight)


def ranks(rows: Rows, at_horizon: Floats, score: Floats, censorings: Censorings, n_units: int) -> Sums:
    """Give the weighted share of pairs of a case and a control at each horizon in which the case has the higher score.

    at_horizon : (1, K) 1/G(t), or (n, K) where it differs by row
    score : (n,) ascending, as the rows; equal scores count one half

    NaN where there is no case or no control; their weights are in `totals`.
    """
    n_horizons, n_times = at_horizon.shape[1], len(censorings.at_risk)
    begins = np.append(np.flatnonzero(np.append(True, score[1:] != score[:-1])), len(score))
    value, totals = np.zeros(n_horizons), np.zeros((2, n_horizons))
    _count_ranks(rows, at_horizon, begins, value, totals)
    with np.errstate(invalid="ignore", divide="ignore"):
        value /= totals[0] * totals[1]
    gone, staying = np.zeros((n_times + 1, n_horizons)), np.zeros(n_horizons)
    squares, by_unit = np.zeros(n_horizons), np.zeros((max(n_units, 1), n_horizons))
    moved = np.zeros_like(gone)
    if np.all(totals > 0):
        _pass_ranks(rows, at_horizon, begins, value, totals, gone, staying, moved, squares, by_unit, False)
        moved = _censoring_steps(gone, staying, censorings.at_risk, censorings.hazard, censorings.within)
        _pass_ranks(rows, at_horizon, begins, value, totals, gone, staying, moved, squares, by_unit, True)
    return Sums(value, squares, by_unit, totals)


@njit(cache=True, nogil=True)
def _weights(rows, i, at_horizon, weight):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill `weight` (K,) with w W of row i."""
    row, beyond = i if len(at_horizon) > 1 else 0, rows.beyond[i]
    w, ended = rows.weight[i], rows.weight[i] * rows.at_event[i]
    for k in range(len(weight)):
        weight[k] = w * at_horizon[row, k] if k < beyond else ended


@njit(cache=True, nogil=True)
def _collect(rows, i, part, gone, staying):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the parts of row i to those who are beyond every time of censoring, and to those who ended at one."""
    beyond, passed = rows.beyond[i], rows.passed[i]
    for k in range(len(part)):
        staying[k] += part[k] if k < beyond else 0.0
    if rows.at_event[i] > 0.0:
        for k in range(len(part)):
            gone[passed, k] += part[k] if k >= beyond else 0.0


@njit(cache=True, nogil=True)
def _spread(rows, i, part, step, moved, squares, by_unit):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add what row i moves each score by: its part, and its martingale of censoring."""
    w, reached, passed = rows.weight[i], rows.reached[i], rows.passed[i]
    beyond = rows.beyond[i] if rows.at_event[i] == 0.0 else len(part)
    for k in range(len(part)):
        part[k] -= w * moved[reached, k]
    if beyond < len(part):  # censored by some horizon
        for k in range(len(part)):
            part[k] += w * step[passed, k] if k >= beyond else 0.0
    if len(rows.unit):
        unit = rows.unit[i]
        for k in range(len(part)):
            by_unit[unit, k] += part[k]
    else:
        for k in range(len(part)):
            squares[k] += part[k] * part[k]


@njit(cache=True, nogil=True)
def _censoring_steps(gone, staying, at_risk, hazard, within):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Turn `gone` (C + 1, K) into L(u)/Y(u) at each time, 0 past the horizon; give its cumulated compensator, (C + 1, K)."""
    n_times, n_horizons = len(at_risk), gone.shape[1]
    moved = np.zeros_like(gone)
    beyond = staying.copy()
    for k in range(n_horizons):
        beyond[k] += gone[n_times, k]
        gone[n_times, k] = 0.0
    for j in range(n_times - 1, -1, -1):
        for k in range(n_horizons):
            ended_here = gone[j, k]
            gone[j, k] = beyond[k] / at_risk[j] if j < within[k] and at_risk[j] > 0.0 else 0.0
            beyond[k] += ended_here
    for j in range(n_times):
        for k in range(n_horizons):
            moved[j + 1, k] = moved[j, k] + hazard[j] * gone[j, k]
    return moved


@njit(cache=True, nogil=True)
def _errors(rows, i, risk, scale, part):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Multiply the weights `part` of row i by its squared errors."""
    row, beyond = i if len(risk) > 1 else 0, rows.beyond[i]
    left = 1.0 if rows.of_cause[i] else 0.0
    for k in range(len(part)):
        error = (0.0 if k < beyond else left) - risk[row, k]
        part[k] *= scale * (error * error)


@njit(cache=True, nogil=True)
def _collect_errors(  # type: ignore[no-untyped-def]  # pragma: no cover
    rows, at_horizon, risk, scale, part, gone, staying, totals, value
):
    for i in range(len(rows.weight)):
        _weights(rows, i, at_horizon, part)
        beyond = rows.beyond[i] if rows.of_cause[i] else len(part)
        for k in range(len(part)):
            totals[0, k] += part[k]
            totals[1, k] += part[k] if k >= beyond else 0.0
        _errors(rows, i, risk, scale, part)
        for k in range(len(part)):
            value[k] += part[k]
        _collect(rows, i, part, gone, staying)


@njit(cache=True, nogil=True)
def _spread_errors(  # type: ignore[no-untyped-def]  # pragma: no cover
    rows, at_horizon, risk, scale, value, part, step, moved, squares, by_unit
):
    for i in range(len(rows.weight)):
        _weights(rows, i, at_horizon, part)
        _errors(rows, i, risk, scale, part)
        for k in range(len(part)):
            part[k] -= scale * rows.weight[i] * value[k]
        _spread(rows, i, part, step, moved, squares, by_unit)


@njit(cache=True, nogil=True)
def _tie(rows, begin, end, at_horizon, known, cases, controls):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill `cases` and `controls` (K,) with their weights among rows of one score."""
    cases[:] = 0.0
    controls[:] = 0.0
    for i in range(begin, end):
        _weights(rows, i, at_horizon, known)
        beyond = rows.beyond[i] if rows.of_cause[i] else len(known)
        for k in range(len(known)):
            if k < beyond:
                controls[k] += known[k]
            else:
                cases[k] += known[k]


@njit(cache=True, nogil=True)
def _count_ranks(rows, at_horizon, begins, value, totals):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill `totals` with the weight of cases and controls, and `value` with that of pairs won."""
    n_horizons = len(value)
    known, cases, controls = np.empty(n_horizons), np.empty(n_horizons), np.empty(n_horizons)
    for g in range(len(begins) - 1):
        _tie(rows, begins[g], begins[g + 1], at_horizon, known, cases, controls)
        for k in range(n_horizons):
            value[k] += cases[k] * (totals[1, k] + controls[k] * 0.5)
            totals[0, k] += cases[k]
            totals[1, k] += controls[k]


@njit(cache=True, nogil=True)
def _pass_ranks(  # type: ignore[no-untyped-def]  # pragma: no cover
    rows, at_horizon, begins, value, totals, gone, staying, moved, squares, by_unit, is_last
):
    """Pass the rows' parts of the AUC: a case's share of controls below it, a control's share of cases above it."""
    n_horizons = len(value)
    part, cases, controls = np.empty(n_horizons), np.empty(n_horizons), np.empty(n_horizons)
    cases_below, controls_below = np.zeros(n_horizons), np.zeros(n_horizons)
    per_case, per_control = 1.0 / totals[0], 1.0 / totals[1]
    for g in range(len(begins) - 1):
        _tie(rows, begins[g], begins[g + 1], at_horizon, part, cases, controls)
        for k in range(n_horizons):  # what a case and what a control of this score adds
            won = (controls_below[k] + controls[k] * 0.5) * per_control[k] - value[k]
            lost = 1.0 - (cases_below[k] + cases[k] * 0.5) * per_case[k] - value[k]
            cases_below[k] += cases[k]
            controls_below[k] += controls[k]
            cases[k], controls[k] = won * per_case[k], lost * per_control[k]
        for i in range(begins[g], begins[g + 1]):
            _weights(rows, i, at_horizon, part)
            beyond = rows.beyond[i] if rows.of_cause[i] else n_horizons
            for k in range(n_horizons):
                part[k] *= controls[k] if k < beyond else cases[k]
            if is_last:
                _spread(rows, i, part, gone, moved, squares, by_unit)
            else:
                _collect(rows, i, part, gone, staying)

"""A weighted cohort laid out at several horizons for the kernels, and what they give: values and standard errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from churnsurv.kernels.times import count_before
from churnsurv.kernels.weighted_scores import Censorings, Rows, Sums
from churnsurv.metrics.inputs import units_of
from churnsurv.metrics.ipcw import CensoringTimes, Cohort, metric_estimate
from churnsurv.results import Estimate

Floats = NDArray[np.float64]


class Layout(NamedTuple):
    """A cohort at horizons in ascending order, as the kernels of churnsurv/kernels/weighted_scores.py read it."""

    rows: Rows
    at_horizon: Floats  #: (1, K) 1/G(t), (n, K) where G differs between customers
    censorings: Censorings
    n_units: int  #: 0 where every row is a unit of its own

    def ordered(self, order: NDArray[np.int64]) -> Layout:
        """Give the rows in another order."""
        rows, unit = self.rows, self.rows.unit
        moved = Rows(
            weight=rows.weight[order],
            at_event=rows.at_event[order],
            of_cause=rows.of_cause[order],
            beyond=rows.beyond[order],
            passed=rows.passed[order],
            reached=rows.reached[order],
            unit=unit[order] if len(unit) else unit,
        )
        at_horizon = self.at_horizon[order] if len(self.at_horizon) > 1 else self.at_horizon
        return self._replace(rows=moved, at_horizon=at_horizon)

    def at(self, chosen: NDArray[np.int64]) -> Layout:
        """Give some of the horizons, by their positions in ascending order."""
        if len(chosen) == self.at_horizon.shape[1]:
            return self
        beyond = np.searchsorted(chosen, np.arange(self.at_horizon.shape[1] + 1))[self.rows.beyond].astype(np.int32)
        censorings = self.censorings._replace(within=self.censorings.within[chosen])
        at_horizon = np.ascontiguousarray(self.at_horizon[:, chosen])
        return self._replace(rows=self.rows._replace(beyond=beyond), at_horizon=at_horizon, censorings=censorings)


def lay_out(cohort: Cohort, horizons: Floats, unit: NDArray[np.int64] | None, n_units: int) -> Layout:
    """Lay a cohort out for horizons in ascending order; influence is added up by unit (codes), or by row without."""
    y, last = cohort.y, cohort.y.stop.max()
    beyond = count_before(horizons, y.stop)
    beyond[(y.stop == last) & (y.event == 0)] = len(horizons)  # known to have stayed until the very end
    nothing, nowhere = np.zeros(0), np.zeros(len(y), dtype=np.int64)
    known = cohort.censoring or CensoringTimes(nothing, nowhere, nowhere, nothing, nothing, nothing)
    until = np.where(horizons < last, horizons, np.nextafter(horizons, 0.0))
    rows = Rows(
        weight=cohort.weight,
        at_event=cohort.at_event,
        of_cause=np.asarray(y.event == y.cause_code(cohort.cause)),
        beyond=beyond.astype(np.int32),
        passed=known.passed.astype(np.int32),
        reached=known.reached.astype(np.int32),
        unit=np.zeros(0, dtype=np.int64) if unit is None else unit,
    )
    within = np.searchsorted(known.times, until, side="right")
    at_horizon = np.column_stack(np.broadcast_arrays(*[cohort.at_horizon.get(t, 0.0) for t in horizons.tolist()]))
    return Layout(rows, at_horizon, Censorings(known.at_risk, known.hazard, within), 0 if unit is None else n_units)


class Scores(NamedTuple):
    """A metric at each horizon asked for, with its standard error; (K,) each."""

    value: Floats
    se: Floats
    n_events: NDArray[np.int64]
    totals: Floats  #: (2, K), see :class:`churnsurv.kernels.weighted_scores.Sums`
    units: str  #: the number of independent units, in words


def score_cohort(cohort: Cohort, horizons: Floats, sums_of: Callable[[Layout], Sums]) -> Scores:
    """Score predictions at horizons in any order; `sums_of` gets them ascending."""
    order = np.argsort(horizons, kind="stable")
    unit, n_units, words = units_of(cohort.judged)
    layout = lay_out(cohort, horizons[order], unit, n_units)
    sums = sums_of(layout)
    squares = sums.squares if unit is None else np.sum(sums.by_unit**2, axis=0)
    events = np.bincount(layout.rows.beyond[layout.rows.of_cause], minlength=len(order) + 1).cumsum()[:-1]
    back = np.argsort(order)
    se = np.sqrt(n_units / (n_units - 1) * squares)
    return Scores(sums.value[back], se[back], events[back], sums.totals[:, back], words)


def one_horizon(cohort: Cohort, t: float, sums_of: Callable[[Layout], Sums]) -> tuple[float, Floats]:
    """Give a score at t and each row's influence on it, (n,)."""
    n = len(cohort.y)
    sums = sums_of(lay_out(cohort, np.array([t]), np.arange(n), n))
    return float(sums.value[0]), sums.by_unit[:, 0]


def estimates_of(name: str, scores: Scores, level: float, cohort: Cohort, horizons: Floats) -> list[Estimate]:
    """Give the metric at each horizon."""
    columns = zip(scores.value.tolist(), scores.se.tolist(), scores.n_events.tolist(), horizons.tolist(), strict=True)
    return [
        metric_estimate(f"{name} at {t:g}", value, se, level, cohort, n_events, scores.units)
        for value, se, n_events, t in columns
    ]

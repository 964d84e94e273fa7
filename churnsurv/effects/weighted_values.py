"""The value of an effect under given weights: curves of the weighted arms, or a weighted Cox model of the arm alone."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.effects.assigned import Assigned
from churnsurv.estimators.cox import CoxPH
from churnsurv.exceptions import DataError, NotIdentifiedError, TooFewEventsError
from churnsurv.kernels.nonparametric import cumulative_incidence, kaplan_meier, risk_table
from churnsurv.kernels.times import slack, step_area, step_values
from churnsurv.messages import counted
from churnsurv.nonparametric import AalenJohansen, KaplanMeier
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Effect = Literal["risk_difference", "risk_ratio", "rmst_difference", "rmtl_difference", "hazard_ratio"]


class Asked(NamedTuple):
    """The effect asked for, of checked rows."""

    assigned: Assigned
    effect: Effect
    cause: str | None
    end: float  #: time of the horizon; infinite without one

    @property
    def is_ratio(self) -> bool:
        """Whether standard errors are those of the logarithm."""
        return self.effect.endswith("ratio")


def estimate_under(asked: Asked, weight: Floats, robust: bool, clustered: bool) -> tuple[float, float]:
    """Give the effect under weights of rows, (n,), and its robust standard error (of the logarithm for ratios) if asked for."""
    assigned = asked.assigned
    rows = np.flatnonzero((weight > 0) & np.isin(assigned.code, (0, assigned.target)))
    y, treated, weight = assigned.y[rows], (assigned.code[rows] > 0).astype(np.int64), weight[rows]
    unit = assigned.unit[rows] if clustered else None
    if asked.is_ratio:
        _refuse_arm_without_event(asked, y, treated)
    if asked.effect == "hazard_ratio":
        return _hazard_ratio(asked, y, treated, weight, unit, robust)
    if robust and unit is not None:
        _refuse_units_across_arms(unit, treated)
    value, se = _curve_values(asked, y, treated, weight, unit, robust)
    if asked.effect == "risk_ratio":
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(value[1] / value[0]), float(np.hypot(*(se / value)))
    return float(value[1] - value[0]), float(np.hypot(*se))


def _refuse_arm_without_event(asked: Asked, y: Outcome, treated: Ints) -> None:
    """Refuse a ratio with zero or infinity for an answer: a resample's, as those of the data are refused before."""
    event = y.event > 0 if asked.cause is None else y.event == y.cause_code(asked.cause)
    until = event & (y.stop <= asked.end + slack(np.unique(y.stop)))
    if len(np.unique(treated[until])) < 2:
        raise TooFewEventsError("A resample has no event in an arm.")


def _hazard_ratio(
    asked: Asked, y: Outcome, treated: Ints, weight: Floats, unit: Ints | None, robust: bool
) -> tuple[float, float]:
    model = weighted_cox(asked, y, treated, weight, unit, robust)[0]
    ratio = float(np.exp(model.coef_.to_numpy()[0]))
    return ratio, float(np.sqrt(model.covariance_.to_numpy()[0, 0])) if robust else np.nan


def weighted_cox(
    asked: Asked, y: Outcome, treated: Ints, weight: Floats, unit: Ints | None = None, robust: bool = False
) -> tuple[CoxPH, pd.DataFrame, Outcome, Ints]:
    """Give the weighted Cox model of the arm alone, its design and outcome, and the rows that they are of."""
    kept = np.arange(len(y))
    if np.isfinite(asked.end):
        y, kept = _cut(y, asked.end)
        treated, weight, unit = treated[kept], weight[kept], None if unit is None else unit[kept]
    event = (y.event > 0).astype(np.int64) if asked.cause is None else y.only(asked.cause).event
    # without a variance to sum by subject, every row may be a subject of its own
    one = Outcome(y.stop, event, None if y.from_origin else y.start, y.subject if robust else None)
    design = pd.DataFrame({"arm": treated})
    model = CoxPH(weight_type="sampling" if robust else "case")
    model.fit(design, one, sample_weight=weight, cluster=unit if robust else None)
    return model, design, one, kept


def _cut(y: Outcome, end: float) -> tuple[Outcome, Ints]:
    """End the follow-up at `end`."""
    late = slack(np.unique(y.stop))
    kept = np.flatnonzero(y.entry < end - late)
    part = y[kept]
    event = np.where(part.stop <= end + late, part.event, 0)
    start = None if y.from_origin else part.start
    return Outcome(np.minimum(part.stop, end), event, start, part.subject, part.causes), kept


def _curve_values(
    asked: Asked, y: Outcome, treated: Ints, weight: Floats, unit: Ints | None, robust: bool
) -> tuple[Floats, Floats]:
    """Give risk or area of the reference and of the arm, and their robust standard errors, (2,) each."""
    begin, end = asked.assigned.origin, asked.end
    values = np.empty(2)
    for k in (0, 1):
        mine = treated == k
        times, risk = _weighted_risk(y[mine], weight[mine], asked.cause)
        if asked.effect in ("rmst_difference", "rmtl_difference"):
            lost = float(step_area(times, risk, begin, end, 0.0))
            values[k] = end - begin - lost if asked.effect == "rmst_difference" else lost
        else:
            values[k] = step_values(times, risk, np.array([end]), before=0.0)[0]
    return values, _robust_errors(asked, y, treated, weight, unit) if robust else np.full(2, np.nan)


def _weighted_risk(y: Outcome, weight: Floats, cause: str | None) -> tuple[Floats, Floats]:
    """Give times and risk of leaving (by the cause) of one arm, by the kernels: in a resample nothing else is wanted."""
    if not len(y):
        raise DataError("A resample lacks an arm.")
    event = y.event if cause is not None else (y.event > 0).astype(np.int64)
    n_causes = len(y.causes) if cause is not None else 1
    table = risk_table(y.entry, y.stop, event, weight, n_causes, np.zeros(len(y), dtype=bool))
    survival = kaplan_meier(table).survival
    if cause is None:
        return table.times, 1 - survival
    return table.times, cumulative_incidence(table, survival)[y.cause_code(cause) - 1]


def _robust_errors(asked: Asked, y: Outcome, treated: Ints, weight: Floats, unit: Ints | None) -> Floats:
    is_area = asked.effect in ("rmst_difference", "rmtl_difference")
    if is_area and asked.cause is not None:
        raise NotIdentifiedError(
            "There is no robust variance of the time lost to one cause among several: use variance='sandwich' or 'bootstrap'."
        )
    kind: Any = KaplanMeier() if asked.cause is None else AalenJohansen()
    with warnings.catch_warnings():
        # arms without event are refused before
        warnings.simplefilter("ignore")
        curves = kind.fit(y, sample_weight=weight, by=treated, cluster=unit, variance="robust")
    if is_area:
        means = curves.rmst(asked.end - asked.assigned.origin)
        return np.array([means[k].se for k in (0, 1)])
    table = curves.table_
    if asked.cause is not None:
        table = table[table["state"] == asked.cause]
    found = [table[table["group"] == k] for k in (0, 1)]
    return np.array(
        [step_values(t["time"].to_numpy(), t["se"].to_numpy(), np.array([asked.end]), before=np.nan)[0] for t in found]
    )


def _refuse_units_across_arms(unit: Ints, treated: Ints) -> None:
    both = np.intersect1d(unit[treated == 0], unit[treated == 1])
    if len(both):
        raise NotIdentifiedError(
            f"{counted(len(both), 'customer')} with rows in both arms: the robust variance of the arms' curves takes them as "
            "independent. Use variance='sandwich' or 'bootstrap'."
        )

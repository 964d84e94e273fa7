"""The value of an effect under given weights: curves of the weighted arms, or a weighted Cox model of the arm alone."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.effects.assigned import Assigned
from churnsurv.estimators.cox import CoxPH
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.times import slack, step_area, steps_until
from churnsurv.messages import counted
from churnsurv.nonparametric import AalenJohansen, KaplanMeier
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Effect = Literal["risk_difference", "risk_ratio", "rmst_difference", "time_lost_difference", "hazard_ratio"]


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
    if asked.effect == "hazard_ratio":
        return _hazard_ratio(asked, y, treated, weight, unit, robust)
    if robust and unit is not None:
        _refuse_units_across_arms(unit, treated)
    value, se = _curve_values(asked, y, treated, weight, unit, robust)
    if asked.effect == "risk_ratio":
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(value[1] / value[0]), float(np.hypot(*(se / value)))
    return float(value[1] - value[0]), float(np.hypot(*se))


def _hazard_ratio(
    asked: Asked, y: Outcome, treated: Ints, weight: Floats, unit: Ints | None, robust: bool
) -> tuple[float, float]:
    if np.isfinite(asked.end):
        y, kept = _cut(y, asked.end)
        treated, weight, unit = treated[kept], weight[kept], None if unit is None else unit[kept]
    event = (y.event > 0).astype(np.int64) if asked.cause is None else y.only(asked.cause).event
    # without a variance to sum by subject, every row may be a subject of its own
    one = Outcome(y.stop, event, None if y.from_origin else y.start, y.subject if robust else None)
    model = CoxPH(weight_type="sampling" if robust else "case")
    model.fit(pd.DataFrame({"arm": treated}), one, sample_weight=weight, cluster=unit if robust else None)
    ratio = float(np.exp(model.coef_.to_numpy()[0]))
    return ratio, float(np.sqrt(model.covariance_.to_numpy()[0, 0])) if robust else np.nan


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
    is_area = asked.effect in ("rmst_difference", "time_lost_difference")
    if robust and is_area and asked.cause is not None:
        raise NotIdentifiedError(
            "There is no robust variance of the time lost to one cause among several: use variance='bootstrap'."
        )
    options: dict[str, Any] = {"sample_weight": weight, "by": treated, "cluster": unit}
    options["variance"] = "robust" if robust else "greenwood"
    with warnings.catch_warnings():
        # arms without event are refused before; in resamples they are no news
        warnings.simplefilter("ignore")
        curves: Any = (KaplanMeier() if asked.cause is None else AalenJohansen()).fit(y, **options)
    if len(curves.groups_) < 2:
        raise DataError("A resample lacks an arm.")
    table = curves.table_
    if asked.cause is not None:
        table = table[table["state"] == asked.cause]
    begin, end = asked.assigned.origin, asked.end
    values, errors = np.empty(2), np.full(2, np.nan)
    for k in (0, 1):
        mine = table[table["group"] == k]
        times, height = mine["time"].to_numpy(), mine["estimate"].to_numpy()
        risk = 1 - height if asked.cause is None else height
        if is_area:
            lost = float(step_area(times, risk, begin, end, 0.0))
            values[k] = end - begin - lost if asked.effect == "rmst_difference" else lost
            errors[k] = curves.rmst(end - begin)[k].se if robust else np.nan
            continue
        at = int(steps_until(times, np.array(end))) - 1
        values[k] = risk[at] if at >= 0 else 0.0
        errors[k] = mine["se"].to_numpy()[at] if robust and at >= 0 else np.nan
    return values, errors


def _refuse_units_across_arms(unit: Ints, treated: Ints) -> None:
    both = np.intersect1d(unit[treated == 0], unit[treated == 1])
    if len(both):
        raise NotIdentifiedError(
            f"{counted(len(both), 'customer')} with rows in both arms: the robust variance of the arms' curves takes them as "
            "independent. Use variance='bootstrap'."
        )

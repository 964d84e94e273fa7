"""Differences and ratios of two curves, and times spent in states, computed with churnsurv's effects."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.special import ndtr

import churnsurv as cs
from churnsurv.effects.two_arms import TwoArms, two_arms
from churnsurv.exceptions import SmallSampleWarning
from churnsurv.kernels.hazard_functions import risk_or_time_lost, row_influence
from churnsurv.kernels.nonparametric import kaplan_meier, risk_table
from tests.oracle_r.fine_gray import FINE_GRAY
from tests.oracle_r.nonparametric import Curve, RestrictedMean
from tests.oracle_r.residuals import RESIDUALS
from tests.oracle_r.values import Builtin, Frame, Later, Outside, Pack


def _options(curve: Curve) -> dict[str, Any]:
    return {"sample_weight": curve.frame.extra.get("weights")}


def _arms(curve: Curve) -> TwoArms:
    weight = curve.frame.extra.get("weights")
    return two_arms(curve.outcome, curve.frame.groups, "A risk", None, 0.95, None, weight, None, 1)


def _estimate(effect: Any, curve: Curve, horizon: float) -> cs.Estimate:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        return effect(curve.outcome, curve.frame.groups, horizon=horizon, **_options(curve))


def _two_sided(z: float) -> float:
    return float(2 * ndtr(-abs(z)))


def _km_difference(curve: Any, time: Any) -> Any:
    """Survival is 1 − risk, so that its difference is minus that of the risks."""
    if not isinstance(curve, Curve) or curve.states or curve.frame.response.start is not None:
        return Outside("outside the scope: a difference of these")
    horizon = float(time[0])
    found = Later(lambda: _estimate(cs.effects.risk_difference, curve, horizon))

    def z() -> float:
        return -found.value().value / found.value().se

    return Pack(
        "km-difference",
        {
            "time": horizon,
            "surv": Later(lambda: 1 - _arms(curve).risk(horizon, None).value),
            "se": Later(lambda: np.sqrt(_arms(curve).risk(horizon, None).variance)),
            "diff": Later(lambda: -found.value().value),
            "diff_se": Later(lambda: found.value().se),
            "lower": Later(lambda: -found.value().upper),
            "upper": Later(lambda: -found.value().lower),
            "z": Later(z),
            "p": Later(lambda: _two_sided(z())),
        },
    )


def _mean_contrasts(mean: Any) -> Any:
    """Difference and ratio of restricted means; weighted ones without R's Greenwood variance, where ours is robust."""
    if not isinstance(mean, RestrictedMean):
        return Outside("outside the scope: a contrast of these")
    curve, horizon = mean.curve, mean.horizon
    gain = Later(lambda: _estimate(cs.effects.rmst_difference, curve, horizon))
    ratio = Later(lambda: _estimate(cs.effects.rmst_ratio, curve, horizon))
    values: dict[str, Any] = {
        "diff": Later(lambda: gain.value().value),
        "ratio": Later(lambda: ratio.value().value),
        "se": Later(lambda: gain.value().se),
        "lower": Later(lambda: gain.value().lower),
        "upper": Later(lambda: gain.value().upper),
        "p": Later(lambda: _two_sided(gain.value().value / gain.value().se)),
        "ratio_lower": Later(lambda: ratio.value().lower),
        "ratio_upper": Later(lambda: ratio.value().upper),
        "ratio_p": Later(lambda: _two_sided(np.log(ratio.value().value) * ratio.value().value / ratio.value().se)),
    }
    if "weights" in curve.frame.extra:
        why = Outside("R's table keeps Greenwood's variance of a weighted mean; the effect's is robust")
        values |= {name: why for name in values if name not in ("diff", "ratio")}
    return Pack("rmst", values)


class _TimesInStates(Frame):
    """R's table of the times in states: named rows, columns of numbers."""

    names: Any


def _summary(curve: Any, *times: Any, **options: Any) -> Any:
    is_mean = isinstance(curve, Curve) and bool(curve.states) and set(options) == {"rmean"}
    if not is_mean or curve.frame.groups is not None or curve.frame.response.start is not None:
        return FINE_GRAY["summary"].function(curve, *times, **options)
    horizon = float(options["rmean"][0])
    table = _TimesInStates(rmean=Later(lambda: _lost(curve, horizon)[0]))
    table.names = np.array(["(s0)", *curve.states[1:]], dtype=object)
    return {"table": table}


def _residuals(fit: Any, *more: Any, **options: Any) -> Any:
    """Influence of each row on the times in states, the pseudo-residuals of R's ``residuals.survfit``."""
    is_area = isinstance(fit, Curve) and bool(fit.states) and options.get("type", [""])[0] == "auc"
    if not is_area:
        return RESIDUALS["residuals"].function(fit, *more, **options)
    return Later(lambda: _lost(fit, float(options["times"][0]))[1])


def _lost(curve: Curve, horizon: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the times in the states, customer first, and each row's influence on them."""
    y, ones = curve.outcome, np.ones(len(curve.outcome))
    table = risk_table(y.entry, y.stop, y.event, ones, len(y.causes), np.zeros(len(y), dtype=bool))
    survival = kaplan_meier(table).survival
    times, rows = [], []
    for code in range(len(y.causes)):
        lost, slopes = risk_or_time_lost(table, survival, np.arange(len(y.causes)) == code, horizon, area=True)
        times.append(lost)
        rows.append(row_influence(table, slopes, y.event, ones))
    return np.array([horizon - sum(times), *times]), np.column_stack([-np.sum(rows, axis=0), *rows])


EFFECTS: dict[str, Any] = {
    "km_diff": Builtin(_km_difference),
    "rmst_diff": Builtin(_mean_contrasts),
    "summary": Builtin(_summary),
    "residuals": Builtin(_residuals),
}

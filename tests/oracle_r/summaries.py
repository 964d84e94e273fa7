"""The oracles' ways of writing a curve down: at times, whole, its quantiles, its restricted mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tests.oracle_r.incidence import states_at
from tests.oracle_r.nonparametric import Curve, RestrictedMean, at_times, by_group, n_at_risk, of_group
from tests.oracle_r.predictions import CoxCurves
from tests.oracle_r.values import Builtin, Frame, Later, Outside, Pack, Record

_RMEAN = "R counts the restricted mean from time 0 and carries curves on past their data"


def _survival_at(curve: Any, times: Any) -> Any:
    if not isinstance(curve, Curve) or curve.states:
        return Outside("outside the scope: values of this at times")

    def column(name: str, before: float) -> Any:
        return by_group(curve, curve.survival_table, lambda part, t: at_times(part, name, t, before))

    hazard = by_group(curve, lambda: curve.hazard.table_, lambda part, t: at_times(part, "estimate", t, 0.0))
    return Pack(
        "km",
        {
            "surv": column("estimate", 1.0),
            "se_surv": column("se", 0.0),
            "lower": column("lower", 1.0),
            "upper": column("upper", 1.0),
            "n_risk": by_group(curve, curve.survival_table, n_at_risk),
            "cumhaz": hazard,
        },
    )


def _whole_curve(curve: Any, at_events: Any = None) -> Any:
    if not isinstance(curve, Curve) or curve.states:
        return Outside("outside the scope: the whole of this curve")
    names = {
        "n_risk": "n.risk", "n_event": "n.event", "n_censor": "n.censor", "surv": "surv", "se_log_surv": "std.err",
        "lower": "lower", "upper": "upper", "cumhaz": "cumhaz", "se_cumhaz": "std.chaz",
    }  # fmt: skip
    values: dict[str, Any] = {"time_": curve.component("time")}
    values |= {name: curve.component(component) for name, component in names.items()}
    values["n_enter"] = Outside("outside the scope: numbers entering")
    return Pack("km", values)


def _table(curve: Any, **options: Any) -> Any:
    """Give R's table of a curve: one list, or one per group."""
    if not isinstance(curve, Curve) or curve.states:
        return Outside("outside the scope: the table of this")
    groups = curve.groups()
    rows = {group: _table_row(curve, group) for group in groups}
    return rows if curve.frame.groups is not None else rows["all"]


def _table_row(curve: Curve, group: str) -> Pack:
    def median(end: str) -> Later:
        return Later(lambda: getattr(of_group(curve, curve.survival.median(), group), end))

    def part() -> pd.DataFrame:
        table = curve.survival_table()
        return table[table["group"] == group]

    rows = len(curve.outcome) if curve.frame.groups is None else int(np.sum(curve.frame.groups == group))
    return Pack(
        "km",
        {
            "records": rows,
            "n.max": Later(lambda: float(part()["n_risk"].max())),
            "events": Later(lambda: float(part()["n_event"].sum())),
            "median": median("value"),
            "0.95LCL": median("lower"),
            "0.95UCL": median("upper"),
            "n.start": Outside("outside the scope: R's number at the start"),
            "rmean": Outside(f"outside the scope: {_RMEAN}"),
            "se(rmean)": Outside(f"outside the scope: {_RMEAN}"),
        },
    )


def _quantiles(curve: Any, probs: Any = (0.25, 0.5, 0.75)) -> Any:
    if not isinstance(curve, Curve) or curve.states:
        return Outside("outside the scope: quantiles of this")

    def quantile(end: str) -> Later:
        def values() -> np.ndarray:
            found = [curve.survival.quantile(float(p)) for p in probs]
            return np.array([[getattr(of_group(curve, f, g), end) for f in found] for g in curve.groups()])

        return Later(values)

    return Pack(
        "km",
        {
            "probs": np.asarray(probs),
            "quantile": quantile("value"),
            "lower": quantile("lower"),
            "upper": quantile("upper"),
        },
    )


def _restricted_mean(curve: Any, tau: Any) -> Any:
    if not isinstance(curve, Curve) or curve.states:
        return Outside("outside the scope: restricted mean of this")
    if curve.frame.response.start is not None:
        return Outside(f"outside the scope: {_RMEAN}")
    return RestrictedMean(curve, float(tau[0]))


class Summary(Record):
    """R's summary of a curve at times."""

    def __init__(self, curve: Curve, times: np.ndarray) -> None:
        self.curve, self.times = curve, times

    def component(self, name: str) -> Any:
        """Give the values at the times, group after group."""
        curve = self.curve
        groups = curve.groups()
        if name in ("time", "strata"):
            return np.tile(self.times, len(groups)) if name == "time" else np.repeat(np.array(groups), len(self.times))
        if curve.states:
            return self.states(name)
        column, before = _STEPS.get(name, ("", 0.0))
        if not column:
            return Outside(f"outside the scope: component ${name} of a summary")
        hazard = name in ("cumhaz", "std.chaz")

        def values() -> np.ndarray:
            table = curve.hazard.table_ if hazard else curve.survival_table()
            return np.concatenate([at_times(table[table["group"] == g], column, self.times, before) for g in groups])

        return Later(values)

    def states(self, name: str) -> Any:
        """Give the state probabilities or their standard errors: group after group, one column per state."""
        part = {"pstate": "pstate", "std.err": "se"}.get(name)
        if part is None:
            return Outside(f"outside the scope: component ${name} of a summary")
        groups = self.curve.groups()
        rows = {"time": np.tile(self.times, len(groups)), "strata": np.repeat(np.array(groups), len(self.times))}
        return Later(lambda: states_at(self.curve, self.times)[part](rows))


#: components of R's summary: column of the table, value before the first time
_STEPS = {"surv": ("estimate", 1.0), "std.err": ("se", 0.0), "cumhaz": ("estimate", 0.0), "std.chaz": ("se", 0.0)}


def _summary(curve: Any, times: Any = None, extend: Any = None, **options: Any) -> Any:
    if isinstance(curve, CoxCurves) and times is not None:
        return CoxCurves(curve.fit, curve.newdata, times)
    if isinstance(curve, CoxCurves) and set(options) <= {"rmean"}:
        return {"table": curve.table(float(options["rmean"][0]) if options else None)}
    if not isinstance(curve, Curve):
        return Outside("outside the scope: R's summary of a fit")
    if options:
        return Outside(f"outside the scope: {_RMEAN}")
    if times is None:
        columns = {"median": "median", "0.95LCL": "0.95LCL", "0.95UCL": "0.95UCL", "events": "events"}
        rows = [_table_row(curve, group) for group in curve.groups()]
        made = {name: Later(lambda name=name: np.array([row[name].value() for row in rows])) for name in columns}
        return {"table": Frame(made)}
    return Summary(curve, np.asarray(times))


SUMMARIES: dict[str, Any] = {
    "surv_at": Builtin(_survival_at),
    "km_pack": Builtin(_whole_curve),
    "km_table": Builtin(_table),
    "quant_pack": Builtin(_quantiles),
    "rmean_pack": Builtin(_restricted_mean),
    "summary": Builtin(_summary),
}

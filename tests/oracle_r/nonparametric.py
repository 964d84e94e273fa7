"""R's ``survfit``: curves without a model, computed with churnsurv."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

import churnsurv as cs
from churnsurv.exceptions import SmallSampleWarning
from tests.oracle_r.cox import CoxFit, given, has_repeated_events, is_whole
from tests.oracle_r.evaluator import evaluate
from tests.oracle_r.formula import ModelFrame, in_order, model_frame
from tests.oracle_r.parser import Call
from tests.oracle_r.predictions import CoxCurves
from tests.oracle_r.values import Formula, Frame, Later, Outside, Pack, Record, Scope, Special

_IN_DATA = ("weights", "subset", "cluster", "id")


class Curve(Record):
    """R's survfit: Kaplan–Meier with Nelson–Aalen's cumulative hazard, or Aalen–Johansen when the event is a factor."""

    def __init__(self, frame: ModelFrame, options: dict[str, Any]) -> None:
        self.frame = frame
        self.options = options
        self.states = list(frame.response.event.categories) if _is_multi(frame) else []

    @cached_property
    def outcome(self) -> cs.Outcome:
        """Give the outcome; rows of one id belong together."""
        response = self.frame.response
        event = response.event.codes if self.states else np.asarray(response.event, dtype=float)
        if not self.states and event.max() == 2:
            event = event - 1
        subject = self.frame.extra.get("id")
        repeated = subject is not None and has_repeated_events(subject, event)
        causes = tuple(self.states[1:]) or ("event",)
        return cs.Outcome(response.stop, event.astype(int), response.start, subject, causes, recurrent=repeated)

    def fitted(self, estimator: Any, **more: Any) -> Any:
        """Fit one of churnsurv's estimators to these rows, with R's options."""
        extra = self.frame.extra
        robust = self.options.get("robust")
        by_default = "cluster" in extra or not is_whole(extra.get("weights")) or self.outcome.recurrent
        if "variance" not in more and (by_default if robust is None else robust[0]):
            more |= {"variance": "robust", "cluster": extra.get("cluster")}
        elif not self.states:
            more["variance"] = "aalen" if estimator is cs.NelsonAalen else "greenwood"
        level = self.options.get("conf.int")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            return estimator().fit(
                self.outcome,
                sample_weight=extra.get("weights"),
                by=self.frame.groups,
                level=0.95 if level is None else level[0],
                **more,
            )

    @cached_property
    def survival(self) -> Any:
        """Give the Kaplan–Meier curve, or exp(−Nelson–Aalen) when asked for with stype = 2."""
        if self.options.get("stype", [1])[0] == 2:
            return self.fitted(cs.NelsonAalen, conf_type="plain")
        return self.fitted(cs.KaplanMeier, conf_type=(self.options.get("conf.type") or ["log"])[0])

    @cached_property
    def greenwood(self) -> Any:
        """Give the Kaplan–Meier curve with Greenwood's variance, which R's table keeps when the curve is robust."""
        return (
            self.survival
            if isinstance(self.survival, cs.NelsonAalen)
            else self.fitted(cs.KaplanMeier, variance="greenwood")
        )

    @cached_property
    def hazard(self) -> Any:
        """Give the Nelson–Aalen estimator."""
        return self.fitted(cs.NelsonAalen)

    @cached_property
    def incidence(self) -> Any:
        """Give the Aalen–Johansen estimator."""
        return self.fitted(cs.AalenJohansen, conf_type="log")

    def groups(self, expected: dict[str, Any] | None = None) -> list[str]:
        """Give the labels of the groups: as expected, or sorted."""
        if expected is not None and "strata" in expected:
            return list(dict.fromkeys(np.atleast_1d(expected["strata"])))
        return ["all"] if self.frame.groups is None else in_order(self.frame.groups)

    def survival_table(self) -> pd.DataFrame:
        """Give the table of the survival curve: estimate, se, lower, upper, by group and time."""
        table = self.survival.table_
        if isinstance(self.survival, cs.NelsonAalen):
            survival = np.exp(-table["estimate"])
            table = table.assign(estimate=survival, se=survival * table["se"])
            table = table.assign(lower=np.exp(-table["upper"]), upper=np.exp(-table["lower"]))
        return table

    def component(self, name: str) -> Any:
        """Give a component as R names it, group after group."""
        column = _COLUMNS.get(name)
        if self.options.get("ctype", [1])[0] == 2:
            return Outside("outside the scope: Fleming-Harrington's hazard, which takes tied events one after another")
        if self.states or column is None:
            return Outside(f"outside the scope: component ${name} of survfit")
        return Later(lambda: column(self))


def _is_multi(frame: ModelFrame) -> bool:
    return isinstance(frame.response.event, pd.Categorical)


_COLUMNS: dict[str, Callable[[Curve], Any]] = {
    "time": lambda c: c.survival_table()["time"].to_numpy(),
    "n.risk": lambda c: c.survival_table()["n_risk"].to_numpy(),
    "n.event": lambda c: c.survival_table()["n_event"].to_numpy(),
    "n.censor": lambda c: c.survival_table()["n_censored"].to_numpy(),
    "surv": lambda c: c.survival_table()["estimate"].to_numpy(),
    # on the log scale, where the error is infinite once nobody is left
    "std.err": lambda c: np.where(
        c.survival_table()["estimate"] == 0, np.inf, c.survival_table().eval("se / estimate")
    ),
    "lower": lambda c: c.survival_table()["lower"].to_numpy(),
    "upper": lambda c: c.survival_table()["upper"].to_numpy(),
    "cumhaz": lambda c: c.hazard.table_["estimate"].to_numpy(),
    "std.chaz": lambda c: c.hazard.table_["se"].to_numpy(),
    "strata": lambda c: pd.Series(c.survival.n_subjects_, index=c.survival.groups_),
}


def _survfit(node: Call, scope: Scope) -> Any:
    arguments = given(("formula", "data", "weights", "subset"), node)
    formula = evaluate(arguments.pop("formula"), scope)
    if isinstance(formula, CoxFit):
        return _of_cox(formula, evaluate(arguments.get("newdata", arguments.get("data")), scope))
    data = evaluate(arguments.pop("data", None), scope)
    in_data = {name: arguments.pop(name, None) for name in _IN_DATA}
    options = {name: evaluate(value, scope) for name, value in arguments.items()}
    if options.get("timefix") is not None and not options["timefix"][0]:
        return Outside("outside the scope: ties by rounding left apart on purpose (timefix = FALSE)")
    if not isinstance(formula, Formula):
        return formula if isinstance(formula, Outside) else Outside("survfit of this is not translated")
    frame = model_frame(formula, data, in_data, scope, grouped=True)
    return frame if isinstance(frame, Outside) else Curve(frame, options)


def _of_cox(fit: CoxFit, newdata: Any) -> Any:
    if not isinstance(newdata, Frame):
        return (
            newdata if isinstance(newdata, Outside) else Outside("outside the scope: curves of a Cox fit at R's centre")
        )
    return CoxCurves(fit, newdata)


# ---- values at times ----


def at_times(table: pd.DataFrame, column: str, times: np.ndarray, before: float) -> np.ndarray:
    """Evaluate a column of one group's table as a right-continuous step."""
    # times written with 12 digits may fall short of the step by rounding
    position = np.searchsorted(table["time"].to_numpy(), times * (1 + 1e-11), side="right")
    return np.concatenate(([before], table[column].to_numpy(dtype=float)))[position]


def n_at_risk(table: pd.DataFrame, times: np.ndarray) -> np.ndarray:
    """Give the number at risk at times: that of the next time of the table, 0 after the last."""
    position = np.searchsorted(table["time"].to_numpy(), times * (1 - 1e-11), side="left")
    return np.append(table["n_risk"].to_numpy(dtype=float), 0.0)[position]


def by_group(
    curve: Curve, table: Callable[[], pd.DataFrame], read: Callable[[pd.DataFrame, np.ndarray], np.ndarray]
) -> Callable[[dict[str, Any]], np.ndarray]:
    """Read each group's table at the expected times of that group."""

    def values(expected: dict[str, Any]) -> np.ndarray:
        times = np.atleast_1d(np.asarray(expected["time"], dtype=float))
        labels = np.atleast_1d(expected.get("strata", np.repeat("all", len(times))))
        frame = table()
        pieces = []
        for label in dict.fromkeys(labels):
            part = frame if label == "all" else frame[frame["group"] == label]
            pieces.append(read(part, times[labels == label]))
        return np.concatenate(pieces)

    return values


def of_group(curve: Curve, estimates: Any, group: str) -> Any:
    """Give the estimate of a group."""
    return estimates if curve.frame.groups is None else estimates[group]


class RestrictedMean(Pack):
    """Restricted means of the groups of a curve."""

    def __init__(self, curve: Curve, horizon: float) -> None:
        self.curve, self.horizon = curve, horizon
        super().__init__("rmst", {"tau": horizon, "rmean": self._each("value"), "se": self._each("se")})

    def _each(self, end: str) -> Later:
        def values() -> np.ndarray:
            means = self.curve.greenwood.rmst(self.horizon)
            return np.array([getattr(of_group(self.curve, means, group), end) for group in self.curve.groups()])

        return Later(values)


NONPARAMETRIC: dict[str, Any] = {"survfit": Special(_survfit)}

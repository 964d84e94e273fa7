"""Metrics of predictions: R's ``concordance``, riskRegression's ``Score`` and the oracles' formulas, by churnsurv."""

from __future__ import annotations

import itertools
import warnings
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

import churnsurv as cs
from churnsurv.exceptions import SmallSampleWarning
from churnsurv.kernels.pseudo import pseudo_values
from churnsurv.metrics.inputs import null_risk
from tests.oracle_r.concordance import Concordance, named_counts, of_fits, reading
from tests.oracle_r.cox import CoxFit, given
from tests.oracle_r.evaluator import evaluate, within
from tests.oracle_r.fine_gray import CauseSpecific
from tests.oracle_r.formula import Surv, deparse, model_frame
from tests.oracle_r.parser import Call, Name
from tests.oracle_r.predictions import PREDICTIONS
from tests.oracle_r.propensity import PROPENSITY
from tests.oracle_r.values import Builtin, Formula, Later, Outside, Pack, Record, Scope, Special, settled

# ---- concordance ----


def _concordance(node: Call, scope: Scope) -> Any:
    values = [evaluate(value, scope) for name, value in node.arguments if name is None]
    if values and all(isinstance(value, CoxFit) for value in values):
        return Later(lambda: of_fits(values))
    arguments = given(("object", "data", "weights", "subset", "na.action", "cluster"), node)
    formula = evaluate(arguments.pop("object"), scope)
    data = evaluate(arguments.pop("data", None), scope)
    in_data = {name: arguments.pop(name) for name in ("weights", "subset", "cluster") if name in arguments}
    options = {name: evaluate(value, scope) for name, value in arguments.items()}
    if not isinstance(formula, Formula):
        return formula if isinstance(formula, Outside) else Outside("concordance of this is not translated")
    if set(options) - {"timewt", "ymax", "reverse"}:
        return Outside(f"outside the scope: options {sorted(options)} of concordance")
    problem = next((value for value in options.values() if isinstance(value, Outside)), None)
    if problem is not None:
        return problem

    def made() -> Any:
        frame = model_frame(formula, settled(data), in_data, scope)
        if isinstance(frame, Outside):
            return frame
        sign = 1.0 if options.get("reverse") is not None and bool(options["reverse"][0]) else -1.0
        weighting = "n" if options.get("timewt") is None else str(options["timewt"][0])
        tau = None if options.get("ymax") is None else float(options["ymax"][0])
        return Concordance(frame, [np.asarray(c) for c in frame.columns.values()], weighting, tau, sign=sign)

    return Later(made)


def _conc_pack(found: Any) -> Any:
    if isinstance(found, Outside):
        return found
    values: dict[str, Any] = {
        name: reading(found, lambda c, name=name: c.component(name)) for name in ("concordance", "var", "n")
    }
    values["se"] = reading(found, lambda c: np.array([c.estimates[0].se]))
    values["count"] = reading(found, lambda c: named_counts(c.counts()))
    return Pack("concordance", values)


# ---- riskRegression's Score ----


class Scored:
    """Predictions of several models for one outcome, a matrix each: rows by times."""

    def __init__(self, models: Any, formula: Formula, data: Any, times: Any, cause: Any) -> None:
        self.given, self.formula, self.data = models, formula, data
        self.times = np.asarray(times, dtype=float)
        self.code = 1 if cause is None else int(cause[0])
        self.names = list(models)

    @cached_property
    def outcome(self) -> cs.Outcome:
        """Give the outcome; causes are named by their code."""
        response: Surv = evaluate(self.formula.left, within(settled(self.data), self.formula.scope))
        codes = np.asarray(getattr(response.event, "codes", response.event)).astype(int)
        return cs.Outcome(response.stop, codes, causes=tuple(str(k) for k in range(1, codes.max() + 1)))

    @property
    def cause(self) -> str:
        """Give the name of the cause."""
        return self.outcome.causes[self.code - 1]

    @cached_property
    def risks(self) -> dict[str, np.ndarray]:
        """Give the predictions, with those of the null model first."""
        y = self.outcome
        null = null_risk(y, np.ones(len(y)), self.cause, self.times)
        found = {name: np.asarray(settled(risk), dtype=float) for name, risk in self.given.items()}
        return {"Null model": np.tile(null, (len(y), 1))} | found

    def rows(self, metric: Any, names: list[str]) -> pd.DataFrame:
        """Give a metric of several models, one after the other."""
        tables = [metric(self.outcome, self.risks[name], self.times, cause=self.cause) for name in names]
        return pd.concat(tables, ignore_index=True)

    def table(self, kind: str, metric: Any, column: str, names: list[str]) -> Pack:
        """Give R's table of a metric."""
        table = Later(lambda: self.rows(metric, names))
        values: dict[str, Any] = {
            "model": np.repeat(np.array(names, dtype=object), len(self.times)),
            "times": np.tile(self.times, len(names)),
            column: Later(lambda: np.asarray(table.value()["value"])),
        }
        for name in ("se", "lower", "upper"):
            values[name] = Later(lambda name=name: table.value()[name].to_numpy())
        if kind == "auc" and self.code > 1:
            values |= dict.fromkeys(("se", "lower", "upper"), Outside(_THREEFOLD))
        if kind == "brier":
            values["IPA"] = Later(lambda: 1 - (table.value()["value"] / table.value()["null_value"]).to_numpy())
            values["IBS"] = Outside(_LEFT_RECTANGLES)
        return Pack(kind, values)

    def contrasts(self, kind: str, metric: Any, column: str, names: list[str]) -> Pack:
        """Give R's table of differences: at each time every model minus every one named before it."""
        pairs = sorted(itertools.combinations(names, 2), key=lambda pair: names.index(pair[0]))

        def table() -> pd.DataFrame:
            parts = [
                metric(self.outcome, self.risks[model], self.risks[reference], self.times, cause=self.cause)
                for reference, model in pairs
            ]
            return pd.concat(parts).sort_values("time", kind="stable")

        found = Later(table)
        labels = [np.array([pair[k] for pair in pairs] * len(self.times), dtype=object) for k in (0, 1)]
        columns = {column: "value", "se": "se", "lower": "lower", "upper": "upper", "p": "p_value"}
        values: dict[str, Any] = {"times": self.times, "reference": labels[0], "model": labels[1]}
        values |= {name: Later(lambda c=c: np.asarray(found.value()[c])) for name, c in columns.items()}
        return Pack(kind, values)


_THREEFOLD = (
    "riskRegression 2022.11 gives about three times the error of leaving rows out, for causes but the first: the formula "
    "is the oracle, tests/metrics/test_auc.py"
)
_LEFT_RECTANGLES = (
    "riskRegression sums left rectangles from its first time and divides by the last: ibs_trapezoid is compared"
)


def _score(
    models: Any, *, formula: Any = None, data: Any = None, times: Any = None, cause: Any = None, **_: Any
) -> Any:
    for value in (models, formula, data, times, *models.values()):
        if isinstance(value, Outside):
            return value
    scored = Scored(models, formula, data, times, cause)
    names, metrics = list(models), cs.metrics
    return {
        "AUC": {
            "score": scored.table("auc", metrics.cumulative_dynamic_auc, "AUC", names),
            "contrasts": scored.contrasts("auc", metrics.auc_difference, "delta.AUC", names),
        },
        "Brier": {
            "score": scored.table("brier", metrics.brier_score, "Brier", ["Null model", *names]),
            "contrasts": scored.contrasts("brier", metrics.brier_difference, "delta.Brier", ["Null model", *names]),
        },
    }


# ---- the oracles' formulas ----


def _outcome(time: Any, event: Any) -> cs.Outcome:
    return cs.Outcome(np.asarray(time, dtype=float), np.asarray(event).astype(int))


def _censoring(time: Any, event: Any, naive: Any) -> cs.CensoringModel:
    """Give the censoring; the naive Kaplan–Meier counts who leaves at a time among those at risk of censoring there."""
    y, later = _outcome(time, event), 0.0
    if naive is not None and bool(naive[0]):
        later = np.min(np.diff(np.unique(y.stop))) / 2
    return cs.CensoringModel().fit(cs.Outcome(y.stop + later * y.event, y.event))


def _brier(time: Any, event: Any, risk: Any, t: Any, gplain: Any = None) -> Any:
    censoring = _censoring(time, event, gplain) if gplain is not None and bool(gplain[0]) else None
    return np.array([cs.metrics.brier_score(_outcome(time, event), risk, float(t[0]), censoring=censoring).value])


def _auc(time: Any, event: Any, risk: Any, t: Any, gplain: Any = None) -> Any:
    return np.array([cs.metrics.cumulative_dynamic_auc(_outcome(time, event), risk, float(t[0])).value])


def _uncensored(before: bool) -> Builtin:
    def probability(time: Any, event: Any, at: Any, gplain: Any = None) -> np.ndarray:
        return _censoring(time, event, gplain).probability(np.asarray(at, dtype=float), before=before)

    return Builtin(probability)


def _cases_and_controls(cases: Any, controls: Any, function: Any) -> np.ndarray:
    """``outer()``, of which cases ask for the mean over cases and controls: churnsurv's AUC without censoring."""
    stop = np.concatenate((np.full(len(cases), 1.0), np.full(len(controls), 3.0)))
    y = cs.Outcome(stop, np.ones(len(stop)))
    return np.array([cs.metrics.cumulative_dynamic_auc(y, np.concatenate((cases, controls)), 2).value])


def _calibration(time: Any, event: Any, risk: Any, t: Any, groups: Any = (5,)) -> Any:
    n_groups = int(groups[0])

    def table() -> pd.DataFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            y = _outcome(settled(time), settled(event))
            return cs.metrics.calibration(y, settled(risk), float(t[0]), bins=n_groups).table

    found = Later(table)
    names = {"group": "bin", **{name: name for name in ("n", "mean_predicted", "observed", "se", "lower", "upper")}}
    return [
        Pack("calibration", {k: Later(lambda g=g, c=c: found.value()[c].to_numpy()[g]) for k, c in names.items()})
        for g in range(n_groups)
    ]


class Ratio(Record):
    """A Poisson regression of an offset alone: the logarithm of observed over expected."""

    def __init__(self, formula: Formula, data: Any) -> None:
        self.formula, self.data = formula, data

    @cached_property
    def table(self) -> pd.DataFrame:
        """Give observed and expected by churnsurv."""
        inner = within(settled(self.data), self.formula.scope)
        expected = np.exp(settled(evaluate(self.formula.right.arguments[0][1], inner)))
        event = np.asarray(evaluate(self.formula.left, inner)).astype(int)
        return cs.metrics.observed_expected(cs.Outcome(np.ones(len(event)), event), expected)

    def component(self, name: str) -> Any:
        """Give the coefficient or its variance, 1 over the events."""
        values = {
            "coef": lambda: np.log(self.table["ratio"].to_numpy()),
            "var": lambda: 1 / self.table[["observed"]].to_numpy(),
        }
        return Later(values[name]) if name in values else super().component(name)


def _glm(node: Call, scope: Scope) -> Any:
    arguments = given(("formula", "family", "data"), node)
    formula = evaluate(arguments["formula"], scope)
    is_offset = isinstance(formula, Formula) and deparse(formula.right).startswith("offset(")
    if arguments.get("family") != Name("poisson") or not is_offset:
        return PROPENSITY["glm"].function(node, scope)
    return Ratio(formula, evaluate(arguments["data"], scope))


class ProductLimit(Record):
    """prodlim's Kaplan–Meier."""

    def __init__(self, formula: Formula, data: Any) -> None:
        self.formula, self.data = formula, data

    def pseudo_values(self, t: float) -> np.ndarray:
        """Give the rows' pseudo-values of the survival."""
        response: Surv = evaluate(self.formula.left, within(settled(self.data), self.formula.scope))
        codes = np.asarray(getattr(response.event, "codes", response.event)).astype(np.int64)
        return 1 - pseudo_values(response.stop, codes, np.ones(len(codes)), 1, t)


def _prodlim(formula: Any, data: Any) -> Any:
    return ProductLimit(formula, data)


def _jackknife(curve: Any, times: Any) -> Any:
    return Later(lambda: curve.pseudo_values(float(times[0])))


def _predict_risk(fit: Any, newdata: Any = None, **options: Any) -> Any:
    if isinstance(fit, CauseSpecific):
        return fit.predict(newdata, **options).component("absRisk")
    return PREDICTIONS["predictRisk"].function(fit, newdata, **options)


def _ecdf(x: Any) -> Any:
    return Builtin(lambda at: np.searchsorted(np.sort(x), np.asarray(at), side="right") / len(x))


SCORES: dict[str, Any] = {
    "concordance": Special(_concordance),
    "conc_pack": Builtin(_conc_pack, structural=True),
    "Score": Builtin(_score, structural=True),
    "brier_ref": Builtin(_brier),
    "auc_ref": Builtin(_auc),
    "G_at": _uncensored(before=False),
    "G_minus": _uncensored(before=True),
    "outer": Builtin(_cases_and_controls),
    "calib_pack": Builtin(_calibration, structural=True),
    "glm": Special(_glm),
    "prodlim": Builtin(_prodlim),
    "jackknife": Builtin(_jackknife),
    "predictRisk": Builtin(_predict_risk),
    "ecdf": Builtin(_ecdf),
}

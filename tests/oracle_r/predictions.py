"""R's predictions from a Cox fit: survival of new rows, linear predictors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import churnsurv as cs
from churnsurv.kernels.times import step_values
from tests.oracle_r.cox import CoxFit, baseline_pack, cox_pack
from tests.oracle_r.evaluator import evaluate, within
from tests.oracle_r.formula import model_frame, stratum_labels, terms_of
from tests.oracle_r.parser import Call, Node
from tests.oracle_r.residuals import FORMER, residual_pack, residuals_of, zph_pack
from tests.oracle_r.values import Builtin, Frame, Later, Outside, Pack, Record, Scope, settled


def _curves_pack(fit: Any, newdata: Any, times: Any, ctypes: Any = None) -> Any:
    """Predicted survival of new rows; the intervals of these curves are not part of this."""
    if not isinstance(fit, CoxFit):
        return Outside("this is not a Cox fit")
    if fit.frame.strata is not None:
        return Outside("outside the scope: predictions by stratum")

    curves = CoxCurves(fit, newdata, np.asarray(times))

    def bound(end: str, kind: str) -> Later:
        return Later(lambda: curves.bound(end, kind))

    kinds = ("log", "log-log", "plain")
    return Pack(
        "prediction",
        {
            "surv": Later(curves.survival),
            "cumhaz": Later(lambda: -np.log(curves.survival())),
            "se_surv": Later(lambda: curves.survival() * curves.hazard_error()),
            **{f"{end}_{kind}": bound(end, kind) for end in ("lower", "upper") for kind in kinds},
        },
    )


class CoxCurves(Record):
    """R's survfit of a Cox fit for new rows, which name their stratum when the fit has strata."""

    def __init__(self, fit: CoxFit, newdata: Frame, times: np.ndarray | None = None) -> None:
        self.fit, self.newdata, self.is_summary = fit, newdata, times is not None
        self.times = np.unique(fit.frame.response.stop) if times is None else np.asarray(times, dtype=float)

    @property
    def strata(self) -> np.ndarray | None:
        """Give the strata of the new rows."""
        if self.fit.frame.strata is None:
            return None
        node = next(t[0] for t in terms_of(self.fit.formula.right, self.newdata, None) if _head(t[0]) == "strata")
        return stratum_labels(node, within(self.newdata, self.fit.formula.scope))

    def curves(self, **options: Any) -> cs.Curves:
        """Give churnsurv's curves at all their steps."""
        return self.fit.model.predict_curves(self.fit.new_design(self.newdata), strata=self.strata, **options)

    def at_times(self, curves: cs.Curves, values: np.ndarray, before: float) -> np.ndarray:
        """Read values (rows, steps) at the times: times by rows, or a vector for one row."""
        # R carries the last value on past the end of a stratum; here nothing is predicted there
        rows = [
            step_values(curves.times, of_row, np.minimum(self.times, last), before=before)
            for of_row, last in zip(values, curves.last, strict=True)
        ]
        return rows[0] if self.newdata.n_rows == 1 else np.array(rows).T

    def survival(self) -> np.ndarray:
        """Give the survival."""
        curves = self.curves()
        return self.at_times(curves, curves.survival, 1.0)

    def bound(self, end: str, kind: str) -> np.ndarray:
        """Give an end of the intervals; R's transformations do not know a survival of 1."""
        curves = self.curves(level=0.95, conf_type=kind)
        return self.at_times(curves, getattr(curves, end)[:, 0], 1.0)

    def hazard_error(self) -> np.ndarray:
        """Give the standard error of the cumulative hazard, which is that of log S."""
        curves = self.curves()
        table = self.fit.model.predict_cumulative_hazard(self.fit.new_design(self.newdata), strata=self.strata)
        return self.at_times(curves, table["se"].to_numpy().reshape(len(curves), -1), 0.0)

    def n_risk(self) -> np.ndarray:
        """Count the rows of the fit at risk at each time."""
        response = self.fit.frame.response
        start = np.full(len(response.stop), -np.inf) if response.start is None else response.start
        return np.array([np.sum((start < t) & (response.stop >= t)) for t in self.times])

    def component(self, name: str) -> Any:
        """Give a component; R's ``std.err`` is that of log S before its summary, and that of S in it."""
        if name == "time":
            return self.times
        if name == "n.risk" and self.fit.frame.strata is None:
            return Later(self.n_risk)
        values = {
            "surv": self.survival,
            "cumhaz": lambda: -np.log(self.survival()),
            "std.err": lambda: (self.survival() if self.is_summary else 1.0) * self.hazard_error(),
            "lower": lambda: self.bound("lower", "log"),
            "upper": lambda: self.bound("upper", "log"),
        }
        return Later(values[name]) if name in values else Outside(f"outside the scope: ${name} of predicted curves")

    def table(self, horizon: float | None) -> Frame:
        """Give R's table: medians, and means restricted to a horizon."""
        design = self.fit.new_design(self.newdata)

        def mean() -> np.ndarray:
            return self.fit.model.expected_lifetime(design, horizon, strata=self.strata)["estimate"].to_numpy()

        def median() -> np.ndarray:
            return self.fit.model.median_lifetime(design, strata=self.strata)["estimate"].to_numpy()

        return Frame({"median": Later(median), **({} if horizon is None else {"rmean": Later(mean)})})


def _head(node: Node) -> str | None:
    return node.head if isinstance(node, Call) else None


def _predict(
    fit: Any, newdata: Any = None, type: Any = None, reference: Any = None, se_fit: Any = None, **_: Any
) -> Any:
    """R's predict of a Cox fit; linear predictors by default about R's centre of the stratum."""
    if not isinstance(fit, CoxFit):
        return Outside("outside the scope: predictions of this")
    kind = "lp" if type is None else str(type[0])
    if kind in ("expected", "survival"):
        return _expected(fit, newdata, kind, with_error=se_fit is not None and bool(se_fit[0]))
    about = "strata" if reference is None else str(reference[0])
    if kind != "lp":
        return Outside(f"outside the scope: predictions of type {kind!r}")
    if about == "strata" and fit.frame.strata is not None and newdata is not None:
        return Outside("outside the scope: linear predictors of new rows about their stratum")

    def relative(column: str) -> np.ndarray:
        design = fit.design if newdata is None else fit.new_design(newdata)
        if about == "zero":
            return fit.model.hazard_ratio(design, reference=0 * design.iloc[:1])[column].to_numpy()
        return fit.model.hazard_ratio(design, reference=_centre(fit, about))[column].to_numpy()

    value = Later(lambda: relative("estimate"))
    return {"fit": value, "se.fit": Later(lambda: relative("se"))} if se_fit is not None and bool(se_fit[0]) else value


def _centre(fit: CoxFit, about: str) -> pd.DataFrame:
    """Give R's centre: means, of indicators 0; about strata the means of each row's stratum."""
    weight = pd.Series(np.ones(len(fit.design)) if "weights" not in fit.frame.extra else fit.frame.extra["weights"])
    design = fit.design.astype(float)
    if about == "strata" and fit.frame.strata is not None:
        groups = pd.Series(fit.frame.strata)
        return (
            design.mul(weight, axis=0)
            .groupby(groups)
            .transform("sum")
            .div(weight.groupby(groups).transform("sum"), axis=0)
        )
    means = design.mul(weight, axis=0).sum() / weight.sum()
    return pd.DataFrame([means.where(~design.isin([-1, 0, 1]).all(), 0.0)])


def _expected(fit: CoxFit, newdata: Any, kind: str, with_error: bool) -> Any:
    """Expected events of new rows, or of those of the fit; R counts for these tied deaths by their share of the step."""
    if fit.frame.strata is not None or fit.frame.offset is not None:
        return Outside("outside the scope: expected events by stratum or with an offset")

    def column(name: str) -> np.ndarray:
        if newdata is None:
            response, design = fit.frame.response, fit.design
        else:
            response = evaluate(fit.formula.left, within(newdata, fit.formula.scope))
            design = fit.new_design(newdata)
        return fit.model.expected_events(design, response.stop, start=response.start)[name].to_numpy()

    def of_the_fit() -> np.ndarray:
        event = np.asarray(fit.frame.response.event, dtype=float)
        return event - residuals_of(fit, "martingale").to_numpy()

    expected: Any = Later(of_the_fit if newdata is None else lambda: column("estimate"))
    if kind == "survival":
        return Later(lambda: np.exp(-expected.value()))
    return {"fit": expected, "se.fit": Later(lambda: column("se"))} if with_error else expected


def _path_survival(
    fit: Any, start: Any, stop: Any, event: Any, X: Any, path: Any, vars: Any, times: Any, efron: Any
) -> Any:
    """Survival along a path, which the cases derive from first principles."""
    at = np.asarray(times, dtype=float)

    def curves(level: float | None = None) -> cs.Curves:
        pieces = pd.DataFrame({name: np.asarray(column) for name, column in path.items()})
        return fit.model.predict_path(pieces, "start", "stop", "id", level=level, conf_type="log")

    def read(end: str) -> Later:
        def values() -> np.ndarray:
            found = curves(None if end == "probability" else 0.95)
            return step_values(found.times, getattr(found, end)[0, 0], at, before=1.0)

        return Later(values)

    z = 1.959963984540054
    survival, lower = read("probability"), read("lower")
    return Pack(
        "prediction",
        {
            "time": at,
            "surv": survival,
            "cumhaz": Later(lambda: -np.log(survival.value())),
            "lower_log": lower,
            "upper_log": read("upper"),
            "se_surv": Later(lambda: survival.value() * np.log(survival.value() / lower.value()) / z),
        },
    )


def _predict_risk(fit: Any, newdata: Any = None, times: Any = None, **options: Any) -> Any:
    if not isinstance(fit, CoxFit) or fit.frame.strata is not None:
        return Outside("outside the scope: capability competing-prediction")
    return Later(lambda: 1 - CoxCurves(fit, newdata, np.asarray(times)).survival().T)


def _average_effect(fit: Any = None, data: Any = None, treatment: Any = None, times: Any = None, **options: Any) -> Any:
    """Standardised risks; the standard errors are empirical there and the model's here."""
    if not isinstance(fit, CoxFit) or treatment is None or treatment[0] not in data:
        return Outside("outside the scope: doubly robust and weighted g-formula")
    column, levels = str(treatment[0]), sorted(set(map(str, settled(data[str(treatment[0])]))))
    at, terms = np.asarray(times, dtype=float), [f"{column}{level}" for level in levels[1:]]

    def difference() -> np.ndarray:
        return averages().contrast(levels[1], levels[0])["estimate"].to_numpy()

    def averages() -> cs.StandardisedCurves:
        settings = {level: {term: float(term == f"{column}{level}") for term in terms} for level in levels}
        return cs.standardised_curves(fit.model, fit.design, at, values=settings)

    other = Outside(
        "riskRegression counts tied exits once in its influence functions: tests/effects/test_standardised.py follows it"
    )
    last = dict.fromkeys(("se", "lower", "upper"), other)
    mean = {
        "estimator": np.repeat(np.array(["GFORMULA"], dtype=object), len(levels) * len(at)),
        "time": np.tile(at, len(levels)),
        "treatment": np.repeat(np.array(levels, dtype=object), len(at)),
        "estimate": Later(lambda: 1 - averages().estimate.ravel()),
    }
    made: dict[str, Any] = {"meanRisk": Pack("prediction", mean | last)}
    if len(levels) == 2:
        names = {"A": levels[0], "B": levels[1]}
        labels = {name: np.repeat(np.array([label], dtype=object), len(at)) for name, label in names.items()}
        risks = {f"estimate.{name}": Later(lambda k=k: 1 - averages().estimate[k]) for k, name in enumerate(names)}
        contrast = {
            "estimator": mean["estimator"][: len(at)],
            "time": at,
            **labels,
            **risks,
            "estimate": Later(difference),
        }
        made["diffRisk"] = Pack("prediction", contrast | last | {"p.value": other})
    return made


def _cox_full(formula: Any, data: Any, newdata: Any = None, times: Any = None, **options: Any) -> Any:
    """Give everything about a plain Cox model under both rules for ties."""
    made: dict[str, Any] = {}
    for ties in ("efron", "breslow"):
        frame = model_frame(formula, data, {}, Scope())
        fit = frame if isinstance(frame, Outside) else CoxFit(formula, data, frame, ties, False)
        block: dict[str, Any] = {
            "fit": fit if isinstance(fit, Outside) else cox_pack(fit),
            "basehaz_x0": fit if isinstance(fit, Outside) else baseline_pack(fit),
        }
        if options.get("resid") is None or options["resid"][0]:
            first = None if options.get("nres") is None else int(options["nres"][0])
            block["residuals"] = residual_pack(fit, first=first)
        if options.get("zph") is None or options["zph"][0]:
            event_times = frame.response.stop[np.asarray(frame.response.event) == 1]
            transforms = ("km", "identity", "rank", "log") if min(event_times) > 0 else ("km", "identity", "rank")
            block["zph"] = zph_pack(fit, transforms)
            block["zph_old_approx"] = Outside(FORMER)
        if newdata is not None and isinstance(fit, CoxFit):
            block["newdata"] = newdata
            block["pred"] = _curves_pack(fit, newdata, times)
            block["pred"]["lp_uncentered"] = _predict(fit, newdata, ["lp"], ["zero"])
            centred = _predict(fit, newdata, ["lp"], se_fit=[True])
            block["pred"] |= {"lp_centered": centred["fit"], "lp_se": centred["se.fit"]}
        made[ties] = block
    return made


PREDICTIONS: dict[str, Any] = {
    "pred_surv": Builtin(_curves_pack),
    "predict": Builtin(_predict),
    "path_survival": Builtin(_path_survival),
    "predictRisk": Builtin(_predict_risk),
    "ate": Builtin(_average_effect),
    "cox_full": Builtin(_cox_full),
}

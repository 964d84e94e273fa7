"""R's ``finegray`` with ``coxph``, cmprsk's ``crr`` and riskRegression's ``CSC``, computed with churnsurv."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

import churnsurv as cs
from churnsurv.estimators.cause_specific_bounds import baselines_of
from churnsurv.kernels.absolute_risk import state_variance
from churnsurv.kernels.nonparametric import interval
from tests.estimators.fine_gray_twins import observation
from tests.oracle_r.cox import CoxFit, given
from tests.oracle_r.evaluator import evaluate, within
from tests.oracle_r.formula import Surv, model_frame, stratum_labels, terms_of
from tests.oracle_r.inference import INFERENCE
from tests.oracle_r.nonparametric import NONPARAMETRIC
from tests.oracle_r.parser import Call, Name
from tests.oracle_r.predictions import PREDICTIONS
from tests.oracle_r.summaries import SUMMARIES
from tests.oracle_r.values import Builtin, Formula, Frame, Later, Outside, Pack, Record, Scope, Special


class FineGrayData(Frame):
    """The frame that R's finegray expands, before the expansion; its weights are those of the expanded rows."""

    outcome: cs.Outcome
    cause: str
    group: np.ndarray | None

    @property
    def later_rows(self) -> Later:
        """Give the number of rows after the expansion."""
        return Later(lambda: np.array([len(self["fgwt"].value())]))

    def weights(self) -> np.ndarray:
        """Give the weights of R's rows: one per piece in which an event of the cause falls, of constant weight."""
        y, code = self.outcome, self.outcome.cause_code(self.cause)
        group = np.zeros(len(y)) if self.group is None else self.group
        made = list(np.ones(len(y)))
        for label in pd.unique(group):
            part = y[group == label]
            factor = observation(part, np.ones(len(part)))
            steps = np.unique(np.concatenate((part.stop[part.event == 0], part.start)))
            events = np.unique(part.stop[part.event == code])
            pieces, first = np.unique(np.searchsorted(steps, events), return_index=True)
            for i in np.flatnonzero((part.event > 0) & (part.event != code)):
                own = np.searchsorted(steps, part.stop[i])
                made += [factor(t, part.stop[i]) for t in events[first[pieces > own]]]
        return np.array(made)


def _finegray(node: Call, scope: Scope) -> Any:
    arguments = given(("formula", "data", "subset", "na.action", "etype"), node)
    formula, data = (evaluate(arguments[name], scope) for name in ("formula", "data"))
    if not isinstance(formula, Formula) or not isinstance(data, Frame):
        return Outside("outside the scope: finegray of this")
    inner = within(data, formula.scope)
    response = evaluate(formula.left, inner)
    causes = [str(c) for c in response.event.categories[1:]]
    cause = causes[0] if arguments.get("etype") is None else str(evaluate(arguments["etype"], scope)[0])
    made = FineGrayData(data)
    made.outcome = _outcome(response, causes)
    made.cause, made.group = cause, None
    for term in terms_of(formula.right, data, formula.left):
        if isinstance(term[0], Call) and term[0].head == "strata":
            made.group = stratum_labels(term[0], inner)
    status = (made.outcome.event == made.outcome.cause_code(cause)).astype(float)
    made |= {"fgstart": np.asarray(made.outcome.start), "fgstop": np.asarray(made.outcome.stop), "fgstatus": status}
    made["fgwt"] = Later(made.weights)
    return made


def _outcome(response: Surv, causes: list[str]) -> cs.Outcome:
    return cs.Outcome(response.stop, np.asarray(response.event.codes), start=response.start, causes=causes)


class FineGrayFit(CoxFit):
    """R's weighted Cox fit of the expanded rows: a Fine–Gray model whose weights are taken as known."""

    @property
    def model(self) -> Any:
        """Give churnsurv's fit."""
        if self._model is None:
            data: FineGrayData = self.data
            model = cs.FineGray(data.cause, ties=self.ties, variance="known weights")
            cluster = self.frame.extra.get("cluster", np.arange(len(data.outcome)))
            model.fit(self.design, data.outcome, strata=self.frame.strata, cluster=cluster, censoring_strata=data.group)
            if not self.robust:
                model.covariance_ = model.naive_covariance_
            self._model = model
        return self._model

    def component(self, name: str) -> Any:
        """Give a component; R counts the expanded rows."""
        return self.data.later_rows if name == "n" else super().component(name)


def _coxph(node: Call, scope: Scope) -> Any:
    arguments = given(("formula", "data"), node)
    data, formula = evaluate(arguments.get("data"), scope), evaluate(arguments.get("formula"), scope)
    if not isinstance(data, FineGrayData):
        return _multi_state(formula, data, arguments, scope) or INFERENCE["coxph"].function(node, scope)
    extra = {name: arguments[name] for name in ("cluster",) if name in arguments}
    frame = model_frame(formula, data, extra, scope)
    if isinstance(frame, Outside):
        return frame
    ties, robust = (evaluate(arguments.get(name), scope) for name in ("ties", "robust"))
    is_robust = "cluster" in frame.extra if robust is None else bool(robust[0])
    return FineGrayFit(formula, data, frame, "efron" if ties is None else str(ties[0]), is_robust)


def _multi_state(formula: Any, data: Any, arguments: dict[str, Any], scope: Scope) -> Any:
    """Give the multi-state Cox model whose states are causes of one exit, or nothing for another model."""
    if not isinstance(formula, Formula) or not isinstance(data, Frame):
        return None
    frame = model_frame(formula, data, {}, scope)
    if isinstance(frame, Outside) or not isinstance(frame.response.event, pd.Categorical):
        return None
    ties = evaluate(arguments.get("ties"), scope)
    return CauseSpecific(formula, frame, "efron" if ties is None else str(ties[0]))


class Crr(Record):
    """cmprsk's crr."""

    def __init__(self, time: Any, cause: Any, design: Any, failcode: Any, group: Any) -> None:
        self.time, self.cause, self.group = np.asarray(time), np.asarray(cause).astype(int), group
        self.design = pd.DataFrame(np.asarray(design)).add_prefix("x")
        self.failcode = str(int(failcode[0]))

    @cached_property
    def model(self) -> cs.FineGray:
        """Give churnsurv's fit, by cmprsk's conventions."""
        causes = [str(code) for code in range(1, int(self.cause.max()) + 1)]
        y = cs.Outcome(self.time, self.cause, causes=causes)
        model = cs.FineGray(self.failcode, ties="breslow", tied_censoring="with")
        return model.fit(self.design, y, censoring_strata=self.group)

    def predict(self, newdata: Any, **_: Any) -> Any:
        """Give times and cumulative incidences as columns."""

        def values() -> np.ndarray:
            new = pd.DataFrame(np.asarray(newdata), columns=self.design.columns)
            curves = self.model.predict_curves(new)
            return np.column_stack((curves.times, curves.cumulative_incidence().T))

        return Later(values)


def _crr(
    ftime: Any, fstatus: Any, cov1: Any, failcode: Any = (1,), cencode: Any = None, cengroup: Any = None, **_: Any
) -> Any:
    return Crr(ftime, fstatus, cov1, failcode, None if cengroup is None else np.asarray(cengroup))


def _crr_pack(fit: Any) -> Any:
    def by_term(values: Any) -> Any:
        return lambda expected: pd.Series(values(), index=np.atleast_1d(expected["coef_names"]))

    def steps() -> np.ndarray:
        return np.diff(fit.model.baseline_cumulative_hazard_["hazard"], prepend=0.0)

    return Pack(
        "fine-gray",
        {
            "coef_names": lambda expected: expected["coef_names"],
            "coef": by_term(lambda: np.asarray(fit.model.coef_)),
            "vcov_robust": Later(lambda: np.asarray(fit.model.covariance_)),
            "se": by_term(lambda: np.sqrt(np.diag(fit.model.covariance_))),
            "inv_information": Later(lambda: np.asarray(fit.model.naive_covariance_)),
            "loglik": Later(lambda: fit.model.log_likelihood_),
            "loglik_null": Later(lambda: fit.model.null_log_likelihood_),
            "converged": Outside("whether cmprsk's iterations reached their own tolerance"),
            "n": Later(lambda: fit.model.n_observations_),
            "event_times": Later(lambda: fit.model.event_times_),
            "base_subdist_hazard_steps": Later(steps),
        },
    )


class CauseSpecific(Record):
    """riskRegression's CSC: cause-specific Cox models with the infinitesimal jackknife."""

    def __init__(self, formula: Formula, frame: Any, ties: str = "efron") -> None:
        self.formula, self.frame, self.ties = formula, frame, ties

    @cached_property
    def model(self) -> cs.CauseSpecificCox:
        """Give churnsurv's fit; every row a cluster of its own asks for the jackknife."""
        response = self.frame.response
        y = _outcome(response, [str(c) for c in response.event.categories[1:]])
        return cs.CauseSpecificCox(ties=self.ties).fit(pd.DataFrame(self.frame.columns), y, cluster=np.arange(len(y)))

    def predict(
        self, newdata: Any, times: Any = None, cause: Any = (1,), product_limit: Any = (True,), **_: Any
    ) -> Any:
        """Give the absolute risks of a cause."""
        return AbsoluteRisk(
            self, self.new_rows(newdata), np.asarray(times, dtype=float), int(cause[0]), bool(product_limit[0])
        )

    def new_rows(self, newdata: Any) -> pd.DataFrame:
        """Give the covariates of new rows."""
        return pd.DataFrame({name: np.asarray(newdata[name], dtype=float) for name in self.frame.columns})


class StateCurves(Record):
    """R's survfit of a multi-state Cox model: products of matrix exponentials of the hazards' increments."""

    def __init__(self, fit: CauseSpecific, new: pd.DataFrame, times: np.ndarray | None = None) -> None:
        self.fit, self.new, self.times = fit, new, times

    def component(self, name: str) -> Any:
        """Give the state probabilities, times by rows by states."""
        if name != "pstate" or self.times is None:
            return Outside(f"outside the scope: component ${name} of multi-state curves")
        return Later(self.states)

    def states(self) -> np.ndarray:
        """Leave the first state at the rate of all causes, which share who leaves in proportion to their increments."""
        models = list(self.fit.model.models_.values())
        steps = np.unique(np.concatenate([m.event_times_ for m in models]))
        hazards = np.stack([m.predict_curves(self.new, steps).cumulative_hazard() for m in models], axis=1)
        increments = np.diff(hazards, axis=2, prepend=0.0)
        total = increments.sum(axis=1, keepdims=True)
        left = np.exp(-np.cumsum(total, axis=2))
        before = np.concatenate((np.ones((len(self.new), 1, 1)), left[:, :, :-1]), axis=2)
        gone = np.cumsum(before * increments / total * -np.expm1(-total), axis=2)
        at = np.searchsorted(steps, self.times, side="right") - 1
        return np.concatenate((left, gone), axis=1)[:, :, at].transpose(2, 0, 1)


class AbsoluteRisk(Record):
    """riskRegression's prediction of a CSC, by product-limit or exponential survival."""

    def __init__(self, fit: CauseSpecific, new: pd.DataFrame, times: np.ndarray, cause: int, product: bool) -> None:
        self.fit, self.new, self.times, self.cause, self.product = fit, new, times, cause, product

    @cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Give risk and standard error, rows by times."""
        model, new = self.fit.model, self.new
        if self.product:
            return model.predict_curves(new, self.times).probability[:, self.cause], np.zeros(0)
        models = list(model.models_.values())
        steps = np.unique(np.concatenate([m.event_times_ for m in models]))
        hazards = np.stack([m.predict_curves(new, steps).cumulative_hazard() for m in models], axis=1)
        increments = np.diff(hazards, axis=2, prepend=0.0)
        states = np.zeros((len(new), 1 + len(models), len(steps) + 1))
        states[:, 0, 0], states[:, 0, 1:] = 1.0, np.exp(-hazards.sum(axis=1))
        states[:, 1:, 1:] = np.cumsum(states[:, :1, :-1] * increments, axis=2)
        away = [new.to_numpy() - m.center_.to_numpy() for m in models]
        ratio = np.exp(np.column_stack([x @ m.coef_.to_numpy() for x, m in zip(away, models, strict=True)]))
        until = np.searchsorted(steps, self.times, side="right")
        since = np.zeros(len(new), dtype=int)
        base = baselines_of(model, 0, steps)
        variance = state_variance(
            base, states, increments.sum(axis=1), ratio, np.hstack(away), since, until, product=False
        )
        return states[:, self.cause][:, until], np.sqrt(variance[:, self.cause])

    def component(self, name: str) -> Any:
        """Give the risk, its standard error, or its bounds on riskRegression's scale, log(−log risk)."""
        quantity = {
            "absRisk": lambda: self.parts[0],
            "absRisk.se": lambda: self.parts[1],
            "absRisk.lower": lambda: interval(*self.parts, 0.95, "log-log")[0],
            "absRisk.upper": lambda: interval(*self.parts, 0.95, "log-log")[1],
        }.get(name)
        return (
            Outside(f"outside the scope: component ${name} of a CSC prediction")
            if quantity is None
            else Later(quantity)
        )


def _csc(node: Call, scope: Scope) -> Any:
    arguments = given(("formula", "data"), node)
    formula, data = (evaluate(arguments[name], scope) for name in ("formula", "data"))
    if not isinstance(formula, Formula) or isinstance(data, Outside):
        return Outside("outside the scope: CSC of this")
    frame = model_frame(formula, data, {}, scope)
    return frame if isinstance(frame, Outside) else CauseSpecific(formula, frame)


def _hist(time: Any, event: Any) -> Any:
    codes = np.asarray(event).astype(int)
    return Surv(np.asarray(time, dtype=float), pd.Categorical(codes, categories=range(int(codes.max()) + 1)))


def _predict(fit: Any, newdata: Any = None, *more: Any, **options: Any) -> Any:
    if isinstance(fit, Crr | CauseSpecific):
        return fit.predict(newdata, **options)
    return PREDICTIONS["predict"].function(fit, newdata, *more, **options)


def _survfit(node: Call, scope: Scope) -> Any:
    arguments = given(("formula", "newdata"), node)
    fit = evaluate(arguments["formula"], scope) if isinstance(arguments.get("formula"), Name) else None
    if not isinstance(fit, CauseSpecific):
        return NONPARAMETRIC["survfit"].function(node, scope)
    return StateCurves(fit, fit.new_rows(evaluate(arguments["newdata"], scope)))


def _summary(curve: Any, *more: Any, times: Any = None, **options: Any) -> Any:
    if isinstance(curve, StateCurves) and times is not None:
        return StateCurves(curve.fit, curve.new, np.asarray(times, dtype=float))
    return SUMMARIES["summary"].function(curve, *more, **({} if times is None else {"times": times}), **options)


FINE_GRAY: dict[str, Any] = {
    "finegray": Special(_finegray),
    "coxph": Special(_coxph),
    "crr": Builtin(_crr),
    "crr_pack": Builtin(_crr_pack),
    "CSC": Special(_csc),
    "Hist": Builtin(_hist),
    "predict": Builtin(_predict),
    "survfit": Special(_survfit),
    "summary": Builtin(_summary),
    "dim": Builtin(lambda x: np.array(np.shape(x))),
}

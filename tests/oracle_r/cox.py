"""R's ``coxph`` and the oracles' ways of writing a Cox fit down, computed with churnsurv."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import churnsurv as cs
from churnsurv.estimators.cox_fit import baseline, baseline_uncertainty, unscaled_log_likelihood
from churnsurv.estimators.cox_state import seen
from churnsurv.exceptions import SeparationWarning, SmallSampleWarning
from churnsurv.kernels.newton import information_at
from tests.oracle_r.concordance import fit_pack, of_fits
from tests.oracle_r.evaluator import evaluate, within
from tests.oracle_r.formula import ModelFrame, Surv, columns_of, model_frame, outcome_of, terms_of
from tests.oracle_r.parser import Call, Node
from tests.oracle_r.values import Builtin, Formula, Frame, Later, Outside, Pack, Record, Scope, Special, settled

#: positions of coxph's and survfit's first arguments
_COXPH = ("formula", "data", "weights", "subset", "na.action", "init", "control", "ties")
#: arguments evaluated within the frame
_IN_DATA = ("weights", "subset", "cluster", "id")


def given(formula_positions: tuple[str, ...], node: Call) -> dict[str, Node | None]:
    """Give the arguments of a call by name, unevaluated."""
    arguments: dict[str, Node | None] = {}
    free = iter(formula_positions)
    named = {name for name, _ in node.arguments}
    for name, value in node.arguments:
        if name is None:
            name = next(position for position in free if position not in named)
        arguments[name] = value
    return arguments


def hold(model: cs.CoxPH, fit: CoxFit) -> None:
    """Put a fitted model at other coefficients, as R does with ``iter.max = 0``."""
    held = np.asarray(settled(fit.held), dtype=float).ravel()
    model.coef_[:] = held if len(held) == len(model.coef_) else 0.0
    outcome, frame = outcome_of(fit.frame.response), fit.frame
    given = {"strata": frame.strata, "sample_weight": frame.extra.get("weights"), "offset": frame.offset}
    rows, data, state = seen(model, fit.design, outcome, **given)
    scale = data.scale
    inverse = np.linalg.inv(information_at(data.problem, state)) / np.outer(scale, scale) / data.factor
    model.covariance_.iloc[:, :] = model.naive_covariance_.iloc[:, :] = inverse
    model.centred_hazard_ = baseline(state, data.buckets, rows.strata_labels)
    variance, gradient = baseline_uncertainty(state, data, False)
    model.hazard_variance_, model.hazard_gradient_ = variance, gradient * scale
    # R's first value is the likelihood at the start of the iterations
    model.log_likelihood_ = model.null_log_likelihood_ = unscaled_log_likelihood(state, data.factor)


def is_whole(weights: np.ndarray | None) -> bool:
    return weights is None or bool(np.all(weights == np.floor(weights)))


class CoxFit(Record):
    """A Cox regression, fitted when a number of it is asked for."""

    def __init__(
        self, formula: Formula, data: Any, frame: ModelFrame, ties: str, robust: bool, held: Any = None
    ) -> None:
        self.formula, self.data, self.frame, self.ties, self.robust = formula, data, frame, ties, robust
        self.held = held
        self._model: cs.CoxPH | None = None

    @property
    def design(self) -> pd.DataFrame:
        """Give the columns."""
        return pd.DataFrame(self.frame.columns)

    @property
    def model(self) -> cs.CoxPH:
        """Give churnsurv's fit."""
        if self._model is None:
            frame = self.frame
            cluster = None
            if self.robust:
                cluster = frame.extra.get("cluster", np.arange(len(frame.response.stop)))
            with warnings.catch_warnings():
                # strata without events and infinite estimates are what some cases are about
                warnings.simplefilter("ignore", SmallSampleWarning)
                warnings.simplefilter("ignore", SeparationWarning)
                self._model = cs.CoxPH(ties=self.ties).fit(
                    self.design,
                    outcome_of(frame.response),
                    strata=frame.strata,
                    sample_weight=frame.extra.get("weights"),
                    cluster=cluster,
                    offset=frame.offset,
                )
            if self.held is not None:
                hold(self._model, self)
        return self._model

    def new_design(self, newdata: Frame) -> pd.DataFrame:
        """Give the columns of new rows."""
        inner = within(newdata, self.formula.scope)
        columns: dict[str, np.ndarray] = {}
        for term in terms_of(self.formula.right, newdata, self.formula.left):
            heads = {node.head for node in term if isinstance(node, Call)}
            if not heads & {"strata", "cluster", "offset"}:
                columns |= columns_of(term, inner)
        return pd.DataFrame(columns)[list(self.frame.columns)]

    def component(self, name: str) -> Any:
        """Give a component as R names it."""
        quantity = _COMPONENTS.get(name)
        if quantity is None:
            return Outside(f"outside the scope: component ${name} of a Cox fit")
        return Later(lambda: quantity(self))


def _coxph(node: Call, scope: Scope) -> Any:
    arguments = given(_COXPH, node)
    formula = evaluate(arguments.pop("formula"), scope)
    data = evaluate(arguments.pop("data", None), scope)
    in_data = {name: arguments.pop(name, None) for name in _IN_DATA}
    options = {name: evaluate(value, scope) for name, value in arguments.items()}
    control = {**options, **(options.get("control") or {})} if isinstance(options.get("control"), dict) else options
    is_held = control.get("iter.max") is not None and control["iter.max"][0] == 0
    if "init" in options and not is_held:
        return Outside("outside the scope: iterations from another start")
    if control.get("timefix") is not None and not control["timefix"][0]:
        return Outside("outside the scope: ties by rounding left apart on purpose (timefix = FALSE)")
    ties = str((options.get("ties", options.get("method")) or ["efron"])[0])
    if ties not in ("efron", "breslow"):
        return Outside(f"outside the scope: ties = {ties!r}")
    if not isinstance(formula, Formula):
        return formula if isinstance(formula, Outside) else Outside("a formula that is not written out")
    frame = model_frame(formula, data, in_data, scope)
    if isinstance(frame, Outside):
        return frame
    if isinstance(frame.response.event, pd.Categorical):
        return Outside("outside the scope: multi-state Cox model")
    if not frame.columns:
        return Outside("outside the scope: a Cox model without covariates")
    robust, extra = options.get("robust"), frame.extra
    by_default = "cluster" in extra or not is_whole(extra.get("weights"))
    if "id" in extra:
        by_default = by_default or has_repeated_events(extra["id"], np.asarray(frame.response.event, dtype=float))
    held = options.get("init", np.zeros(1)) if is_held else None
    return CoxFit(formula, data, frame, ties, by_default if robust is None else bool(robust[0]), held)


def has_repeated_events(subject: np.ndarray, event: np.ndarray) -> bool:
    """Say whether a subject has several events."""
    return bool(pd.Series(subject[event > 0]).duplicated().any())


def _by_term(quantity: Callable[[cs.CoxPH], pd.Series]) -> Callable[[CoxFit], pd.Series]:
    return lambda fit: quantity(fit.model)


def _test(name: str, column: str = "statistic") -> Callable[[CoxFit], Any]:
    return lambda fit: fit.model.tests().loc[name, column]


def _naive_se(model: cs.CoxPH) -> pd.Series:
    return pd.Series(np.sqrt(np.diag(model.naive_covariance_)), index=model.coef_.index)


def _by_component(name: str) -> Builtin:
    return Builtin(
        lambda fit: fit.component(name) if isinstance(fit, Record) else Outside(f"outside the scope: {name} of this")
    )


_COMPONENTS: dict[str, Callable[[CoxFit], Any]] = {
    "coefficients": _by_term(lambda m: m.coef_),
    "coef": _by_term(lambda m: m.coef_),
    "var": lambda fit: fit.model.covariance_.to_numpy(),
    "naive.var": lambda fit: fit.model.naive_covariance_.to_numpy(),
    "loglik": lambda fit: np.array([fit.model.null_log_likelihood_, fit.model.log_likelihood_]),
    "score": _test("score"),
    "rscore": _test("robust_score"),
    "wald.test": _test("wald"),
    "n": lambda fit: fit.model.n_observations_,
    "nevent": lambda fit: fit.model.n_events_,
    "concordance": lambda fit: pd.Series({"concordance": of_fits([fit]).estimates[0].value}),
}


def cox_pack(fit: Any, conc: Any = None) -> Any:
    if not isinstance(fit, CoxFit):
        return Outside("this is not a Cox fit")

    def summary(column: str) -> Later:
        return Later(lambda: fit.model.summary()[column])

    def test(name: str, column: str = "statistic") -> Later:
        return Later(lambda: fit.model.tests().loc[name, column])

    def matrix(name: str) -> Callable[[dict[str, Any]], Any]:
        def in_order(expected: dict[str, Any]) -> np.ndarray:
            terms = np.atleast_1d(expected["coef_names"])
            return getattr(fit.model, name).loc[terms, terms].to_numpy()

        return in_order

    values = {
        "n": fit.component("n"),
        "nevent": fit.component("nevent"),
        "ties": fit.ties,
        "coef_names": Later(lambda: sorted(fit.model.coef_.index)),
        "coef": fit.component("coef"),
        "hr": summary("hazard_ratio"),
        "se": summary("se"),
        "vcov": matrix("covariance_"),
        "loglik_null": Later(lambda: fit.model.null_log_likelihood_),
        "loglik": Later(lambda: fit.model.log_likelihood_),
        "lr_test": test("likelihood_ratio"),
        "wald_test": test("wald"),
        "df": test("wald", "df"),
        "lr_p": test("likelihood_ratio", "p_value"),
        "wald_p": test("wald", "p_value"),
        "z": summary("statistic"),
        "p": summary("p_value"),
        "hr_lower95": summary("hr_lower"),
        "hr_upper95": summary("hr_upper"),
        "score_test": test("score"),
        "score_p": test("score", "p_value"),
        "aic": Later(lambda: fit.model.aic_),
        "bic": Later(lambda: fit.model.bic_),
        "means": Outside("outside the scope: R's centres of the covariates"),
        "concordance": fit_pack(fit),
    }
    if fit.robust:
        values |= {
            "naive_vcov": matrix("naive_covariance_"),
            "naive_se": Later(lambda: _naive_se(fit.model)),
            "robust": True,
            "robust_score_test": test("robust_score"),
        }
    return Pack("cox", values)


def hazard_at(model: cs.CoxPH, stratum: np.ndarray | None, times: np.ndarray) -> np.ndarray:
    """Evaluate the step function of the baseline cumulative hazard."""
    frame = model.baseline_cumulative_hazard_
    found = np.zeros(len(times))
    labels = np.repeat(None, len(times)) if stratum is None else np.asarray(stratum)
    for label in pd.unique(labels):
        rows = labels == label
        steps = frame if label is None else frame[frame["stratum"].astype(str) == str(label)]
        if label is not None and steps.empty:
            raise AssertionError(f"no baseline of stratum {label!r}; there are {list(pd.unique(frame['stratum']))}")
        heights = np.concatenate(([0.0], steps["hazard"].to_numpy()))
        # times written with 12 digits, as those of the cases are, may fall short of the step by rounding
        at = times[rows] * (1 + 1e-11)
        found[rows] = heights[np.searchsorted(steps["time"].to_numpy(), at, side="right")]
    return found


def baseline_pack(fit: Any, every: Any = None) -> Any:
    def cumulative(expected: dict[str, Any]) -> np.ndarray:
        stratum = expected.get("strata")
        return hazard_at(fit.model, stratum, np.atleast_1d(np.asarray(expected["time"], dtype=float)))

    if not isinstance(fit, CoxFit):
        return Outside("this is not a Cox fit")
    return Pack("baseline", {"cumhaz": cumulative})


def _two_ties(function: Any, data: Any, conc: Any = None) -> Any:
    return {ties: cox_pack(function([np.array([ties], dtype=object)], {})) for ties in ("efron", "breslow")}


def _control(**options: Any) -> Any:
    return {name.replace("_", "."): settled(value) for name, value in options.items()}


def _surv(*parts: Any, time: Any = None, time2: Any = None, event: Any = None) -> Any:
    values = [*parts, *(v for v in (time, time2, event) if v is not None)]
    times = [np.asarray(v, dtype=float) for v in values[:-1]]
    state = values[-1] if isinstance(values[-1], pd.Categorical) else np.asarray(values[-1], dtype=float)
    if len(values) == 1:
        times, state = [np.asarray(values[0], dtype=float)], np.ones(len(values[0]))
    state = np.repeat(state, len(times[-1])) if len(state) == 1 else state
    return Surv(times[-1], state, times[0] if len(times) == 2 else None)


COX: dict[str, Any] = {
    "coxph": Special(_coxph),
    "Surv": Builtin(_surv),
    "CTL": {},
    "coxph.control": Builtin(_control),
    "cox_pack": Builtin(cox_pack),
    "bh_pack": Builtin(baseline_pack),
    "two_ties": Builtin(_two_ties),
    "coef": _by_component("coef"),
    "vcov": _by_component("var"),
}

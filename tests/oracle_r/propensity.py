"""R's logistic regression as a propensity, and the survey package's Cox regression, computed with churnsurv."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

import churnsurv as cs
from tests.oracle_r.cox import CoxFit, given
from tests.oracle_r.evaluator import evaluate, within
from tests.oracle_r.formula import columns_of, deparse, model_frame, terms_of
from tests.oracle_r.parser import Call, Name
from tests.oracle_r.values import Builtin, Frame, Later, Outside, Record, Scope, Special, settled


class Logistic(Record):
    """A logistic regression: churnsurv's propensity of 1 against 0."""

    def __init__(self, columns: dict[str, np.ndarray], y: np.ndarray) -> None:
        self.columns, self.y = columns, y

    @cached_property
    def propensity(self) -> cs.effects.Propensity:
        """Give churnsurv's fit."""
        return cs.effects.propensity(pd.DataFrame(self.columns), self.y)

    def component(self, name: str) -> Any:
        """Give the coefficients, the intercept as R names it."""
        if name not in ("coef", "coefficients"):
            return Outside(f"outside the scope: component ${name} of a logistic regression")
        return Later(lambda: self.propensity.coefficients.iloc[:, 0].rename(index={"Intercept": "(Intercept)"}))


class SurveyFit(CoxFit):
    """The survey package's Cox regression: the sandwich of the weighted fit, times n/(n − 1)."""

    def component(self, name: str) -> Any:
        """Give a component as R names it."""
        if name != "var":
            return super().component(name)
        n = len(self.frame.response.stop)
        return Later(lambda: self.model.covariance_.to_numpy() * n / (n - 1))


def _svydesign(node: Call, scope: Scope) -> Any:
    arguments = given(("ids", "weights", "data"), node)
    data, weights, ids = (evaluate(arguments[name], scope) for name in ("data", "weights", "ids"))
    if not isinstance(data, Frame) or deparse(ids.right) != "1":
        return Outside("outside the scope: surveys of clusters")
    return Survey(data, np.asarray(settled(evaluate(weights.right, within(data, scope))), dtype=float))


class Survey(Record):
    """Rows with sampling weights."""

    def __init__(self, data: Frame, weights: np.ndarray) -> None:
        self.data, self.weights = data, weights


def _svycoxph(node: Call, scope: Scope) -> Any:
    arguments = given(("formula", "design"), node)
    formula, design = (evaluate(arguments[name], scope) for name in ("formula", "design"))
    if isinstance(design, Outside):
        return design
    frame = model_frame(formula, design.data, {}, scope)
    if isinstance(frame, Outside):
        return frame
    frame.extra["weights"] = design.weights
    return SurveyFit(formula, design.data, frame, "efron", True)


def _glm(node: Call, scope: Scope) -> Any:
    arguments = given(("formula", "family", "data"), node)
    if arguments.get("family") != Name("binomial") or "weights" in arguments or "offset" in arguments:
        return Outside("outside the scope: regressions that are no propensity")
    formula, data = evaluate(arguments["formula"], scope), evaluate(arguments.get("data"), scope)
    if not isinstance(data, Frame):
        return Outside("outside the scope: a propensity without data")
    inner = within(data, formula.scope)
    columns: dict[str, Any] = {}
    for term in terms_of(formula.right, data, formula.left):
        made = columns_of(term, inner)
        if isinstance(made, Outside):
            return made
        columns |= made
    left = evaluate(formula.left, inner)
    codes = left.codes if isinstance(left, pd.Categorical) else left
    return Logistic(columns, np.asarray(codes, dtype=float))


def _fitted(fit: Any) -> Any:
    if not isinstance(fit, Logistic):
        return Outside("outside the scope: fitted values of other models")
    return Later(lambda: np.asarray(fit.propensity.score))


def _log_likelihood(fit: Any) -> Any:
    if not isinstance(fit, Logistic):
        return Outside("outside the scope: log likelihoods of other models")
    return Later(lambda: np.array([fit.propensity.log_likelihood]))


PROPENSITY: dict[str, Any] = {
    "glm": Special(_glm),
    "fitted": Builtin(_fitted),
    "logLik": Builtin(_log_likelihood),
    "svydesign": Special(_svydesign),
    "svycoxph": Special(_svycoxph),
}

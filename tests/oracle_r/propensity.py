"""R's logistic regression, as far as weights of a Cox model or of curves come from its fitted probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.oracle_r.cox import given
from tests.oracle_r.evaluator import evaluate, within
from tests.oracle_r.formula import columns_of, terms_of
from tests.oracle_r.parser import Call, Name
from tests.oracle_r.values import Builtin, Frame, Outside, Record, Scope, Special


class Logistic(Record):
    """A logistic regression, of which only the fitted probabilities are used: weights of a Cox model come from them."""

    def __init__(self, design: np.ndarray, y: np.ndarray) -> None:
        self.design, self.y = design, y

    def probabilities(self) -> np.ndarray:
        """Give the fitted probabilities, by iteratively reweighted least squares."""
        beta = np.zeros(self.design.shape[1])
        for _ in range(50):
            p = 1 / (1 + np.exp(-self.design @ beta))
            step = np.linalg.solve((self.design.T * (p * (1 - p))) @ self.design, self.design.T @ (self.y - p))
            beta += step
            if np.max(np.abs(step)) < 1e-13:
                break
        return 1 / (1 + np.exp(-self.design @ beta))

    def component(self, name: str) -> Any:
        """Give nothing: the regression itself is not churnsurv's."""
        return Outside("outside the scope: capability iptw")


def _glm(node: Call, scope: Scope) -> Any:
    arguments = given(("formula", "family", "data"), node)
    formula, data = evaluate(arguments["formula"], scope), evaluate(arguments.get("data"), scope)
    if not isinstance(data, Frame) or arguments.get("family") != Name("binomial") or "weights" in arguments:
        return Outside("outside the scope: capability iptw")
    inner = within(data, formula.scope)
    columns: dict[str, Any] = {"(Intercept)": np.ones(data.n_rows)}
    for term in terms_of(formula.right, data, formula.left):
        made = columns_of(term, inner)
        if isinstance(made, Outside):
            return made
        columns |= made
    return Logistic(np.column_stack(list(columns.values())), np.asarray(evaluate(formula.left, inner), dtype=float))


def _fitted(fit: Any) -> Any:
    return fit.probabilities() if isinstance(fit, Logistic) else Outside("outside the scope: fitted values")


PROPENSITY: dict[str, Any] = {"glm": Special(_glm), "fitted": Builtin(_fitted)}

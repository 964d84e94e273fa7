"""R's ``anova`` of two Cox fits, and its time-transform terms."""

from __future__ import annotations

from typing import Any

import numpy as np

import churnsurv as cs
from tests.oracle_r.cox import COX, CoxFit, given
from tests.oracle_r.evaluator import apply, evaluate
from tests.oracle_r.formula import deparse, model_frame, outcome_of, terms_of
from tests.oracle_r.parser import Call, Name, Node
from tests.oracle_r.values import Builtin, Formula, Later, Outside, Record, Scope, Special, settled


class NestedComparison(Record):
    """R's table of a comparison: a row per model; columns loglik, Chisq, Df and the p-value."""

    shape = (2, 4)

    def __init__(self, small: CoxFit, large: CoxFit) -> None:
        self.small, self.large = small, large

    def component(self, name: Any) -> Any:
        """Give a column by name or number."""
        if name == "loglik":
            return Later(lambda: np.array([self.small.model.log_likelihood_, self.large.model.log_likelihood_]))
        field = {"Chisq": "statistic", "Df": "df", 4: "p_value"}.get(name)
        if field is None:
            return Outside(f"component ${name} of a comparison is not translated")
        return Later(lambda: np.array([np.nan, getattr(cs.compare_nested(self.small.model, self.large.model), field)]))


def _anova(*fits: Any) -> Any:
    if len(fits) == 2 and all(isinstance(fit, CoxFit) for fit in fits):
        return NestedComparison(*fits)
    return Outside("outside the scope: comparison of nested models of another kind")


class TimeFit(CoxFit):
    """A fit with a column x·g(t) of its own in every risk set, by episodes cut at all event times."""

    def __init__(self, fit: CoxFit, column: str, g: Any) -> None:
        super().__init__(fit.formula, fit.data, fit.frame, fit.ties, robust=False)
        self.column, self.g = column, g

    @property
    def model(self) -> cs.CoxPH:
        """Give churnsurv's fit."""
        if self._model is None:
            X = self.design.assign(**{self.column: np.asarray(self.frame.extra[self.column], dtype=float)})
            episodes = cs.data.split_episodes(X, outcome_of(self.frame.response), "events", strata=self.frame.strata)
            changed = settled(apply(self.g, [episodes.X[self.column].to_numpy(), episodes.y.stop]))
            strata = None if self.frame.strata is None else self.frame.strata[episodes.rows]
            design = episodes.X.assign(**{self.column: changed})
            self._model = cs.CoxPH(ties=self.ties).fit(design, episodes.y, strata=strata)
        return self._model


def _coxph(node: Call, scope: Scope) -> Any:
    """``coxph`` with time-transform terms; other fits as they are."""
    plain = COX["coxph"].function
    arguments = given(("formula", "data", "weights", "subset", "na.action", "control", "ties"), node)
    if "tt" in arguments:
        return _with_time_transform(node, arguments, scope)
    return plain(node, scope)


def _with_time_transform(node: Call, arguments: dict[str, Node | None], scope: Scope) -> Any:
    formula, data = evaluate(arguments["formula"], scope), evaluate(arguments["data"], scope)
    if not isinstance(formula, Formula):
        return Outside("a formula that is not written out")
    transformed = [t[0] for t in terms_of(formula.right, data, formula.left) if getattr(t[0], "head", None) == "tt"]
    if len(transformed) != 1:
        return Outside("outside the scope: several time-transform terms")
    (term,) = transformed
    rest = Formula(formula.left, Call(Name("-"), ((None, formula.right), (None, term))), formula.scope)
    frame = model_frame(rest, data, {deparse(term): term.arguments[0][1]}, scope)
    if isinstance(frame, Outside):
        return frame
    ties = evaluate(arguments.get("ties"), scope)
    fit = CoxFit(rest, data, frame, "efron" if ties is None else str(ties[0]), robust=False)
    return TimeFit(fit, deparse(term), evaluate(arguments["tt"], scope))


INFERENCE: dict[str, Any] = {"coxph": Special(_coxph), "anova": Builtin(_anova)}

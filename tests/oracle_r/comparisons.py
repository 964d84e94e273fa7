"""R's ``survdiff`` and the oracles' tests and contrasts of groups, computed with churnsurv."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

import churnsurv as cs
from churnsurv.effects.multiplicity import adjusted_p_values
from churnsurv.exceptions import SmallSampleWarning
from churnsurv.kernels.logrank import LogRank, arm_counts, log_rank, named_weights, of_counts
from tests.oracle_r.cox import given
from tests.oracle_r.evaluator import evaluate
from tests.oracle_r.formula import Surv, in_order, model_frame, outcome_of
from tests.oracle_r.parser import Call
from tests.oracle_r.values import Builtin, Formula, Later, Outside, Pack, Record, Scope, Special


class Comparison(Record):
    """A log-rank, Fleming–Harrington or otherwise weighted test."""

    def __init__(
        self,
        response: Surv,
        group: np.ndarray,
        strata: np.ndarray | None,
        rho: float = 0.0,
        gamma: float = 0.0,
        weighting: str | None = None,
    ) -> None:
        self.weighting = weighting
        self.outcome, self.group, self.strata, self.rho, self.gamma = outcome_of(response), group, strata, rho, gamma
        self.labels = in_order(group)

    @cached_property
    def result(self) -> cs.TestResult:
        """Give churnsurv's test."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            options = {"rho": self.rho, "gamma": self.gamma, "weighting": self.weighting}
            return cs.effects.logrank_test(self.outcome, self.group, strata=self.strata, **options)

    def parts(self, rows: np.ndarray | None = None) -> LogRank:
        """Give observed, expected and covariance, of one stratum's rows or of all."""
        stratum = np.zeros(len(self.group), int)
        if self.strata is not None:
            stratum = np.unique(self.strata, return_inverse=True)[1]
        arm = np.array([self.labels.index(label) for label in self.group])
        y, keep = self.outcome, np.ones(len(arm), bool) if rows is None else rows
        columns = (y.entry[keep], y.stop[keep], y.event[keep], arm[keep], stratum[keep])
        if self.weighting is not None:
            counts = arm_counts(*columns, len(self.labels))
            return of_counts(counts, named_weights(counts, self.weighting))
        return log_rank(*columns, len(self.labels), rho=self.rho, gamma=self.gamma)

    def by_stratum(self, part: str) -> np.ndarray:
        """Give observed or expected: by group, or with strata groups by strata."""
        if self.strata is None:
            return getattr(self.parts(), part)
        return np.column_stack([getattr(self.parts(self.strata == s), part) for s in in_order(self.strata)])

    def component(self, name: str) -> Any:
        """Give a component as R names it."""
        quantity = _COMPONENTS.get(name)
        return (
            Outside(f"outside the scope: component ${name} of survdiff")
            if quantity is None
            else Later(lambda: quantity(self))
        )


_COMPONENTS: dict[str, Callable[[Comparison], Any]] = {
    "chisq": lambda c: c.result.statistic,
    "n": lambda c: np.array([np.sum(c.group == label) for label in c.labels]),
    "obs": lambda c: c.by_stratum("observed"),
    "exp": lambda c: c.by_stratum("expected"),
    "var": lambda c: c.parts().covariance,
}


def _survdiff(node: Call, scope: Scope) -> Any:
    arguments = given(("formula", "data", "subset", "na.action", "rho"), node)
    formula, data = evaluate(arguments["formula"], scope), evaluate(arguments.get("data"), scope)
    if not isinstance(formula, Formula):
        return formula if isinstance(formula, Outside) else Outside("a formula that is not written out")
    frame = model_frame(formula, data, {"subset": arguments.get("subset")}, scope, grouped=True)
    if isinstance(frame, Outside) or frame.groups is None:
        return frame if isinstance(frame, Outside) else Outside("outside the scope: one-sample test")
    rho = evaluate(arguments.get("rho"), scope)
    return Comparison(frame.response, frame.groups, frame.strata, 0.0 if rho is None else float(rho[0]))


def _test_pack(test: Any) -> Any:
    if not isinstance(test, Comparison):
        return Outside("this is not a test")

    def as_listed(name: str) -> Callable[[dict[str, Any]], np.ndarray]:
        def values(expected: dict[str, Any]) -> np.ndarray:
            made = np.asarray(_COMPONENTS[name](test))
            # text sorts differently in R's language: where groups are named they are taken in that order
            order = [test.labels.index(label) for label in expected.get("groups", test.labels)]
            return made[np.ix_(order, order)] if name == "var" else made[order]

        return values

    return Pack(
        "logrank",
        {
            "chisq": test.component("chisq"),
            "df": Later(lambda: test.result.df),
            "p": Later(lambda: test.result.p_value),
            "groups": np.array(test.labels, dtype=object),
            **{name: as_listed(name) for name in ("n", "obs", "exp", "var")},
        },
    )


def _fleming_harrington(time: Any, status: Any, group: Any, rho: Any, gamma: Any, strata: Any = None) -> Any:
    response = Surv(np.asarray(time, dtype=float), np.asarray(status, dtype=float))
    labels = np.asarray(group)
    test = Comparison(response, labels, None if strata is None else np.asarray(strata), float(rho[0]), float(gamma[0]))

    two = len(test.labels) == 2

    def score() -> np.ndarray:
        parts = test.parts()
        return parts.observed - parts.expected

    return Pack(
        "logrank",
        {
            "rho": rho,
            "gamma": gamma,
            "U": Later(score),
            "V": Later(lambda: test.parts().covariance),
            "chisq": test.component("chisq"),
            "df": Later(lambda: test.result.df),
            "z": Later(lambda: np.sign(score()[1]) * np.sqrt(test.result.statistic) if two else np.nan),
            "p": Later(lambda: test.result.p_value),
        },
    )


#: names of lib.R's weights
_WEIGHTINGS = {"gehan": "gehan", "tarone_ware": "tarone-ware", "peto": "peto-peto"}


def _weighted(time: Any, status: Any, group: Any, kind: Any) -> Any:
    response = Surv(np.asarray(time, dtype=float), np.asarray(status, dtype=float))
    test = Comparison(response, np.asarray(group), None, weighting=_WEIGHTINGS[str(np.asarray(kind).ravel()[0])])
    values = {
        "U": Later(lambda: test.parts().observed - test.parts().expected),
        "V": Later(lambda: test.parts().covariance),
        "chisq": test.component("chisq"),
        "p": Later(lambda: test.result.p_value),
    }
    return Pack("logrank", values)


_ADJUSTMENTS = {"holm": "holm", "BH": "benjamini-hochberg", "bonferroni": "bonferroni"}


def _adjusted(p_values: Any, method: Any) -> np.ndarray:
    return adjusted_p_values(np.asarray(p_values, dtype=float), _ADJUSTMENTS[str(np.asarray(method).ravel()[0])])


COMPARISONS: dict[str, Any] = {
    "survdiff": Special(_survdiff),
    "sd_pack": Builtin(_test_pack),
    "fh_test": Builtin(_fleming_harrington),
    "wlr_test": Builtin(_weighted),
    "p.adjust": Builtin(_adjusted),
}

"""cmprsk's ``cuminc`` and state probabilities at times, computed with churnsurv."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

import churnsurv as cs
from tests.oracle_r.nonparametric import Curve, at_times, by_group
from tests.oracle_r.values import Builtin, Later, Outside, Pack, Record


def states_at(curve: Any, times: Any, states: Any = None) -> Any:
    """Give the state probabilities at times, with the infinitesimal jackknife's standard errors."""
    if not isinstance(curve, Curve) or not curve.states:
        return Outside("outside the scope: state probabilities of this")
    names = ["customer", *curve.states[1:]]

    def column(name: str, before: float) -> Any:
        def read(part: pd.DataFrame, t: np.ndarray) -> np.ndarray:
            starts = [1.0 if before and state == "customer" else 0.0 for state in names]
            columns = [at_times(part[part["state"] == s], name, t, b) for s, b in zip(names, starts, strict=True)]
            return np.column_stack(columns)

        return by_group(curve, lambda: curve.incidence.table_, read)

    return Pack(
        "aalen-johansen",
        {
            "states": np.array(["(s0)", *curve.states[1:]], dtype=object),
            "pstate": column("estimate", 1.0),
            "se": column("se", 0.0),
            "lower_log": column("lower", 1.0),
            "upper_log": column("upper", 1.0),
        },
    )


class Incidence(Record):
    """cmprsk's cuminc: cumulative incidence by group and cause, with Aalen's variance."""

    def __init__(
        self, time: np.ndarray, cause: np.ndarray, group: np.ndarray | None, strata: np.ndarray | None, rho: float
    ) -> None:
        self.time, self.cause, self.group, self.strata, self.rho = time, cause, group, strata, rho

    @property
    def causes(self) -> tuple[str, ...]:
        """Codes of the causes as names."""
        return tuple(str(code) for code in range(1, int(self.cause.max()) + 1))

    @property
    def outcome(self) -> cs.Outcome:
        """The outcome, causes named by their code."""
        return cs.Outcome(self.time, self.cause.astype(int), causes=self.causes)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Give the table of the Aalen–Johansen estimator."""
        labels = None if self.group is None else np.array([_label(g) for g in self.group], dtype=object)
        return cs.AalenJohansen().fit(self.outcome, by=labels, variance="aalen").table_

    @cached_property
    def gray_tests(self) -> np.ndarray:
        """Give Gray's tests: one row per cause, columns statistic, p-value, degrees of freedom."""
        found = [
            cs.effects.gray_test(self.outcome, self.group, cause=cause, strata=self.strata, rho=self.rho)
            for cause in self.causes
        ]
        return np.array([(test.statistic, test.p_value, test.df) for test in found])

    def component(self, name: str) -> Any:
        """Give Gray's tests."""
        return Later(lambda: self.gray_tests) if name == "Tests" else super().component(name)


def _label(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.15g}"


def _cuminc(time: Any, cause: Any, group: Any = None, cencode: Any = None, strata: Any = None, rho: Any = None) -> Any:
    group, strata = (None if values is None else np.asarray(values) for values in (group, strata))
    return Incidence(np.asarray(time), np.asarray(cause), group, strata, 0.0 if rho is None else float(rho[0]))


def _cuminc_pack(incidence: Any, times: Any) -> Any:
    if not isinstance(incidence, Incidence):
        return Outside("outside the scope: cuminc of this")

    def column(name: str) -> Any:
        def values(expected: dict[str, Any]) -> np.ndarray:
            at = np.asarray(expected["times"], dtype=float)
            rows = []
            for curve in expected["curves"]:
                group, cause = curve.rsplit(" ", 1)
                table = incidence.table
                if incidence.group is not None:
                    table = table[table["group"] == group]
                table = table[table["state"] == cause]
                found = at_times(table, name, at, 0.0)
                # cmprsk's curves end with the data of the group
                found[at > table["time"].max()] = np.nan
                rows.append(found**2 if name == "se" else found)
            return np.array(rows)

        return values

    gray: Any = np.nan
    if incidence.group is not None:
        columns = {"stat": 0, "p": 1, "df": 2}
        tests = {name: Later(lambda k=k: incidence.gray_tests[:, k]) for name, k in columns.items()}
        gray = Pack("gray", {"cause": np.array(incidence.causes, dtype=object), **tests})
    times_ = np.asarray(times)
    return Pack(
        "aalen-johansen",
        {
            "times_": times_,
            "est": column("estimate"),
            "var_aalen": column("se"),
            "curves": lambda e: e["curves"],
            "gray_tests": gray,
        },
    )


INCIDENCE: dict[str, Any] = {
    "aj_at": Builtin(states_at),
    "cuminc": Builtin(_cuminc),
    "cuminc_pack": Builtin(_cuminc_pack),
}

"""R's ``residuals`` and ``cox.zph`` of a Cox fit, and the oracles' ways of writing them down, computed with churnsurv."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import churnsurv as cs
from tests.oracle_r.cox import CoxFit
from tests.oracle_r.evaluator import within
from tests.oracle_r.formula import columns_of, deparse, outcome_of, terms_of
from tests.oracle_r.values import Builtin, Later, Outside, Pack, Record, settled

KINDS = ("martingale", "deviance", "score", "schoenfeld", "scaledsch", "dfbeta", "dfbetas")
_OURS = {"scaledsch": "scaled_schoenfeld"}
FORMER = "the approximation of R's survival before 3.0, which is not the test made here"
_RANK = "R ranks the ends of all rows, which splitting a spell or entering late changes"
_ZERO = "zero up to the rounding of either side"


def residuals_of(fit: CoxFit, kind: str) -> pd.Series | pd.DataFrame:
    """Give churnsurv's residuals of the rows that were fitted."""
    frame = fit.frame
    arguments = {"strata": frame.strata, "sample_weight": frame.extra.get("weights"), "offset": frame.offset}
    return fit.model.residuals(fit.design, outcome_of(frame.response), _OURS.get(kind, kind), **arguments)


def _values(fit: CoxFit, kind: str) -> np.ndarray:
    """Give the numbers as R lays them out: a vector where there is one covariate."""
    found = residuals_of(fit, kind)
    if isinstance(found, pd.DataFrame) and "time" in found.columns:
        found = found.drop(columns=["time", "stratum"])
    values = found.to_numpy()
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _residuals(fit: Any, type: Any = ("martingale",), **other: Any) -> Any:
    if not isinstance(fit, CoxFit) or other or type[0] not in KINDS:
        return Outside("outside the scope: residuals of this")
    return Later(lambda: _values(fit, type[0]))


def residual_pack(
    fit: Any, data: Any = None, weighted_dfbeta: Any = None, types: Any = KINDS, first: Any = None
) -> Any:
    """Give all kinds; of the first entries only, with sums over all, where a case keeps no more."""
    if not isinstance(fit, CoxFit):
        return Outside("residuals of this")
    values: dict[str, Any] = {}
    for kind in types:
        if kind in ("schoenfeld", "scaledsch"):
            values[f"{kind}_time"] = Later(lambda kind=kind: residuals_of(fit, kind)["time"].to_numpy())
        values[kind] = Later(lambda kind=kind: _values(fit, kind))
    if first is None:
        return Pack("residuals", values)
    cut = {name: Later(lambda value=value: settled(value)[:first]) for name, value in values.items()}
    checks = {name: _sums(name, value) for name, value in values.items()}
    note = Outside("a remark")
    return Pack("residuals", {**cut, "checks_over_all_rows": Pack("residuals", checks), "note": note})


def _sums(name: str, value: Later) -> Pack:
    sums: Any = Later(lambda: value.value().sum(axis=0))
    return Pack(
        "residuals",
        {
            "n": Later(lambda: len(value.value())),
            "sum": sums if name.endswith("_time") or name in ("deviance", "scaledsch") else Outside(_ZERO),
            "sumsq": Later(lambda: (value.value() ** 2).sum(axis=0)),
        },
    )


def _test(fit: CoxFit, transform: str, design: pd.DataFrame | None = None) -> pd.DataFrame:
    frame, y = fit.frame, outcome_of(fit.frame.response)
    arguments = {"strata": frame.strata, "sample_weight": frame.extra.get("weights"), "offset": frame.offset}
    if design is None:
        return cs.proportional_hazards_test(fit.model, fit.design, y, transform=transform, terms=False, **arguments)
    model = cs.CoxPH(ties=fit.ties).fit(design, y, **arguments)
    return cs.proportional_hazards_test(model, design, y, transform=transform, **arguments)


def _by_terms(fit: CoxFit) -> pd.DataFrame:
    """Give the columns of the formula with its factors whole."""
    inner = within(fit.data, fit.formula.scope)
    made: dict[str, Any] = {}
    for (node,) in terms_of(fit.formula.right, fit.data, fit.formula.left):
        columns = columns_of((node,), inner)
        name = deparse(node)
        if list(columns) == [name]:
            made[name] = columns[name]
        else:
            level = np.select([column == 1 for column in columns.values()], range(1, len(columns) + 1), 0)
            made[name] = pd.Categorical(level)
    return pd.DataFrame(made)


def zph_pack(fit: Any, transforms: Any = ("km", "identity", "rank", "log"), terms: Any = None) -> Any:
    """Give the tests by transform; each is one thing to check."""
    if not isinstance(fit, CoxFit):
        return Outside("proportional hazards of this")
    made: dict[str, Any] = {}
    for transform in transforms:
        if transform == "rank" and fit.frame.response.start is not None:
            made[transform] = Outside(_RANK)
            continue

        def column(name: str, transform: str = transform) -> Callable[[Any], np.ndarray]:
            return lambda expected: _test(fit, transform)[name].to_numpy()

        term = Later(lambda transform=transform: _test(fit, transform).index.to_numpy())
        columns = {"chisq": column("statistic"), "df": column("df"), "p": column("p_value")}
        made[transform] = Pack("ph-test", {"term": term, **columns})
    return made


class Table(np.ndarray):
    """A matrix with names of its rows."""

    names: np.ndarray


class ProportionalHazards(Record):
    """R's ``cox.zph`` by terms."""

    def __init__(self, fit: CoxFit, transform: str) -> None:
        self.fit, self.transform = fit, transform

    def component(self, name: str) -> Any:
        """Give the table, whose row names are the terms."""
        if name != "table":
            return Outside(f"component ${name} of cox.zph")
        return Later(self.table)

    def table(self) -> Table:
        """Give statistic, df and p-value by term."""
        tests = _test(self.fit, self.transform, _by_terms(self.fit))
        made = tests.to_numpy().view(Table)
        made.names = tests.index.to_numpy()
        return made


def _zph(fit: Any, transform: Any = ("km",), terms: Any = None) -> Any:
    if not isinstance(fit, CoxFit):
        return Outside("proportional hazards of this")
    return ProportionalHazards(fit, transform[0])


def _row_sums(values: Any, group: Any) -> np.ndarray:
    """``rowsum``: sums of the rows by group, groups sorted."""
    return pd.DataFrame(np.asarray(values)).groupby(np.asarray(group)).sum().to_numpy()


RESIDUALS: dict[str, Any] = {
    "residuals": Builtin(_residuals),
    "resid_pack": Builtin(residual_pack),
    "zph_pack": Builtin(zph_pack),
    "cox.zph": Builtin(_zph),
    "zph_old": Builtin(lambda fit: Outside(FORMER)),
    "rownames": Builtin(lambda x: x.names),
    "rowsum": Builtin(_row_sums),
    "colSums": Builtin(lambda x: np.asarray(x).sum(axis=0)),
}

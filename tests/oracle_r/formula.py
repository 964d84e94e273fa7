"""R's model formulas: response, design columns, strata, offset and clusters of the rows of a frame."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import churnsurv as cs
from churnsurv.exceptions import ZeroDurationWarning
from tests.oracle_r.evaluator import evaluate, within
from tests.oracle_r.parser import Call, Constant, Name, Node
from tests.oracle_r.values import Formula, Frame, Later, Outside, Scope, settled

Term = tuple[Node, ...]

#: terms that need more than a column
BEYOND = {
    "tt": "time-transform terms", "ridge": "capability penalized-cox", "pspline": "penalised splines",
    "frailty": "random effects", "ns": "R's spline bases", "bs": "R's spline bases", "poly": "R's polynomials",
}  # fmt: skip


@dataclass
class Surv:
    """Response: (start, stop] and the event, a number or a factor of the states."""

    stop: np.ndarray
    event: Any
    start: np.ndarray | None = None

    def rows(self, index: np.ndarray) -> Surv:
        """Give some rows."""
        return Surv(self.stop[index], self.event[index], None if self.start is None else self.start[index])

    def is_complete(self) -> np.ndarray:
        """Mark rows without missing values."""
        event = self.event.codes < 0 if isinstance(self.event, pd.Categorical) else pd.isna(self.event)
        late = np.zeros(len(self.stop), bool) if self.start is None else pd.isna(self.start)
        return ~(pd.isna(self.stop) | event | late)


@dataclass
class ModelFrame:
    """What a model is fitted to; rows with a missing value are left out."""

    response: Surv
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    strata: np.ndarray | None = None
    offset: np.ndarray | None = None
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray | None = None


def outcome_of(response: Surv) -> cs.Outcome:
    """Give the outcome of a response with one kind of event."""
    event = np.asarray(response.event, dtype=float)
    if event.max() == 2:  # R also takes 1 = censored, 2 = dead
        event = event - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZeroDurationWarning)
        return cs.Outcome(stop=response.stop, event=event.astype(int), start=response.start)


def model_frame(formula: Formula, data: Any, extra: dict[str, Node | None], scope: Scope, grouped: bool = False) -> Any:
    """Read a formula in a frame.

    Parameters
    ----------
    formula, data
        As R's models take them.
    extra : named expressions evaluated in the frame
        Weights, clusters, …; ``subset`` selects rows.
    grouped : bool
        The terms define groups of rows (survfit, survdiff) rather than columns of a design.
    """
    for value in (formula, data):
        if isinstance(value, Outside):
            return value
    if isinstance(data, Later):
        return Outside("data that depend on a fitted model")
    inner = within(data, formula.scope)
    response = evaluate(formula.left, inner)
    if isinstance(response, Outside | Later):
        return response if isinstance(response, Outside) else Outside("a response that depends on a fitted model")
    parts = {name: settled(evaluate(node, within(data, scope))) for name, node in extra.items()}
    wrong = [value for value in parts.values() if isinstance(value, Outside)]
    if wrong:
        return wrong[0]
    chosen = parts.pop("subset", None)
    parts = {name: np.asarray(value) for name, value in parts.items() if value is not None}
    made = ModelFrame(response, extra=parts)
    problem = _read_terms(made, terms_of(formula.right, data, formula.left), inner, grouped)
    return problem or _complete_rows(made, chosen)


def _read_terms(made: ModelFrame, terms: list[Term], inner: Scope, grouped: bool) -> Outside | None:
    group_labels: list[np.ndarray] = []
    for term in terms:
        heads = [node.head if isinstance(node, Call) else None for node in term]
        for head in heads:
            if head in BEYOND:
                return Outside(f"outside the scope: {BEYOND[head]}")
        if len(term) == 1 and heads[0] == "strata":
            made.strata = stratum_labels(term[0], inner)
        elif len(term) == 1 and heads[0] in ("offset", "cluster"):
            value = evaluate(term[0].arguments[0][1], inner)
            if isinstance(value, Outside):
                return value
            if heads[0] == "offset":
                made.offset = value
            else:
                made.extra["cluster"] = np.asarray(value)
        elif grouped:
            value = evaluate(term[0], inner)
            if isinstance(value, Outside):
                return value
            group_labels.append(_labelled(deparse(term[0]), value))
        else:
            columns = columns_of(term, inner)
            if isinstance(columns, Outside):
                return columns
            made.columns |= columns
    if group_labels:
        made.groups = np.array([", ".join(labels) for labels in zip(*group_labels, strict=True)], dtype=object)
    return None


def _complete_rows(made: ModelFrame, chosen: Any) -> ModelFrame:
    parts = [*made.columns.values(), *made.extra.values(), made.strata, made.offset, made.groups]
    keep = made.response.is_complete()
    for part in parts:
        if part is not None:
            keep &= ~pd.isna(part)
    if chosen is not None:
        keep &= np.asarray(chosen, dtype=bool)
    index = np.flatnonzero(keep)

    def rows(part: Any) -> Any:
        return None if part is None else part[index]

    return ModelFrame(
        made.response.rows(index),
        {name: rows(column) for name, column in made.columns.items()},
        rows(made.strata),
        rows(made.offset),
        {name: rows(value) for name, value in made.extra.items()},
        rows(made.groups),
    )


def terms_of(node: Node, data: Any, response: Node | None) -> list[Term]:
    """Expand the right-hand side; main effects come before interactions."""
    if isinstance(node, Call) and node.head in ("+", "*", ":", "(", "-"):
        sides = [terms_of(side, data, response) for _, side in node.arguments]
        if node.head == "(":
            return sides[0]
        if node.head == "-":
            return [term for term in sides[0] if term not in sides[-1]]
        products = [tuple(dict.fromkeys(a + b)) for a in sides[0] for b in sides[-1]]
        terms = sides[0] + sides[-1] if node.head == "+" else products
        if node.head == "*":
            terms = sides[0] + sides[-1] + products
        return sorted(dict.fromkeys(terms), key=len)
    if node == Name(".") and isinstance(data, Frame):
        used = _names_in(response)
        return [(Name(name),) for name in data if name not in used]
    if isinstance(node, Constant):
        return []
    return [(node,)]


def _names_in(node: Node | None) -> set[str]:
    if isinstance(node, Name):
        return {node.text}
    return set().union(*(_names_in(part) for _, part in node.arguments)) if isinstance(node, Call) else set()


def columns_of(term: Term, scope: Scope) -> dict[str, np.ndarray] | Outside:
    """Give the numeric columns of a term; factors by indicators against their first level."""
    factors = []
    for node in term:
        strata = isinstance(node, Call) and node.head == "strata"
        value = pd.Categorical(stratum_labels(node, scope)) if strata else evaluate(node, scope)
        value = settled(value)  # a covariate may be a prediction of another model
        if isinstance(value, Outside):
            return value
        factors.append(_indicators(deparse(node), value))
    made = {}
    for combination in itertools.product(*[list(f.items()) for f in reversed(factors)]):
        parts = list(reversed(combination))
        made[":".join(name for name, _ in parts)] = np.prod([column for _, column in parts], axis=0)
    return made


def _indicators(name: str, value: Any) -> dict[str, np.ndarray]:
    if not isinstance(value, pd.Categorical):
        value = np.asarray(value)
        if value.ndim == 2:
            return {f"{name}{j + 1}": value[:, j] for j in range(value.shape[1])}
        if value.dtype.kind in "biuf":
            suffix = "TRUE" if value.dtype == bool else ""
            return {name + suffix: value.astype(float)}
        value = pd.Categorical(value)
    missing = np.where(value.codes < 0, np.nan, 0.0)
    return {f"{name}{level}": (value == level) + missing for level in value.categories[1:]}


def _labelled(name: str, value: Any) -> np.ndarray:
    texts = [f"{v:.15g}" if isinstance(v, float | int | np.number) else str(v) for v in np.asarray(value)]
    made = np.array([f"{name}={text}" for text in texts], dtype=object)
    made[np.asarray(pd.isna(np.asarray(value)))] = None
    return made


def stratum_labels(node: Node, scope: Scope) -> np.ndarray:
    """Label strata as R does: "surg=0, differ=1", without the name when every variable is text."""
    values = [(deparse(argument), evaluate(argument, scope)) for _, argument in node.arguments]
    short = all(np.asarray(value).dtype == object for _, value in values)
    labels = [np.asarray(value) if short else _labelled(name, value) for name, value in values]
    missing = np.any([pd.isna(label) for label in labels], axis=0)
    made = np.array([", ".join(map(str, parts)) for parts in zip(*labels, strict=True)], dtype=object)
    made[missing] = None
    return made


def in_order(labels: np.ndarray) -> list[Any]:
    """Give the different labels in R's order: "x=2" before "x=10"."""

    def key(label: Any) -> list[tuple[bool, float, str]]:
        values = [part.split("=")[-1] for part in str(label).split(", ")]
        return [(False, float(v), "") if _is_number(v) else (True, 0.0, v) for v in values]

    return sorted(pd.unique(labels), key=key)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def deparse(node: Node | None) -> str:
    """Write an expression as R does in the names of coefficients."""
    if isinstance(node, Name):
        return node.text
    if isinstance(node, Constant):
        return f'"{node.value}"' if isinstance(node.value, str) else f"{node.value:.15g}"
    if not isinstance(node, Call):
        return "function"
    parts = [deparse(argument) for _, argument in node.arguments]
    head = node.head or ""
    if head == "(":
        return f"({parts[0]})"
    if head in ("^", ":") or (head in ("+", "-", "!") and len(parts) == 1):
        return head.join(parts) if len(parts) == 2 else head + parts[0]
    if head in ("+", "-", "*", "/", "==", "<", ">", "<=", ">=", "!=", "%in%"):
        return f"{parts[0]} {head} {parts[1]}"
    named = [
        part if name is None else f"{name} = {part}" for (name, _), part in zip(node.arguments, parts, strict=True)
    ]
    return f"{head}({', '.join(named)})"

"""Evaluator of the part of R in which the oracle cases are written: scopes, assignment, subsets, control flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.exceptions import ChurnSurvError
from tests.oracle_r.parser import Call, Constant, Function, Name, Node
from tests.oracle_r.values import Builtin, Formula, Frame, Later, Outside, Record, Scope, Special, settled, vector


def evaluate(node: Node | None, scope: Scope) -> Any:
    """Give the value of an expression."""
    if node is None or isinstance(node, Constant):
        value = None if node is None else node.value
        return value if value is None else vector(value)
    if isinstance(node, Name):
        return scope.get(node.text)
    if isinstance(node, Function):
        return _closure(node, scope)
    function = scope.get_function(node.head) if node.head is not None else evaluate(node.function, scope)
    if isinstance(function, Special):
        return _attempted(node.head or "", lambda: function.function(node, scope))
    positional, named = arguments_of(node, scope)
    if isinstance(function, Outside):
        # what an argument stands for says more than the name of an unknown function
        inner = [value for value in [*positional, *named.values()] if isinstance(value, Outside)]
        return inner[0] if inner and "not translated" in function.reason else function
    return apply(function, positional, named)


def arguments_of(node: Call, scope: Scope) -> tuple[list[Any], dict[str, Any]]:
    """Evaluate the arguments of a call; ``...`` is spliced in."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, argument in node.arguments:
        if isinstance(argument, Name) and argument.text == "...":
            more = scope.get("...")
            if not isinstance(more, Outside):
                positional += more[0]
                named |= more[1]
        elif name is None:
            positional.append(evaluate(argument, scope))
        else:
            named[name] = evaluate(argument, scope)
    return positional, named


def apply(function: Any, positional: list[Any], named: dict[str, Any] | None = None) -> Any:
    """Call a function of R with values."""
    named = named or {}
    if isinstance(function, Later):
        return Later(lambda: apply(function.value(), positional, named))
    if isinstance(function, Outside):
        return function
    if not isinstance(function, Builtin):
        return function(positional, named) if callable(function) else Outside("what is called is not a function")
    keywords = {name.replace(".", "_"): value for name, value in named.items()}
    if function.structural:
        return function.function(*positional, **keywords)
    everything = [*positional, *keywords.values()]
    for value in everything:
        if isinstance(value, Outside):
            return value
    if any(_is_pending(value) for value in everything):

        def compute() -> Any:
            done = {name: settled(value) for name, value in keywords.items()}
            return apply(function, [settled(value) for value in positional], done)

        return Later(compute)
    return _attempted(function.function.__name__.strip("_"), lambda: function.function(*positional, **keywords))


def _attempted(name: str, call: Callable[[], Any]) -> Any:
    """Give what a call gives; where the translation meets something unforeseen, say so instead of ending the case."""
    try:
        return call()
    except ChurnSurvError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, StopIteration, SyntaxError) as error:
        return Outside(f"this use of R's {name} is not translated ({type(error).__name__}: {error})")


def _is_pending(value: Any) -> bool:
    if type(value) is dict:
        return any(_is_pending(part) for part in value.values())
    if type(value) is list:
        return any(_is_pending(part) for part in value)
    return isinstance(value, Later)


def _closure(node: Function, scope: Scope) -> Callable[[list[Any], dict[str, Any]], Any]:
    def call(positional: list[Any], named: dict[str, Any]) -> Any:
        inner = Scope(outer=scope)
        names = [name for name, _ in node.parameters]
        rest_named = {name: value for name, value in named.items() if name not in names}
        waiting = list(positional)
        for name, default in node.parameters:
            if name == "...":
                inner.names["..."] = (waiting, rest_named)
                waiting = []
            elif name in named:
                inner.names[name] = named[name]
            elif waiting:
                inner.names[name] = waiting.pop(0)
            else:
                inner.names[name] = evaluate(default, inner)
        return evaluate(node.body, inner)

    return call


# ---- assignment and subsets ----


def assign(target: Node, value: Any, scope: Scope, read: Scope) -> None:
    """Set a name, or a part of what a name holds: ``d$x[3] <- value``."""
    if isinstance(target, Name | Constant):
        scope.names[target.text if isinstance(target, Name) else target.value] = value
        return
    inner = target.arguments[0][1]
    if not isinstance(target, Call) or inner is None:
        raise SyntaxError("assignment to something that is not a place")
    if isinstance(inner, Name) and isinstance(read.get(inner.text), Outside):
        held = None if inner.text not in read.names else read.get(inner.text)
    else:
        held = evaluate(inner, read)
    index = [evaluate(argument, read) for _, argument in target.arguments[1:]]
    assign(inner, replaced(held, target.head or "", index, value), scope, read)


def replaced(held: Any, how: str, index: list[Any], value: Any) -> Any:
    """Give `held` with one part replaced."""
    if isinstance(held, Outside):
        return held
    if isinstance(held, Later):
        return Later(lambda: replaced(held.value(), how, index, value))
    if how in ("$", "[["):
        key = index[0][0]
        if isinstance(held, Frame):
            if not isinstance(value, Outside | Later) and len(value) == 1 < held.n_rows:
                value = np.repeat(value, held.n_rows)
            return Frame({**held, key: value})
        if held is None or isinstance(held, dict):
            return {**(held or {}), key: value}
        if isinstance(held, list):
            made = list(held)
            made[int(key) - 1] = value
            return made
    if how == "names" and isinstance(held, Frame):
        return Frame(zip(value, held.values(), strict=True))
    if how == "names":
        parts = list(held.values()) if isinstance(held, dict) else held
        return dict(zip(value, parts, strict=True)) if isinstance(held, dict | list) else pd.Series(held, index=value)
    if how == "[" and len(index) == 1 and not isinstance(value, Outside | Later):
        if held is None or isinstance(held, dict):
            return {**(held or {}), **dict.fromkeys(index[0], value)}
        made = np.array(held, dtype=np.result_type(held, value) if held.dtype != object else object)
        made[positions(index[0], len(made))] = value
        return made
    return Outside(f"assignment to a part by {how!r} is not translated")


def positions(index: Any, n: int, names: Any = None) -> np.ndarray:
    """Translate an index of R (1-based, negative, logical, names) to positions."""
    index = np.asarray(index)
    if index.dtype == bool:
        return np.flatnonzero(np.resize(index, n) if len(index) < n else index)
    if index.dtype == object or index.dtype.kind == "U":
        return np.array([list(names).index(name) for name in index], dtype=int)
    index = index[np.isfinite(index.astype(float))].astype(int)
    if len(index) and index.min() < 0:
        return np.delete(np.arange(n), -index - 1)
    return index[index > 0] - 1


def subset(held: Any, *index: Any, drop: Any = True, exact: Any = True) -> Any:
    """``held[i]``, ``held[i, j]``."""
    for value in (held, *index):
        if isinstance(value, Outside):
            return value
    if any(isinstance(value, Later) for value in (held, *index)):
        return Later(lambda: subset(settled(held), *[settled(i) for i in index], drop=drop))
    if isinstance(held, Frame):
        columns = list(held)
        if index[-1] is not None:
            columns = [columns[p] for p in positions(index[-1], len(columns), columns)]
        chosen = Frame({name: held[name] for name in columns})
        if len(index) == 2 and index[0] is not None:
            chosen = chosen.rows(positions(index[0], held.n_rows))
        return next(iter(chosen.values())) if len(index) == 2 and len(columns) == 1 and drop is True else chosen
    if isinstance(held, dict):
        return {name: held[name] for name in [list(held)[p] for p in positions(index[0], len(held), list(held))]}
    if isinstance(held, list):
        return [held[p] for p in positions(index[0], len(held))]
    if held is None or isinstance(held, Record):
        return Outside("a subset of this is not translated")
    if len(index) >= 2:
        for axis, one in enumerate(index):
            if one is not None:
                held = np.take(held, positions(one, held.shape[axis]), axis=axis)
        return np.atleast_1d(held.squeeze()) if drop is True and 1 in held.shape else held
    if isinstance(held, pd.Series):
        return held.iloc[positions(index[0], len(held), held.index)]
    if isinstance(held, np.ndarray) and held.ndim == 2:
        held = held.ravel(order="F")
    return held[positions(index[0], len(held))]


def component(held: Any, key: Any, exact: Any = True) -> Any:
    """``held$key``, ``held[[key]]``."""
    if isinstance(held, Outside):
        return held
    if isinstance(held, Later):
        return Later(lambda: component(held.value(), key))
    if isinstance(held, Record):
        return held.component(key[0])
    if isinstance(held, dict):
        if isinstance(key[0], str):
            return held.get(key[0])
        return list(held.values())[int(key[0]) - 1]
    if held is None:
        return None
    if isinstance(held, list):
        return held[int(key[0]) - 1]
    return np.asarray(subset(held, key))


# ---- control flow ----


def _truth(value: Any) -> bool:
    value = settled(value)
    return bool(np.asarray(value).ravel()[0])


def _if(node: Call, scope: Scope) -> Any:
    condition = evaluate(node.arguments[0][1], scope)
    if isinstance(condition, Outside):
        return condition

    def branch() -> Any:
        chosen = 1 if _truth(condition) else 2
        return evaluate(node.arguments[chosen][1], scope) if chosen < len(node.arguments) else None

    return Later(branch) if isinstance(condition, Later) else branch()


def _for(node: Call, scope: Scope) -> None:
    (_, variable), (_, values), (_, body) = node.arguments
    values = evaluate(values, scope)
    if isinstance(values, Outside):
        return
    values = settled(values)
    for value in values.values() if isinstance(values, dict) else values:
        scope.names[variable.text] = value if isinstance(values, list | dict) else vector(value)
        evaluate(body, scope)


def _block(node: Call, scope: Scope) -> Any:
    value = None
    for _, statement in node.arguments:
        value = evaluate(statement, scope)
    return value


def _set(node: Call, scope: Scope) -> Any:
    (_, target), (_, value) = node.arguments
    value = evaluate(value, scope)
    assign(target, value, scope.owner(_root(target)) if node.head == "<<-" else scope, scope)
    return value


def _root(target: Node) -> str:
    while isinstance(target, Call):
        target = target.arguments[0][1]
    return target.text


def _formula(node: Call, scope: Scope) -> Formula:
    sides = [side for _, side in node.arguments]
    return Formula(sides[0] if len(sides) == 2 else None, sides[-1], scope)


def _and_or(node: Call, scope: Scope) -> Any:
    first = evaluate(node.arguments[0][1], scope)
    if isinstance(first, Outside | Later):
        return Outside("a condition on something computed later")
    if _truth(first) == (node.head == "||"):
        return np.array([node.head == "||"])
    return evaluate(node.arguments[1][1], scope)


def _switch(node: Call, scope: Scope) -> Any:
    key = evaluate(node.arguments[0][1], scope)
    return next((evaluate(value, scope) for name, value in node.arguments[1:] if name == key[0]), None)


def within(frame: Any, scope: Scope) -> Scope:
    """Give the scope in which names are the columns of a frame first."""
    return Scope(dict(frame), scope) if isinstance(frame, dict) else scope


def _transform(node: Call, scope: Scope) -> Any:
    frame = evaluate(node.arguments[0][1], scope)
    if not isinstance(frame, Frame):
        return frame
    inner = within(frame, scope)
    for name, value in node.arguments[1:]:
        frame = replaced(frame, "$", [[name]], evaluate(value, inner))
    return frame


def _with(node: Call, scope: Scope) -> Any:
    return evaluate(node.arguments[1][1], within(evaluate(node.arguments[0][1], scope), scope))


def _rows_where(node: Call, scope: Scope) -> Any:
    frame = evaluate(node.arguments[0][1], scope)
    return subset(frame, evaluate(node.arguments[1][1], within(frame, scope)), None)


def _first_argument(node: Call, scope: Scope) -> Any:
    return evaluate(node.arguments[0][1], scope)


def _nothing(node: Call, scope: Scope) -> None:
    return None


#: what a case does for its own sake: checks, packages, writing its files
LANGUAGE: dict[str, Any] = {
    **dict.fromkeys(
        ("source", "suppressPackageStartupMessages", "library", "invisible", "stopifnot", "put_csv", "cat", "set.seed",
         "print", "options"),
        Special(_nothing),
    ),
    **dict.fromkeys(
        ("(", "try", "withCallingHandlers", "suppressWarnings", "suppressMessages", "tryCatch", "quote", "system.time"),
        Special(_first_argument),
    ),
    **dict.fromkeys(("<-", "=", "<<-"), Special(_set)),
    **dict.fromkeys(("&&", "||"), Special(_and_or)),
    "{": Special(_block),
    "if": Special(_if),
    "for": Special(_for),
    "~": Special(_formula),
    "switch": Special(_switch),
    "transform": Special(_transform),
    "with": Special(_with),
    "subset": Special(_rows_where),
    "[": Builtin(subset, structural=True),
    "[[": Builtin(component, structural=True),
    "$": Builtin(component, structural=True),
}  # fmt: skip

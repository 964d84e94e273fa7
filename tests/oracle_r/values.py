"""The values that travel through a script of R.

Vectors are arrays, named vectors are Series, lists are dicts (with names) or lists, matrices are arrays of 2 dimensions.
Two kinds pass through every expression: :class:`Outside` says why something is not computed here, and whatever is made from
it is outside too; :class:`Later` is computed when it is asked for, and whatever is made from it is computed later too, so
that reading a script fits no model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.oracle_r.parser import Call, Node


@dataclass(frozen=True)
class Outside:
    """A value that is not computed, and why."""

    reason: str


class Later:
    """A value computed when it is asked for, once."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute: Callable[[], Any] | None = compute
        self._value: Any = None

    def value(self) -> Any:
        """Give the value."""
        if self._compute is not None:
            value = self._compute()
            while isinstance(value, Later):
                value = value.value()
            self._value, self._compute = value, None
        return self._value


class Frame(dict[str, Any]):
    """A data frame: columns by name; a column may be :class:`Outside`."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return next((len(column) for column in self.values() if not isinstance(column, Outside)), 0)

    def rows(self, index: np.ndarray) -> Frame:
        """Give the frame of some rows."""
        return Frame({k: v if isinstance(v, Outside) else v[index] for k, v in self.items()})


class Pack(dict[str, Any]):
    """Quantities that a case lists together: one thing to check, of a kind.

    A value is a number or array, :class:`Later`, :class:`Outside`, or a function of the expected block.
    """

    def __init__(self, kind: str, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.kind = kind


class Record:
    """An object of R with components, such as a fitted model."""

    def component(self, name: str) -> Any:
        """Give the component ``object$name``."""
        return Outside(f"component ${name} of {type(self).__name__} is not translated")


@dataclass
class Scope:
    """Names and their values, within an outer scope."""

    names: dict[str, Any] = field(default_factory=dict)
    outer: Scope | None = None

    def get(self, name: str) -> Any:
        """Give the value of a name."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return Outside(f"R's {name} is not translated")

    def get_function(self, name: str) -> Any:
        """Give the function of a name: values that are no functions are passed over, as R does."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if isinstance(found, Outside | Later | Builtin | Special) or callable(found):
                return found
            scope = scope.outer
        return Outside(f"R's {name} is not translated")

    def owner(self, name: str) -> Scope:
        """Give the scope in which ``<<-`` sets a name."""
        scope = self.outer or self
        while name not in scope.names and scope.outer is not None:
            scope = scope.outer
        return scope if name in scope.names else self


@dataclass(frozen=True)
class Special:
    """A function that sees its arguments unevaluated."""

    function: Callable[[Call, Scope], Any]


@dataclass(frozen=True)
class Builtin:
    """A function of evaluated arguments; `structural` ones accept values that are outside or computed later."""

    function: Callable[..., Any]
    structural: bool = False


@dataclass(frozen=True)
class Formula:
    """A formula, unevaluated: left and right side and where its names are looked up."""

    left: Node | None
    right: Node
    scope: Scope


def vector(value: Any) -> np.ndarray:
    """Give the vector of one value."""
    return np.array([value], dtype=object if isinstance(value, str) else None)


def settled(value: Any) -> Any:
    """Give the value with everything computed that was to be computed later."""
    if isinstance(value, Later):
        return settled(value.value())
    if type(value) is Frame:
        return Frame({name: settled(part) for name, part in value.items()})
    if type(value) is dict:
        return {name: settled(part) for name, part in value.items()}
    if type(value) is list:
        return [settled(part) for part in value]
    return value

"""Parser of the part of R in which the oracle cases are written: text → tree.

As in R itself everything that is not a constant, a name or a function is a call: ``a + b`` is the call of ``+``,
``d$x`` the call of ``$``, ``x[i, ]`` the call of ``[`` with a missing argument.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Constant:
    """A number, a text, TRUE, FALSE, NA, or NULL (None)."""

    value: Any


@dataclass(frozen=True)
class Name:
    """A name to be looked up."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call: what is called, and (name or None, value) of each argument; a missing argument is None."""

    function: Node
    arguments: tuple[tuple[str | None, Node | None], ...]

    @property
    def head(self) -> str | None:
        """Give the name of what is called, if it has one."""
        return self.function.text if isinstance(self.function, Name) else None


@dataclass(frozen=True)
class Function:
    """A function: (name, default or None) of each parameter, and the body."""

    parameters: tuple[tuple[str, Node | None], ...]
    body: Node


Node = Constant | Name | Call | Function

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<number>0[xX][0-9a-fA-F]+L?|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?L?)
      | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<quoted>`[^`]+`)
      | (?P<name>(?:[A-Za-z]|\.(?![0-9]))[A-Za-z0-9._]*)
      | (?P<operator><<-|<-|->|%[^%\n]*%|\|>|:::|::|==|!=|<=|>=|&&|\|\||\[\[|[-+*/^:~!&|<>=?$@(){}\[\],;\\])
    """,
    re.VERBOSE,
)
_CONSTANTS = {
    "TRUE": True, "FALSE": False, "T": True, "F": False, "NULL": None, "NA": float("nan"), "NaN": float("nan"),
    "NA_real_": float("nan"), "Inf": float("inf"),
}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t"}

#: binary operators: precedence, and whether they group from the right
_BINARY = {
    "=": (1, True), "<-": (2, True), "<<-": (2, True), "->": (3, False), "~": (4, False),
    "||": (5, False), "|": (5, False), "&&": (6, False), "&": (6, False),
    "==": (8, False), "!=": (8, False), "<": (8, False), ">": (8, False), "<=": (8, False), ">=": (8, False),
    "+": (9, False), "-": (9, False), "*": (10, False), "/": (10, False), "%%": (11, False), "|>": (11, False),
    ":": (12, False), "^": (14, True),
}  # fmt: skip
_UNARY = {"-": 13, "+": 13, "!": 7, "~": 4}
_POSTFIX = 15


def parse(text: str) -> list[Node]:
    """Give the statements of a script."""
    return _Parser(_tokens(text)).statements(end=None)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            line = text.count("\n", 0, position) + 1
            raise SyntaxError(f"line {line}: {text[position : position + 20]!r} is not understood")
        kind = str(match.lastgroup)
        if kind != "space":
            tokens.append((kind, match.group()))
        position = match.end()
    return [*tokens, ("end", "")]


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.position = 0

    def peek(self) -> str:
        return self.tokens[self.position][1]

    def skip_newlines(self) -> None:
        while self.tokens[self.position][0] == "newline":
            self.position += 1

    def take(self, expected: str | None = None) -> tuple[str, str]:
        token = self.tokens[self.position]
        if expected is not None and token[1] != expected:
            near = " ".join(text for _, text in self.tokens[max(0, self.position - 6) : self.position + 3])
            raise SyntaxError(f"{expected!r} expected near {near!r}")
        self.position += 1
        return token

    def statements(self, end: str | None) -> list[Node]:
        found = []
        while True:
            while self.tokens[self.position][0] == "newline" or self.peek() == ";":
                self.position += 1
            if self.tokens[self.position][0] == "end" or self.peek() == end:
                return found
            found.append(self.expression(in_block=True))

    def expression(self, least: int = 0, in_block: bool = False) -> Node:
        """Parse an operand and the operators after it that bind at least as tightly as `least`.

        Within a block a newline ends the expression; within parentheses and brackets it means nothing.
        """
        self.skip_newlines()
        left = self.postfix(self.operand(in_block), in_block)
        while True:
            if not in_block:
                self.skip_newlines()
            kind, operator = self.tokens[self.position]
            key = "%%" if operator.startswith("%") else operator
            if kind != "operator" or key not in _BINARY or _BINARY[key][0] < least:
                return left
            precedence, from_right = _BINARY[key]
            self.take()
            right = self.expression(precedence if from_right else precedence + 1, in_block)
            if operator == "->":
                operator, left, right = "<-", right, left
            left = Call(Name(operator), ((None, left), (None, right)))

    def operand(self, in_block: bool) -> Node:
        kind, text = self.take()
        if kind == "number":
            digits = text.rstrip("L")
            return Constant(float(int(digits, 16)) if digits[:2].lower() == "0x" else float(digits))
        if kind == "text":
            return Constant(re.sub(r"\\(.)", lambda m: _ESCAPES.get(m.group(1), m.group(1)), text[1:-1]))
        if kind == "quoted":
            return Name(text[1:-1])
        if kind == "name":
            return self.word(text, in_block)
        if text in _UNARY:
            return Call(Name(text), ((None, self.expression(_UNARY[text], in_block)),))
        if text == "(":
            inside = self.expression()
            self.skip_newlines()
            self.take(")")
            return Call(Name("("), ((None, inside),))
        if text == "{":
            body = self.statements("}")
            self.take("}")
            return Call(Name("{"), tuple((None, statement) for statement in body))
        if text == "\\":
            return self.function(in_block)
        raise SyntaxError(f"{text!r} is not the beginning of an expression")

    def word(self, text: str, in_block: bool) -> Node:
        if text in _CONSTANTS:
            return Constant(_CONSTANTS[text])
        if text == "function":
            return self.function(in_block)
        if text in ("if", "while"):
            self.take("(")
            condition = self.expression()
            self.skip_newlines()
            self.take(")")
            parts = [condition, self.expression(1, in_block)]
            before = self.position
            self.skip_newlines()
            if text == "if" and self.peek() == "else":
                self.take()
                parts.append(self.expression(1, in_block))
            else:
                self.position = before
            return Call(Name(text), tuple((None, part) for part in parts))
        if text == "for":
            self.take("(")
            variable = self.take()[1]
            self.take("in")
            values = self.expression()
            self.skip_newlines()
            self.take(")")
            return Call(Name("for"), ((None, Name(variable)), (None, values), (None, self.expression(1, in_block))))
        return Name(text)

    def function(self, in_block: bool) -> Node:
        self.take("(")
        parameters: list[tuple[str, Node | None]] = []
        self.skip_newlines()
        while self.peek() != ")":
            name = self.take()[1]
            default = None
            self.skip_newlines()
            if self.peek() == "=":
                self.take()
                default = self.expression(2)
                self.skip_newlines()
            parameters.append((name, default))
            if self.peek() == ",":
                self.take()
                self.skip_newlines()
        self.take(")")
        return Function(tuple(parameters), self.expression(1, in_block))

    def postfix(self, left: Node, in_block: bool) -> Node:
        """Parse what follows an operand: calls, subsets, components; a power binds less tightly."""
        while True:
            if not in_block:
                self.skip_newlines()
            text = self.peek()
            if text == "(":
                self.take()
                left = Call(left, self.arguments((")",)))
            elif text in ("[", "[["):
                self.take()
                closing = ("]",) if text == "[" else ("]", "]")
                left = Call(Name(text), ((None, left), *self.arguments(closing)))
            elif text in ("$", "@", "::", ":::"):
                self.take()
                kind, component = self.take()
                component = component[1:-1] if kind in ("text", "quoted") else component
                left = (
                    Name(component) if "::" in text else Call(Name(text), ((None, left), (None, Constant(component))))
                )
            else:
                return left

    def arguments(self, closing: tuple[str, ...]) -> tuple[tuple[str | None, Node | None], ...]:
        found: list[tuple[str | None, Node | None]] = []
        while True:
            self.skip_newlines()
            if self.peek() == closing[0]:
                if found:
                    found.append((None, None))
                break
            if self.peek() == ",":
                found.append((None, None))
                self.take()
                continue
            found.append(self.argument())
            self.skip_newlines()
            if self.peek() != ",":
                break
            self.take()
        for token in closing:
            self.take(token)
        return tuple(found)

    def argument(self) -> tuple[str | None, Node | None]:
        kind, text = self.tokens[self.position]
        after = self.position + 1
        while self.tokens[after][0] == "newline":
            after += 1
        if kind in ("name", "text", "quoted") and self.tokens[after][1] == "=":
            self.position = after + 1
            self.skip_newlines()
            name = text if kind == "name" else text[1:-1]
            return name, (None if self.peek() in (",", ")") else self.expression(2))
        return None, self.expression(2)

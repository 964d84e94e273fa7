"""How a value of a table is shown: its text by the column's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NONE = "–"
MINUS = "\u2212"
#: severity → the sign that stands before its name, so that it is told by shape and word as well as by colour
MARKS = {"red": "\u25a0", "amber": "\u25b2"}
#: letters up to which a text in a table is kept on one line
SHORT = 22


def shown(value: Any, format: str) -> str:
    """Give the text of a value; text given in place of a number (a suppressed cell) stays as it is.

    Formats: ``text``, ``integer``, ``p``, and with digits after a colon ``number:2``, ``percent:1``, ``interval:2``,
    ``percent interval:1``.

    >>> shown(0.1234, "percent:1"), shown([0.5, 1.25], "interval:2"), shown(0.00001, "p"), shown("<5", "integer")
    ('12.3%', '0.50 to 1.25', '<0.001', '<5')
    """
    if value is None:
        return NONE
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    kind, _, digits = format.partition(":")
    return _number(value, kind, int(digits or 0))


def _number(value: Any, kind: str, digits: int) -> str:
    if kind.endswith("interval"):
        one = "percent" if kind.startswith("percent") else "number"
        lower, upper = (NONE if v is None else _number(v, one, digits) for v in value)
        return f"{lower} to {upper}"
    if kind == "percent":
        return f"{_without_minus_zero(100 * value, digits)}%"
    if kind == "integer":
        return _without_minus_zero(value, 0)
    if kind == "p":
        return "<0.001" if value < 0.001 else f"{value:.3f}"
    if kind == "value":
        return f"{value:g}"
    if kind == "number":
        return _without_minus_zero(value, digits)
    return str(value)


def _without_minus_zero(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def cell_class(value: Any, format: str) -> str:
    """Give how a cell is set: "number", "number hidden" (text in place of a number), "short" (text of one line), or "".

    >>> cell_class(1.2, "number:2"), cell_class("<5", "integer"), cell_class("North", "text")
    ('number', 'number hidden', 'short')
    """
    if format == "text":
        return "short" if isinstance(value, str) and len(value) <= SHORT else ""
    is_words = isinstance(value, str) and not value[:1].isdigit() and format != "value"
    return "number hidden" if is_words else "number"


def names_of_evidence(document: Mapping[str, Any]) -> dict[str, str]:
    """Give key → what a link to the block or section of that key is called: "Table 3", "Section 2"."""
    names = {section["key"]: f"Section {i}" for i, section in enumerate(document["sections"], start=1)}
    for block in (b for section in document["sections"] for b in section["blocks"]):
        if block["kind"] in ("table", "figure"):
            names[block["key"]] = f"{block['kind'].capitalize()} {block['number']}"
    return names


def group_begins(groups: Sequence[str], position: int) -> bool:
    """Whether the row at this position is the first of its block of rows."""
    return bool(groups) and (position == 0 or groups[position] != groups[position - 1])


def headings_over(columns: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Give the headings above those of the columns, with the number of columns that each spans; empty where there is none.

    >>> headings_over([{"over": ""}, {"over": "Default"}, {"over": "Default"}])
    [('', 1), ('Default', 2)]
    """
    if not any(column.get("over") for column in columns):
        return []
    spans: list[tuple[str, int]] = []
    for column in columns:
        over = column.get("over", "")
        if spans and spans[-1][0] == over:
            spans[-1] = (over, spans[-1][1] + 1)
        else:
            spans.append((over, 1))
    return spans

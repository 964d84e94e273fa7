"""How a value of a table is shown: its text by the column's format."""

from __future__ import annotations

from typing import Any

NONE = "–"


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
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "\u2212")

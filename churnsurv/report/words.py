"""Sentences made of numbers: what an estimate says, and that it says nothing where its interval includes "no effect"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from churnsurv.messages import counted


def percent(value: float, digits: int = 1) -> str:
    """Give "12.3%"."""
    return f"{100 * value:.{digits}f}%"


def level_words(level: float) -> str:
    """Give "95%", "97.5%".

    >>> level_words(0.975)
    '97.5%'
    """
    return f"{100 * level:.10g}%"


def p_words(p_value: float) -> str:
    """Give "p <0.001" or "p = 0.123"."""
    return "p <0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def periods(n: float, unit: str) -> str:
    """Give "1 month", "24 months".

    >>> periods(24, "month")
    '24 months'
    """
    return f"{n:g} {unit}" + ("" if n == 1 else "s")


def is_clear(lower: float, upper: float, null: float = 1.0) -> bool:
    """Whether an interval excludes the value that means "no effect"."""
    return lower <= upper and not lower <= null <= upper


def is_estimable(row: dict[str, Any]) -> bool:
    """Whether a hazard ratio has an interval that says something."""
    return bool(0 < row["hr_lower"] <= row["hr_upper"] < float("inf"))


def ratio_words(row: dict[str, Any], of: str) -> str:
    """Give "29% higher hazard of attrition", or that it is not distinguishable.

    >>> ratio_words({"hazard_ratio": 1.29, "hr_lower": 1.1, "hr_upper": 1.5}, "default")
    '29% higher hazard of default'
    """
    if not is_estimable(row):
        return "not estimable"
    if not is_clear(row["hr_lower"], row["hr_upper"]):
        return f"no distinguishable difference in the hazard of {of}"
    ratio = row["hazard_ratio"]
    if ratio >= 2:
        return f"hazard of {of} {ratio:.1f} times as high"
    return f"{percent(abs(ratio - 1), 0)} {'higher' if ratio > 1 else 'lower'} hazard of {of}"


def ratio_sentence(subject: str, row: dict[str, Any], inline: str, of: str) -> str:
    """Say what a hazard ratio means: the size and direction of the difference, or that there is none to be seen."""
    if not is_estimable(row):
        return f"{subject}: the hazard ratio of {of} is not estimable."
    if is_clear(row["hr_lower"], row["hr_upper"]):
        return f"{subject} goes with a {ratio_words(row, of)}: {inline}."
    high = (
        f"{percent(row['hr_upper'] - 1, 0)} higher" if row["hr_upper"] < 2 else f"{row['hr_upper']:.1f} times as high"
    )
    return (
        f"{subject} goes with no distinguishable difference in the hazard of {of}: {inline}. The interval includes 1; "
        f"the data are compatible with anything from {percent(1 - row['hr_lower'], 0)} lower to {high}."
    )


def are(count: int) -> str:
    """Give "1 is", "3 are"."""
    return f"{count} {'is' if count == 1 else 'are'}"


def share_words(count: int, total: int, noun: str) -> str:
    """Give "none of 26 tests is", "1 of 26 tests is", "3 of 26 tests are".

    >>> share_words(0, 26, "test")
    'none of 26 tests is'
    """
    return f"{count or 'none'} of {counted(total, noun)} {'is' if count < 2 else 'are'}"


def inside(label: str) -> str:
    """Give a label as it stands within a sentence; what begins with an abbreviation stays.

    >>> inside("Credit score"), inside("FICO score")
    ('credit score', 'FICO score')
    """
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def listed(items: Sequence[str]) -> str:
    """Give "a, b and c".

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Give nested settings as "table.key" → text.

    >>> flattened({"model": {"ties": "efron", "strata": ["vintage"]}})
    {'model.ties': 'efron', 'model.strata': 'vintage'}
    """
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
            for position, item in enumerate(value, start=1):
                flat |= flattened(item, f"{name}.{position}.")
        else:
            flat[name] = (", ".join(str(v) for v in value) if isinstance(value, list | tuple) else str(value)) or "none"
    return flat

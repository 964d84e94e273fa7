"""What a rule of the linter reports: one sign of a leak, in which column, with its evidence and its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Sign:
    """One sign of a leak: in a column, or between it and those in ``beside``."""

    level: str
    rule: str
    column: str
    evidence: str
    remedy: str
    examples: tuple[Any, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the sign."""
        return (self.column, *self.beside) if self.column else ()


def share(part: Any, whole: Any) -> str:
    """Give "12 of 1,204 (1.0%)" for two counts."""
    percent = f" ({part / whole:.1%})" if whole else ""
    return f"{part:,.0f} of {whole:,.0f}{percent}"

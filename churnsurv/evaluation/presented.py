"""How the records of monitoring and fairness show themselves: a head, a short table, and what it rests on."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

import pandas as pd


class Shown(NamedTuple):
    """What is shown of a record."""

    head: str
    table: pd.DataFrame
    notes: tuple[str, ...]
    missing: str = ""  #: how missing values are written


class Presented:
    """Text and HTML of the same content; all that comes from data is escaped in the HTML."""

    def _shown(self) -> Shown:
        raise NotImplementedError

    def __repr__(self) -> str:
        head, table, notes, missing = self._shown()
        return "\n".join([head, *([_text(table, missing)] if len(table) else []), *notes])

    def _repr_html_(self) -> str:
        head, table, notes, missing = self._shown()
        body = table.to_html(border=0, index=False, na_rep=missing, float_format=_number) if len(table) else ""
        return f"<p>{escape(head)}</p>{body}" + "".join(f"<p>{escape(note)}</p>" for note in notes)


def _text(table: pd.DataFrame, missing: str) -> str:
    return str(table.to_string(index=False, na_rep=missing, float_format=_number))


def _number(value: float) -> str:
    return f"{value:.4g}"


def alarms_in_words(names: list[str]) -> str:
    """Name what alarms, or say that nothing does."""
    return f"alarm: {', '.join(names)}" if names else "no alarm"

"""Blocks that are filled in or looked up rather than read: sign-off, change log, names with values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from churnsurv.report.content import Column, Table


def sign_off(key: str, people: Iterable[Sequence[str]], title: str = "Sign-off") -> Table:
    """Give the block that those responsible sign.

    Parameters
    ----------
    key : str
    people : iterable of (role, name) or (role, name, date)
        What is known; the rest stays a line to write on.
    title : str

    Examples
    --------
    >>> sign_off("sign-off", [("Model owner", "A. Meyer"), ("Validator", "")]).rows[0]
    ('Model owner', 'A. Meyer', '', '')
    """
    rows = tuple((*(*person, "", "")[:3], "") for person in people)
    names = ("role", "name", "date", "signature")
    return Table(key, title, tuple(Column(n, n.capitalize()) for n in names), rows, style="form")


def change_log(key: str, changes: Iterable[tuple[str, str, str, str]], title: str = "Change log") -> Table:
    """Give the table of changes: version, date, what changed, and who approved it."""
    labels = {"version": "Version", "date": "Date", "change": "What changed", "by": "Approved by"}
    return Table(key, title, tuple(Column(n, label) for n, label in labels.items()), tuple(changes))


def pairs(key: str, title: str, items: Iterable[tuple[str, str]], notes: tuple[str, ...] = ()) -> Table:
    """Give names with their values, below each other."""
    columns = (Column("name", "What"), Column("value", "Value"))
    return Table(key, title, columns, tuple(items), notes=notes, style="pairs")

"""Two reports in their JSON form, cell by cell: what differs, in words a reader can find in the documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from churnsurv.report.render.cells import shown
from churnsurv.report.words import flattened

_ABSENT = "(nothing)"
_LONGEST = 80


def differences(recorded: Mapping[str, Any], again: Mapping[str, Any], *, without: Sequence[str] = ()) -> Iterator[str]:
    """Give every difference of the content of two reports, in the order of reading: what, recorded → again.

    Sections whose key is in `without`, and the provenance record, are left out.
    """
    for name in ("schema", "title", "period", "as_of"):
        yield from _pair(name, recorded.get(name), again.get(name))
    yield from _named("fact", dict(recorded["facts"]), dict(again["facts"]))
    yield from _headlines(recorded["headlines"], again["headlines"])
    old = {section["key"]: section for section in recorded["sections"] if section["key"] not in without}
    new = {section["key"]: section for section in again["sections"] if section["key"] not in without}
    if list(old) != list(new) and set(old) == set(new):
        yield f"order of the sections: {', '.join(old)} → {', '.join(new)}"
    for key in dict.fromkeys((*old, *new)):
        if key not in old or key not in new:
            yield f"section {key!r}: {_there(key in old)} → {_there(key in new)}"
            continue
        yield from _pair(f"section {key!r}, title", old[key]["title"], new[key]["title"])
        yield from _blocks(key, old[key]["blocks"], new[key]["blocks"])


def _there(is_there: bool) -> str:
    return "there" if is_there else "not there"


def record_differences(recorded: Mapping[str, Any], again: Mapping[str, Any], name: str = "") -> Iterator[str]:
    """Give what differs in two nested records, such as versions or a configuration."""
    yield from _named(name, flattened(recorded), flattened(again))


def _named(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*old, *new)):
        yield from _pair(f"{what} {key}".strip(), old.get(key), new.get(key))


def _pair(what: str, old: Any, new: Any, format: str = "value") -> Iterator[str]:
    if old != new or isinstance(old, bool) != isinstance(new, bool):
        before, after = _short(_told(old, format)), _short(_told(new, format))
        if before == after:
            before, after = _short(repr(old)), _short(repr(new))
        if before == after:
            at = next((i for i, (a, b) in enumerate(zip(str(old), str(new), strict=False)) if a != b), len(before))
            before, after = (f"…{str(value)[max(0, at - 20) : at + 40]}…" for value in (old, new))
        yield f"{what}: {before} → {after}"


def _told(value: Any, format: str) -> str:
    if value is None:
        return _ABSENT
    try:
        return shown(value, format)
    except (TypeError, ValueError):
        return str(value)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _headlines(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    before, after = ({headline["key"]: headline for headline in headlines} for headlines in (old, new))
    for key in dict.fromkeys((*before, *after)):
        if key not in before or key not in after:
            yield f"headline {key!r}: {_there(key in before)} → {_there(key in after)}"
            continue
        for name in dict.fromkeys((*before[key], *after[key])):
            format = after[key]["format"] if name in ("value", "lower", "upper") else "value"
            yield from _pair(f"headline {key!r}, {name}", before[key].get(name), after[key].get(name), format)


def _blocks(section: str, old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Compare tables and figures by their keys, findings and texts by their order."""
    for kind in ("table", "figure"):
        before, after = ({b["key"]: b for b in blocks if b["kind"] == kind} for blocks in (old, new))
        for key in dict.fromkeys((*before, *after)):
            if key not in before or key not in after:
                yield f"{kind} {key!r}: {_there(key in before)} → {_there(key in after)}"
            elif kind == "table":
                yield from _table(before[key], after[key])
            else:
                yield from _figure(before[key], after[key])
    for kind in ("finding", "text"):
        found = ([b for b in blocks if b["kind"] == kind] for blocks in (old, new))
        for position, (one, other) in enumerate(zip_longest(*found), start=1):
            yield from _sentences(f"section {section!r}, {kind} {position}", one, other)
    orders = [[(b["kind"], b.get("key")) for b in blocks] for blocks in (old, new)]
    if orders[0] != orders[1] and sorted(map(str, orders[0])) == sorted(map(str, orders[1])):
        yield f"section {section!r}: its blocks stand in another order"


def _sentences(what: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[str]:
    if old is None or new is None:
        yield from _pair(what, old and old["text"], new and new["text"])
        return
    for name in dict.fromkeys((*old, *new)):
        place = what if name == "text" else f"{what}, {name}"
        yield from _pair(place, old.get(name), new.get(name))


def _figure(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        if name != "svg":
            yield from _pair(f"figure {old['key']!r}, {name}", old.get(name), new.get(name))
    if old["svg"] != new["svg"]:
        yield f"figure {old['key']!r}: another drawing"


def _table(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Compare cell by cell where the columns are the same; rows go by their first cell and their block of rows."""
    what = f"table {old['key']!r}"
    for name in dict.fromkeys((*old, *new)):
        if name not in ("rows", "columns", "groups"):
            yield from _pair(f"{what}, {name}", old.get(name), new.get(name))
    if old["columns"] != new["columns"]:
        before, after = ([column["label"] for column in table["columns"]] for table in (old, new))
        yield from _pair(f"{what}, columns", before, after)
        return
    rows, again = _rows(old), _rows(new)
    if list(rows) != list(again) and set(rows) == set(again):
        yield f"{what}: its rows stand in another order"
    for key in dict.fromkeys((*rows, *again)):
        row = f"{what}, row {' / '.join(part for part in key[:2] if part)!r}" + (f" ({key[2]})" if key[2] > 1 else "")
        if key not in rows or key not in again:
            yield f"{row}: {_there(key in rows)} → {_there(key in again)}"
            continue
        for column, one, other in zip(new["columns"], rows[key], again[key], strict=True):
            yield from _pair(f"{row}, {column['label']!r}", one, other, column["format"])


def _rows(table: Mapping[str, Any]) -> dict[tuple[str, str, int], Sequence[Any]]:
    """Give the rows by block of rows, first cell, and the how-manieth of this name it is."""
    rows: dict[tuple[str, str, int], Sequence[Any]] = {}
    groups = table["groups"] or [""] * len(table["rows"])
    for group, row in zip(groups, table["rows"], strict=True):
        count = 1
        while (group, str(row[0]), count) in rows:
            count += 1
        rows[group, str(row[0]), count] = row
    return rows

"""From the tidy frame of hazard ratios to a table that is read: factors with their reference, models side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from churnsurv.report.content import Cell, Column, Table
from churnsurv.report.disclosure import suppressed_column, suppression_notes
from churnsurv.report.words import level_words

if TYPE_CHECKING:
    from churnsurv.report.ratio_table import HazardRatioTable

#: sets the levels of a factor in, in every format
INDENT = "\u2003"
REFERENCE, CURVE = "reference", "curve"


class Line(NamedTuple):
    """A line of the table: the same `key` in two models is one line when they stand side by side."""

    key: tuple[str, str]
    label: str
    per: str | None
    group: str
    cells: Mapping[str, Cell]


def content_table(table: HazardRatioTable, key: str, smallest: int = 0) -> Table:
    """Lay the ratios out as content of a report; counts of factors below `smallest` are suppressed."""
    frame = table.to_frame(references=True)
    models = list(dict.fromkeys(frame["model"]))
    by_model = {name: list(_lines(table, frame[frame["model"] == name], smallest)) for name in models}
    beside = table.layout == "beside" and len(models) > 1
    groups: list[str]
    if beside:
        columns, rows, groups = _beside(table, by_model)
    else:
        columns = _columns(table, models[0], "", several=len(models) > 1)
        lines = [(name, line) for name in models for line in by_model[name]]
        rows = [_row(line, columns) for _, line in lines]
        groups = [name if len(models) > 1 else line.group for name, line in lines]
    if not any(row[1] for row in rows):
        columns, rows = [columns[0], *columns[2:]], [(row[0], *row[2:]) for row in rows]
    hidden = suppression_notes(smallest) if any(c in (f"<{smallest}", "not shown") for r in rows for c in r) else ()
    bold = _bold(columns, rows, table.emphasise)
    return Table(key, table.title, tuple(columns), tuple(rows), tuple(groups) if any(groups) else (),
                 (*table.notes, *hidden), emphasis=bold)  # fmt: skip


def _beside(
    table: HazardRatioTable, by_model: Mapping[str, Sequence[Line]]
) -> tuple[list[Column], list[tuple[Cell, ...]], list[str]]:
    """Merge the lines of the models on their keys, in the order of the first model that has each."""
    order: list[tuple[str, str]] = []
    lines: dict[tuple[str, str], Line] = {}
    for found in by_model.values():
        after = 0
        for line in found:
            if line.key in lines:
                after = order.index(line.key) + 1
                continue
            order.insert(after, line.key)
            lines[line.key] = line
            after += 1
    groups = list(dict.fromkeys(lines[key].group for key in order))
    order = sorted(order, key=lambda key: groups.index(lines[key].group))
    columns = [Column("label", "Term"), Column("per", "Unit")]
    cells: dict[tuple[str, str], dict[str, Cell]] = {key: {} for key in order}
    for position, (name, found) in enumerate(by_model.items()):
        prefix = f"{position}."
        columns += _columns(table, name, prefix, several=False)[2:]
        for line in found:
            cells[line.key] |= {prefix + column: cell for column, cell in line.cells.items()}
    rows = [_row(lines[key]._replace(cells=cells[key]), columns) for key in order]
    return columns, rows, [lines[key].group for key in order]


def _columns(table: HazardRatioTable, model: str, prefix: str, *, several: bool) -> list[Column]:
    """Give the columns of a model; with a prefix those of one of several side by side, below its name."""
    frame = table.frame
    interval = f"{level_words(table.level)} CI"
    symbol = table.symbols.get(model, "HR")
    name = table.ratio_names.get(model, "Hazard ratio")
    if several and len(set(table.ratio_names.values())) > 1:
        name = "Ratio"
    if prefix:
        name = symbol
    above = model if prefix else ""
    columns = [Column("label", "Term"), Column("per", "Unit")]
    if "n" in frame:
        columns += [Column(f"{prefix}n", "N", "integer", above), Column(f"{prefix}events", "Events", "integer", above)]
    parts = [("uni_", "univariable"), ("", "multivariable")] if "uni_hazard_ratio" in frame else [("", "")]
    for start, words in parts:
        over = ", ".join(w for w in (above, words) if w)
        over = over[:1].upper() + over[1:] if not above else over
        columns += [
            Column(f"{prefix}{start}hazard_ratio", name if len(parts) == 1 else symbol, "number:2", over),
            Column(f"{prefix}{start}interval", interval, "interval:2", over),
            Column(f"{prefix}{start}p_value", "p", "p", over),
        ]  # fmt: skip
    if "vif" in frame:
        columns.append(Column(f"{prefix}vif", "VIF", "number:1", above))
    if not prefix and (frame["expected"] != "").any():
        columns += [Column("expected", "Expected sign"), Column("verdict", "Sign check")]
    return columns


def _row(line: Line, columns: Sequence[Column]) -> tuple[Cell, ...]:
    known: dict[str, Cell] = {"label": line.label, "per": line.per, **line.cells}
    # a line that a model does not have, or a heading of a factor, has nothing to show there
    return tuple(known.get(column.name, "") for column in columns)


def _lines(table: HazardRatioTable, frame: pd.DataFrame, smallest: int) -> Iterable[Line]:
    """Give the lines of one model: a factor's name above its levels, a curve on one line, all others as they are."""
    records = [{str(k): v for k, v in record.items()} for record in frame.to_dict("records")]
    done: set[tuple[str, str]] = set()
    for record in records:
        column = record["column"]
        if record["curve"]:
            if (column, CURVE) in done:
                continue
            done.add((column, CURVE))
            label = record["label"].rsplit(" ", 1)[0]
            cells = _counts(record, smallest) | {"hazard_ratio": CURVE, "p_value": _known(record["p_term"])}
            if "uni_p_term" in record:
                cells |= {"uni_hazard_ratio": CURVE, "uni_p_value": _known(record["uni_p_term"])}
            if "vif" in record:
                cells["vif"] = _known(record["vif"])
            yield Line((column, CURVE), label, "", record["group"], cells)
            continue
        if not record["level"]:
            yield Line(
                (record["term"], ""), record["label"], record["per"] or None, record["group"], _cells(record, smallest)
            )
            continue
        if (column, "") in done:
            continue
        done.add((column, ""))
        levels = [r for r in records if r["column"] == column and r["level"] and not r["curve"]]
        yield from _factor(levels, smallest)


def _factor(levels: list[dict[str, Any]], smallest: int) -> Iterable[Line]:
    """Give the heading of a factor, with the joint test where it has several coefficients, and its levels."""
    first = levels[0]
    estimated = [r for r in levels if not r["is_reference"]]
    names = [name for name in ("p_term", "uni_p_term") if name in first and len(estimated) > 1]
    joint: dict[str, Cell] = {name.replace("term", "value"): _known(first[name]) for name in names}
    if "vif" in first:
        joint["vif"] = _known(estimated[0]["vif"])
    key, group = first["column"], first["group"]
    yield Line((key, ""), first["factor_label"], "", group, joint)
    shown = {
        name: suppressed_column([int(r[name]) for r in levels], smallest) for name in ("n", "events") if name in first
    }
    for i, record in enumerate(levels):
        cells = _cells(record, smallest)
        cells.update({name: column[i] for name, column in shown.items()})
        cells.pop("vif", None)
        yield Line((key, record["level"]), INDENT + record["level_label"], "", group, cells)


def _cells(record: Mapping[str, Any], smallest: int) -> dict[str, Cell]:
    cells = _counts(record, smallest)
    for start in ("uni_", ""):
        if f"{start}hazard_ratio" not in record:
            continue
        if record["is_reference"]:
            cells[f"{start}hazard_ratio"], cells[f"{start}interval"], cells[f"{start}p_value"] = 1.0, REFERENCE, ""
            continue
        ratio = _known(record[f"{start}hazard_ratio"])
        interval: Cell = (record[f"{start}hr_lower"], record[f"{start}hr_upper"])
        cells[f"{start}hazard_ratio"], cells[f"{start}interval"] = ratio, interval if ratio is not None else None
        cells[f"{start}p_value"] = _known(record[f"{start}p_value"])
    if "vif" in record:
        cells["vif"] = _known(record["vif"])
    if not record["is_reference"]:
        cells["expected"] = {"+": "above 1", "-": "below 1"}.get(record["expected"])
        cells["verdict"] = record["verdict"] or None
    return cells


def _counts(record: Mapping[str, Any], smallest: int) -> dict[str, Cell]:
    if "n" not in record:
        return {}
    n, events = int(record["n"]), int(record["events"])
    return {
        "n": suppressed_column([n], smallest)[0],
        "events": suppressed_column([events], smallest)[0],
    }


def _known(value: Any) -> Cell:
    return None if pd.isna(value) else float(value)


def _bold(columns: Sequence[Column], rows: Sequence[tuple[Cell, ...]], below: float | None) -> tuple[int, ...]:
    """Give the rows with a p-value below the level, of the multivariable part where there are two."""
    if below is None:
        return ()
    at = [i for i, c in enumerate(columns) if c.name.rsplit(".", 1)[-1] == "p_value"]

    def is_small(cell: Cell) -> bool:
        return isinstance(cell, float) and cell < below

    return tuple(i for i, row in enumerate(rows) if any(is_small(row[j]) for j in at))

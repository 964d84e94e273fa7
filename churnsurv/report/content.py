"""What a report says, as frozen plain data: ``Report → Section → Table | Figure | Finding | Text``.

The JSON form (:meth:`Report.to_dict`) is the canonical one; renderers read nothing else. Numbers stay numbers in it: each
column of a table names the format in which it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

SCHEMA = "churnsurv-report/1"

#: one value of a table: an interval is a pair
Cell = str | int | float | bool | tuple[float | None, float | None] | None
#: how a column is shown: "text", "integer", "p", or "number"/"percent"/"interval"/"percent interval" with digits
Format = str


@dataclass(frozen=True)
class Column:
    """One column of a table: its name in the data, its heading, and how its values are shown."""

    name: str
    label: str
    format: Format = "text"


@dataclass(frozen=True)
class Table:
    """A table; `groups`, if given, names the block that each row belongs to; `notes` stand below it."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    number: int = 0


@dataclass(frozen=True)
class Figure:
    """A drawing (SVG text) with the words for those who do not see it (`alt`) and for those who do (`caption`)."""

    key: str
    title: str
    svg: str
    alt: str
    caption: str = ""
    number: int = 0


@dataclass(frozen=True)
class Text:
    """A paragraph, a headline (set off), a subheading, or a note (small print)."""

    text: str
    style: Literal["paragraph", "headline", "subheading", "note"] = "paragraph"


@dataclass(frozen=True)
class Finding:
    """Something for the reader to act on: what was found, against which threshold, and the evidence (key of a block)."""

    text: str
    severity: Literal["amber", "red"]
    threshold: str
    evidence: str


Block = Table | Figure | Text | Finding


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """A whole document.

    Parameters
    ----------
    title, period, as_of : str
        Name, reporting period and date of the data.
    facts : tuple of (name, value)
        The few lines below the title.
    sections : tuple of Section
        In the order of reading.
    provenance : mapping
        What is needed to repeat it: hashes of the inputs, versions, configuration, seeds.

    Examples
    --------
    >>> from churnsurv.report import Report, Section, Text
    >>> report = Report("Attrition", "2026 Q3", "2026-09-30", (), (Section("a", "Headline", (Text("None left."),)),))
    >>> report.to_dict()["sections"][0]["blocks"][0]["text"]
    'None left.'
    """

    title: str
    period: str
    as_of: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of reading."""
        return tuple(b for section in self.sections for b in section.blocks if isinstance(b, Finding))

    def numbered(self) -> Report:
        """Give the report with tables and figures counted, and "{ref:key}" in its words replaced by "Table 2"."""
        count = {Table: 0, Figure: 0}
        names: dict[str, str] = {}
        for block in (b for section in self.sections for b in section.blocks):
            if isinstance(block, Table | Figure):
                count[type(block)] += 1
                names[block.key] = f"{type(block).__name__} {count[type(block)]}"
        sections = tuple(
            replace(section, blocks=tuple(_with_references(block, names) for block in section.blocks))
            for section in self.sections
        )
        return replace(self, sections=sections)

    def to_dict(self) -> dict[str, Any]:
        """Give the canonical form: plain data that JSON can hold, tables and figures numbered."""
        report = self.numbered()
        sections = [
            {
                "key": section.key,
                "title": section.title,
                "blocks": [{"kind": type(block).__name__.lower(), **asdict(block)} for block in section.blocks],
            }
            for section in report.sections
        ]
        head = {"schema": SCHEMA, "title": report.title, "period": report.period, "as_of": report.as_of}
        return _plain({**head, "facts": report.facts, "sections": sections, "provenance": dict(report.provenance)})  # type: ignore[no-any-return]

    def save(
        self, folder: str | Path, formats: Iterable[str] = ("html", "json"), *, force: bool = False
    ) -> dict[str, Path]:
        """Write the report into a new folder, all of it or nothing.

        Parameters
        ----------
        folder : path
            Where the files ``report.html``, ``report.json`` go; made new.
        formats : sequence of str
            ``"html"``, ``"json"``.
        force : bool
            Replace the folder if it exists.

        Returns
        -------
        dict
            Format → path of the file.

        Raises
        ------
        ConfigError
            Unknown format, or the folder exists and `force` is False.
        """
        from churnsurv.report.render import write

        return write(self.to_dict(), Path(folder), formats, force)


def _with_references(block: Block, names: Mapping[str, str]) -> Block:
    def told(text: str) -> str:
        for key, name in names.items():
            text = text.replace(f"{{ref:{key}}}", name)
        return text

    if isinstance(block, Text):
        return replace(block, text=told(block.text))
    if isinstance(block, Finding):
        return replace(block, text=told(block.text))
    number = int(names[block.key].split()[1])
    if isinstance(block, Figure):
        return replace(block, caption=told(block.caption), number=number)
    return replace(block, notes=tuple(told(note) for note in block.notes), number=number)


def _plain(value: Any) -> Any:
    """Give plain data: sequences as lists, NumPy numbers as Python's, what is not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)

"""What a report says, as frozen plain data: ``Report → Section → Table | Figure | Finding | Text``.

The JSON form (:meth:`Report.to_dict`) is the canonical one; renderers read nothing else, and :meth:`Report.from_dict`
makes the same report of it. Numbers stay numbers in it: each column of a table names the format in which it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

#: what the JSON form is; the number goes up when a reader of the earlier form would misread the new one
SCHEMA = "churnsurv-report/1"

#: one value of a table: an interval is a pair; text in a column of numbers stands for one that is not shown ("<5")
Cell = str | int | float | bool | tuple[float | None, float | None] | None
#: how a column is shown: "text", "integer", "p", or "number"/"percent"/"interval"/"percent interval" with digits
Format = str
#: keys of the JSON form that a class does not have are an error
_STRICT: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True)
class Column:
    """One column of a table: its name in the data, its heading, how its values are shown, and a heading above its own.

    Columns beside each other that have the same heading above (`over`) share it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    name: str
    label: str
    format: Format = "text"
    over: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    key, title : str
        Anchor (unique in the report) and caption.
    columns : tuple of Column
    rows : tuple of tuples of Cell
        As many cells as columns.
    groups : tuple of str
        Empty, or the name of the block that each row belongs to.
    notes : tuple of str
        Small print below the table.
    number : int
        Given by :meth:`Report.numbered`.
    emphasis : tuple of int
        Positions of the rows to stand out, such as totals.
    style : {"data", "pairs", "form"}
        Numbers to read; names with their values, without a heading; or a form, whose empty cells are lines to write on.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    number: int = 0
    emphasis: tuple[int, ...] = ()
    style: Literal["data", "pairs", "form"] = "data"


@dataclass(frozen=True)
class Figure:
    """A drawing (SVG text) with the words for those who do not see it (`alt`) and for those who do (`caption`)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    key: str
    title: str
    svg: str
    alt: str
    caption: str = ""
    number: int = 0


@dataclass(frozen=True)
class Text:
    """A paragraph, a headline (set off), a subheading, or a note (small print)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    text: str
    style: Literal["paragraph", "headline", "subheading", "note"] = "paragraph"


@dataclass(frozen=True)
class Finding:
    """Something for the reader to act on.

    Parameters
    ----------
    text : str
        What was found, and what to do.
    severity : {"amber", "red"}
    threshold : str
        What would have been in order, in words.
    evidence : str
        Key of the block or section that shows it.
    figure : Cell
        The measured value, or its interval where that is what the threshold is about.
    format : str
        How the value is shown, as in :class:`Column`.
    number : int
        Given by :meth:`Report.numbered`; the finding's anchor is ``finding-<number>``.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    text: str
    severity: Literal["amber", "red"]
    threshold: str
    evidence: str
    figure: Cell = None
    format: Format = "value"
    number: int = 0


@dataclass(frozen=True)
class Headline:
    """One headline of the report, as shown in its first table and as the next report compares with it.

    Parameters
    ----------
    key : str
        The same in every quarter, such as ``incidence.attrition.24``.
    measure, meaning : str
        What was estimated, and what it says.
    value, lower, upper : float or None
        Estimate and interval; None where it is not estimable.
    se : float or None
        Standard error, of the logarithm where `scale` is "log".
    level : float
        Confidence level of the interval.
    n : int or None
        Loans or rows it rests on.
    format : str
        How the value is shown, as in :class:`Column`.
    symbol : str
        What stands before the value, such as HR.
    scale : {"linear", "log"}
        Scale on which estimate and error are compared.
    sample : {"cumulative", "window", "unknown"}
        The data it rests on, from quarter to quarter: all so far, which contain those of the earlier report; those of a
        window of their own, without those of the earlier one; or neither (or not stated).
    better : {"lower", "higher"} or None
        Direction that is wanted; None where there is none.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    key: str
    measure: str
    value: float | None
    lower: float | None
    upper: float | None
    meaning: str
    se: float | None = None
    level: float = 0.95
    n: int | None = None
    format: Format = "number:2"
    symbol: str = ""
    scale: Literal["linear", "log"] = "linear"
    sample: Literal["cumulative", "window", "unknown"] = "unknown"
    better: Literal["lower", "higher"] | None = None


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
    headlines : tuple of Headline
        The figures that the next report compares with.

    Examples
    --------
    >>> from churnsurv.report import Report, Section, Text
    >>> report = Report("Attrition", "2026 Q3", "2026-09-30", (), (Section("a", "Headline", (Text("None left."),)),))
    >>> report.to_dict()["sections"][0]["blocks"][0]["text"]
    'None left.'
    >>> Report.from_dict(report.to_dict()) == report
    True
    """

    title: str
    period: str
    as_of: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    headlines: tuple[Headline, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of reading."""
        return tuple(b for section in self.sections for b in section.blocks if isinstance(b, Finding))

    def numbered(self) -> Report:
        """Give the report with tables, figures and findings counted, and "{ref:key}" in its words replaced by "Table 2"."""
        count = {Table: 0, Figure: 0, Finding: 0}
        names: dict[str, str] = {}
        sections = []
        for section in self.sections:
            blocks: list[Block] = []
            for block in section.blocks:
                if not isinstance(block, Text):
                    count[type(block)] += 1
                    block = replace(block, number=count[type(block)])
                if isinstance(block, Table | Figure):
                    names[block.key] = f"{type(block).__name__} {block.number}"
                blocks.append(block)
            sections.append(replace(section, blocks=tuple(blocks)))
        told = (replace(s, blocks=tuple(_with_references(block, names) for block in s.blocks)) for s in sections)
        return replace(self, sections=tuple(told))

    def to_dict(self) -> dict[str, Any]:
        """Give the canonical form: plain data that JSON can hold, tables and figures numbered."""
        from churnsurv.report.canonical import document_of

        return document_of(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Report:
        """Give the report of a canonical form, such as a ``report.json`` read back.

        Raises
        ------
        DataError
            It is no report, or of a form that this version does not read.
        """
        from churnsurv.report.canonical import report_of

        return report_of(document)

    def save(
        self, folder: str | Path, formats: Iterable[str] = ("html", "pdf", "docx", "json"), *, force: bool = False
    ) -> dict[str, Path]:
        """Write the report into a new folder, all of it or nothing.

        What this machine cannot make (PDF without WeasyPrint and Chromium, Word without python-docx) is left out, and an
        amber finding in the other formats says so.

        Parameters
        ----------
        folder : path
            Where the files ``report.html``, ``report.pdf`` and so on go; made new.
        formats : sequence of str
            ``"html"``, ``"pdf"``, ``"docx"``, ``"md"`` (with its figures beside it), ``"json"``.
        force : bool
            Replace the folder if it exists.

        Returns
        -------
        dict
            Format → path of the file, for the formats that were made.

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

    if isinstance(block, Text | Finding):
        return replace(block, text=told(block.text))
    if isinstance(block, Figure):
        return replace(block, caption=told(block.caption))
    return replace(block, notes=tuple(told(note) for note in block.notes))

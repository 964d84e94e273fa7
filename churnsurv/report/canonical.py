"""The canonical form of a report, plain data that JSON holds: from a Report to it and back, without a loss.

Texts are cleaned here, once for all formats: characters that XML does not have, that end a line unseen, or that turn the
direction of what follows become U+FFFD, the replacement character.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from churnsurv.exceptions import DataError
from churnsurv.report.content import SCHEMA, Figure, Finding, Headline, Report, Section, Table, Text

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_KINDS: dict[str, type] = {kind.__name__.lower(): kind for kind in (Table, Figure, Text, Finding)}
#: controls but tab and line feed, line and paragraph separators, embeddings and overrides of direction, surrogates
_UNCLEAN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    r"""Give text that is safe in every format.

    >>> clean("a\x0bb"), clean("loan\u202egpj"), clean("two\r\nlines")
    ('a�b', 'loan�gpj', 'two\nlines')
    """
    return _UNCLEAN.sub("\ufffd", text.replace("\r\n", "\n"))


def plain(value: Any) -> Any:
    """Give plain data: sequences as lists, NumPy numbers as Python's, what is not finite as None, texts cleaned."""
    if isinstance(value, Mapping):
        return {clean(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int | bool):
        return value
    return clean(str(value))


def document_of(report: Report) -> dict[str, Any]:
    """Give the canonical form; tables, figures and findings are numbered, references resolved."""
    report = report.numbered()
    _check_keys(report)
    sections = [
        {
            "key": section.key,
            "title": section.title,
            "blocks": [{"kind": type(block).__name__.lower(), **asdict(block)} for block in section.blocks],
        }
        for section in report.sections
    ]
    made = {
        "schema": SCHEMA,
        "title": report.title,
        "period": report.period,
        "as_of": report.as_of,
        "facts": report.facts,
        "headlines": [asdict(headline) for headline in report.headlines],
        "sections": sections,
        "provenance": dict(report.provenance),
    }
    return plain(made)  # type: ignore[no-any-return]


def report_of(document: Mapping[str, Any]) -> Report:
    """Give the report of a canonical form; what is none is refused."""
    schema = document.get("schema") if isinstance(document, Mapping) else None
    if schema != SCHEMA:
        raise DataError(
            f"This is no report that this version reads: its schema is {schema!r}, not {SCHEMA!r}. Give a report.json that "
            "churnsurv report wrote."
        )
    try:
        sections = tuple(
            Section(str(s["key"]), str(s["title"]), tuple(_block(block) for block in s["blocks"]))
            for s in document["sections"]
        )
        return Report(
            title=document["title"],
            period=document["period"],
            as_of=document["as_of"],
            facts=tuple((str(name), str(value)) for name, value in document["facts"]),
            sections=sections,
            provenance=document["provenance"],
            headlines=tuple(_adapter(Headline).validate_python(h) for h in document.get("headlines", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"This report is damaged: {what}. Make it again, or give another report.json.") from None


def _block(block: Mapping[str, Any]) -> Any:
    rest = dict(block)
    kind = rest.pop("kind")
    if kind not in _KINDS:
        raise ValueError(f"there is no kind of block {kind!r}")
    made = _adapter(_KINDS[kind]).validate_python(rest)
    if isinstance(made, Table) and any(len(row) != len(made.columns) for row in made.rows):
        raise ValueError(f"rows of table {made.key!r} have not as many cells as columns")
    return made


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _check_keys(report: Report) -> None:
    """Refuse two parts or headlines of one key, ragged tables, and findings whose evidence is nowhere."""
    blocks = [b for section in report.sections for b in section.blocks]
    keys = [*(s.key for s in report.sections), *(b.key for b in blocks if isinstance(b, Table | Figure))]
    for names in (keys, [h.key for h in report.headlines]):
        twice = sorted({key for key in names if names.count(key) > 1})
        if twice:
            raise DataError(f"The report has two parts with the key {twice[0]!r}: give each its own.")
    for table in (b for b in blocks if isinstance(b, Table)):
        if any(len(row) != len(table.columns) for row in table.rows):
            raise DataError(
                f"The table {table.key!r} has {len(table.columns)} columns, but not as many cells in every row."
            )
    for finding in report.findings:
        if finding.evidence not in keys:
            raise DataError(
                f"The finding {finding.text!r} names {finding.evidence!r} as its evidence, which the report does not have."
            )

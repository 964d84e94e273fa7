"""What this machine can make of a report, and the findings that say what it cannot.

A format that is missing, or a script without a font, does not stop the report: an amber finding in it says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from churnsurv.messages import counted
from churnsurv.plot.fonts import without_glyph
from churnsurv.report.render.pdf import browser, weasyprint_works

#: key and title of the section of these findings
SECTION, TITLE = "documents", "About these documents"
_LETTERS = re.compile(r"<text\b[^>]*>([^<]*)<")


def missing_formats(formats: Iterable[str]) -> dict[str, str]:
    """Give the formats that cannot be made here, each with what it needs."""
    missing = {}
    if "pdf" in formats and not weasyprint_works() and browser() is None:
        missing["pdf"] = "WeasyPrint with its library Pango (pip install 'churnsurv[report]'), or an installed Chromium"
    if "docx" in formats and not (find_spec("docx") and find_spec("resvg_py")):
        missing["docx"] = "python-docx and resvg-py (pip install 'churnsurv[report]')"
    return missing


def output_findings(
    document: Mapping[str, Any], formats: Iterable[str], failed: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Give the findings about the documents themselves, in the JSON form; `failed`: formats whose programs broke down."""
    names = {"pdf": "PDF", "docx": "Word"}
    found = [
        _finding(
            f"There is no {names[name]} document of this report: the machine that made it lacks {needs}.", names[name]
        )
        for name, needs in missing_formats(formats).items()
    ]
    found += [
        _finding(f"There is no {names[name]} document of this report: the program that makes it failed.", names[name])
        for name in failed
    ]
    lacking = without_glyph(_texts(document))
    if lacking:
        some = "".join(lacking[:12]) + ("…" if len(lacking) > 12 else "")
        text = (
            f"{counted(len(lacking), 'character')} of this report (“{some}”) are in no font of the machine that made it. "
            "HTML and Markdown show them with the fonts of the reader's machine; the PDF and the figures of the Word document "
            "show empty boxes. Install a font of the script, e.g. Noto Sans CJK for Chinese, and make the report again."
        )
        found.append(_finding(text, "every character has a glyph", len(lacking), "integer"))
    return found


def with_output_findings(
    document: Mapping[str, Any], formats: Sequence[str], failed: Iterable[str] = ()
) -> dict[str, Any]:
    """Give the document with a last section of these findings; as it is where there are none."""
    found = output_findings(document, formats, failed)
    sections = [section for section in document["sections"] if section["key"] != SECTION]
    if not found:
        return {**document, "sections": sections}
    before = sum(block["kind"] == "finding" for section in sections for block in section["blocks"])
    blocks = [{**finding, "number": before + i} for i, finding in enumerate(found, start=1)]
    return {**document, "sections": [*sections, {"key": SECTION, "title": TITLE, "blocks": blocks}]}


def _finding(text: str, what: str, figure: int | None = None, format: str = "value") -> dict[str, Any]:
    threshold = what if figure is not None else f"{what} can be made"
    return {
        "kind": "finding",
        "text": text,
        "severity": "amber",
        "threshold": threshold,
        "evidence": SECTION,
        "figure": figure,
        "format": format,
        "number": 0,
    }


def _texts(value: Any, name: str = "") -> Iterator[str]:
    """Walk through the texts of a document; of drawings, the letters that are no outlines."""
    if isinstance(value, str):
        yield from _LETTERS.findall(value) if name == "svg" else (value,)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, key)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)

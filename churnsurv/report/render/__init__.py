"""From the JSON form of a report to files: one module per format, all reading the same plain data.

Lives here: the formats. Nothing here computes a number.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from churnsurv.exceptions import ChurnSurvWarning, ConfigError
from churnsurv.messages import first_of
from churnsurv.report.render.available import missing_formats, output_findings, with_output_findings
from churnsurv.report.render.folder import check_folder, write_folder
from churnsurv.report.render.html import render_html
from churnsurv.report.render.markdown import render_markdown
from churnsurv.report.render.pdf import render_pdf
from churnsurv.report.render.word import render_docx

__all__ = ["RENDERERS", "check_folder", "check_formats", "missing_formats", "output_findings", "render_json", "write"]


def render_json(document: Mapping[str, Any]) -> str:
    """Give the canonical form as text: keys in the order of reading, numbers with all their digits."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


#: format → how it is made; the file is called report.<format>, Markdown has its figures beside it
RENDERERS: dict[str, Callable[[Mapping[str, Any]], str | bytes | dict[str, str]]] = {
    "html": render_html,
    "pdf": render_pdf,
    "docx": render_docx,
    "md": render_markdown,
    "json": render_json,
}


def check_formats(formats: Iterable[str]) -> list[str]:
    """Give the formats as a list without repetition; unknown ones are refused with the list of those supported."""
    wanted = [formats] if isinstance(formats, str) else list(dict.fromkeys(formats))
    unknown = [name for name in wanted if name not in RENDERERS]
    if unknown or not wanted:
        what = f"Format {unknown[0]!r} is not supported" if unknown else "No format is given"
        raise ConfigError(f"{what}; reports are written as {first_of(RENDERERS)}.")
    return wanted


def write(document: Mapping[str, Any], folder: Path, formats: Iterable[str], force: bool) -> dict[str, Path]:
    """Write every format that can be made into the folder of the report; what cannot is a finding in the others."""
    wanted = check_formats(formats)
    check_folder(folder, force)
    document = with_output_findings(document, wanted)
    missing = missing_formats(wanted)
    made = [name for name in wanted if name not in missing]
    if not made:
        raise ConfigError(
            f"The report cannot be written as {first_of(missing)}: that needs {first_of(missing.values())}."
        )
    contents: dict[str, str | bytes] = {}
    # the PDF first: where it fails, the others say so
    for name in sorted(made, key="pdf".__ne__):
        try:
            content = RENDERERS[name](document)
        except ConfigError as error:
            if name != "pdf" or len(made) == 1:
                raise
            # the reason may name a path of this machine: it is told here, not in the documents
            warnings.warn(str(error), ChurnSurvWarning, stacklevel=3)
            made.remove(name)
            document = with_output_findings(document, wanted, [name])
            continue
        contents |= content if isinstance(content, dict) else {f"report.{name}": content}
    files = write_folder(contents, folder, force)
    return {name: files[f"report.{name}"] for name in made}

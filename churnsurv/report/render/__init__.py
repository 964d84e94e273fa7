"""From the JSON form of a report to files: one module per format, all reading the same plain data.

Lives here: formats and the writing of a folder. Nothing here computes a number.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from churnsurv.exceptions import ConfigError
from churnsurv.messages import first_of
from churnsurv.report.render.html import render_html


def render_json(document: Mapping[str, Any]) -> str:
    """Give the canonical form as text: keys in the order of reading, numbers with all their digits."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


#: format → how it is made; the file is called report.<format>
RENDERERS: dict[str, Callable[[Mapping[str, Any]], str]] = {"html": render_html, "json": render_json}


def check_formats(formats: Iterable[str]) -> list[str]:
    """Give the formats as a list without repetition; unknown ones are refused with the list of those supported."""
    wanted = [formats] if isinstance(formats, str) else list(dict.fromkeys(formats))
    unknown = [name for name in wanted if name not in RENDERERS]
    if unknown or not wanted:
        what = f"Format {unknown[0]!r} is not supported" if unknown else "No format is given"
        raise ConfigError(f"{what}; reports are written as {first_of(RENDERERS)}.")
    return wanted


def check_folder(folder: Path, force: bool) -> None:
    """Refuse a folder that exists, unless it may be replaced."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{str(folder)!r} is a file, not a folder: name another place for the report.")
    if folder.exists() and not force:
        raise ConfigError(
            f"The folder {str(folder)!r} exists and is left as it is. Give another one (--out), or replace it (--force)."
        )
    if folder.exists() and not _is_a_report(folder):
        raise ConfigError(
            f"The folder {str(folder)!r} holds other files than a report and is not replaced. Give another one (--out)."
        )


def write(document: Mapping[str, Any], folder: Path, formats: Iterable[str], force: bool) -> dict[str, Path]:
    """Write every format into a new folder that appears under its name only when it is complete."""
    wanted = check_formats(formats)
    check_folder(folder, force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # beside the target, so that the last step is a rename within one file system
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        unfinished.chmod(0o755)
        for name in wanted:
            (unfinished / f"report.{name}").write_text(RENDERERS[name](document), encoding="utf-8", newline="\n")
        if folder.exists():
            replaced = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            folder.rename(replaced / "old")
            unfinished.rename(folder)
            shutil.rmtree(replaced)
        else:
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return {name: folder / f"report.{name}" for name in wanted}


def _is_a_report(folder: Path) -> bool:
    return all(file.is_file() and file.stem == "report" for file in folder.iterdir())

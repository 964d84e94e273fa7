"""The folder of a report: appears whole or not at all, and replaces nothing but an earlier report."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from churnsurv.exceptions import ConfigError
from churnsurv.messages import first_of

#: files a report consists of, and what every one of them but a figure holds
NAMES, MARK = re.compile(r"report\.(html|json|md|pdf|docx)|figure-\d+[a-z0-9-]*\.svg"), "churnsurv-report/"


def check_folder(folder: Path, force: bool) -> Path:
    """Give the resolved folder; refuse what cannot be made, and what exists unless it is a report to be replaced."""
    given, folder = str(folder), folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{given!r} is a file, not a folder: name another place for the report.")
    if folder in (Path.cwd(), *Path.cwd().parents):
        raise ConfigError(f"{given!r} is the folder you are in, or one above it: name a new folder for the report.")
    above = next(parent for parent in folder.parents if parent.exists())
    if not above.is_dir():
        raise ConfigError(f"{given!r} cannot be made: {str(above)!r} is a file. Name another place for the report.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"{given!r} cannot be made: {str(above)!r} may not be written to. Name another place.")
    if folder.exists() and not force:
        raise ConfigError(
            f"The folder {given!r} exists and is left as it is. Give another one (--out), or replace it (--force)."
        )
    others = _not_of_a_report(folder) if folder.exists() else []
    if others:
        raise ConfigError(
            f"The folder {given!r} holds other files than a report of churnsurv ({first_of(others)}) and is not replaced. "
            "Give another one (--out)."
        )
    return folder


def write_folder(contents: Mapping[str, str | bytes], folder: Path, force: bool) -> dict[str, Path]:
    """Write contents (file name → text or bytes) into a new folder that appears under its name only when it is complete."""
    place = check_folder(folder, force)
    place.parent.mkdir(parents=True, exist_ok=True)
    # beside the target, so that the last step is a rename within one file system
    work = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    made, before = work / "new", work / "old"
    try:
        made.mkdir(mode=0o755)
        for name, content in contents.items():
            (made / name).write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        if place.exists():
            place.rename(before)
        try:
            made.rename(place)
        except BaseException:
            # an interrupt too must not lose the earlier report
            if before.exists() and not place.exists():
                before.rename(place)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return {name: folder / name for name in contents}


def _not_of_a_report(folder: Path) -> list[str]:
    """Give the names of what is in the folder and was not written by churnsurv."""
    return sorted(entry.name for entry in folder.iterdir() if not _is_ours(entry))


def _is_ours(entry: Path) -> bool:
    if not NAMES.fullmatch(entry.name) or entry.is_symlink() or not entry.is_file():
        return False
    try:
        return _has_mark(entry)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False


def _has_mark(entry: Path) -> bool:
    """Whether a file says in the manner of its format that churnsurv wrote it."""
    if entry.suffix == ".json":
        document = json.loads(entry.read_text(encoding="utf-8"))
        return isinstance(document, dict) and str(document.get("schema", "")).startswith(MARK)
    if entry.suffix == ".docx":
        with zipfile.ZipFile(entry) as package:
            return MARK in package.read("docProps/core.xml").decode("utf-8")
    content = entry.read_bytes()
    if entry.suffix == ".svg":
        # beside a text of ours, by the name that only its figures have
        return content.startswith(b"<svg") and _is_ours(entry.with_name("report.md"))
    marks = {".html": f'content="{MARK}', ".md": f"<!-- {MARK}", ".pdf": f"% {MARK}"}
    part = content[-200:] if entry.suffix == ".pdf" else content[:2_000]
    return marks[entry.suffix].encode() in part

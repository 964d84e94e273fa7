"""The folder of a report: appears whole or not at all, and replaces nothing but an earlier report."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from churnsurv.exceptions import ConfigError
from churnsurv.messages import first_of

#: files a report consists of, and what every one of them holds near its beginning
NAMES, MARK = ("report.html", "report.json"), "churnsurv-report/"


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


def write_folder(texts: Mapping[str, str], folder: Path, force: bool) -> dict[str, Path]:
    """Write texts (file name → content) into a new folder that appears under its name only when it is complete."""
    place = check_folder(folder, force)
    place.parent.mkdir(parents=True, exist_ok=True)
    # beside the target, so that the last step is a rename within one file system
    work = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    made, before = work / "new", work / "old"
    try:
        made.mkdir(mode=0o755)
        for name, text in texts.items():
            (made / name).write_text(text, encoding="utf-8", newline="\n")
        if place.exists():
            place.rename(before)
        try:
            made.rename(place)
        except OSError:
            if before.exists():
                before.rename(place)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return {name: folder / name for name in texts}


def _not_of_a_report(folder: Path) -> list[str]:
    """Give the names of what is in the folder and was not written by churnsurv."""
    return sorted(entry.name for entry in folder.iterdir() if not _is_ours(entry))


def _is_ours(entry: Path) -> bool:
    if entry.name not in NAMES or entry.is_symlink() or not entry.is_file():
        return False
    try:
        if entry.suffix == ".json":
            document = json.loads(entry.read_text(encoding="utf-8"))
            return isinstance(document, dict) and str(document.get("schema", "")).startswith(MARK)
        with entry.open(encoding="utf-8") as stream:
            return f'content="{MARK}' in stream.read(2_000)
    except (OSError, ValueError):
        return False

"""Files of public datasets as they are delivered: found by names and patterns, unpacked, looked into."""

from __future__ import annotations

import csv
import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from glob import glob
from pathlib import Path
from typing import IO, cast

from churnsurv.exceptions import DataError
from churnsurv.messages import first_of

Paths = str | Path | Sequence[str | Path]

_WILDCARD = re.compile(r"[*?\[]")


def find_files(
    paths: Paths, *, what: str, extract_to: str | Path | None = None, member: Callable[[str], bool] = lambda name: True
) -> list[Path]:
    """Give the files that paths and patterns such as "perf_*.txt" name; archives are unpacked.

    Parameters
    ----------
    paths : path or sequence of paths
        Files or patterns; of an archive (zip) the members that `member` tells.
    what : str
        What the files are, for the messages.
    extract_to : path, optional
        Folder in which archives are unpacked; members that are there already in their full size are not written again.
    member : callable
        Tells by its name whether a member of an archive is one of the files.

    Raises
    ------
    DataError
        No file, an empty one, or an archive without `extract_to`.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given:
        raise DataError(f"No {what} is given.")
    found = [file for path in given for file in _matching(Path(path), what)]
    files = [file for path in found for file in _unpacked(path, what, extract_to, member)]
    twice = {file.name for file in files if files.count(file) > 1}
    if twice:
        raise DataError(f"The {what} {first_of(sorted(twice))} is given twice.")
    for file in files:
        if file.stat().st_size == 0:
            raise DataError(f"The {what} {str(file)!r} is empty.")
    return files


def _matching(path: Path, what: str) -> list[Path]:
    if path.is_file():
        return [path]
    if _WILDCARD.search(str(path)):
        files = sorted(file for name in glob(str(path), recursive=True) if (file := Path(name)).is_file())
        if files:
            return files
    if path.is_dir():
        raise DataError(
            f"{str(path)!r} is a folder: name the {what} in it, or give a pattern, e.g. {str(path / '*.txt')!r}."
        )
    folder = path.parent
    beside = sorted(file.name for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
    there = f" In its folder are: {first_of(beside, 10)}." if beside else ""
    raise DataError(f"There is no {what} {str(path)!r}.{there}")


def _unpacked(path: Path, what: str, extract_to: str | Path | None, member: Callable[[str], bool]) -> list[Path]:
    """Give the file itself, or what `member` wants of an archive."""
    if not zipfile.is_zipfile(path):
        return [path]
    if extract_to is None:
        raise DataError(
            f"{str(path)!r} is a zip archive, which cannot be read line by line: pass extract_to='folder' to have it "
            "unpacked there, or unpack it yourself. A file compressed with gzip (.gz) is read as it is."
        )
    folder = Path(extract_to)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return _extracted(path, folder, what, member)
    except (zipfile.BadZipFile, RuntimeError, OSError) as error:
        raise DataError(f"The archive {str(path)!r} cannot be unpacked to {str(folder)!r}: {error}.") from None


def _extracted(path: Path, folder: Path, what: str, member: Callable[[str], bool]) -> list[Path]:
    with zipfile.ZipFile(path) as archive:
        wanted = [info for info in archive.infolist() if not info.is_dir() and member(Path(info.filename).name.lower())]
        if not wanted:
            names = first_of(archive.namelist(), 10)
            raise DataError(f"The archive {str(path)!r} has no {what}; it holds {names}.")
        return [_extract(archive, info, folder) for info in wanted]


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> Path:
    # the name alone: a path inside the archive could lead out of the folder
    file = folder / Path(info.filename).name
    if not file.is_file() or file.stat().st_size != info.file_size:
        part = file.with_name(file.name + ".part")
        with archive.open(info) as packed, part.open("wb") as plain:
            while block := packed.read(1 << 20):
                plain.write(block)
        part.replace(file)
    return file


def open_bytes(file: Path) -> IO[bytes]:
    """Open a file for reading, decompressed when it is compressed with gzip."""
    return cast(IO[bytes], gzip.open(file, "rb")) if file.suffix == ".gz" else file.open("rb")


def first_lines(file: Path, n: int) -> list[str]:
    """Give the first lines of a text file, compressed or not."""
    try:
        with open_bytes(file) as stream:
            return [stream.readline(1 << 20).decode("utf-8", "replace").rstrip("\r\n") for _ in range(n)]
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{str(file)!r} cannot be read: {error}.") from None


def column_names(file: Path, line: str) -> list[str]:
    """Give the names in a header of values separated by ","; one that is there twice is refused."""
    names = [name.strip() for name in next(csv.reader([line]), [])]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"{str(file)!r} has two columns {twice[0]!r}: rename or drop one.")
    return names

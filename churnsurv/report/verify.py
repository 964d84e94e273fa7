"""Verification: the report of a folder computed again from its data and configuration, and compared to the last digit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churnsurv.exceptions import ChurnSurvError, ConfigError
from churnsurv.messages import counted
from churnsurv.report.canonical import document_of
from churnsurv.report.compare import differences, record_differences
from churnsurv.report.config import ReportConfig, configuration_hash, read_config
from churnsurv.report.content import Report
from churnsurv.report.quarterly import build
from churnsurv.report.render import RENDERERS
from churnsurv.report.render.available import SECTION, missing_formats
from churnsurv.report.render.pdf import weasyprint_works

#: folders above the report in which its configuration is looked for
_LEVELS = 3
#: keys of the provenance with a heading of their own → the heading
_RECORDS = {
    "code": "code of churnsurv", "versions": "version of", "machine": "machine,", "seeds": "seed",
    "configuration_file": "configuration file,", "configuration": "configuration", "previous": "earlier report,",
}  # fmt: skip


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    Attributes
    ----------
    inputs : tuple of str
        Differences of data files, code, versions and configuration from those recorded.
    content : tuple of str
        Differences of headlines, cells, figures, findings and sentences: recorded → computed again.
    documents : tuple of str
        Files of the folder that are not what its ``report.json`` gives.
    checked : tuple of str
        Names of the files compared.
    not_checked : tuple of str
        Files of the folder that could not be compared, with the reason.
    """

    inputs: tuple[str, ...]
    content: tuple[str, ...]
    documents: tuple[str, ...]
    checked: tuple[str, ...]
    not_checked: tuple[str, ...] = ()

    @property
    def is_identical(self) -> bool:
        """Whether nothing differs."""
        return not (self.inputs or self.content or self.documents)

    def lines(self, most: int = 20) -> list[str]:
        """Give the findings as lines, at most so many of a kind."""
        told = []
        for heading, found in (
            ("Inputs that differ from those recorded", self.inputs),
            ("Content that differs (recorded → computed again)", self.content),
            ("Documents that are not those of report.json", self.documents),
        ):
            if found:
                told += [f"{heading}: {len(found):,}", *(f"  {line}" for line in found[:most])]
                told += [f"  … and {len(found) - most:,} more"] if len(found) > most else []
        told += [f"Not checked: {line}" for line in self.not_checked]
        return [*told, self.verdict()]

    def verdict(self) -> str:
        """Give the result in one sentence."""
        if self.is_identical:
            return f"Identical: the report was computed again to the last digit ({', '.join(self.checked)})."
        if not self.content and not self.documents:
            return (
                "The content was computed again to the last digit, but the inputs named above are not those recorded."
            )
        if not self.content:
            return "The content was computed again to the last digit, but documents of the folder are not those of report.json."
        if not self.inputs:
            return (
                "Not reproduced, although data, code, versions and configuration are those recorded: report.json was changed "
                "after it was made, or the computation is not repeatable."
            )
        return "Not reproduced: the inputs named above differ, and so does the content."


def verify(folder: str | Path, config: str | Path | None = None, *, progress: bool = False) -> Verification:
    """Compute the report of a folder again and compare; nothing is written.

    Parameters
    ----------
    folder : path
        Folder with a ``report.json`` and the documents made of it.
    config : path, optional
        The configuration; without it, the file of the recorded name and SHA-256 beside the folder or above it.
    progress : bool
        Show a progress bar on standard error.

    Raises
    ------
    ConfigError
        There is no ``report.json``, its configuration is not found, or the report cannot be made again.
    DataError
        ``report.json`` is no report that this version reads.

    Examples
    --------
    >>> from churnsurv.report.verify import verify
    >>> verify("reports/2026Q3").is_identical  # doctest: +SKIP
    True
    """
    place = Path(folder)
    recorded = _recorded(place)
    documents, checked, not_checked = _documents(place, recorded)
    settings = read_config(_configuration(place, recorded["provenance"]) if config is None else config)
    again = _computed(settings, progress)
    inputs = tuple(_inputs(recorded["provenance"], again["provenance"]))
    # tables of the provenance repeat the record; they are looked at where the record gives no reason to differ
    without = (SECTION, "provenance") if inputs else (SECTION,)
    content = list(differences(recorded, again, without=without))
    if recorded["provenance"].get("spells") != again["provenance"].get("spells"):
        content = [*_spells(recorded["provenance"].get("spells"), again["provenance"]["spells"]), *content]
    return Verification(inputs, tuple(content), documents, checked, not_checked)


def _recorded(folder: Path) -> dict[str, Any]:
    """Read the canonical form in the folder."""
    path = folder / "report.json"
    if not path.is_file():
        what = "There is no folder" if not folder.is_dir() else "There is no report.json in"
        raise ConfigError(f"{what} {str(folder)!r}: give the folder of a report that was written with the format json.")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error}.") from None
    # what reads back is a report; its own bytes are compared, so that nothing in it stays unseen
    return {**document_of(Report.from_dict(document)), "provenance": document["provenance"]}


def _configuration(folder: Path, provenance: Mapping[str, Any]) -> Path:
    """Find the file that the report was made from, by its recorded name and hash."""
    source = provenance.get("configuration_file")
    if not source:
        raise ConfigError(
            f"The report in {str(folder)!r} does not record the file of its configuration. Name it: churnsurv report --verify "
            f"{folder} CONFIG."
        )
    places = [folder.resolve(), *folder.resolve().parents][: _LEVELS + 1]
    there: list[Path] = [path for place in places if (path := place / str(source["file"])).is_file()]
    for path in there:
        if configuration_hash(path) == source["sha256"]:
            return path
    what = (
        f"{str(there[0])!r} is not the file that the report was made from: its SHA-256 differs"
        if there
        else f"The configuration {source['file']!r} is neither beside the folder {str(folder)!r} nor above it"
    )
    raise ConfigError(f"{what}. To compare with another file, name it: churnsurv report --verify {folder} CONFIG.")


def _computed(settings: ReportConfig, progress: bool) -> dict[str, Any]:
    try:
        return build(settings, progress=progress).to_dict()
    except ChurnSurvError as error:
        raise ConfigError(f"The report cannot be made again: {error}") from error


def _inputs(recorded: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    """Say which data files, versions and settings are not those recorded."""
    found = []
    old, new = recorded.get("files", {}), again["files"]
    for role in dict.fromkeys((*old, *new)):
        if role not in old or role not in new:
            found.append(f"data file of {role}: {_file(old.get(role))} → {_file(new.get(role))}")
        elif old[role] != new[role]:
            found.append(f"data file of {role}: {_changes_of_file(old[role], new[role])}")
    for key, heading in _RECORDS.items():
        found += record_differences(recorded.get(key) or {}, again.get(key) or {}, heading)
    return found


def _file(record: Mapping[str, Any] | None) -> str:
    return "none" if record is None else f"{record['file']} ({_rows(record)})"


def _rows(record: Mapping[str, Any]) -> str:
    """Give the number of rows; words where the report hides it."""
    return counted(record["rows"], "row") if isinstance(record["rows"], int) else f"rows {record['rows']}"


def _changes_of_file(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    name = new["file"] if old["file"] == new["file"] else f"{old['file']} → {new['file']}"
    if old["sha256"] == new["sha256"]:
        return f"{name} (the same content)"
    sizes = [f"{_rows(f)} × {counted(f['columns'], 'column')}" for f in (old, new)]
    size = f"as recorded {sizes[0]}" if sizes[0] == sizes[1] else f"{sizes[0]} → {sizes[1]}"
    return f"{name}, SHA-256 {old['sha256'][:12]}… → {new['sha256'][:12]}…, {size}"


def _spells(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """Say in which columns the spells built from the data differ."""
    if not old:
        return []
    found = [f"spells, {name}: {old[name]:,} → {new[name]:,}" for name in ("loans", "spells") if old[name] != new[name]]
    names = [
        n for n in dict.fromkeys((*old["columns"], *new["columns"])) if old["columns"].get(n) != new["columns"].get(n)
    ]
    if not found and names:
        found = [f"spells, {counted(len(names), 'column')} with another content: {', '.join(names)}"]
    return found


def _documents(folder: Path, document: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Render report.json again and compare with the files beside it; give what differs, what was checked, what was not."""
    wrong, checked, skipped = [], ["report.json"], []
    for format, render in RENDERERS.items():
        path = folder / f"report.{format}"
        if format == "json" or not path.is_file():
            continue
        if format == "pdf" and not weasyprint_works():
            skipped.append("report.pdf, which only WeasyPrint makes with the same bytes; it is not installed")
            continue
        if missing_formats((format,)):
            skipped.append(f"{path.name}, which needs {missing_formats((format,))[format]}")
            continue
        made = render(document)
        for name, content in (made if isinstance(made, dict) else {path.name: made}).items():
            expected = content.encode("utf-8") if isinstance(content, str) else content
            checked.append(name)
            if not (folder / name).is_file():
                wrong.append(f"{name} is missing")
            elif (folder / name).read_bytes() != expected:
                wrong.append(f"{name} is not what this version of churnsurv makes of report.json")
    return tuple(wrong), tuple(checked), tuple(skipped)

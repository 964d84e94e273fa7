"""Provenance: what is needed to make the same report again."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import churnsurv
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Cell, Column, Section, Table, Text

TITLE = "Provenance"

_PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "formulaic", "numba", "matplotlib", "pyarrow", "jinja2")

#: texts of the configuration that other sections show in full
_SEEN_ELSEWHERE = ("terms", "purpose", "governance", "definitions", "overrides", "limitations")


def provenance(analysis: Analysis) -> Part:
    """List the hashes of the inputs, the versions, the seeds and the configuration."""
    record = provenance_record(analysis)
    settings = {key: value for key, value in record["configuration"].items() if key not in _SEEN_ELSEWHERE}
    blocks = (
        Text(
            "The same files, configuration and versions give the same report, byte for byte. The date is that of the data; "
            "the time at which the report was made is left out on purpose."
        ),
        _files(record["files"]),
        _pairs("versions", "Versions", "Software", "Version", record["versions"]),
        _pairs("configuration", "Configuration as used", "Key", "Value", flattened(settings)),
    )
    return Part(Section("provenance", TITLE, blocks))


def provenance_record(analysis: Analysis) -> dict[str, Any]:
    """Give the provenance as plain data: no path, no clock, no name of a machine."""
    files = {
        role: {
            "file": path.name,
            "rows": len(analysis.tables[role]),
            "columns": analysis.tables[role].shape[1],
            "sha256": sha256_of(path),
        }
        for role, path in analysis.config.data.files().items()
    }
    evaluation = analysis.config.evaluation
    return {
        "files": files,
        "versions": versions(),
        "seeds": {} if evaluation is None else {"forest": evaluation.forest.seed},
        "configuration": analysis.config.echo(),
    }


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Give the versions of churnsurv, Python and the packages that the numbers depend on."""
    found = {"churnsurv": churnsurv.__version__, "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def data_hash(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Give one hash for all input files, that of their hashes in order."""
    return hashlib.sha256("".join(str(file["sha256"]) for file in files.values()).encode()).hexdigest()


def _files(files: Mapping[str, Mapping[str, Any]]) -> Table:
    columns = (
        Column("role", "Table"),
        Column("file", "File"),
        Column("rows", "Rows", "integer"),
        Column("columns", "Columns", "integer"),
        Column("sha256", "SHA-256"),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (role, *(file[column.name] for column in columns[1:])) for role, file in files.items()
    )
    return Table("files", "Input files", columns, rows)


def _pairs(key: str, title: str, left: str, right: str, values: Mapping[str, Any]) -> Table:
    rows = tuple((name, str(value)) for name, value in values.items())
    return Table(key, title, (Column("name", left), Column("value", right)), rows)


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Give nested settings as "table.key" → text.

    >>> flattened({"model": {"ties": "efron", "strata": ["vintage"]}})
    {'model.ties': 'efron', 'model.strata': 'vintage'}
    """
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
            for position, item in enumerate(value, start=1):
                flat |= flattened(item, f"{name}.{position}.")
        else:
            flat[name] = (", ".join(str(v) for v in value) if isinstance(value, list | tuple) else str(value)) or "none"
    return flat

"""Provenance: what is needed to make the same report again."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import churnsurv
from churnsurv.data.reasons import LOANS_IN
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Cell, Column, Section, Table, Text
from churnsurv.report.disclosure import HIDDEN
from churnsurv.report.previous import read_previous
from churnsurv.report.words import flattened, listed

TITLE = "Provenance"

_PACKAGES = (
    "numpy", "scipy", "pandas", "scikit-learn", "formulaic", "numba", "llvmlite", "duckdb", "matplotlib", "pyarrow", "pydantic",
    "jinja2", "weasyprint", "python-docx", "resvg-py",
)  # fmt: skip
#: files of the package that a report depends on
_SOURCES = (".py", ".html", ".css", ".toml")

#: texts of the configuration that other sections show in full
_SEEN_ELSEWHERE = ("terms", "purpose", "governance", "definitions", "overrides", "limitations")


def provenance(analysis: Analysis) -> Part:
    """List the hashes of the inputs, the versions, the seeds and the configuration."""
    record = provenance_record(analysis)
    blocks = (
        Text(
            "The same files, configuration and versions give the same report, byte for byte. The date is that of the data; "
            "the time at which the report was made is left out on purpose."
        ),
        _files(record["files"]),
        _pairs("versions", "Versions", "What", "Version or hash", _software(record)),
        _configuration(analysis),
    )
    return Part(Section("provenance", TITLE, blocks))


def _configuration(analysis: Analysis) -> Table:
    """Give what the configuration sets other than the defaults, a row for each of its tables; the JSON form has all of it."""
    config = analysis.config
    chosen = config.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    chosen = {key: value for key, value in chosen.items() if key not in _SEEN_ELSEWHERE}
    chosen["data"] = {role: path.name for role, path in config.data.files().items()}
    for key in ("regime", "previous"):
        if key in chosen:
            chosen[key] = Path(chosen[key]).name
    top = {key: value for key, value in chosen.items() if not isinstance(value, Mapping) and not _are_tables(value)}
    rows = [("", _in_line(top))]
    for key, value in chosen.items():
        if isinstance(value, Mapping):
            rows.append((f"[{key}]", _in_line(value)))
        elif _are_tables(value):
            rows += [(f"[[{key}]] {i}", _in_line(item)) for i, item in enumerate(value, start=1)]
    elsewhere = listed([f"[{key}]" for key in _SEEN_ELSEWHERE if key != "purpose" and getattr(config, key)])
    note = (
        "Left out: what is as usual"
        + (f", and {elsewhere}, which other sections show" if elsewhere else "")
        + (". The JSON form of this report holds the whole configuration, defaults among it.")
    )
    columns = (Column("table", "Table"), Column("settings", "Settings other than the defaults"))
    return Table("configuration", "Configuration as used", columns, tuple(rows), notes=(note,))


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def _in_line(settings: Mapping[str, Any]) -> str:
    return "; ".join(f"{key} = {value}" for key, value in flattened(settings).items())


def provenance_record(analysis: Analysis) -> dict[str, Any]:
    """Give the provenance as plain data: no path, no clock, no name of a machine."""
    files = {
        role: {
            "file": path.name,
            "rows": _rows(analysis, role),
            "columns": analysis.tables[role].shape[1],
            "sha256": sha256_of(path),
        }
        for role, path in analysis.config.data.files().items()
    }
    config = analysis.config
    previous = read_previous(config)
    configuration = config.echo()
    record = {
        "files": files,
        "code": {"package": "churnsurv", "version": churnsurv.__version__, "sha256": code_hash()},
        "versions": versions(),
        "machine": machine(),
        "seeds": seeds(configuration),
        "configuration_file": config.source,
        "configuration": configuration,
        "spells": analysis.fingerprint,
    }
    return record if previous is None else {**record, "previous": previous.record()}


def _rows(analysis: Analysis, role: str) -> int | str:
    """Give the rows of a table; not of loans where their number is hidden, since few of them were left out."""
    hidden = role == "loans" and not analysis.exits.is_shown(LOANS_IN, "reason")
    return HIDDEN if hidden else len(analysis.tables[role])


def seeds(configuration: Mapping[str, Any], prefix: str = "") -> dict[str, int]:
    """Give every seed of a configuration by its place.

    >>> seeds({"evaluation": {"forest": {"seed": 7}}, "level": 0.95})
    {'evaluation.forest.seed': 7}
    """
    found: dict[str, int] = {}
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            found |= seeds(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            tables = {f"{key}.{i}": item for i, item in enumerate(value, start=1) if isinstance(item, Mapping)}
            found |= seeds(tables, prefix)
        elif key == "seed" or key.endswith("_seed"):
            found[f"{prefix}{key}"] = value
    return found


@cache
def code_hash() -> str:
    """Give one SHA-256 for the source files of the installed package: their paths in it and their contents, in order."""
    home = Path(churnsurv.__file__).parent
    total = hashlib.sha256()
    for path in sorted(path for path in home.rglob("*") if path.suffix in _SOURCES and "__pycache__" not in path.parts):
        total.update(f"{path.relative_to(home).as_posix()}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def machine() -> dict[str, str]:
    """Give what else the last bits of a number depend on: the kind of machine, and the library of linear algebra."""
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    blas = sorted(
        {
            " ".join(str(found[name]) for name in ("internal_api", "version", "architecture") if found.get(name))
            for found in threadpool_info()
            if found.get("user_api") == "blas"
        }
    )
    return {"system": f"{platform.system()} {platform.machine()}", "linear algebra": ", ".join(blas) or "not known"}


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


def _software(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give the versions and hashes as shown."""
    code, source = record["code"], record["configuration_file"]
    rows = {
        **record["versions"],
        "Source files of churnsurv": f"SHA-256 {code['sha256']}",
        "Machine": record["machine"]["system"],
    }
    rows["Linear algebra"] = record["machine"]["linear algebra"]
    if source is not None:
        rows[f"Configuration file {source['file']}"] = f"SHA-256 {source['sha256']}"
    if "previous" in record:
        earlier = record["previous"]
        rows[f"Earlier report {earlier['file']} ({earlier['period']})"] = f"SHA-256 {earlier['sha256']}"
    rows |= {f"Seed {place}": seed for place, seed in record["seeds"].items()}
    return rows


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

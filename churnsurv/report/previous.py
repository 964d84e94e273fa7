"""The report of an earlier quarter: reading it, and whether the data of its time are still as they were then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.data import Spells
from churnsurv.exceptions import ConfigError, DataError
from churnsurv.report.config import ReportConfig
from churnsurv.report.content import Report

#: digits of a column's largest value in which it is compared: sums over time may differ in the last of a double's sixteen
_DIGITS = 6
#: numbers of few decimals, times this, do not lie halfway between two roundings, where a difference in the last bit counts
_OFF = 1.0123456789


@dataclass(frozen=True)
class Previous:
    """An earlier report, with name and SHA-256 of its file."""

    report: Report
    file: str
    sha256: str

    def record(self) -> dict[str, str]:
        """Give what the provenance says of it."""
        return {
            "file": self.file, "sha256": self.sha256, "period": self.report.period, "as_of": self.report.as_of,
        }  # fmt: skip


def read_previous(config: ReportConfig) -> Previous | None:
    """Read the earlier report that the configuration names; None where it names none.

    Raises
    ------
    ConfigError
        The file is no report that this version reads, or not one of an earlier date.
    """
    if config.previous is None:
        return None
    path = Path(config.previous)
    try:
        content = path.read_bytes()
        report = Report.from_dict(json.loads(content))
    except OSError as error:
        raise ConfigError(f"previous: {str(path)!r} cannot be read: {error.strerror}.") from None
    except DataError as error:
        raise ConfigError(f"previous: {str(path)!r}: {error}") from None
    except ValueError:
        raise ConfigError(f"previous: {str(path)!r} is no JSON. Give the report.json of an earlier report.") from None
    if report.as_of >= f"{config.as_of:%Y-%m-%d}":
        raise ConfigError(
            f"previous: the report {str(path)!r} is of {report.as_of}, and this one of {config.as_of:%Y-%m-%d}. Give the "
            "report.json of an earlier quarter."
        )
    return Previous(report, path.name, hashlib.sha256(content).hexdigest())


def fingerprint(spells: Spells) -> dict[str, Any]:
    """Give what tells, a quarter later, whether the data of today are still the same: counts, and a hash by column.

    The order of the rows is that of loan and age; numbers count in six digits of the column's largest.
    """
    frame = spells.frame
    keys = frame[["loan_id", "start"]].reset_index(drop=True)
    order = keys.sort_values(["loan_id", "start"], kind="stable").index.to_numpy()
    return {
        "loans": int(frame["loan_id"].nunique()),
        "spells": len(frame),
        # one column at a time: sorted copies of all would be as large as the spells
        "columns": {str(name): _hash_of(frame[name].iloc[order]) for name in sorted(frame.columns)},
    }


def _hash_of(column: pd.Series) -> str:
    if pd.api.types.is_numeric_dtype(column.dtype):
        x = column.to_numpy(dtype=np.float64, na_value=np.nan)
        finite = x[np.isfinite(x) & (x != 0)]
        size = 10.0 ** (_DIGITS - np.ceil(np.log10(np.abs(finite).max()))) if len(finite) else 1.0
        # + 0.0 makes zero of minus zero
        content = np.where(np.isnan(x), np.nan, np.round(x * (_OFF * size)) + 0.0).tobytes()
    else:
        content = "\x1f".join(column.astype(object).where(column.notna(), "").astype(str)).encode()
    return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True)
class Restatement:
    """How today's data of an earlier time differ from those that the report of that time had."""

    loans: tuple[int, int]
    spells: tuple[int, int]
    columns: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.columns) or self.loans[0] != self.loans[1] or self.spells[0] != self.spells[1]


def restatement(previous: Previous, spells: Spells) -> Restatement | None:
    """Compare today's data, cut off at the date of the earlier report, with what it recorded; None where it recorded nothing.

    Columns are compared where both have them.
    """
    then: Mapping[str, Any] | None = previous.report.provenance.get("spells")
    if not then:
        return None
    try:
        now = fingerprint(spells.until(previous.report.as_of))
    except DataError:
        # today's data begin later than the earlier report ended
        return Restatement((then["loans"], 0), (then["spells"], 0), ())
    differing = [name for name, value in now["columns"].items() if then["columns"].get(name, value) != value]
    # with other rows every column is another
    same_rows = now["loans"] == then["loans"] and now["spells"] == then["spells"]
    return Restatement(
        (then["loans"], now["loans"]), (then["spells"], now["spells"]), tuple(differing) if same_rows else ()
    )

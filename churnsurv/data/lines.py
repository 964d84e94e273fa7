"""Lines of a check: ok, warning or error; where, what, how often, whom it concerns, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.exceptions import ChurnSurvError

#: status of a line, the worst first
STATUSES = ("error", "warning", "ok")


@dataclass(frozen=True)
class Line:
    """One line of a check."""

    status: str
    table: str
    column: str
    rule: str
    count: int
    examples: str
    remedy: str


def lines_frame(lines: Iterable[Line]) -> pd.DataFrame:
    """Give lines as a frame, errors first."""
    frame = pd.DataFrame([astuple(line) for line in lines], columns=[field.name for field in fields(Line)])
    rank = frame["status"].map({status: rank for rank, status in enumerate(STATUSES)})
    return frame.iloc[np.argsort(rank, kind="stable")].reset_index(drop=True)


def any_error(lines: Iterable[Line]) -> bool:
    """Tell whether a line is an error."""
    return any(line.status == "error" for line in lines)


def fault(check: Callable[[], Any]) -> str:
    """Run a check and give what it raises as text: no data can stop the report about them."""
    try:
        check()
    except ChurnSurvError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def guarded(table: str, column: str, rule: str, check: Callable[[], Iterable[Line]]) -> list[Line]:
    """Give the lines of a check; what it raises becomes an error line."""
    lines: list[Line] = []
    words = fault(lambda: lines.extend(check()))
    return [*lines, Line("error", table, column, rule, 1, "", words)] if words else lines

"""Headlines from estimates: what the first page shows and the next quarter's report compares with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Literal

from churnsurv.report.content import Column, Headline, Table
from churnsurv.report.render.cells import NONE, shown
from churnsurv.report.words import level_words


def headline(
    key: str,
    measure: str,
    bounded: tuple[float, float, float] | None,
    meaning: str,
    *,
    level: float,
    scale: Literal["linear", "log"],
    format: str,
    symbol: str = "",
    n: int | None = None,
    sample: Literal["cumulative", "window", "unknown"] = "unknown",
    better: Literal["lower", "higher"] | None = None,
) -> Headline:
    """Give the headline of an estimate with its bounds; None where it is not estimable.

    What the next quarter's report needs to compare with it: `sample` says whether its data will be contained in those of
    the next quarter ("cumulative"), or belong to this one alone ("window"), and `better` which direction is wanted.

    The standard error is that of the Wald interval on the given scale, on which it is symmetric:
    (upper − lower) / 2 z, of the logarithms where the scale is "log".

    Examples
    --------
    >>> made = headline("offer", "Offer", (0.6, 0.45, 0.8), "lower", level=0.95, scale="log", format="number:2", symbol="HR")
    >>> round(made.se, 4), as_shown(made)
    (0.1468, ('HR 0.60', '0.45 to 0.80'))
    """
    value, lower, upper = bounded or (None, None, None)
    return Headline(
        key=key,
        measure=measure,
        value=value,
        lower=lower,
        upper=upper,
        meaning=meaning,
        se=_error(lower, upper, level, scale),
        level=level,
        n=n,
        format=format,
        symbol=symbol,
        scale=scale,
        sample=sample,
        better=better,
    )


def _error(lower: float | None, upper: float | None, level: float, scale: str) -> float | None:
    if lower is None or upper is None or not (math.isfinite(lower) and math.isfinite(upper)):
        return None
    if scale == "log":
        if lower <= 0:
            return None
        lower, upper = math.log(lower), math.log(upper)
    return (upper - lower) / (2 * NormalDist().inv_cdf((1 + level) / 2))


def as_shown(record: Headline) -> tuple[str, str]:
    """Give estimate and interval as they are shown."""
    if record.value is None:
        return "not estimable", NONE
    kind, colon, digits = record.format.partition(":")
    interval = ("percent interval" if kind == "percent" else "interval") + colon + digits
    value = f"{record.symbol} {shown(record.value, record.format)}".lstrip()
    return value, shown((record.lower, record.upper), interval)


def headline_table(records: Iterable[Headline], level: float) -> Table:
    """Give the table of the first page."""
    columns = (
        Column("measure", "What"),
        Column("value", "Estimate", "value"),
        Column("interval", f"{level_words(level)} CI", "value"),
        Column("meaning", "What it says"),
    )
    return Table("headlines", "Headline figures", columns, tuple((r.measure, *as_shown(r), r.meaning) for r in records))

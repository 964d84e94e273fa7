"""Numbers at risk, censored and left, written below the axis of a curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from churnsurv.curves import Curves
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: distances in points: first line below the axis, between lines, from the axis to the labels
_TABLE_TOP, _TABLE_LINE, _LABEL_GAP = 40.0, 12.5, 24.0


def of_causes(table: pd.DataFrame, causes: Sequence[str]) -> pd.DataFrame:
    """Add up the events of the causes shown; at risk and censored are the same in every state's rows."""
    rows = table[table["state"].isin(causes)]
    return rows.groupby(["group", "time"], sort=False, as_index=False).agg(
        n_risk=("n_risk", "first"), n_censored=("n_censored", "first"), n_event=("n_event", "sum")
    )


def counts_at(table: pd.DataFrame, ticks: Sequence[float]) -> dict[str, list[float]]:
    """Give at risk at, censored and left before each tick, of one group."""
    table = table.sort_values("time")
    position = np.searchsorted(table["time"].to_numpy(), np.asarray(ticks), side="left")
    found = {"n_risk": np.append(table["n_risk"].to_numpy(), 0.0)[position]}
    for column in ("n_censored", "n_event"):
        found[column] = np.concatenate(([0.0], np.cumsum(table[column].to_numpy())))[position]
    return {name: [float(v) for v in values] for name, values in found.items()}


def count_table(ax: Axes, table: pd.DataFrame, curves: Curves, names: list[str], left: str, smallest: int) -> None:
    """Write the counts of every group below the axis; counts below `smallest` are hidden."""
    offset = _TABLE_TOP
    several = len(curves) > 1

    def write(x: float, text: str, align: str, shift: float = 0.0, **style: Any) -> None:
        where = ("axes fraction" if align == "right" else "data", "axes fraction")
        ax.annotate(
            text,
            (x, 0),
            (shift, -offset),
            xycoords=where,
            textcoords="offset points",
            ha=align,
            va="top",
            size=8,
            annotation_clip=False,
            parse_math=False,
            **style,
        )

    for position, group in enumerate(curves.index):
        rows = table[table["group"] == group] if several else table
        ticks = [t for t in ax.get_xticks() if max(ax.get_xlim()[0], curves.origin[position]) <= t <= ax.get_xlim()[1]]
        counts = counts_at(rows, ticks)
        tone = theme.colour(position) if several else theme.INK
        for column, title in (("n_risk", "At risk"), ("n_censored", "Censored"), ("n_event", left)):
            first = several and column == "n_risk"
            write(0.0, f"{names[position]}  at risk" if first else title, "right", -_LABEL_GAP, color=tone)
            for tick, value in zip(ticks, counts[column], strict=True):
                write(tick, f"<{smallest}" if 0 < value < smallest else f"{value:,.0f}", "center", color=tone)
            offset += _TABLE_LINE
        offset += 3.0

"""Rates of leaving over calendar time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from churnsurv.plot import theme
from churnsurv.plot.curves import label_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def rates(
    table: pd.DataFrame, causes: Sequence[str], *, ax: Axes | None = None, ylabel: str = "Leave per year"
) -> Axes:
    """Draw the rate of leaving by each cause per calendar period, with intervals.

    Parameters
    ----------
    table : DataFrame
        Indexed by calendar quarter (a PeriodIndex); for each cause the columns "<cause> rate", "<cause> lower",
        "<cause> upper". Missing rates leave a gap.
    causes : sequence of str
        Which to draw.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes.
    ylabel : str
        Name of the vertical axis.

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv import plot
    >>> quarters = pd.period_range("2025Q1", periods=2, freq="Q")
    >>> table = pd.DataFrame({"default rate": [0.02, 0.03], "default lower": [0.01, 0.02],
    ...                       "default upper": [0.03, 0.05]}, index=quarters)
    >>> plot.rates(table, ["default"]).get_ylabel()
    'Leave per year'
    """
    with theme.themed():
        ax = theme.own_axes(7.0, 3.2) if ax is None else ax
        x = np.arange(len(table))
        for position, cause in enumerate(causes):
            tone = theme.colour(position)
            lower, upper = table[f"{cause} lower"], table[f"{cause} upper"]
            ax.fill_between(x, lower, upper, color=tone, alpha=theme.BAND_OPACITY, lw=0)
            ax.plot(x, table[f"{cause} rate"], color=tone, ls=theme.line_style(position), marker="o", ms=3)
        # the first quarters hold few loans: their wide intervals may be cut, the rates not
        top = max(
            float(np.nanmax(table[[f"{c} rate" for c in causes]].to_numpy())),
            float(table[[f"{c} upper" for c in causes]].quantile(0.9).max()),
        )
        ax.set_ylim(0, 1.08 * top if top > 0 else 1)
        ax.set_xlim(-0.3, len(table) - 0.7)
        step = max(1, int(np.ceil(len(table) / 8)))
        shown = x[(len(table) - 1) % step :: step]
        ax.set_xticks(shown, [f"{table.index[i].year} Q{table.index[i].quarter}" for i in shown])
        ax.set_ylabel(ylabel, parse_math=False)
        theme.percent_axis(ax)
        last = {cause: int(np.flatnonzero(table[f"{cause} rate"].notna())[-1]) for cause in causes}
        label_ends(ax, list(causes), [(float(i), float(table[f"{c} rate"].iloc[i])) for c, i in last.items()])
    return ax

"""How a portfolio comes down to what is analysed, and where its loans went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def waterfall(
    steps: Sequence[tuple[str, float | None, str, bool]], *, ax: Axes | None = None, xlabel: str = "Loans"
) -> Axes:
    """Draw totals and what leads from one to the next, as horizontal bars from top to bottom.

    Parameters
    ----------
    steps : sequence of (label, number, words, total)
        A total is a bar from 0; another step is taken off the bar above. `words` stand beside the bar; a number of None (not
        shown) has no bar.
    ax : matplotlib Axes, optional
        Default: new axes as high as the steps need.
    xlabel : str
        Name of the horizontal axis.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from churnsurv import plot
    >>> ax = plot.waterfall([("Given", 100, "100", True), ("Excluded", 10, "10", False), ("Analysed", 90, "90", True)])
    >>> [float(bar.get_x()) for bar in ax.patches]
    [0.0, 90.0, 0.0]
    """
    top = max((number for _, number, _, total in steps if total and number is not None), default=1.0)
    with theme.themed():
        ax = theme.own_axes(7.0, 0.9 + 0.3 * len(steps)) if ax is None else ax
        ax.grid(visible=False, axis="y")
        ax.grid(visible=True, axis="x")
        level = float(top)
        for row, (_, number, words, total) in enumerate(steps):
            left = level
            if number is not None:
                left = 0.0 if total else max(level - number, 0.0)
                ax.barh(row, number, left=left, height=0.66, color=theme.colour(0) if total else theme.colour(1))
                level = float(number) if total else left
            end = level if total or number is None else left + number
            ax.text(min(end, top) + 0.012 * top, row, words, va="center", ha="left", fontsize=9, parse_math=False)
        ax.set_ylim(len(steps) - 0.4, -0.6)
        ax.set_xlim(0, 1.14 * top)
        ax.set_yticks(np.arange(len(steps)), [label for label, *_ in steps], parse_math=False)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        ax.set_xlabel(xlabel, parse_math=False)
    return ax

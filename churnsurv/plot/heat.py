"""Rates by two groupings, as a table of shaded cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: one hue: lightness alone carries the number, for greyscale and colour-blind readers
_SHADES = LinearSegmentedColormap.from_list("shades", ["#e4eef6", "#00568a"])
#: cells keep their colours on a dark page, so their letters are none of the colours that change there
_ON_LIGHT, _ON_DARK, _DARK = "#1b2631", "#fdfdfd", 0.72


def heat(table: pd.DataFrame, *, ax: Axes | None = None, xlabel: str = "", ylabel: str = "") -> Axes:
    """Draw shares or rates of rows by columns: the number in each cell, a darker shade for a larger one.

    Parameters
    ----------
    table : DataFrame
        Shares (0.12 for 12%); index and columns are the labels. Cells without a number are left empty.
    ax : matplotlib Axes, optional
        Default: new axes as high as the table needs.
    xlabel, ylabel : str
        Names of the axes.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv import plot
    >>> ax = plot.heat(pd.DataFrame({"first year": [0.1, 0.2], "second": [0.15, None]}, index=["2024", "2025"]))
    >>> [text.get_text() for text in ax.texts]
    ['10%', '15%', '20%']
    """
    values = table.to_numpy(dtype=float)
    known = values[np.isfinite(values)]
    top = float(known.max()) if len(known) and known.max() > 0 else 1.0
    digits = 0 if top >= 0.1 else 1
    with theme.themed():
        ax = theme.own_axes(7.0, 1.2 + 0.32 * len(table)) if ax is None else ax
        ax.grid(visible=False)
        for (row, column), value in np.ndenumerate(values):
            if not np.isfinite(value):
                continue
            depth = float(value) / top
            ax.add_patch(Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, fc=_SHADES(depth), ec="none"))
            tone = _ON_DARK if depth > _DARK else _ON_LIGHT
            ax.text(column, row, f"{100 * value:.{digits}f}%", ha="center", va="center", color=tone, fontsize=9)
        ax.set_xlim(-0.5, values.shape[1] - 0.5)
        ax.set_ylim(values.shape[0] - 0.5, -0.5)
        ax.set_xticks(range(values.shape[1]), [str(label) for label in table.columns], parse_math=False)
        ax.set_yticks(range(values.shape[0]), [str(label) for label in table.index], parse_math=False)
        ax.set_xlabel(xlabel, parse_math=False)
        ax.set_ylabel(ylabel, parse_math=False)
        ax.tick_params(length=0)
        for side in ("left", "bottom"):
            ax.spines[side].set_visible(False)
    return ax

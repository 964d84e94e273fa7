"""Importance of columns: estimates with their intervals, the most important on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEEDED = ("importance", "lower", "upper")


def importance(
    table: Any, *, ax: Axes | None = None, labels: dict[str, str] | None = None, xlabel: str | None = None
) -> Axes:
    """Draw importances with their intervals; grey where the interval includes 0.

    Parameters
    ----------
    table : PermutationImportance or DataFrame
        Index: the columns or groups; columns importance, lower, upper. Drawn in this order, from the top.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes as high as the table needs.
    labels : dict, optional
        Names to show instead.
    xlabel : str, optional
        Name of the axis; default: what is lost of the metric.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv import plot
    >>> table = pd.DataFrame({"importance": [0.08, 0.001], "lower": [0.06, -0.002], "upper": [0.10, 0.004]},
    ...                      index=["rate_incentive", "noise"])
    >>> [tick.get_text() for tick in plot.importance(table).get_yticklabels()]
    ['rate_incentive', 'noise']
    """
    frame = table if isinstance(table, pd.DataFrame) else table.to_frame()
    absent = [name for name in _NEEDED if name not in frame.columns]
    if absent:
        raise DataError(f"The table has no column {first_of([repr(a) for a in absent])}: pass the result as it is.")
    if frame.empty:
        raise DataError("The table has no rows: there is no importance to draw.")
    value, lower, upper = (frame[name].to_numpy(dtype=float) for name in _NEEDED)
    height = np.arange(len(frame))
    with theme.themed():
        ax = theme.own_axes(6.5, 1.0 + 0.27 * len(frame)) if ax is None else ax
        ax.axvline(0.0, color=theme.INK, lw=0.9, ls=(0, (2, 2)), zorder=1)
        for y in height:
            tone = theme.NEUTRAL if lower[y] <= 0 <= upper[y] else theme.PALETTE[0]
            ax.plot([lower[y], upper[y]], [y, y], color=tone, lw=1.6, solid_capstyle="butt", zorder=2)
            ax.plot([value[y]], [y], "o", color=tone, ms=5.5, zorder=3)
        ax.set_ylim(len(frame) - 0.4, -0.6)
        shown = [(labels or {}).get(str(name), str(name)) for name in frame.index]
        ax.set_yticks(height, shown, parse_math=False)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(False, axis="y")
        ax.grid(True, axis="x", color=theme.GRID, lw=0.8)
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:.6g}".replace("-", "\u2212")))
        ax.set_xlabel(_xlabel(table) if xlabel is None else xlabel, parse_math=False)
    return ax


def _xlabel(table: Any) -> str:
    """Give "Fall of Harrell's C when permuted", or for a Brier score its rise; a plain frame does not say of what."""
    name = getattr(getattr(table, "baseline", None), "name", None)
    if name is None:
        return "Importance"
    return f"{'Rise' if name.startswith('Brier') else 'Fall'} of {name} when permuted"

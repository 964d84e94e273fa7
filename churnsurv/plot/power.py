"""Figure of the power of a planned comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def power_curve(table: pd.DataFrame, *, target: float | None = 0.8, ax: Axes | None = None) -> Axes:
    """Draw the power over the number of customers, with the simulation's interval.

    Parameters
    ----------
    table : DataFrame
        Of :func:`churnsurv.effects.power_curve`: columns n, power, lower, upper.
    target : float, optional
        Power to be reached: drawn as a dashed line.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes.

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv import plot
    >>> table = pd.DataFrame({"n": [200, 400], "power": [0.5, 0.8], "lower": [0.45, 0.75], "upper": [0.55, 0.85]})
    >>> plot.power_curve(table).get_ylabel()
    'Power'
    """
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"table is a {type(table).__name__}: pass the result of churnsurv.effects.power_curve.")
    absent = [name for name in ("n", "power", "lower", "upper") if name not in table.columns]
    if absent:
        raise DataError(f"The table has no column {first_of([repr(a) for a in absent])}: pass the result as it is.")
    table = table.sort_values("n")
    with theme.themed():
        ax = theme.own_axes(6.0, 3.6) if ax is None else ax
        error = [table["power"] - table["lower"], table["upper"] - table["power"]]
        ax.errorbar(
            table["n"], table["power"], error, color=theme.colour(0), marker="o", ms=5, capsize=0, elinewidth=1.2
        )
        if target is not None:
            ax.axhline(target, color=theme.colour(1), lw=1.2, ls=(0, (5, 1.5)), zorder=1)
            ax.annotate(
                f"{100 * target:g}%", (0.0, target), (4, 3), xycoords=("axes fraction", "data"), ha="left",
                textcoords="offset points", va="bottom", size=9, color=theme.colour(1),
            )  # fmt: skip
        ax.set_ylim(0, 1.02)
        theme.percent_axis(ax)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 2.5, 5, 10]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        ax.set_xlabel("Customers in all")
        ax.set_ylabel("Power")
    return ax

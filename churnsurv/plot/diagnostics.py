"""Figures of what a Cox model's diagnostics show: a hazard ratio over time, the shape of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RATIOS = ("hazard_ratio", "hr_lower", "hr_upper")
#: ratios offered as ticks, from fine to coarse: the first that reach beyond the axis with at most seven on it
_TICKS = (
    (0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4),
    (0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 2, 2.5),
    (0.0625, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16),
    (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6),
)


def hazard_ratio_over_time(
    table: pd.DataFrame, *, constant: float | None = None, ax: Axes | None = None, xlabel: str = "Loan age"
) -> Axes:
    """Draw a hazard ratio over time with its pointwise band, on a logarithmic axis.

    Parameters
    ----------
    table : DataFrame
        Of :func:`churnsurv.hazard_ratio_over_time`.
    constant : float, optional
        The hazard ratio of the model, which is the same at all times: drawn as a dashed line.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes.
    xlabel : str
        Name of the axis of time.

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv import plot
    >>> table = pd.DataFrame({"time": [1, 12, 24], "hazard_ratio": [1.5, 1.2, 1.1], "hr_lower": [1.3, 1.1, 0.9],
    ...                       "hr_upper": [1.7, 1.3, 1.3]})
    >>> plot.hazard_ratio_over_time(table, constant=1.3).get_yscale()
    'log'
    """
    return _ratio(table, "time", ax, xlabel, "Hazard ratio", constant)


def functional_form(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    xlabel: str = "Value of the column",
    ylabel: str = "Hazard, observed to expected",
) -> Axes:
    """Draw the hazard over the values of a column, against that expected without it, with its pointwise band.

    The vertical axis is logarithmic: a column that may enter a Cox model as it is shows a straight line.

    Parameters
    ----------
    table : DataFrame
        Of :func:`churnsurv.functional_form`; or any with the columns value, hazard_ratio, hr_lower, hr_upper.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes.
    xlabel, ylabel : str
        Name of the column, and of the ratio.

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv import plot
    >>> table = pd.DataFrame({"value": [0, 1, 2], "hazard_ratio": [0.8, 1.0, 1.3], "hr_lower": [0.7, 0.9, 1.1],
    ...                       "hr_upper": [0.9, 1.1, 1.5]})
    >>> plot.functional_form(table, xlabel="Rate incentive").get_xlabel()
    'Rate incentive'
    """
    return _ratio(table, "value", ax, xlabel, ylabel, None)


def _ratio(table: pd.DataFrame, across: str, ax: Axes | None, xlabel: str, ylabel: str, constant: float | None) -> Axes:
    absent = [name for name in (across, *_RATIOS) if name not in table.columns]
    if absent:
        raise DataError(f"The table has no column {first_of([repr(a) for a in absent])}: pass the result as it is.")
    with theme.themed():
        ax = theme.own_axes(7.0, 3.8) if ax is None else ax
        x, (ratio, lower, upper) = table[across].to_numpy(), (table[name].to_numpy() for name in _RATIOS)
        ax.set_yscale("log")
        ax.fill_between(x, lower, upper, color=theme.colour(0), alpha=theme.BAND_OPACITY, lw=0)
        ax.plot(x, ratio, color=theme.colour(0))
        ax.axhline(1.0, color=theme.INK, lw=0.9, ls=(0, (2, 2)), zorder=1)
        if constant is not None:
            ax.axhline(constant, color=theme.colour(1), lw=1.2, ls=(0, (5, 1.5)), zorder=1)
            ax.annotate(
                f"model: {constant:.2f}", (1.0, constant), (-2, 3), xycoords=("axes fraction", "data"), ha="right",
                textcoords="offset points", va="bottom", size=9, color=theme.colour(1),
            )  # fmt: skip
        # the band is wide where there is little data: it may be cut, the line not
        low = min(float(ratio.min()), float(np.quantile(lower, 0.1)), 0.95, constant or 1.0) / 1.05
        high = max(float(ratio.max()), float(np.quantile(upper, 0.9)), 1.05, constant or 1.0) * 1.05
        ax.set_ylim(low, high)
        ax.set_xlim(float(x.min()), float(x.max()))
        ax.yaxis.set_major_locator(FixedLocator(_ticks(low, high)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel(xlabel, parse_math=False)
        # balances in full, not as a power of ten beside the axis
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "\u2212")))
        ax.set_ylabel(ylabel)
    return ax


def _ticks(low: float, high: float) -> list[float]:
    for offered in _TICKS:
        within = [float(v) for v in offered if low <= v <= high]
        if offered[0] < low and offered[-1] > high and len(within) <= 7:
            break
    return within

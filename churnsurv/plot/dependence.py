"""Partial dependence: the average risk over the values of a column, with its band and single customers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter

from churnsurv.exceptions import DataError
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from churnsurv.estimators.dependence import PartialDependence


def partial_dependence(
    result: PartialDependence, *, ax: Axes | None = None, xlabel: str | None = None, color: str | None = None
) -> Axes:
    """Draw a partial dependence: the average as a line (of a category: dots), its band, single customers as thin lines.

    Ticks inside the horizontal axis are the deciles of the column among the customers: where they are dense, there are
    data. Where nothing supports the answer the line is dashed and the dot hollow. The title says what the band is.

    Parameters
    ----------
    result : PartialDependence
        Of :func:`churnsurv.partial_dependence`.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes.
    xlabel : str, optional
        Name of the column.
    color : str, optional
        Colour of the line.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.7, 0.4] * 5})
    >>> model = cs.CoxPH().fit(X, cs.Outcome(stop=[9, 2, 5, 4, 6, 3, 7, 8] * 5, event=[1, 1, 0, 1, 0, 1, 1, 1] * 5))
    >>> result = cs.partial_dependence(model, X, "rate", horizon=5)
    >>> cs.plot.partial_dependence(result, xlabel="Rate incentive").get_xlabel()
    'Rate incentive'
    """
    if not hasattr(result, "individual"):
        raise DataError("Pass the result of churnsurv.partial_dependence.")
    tone = theme.colour(0) if color is None else color
    with theme.themed():
        ax = theme.own_axes(6.5, 4.0) if ax is None else ax
        draw = _levels if result.categorical else _line
        draw(result, ax, tone)
        top = max(float(np.max(result.upper)), float(np.max(result.individual, initial=0.0)))
        ax.set_ylim(0.0, min(1.02, 1.06 * top) if top > 0 else 1.0)
        theme.percent_axis(ax)
        ax.set_xlabel(result.column if xlabel is None else xlabel, parse_math=False)
        ax.set_ylabel(f"Risk of {result.cause} within {result.horizon:g}", parse_math=False)
        ax.set_title(_band(result), fontweight="normal", fontsize=9, color=theme.MUTED, loc="right")
    return ax


def _line(result: PartialDependence, ax: Axes, tone: str) -> None:
    x = np.asarray(result.values, dtype=float)
    for curve in result.individual:
        ax.plot(x, curve, color=theme.NEUTRAL, lw=0.5, alpha=0.45, zorder=1.5)
    ax.fill_between(x, result.lower, result.upper, color=tone, alpha=theme.BAND_OPACITY, lw=0)
    inside = np.flatnonzero(~result.extrapolated)
    ax.plot(x, result.average, color=tone, ls=(0, (3, 1.5)) if result.extrapolated.any() else "-", zorder=3)
    if len(inside):
        # the values set are sorted, so those within the support are neighbours
        here = slice(inside[0], inside[-1] + 1)
        ax.plot(x[here], result.average[here], color=tone, zorder=3)
    within = result.support[(result.support >= x[0]) & (result.support <= x[-1])]
    ax.vlines(within, 0.0, 0.025, color=theme.INK, lw=0.9, transform=ax.get_xaxis_transform(), zorder=3)
    if len(x) > 1:
        ax.set_xlim(x[0], x[-1])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}".replace("-", "\u2212")))


def _levels(result: PartialDependence, ax: Axes, tone: str) -> None:
    x = np.arange(len(result.values))
    for g in x:
        # a customer's own risks at two levels are not joined: levels have no order
        ax.hlines(result.individual[:, g], g - 0.16, g + 0.16, color=theme.NEUTRAL, lw=0.5, alpha=0.6, zorder=1.5)
        ax.plot([g, g], [result.lower[g], result.upper[g]], color=tone, lw=1.6, solid_capstyle="butt", zorder=2)
        fill = "white" if result.extrapolated[g] else tone
        ax.plot([g], [result.average[g]], "o", color=tone, mfc=fill, ms=6, zorder=3)
    names = [f"{level}\n{share:.0%}" for level, share in zip(result.values, result.support, strict=True)]
    ax.set_xticks(x, names, parse_math=False)
    ax.set_xlim(-0.5, len(x) - 0.5)
    ax.tick_params(axis="x", length=0)


def _band(result: PartialDependence) -> str:
    if result.band == "interval":
        return f"band: {100 * result.level:.10g}% interval of the average"
    return "band: middle 80% of customers, not uncertainty"

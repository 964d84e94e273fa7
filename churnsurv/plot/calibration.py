"""Calibration and discrimination at horizons: the smooth curve with its bins, and the area under the curve over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from churnsurv.exceptions import DataError
from churnsurv.metrics import Calibration
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def calibration(result: Calibration, *, ax: Axes | None = None) -> Axes:
    """Draw what was observed against what was predicted: the smooth curve with its band, the bins with their intervals.

    On the dashed diagonal predictions are right; below it fewer leave than predicted. The ticks at the bottom are the bins'
    mean predictions. Bins without an interval (few events) are left out if their ``observed`` is missing.

    Parameters
    ----------
    result : Calibration
        As of :func:`churnsurv.metrics.calibration`.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> import churnsurv as cs, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.uniform(0.1, 0.6, 500)
    >>> y = cs.Outcome(np.minimum(np.ceil(12 * rng.exponential(-1 / np.log1p(-risk))), 24), rng.random(500) < 2)
    >>> cs.plot.calibration(cs.metrics.calibration(y, risk, 12)).get_xlabel()
    'Predicted probability'
    """
    if not isinstance(result, Calibration):
        raise DataError(f"result is a {type(result).__name__}: pass the result of churnsurv.metrics.calibration.")
    curve, bins = result.curve, result.table.dropna(subset=["observed"])
    with theme.themed():
        ax = theme.own_axes(6.0, 4.4) if ax is None else ax
        top = calibration_limit(result)
        ax.plot([0, top], [0, top], color=theme.INK, lw=0.9, ls=(0, (3, 2)), zorder=1, label="prediction is right")
        tone = theme.PALETTE[0]
        ax.fill_between(curve["predicted"], curve["lower"], curve["upper"], color=tone, alpha=theme.BAND_OPACITY, lw=0)
        ax.plot(curve["predicted"], curve["observed"], color=tone, zorder=3, label="smooth curve")
        ax.vlines(bins["mean_predicted"], bins["lower"], bins["upper"], color=theme.PALETTE[1], lw=1.4, zorder=4)
        ax.plot(
            bins["mean_predicted"], bins["observed"], "o", color=theme.PALETTE[1], mfc=theme.PAPER, mew=1.4, ms=5.5,
            zorder=5, label="bands of predicted risk",
        )  # fmt: skip
        ax.set_xlim(0, top)
        ax.set_ylim(0, top)
        ax.set_aspect("equal", adjustable="box")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g}%"))
        ax.set_xlabel("Predicted probability")
        ax.set_ylabel("Observed probability")
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0.0, handletextpad=0.4)
    return ax


def calibration_limit(result: Calibration) -> float:
    """Give the probability at which both axes end.

    They show the bins with their intervals; of the curve, which few high predictions draw out, what lies within.
    """
    curve, bins = result.curve, result.table.dropna(subset=["observed"])
    whole = float(np.nanmax([curve["predicted"].max(), curve["observed"].max()]))
    if bins.empty:
        return 1.06 * whole
    shown = max(1.5 * bins["mean_predicted"].max(), min(bins["upper"].max(), 2.5 * bins["observed"].max()))
    return 1.06 * float(min(shown, max(whole, bins["upper"].max())))


def auc_over_time(tables: dict[str, pd.DataFrame], *, ax: Axes | None = None, unit: str = "month") -> Axes:
    """Draw the area under the ROC curve against the horizon, a line with its pointwise band per table.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Name → table of :func:`churnsurv.metrics.cumulative_dynamic_auc` for several horizons.
    ax : matplotlib Axes, optional
    unit : str
        Unit of the horizons.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12, 14], event=[1, 1, 0, 1, 0])
    >>> table = cs.metrics.cumulative_dynamic_auc(y, [0.9, 0.2, 0.3, 0.1, 0.4], [4, 6, 9])
    >>> cs.plot.auc_over_time({"score": table}).get_ylabel()
    'AUC'
    """
    if not tables:
        raise DataError("There is no table to draw: give at least one.")
    with theme.themed():
        ax = theme.own_axes(7.0, 3.6) if ax is None else ax
        ax.axhline(0.5, color=theme.INK, lw=0.9, ls=(0, (2, 2)), zorder=1)
        last = 0.0
        for position, (name, table) in enumerate(tables.items()):
            tone = theme.colour(position)
            ax.fill_between(
                table["time"], table["lower"], table["upper"], color=tone, alpha=theme.BAND_OPACITY, lw=0, zorder=2
            )
            ax.plot(
                table["time"], table["value"], color=tone, ls=theme.line_style(position), marker="o", ms=3.5, zorder=3,
                label=name,
            )  # fmt: skip
            last = max(last, float(table["time"].max()))
        lowest = min(float(np.nanmin(table["lower"])) for table in tables.values())
        ax.set_ylim(max(0.0, min(0.45, lowest - 0.02)), 1.0)
        ax.set_xlim(left=0)
        ax.set_xticks(theme.month_ticks(last))
        ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.set_xlabel(f"{unit.capitalize()}s ahead")
        ax.set_ylabel("AUC")
        handles, names = ax.get_legend_handles_labels()
        legend = ax.legend(handles, names, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0.0)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return ax

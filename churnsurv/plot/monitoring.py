"""Figures of monitoring: stability of the characteristics, control charts, vintages rolled forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: alarms are told by the filled sign as well as by the colour
_QUIET, _ALARM = theme.PALETTE[0], theme.PALETTE[1]
_CHART_TICKS = 8


def stability(table: pd.DataFrame, *, ax: Axes | None = None, most: int = 25) -> Axes:
    """Draw stability indices with their thresholds, the largest on top, and the lines of the fixed rule.

    Parameters
    ----------
    table : DataFrame
        ``to_frame()`` of :func:`churnsurv.evaluation.population_stability` or ``characteristic_stability``: columns name,
        value, threshold, alarm.
    ax : matplotlib Axes, optional
        Default: new axes as high as the table needs.
    most : int
        Characteristics to show, those with the largest index.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv import plot
    >>> table = pd.DataFrame({"name": ["age", "score"], "value": [0.01, 0.3], "threshold": [0.03, 0.03],
    ...                       "alarm": [False, True]})
    >>> [label.get_text() for label in plot.stability(table).get_yticklabels()]
    ['age', 'score']
    """
    _require(table, ("name", "value", "threshold", "alarm"), "characteristic_stability(...).to_frame()")
    held = table.sort_values("value", ascending=False, kind="stable").head(most)[::-1]
    height, alarm = np.arange(len(held)), held["alarm"].to_numpy(dtype=bool)
    with theme.themed():
        ax = theme.own_axes(6.5, 1.5 + 0.26 * len(held)) if ax is None else ax
        # indices span orders of magnitude; what is below the floor is nothing, and stands on it
        ends = np.append(held[["value", "threshold"]].to_numpy(dtype=float), 0.3)
        floor = 10.0 ** np.floor(np.log10(max(np.nanmin(np.where(ends > 0, ends, np.nan)), 1e-4)))
        shown = {name: held[name].astype(float).clip(lower=floor) for name in ("value", "threshold")}
        for rule in (0.10, 0.25):
            ax.axvline(rule, color=theme.MUTED, lw=0.9, ls=(0, (4, 3)), zorder=0)
        ax.hlines(height, floor, shown["value"], color=theme.GRID, lw=1.6, zorder=1)
        ax.plot(
            shown["threshold"], height, "|", color=theme.INK, ms=11, mew=1.6, ls="none", zorder=5, label="alarm threshold"
        )  # fmt: skip
        for rows, tone, face, label in (
            (~alarm, _QUIET, "white", "no alarm"),
            (alarm, _ALARM, _ALARM, "alarm"),
        ):
            ax.plot(
                shown["value"][rows], height[rows], "o", color=tone, mfc=face, mew=1.4, ms=6, ls="none", zorder=4, label=label
            )  # fmt: skip
        ax.set_yticks(height, [str(name) for name in held["name"]], parse_math=False)
        ax.set_ylim(-0.7, len(held) - 0.3)
        ax.set_xscale("log")
        ax.set_xlim(floor, 1.3 * np.nanmax(ends))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(False, axis="y")
        ax.grid(True, axis="x")
        ax.set_xlabel("Stability index (dashed: the fixed rule of 0.10 and 0.25)")
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0.0, handletextpad=0.3)
    return ax


def control_chart(table: pd.DataFrame, cause: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the exits per calendar period, what is expected, the limits, and the points with an alarm.

    Parameters
    ----------
    table : DataFrame
        ``to_frame()`` of :func:`churnsurv.evaluation.control_chart`.
    cause : str, optional
        Needed when the table has several.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> chart = cs.evaluation.control_chart(spells, by="quarter", baseline="2025-06-30", cause="default")
    >>> cs.plot.control_chart(chart.to_frame()).get_ylabel()
    'Exits per quarter: default'
    """
    columns = ("cause", "period", "observed", "expected", "lower", "upper", "alarm", "alarm_by", "baseline")
    _require(table, columns, "control_chart(...).to_frame()")
    held = _of_cause(table, cause)
    x = np.arange(len(held))
    watched = ~held["baseline"].to_numpy(dtype=bool)
    with theme.themed():
        ax = theme.own_axes(7.0, 3.6) if ax is None else ax
        # the limits hold for a whole period: bands from half a step before to half a step after
        band = np.repeat(x[watched], 2) + np.tile([-0.5, 0.5], int(watched.sum()))
        lower, upper = (np.repeat(held[name].to_numpy(dtype=float)[watched], 2) for name in ("lower", "upper"))
        ax.fill_between(band, lower, upper, color=theme.NEUTRAL, alpha=theme.BAND_OPACITY, lw=0, label="limits")
        ax.plot(x, held["expected"], color=theme.MUTED, ls=theme.line_style(1), lw=1.4, label="expected")
        ax.plot(x, held["observed"], color=_QUIET, marker="o", ms=4, mfc="white", mew=1.3, lw=1.3, label="observed")
        for kind, marker, label in (
            ("point", "D", "alarm: outside the limits"),
            ("ewma", "s", "alarm: moving average"),
            ("both", "X", "alarm: both"),
        ):
            rows = (held["alarm_by"] == kind).to_numpy()
            if rows.any():
                ax.plot(x[rows], held["observed"][rows], marker, color=_ALARM, ms=7.5, ls="none", zorder=4, label=label)
        if watched.any() and not watched.all():
            ax.axvline(x[watched][0] - 0.5, color=theme.INK, lw=0.9)
            ax.annotate(
                "monitored →", (x[watched][0] - 0.4, 0.02), xycoords=("data", "axes fraction"), fontsize=8,
                color=theme.MUTED, va="bottom",
            )  # fmt: skip
        top = float(np.nanmax(held[["observed", "expected", "upper"]].to_numpy(dtype=float)))
        ax.set_ylim(0, 1.08 * max(top, 1.0))
        ax.set_xlim(-0.6, len(held) - 0.4)
        step = max(1, int(np.ceil(len(held) / _CHART_TICKS)))
        shown = x[(len(held) - 1) % step :: step]
        quarterly = held["period"].iloc[0].freqstr.startswith("Q")
        labels = [
            f"{p.year} Q{p.quarter}" if quarterly else f"{p.year}-{p.month:02d}" for p in held["period"].iloc[shown]
        ]
        ax.set_xticks(shown, labels)
        ax.set_ylabel(f"Exits per {'quarter' if quarterly else 'month'}: {held['cause'].iloc[0]}", parse_math=False)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0.0, handletextpad=0.4)
    return ax


def roll_forward(
    table: pd.DataFrame, cause: str | None = None, *, ax: Axes | None = None, horizon: int | None = None
) -> Axes:
    """Draw the predicted beside the observed probability of having left, by vintage, at a horizon after the date.

    Parameters
    ----------
    table : DataFrame
        ``to_frame()`` of :func:`churnsurv.evaluation.roll_forward`.
    cause : str, optional
        Needed when the table has several.
    ax : matplotlib Axes, optional
    horizon : int, optional
        Default: the longest.

    Returns
    -------
    Axes
        Small cells are drawn pale.

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv import plot
    >>> table = pd.DataFrame({"vintage": ["all", "2024"], "cause": "attrition", "horizon": 12, "predicted": [0.1, 0.12],
    ...                       "observed": [0.11, 0.1], "lower": [0.09, 0.07], "upper": [0.13, 0.14], "small": False})
    >>> plot.roll_forward(table).get_xlabel()
    'Vintage'
    """
    columns = ("vintage", "cause", "horizon", "predicted", "observed", "lower", "upper", "small")
    _require(table, columns, "roll_forward(...).to_frame()")
    held = _of_cause(table, cause)
    at = int(held["horizon"].max()) if horizon is None else horizon
    held = held[held["horizon"] == at]
    if held.empty:
        raise DataError(
            f"horizon={horizon!r} is not in the table: it has {first_of(sorted(table['horizon'].unique()), 12)}."
        )
    held = pd.concat([held[held["vintage"] != "all"], held[held["vintage"] == "all"]])
    x = np.arange(len(held), dtype=float)
    with theme.themed():
        ax = theme.own_axes(7.0, 3.6) if ax is None else ax
        for small, opacity in ((False, 1.0), (True, 0.4)):
            rows = held["small"].to_numpy(dtype=bool) == small
            if not rows.any():
                continue
            part = held[rows]
            ax.vlines(x[rows] + 0.12, part["lower"], part["upper"], color=_QUIET, lw=1.6, alpha=opacity)
            ax.plot(
                x[rows] + 0.12, part["observed"], "o", color=_QUIET, ms=6, ls="none", alpha=opacity,
                label="observed" + (" (few expected)" if small else ", with interval"),
            )  # fmt: skip
            ax.plot(
                x[rows] - 0.12, part["predicted"], "D", color=_ALARM, mfc="white", mew=1.4, ms=5.5, ls="none", alpha=opacity,
                label=None if small and not held["small"].all() else "predicted",
            )  # fmt: skip
        top = float(np.nanmax(held[["predicted", "observed"]].to_numpy()))
        high = float(np.nanmax(np.append(held.loc[~held["small"], "upper"].to_numpy(), 1.3 * top)))
        ax.set_ylim(0, 1.08 * high if high > 0 else 1)
        ax.set_xlim(-0.6, len(held) - 0.4)
        step = max(1, int(np.ceil(len(held) / 12)))
        shown = np.arange(len(held))[(len(held) - 1) % step :: step]
        ax.set_xticks(x[shown], [str(v) for v in held["vintage"].iloc[shown]], parse_math=False)
        ax.set_xlabel("Vintage")
        ax.set_ylabel(f"Left by {held['cause'].iloc[0]} within {at} periods", parse_math=False)
        theme.percent_axis(ax)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0.0, handletextpad=0.3)
    return ax


def _require(table: pd.DataFrame, columns: tuple[str, ...], maker: str) -> None:
    absent = [name for name in columns if name not in table.columns]
    if absent or table.empty:
        what = f"no column {first_of([repr(a) for a in absent])}" if absent else "no rows"
        raise DataError(f"The table has {what}: pass what evaluation.{maker} gives.")


def _of_cause(table: pd.DataFrame, cause: str | None) -> pd.DataFrame:
    causes = list(dict.fromkeys(table["cause"]))
    if cause is None and len(causes) > 1:
        raise DataError(f"The table has the causes {causes}: name the one to draw, e.g. cause={causes[0]!r}.")
    cause = causes[0] if cause is None else cause
    if cause not in causes:
        raise DataError(f"The table has no cause {cause!r}: it has {causes}.")
    return table[table["cause"] == cause].reset_index(drop=True)

"""Scenarios of a portfolio: expected exits over the periods ahead, a panel per cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from churnsurv.evaluation import ScenarioResult
from churnsurv.evaluation.scenario_result import Interval
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: letters are taken to be this wide, in inches, where room is left for names at the right
_LETTER = 0.078


def scenarios(
    result: ScenarioResult,
    *,
    quantity: str = "loans",
    causes: Sequence[str] | None = None,
    cumulative: bool = True,
    interval: Interval = "mean",
    axes: Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw the expected numbers of each scenario, one panel per cause, each on its own scale.

    The band is the base's interval; the bars at the right are those of all scenarios in the last period.

    Parameters
    ----------
    result : ScenarioResult
        As of :func:`churnsurv.evaluation.scenario`.
    quantity : {"loans", "customers", "balance"}
    causes : sequence of str, optional
        Panels; default the model's causes. "open" and "matured" can be drawn too.
    cumulative : bool
        Sums up to each period (a stock for "open"), or the number of each period.
    interval : {"mean", "prediction"}
        As of :meth:`~churnsurv.evaluation.ScenarioResult.to_frame`.
    axes : sequence of matplotlib Axes, optional
        One per panel; default: new axes in a row.

    Returns
    -------
    list of Axes

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.simulate(300, seed=1)
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> spells = spells.complete()
    >>> cohort = spells.landmark("2026-03-31").complete()
    >>> model = cs.CauseSpecificCox("unemployment_rate").fit(spells.X, spells.y)
    >>> paths = cs.evaluation.shock_paths(portfolio.macro, portfolio.rules, date=cohort.date, horizon=6)
    >>> found = cs.evaluation.scenario(model, cohort, paths, horizon=6)
    >>> [ax.get_title(loc="left") for ax in cs.plot.scenarios(found, causes=["attrition", "default"])]
    ['attrition', 'default']
    """
    if not isinstance(result, ScenarioResult):
        raise DataError(f"result is a {type(result).__name__}: pass the result of churnsurv.evaluation.scenario.")
    table = result.to_frame(interval=interval, cumulative=cumulative)
    table = table[table["quantity"] == quantity]
    wanted = list(result.causes if causes is None else causes)
    absent = [cause for cause in wanted if cause not in set(table["cause"])]
    if not wanted or absent:
        raise DataError(f"The result has no {quantity!r} of {first_of(absent or ['nothing'])!r}; see its to_frame().")
    names = list(result.scenarios)
    with theme.themed():
        if axes is None:
            axes = theme.own_row(len(wanted), 3.1 * len(wanted) + _LETTER * max(map(len, names)) + 0.4, 3.3)
        if len(axes) != len(wanted):
            raise DataError(f"axes has {len(axes)} panels for {len(wanted)} causes: give one for each.")
        for ax, cause in zip(axes, wanted, strict=True):
            _panel(ax, table[table["cause"] == cause], names, result.unit)
            ax.set_title(cause, parse_math=False)
        axes[0].set_ylabel(
            _ylabel(quantity, set(wanted) <= set(result.causes), cumulative, result.unit), parse_math=False
        )
        handles = [h for h in axes[-1].get_lines() if h.get_label() in names]
        axes[-1].legend(
            handles, names, loc="center left", bbox_to_anchor=(1.02, 0.5), handlelength=2.4, borderaxespad=0.0
        )
    return list(axes)


def _panel(ax: Axes, table: pd.DataFrame, names: list[str], unit: str) -> None:
    last = int(table[unit].max())
    step = 0.035 * max(last - 1, 1)
    for position, name in enumerate(names):
        rows = table[table["scenario"] == name].sort_values(unit)
        tone, x = theme.colour(position), rows[unit].to_numpy()
        ax.plot(x, rows["value"], color=tone, ls=theme.line_style(position), label=name, zorder=3)
        value, lower, upper = (float(rows[column].iloc[-1]) for column in ("value", "lower", "upper"))
        if np.isnan(lower):
            continue
        if position == 0:  # bands of all scenarios on each other would show none of them
            ax.fill_between(x, rows["lower"], rows["upper"], color=tone, alpha=theme.BAND_OPACITY, lw=0)
        beside = last + step * (position + 1)
        ax.plot([beside, beside], [lower, upper], color=tone, lw=1.8, solid_capstyle="butt", zorder=3)
        ax.plot([beside], [value], "o", color=tone, ms=3.6, zorder=4)
    ax.set_xlim(1 - step, last + step * (len(names) + 1))
    ax.set_xticks([t for t in theme.month_ticks(last) if t > 0] or [1])
    low = 0.0
    if table["lower"].min() > 0.5 * table["upper"].max():  # a stock such as what is open hardly moves against its level
        low = float(table["lower"].min() - 0.1 * (table["upper"].max() - table["lower"].min()))
    top = float(np.nanmax(table[["value", "upper"]].to_numpy()))
    ax.set_ylim(low, top + 0.06 * (top - low) if top > low else 1.0)
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    ax.set_xlabel(f"{unit}s ahead")


def _short(value: float) -> str:
    """Give 1.2M, 850k, 1,250, 0.5."""
    for size, letter in ((1e9, "bn"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / min(size, 1e3 if letter == 'k' else size):,.4g}{letter}"
    return f"{value:,.6g}"


def _ylabel(quantity: str, leaving: bool, cumulative: bool, unit: str) -> str:
    name = quantity.capitalize() + (" leaving" if leaving else "")
    return f"{name}, " + ("in all" if cumulative else f"in the {unit}")

"""Curves over time: Kaplan–Meier with numbers at risk, cumulative incidence of competing causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from churnsurv.curves import Curves
from churnsurv.exceptions import DataError
from churnsurv.plot import theme
from churnsurv.plot.counts import count_table, of_causes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from churnsurv.nonparametric import AalenJohansen, KaplanMeier

Floats = NDArray[np.float64]

#: room right of the last time, for the last step and its band to be seen
_ROOM = 1.02


def survival(
    km: KaplanMeier,
    *,
    ax: Axes | None = None,
    labels: Mapping[Any, str] | None = None,
    counts: bool = True,
    smallest: int = 0,
    times: Sequence[float] | None = None,
    xlabel: str = "Time",
    ylabel: str = "Still a customer",
) -> Axes:
    """Draw a fitted Kaplan–Meier estimate: one step curve with its pointwise band per group, counts below the axis.

    The counts belong to the ticks: at risk *at* t (entered before t and still under observation at t, so that late entry
    is respected), censored and left *before* t. Use it where there is one way to leave; with several, the probability of
    leaving by a cause is :func:`cumulative_incidence`.

    Parameters
    ----------
    km : KaplanMeier
        Fitted, with or without groups.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes.
    labels : mapping, optional
        Group → name shown.
    counts : bool
        Show the counts below the axis.
    smallest : int
        Counts from 1 to one less are shown as "<smallest", so that no customer can be recognised.
    times : sequence of float, optional
        Ticks of the time axis.
    xlabel, ylabel : str
        Names of the axes.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[5, 8, 12, 12], event=[1, 0, 1, 0])
    >>> ax = cs.plot.survival(cs.KaplanMeier().fit(y))
    >>> ax.get_ylabel()
    'Still a customer'
    """
    curves, table = _fitted(km)
    with theme.themed():
        ax = theme.own_axes(7.0, 4.2) if ax is None else ax
        names = _names(curves.index, labels)
        lines = [
            (name, curves.survival[row], _bounds(curves, row, 0), float(curves.origin[row]), 1.0)
            for row, name in enumerate(names)
        ]
        _draw(ax, curves, lines)
        low = min(0.0 if np.nanmin(curves.survival) < 0.5 else 0.5, 0.5)
        _axes(ax, curves, times, xlabel, ylabel, (low, 1.0))
        if len(lines) > 1:
            label_ends(ax, names, _ends(curves, lines))
        if counts:
            count_table(ax, table, curves, names, "Left", smallest)
    return ax


def cumulative_incidence(
    aj: AalenJohansen,
    *,
    cause: str | None = None,
    ax: Axes | None = None,
    stacked: bool = False,
    labels: Mapping[Any, str] | None = None,
    bands: bool = True,
    counts: bool = True,
    smallest: int = 0,
    times: Sequence[float] | None = None,
    xlabel: str = "Time",
    ylabel: str = "Left by the cause",
) -> Axes:
    """Draw a fitted Aalen–Johansen estimate: the probability of having left by each cause.

    One group: a line with its pointwise band per cause, or with `stacked` the areas of all causes up to "still a customer".
    Several groups: name the `cause`; then a line with its pointwise band per group.

    Parameters
    ----------
    aj : AalenJohansen
        Fitted, with or without groups.
    cause : str, optional
        Show this cause alone.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes.
    stacked : bool
        Areas on top of each other (one group; without bands).
    labels : mapping, optional
        Group or cause → name shown.
    bands : bool
        Show the pointwise confidence bands; leave them out where many groups overlap.
    counts : bool
        Show counts at risk, censored and left (by the causes shown) below the axis; not with `stacked`.
    smallest : int
        Counts from 1 to one less are shown as "<smallest", so that no customer can be recognised.
    times : sequence of float, optional
        Ticks of the time axis.
    xlabel, ylabel : str
        Names of the axes.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        Several groups and no `cause`, or an unknown cause.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[5, 8, 12, 12], event=[1, 0, 2, 1], causes=("attrition", "default"))
    >>> ax = cs.plot.cumulative_incidence(cs.AalenJohansen().fit(y))
    >>> ax.get_xlabel()
    'Time'
    """
    curves, table = _fitted(aj)
    if cause is None and len(curves) > 1:
        raise DataError(f"The estimate has {len(curves)} groups: name the cause to draw, one of {list(curves.causes)}.")
    causes = [cause] if cause is not None else list(curves.causes)
    with theme.themed():
        ax = theme.own_axes(7.0, 4.2) if ax is None else ax
        if stacked:
            _stack(ax, curves, causes, labels)
            _axes(ax, curves, times, xlabel, ylabel, (0.0, 1.0))
            return ax
        states = [(row, state) for row in range(len(curves)) for state in causes]
        names = _names(causes if len(curves) == 1 else curves.index, labels)
        lines = [
            (
                name,
                curves.cumulative_incidence(state)[row],
                _bounds(curves, row, state) if bands else (None, None),
                float(curves.origin[row]),
                0.0,
            )
            for name, (row, state) in zip(names, states, strict=True)
        ]
        _draw(ax, curves, lines)
        top = max(float(np.nanmax(upper if upper is not None else line)) for _, line, (_, upper), _, _ in lines)
        _axes(ax, curves, times, xlabel, ylabel, (0.0, min(1.0, 1.08 * top) if top > 0 else 1.0))
        label_ends(ax, names, _ends(curves, lines))
        if counts:
            left = _names(causes, labels)[0].capitalize() if len(causes) == 1 else "Left"
            count_table(ax, of_causes(table, causes), curves, _names(curves.index, labels), left, smallest)
    return ax


def _fitted(estimate: Any) -> tuple[Curves, pd.DataFrame]:
    if not hasattr(estimate, "curves_"):
        raise DataError(f"{type(estimate).__name__} is not fitted: call .fit(y) first.")
    return estimate.curves_, estimate.table_


def _names(keys: Any, labels: Mapping[Any, str] | None) -> list[str]:
    return [str((labels or {}).get(key, key)) for key in keys]


def _bounds(curves: Curves, row: int, state: int | str) -> tuple[Floats | None, Floats | None]:
    if curves.lower is None or curves.upper is None:
        return None, None
    position = state if isinstance(state, int) else curves.causes.index(state) + 1
    return curves.lower[row, position], curves.upper[row, position]


def _steps(curves: Curves, values: Floats, origin: float, before: float) -> tuple[Floats, Floats]:
    """Give the knots of one step curve from its origin to the end of its support."""
    within = (curves.times > origin) & ~np.isnan(values)
    return np.concatenate(([origin], curves.times[within])), np.concatenate(([before], values[within]))


def _widened(knots: Floats, heights: Floats) -> tuple[Floats, Floats]:
    """Draw out the last step, which would be a line without width."""
    return np.append(knots, _ROOM * knots[-1]), np.append(heights, heights[-1])


def _draw(ax: Axes, curves: Curves, lines: list[tuple[str, Floats, Any, float, float]]) -> None:
    for position, (name, values, (lower, upper), origin, before) in enumerate(lines):
        colour = theme.colour(position)
        knots, heights = _steps(curves, values, origin, before)
        widen = len(heights) > 1 and heights[-1] != heights[-2] and knots[-1] == np.nanmax(curves.last)
        if widen:
            knots, heights = _widened(knots, heights)
        ax.plot(
            knots, heights, color=colour, ls=theme.line_style(position), drawstyle="steps-post", label=name, zorder=3
        )
        if lower is not None:
            low, high = _steps(curves, lower, origin, before), _steps(curves, upper, origin, before)
            if widen:
                low, high = _widened(*low), _widened(*high)
            if len(low[0]) == len(high[0]):
                ax.fill_between(
                    low[0], low[1], high[1], step="post", color=colour, alpha=theme.BAND_OPACITY, lw=0, zorder=2
                )


def _stack(ax: Axes, curves: Curves, causes: Sequence[str], labels: Mapping[Any, str] | None) -> None:
    origin = float(curves.origin[0])
    below = np.zeros(len(curves.times))
    centres = []
    for position, state in enumerate(causes):
        above = below + curves.cumulative_incidence(state)[0]
        knots, low = _steps(curves, below, origin, 0.0)
        high = _steps(curves, above, origin, 0.0)[1]
        ax.fill_between(knots, low, high, step="post", color=theme.colour(position), alpha=0.75, lw=0)
        centres.append((low[-1] + high[-1]) / 2)
        below = above
    names = [*_names(causes, labels), "still a customer"]
    centres.append((below[~np.isnan(below)][-1] + 1) / 2)
    colours = [*(theme.colour(i) for i in range(len(causes))), theme.MUTED]
    spread = theme.apart(centres, 0.06, 0.02, 0.98)
    for name, height, tone in zip(names, spread, colours, strict=True):
        _end_label(ax, float(curves.times[-1]), height, name, tone)


def _axes(
    ax: Axes, curves: Curves, times: Sequence[float] | None, xlabel: str, ylabel: str, limits: tuple[float, float]
) -> None:
    last = float(np.nanmax(curves.last))
    ax.set_xlim(min(0.0, float(curves.origin.min())), _ROOM * last)
    ax.set_ylim(*limits)
    ax.set_xticks(list(times) if times is not None else theme.month_ticks(last))
    ax.set_xlabel(xlabel, parse_math=False)
    ax.set_ylabel(ylabel, parse_math=False)
    theme.percent_axis(ax)


def label_ends(ax: Axes, names: Sequence[str], ends: Sequence[tuple[float, float]]) -> None:
    """Write each name at the end of its curve; right of the axis moved apart where the ends are close."""
    low, high = ax.get_ylim()
    figure = ax.get_figure(root=True)
    assert figure is not None
    points = ax.get_position().height * figure.get_size_inches()[1] * 72
    least = 13.5 / points * (high - low)
    right = ax.get_xlim()[1]
    at_edge = [i for i, (x, _) in enumerate(ends) if x >= 0.97 * right]
    heights = dict(zip(at_edge, theme.apart([ends[i][1] for i in at_edge], least, low, high), strict=True))
    for position, (name, (x, y)) in enumerate(zip(names, ends, strict=True)):
        tone = theme.colour(position)
        if position in heights:
            _end_label(ax, right, heights[position], name, tone)
        else:
            ax.plot([x], [y], "o", color=tone, ms=3.5)
            _end_label(ax, x, y, name, tone, drop=7.0)


def _ends(curves: Curves, lines: list[tuple[str, Floats, Any, float, float]]) -> list[tuple[float, float]]:
    """Give the last point of each curve."""
    last = [np.flatnonzero(~np.isnan(values))[-1] for _, values, _, _, _ in lines]
    return [(float(curves.times[i]), float(values[i])) for i, (_, values, _, _, _) in zip(last, lines, strict=True)]


def _end_label(ax: Axes, x: float, y: float, name: str, tone: str, drop: float = 0.0) -> None:
    label = ax.annotate(
        name,
        (x, y),
        (6, -drop),
        textcoords="offset points",
        va="center",
        color=tone,
        weight="bold",
        annotation_clip=False,
        parse_math=False,
    )
    if drop:
        # inside the axes other curves may run below the letters
        label.set_path_effects([withStroke(linewidth=3, foreground=theme.PAPER)])

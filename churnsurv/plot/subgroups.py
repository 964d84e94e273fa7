"""Forest plot of an effect in subgroups, with the tests of interaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from churnsurv.effects.named import is_ratio
from churnsurv.effects.subgroups import SubgroupEffects
from churnsurv.exceptions import DataError
from churnsurv.plot import theme
from churnsurv.plot.hazard_ratios import ratio_ticks, text_beside, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: where the text columns stand, in points from the right edge of the axis (estimate, p) and from its left (customers)
_ESTIMATE, _P, _N, _GAP, _INDENT = 14.0, 204.0, 14.0, 62.0, 9.0


def subgroup_forest(
    effects: SubgroupEffects,
    *,
    ax: Axes | None = None,
    left_hint: str = "",
    right_hint: str = "",
    xlabel: str | None = None,
    scale: float = 1.0,
) -> Axes:
    """Draw an effect in subgroups and among all customers, with the p-value of each variable's interaction test.

    Squares are larger where the estimate is more precise; the diamond and the dashed line are the effect among all. Subgroups
    that could not be estimated are listed with their numbers.

    Parameters
    ----------
    effects : SubgroupEffects
        As of :func:`churnsurv.effects.effect_by_subgroup`.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes as high as the table needs.
    left_hint, right_hint : str
        What lies on either side of no effect.
    xlabel : str, optional
        Name of the axis; default that of the effect.
    scale : float
        Factor on differences, such as 100 for percentage points.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np, pandas as pd, churnsurv as cs
    >>> rng = np.random.default_rng(1)
    >>> arm, region = rng.integers(0, 2, 800), rng.choice(["north", "south"], 800)
    >>> y = cs.Outcome(rng.exponential(20, 800), np.ones(800))
    >>> found = cs.effects.effect_by_subgroup(y, arm, pd.DataFrame({"region": region}), effect="hazard_ratio")
    >>> cs.plot.subgroup_forest(found).get_xscale()
    'log'
    """
    if not isinstance(effects, SubgroupEffects):
        raise DataError(
            f"effects is a {type(effects).__name__}: pass the result of churnsurv.effects.effect_by_subgroup."
        )
    ratio = is_ratio(effects.effect)
    factor = 1.0 if ratio else scale
    lines = _lines(effects)
    with theme.themed():
        ax = theme.own_axes(7.6, 1.3 + 0.24 * len(lines)) if ax is None else ax
        bounds = _bounds(effects, factor, ratio)
        _set_up(ax, bounds, len(lines), ratio, xlabel or _axis_name(effects.effect))
        _hints(ax, 1.0 if ratio else 0.0, left_hint, right_hint)
        labels = [text_width(label, bold=kind != "row") + (_INDENT if kind == "row" else 0) for kind, label, _ in lines]
        left = -_GAP - max(labels)
        digits = _digits(bounds)
        sizes = _sizes(effects.table, ratio)
        drawn = 0
        ax.axvline(factor * effects.overall.value, color=theme.PALETTE[0], lw=0.9, ls=(0, (4, 2)), zorder=1)
        for position, (kind, label, content) in enumerate(lines):
            y = len(lines) - 1 - position
            shift = left + (_INDENT if kind == "row" else 0.0)
            text_beside(ax, 0.0, y, label, ha="left", x_shift=shift, weight="normal" if kind == "row" else "bold")
            if kind == "variable":
                text_beside(ax, 1.0, y, _p(content), ha="right", x_shift=_P)
                continue
            size = sizes[drawn] if kind == "row" else 0.0
            drawn += kind == "row"
            text_beside(ax, 0.0, y, f"{content['n']:,}", ha="right", x_shift=-_N)
            _estimate(ax, y, content, factor, size, digits)
        top = len(lines) - 0.1
        text_beside(ax, 0.0, top, "n", ha="right", weight="bold", x_shift=-_N)
        heading = f"estimate ({100 * effects.level:.10g}% CI)"
        text_beside(ax, 1.0, top, heading, ha="left", weight="bold", x_shift=_ESTIMATE)
        text_beside(ax, 1.0, top, "interaction p", ha="right", weight="bold", x_shift=_P)
    return ax


def _lines(effects: SubgroupEffects) -> list[tuple[str, str, Any]]:
    """Give what stands on each line from the top: all customers, then the variables with their subgroups."""
    overall = effects.overall
    numbers = {"n": overall.n, "value": overall.value, "lower": overall.lower, "upper": overall.upper}
    lines: list[tuple[str, str, Any]] = [("overall", "All customers", numbers)]
    tests = effects.interaction.set_index("variable")
    for variable, rows in effects.table.groupby("variable", sort=False):
        lines.append(("variable", str(variable), tests.loc[variable]))
        lines += [("row", str(row["subgroup"]), row) for row in rows.to_dict("records")]
    return lines


def _bounds(effects: SubgroupEffects, factor: float, ratio: bool) -> tuple[float, float]:
    table = effects.table[["value", "lower", "upper"]].to_numpy(dtype=float).ravel() * factor
    whole = [factor * v for v in (effects.overall.lower, effects.overall.upper, effects.overall.value)]
    shown = np.concatenate((table[np.isfinite(table)], whole, [1.0 if ratio else 0.0]))
    shown = shown[shown > 0] if ratio else shown
    low, high = float(shown.min()), float(shown.max())
    if ratio:
        return min(low, 0.95) / 1.04, max(high, 1.05) * 1.04
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def _set_up(ax: Axes, bounds: tuple[float, float], n_lines: int, ratio: bool, xlabel: str) -> None:
    if ratio:
        ax.set_xscale("log")
        ax.set_xticks(ratio_ticks(*bounds))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "\u2212")))
    ax.set_xlim(*bounds)
    ax.set_ylim(-0.8, n_lines - 0.4)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(False)
    ax.axvline(1.0 if ratio else 0.0, color=theme.INK, lw=0.9, zorder=1)
    ax.set_xlabel(xlabel, labelpad=18, parse_math=False)


def _hints(ax: Axes, null: float, left_hint: str, right_hint: str) -> None:
    for text, align, shift in ((f"\u2190 {left_hint}", "right", -7.0), (f"{right_hint} \u2192", "left", 7.0)):
        if text.strip("\u2190\u2192 "):
            ax.annotate(
                text,
                (null, 0.0),
                (shift, -20.0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha=align,
                va="top",
                size=9.0,
                color=theme.MUTED,
                annotation_clip=False,
                parse_math=False,
            )


def _sizes(table: pd.DataFrame, ratio: bool) -> Any:
    """Give sizes of the squares that go with the precision (of the logarithm of ratios), within readable bounds."""
    value, se = (table[c].to_numpy(dtype=float) for c in ("value", "se"))
    precision = (value if ratio else 1.0) / se
    known = precision[np.isfinite(precision)]
    if not len(known):
        return np.full(len(precision), 5.0)
    return np.clip(8.5 * np.nan_to_num(precision) / known.max(), 3.5, 8.5)


def _digits(bounds: tuple[float, float]) -> int:
    width = bounds[1] - bounds[0]
    return 0 if width >= 200 else 1 if width >= 10 else 2 if width >= 0.5 else 3


def _estimate(ax: Axes, y: float, row: Any, factor: float, size: float, digits: int) -> None:
    value, lower, upper = (factor * float(row[c]) for c in ("value", "lower", "upper"))
    if not np.isfinite([value, lower, upper]).all():
        text_beside(ax, 1.0, y, "not estimated", ha="left", x_shift=_ESTIMATE, color=theme.MUTED)
        return
    tone = theme.PALETTE[0]
    if size:
        ax.plot([lower, upper], [y, y], color=tone, lw=1.6, solid_capstyle="butt", zorder=2)
        ax.plot([value], [y], "s", color=tone, ms=size, zorder=3)
    else:  # all customers
        ax.fill([lower, value, upper, value], [y, y + 0.28, y, y - 0.28], color=tone, zorder=3, lw=0)
    numbers = f"{value:.{digits}f} ({lower:.{digits}f} to {upper:.{digits}f})".replace("-", "\u2212")
    text_beside(ax, 1.0, y, numbers, ha="left", x_shift=_ESTIMATE)


def _p(test: pd.Series) -> str:
    p_value = float(test["p_holm"])
    if np.isnan(p_value):
        return "not tested"
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _axis_name(effect: str) -> str:
    names = {"rmst": "RMST", "rmtl": "RMTL"}
    words = [names.get(word, word) for word in effect.split("_")]
    name = " ".join(words)
    return name[0].upper() + name[1:]

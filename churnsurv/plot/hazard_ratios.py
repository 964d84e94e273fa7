"""Forest plot of hazard ratios: estimates and intervals on a logarithmic axis, the numbers beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEEDED = ("label", "hazard_ratio", "hr_lower", "hr_upper", "p_value")
#: ratios offered as ticks, the coarsest set that gives at least three within the range
_TICKS = (
    (0.01, 0.1, 1, 10, 100),
    (0.1, 0.2, 0.5, 1, 2, 5, 10),
    (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4),
    (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2),
    tuple(round(0.8 + 0.05 * i, 2) for i in range(10)),
)


def forest(
    table: Any,
    *,
    ax: Axes | None = None,
    left_hint: str = "leaves later",
    right_hint: str = "leaves sooner",
    xlabel: str = "Hazard ratio (log scale)",
) -> Axes:
    """Draw hazard ratios with their intervals; grey where the interval includes 1.

    Parameters
    ----------
    table : HazardRatioTable or DataFrame
        Columns label, hazard_ratio, hr_lower, hr_upper, p_value and optionally group (rows of a group stand together
        below its name), per (the unit the ratio refers to) and is_reference (levels that others are compared with).
    ax : matplotlib Axes, optional
        Where to draw; default: new axes as high as the table needs.
    left_hint, right_hint : str
        What ratios below and above 1 mean.
    xlabel : str
        Name of the axis.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv import plot
    >>> frame = pd.DataFrame({"label": ["Rate incentive"], "hazard_ratio": [1.34], "hr_lower": [1.30],
    ...                       "hr_upper": [1.39], "p_value": [1e-9]})
    >>> plot.forest(frame).get_xscale()
    'log'
    """
    frame = _frame(table)
    lines = _lines(frame)
    with theme.themed():
        ax = theme.own_axes(7.0, forest_height(frame)) if ax is None else ax
        _set_up(ax, frame, len(lines), xlabel, left_hint, right_hint)
        left = -_GAP - max(_width(_label(content), kind) for kind, content in lines)
        for position, (kind, content) in enumerate(lines):
            y = len(lines) - 1 - position
            weight, indent = ("bold", 0.0) if kind == "group" else ("normal", _INDENT)
            text_beside(ax, 0.0, y, _label(content), ha="left", weight=weight, x_shift=left + indent)
            if kind == "row":
                _estimate(ax, y, content)
        top = len(lines) - 0.1
        text_beside(ax, 1.0, top, _heading(table), ha="left", weight="bold", x_shift=_RATIO)
        text_beside(ax, 1.0, top, "p", ha="right", weight="bold", x_shift=_P)
    return ax


def forest_height(table: Any) -> float:
    """Give the height in inches that a forest plot of the table needs."""
    return 1.1 + 0.24 * len(_lines(_frame(table)))


#: where the text columns stand, in points from the right edge of the axis, and the indent of rows within a group
_RATIO, _P, _GAP, _INDENT, _SIZE = 14.0, 166.0, 12.0, 9.0, 9.0


def _frame(table: Any) -> pd.DataFrame:
    frame = table if isinstance(table, pd.DataFrame) else table.to_frame(references=True)
    # the coefficients of a spline mean nothing one by one
    frame = frame[~frame["curve"].astype(bool)] if "curve" in frame.columns else frame
    absent = [name for name in _NEEDED if name not in frame.columns]
    if absent:
        raise DataError(
            f"The table has no column {first_of([repr(a) for a in absent])}; a forest plot needs {_NEEDED}."
        )
    if frame.empty:
        raise DataError("The table has no rows: there is no hazard ratio to draw.")
    return frame


def _lines(frame: pd.DataFrame) -> list[tuple[str, Any]]:
    """Give what stands on each line from the top: a group's name or a row."""
    lines: list[tuple[str, Any]] = []
    before = None
    for row in frame.to_dict("records"):
        group = row.get("group")
        if isinstance(group, str) and group and group != before:
            lines.append(("group", group))
        before = group
        lines.append(("row", row))
    return lines


def _set_up(ax: Axes, frame: pd.DataFrame, n_lines: int, xlabel: str, left_hint: str, right_hint: str) -> None:
    finite = frame[["hazard_ratio", "hr_lower", "hr_upper"]].to_numpy(dtype=float)
    finite = finite[np.isfinite(finite) & (finite > 0)]
    low, high = min(finite.min(), 0.95) / 1.04, max(finite.max(), 1.05) * 1.04
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.set_ylim(-0.8, n_lines - 0.4)
    ax.set_xticks(ratio_ticks(low, high))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(False)
    ax.axvline(1.0, color=theme.INK, lw=0.9, ls=(0, (2, 2)), zorder=1)
    ax.set_xlabel(xlabel, labelpad=18, parse_math=False)
    for text, align, shift in ((f"\u2190 {left_hint}", "right", -7.0), (f"{right_hint} \u2192", "left", 7.0)):
        ax.annotate(
            text,
            (1.0, 0.0),
            (shift, -20.0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha=align,
            va="top",
            size=_SIZE,
            color=theme.MUTED,
            annotation_clip=False,
            parse_math=False,
        )


def ratio_ticks(low: float, high: float) -> list[float]:
    """Give round ratios within the range, 1 among them, far enough apart to be read."""
    for offered in _TICKS:
        within = [float(t) for t in offered if low <= t <= high]
        if len(within) >= 3:
            break
    spacing = np.log(high / low) / 7
    kept = [1.0]
    for tick in sorted(within, key=lambda t: abs(np.log(t))):
        if all(abs(np.log(tick / other)) >= spacing for other in kept):
            kept.append(tick)
    return sorted(kept)


def _heading(table: Any) -> str:
    """Give "HR (95% CI)"; a plain frame does not say at which level its intervals are."""
    level = getattr(table, "level", None)
    return "HR (CI)" if level is None else f"HR ({100 * level:.10g}% CI)"


def _label(content: Any) -> str:
    if isinstance(content, str):
        return content
    per = content.get("per")
    return f"{content['label']}, {per}" if isinstance(per, str) and per else str(content["label"])


def _width(text: str, kind: str) -> float:
    """Give the width of a label with its indent in points."""
    return text_width(text, bold=kind == "group") + (_INDENT if kind == "row" else 0.0)


def text_width(text: str, *, bold: bool) -> float:
    """Give the width of a text in points."""
    font = FontProperties(weight="bold" if bold else "normal", size=_SIZE)
    plain = text.replace("$", r"\$")
    return float(TextPath((0, 0), plain, prop=font).get_extents().width)


def _estimate(ax: Axes, y: float, row: dict[str, Any]) -> None:
    ratio, lower, upper = (float(row[c]) for c in ("hazard_ratio", "hr_lower", "hr_upper"))
    if row.get("is_reference"):
        ax.plot([1.0], [y], "s", color=theme.NEUTRAL, ms=5.0, mfc="none", zorder=3)
        text_beside(ax, 1.0, y, "1 (reference)", ha="left", x_shift=_RATIO, color=theme.MUTED)
        return
    if not np.isfinite([ratio, lower, upper]).all() or lower <= 0:
        text_beside(ax, 1.0, y, "not estimable", ha="left", x_shift=_RATIO, color=theme.MUTED)
        return
    tone = theme.NEUTRAL if lower <= 1 <= upper else theme.PALETTE[0]
    ax.plot([lower, upper], [y, y], color=tone, lw=1.6, solid_capstyle="butt", zorder=2)
    ax.plot([ratio], [y], "s", color=tone, ms=5.5, zorder=3)
    text_beside(ax, 1.0, y, f"{ratio:.2f} ({lower:.2f} to {upper:.2f})", ha="left", x_shift=_RATIO)
    p_value = float(row["p_value"])
    text_beside(ax, 1.0, y, "<0.001" if p_value < 0.001 else f"{p_value:.3f}", ha="right", x_shift=_P)


def text_beside(ax: Axes, x: float, y: float, text: str, *, ha: str, x_shift: float, **style: Any) -> None:
    """Write beside the axis: `x_shift` points from the axis fraction `x`, at the height `y` of the data."""
    ax.annotate(
        text,
        (x, y),
        (x_shift, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha=ha,
        va="center",
        size=_SIZE,
        annotation_clip=False,
        parse_math=False,
        **style,
    )

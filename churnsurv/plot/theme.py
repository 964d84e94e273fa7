"""The one look of all figures: colours that colour-blind readers tell apart, axes in percent, sparse grids.

Colours and fonts are those of :mod:`churnsurv.plot.palette`, which documents share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from churnsurv.plot.fonts import families
from churnsurv.plot.palette import GRID as GRID
from churnsurv.plot.palette import INK as INK
from churnsurv.plot.palette import MUTED as MUTED
from churnsurv.plot.palette import NEUTRAL as NEUTRAL
from churnsurv.plot.palette import PALETTE as PALETTE
from churnsurv.plot.palette import PAPER as PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: second sign of a group beside its colour, for greyscale prints
LINE_STYLES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), "-", (0, (3, 1)))
BAND_OPACITY = 0.16

_PARAMETERS: dict[Any, Any] = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "axes.formatter.use_locale": False,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    # the same figure gives the same bytes and looks the same everywhere: glyphs as outlines, fixed identifiers
    "svg.fonttype": "path",
    "svg.hashsalt": "churnsurv",
}


@contextmanager
def themed() -> Iterator[None]:
    """Apply the theme to what is drawn or saved inside the block; the caller's settings come back afterwards."""
    # not rc_context: it would also undo what a notebook's backend sets when it is first used
    parameters = _PARAMETERS | {"font.family": families()}
    before = {name: mpl.rcParams[name] for name in parameters}
    mpl.rcParams.update(parameters)
    try:
        yield
    finally:
        mpl.rcParams.update(before)


def figure(width: float = 7.0, height: float = 4.2) -> tuple[Figure, Axes]:
    """Give a figure (inches) with one axes, outside pyplot's global state. Use it inside :func:`themed`."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height))
    return made, made.add_subplot()


def own_axes(width: float, height: float) -> Axes:
    """Give new axes that a notebook shows (pyplot keeps track of them)."""
    import matplotlib.pyplot as plt

    # on white also in a dark notebook, where dark letters on nothing could not be read
    return plt.subplots(figsize=(width, height), facecolor="white")[1]


def own_row(n: int, width: float, height: float, *, share_y: bool = False) -> list[Axes]:
    """Give new axes beside each other in one figure (inches), of pyplot as :func:`own_axes`."""
    import matplotlib.pyplot as plt

    drawn = plt.subplots(
        1, n, figsize=(width, height), facecolor="white", squeeze=False, sharey=share_y, layout="constrained"
    )
    return list(drawn[1][0])


def row(n: int, width: float, height: float, *, share_y: bool = False) -> list[Axes]:
    """Give new axes beside each other in one figure (inches), outside pyplot's global state."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    return list(drawn.subplots(1, n, squeeze=False, sharey=share_y)[0])


def colour(position: int) -> str:
    """Give the colour of the n-th group."""
    return PALETTE[position % len(PALETTE)]


def line_style(position: int) -> str | tuple[int, tuple[float, ...]]:
    """Give the dash pattern of the n-th group."""
    return LINE_STYLES[position % len(LINE_STYLES)]


def percent_axis(ax: Axes) -> None:
    """Put about six round ticks in percent on the vertical axis, with a decimal only where they need one."""
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ticks = 100 * np.asarray(ax.get_yticks())
    digits = next((d for d in (0, 1, 2) if np.allclose(ticks, np.round(ticks, d), atol=1e-9)), 3)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.{digits}f}%"))


def month_ticks(last: float) -> list[float]:
    """Give 4 to 8 round ticks on a time axis from 0: steps of 1, 2, 3, 6, 12, 24, … periods."""
    for step in (1, 2, 3, 4, 6, 12, 24, 36, 48, 60):
        if last / step <= 8:
            return [float(t) for t in np.arange(0, last + 1e-9, step)]
    return [float(t) for t in np.arange(0, last + 1e-9, 120)]


def apart(positions: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Move labels as little as needed so that neighbours are `least` apart and all lie within [low, high]."""
    order = np.argsort(positions, kind="stable")
    placed = np.clip(np.asarray(positions, dtype=float)[order], low, high)
    for _ in range(100):
        gap = np.diff(placed)
        tight = np.flatnonzero(gap < least - 1e-9)
        if not len(tight):
            break
        for left in tight:
            push = (least - (placed[left + 1] - placed[left])) / 2
            if push > 0:
                placed[left] = max(low, placed[left] - push)
                placed[left + 1] = min(high, placed[left + 1] + push)
    moved = np.empty(len(placed))
    moved[order] = placed
    return [float(v) for v in moved]

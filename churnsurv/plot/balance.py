"""Love plot: how different arms are in each covariate, before and after weighting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def love_plot(table: pd.DataFrame, *, ax: Axes | None = None, threshold: float = 0.1, most: int = 40) -> Axes:
    """Draw the absolute standardised mean differences of a balance table, the largest before weighting on top.

    Parameters
    ----------
    table : DataFrame
        Of :func:`churnsurv.effects.balance_table`, of two arms: columns term, smd, and weighted_smd if there are weights.
    ax : matplotlib Axes, optional
        Default: new axes as high as the table needs.
    threshold : float
        Where a line says what is usually taken for balanced.
    most : int
        Terms to show, those with the largest difference.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from churnsurv import plot
    >>> table = pd.DataFrame({"term": ["Age", "Score"], "smd": [0.4, -0.2], "weighted_smd": [0.03, -0.01]})
    >>> [label.get_text() for label in plot.love_plot(table).get_yticklabels()]
    ['Score', 'Age']
    """
    absent = [name for name in ("term", "smd") if name not in table.columns]
    if absent or table.empty:
        what = f"no column {first_of([repr(a) for a in absent])}" if absent else "no rows"
        raise DataError(f"The table has {what}: pass what effects.balance_table(X, arm, weights) gives.")
    if table["term"].duplicated().any():
        raise DataError(
            f"Term {table.loc[table['term'].duplicated(), 'term'].iloc[0]!r} stands there more than once: of several arms "
            "draw one at a time, table[table['arm'] == ...]."
        )
    held = table.assign(size=table["smd"].abs()).sort_values("size", ascending=False, kind="stable").head(most)[::-1]
    height = np.arange(len(held))
    with theme.themed():
        ax = theme.own_axes(6.5, 1.3 + 0.24 * len(held)) if ax is None else ax
        series = [("before weighting", "smd", theme.PALETTE[1], "o", "none")]
        if "weighted_smd" in held:
            series.append(("after weighting", "weighted_smd", theme.PALETTE[0], "o", theme.PALETTE[0]))
            ends = held[["smd", "weighted_smd"]].abs().to_numpy()
            ax.hlines(height, ends.min(axis=1), ends.max(axis=1), color=theme.GRID, lw=1.6, zorder=1)
        for label, column, colour, marker, face in series:
            ax.plot(
                held[column].abs(), height, marker, color=colour, mfc=face, mew=1.4, ms=6, label=label, zorder=3, ls="none"
            )  # fmt: skip
        ax.axvline(0.0, color=theme.INK, lw=0.9, zorder=0)
        ax.axvline(threshold, color=theme.MUTED, lw=0.9, ls=(0, (4, 3)), zorder=0)
        ax.set_yticks(height, [str(term) for term in held["term"]], parse_math=False)
        ax.set_ylim(-0.7, len(held) - 0.3)
        ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(False, axis="y")
        ax.grid(True, axis="x")
        ax.set_xlabel("Absolute standardised mean difference")
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderpad=0.0, handletextpad=0.3)
    return ax

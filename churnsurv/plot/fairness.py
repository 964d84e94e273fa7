"""Figures by group of customers: a dot and an interval per group, a panel per measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from churnsurv.evaluation import Fairness
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.plot import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = {
    "concordance": "Concordance",
    "auc": "AUC",
    "brier": "Brier score",
    "observed": "Observed risk",
    "predicted": "Mean predicted risk",
    "calibration_error": "Observed − predicted",
    "observed_expected": "Observed/expected",
    "observed_expected_events": "Observed / expected events",
    "true_positive_rate": "True positive rate",
    "false_positive_rate": "False positive rate",
    "offer_rate": "Offer rate",
}
#: what a figure is compared with by eye: right on average
_NULL = {"calibration_error": 0.0, "observed_expected": 1.0, "observed_expected_events": 1.0}


def fairness(
    result: Fairness, *, measures: Sequence[str] | None = None, axes: Sequence[Axes] | None = None
) -> list[Axes]:
    """Draw the figures of each group with their intervals, one panel per measure.

    The vertical line is the figure of all customers, in panels of calibration where prediction and observation agree (dashed).
    Suppressed groups are listed without a dot.

    Parameters
    ----------
    result : Fairness
        As of :func:`churnsurv.evaluation.fairness`.
    measures : sequence of str, optional
        Panels; default AUC, observed/expected, and of true positive rate and offer rate what there is.
    axes : sequence of matplotlib Axes, optional
        One per panel; default: new axes in a row.

    Returns
    -------
    list of Axes

    Examples
    --------
    >>> import numpy as np, churnsurv as cs
    >>> rng = np.random.default_rng(1)
    >>> risk, region = rng.uniform(0.1, 0.6, 600), rng.choice(["north", "south"], 600)
    >>> time = np.ceil(12 * rng.exponential(size=600) / -np.log1p(-risk))
    >>> y = cs.Outcome(np.minimum(time, 24), time <= 24)
    >>> found = cs.evaluation.fairness(y, risk, region, 12)
    >>> [ax.get_title(loc="left") for ax in cs.plot.fairness(found)]
    ['AUC', 'Observed/expected']
    """
    if not isinstance(result, Fairness):
        raise DataError(f"result is a {type(result).__name__}: pass the result of churnsurv.evaluation.fairness.")
    known = list(dict.fromkeys(result.table["measure"]))
    usual = ("auc", "observed_expected", "true_positive_rate", "offer_rate")
    wanted = [name for name in usual if name in known] if measures is None else list(measures)
    absent = [name for name in wanted if name not in known]
    if not wanted or absent:
        raise DataError(f"The result has no measure {first_of(absent or ['nothing'])!r}; it has {first_of(known, 20)}.")
    groups = list(result.groups["group"])
    labels = ["All customers", *(str(name) for name in groups[1:])]
    with theme.themed():
        if axes is None:
            axes = theme.own_row(len(wanted), 1.2 + 2.3 * len(wanted), 1.15 + 0.3 * len(groups), share_y=True)
        if len(axes) != len(wanted):
            raise DataError(f"axes has {len(axes)} panels for {len(wanted)} measures: give one for each.")
        for ax, measure in zip(axes, wanted, strict=True):
            _panel(ax, result.table[result.table["measure"] == measure].set_index("group"), groups, measure)
            # the longest fits into a panel of a printed page
            ax.set_title(_NAMES.get(measure, measure), fontsize=9, parse_math=False)
        axes[0].set_yticks(np.arange(len(groups)), labels, parse_math=False)
        axes[0].set_ylim(len(groups) - 0.4, -0.6)
        for ax in axes:
            ax.tick_params(axis="y", length=0)
        for ax in axes[1:]:
            ax.tick_params(axis="y", labelleft=False)
    return list(axes)


def _panel(ax: Axes, table: pd.DataFrame, groups: list[object], measure: str) -> None:
    null = _NULL.get(measure)
    figures = dict(zip(table.index, table[["value", "lower", "upper"]].to_numpy(), strict=True))
    reference = float(figures["all"][0]) if null is None else null
    ax.axvline(reference, color=theme.INK if null is not None else theme.NEUTRAL, lw=0.9, zorder=1,
               ls=(0, (3, 2)) if null is not None else "-")  # fmt: skip
    for y, group in enumerate(groups):
        value, lower, upper = figures.get(group, (np.nan,) * 3)
        if np.isnan(value):
            ax.annotate(
                "not estimated" if group in figures else "not shown", (0.5, y), xycoords=("axes fraction", "data"),
                ha="center", va="center", size=8.5, color=theme.MUTED,
                bbox={"facecolor": theme.PAPER, "edgecolor": "none", "pad": 1.5},
            )  # fmt: skip
            continue
        tone = theme.INK if group == "all" else theme.PALETTE[0]
        ax.plot([lower, upper], [y, y], color=tone, lw=1.6, solid_capstyle="butt", zorder=2)
        ax.plot([value], [y], "D" if group == "all" else "o", color=tone, ms=5.0, zorder=3)
    ax.set_ylim(len(groups) - 0.4, -0.6)
    ax.spines["left"].set_visible(False)
    ax.grid(False, axis="y")
    ax.grid(True, axis="x", color=theme.GRID, lw=0.8)
    ax.margins(x=0.08)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}".replace("-", "\u2212")))

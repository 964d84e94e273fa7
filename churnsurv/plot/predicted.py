"""Figure of a prediction: the probability of leaving by each cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from churnsurv.exceptions import DataError
from churnsurv.plot import theme
from churnsurv.plot.curves import label_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from churnsurv.curves import Curves


def predicted_incidence(
    curves: Curves, *, row: int = 0, ax: Axes | None = None, xlabel: str = "Time", ylabel: str = "Left by the cause"
) -> Axes:
    """Draw the predicted probability of having left by each cause, with its pointwise band where the curves have one.

    Parameters
    ----------
    curves : Curves
        Of ``predict_curves`` of a model of several causes.
    row : int
        Which of the rows predicted.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes.
    xlabel, ylabel : str
        Names of the axes.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.4, 0.8]})
    >>> y = cs.Outcome([9, 2, 5, 4, 6, 5, 7, 3], [1, 1, 1, 2, 0, 2, 1, 2], causes=("attrition", "default"))
    >>> curves = cs.CauseSpecificCox().fit(X, y).predict_curves(X.iloc[:1])
    >>> from churnsurv import plot
    >>> len(plot.predicted_incidence(curves).lines)
    2
    """
    if not curves.complete:
        raise DataError("These curves are not those of all causes: predict with a model such as CauseSpecificCox.")
    with theme.themed():
        ax = theme.own_axes(7.0, 3.8) if ax is None else ax
        ends, top = [], 0.0
        for position in range(len(curves.causes)):
            value = curves.probability[row, position + 1]
            known = np.isfinite(value)
            x = np.concatenate(([curves.origin[row]], curves.times[known]))
            colour = theme.colour(position)
            ax.plot(
                x, [0.0, *value[known]], color=colour, ls=theme.line_style(position), drawstyle="steps-post", zorder=3
            )
            if curves.lower is not None and curves.upper is not None:
                low, high = (bound[row, position + 1][known] for bound in (curves.lower, curves.upper))
                ax.fill_between(
                    x, [0.0, *low], [0.0, *high], step="post", color=colour, alpha=theme.BAND_OPACITY, lw=0, zorder=2
                )
                top = max(top, float(np.nanmax(high)))
            top = max(top, float(value[known].max()))
            ends.append((float(x[-1]), float(value[known][-1])))
        last = max(x for x, _ in ends)
        ax.set_xlim(min(0.0, float(curves.origin[row])), 1.02 * last)
        ax.set_ylim(0.0, min(1.0, 1.08 * top) if top > 0 else 1.0)
        ax.set_xticks(theme.month_ticks(last))
        ax.set_xlabel(xlabel, parse_math=False)
        ax.set_ylabel(ylabel, parse_math=False)
        theme.percent_axis(ax)
        label_ends(ax, list(curves.causes), ends)
    return ax

"""Evaluations: measures of models with their intervals, differences from a reference, and measures over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FuncFormatter, MaxNLocator

from churnsurv.evaluation.measures import METRICS
from churnsurv.evaluation.records import Evaluation
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.plot import theme
from churnsurv.plot.hazard_ratios import text_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: where a metric's worthless or ideal value lies
_MARKS = {"concordance": 0.5, "uno": 0.5, "auc": 0.5, "ipa": 0.0, "observed_expected": 1.0, "calibration_slope": 1.0}


def comparison(
    result: Evaluation,
    metric: str | None = None,
    *,
    cause: str | None = None,
    horizon: float | None = None,
    differences: bool = False,
    ax: Axes | None = None,
    labels: dict[str, str] | None = None,
) -> Axes:
    """Draw one measure of all models with its intervals, or their differences from the reference.

    Models without the measure are listed as not available. Differences whose interval includes 0 are grey.

    Parameters
    ----------
    result : Evaluation
        As of :func:`churnsurv.evaluation.compare` or :func:`churnsurv.evaluation.backtest`.
    metric : str, optional
        Default: the first of the table.
    cause, horizon : optional
        Needed where the metric was estimated for several.
    differences : bool
        Draw differences from the reference instead of the estimates.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes as high as the models need.
    labels : dict, optional
        Names of models to show instead.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"rate_incentive": rng.normal(size=300), "noise": rng.normal(size=300)})
    >>> y = cs.Outcome(np.ceil(rng.exponential(20 * np.exp(-X["rate_incentive"]))), np.ones(300, int))
    >>> found = cs.evaluation.compare({"cox": cs.CoxPH(), "noise": cs.CoxPH("noise")}, X, y, metrics=["concordance"])
    >>> [tick.get_text() for tick in cs.plot.comparison(found).get_yticklabels()]
    ['cox', 'noise', 'null']
    """
    given = _require(result)
    table = given.differences if differences else given.table
    rows = _chosen(table, metric, cause, horizon)
    name, column = str(rows["metric"].iloc[0]), "difference" if differences else "value"
    value, lower, upper = (rows[c].to_numpy(dtype=float) for c in (column, "lower", "upper"))
    mark = 0.0 if differences else _MARKS.get(name)
    with theme.themed():
        ax = theme.own_axes(6.8, 1.1 + 0.34 * len(rows)) if ax is None else ax
        if mark is not None:
            ax.axvline(mark, color=theme.INK, lw=0.9, ls=(0, (2, 2)), zorder=1)
        for y in range(len(rows)):
            if np.isnan(value[y]):
                text_beside(ax, 1.0, y, "not available", ha="left", x_shift=10.0, color=theme.MUTED)
                continue
            grey = differences and lower[y] <= 0 <= upper[y]
            tone = theme.NEUTRAL if grey else theme.PALETTE[0]
            ax.plot([lower[y], upper[y]], [y, y], color=tone, lw=1.6, solid_capstyle="butt", zorder=2)
            ax.plot([value[y]], [y], "o", color=tone, ms=5.5, zorder=3)
            text_beside(ax, 1.0, y, _words(name, value[y], lower[y], upper[y]), ha="left", x_shift=10.0)
        _horizontal(ax, [(labels or {}).get(str(model), str(model)) for model in rows["model"]])
        ends = np.concatenate((lower, upper, value, [] if mark is None else [mark]))
        ends = ends[np.isfinite(ends)]
        margin = 0.06 * max(float(np.ptp(ends)), 1e-9)
        ax.set_xlim(float(ends.min()) - margin, float(ends.max()) + margin)
        way = METRICS[name].better if name in METRICS else "higher"
        subject = f"{_title(rows.iloc[0])}{_of_cause(rows)}"
        if differences:
            subject += f": difference from {(labels or {}).get(str(result.reference), str(result.reference))}"
        hint = "near 1 is right" if way == "near 1" else f"{way} is better"
        ax.set_xlabel(f"{subject} ({hint})", parse_math=False)
    return ax


def rolling_origin(
    result: Evaluation,
    metric: str | None = None,
    *,
    cause: str | None = None,
    horizon: float | None = None,
    ax: Axes | None = None,
    labels: dict[str, str] | None = None,
) -> Axes:
    """Draw a measure over the dates of a backtest, one line per model with its pointwise intervals.

    Parameters
    ----------
    result : Evaluation
        As of :func:`churnsurv.evaluation.backtest` at two dates or more.
    metric, cause, horizon, labels
        As of :func:`comparison`.
    ax : matplotlib Axes, optional
        Where to draw; default: new axes.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> found = cs.evaluation.backtest(
    ...     {"cox": cs.CauseSpecificCox("rate_incentive + credit_score")}, spells.complete(), ["2025-03-31", "2025-09-30"],
    ...     horizon=6, features=["rate_incentive", "credit_score"], cause="attrition", metrics=["auc"],
    ... )
    >>> cs.plot.rolling_origin(found).get_ylabel()
    'AUC at 6 of attrition'
    """
    rows = _chosen(_require(result).folds, metric, cause, horizon)
    if not pd.api.types.is_datetime64_any_dtype(rows["fold"]):
        raise DataError("These folds are no dates: pass the result of churnsurv.evaluation.backtest.")
    name = str(rows["metric"].iloc[0])
    with theme.themed():
        ax = theme.own_axes(7.0, 4.0) if ax is None else ax
        if name in _MARKS:
            ax.axhline(_MARKS[name], color=theme.INK, lw=0.9, ls=(0, (2, 2)), zorder=1)
        ends: list[tuple[float, str, str]] = []
        for position, (model, of_model) in enumerate(rows.groupby("model", sort=False)):
            known = of_model[of_model["value"].notna()]
            if known.empty:
                continue
            tone, style = theme.colour(position), theme.line_style(position)
            when = known["fold"].to_numpy()
            ax.fill_between(when, known["lower"], known["upper"], color=tone, alpha=theme.BAND_OPACITY, lw=0, zorder=2)
            ax.plot(when, known["value"], color=tone, ls=style, marker="o", ms=4, zorder=3)
            ends.append((float(known["value"].iloc[-1]), (labels or {}).get(str(model), str(model)), tone))
        _name_lines(ax, ends)
        locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.set_xlabel("Date of the fit and of the cohort")
        ax.set_ylabel(_title(rows.iloc[0]) + _of_cause(rows), parse_math=False)
    return ax


def _require(result: Any) -> Evaluation:
    if not isinstance(result, Evaluation):
        raise DataError(f"result is a {type(result).__name__}: pass what churnsurv.evaluation gives.")
    return result


def _chosen(table: pd.DataFrame, metric: str | None, cause: str | None, horizon: float | None) -> pd.DataFrame:
    """Give the rows of one measure, of one cause at one horizon."""
    if table.empty:
        raise DataError("There are no rows to draw: differences need two models or more.")
    rows = table[table["metric"] == (table["metric"].iloc[0] if metric is None else metric)]
    if rows.empty:
        raise DataError(f"metric={metric!r} is none of {first_of([repr(m) for m in table['metric'].unique()], 12)}.")
    for name, value in (("cause", cause), ("horizon", horizon)):
        seen = rows[name].unique()
        if value is None and len(seen) > 1:
            raise DataError(f"{rows['metric'].iloc[0]} was estimated for several: pass {name}= one of {seen.tolist()}.")
        rows = rows if value is None else rows[rows[name] == value]
        if rows.empty:
            raise DataError(f"{name}={value!r} is none of {seen.tolist()}.")
    if rows[rows.columns.intersection(["value", "difference"])].isna().all(axis=None):
        raise DataError(f"Nothing was estimated: {rows['reason'].iloc[0]}")
    return rows


def _title(row: Any) -> str:
    metric = METRICS.get(row["metric"])
    label = row["metric"] if metric is None else metric.label
    return str(label) if np.isnan(row["horizon"]) else f"{label} at {row['horizon']:g}"


def _of_cause(rows: pd.DataFrame) -> str:
    cause = rows["cause"].iloc[0]
    # the name of an only cause says nothing
    return "" if cause == "event" else f" of {cause}"


def _words(name: str, value: float, lower: float, upper: float) -> str:
    digits = 4 if "brier" in name else 3
    shown = [f"{round(number, digits) + 0.0:.{digits}f}".replace("-", "\u2212") for number in (value, lower, upper)]
    return f"{shown[0]} ({shown[1]} to {shown[2]})" if np.isfinite(lower) else shown[0]


def _horizontal(ax: Axes, names: list[str]) -> None:
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(np.arange(len(names)), names, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(False, axis="y")
    ax.grid(True, axis="x", color=theme.GRID, lw=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:.6g}".replace("-", "\u2212")))


def _name_lines(ax: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Write the names at the right ends of the lines, apart from each other."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high)
    placed = theme.apart([value for value, _, _ in ends], 0.06 * (high - low), low, high)
    for y, (_, name, tone) in zip(placed, ends, strict=True):
        text_beside(ax, 1.0, y, name, ha="left", x_shift=6.0, color=tone, weight="bold")

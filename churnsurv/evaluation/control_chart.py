"""Control charts of leaving by cause: whether more leave, or fewer, than the baseline or the model lets expect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.periods import as_dates, one_date
from churnsurv.data.spells import Spells
from churnsurv.evaluation.inputs import rate_of, seed_of
from churnsurv.evaluation.presented import Presented, Shown, alarms_in_words
from churnsurv.exceptions import DataError, NoEventsError
from churnsurv.kernels.chart_limits import (
    ChartLimits,
    chart_limits,
    counts_of,
    moving_average,
    predictive_variance,
    standardised,
    tails,
)
from churnsurv.messages import counted, first_of, one_number
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, row_labels, row_numbers

Floats = NDArray[np.float64]
Frequency = Literal["month", "quarter"]


@dataclass(frozen=True, repr=False, eq=False)
class ControlChart(Presented):
    """Observed and expected exits per calendar period and cause, with limits.

    Parameters
    ----------
    table : DataFrame
        cause, period, baseline (whether it is of the baseline), at_risk (loan-periods under observation), observed, expected,
        ratio, lower, upper (limits of the count), ewma, ewma_limit (moving average over its standard deviation), p_value (twice
        the smaller tail of the point), alarm, alarm_by ("point", "ewma", "both" or ""). Limits and alarms are of the monitored
        periods; those of the baseline are missing.
    summary : DataFrame
        One row per cause: cause, observed, expected (monitored periods), dispersion, false_alarm_rate (of the chart of this
        cause, as calibrated), run_length (mean number of periods to a false alarm), n_alarms, first_alarm.
    false_alarm_rate : float
        Probability of any alarm in any chart when nothing has changed.
    method : str
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    false_alarm_rate: float
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Give one row per cause and period."""
        return self.table.copy()

    @property
    def alarms(self) -> pd.DataFrame:
        """The points with an alarm."""
        return self.table[self.table["alarm"]].reset_index(drop=True)

    def _shown(self) -> Shown:
        names = (self.alarms["cause"] + " " + self.alarms["period"].astype(str)).tolist()
        return Shown(f"Control chart: {alarms_in_words(names)}", self.summary, (self.method,))


def control_chart(
    y: Spells | Outcome | NDArray[Any],
    *,
    by: Frequency = "month",
    period: ArrayLike | None = None,
    baseline: Any = None,
    expected: Mapping[str, ArrayLike] | None = None,
    cause: str | None = None,
    groups: ArrayLike | None = None,
    dispersion: Literal["clusters", "periods", "none"] = "clusters",
    weight: float = 0.2,
    false_alarm_rate: float = 0.05,
    seed: int = 0,
) -> ControlChart:
    r"""Chart the exits per calendar period against what the baseline, or the model, lets expect, with calibrated limits.

    Expected is the baseline's number of exits per loan-period at risk times the exposure of the period; with `expected` the
    sum of the model's hazards, so that the chart is adjusted for who is in the portfolio, and with both the model's sum scaled
    to the exits of the baseline. A point alarms outside exact limits of its count; the exponentially weighted moving average
    of the standardised counts (Roberts 1959) finds small lasting shifts. The limits of both are found by simulating charts
    without change, with the dispersion and the error of the baseline, such that all charts together raise any alarm
    with probability `false_alarm_rate` (shared equally between the causes). No further run rules are applied: each
    would add false alarms.

    Parameters
    ----------
    y : Spells, or Outcome of n rows
        One row per loan and calendar period (split spells).
    by : {"month", "quarter"}
    period : (n,) dates or periods
        Calendar period of each row; of spells it is known.
    baseline : date or ISO text, optional
        Periods that end by then are the baseline, the others are monitored. Needed without `expected`.
    expected : mapping of cause to (n,), optional
        Expected number of exits of each row over its own time at risk, e.g. differences of ``CoxPH.expected_events``.
    cause : str, optional
        Default: all causes, a chart each.
    groups : (n,) labels, optional
        Customers; of spells they are known. They leave with all their loans, which the variance has to know.
    dispersion : {"clusters", "periods", "none"}
        Variance over mean of a count: from sums of observed − expected over customers within a period (default); from Pearson's
        statistic between the periods of the baseline, which also sees common shocks such as interest rates; or Poisson.
        Never below 1. Counts are then negative binomial.
    weight : float
        Weight of the newest point in the moving average; smaller values find smaller shifts later.
    false_alarm_rate : float
        Probability of any alarm in the monitored periods, over all causes, when nothing has changed.
    seed : int
        Of the simulated charts.

    Returns
    -------
    ControlChart

    Raises
    ------
    DataError
        Neither baseline nor expected; no period to monitor; options or labels out of range.
    NoEventsError
        No exit of a cause in the baseline.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> chart = cs.evaluation.control_chart(spells, by="quarter", baseline="2025-06-30", cause="attrition")
    >>> bool(chart.summary["false_alarm_rate"].between(0.03, 0.05).all())
    True
    """
    rate_of(false_alarm_rate)
    if by not in get_args(Frequency):
        raise DataError(f"by={by!r}: use 'month' or 'quarter'.")
    if dispersion not in ("clusters", "periods", "none"):
        raise DataError(f"dispersion={dispersion!r}: use 'clusters', 'periods' or 'none'.")
    seed = seed_of(seed)
    if not 0 < one_number(weight, "weight") <= 1:
        raise DataError(f"weight={weight!r}: the moving average needs a weight above 0 and at most 1.")
    rows = _rows(y, by, period, groups)
    names = rows.y.causes if cause is None else (cause,)
    rows.y.cause_code(names[0])
    calendar = pd.period_range(rows.period.min(), rows.period.max(), freq="M" if by == "month" else "Q")
    is_base = _baseline(calendar, baseline, expected)
    level = false_alarm_rate / len(names)
    charts = [
        _chart(rows, name, calendar, is_base, _means(expected, name, rows), dispersion, weight, level, seed)
        for name in names
    ]
    source = "model" if expected is not None else "baseline rate"
    source += ", scaled to the baseline" if expected is not None and is_base.any() else ""
    return ControlChart(
        pd.concat([table for table, _ in charts], ignore_index=True),
        pd.DataFrame([summary for _, summary in charts]),
        false_alarm_rate,
        f"expected by the {source}; exact limits and EWMA (weight {weight:g}), dispersion: {dispersion}; calibrated together "
        f"by simulation to any alarm in {counted(int((~is_base).sum()), 'period')}",
    )


class _Rows(NamedTuple):
    y: Outcome
    period: pd.PeriodIndex
    group: NDArray[np.int64]


def _rows(y: Any, by: str, period: ArrayLike | None, groups: ArrayLike | None) -> _Rows:
    if isinstance(y, Spells):
        if period is not None:
            raise DataError("Spells know the calendar period of each row: leave period= out.")
        period, groups, y = y.frame["period"], y.groups if groups is None else groups, y.y
    y = as_outcome(y)
    if period is None:
        raise DataError("period= is missing: give the calendar period of each row, or pass spells.")
    if np.shape(period) != (len(y),):
        raise DataError(f"period has shape {np.shape(period)} for {len(y):,} rows: give one date or period per row.")
    given = pd.Series(np.asarray(period, dtype=object) if isinstance(period, pd.PeriodIndex) else period)
    if given.isna().any():
        raise DataError(f"period has {counted(int(given.isna().sum()), 'missing value')}: every row lies in one.")
    try:
        dates = pd.PeriodIndex(given, freq="M") if isinstance(given.dtype, pd.PeriodDtype) else None
        # ISO text only: of 03/02/2024 nobody knows which is the month
        when = dates if dates is not None else pd.DatetimeIndex(as_dates(given, "period")).to_period("M")
    except (ValueError, TypeError):
        raise DataError(f"period holds {given.iloc[0]!r}, which is no date: give dates or pandas periods.") from None
    group = row_labels(groups, len(y), "groups")[0] if groups is not None else pd.factorize(y.subject)[0]
    return _Rows(y, when.asfreq("M" if by == "month" else "Q"), group.astype(np.int64))


def _baseline(calendar: pd.PeriodIndex, baseline: Any, expected: Any) -> NDArray[np.bool_]:
    if baseline is None:
        if expected is None:
            raise DataError("Nothing says what to expect: give baseline= (a date) or expected= (of a model).")
        return np.zeros(len(calendar), dtype=bool)
    is_base = np.asarray(calendar.end_time.normalize() <= pd.Timestamp(one_date(baseline)).normalize())
    if not is_base.any() or is_base.all():
        raise DataError(
            f"baseline={one_date(baseline).date()!s} leaves no period to {'monitor' if is_base.all() else 'learn from'}: "
            f"the rows lie in {calendar[0]} to {calendar[-1]}."
        )
    return is_base


def _means(expected: Mapping[str, ArrayLike] | None, cause: str, rows: _Rows) -> Floats:
    """Give what each row contributes to the expectation: the model's number, or the time at risk."""
    if expected is None:
        return np.asarray(rows.y.stop - rows.y.start, dtype=np.float64)
    if not isinstance(expected, Mapping) or cause not in expected:
        known = list(expected) if isinstance(expected, Mapping) else type(expected).__name__
        raise DataError(f"expected has nothing of {cause!r} (given: {known}): map each cause to the rows' numbers.")
    numbers = row_numbers(expected[cause], len(rows.y), f"expected[{cause!r}]")
    assert numbers is not None
    if (numbers < 0).any():
        raise DataError(f"expected[{cause!r}] is negative in row {first_of(np.flatnonzero(numbers < 0))}.")
    return numbers


def _chart(
    rows: _Rows,
    cause: str,
    calendar: pd.PeriodIndex,
    is_base: NDArray[np.bool_],
    means: Floats,
    dispersion: str,
    weight: float,
    rate: float,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    at = calendar.get_indexer(rows.period)
    event = (rows.y.event == rows.y.cause_code(cause)).astype(np.float64)
    observed, expected, exposure = (
        np.asarray(np.bincount(at, weights=values, minlength=len(calendar)), dtype=np.float64)
        for values in (event, means, rows.y.stop - rows.y.start)
    )
    base = np.inf
    if is_base.any():
        base = float(observed[is_base].sum())
        if base == 0:
            raise NoEventsError(f"No exit by {cause!r} in the baseline: give a longer one, or expected=.")
        if expected[is_base].sum() <= 0:
            raise DataError(
                f"Nothing is expected of {cause!r} in the baseline, where {base:g} left: check expected=, and y."
            )
        scale = base / float(expected[is_base].sum())
        means, expected = means * scale, expected * scale
    watched = ~is_base
    if (expected[watched] <= 0).any():
        empty = calendar[watched][expected[watched] <= 0]
        raise DataError(
            f"Nothing is expected of {cause!r} in {first_of(empty)}: no loan is at risk. Chart longer periods."
        )
    used = is_base if is_base.any() else watched
    spread = _dispersion(dispersion, event - means, means, rows.group, at, used, observed, expected)
    limits = chart_limits(expected[watched], spread, base, weight, rate, seed)
    return _table(calendar, cause, is_base, (observed, expected, exposure), spread, base, weight, limits, rate)


def _dispersion(
    kind: str,
    residual: Floats,
    means: Floats,
    group: NDArray[np.int64],
    at: NDArray[np.int64],
    used: NDArray[np.bool_],
    observed: Floats,
    expected: Floats,
) -> float:
    """Give variance over mean of a count, at least 1."""
    if kind == "none":
        return 1.0
    if kind == "periods":
        if used.sum() < 5:
            raise DataError(
                f"{counted(int(used.sum()), 'period')} to learn the dispersion from: dispersion='periods' needs at least 5."
            )
        pearson = float(np.sum((observed[used] - expected[used]) ** 2 / expected[used]))
        return max(1.0, pearson / (int(used.sum()) - 1))
    inside = used[at]
    unit = pd.factorize(group[inside] * len(used) + at[inside])[0]
    sums = np.bincount(unit, weights=residual[inside])
    return max(1.0, float(np.sum(sums**2) / means[inside].sum()))


def _table(
    calendar: pd.PeriodIndex,
    cause: str,
    is_base: NDArray[np.bool_],
    counts: tuple[Floats, Floats, Floats],
    spread: float,
    base: float,
    weight: float,
    limits: ChartLimits,
    rate: float,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    observed, expected, exposure = counts
    watched = ~is_base
    mean = expected[watched]
    variance = predictive_variance(mean, spread, base)
    average = moving_average(standardised(observed[watched], mean, variance), weight)
    p_value = tails(observed[watched], counts_of(mean, variance))
    point, lasting = p_value <= limits.tail, np.abs(average) > limits.ewma

    def filled(values: Any, empty: Any = np.nan) -> NDArray[Any]:
        column = np.full(len(calendar), empty, dtype=object if isinstance(empty, str) else None)
        column[watched] = values
        return column

    words = np.where(point & lasting, "both", np.where(point, "point", np.where(lasting, "ewma", "")))
    table = pd.DataFrame(
        {
            "cause": cause,
            "period": calendar,
            "baseline": is_base,
            "at_risk": exposure,
            "observed": observed.astype(int),
            "expected": expected,
            "ratio": np.divide(observed, expected, out=np.full(len(observed), np.nan), where=expected > 0),
            "lower": filled(limits.lower),
            "upper": filled(limits.upper),
            "ewma": filled(average),
            "ewma_limit": filled(limits.ewma),
            "p_value": filled(p_value),
            "alarm": filled(point | lasting, False).astype(bool),
            "alarm_by": filled(words, ""),
        }
    )
    flagged = table.loc[table["alarm"], "period"]
    summary = {
        "cause": cause,
        "observed": int(observed[watched].sum()),
        "expected": float(mean.sum()),
        "dispersion": spread,
        "false_alarm_rate": limits.rate,
        "nominal_rate": rate,
        "run_length": limits.run_length,
        "n_alarms": len(flagged),
        "first_alarm": str(flagged.iloc[0]) if len(flagged) else "",
    }
    return table, summary

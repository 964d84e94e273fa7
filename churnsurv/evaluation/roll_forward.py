"""Vintage roll-forward: what the model predicted of each vintage at a date, beside what was observed afterwards."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves
from churnsurv.data.landmark import Cohort
from churnsurv.estimators.predict import predict_curves
from churnsurv.evaluation.inputs import rate_of
from churnsurv.evaluation.presented import Presented, Shown, alarms_in_words
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning, SupportWarning
from churnsurv.kernels.multiplicity import Adjustment, adjusted_p_values, check_adjustment
from churnsurv.messages import confidence_level, counted, first_of
from churnsurv.metrics.observed_expected import poisson_ratio
from churnsurv.nonparametric import AalenJohansen
from churnsurv.outcome import Outcome
from churnsurv.rows import row_labels

Floats = NDArray[np.float64]

#: rows predicted at a time, so that the curves of a portfolio need not fit into memory
_CHUNK = 5_000
#: the line of all vintages together
ALL = "all"


@dataclass(frozen=True, repr=False, eq=False)
class RollForward(Presented):
    """Predicted and observed exits of vintages after a date.

    Parameters
    ----------
    table : DataFrame
        One row per vintage (first "all"), cause and horizon (periods since the date): vintage, cause, horizon, n, predicted
        (mean probability), observed (Aalen–Johansen), se, lower, upper, events, expected (under each loan's own follow-up),
        ratio, ratio_lower, ratio_upper (exact Poisson), p_value, small (fewer than `min_count` loans or expected events).
    summary : DataFrame
        The lines of the longest horizon with p_adjusted and alarm, over vintages (without "all") and causes, and name, value
        (the ratio), false_alarm_rate and method as other alarms have them; cells that are small are not tested.
    date : Timestamp
    left_out : int
        Loans left out because they will be older within the horizon than any loan of the development.
    level, false_alarm_rate : float
    adjust : str
    min_count : int
    method : str
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    date: pd.Timestamp
    left_out: int
    level: float
    false_alarm_rate: float
    adjust: str
    min_count: int
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Give one row per vintage, cause and horizon."""
        return self.table.copy()

    @property
    def alarms(self) -> pd.DataFrame:
        """The vintages and causes that differ from the prediction at the longest horizon."""
        return self.summary[self.summary["alarm"]].reset_index(drop=True)

    def _shown(self) -> Shown:
        columns = ["vintage", "cause", "n", "predicted", "observed", "lower", "upper", "events", "expected", "ratio"]
        names = [f"{row.vintage} {row.cause}" for row in self.alarms.itertuples()]
        head = f"Roll-forward from {self.date.date()}: {alarms_in_words(names)}"
        older = (
            f"{counted(self.left_out, 'loan')} left out as older than any of the development. " if self.left_out else ""
        )
        note = (
            f"{older}{self.level:.0%} intervals; false alarms {self.false_alarm_rate:.3g}, adjusted by {self.adjust}."
        )
        return Shown(head, self.summary[[*columns, "p_adjusted", "small", "alarm"]], (note, self.method))


def roll_forward(
    model: Any,
    cohort: Cohort,
    *,
    horizon: int,
    by: str | ArrayLike = "vintage",
    cause: str | None = None,
    clock: str = "age",
    min_count: int = 5,
    false_alarm_rate: float = 0.05,
    adjust: Adjustment = "holm",
    level: float = 0.95,
) -> RollForward:
    r"""Roll each vintage forward from a date by the model, and compare with what happened since.

    Expected events are :math:`\sum_i \sum_{t \le \min(h, C_i)} \Delta F_{ik}(t)/S_i(t-)`, the cumulative hazard of the cause
    while the loan was watched, so that censoring after the date makes no difference; the count is then close to Poisson
    when the model is right. The observed probability is the Aalen–Johansen estimate, by customers' clusters, and assumes that
    censoring does not depend on the risk within the vintage. The sampling error of the model is not in the intervals.

    Parameters
    ----------
    model : fitted model or pipeline with ``predict_curves``
        Of all causes. Developed on what was known at the date (``Spells.until``), or else nothing is tested.
    cohort : Cohort
        Of one date (:meth:`churnsurv.data.Spells.landmark`), with complete covariates.
    horizon : int
        Periods after the date.
    by : {"vintage", "quarter"} or (n,) labels
        Year of origination, quarter of origination (of monthly spells), or other segments.
    cause : str, optional
        Default: all causes.
    clock : {"age", "landmark"}
        Time scale of the model: loan age, so that predictions are conditional on the age at the date, or time since the date.
    min_count : int
        Below this number of loans or expected events a cell is marked as small.
    false_alarm_rate, adjust
        Of the alarms at the longest horizon over all vintages and causes.
    level : float

    Returns
    -------
    RollForward

    Raises
    ------
    DataError
        A horizon past what was observed after the date, a cohort of several dates, labels of another length.
    NotIdentifiedError
        A model of one cause alone.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> development, cohort = cs.data.out_of_time(spells, "2025-09-30", horizon=6)
    >>> earlier = development.landmark("2024-09-30")
    >>> model = cs.CauseSpecificCox(formula="rate_incentive + fee_gap").fit(earlier.X, earlier.y)
    >>> rolled = cs.evaluation.roll_forward(model, cohort, horizon=6, cause="attrition", clock="landmark")
    >>> rolled.table["vintage"].iloc[0], int(rolled.table["horizon"].max())
    ('all', 6)
    """
    confidence_level(level)
    rate_of(false_alarm_rate)
    check_adjustment(adjust)
    horizons = _checked(cohort, horizon, clock, min_count)
    names = cohort.y.causes if cause is None else (cause,)
    cohort.y.cause_code(names[0])
    code, labels = _vintages(cohort, by)
    risk, hazard = _predicted(model, cohort, names, horizons, clock)
    known = ~np.isnan(risk).any(axis=(1, 2))
    y, groups, code, risk, hazard = cohort.y[known], cohort.groups[known], code[known], risk[known], hazard[known]
    parts = []
    for v, label in [(-1, ALL), *enumerate(labels)]:
        rows = np.ones(len(y), dtype=bool) if v < 0 else code == v
        if not rows.any():
            continue
        observed = _observed(y[rows], groups[rows], level)
        for k, name in enumerate(names):
            part = _lines(y[rows], name, risk[rows, k], hazard[rows, k], horizons, level, of_all=v < 0)
            found = _at(observed, name, horizons)
            parts.append(part.assign(vintage=str(label), cause=name, n=int(rows.sum()), **found))
    table = pd.concat(parts, ignore_index=True)
    table["small"] = (table["n"] < min_count) | (table["expected"] < min_count)
    order = ["vintage", "cause", "horizon", "n", "predicted", "observed", "se", "lower", "upper", "events", "expected"]
    table = table[[*order, "ratio", "ratio_lower", "ratio_upper", "p_value", "small"]]
    summary = _summary(table, adjust, false_alarm_rate)
    method = (
        "Aalen-Johansen, clustered by customer; expected by the model's hazards under each loan's follow-up; exact Poisson "
        f"intervals; alarms at {horizon} periods, {adjust} over {counted(int(summary['p_value'].notna().sum()), 'cell')}"
    )
    summary = summary.assign(name=summary["vintage"] + ", " + summary["cause"], value=summary["ratio"], method=method)
    date = pd.Timestamp(str(cohort.date))
    return RollForward(table, summary, date, int(np.sum(~known)), level, false_alarm_rate, adjust, min_count, method)


def _checked(cohort: Any, horizon: Any, clock: str, min_count: Any) -> Floats:
    if not isinstance(cohort, Cohort):
        raise DataError(f"{type(cohort).__name__} is no cohort: give spells.landmark(date).")
    if isinstance(cohort.date, tuple):
        raise DataError("The cohort is of several dates: roll forward from one at a time.")
    for name, value in (("horizon", horizon), ("min_count", min_count)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise DataError(f"{name}={value!r}: give a whole number of at least 1.")
    if clock not in ("age", "landmark"):
        raise DataError(f"clock={clock!r}: use 'age' or 'landmark'.")
    last = float(cohort.y.stop.max())
    if horizon > last:
        raise DataError(f"horizon={horizon} is past the {last:g} periods observed after {cohort.date.date()}.")
    return np.arange(1.0, horizon + 1)


def _vintages(cohort: Cohort, by: str | ArrayLike) -> tuple[NDArray[np.int64], list[Any]]:
    if isinstance(by, str) and by == "quarter":
        if cohort.rules.period != "month":
            raise DataError("by='quarter' needs monthly spells: give 'vintage' or the labels.")
        month = pd.Period(str(cohort.date), freq="M").ordinal + 1 - cohort.frame["age"].to_numpy().astype(np.int64)
        values: Any = [str(pd.Period(ordinal=int(number), freq="M").asfreq("Q")) for number in month]
    elif isinstance(by, str):
        if by not in cohort.frame.columns:
            raise DataError(f"The cohort has no column {by!r}: give 'vintage', 'quarter', a column or the labels.")
        values = cohort.frame[by]
    else:
        values = by
    codes, labels = row_labels(values, len(cohort), "by")
    return codes, list(labels)


def _predicted(
    model: Any, cohort: Cohort, names: tuple[str, ...], horizons: Floats, clock: str
) -> tuple[Floats, Floats]:
    """Give each row's probability of having left, and its cumulative hazard, by cause and horizon: (n, K, H)."""
    columns = getattr(model, "feature_names_in_", cohort.frame.columns)
    X = cohort.frame[list(columns)] if set(columns) <= set(cohort.frame.columns) else cohort.frame
    start = cohort.frame["age"].to_numpy(dtype=np.float64) if clock == "age" else np.zeros(len(cohort))
    risk = np.empty((len(cohort), len(names), len(horizons)))
    hazard = np.empty_like(risk)
    for begin in range(0, len(cohort), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        times = np.unique(np.concatenate([start[rows] + h for h in (0.0, *horizons)]))
        given = {"start": start[rows]} if clock == "age" else {}
        with warnings.catch_warnings():  # told below, once
            warnings.simplefilter("ignore", SupportWarning)
            curves = predict_curves(model, X.iloc[rows], times[times > 0], **given)
        if not curves.complete:
            raise NotIdentifiedError(
                f"The model is of {curves.causes[0]!r} alone, which gives no probability of leaving: fit all causes together "
                "(CauseSpecificCox, RandomSurvivalForest)."
            )
        risk[rows], hazard[rows] = _of_curves(curves, names, horizons)
    lost = np.asarray(np.isnan(risk).any(axis=(1, 2)))
    if lost.all():
        raise DataError(
            f"The model predicts nothing within {horizons[-1]:g} periods: every loan would then be older than any of the "
            "development. Shorten the horizon, or say on which clock the model is (clock='landmark')."
        )
    if lost.any():
        warnings.warn(
            f"{counted(int(lost.sum()), 'loan')} of {len(lost):,} (row {first_of(np.flatnonzero(lost))}) would within "
            f"{horizons[-1]:g} periods be older than any loan of the development: left out.",
            SupportWarning,
            stacklevel=3,
        )
    return risk, hazard


def _of_curves(curves: Curves, names: tuple[str, ...], horizons: Floats) -> tuple[Floats, Floats]:
    """Read probabilities and cumulative hazards of the causes off curves, since the origins of the rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SupportWarning)
        every = np.array([[curves.risk(name, float(h)) for h in horizons] for name in curves.causes]).transpose(2, 0, 1)
    risk = every[:, [curves.causes.index(name) for name in names]]
    still = 1 - np.concatenate([np.zeros((len(curves), 1)), every.sum(axis=1)[:, :-1]], axis=1)
    step = np.diff(risk, axis=-1, prepend=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = np.where(still[:, None, :] > 0, step / still[:, None, :], 0.0)
    return risk, np.cumsum(hazard, axis=-1)


def _observed(y: Outcome, groups: NDArray[Any], level: float) -> pd.DataFrame:
    robust = len(np.unique(groups)) > 1
    with warnings.catch_warnings():
        # a vintage without exit is seen in its line
        warnings.simplefilter("ignore", SmallSampleWarning)
        fit = AalenJohansen().fit(
            y, level=level, cluster=groups if robust else None, variance="robust" if robust else "greenwood"
        )
    return pd.DataFrame(fit.table_)


def _at(table: pd.DataFrame, cause: str, horizons: Floats) -> dict[str, Floats]:
    """Read the steps of a curve at the horizons."""
    own = table[table["state"] == cause].sort_values("time")
    place = np.searchsorted(own["time"].to_numpy(), horizons + 1e-9) - 1
    columns = {"observed": "estimate", "se": "se", "lower": "lower", "upper": "upper"}
    return {
        new: np.where(place >= 0, own[old].to_numpy()[np.maximum(place, 0)] if len(own) else 0.0, 0.0)
        for new, old in columns.items()
    }


def _lines(
    y: Outcome, cause: str, risk: Floats, hazard: Floats, horizons: Floats, level: float, *, of_all: bool
) -> pd.DataFrame:
    lines = []
    left = y.event == y.cause_code(cause)
    for place, h in enumerate(horizons):
        # whole periods under observation until the horizon
        within = np.minimum(y.stop, h).astype(np.int64)
        mean = np.where(within > 0, hazard[np.arange(len(y)), np.maximum(within - 1, 0)], 0.0)
        events = int(np.sum(left & (y.stop <= h)))
        expected = float(mean.sum())
        # few loans at ages at which nobody left in development: nothing is expected, whatever happens
        nothing = expected <= 0 and not of_all
        unknown = (events, 0.0, np.nan, np.nan, np.nan, np.nan)
        ratio = unknown if nothing else poisson_ratio(events, expected, f"{cause} within {h:g}", level)
        names = ("events", "expected", "ratio", "ratio_lower", "ratio_upper", "p_value")
        numbers = dict(zip(names, ratio, strict=True))
        lines.append({"horizon": int(h), "predicted": float(risk[:, place].mean()), **numbers})
    return pd.DataFrame(lines)


def _summary(table: pd.DataFrame, adjust: str, rate: float) -> pd.DataFrame:
    last = table[table["horizon"] == table["horizon"].max()].reset_index(drop=True)
    tested = ~last["small"] & (last["vintage"] != ALL)
    p = np.where(tested, last["p_value"], np.nan)
    adjusted = adjusted_p_values(p, adjust)
    summary: pd.DataFrame = last.assign(p_adjusted=adjusted, alarm=adjusted <= rate, false_alarm_rate=rate)
    return summary

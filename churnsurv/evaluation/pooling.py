"""From predictions of held-out rows to estimates by fold, pooled estimates and paired differences.

An estimate pooled over folds f is Σ_f w_f M_f with known weights w_f. With ψ_fi the influence of a held-out row on its fold's
estimate, its variance is the sum over customers c of (Σ_f w_f Σ_{i in c} ψ_fi)², the fitted models taken as given (LeDell,
Petersen and van der Laan 2015, for the AUC); a difference of two models has ψ_fi − ψ'_fi. Customers who are held out more than
once (repeats, several dates) are one unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from churnsurv.evaluation.measures import Held, Metric, MetricFailedError, reported
from churnsurv.evaluation.trials import Failure, Predicted, Rows
from churnsurv.exceptions import ChurnSurvError, NoEventsError, TooFewEventsError
from churnsurv.nonparametric import CensoringModel

Floats = NDArray[np.float64]


class Cell(NamedTuple):
    """What is measured: a metric, of a cause, at a horizon (position k; None: none)."""

    metric: Metric
    cause: str
    k: int | None
    horizon: float

    def key(self) -> dict[str, Any]:
        """Give the columns that name it."""
        return {"metric": self.metric.name, "cause": self.cause, "horizon": self.horizon}


class Measured(NamedTuple):
    """The estimate of one fold, its rows' influence by unit (G,), the fold's weight, and the numbers behind it."""

    value: float
    sums: Floats
    share: float
    n: float
    n_events: float


class Left(NamedTuple):
    """A fold that says nothing about this measure, whatever the model: it has no event, or too few."""

    reason: str


class Pooled(NamedTuple):
    """An estimate over the folds."""

    value: float
    sums: Floats
    n: int
    n_events: int
    folds: int
    of_units: int  #: units held out


def cells(metrics: Sequence[Metric], causes: Sequence[str], horizons: Floats) -> list[Cell]:
    """Give all that is to be measured."""
    found = []
    for metric in metrics:
        for cause in causes:
            each = metric.at == "each" or (metric.at == "any" and len(horizons))
            span = float(horizons[-1]) if metric.at == "span" else np.nan
            found += (
                [Cell(metric, cause, k, float(t)) for k, t in enumerate(horizons)]
                if each
                else [Cell(metric, cause, None, span)]
            )
    return found


def judged_positions(test: Rows) -> NDArray[np.int64]:
    """Give the positions of the held-out rows that count: those of weight above 0."""
    return np.arange(len(test.y)) if test.weight is None else np.flatnonzero(test.weight > 0)


def measured(
    cell: Cell,
    test: Rows,
    given: Predicted | Failure,
    horizons: Floats,
    n_units: int,
    censoring: CensoringModel | None = None,
) -> Measured | Left | Failure:
    """Measure the predictions of one fold."""
    if isinstance(given, Failure):
        return given
    score, risk = given.score[cell.cause], given.risk[cell.cause]
    reason = score if cell.metric.needs == "score" else risk
    if isinstance(reason, str):
        return Failure(reason)
    rows = judged_positions(test)
    weight = np.ones(len(rows)) if test.weight is None else test.weight[rows]
    y = test.y[rows]
    held = Held(
        y,
        weight,
        cell.cause,
        horizons,
        None if isinstance(score, str) else score[rows],
        None if isinstance(risk, str) else risk[rows],
        censoring,
    )
    try:
        value, influence = cell.metric.measure(held, cell.k)
    except (NoEventsError, TooFewEventsError) as error:
        return Left(str(error))
    except MetricFailedError:
        raise
    except ChurnSurvError as error:
        return Failure(str(error))
    until = np.inf if np.isnan(cell.horizon) else cell.horizon
    is_event = (y.event == y.cause_code(cell.cause)) & (y.stop <= until)
    share = float(weight[is_event].sum() if cell.metric.by_events else weight.sum())
    sums = np.bincount(test.unit[rows], influence, minlength=n_units).astype(np.float64)
    return Measured(value, sums, share, y.n_subjects, int(np.count_nonzero(is_event)))


def standard_error(sums: Floats, of_units: int, corrected: bool) -> float:
    """Give the standard error from the influence of the units."""
    factor = of_units / (of_units - 1) if corrected else 1.0
    return float(np.sqrt(factor * (sums @ sums)))


def pooled(found: Sequence[Measured | Left | Failure], tests: Sequence[Rows], repeats: float) -> Pooled | Failure:
    """Pool the folds; `repeats`: how often a row was held out, on average."""
    failed = [each for each in found if isinstance(each, Failure)]
    if failed:
        return failed[0]
    used = [(each, test) for each, test in zip(found, tests, strict=True) if isinstance(each, Measured)]
    if not used:
        return Failure(next(each.reason for each in found if isinstance(each, Left)))
    share = np.array([each.share for each, _ in used])
    share = share / share.sum()
    units = np.unique(np.concatenate([test.unit[judged_positions(test)] for _, test in used]))
    if len(units) < 2:
        return Failure("All held-out rows are of one customer: there is nothing to estimate a variance from.")
    return Pooled(
        value=float(sum(s * each.value for s, (each, _) in zip(share, used, strict=True))),
        sums=np.sum([s * each.sums for s, (each, _) in zip(share, used, strict=True)], axis=0),
        n=round(sum(each.n for each, _ in used) / repeats),
        n_events=round(sum(each.n_events for each, _ in used) / repeats),
        folds=len(used),
        of_units=len(units),
    )


def row_of_table(model: str, cell: Cell, found: Pooled | Failure, level: float) -> dict[str, Any]:
    """Give one row of the table of pooled estimates."""
    head = {"model": model, **cell.key()}
    if isinstance(found, Failure):
        none = dict.fromkeys(("value", "se", "lower", "upper"), np.nan)
        return {**head, **none, "n": 0, "n_events": 0, "folds": 0, "reason": found.reason}
    se = standard_error(found.sums, found.of_units, cell.metric.corrected)
    estimate = reported(found.value, se, level, cell.metric.scale)._asdict()
    return {**head, **estimate, "n": found.n, "n_events": found.n_events, "folds": found.folds, "reason": ""}


def rows_of_folds(
    model: str,
    cell: Cell,
    found: Sequence[Measured | Left | Failure],
    tests: Sequence[Rows],
    labels: Sequence[Any],
    level: float,
) -> list[dict[str, Any]]:
    """Give the estimate of each fold, with its own standard error and interval."""
    rows = []
    for label, each, test in zip(labels, found, tests, strict=True):
        single = pooled([each], [test], 1.0)
        row = row_of_table(model, cell, single, level)
        row.pop("folds")
        rows.append({"model": row.pop("model"), "fold": label, **row})
    return rows


def difference(model: str, reference: str, cell: Cell, one: Any, other: Any, level: float) -> dict[str, Any]:
    """Give the difference of two models on the same rows, with its standard error, interval and p-value."""
    head = {"model": model, "reference": reference, **cell.key(), "better": cell.metric.better}
    for found in (one, other):
        if isinstance(found, Failure):
            names = ("difference", "se", "lower", "upper", "p_value")
            return {**head, **dict.fromkeys(names, np.nan), "reason": found.reason}
    value = one.value - other.value
    se = standard_error(one.sums - other.sums, one.of_units, cell.metric.corrected)
    _, _, lower, upper = reported(value, se, level, "plain")
    p = 2 * float(ndtr(-abs(value) / se)) if se > 0 else (1.0 if value == 0 else np.nan)
    numbers = {"difference": value, "se": se, "lower": lower, "upper": upper, "p_value": p}
    return {**head, **numbers, "reason": ""}

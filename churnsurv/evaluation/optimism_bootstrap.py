"""Harrell's optimism bootstrap: how much a model's measures on its own rows flatter it, and what is left without that.

In each resample b of customers the model is fitted anew; it is judged by the resample (θ*_b) and by the original rows (θ°_b).
The optimism is the mean of θ*_b − θ°_b, the corrected estimate the apparent one less the optimism (Harrell, Lee and Mark 1996).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from churnsurv.estimators.inputs import RowArgument
from churnsurv.evaluation.cross_validation import Sample, own_cause, read_sample
from churnsurv.evaluation.measures import reported
from churnsurv.evaluation.pooling import Cell, Measured, cells, measured, standard_error
from churnsurv.evaluation.trials import Predicted, Rows, cut_arguments, fitted, predicted, read_jobs, seeded
from churnsurv.exceptions import ChurnSurvError, DataError, SmallSampleWarning
from churnsurv.messages import counted
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: below this share of resamples with an estimate nothing is said
LEAST_SHARE = 0.5


@dataclass(frozen=True, repr=False, eq=False)
class OptimismCorrected:
    """Measures of a model on its own rows, corrected for optimism.

    Parameters
    ----------
    table : DataFrame
        One row per metric, cause and horizon: ``metric, cause, horizon, apparent, optimism, value`` (corrected), ``se, lower,
        upper, n, n_events, n_resamples, reason``.
    level : float
    method : str
    """

    table: pd.DataFrame
    level: float
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Give the table."""
        return self.table.copy()

    def __repr__(self) -> str:
        with pd.option_context("display.width", 160, "display.max_columns", 20, "display.max_colwidth", 60):
            body = self.table.round(4).to_string(index=False)
        return f"OptimismCorrected, {self.level:.0%} intervals\n{body}\n{self.method}"

    def _repr_html_(self) -> str:
        return self.table.round(4).to_html(border=0, index=False) + f"<p>{self.level:.0%} intervals. {self.method}</p>"


def optimism(
    model: Any,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    n_resamples: int = 200,
    groups: RowArgument = None,
    horizons: float | ArrayLike | None = None,
    metrics: Sequence[Any] | str | None = None,
    cause: str | Sequence[str] | None = None,
    sample_weight: RowArgument = None,
    fit_params: Mapping[str, Any] | None = None,
    n_jobs: int | None = None,
    random_state: int | None = 0,
    progress: bool = False,
    level: float = 0.95,
) -> OptimismCorrected:
    """Estimate how well a model fitted to all rows predicts new customers, by correcting what it shows on its own rows.

    For models of few parameters, such as Cox models, on samples too small to be split. Forests nearly know their own rows:
    the correction fails for them; use :func:`cross_validate`, or what they say out of bag.

    Parameters
    ----------
    model, X, y, horizons, metrics, cause, sample_weight, fit_params, n_jobs, progress
        As for :func:`cross_validate`. A selection of covariates must be part of the model (a pipeline), else its optimism is
        missed.
    n_resamples : int
        At least 20.
    groups : array of n, or name of a column of X, optional
        Customers, drawn with all their rows. Default: the subjects of `y`.
    random_state : int, optional
        Seed; the answer does not depend on `n_jobs`.
    level : float
        Confidence level. The interval is that of the apparent estimate, from the influence of the customers with the fitted
        model taken as given, moved by the optimism: Noma et al. (2021) move that of a bootstrap of refitted models, whose
        percentiles carry the optimism of the refits (docs/decisions/0021). How the optimism itself varies is not in it.

    Returns
    -------
    OptimismCorrected

    Raises
    ------
    DataError
        Fewer than 20 resamples, or more than half of them without an estimate.

    Warns
    -----
    SmallSampleWarning
        Resamples without an estimate, which are left out.

    References
    ----------
    Harrell, Lee, Mark (1996) Stat Med 15:361. Noma, Shinozaki, Iba, Teramukai, Furukawa (2021) Stat Med 40:5691.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.normal(size=(150, 5)), columns=list("abcde"))
    >>> y = cs.Outcome(np.ceil(rng.exponential(20 * np.exp(-X["a"]))), np.ones(150, int))
    >>> found = cs.evaluation.optimism(cs.CoxPH(), X, y, n_resamples=30)
    >>> bool((found.table["value"] < found.table["apparent"]).all())
    True
    """
    if isinstance(n_resamples, bool) or not isinstance(n_resamples, int | np.integer) or n_resamples < 20:
        raise DataError(f"n_resamples={n_resamples!r}: give a whole number of at least 20.")
    cause = own_cause(model) if cause is None else cause
    sample = read_sample(X, y, groups, horizons, metrics, cause, sample_weight, random_state, level)
    all_rows = sample.rows
    if all_rows.unit.max() < 1:
        raise DataError("All rows are of one customer: there is nothing to draw from. Are the groups the customers?")
    judged = cells(sample.metrics, sample.asked.causes, sample.asked.horizons)
    estimator = seeded(model, sample.random_state)
    everything = np.arange(len(all_rows.y))
    arguments = cut_arguments(fit_params, everything, len(everything))
    try:
        whole = fitted(estimator, arguments, all_rows)
    except ChurnSurvError:
        raise
    except Exception as error:
        raise DataError(f"{type(model).__name__} could not be fitted: {type(error).__name__}: {error}") from error
    apparent = _measures(judged, all_rows, predicted(whole, all_rows, sample.asked), sample)

    def tasks() -> Iterator[Any]:
        for seed in np.random.SeedSequence(sample.random_state).spawn(int(n_resamples)):
            yield delayed(_resample)(estimator, fit_params, sample, judged, seed)

    read_jobs(n_jobs)
    run = Parallel(n_jobs=n_jobs, return_as="generator")(tasks())
    try:
        with tqdm(run, total=int(n_resamples), desc="Resampling", unit="fit", disable=not progress, leave=False) as bar:
            found = np.array(list(bar))
    finally:
        run.close()
    n_units = len(np.unique(all_rows.unit))
    rows = [
        _row(c, a, found[:, i], n_units, sample.level) for i, (c, a) in enumerate(zip(judged, apparent, strict=True))
    ]
    table = pd.DataFrame(rows)
    lost = (
        int(n_resamples) - table.loc[table["reason"] == "", "n_resamples"].min() if (table["reason"] == "").any() else 0
    )
    if lost:
        warnings.warn(
            f"{counted(int(lost), 'resample')} of {int(n_resamples):,} without an estimate, left out: the interval may be too "
            "narrow.",
            SmallSampleWarning,
            stacklevel=2,
        )
    return OptimismCorrected(
        table,
        sample.level,
        f"Optimism bootstrap, {int(n_resamples):,} resamples of {counted(n_units, 'customer')}; standard errors by "
        "their influence on the apparent estimate, intervals moved by the optimism.",
    )


def _resample(
    estimator: Any, fit_params: Mapping[str, Any] | None, sample: Sample, judged: list[Cell], seed: Any
) -> Floats:
    """Give (cells, 2): the measures of a model of a resample, on the resample and on the original rows."""
    rows = drawn_rows(sample.rows.unit, np.random.default_rng(seed))
    drawn = copies(sample.rows, rows)
    with warnings.catch_warnings():
        # said once, of the data themselves
        warnings.simplefilter("ignore")
        try:
            model = fitted(estimator, cut_arguments(fit_params, rows, len(sample.rows.y)), drawn)
            found = [_measures(judged, at, predicted(model, at, sample.asked), sample) for at in (drawn, sample.rows)]
        except (ChurnSurvError, np.linalg.LinAlgError):
            return np.full((len(judged), 2), np.nan)
    return np.array([[each.value if isinstance(each, Measured) else np.nan for each in side] for side in found]).T


def drawn_rows(unit: Ints, rng: np.random.Generator) -> Ints:
    """Draw as many units as there are, with replacement; give the positions of their rows, once per draw."""
    order = np.argsort(unit, kind="stable")
    counts = np.bincount(unit)
    first = np.concatenate(([0], np.cumsum(counts)))
    chosen = rng.integers(0, len(counts), len(counts))
    n = counts[chosen]
    within = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    return np.asarray(order[np.repeat(first[chosen], n) + within])


def copies(rows: Rows, at: Ints) -> Rows:
    """Give rows drawn with repetition, in which each draw is of a new subject and a new customer."""
    # the k-th time that a row is drawn is of the k-th copy of its customer
    times = pd.Series(at).groupby(at).cumcount().to_numpy()
    y = rows.y
    subject = pd.factorize(pd.MultiIndex.from_arrays([pd.factorize(y.subject)[0][at], times]))[0]
    unit = pd.factorize(pd.MultiIndex.from_arrays([rows.unit[at], times]))[0].astype(np.int64)
    start = None if y.from_origin else y.start[at]
    outcome = Outcome(y.stop[at], y.event[at], start, subject, y.causes)
    return Rows(rows.X.iloc[at], outcome, None if rows.weight is None else rows.weight[at], unit)


def _measures(judged: Sequence[Cell], rows: Rows, given: Predicted, sample: Sample) -> list[Any]:
    n_units = int(rows.unit.max()) + 1
    return [measured(cell, rows, given, sample.asked.horizons, n_units) for cell in judged]


def _row(cell: Cell, apparent: Any, found: Floats, n_units: int, level: float) -> dict[str, Any]:
    """Give the row of the table; found (B, 2)."""
    head = cell.key()
    names = ("apparent", "optimism", "value", "se", "lower", "upper")
    if not isinstance(apparent, Measured):
        return {
            **head,
            **dict.fromkeys(names, np.nan),
            "n": 0,
            "n_events": 0,
            "n_resamples": 0,
            "reason": apparent.reason,
        }
    known = found[np.isfinite(found).all(axis=1)]
    if len(known) < LEAST_SHARE * len(found):
        raise DataError(
            f"{counted(len(found) - len(known), 'resample')} of {len(found):,} give no {cell.metric.name} of {cell.cause!r}: "
            "too few events. Ask for a later horizon, or leave this cause out."
        )
    flattered = float(np.mean(known[:, 0] - known[:, 1]))
    value = apparent.value - flattered
    estimate = reported(value, standard_error(apparent.sums, n_units, cell.metric.corrected), level, cell.metric.scale)
    numbers = (apparent.value, flattered, *estimate)
    counts = {"n": int(apparent.n), "n_events": int(apparent.n_events), "n_resamples": len(known)}
    return {**head, **dict(zip(names, numbers, strict=True)), **counts, "reason": ""}

"""The fit behind CoxPH: rows read and checked, the kernel called, its answer put back on the scale of the covariates."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.encoder import DesignEncoder, missing_report
from churnsurv.estimators.inputs import (
    RowArgument,
    check_rows,
    codes_argument,
    columns_named,
    offset_argument,
    weights_argument,
)
from churnsurv.exceptions import (
    CollinearityError,
    ConvergenceError,
    DataError,
    MissingDataWarning,
    NoEventsError,
    SeparationWarning,
    SmallSampleWarning,
    TooFewEventsError,
)
from churnsurv.kernels.buckets import lay_buckets
from churnsurv.kernels.cox import Buckets, MapReduce, ScoreArg, Shard, cluster_scores, cumulated, gradient, one_shard
from churnsurv.kernels.cox_rows import centred, row_bounds
from churnsurv.kernels.newton import NewtonResult, Problem, State, maximise
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Missing, Outcome
from churnsurv.rows import refuse_one_cluster

Floats = NDArray[np.float64]

#: a column whose variance within the risk sets is below this share of its variance is taken for constant there,
#: or for a combination of others if so little of it is its own
NO_VARIANCE = 1e-10


class Rows(NamedTuple):
    """Checked input of a fit: numeric design, outcome, and per-row arguments as codes and numbers."""

    design: Floats
    outcome: Outcome
    event: NDArray[np.bool_]
    encoder: DesignEncoder
    strata: NDArray[np.int64] | None
    strata_labels: list[Any] | None
    weight: Floats | None
    cluster: NDArray[np.int64] | None
    offset: Floats | None


class Fit(NamedTuple):
    """Everything a fitted CoxPH shows."""

    coef: Floats
    naive_covariance: Floats
    covariance: Floats
    is_robust: bool
    log_likelihood: float
    null_log_likelihood: float
    score_statistic: float
    robust_score_statistic: float | None
    center: Floats
    centred_hazard: pd.DataFrame
    offset_center: float
    first: list[float]
    last: list[float]
    covariance_rank: int
    n_iter: int
    n_events: int


def read_rows(
    frame: pd.DataFrame,
    outcome: Outcome,
    arguments: Mapping[str, RowArgument],
    formula: str | None,
    missing: Missing,
    cause: str,
) -> Rows:
    """Check and encode the input; rows with missing covariates are refused or dropped."""
    check_rows(frame, outcome)
    named = [c for value in arguments.values() for c in columns_named(value, frame)]
    covariates = frame.drop(columns=named) if named else frame
    strata = codes_argument(arguments["strata"], frame, "strata")
    cluster = codes_argument(arguments["cluster"], frame, "cluster")
    weight = weights_argument(arguments["sample_weight"], frame)
    offset = offset_argument(arguments["offset"], frame)
    encoder = DesignEncoder(formula).fit(covariates)
    design = encoder.design(covariates)
    code = outcome.cause_code(cause)
    kept: Any = slice(None)
    if not np.isfinite(design.sum()):
        kept = ~np.isnan(design).any(axis=1)
        if not kept.all():
            report = missing_report(design, covariates[encoder.columns_])
            if missing == "raise":
                raise DataError(
                    f"{report[0].upper()}{report[1:]}. Drop such rows (missing='drop', counted) or impute the values."
                )
            dropped = counted(int(np.count_nonzero(~kept)), "row")
            warnings.warn(f"{dropped} of {len(kept):,} dropped: {report}.", MissingDataWarning, stacklevel=3)
    outcome = outcome[kept]
    event = outcome.event == code
    if not event.any():
        raise NoEventsError(
            f"No {cause!r} event among {counted(len(outcome), 'row')}: there is nothing to estimate (Kaplan-Meier and "
            "Aalen-Johansen curves still work)."
        )

    def cut(array: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if array is None else array[kept]

    return Rows(
        design[kept],
        outcome,
        event,
        encoder,
        cut(strata[0]) if strata else None,
        strata[1] if strata else None,
        cut(weight),
        cut(cluster[0]) if cluster else None,
        cut(offset),
    )


def fit_rows(rows: Rows, efron: bool, max_iter: int, tol: float, robust: bool, stacklevel: int) -> Fit:
    """Maximise the partial likelihood and give estimates on the scale of the covariates."""
    center, scale, x = standardised(rows.design, rows.encoder.terms_)
    # a common factor of the weights changes no estimate: with mean 1 they suit the tolerances
    factor = 1.0 if rows.weight is None else float(rows.weight[rows.weight > 0].mean())
    weight = np.ones(len(x)) if rows.weight is None else rows.weight / factor
    n_events = int(np.count_nonzero(rows.event & (weight > 0)))
    if n_events < x.shape[1]:
        raise TooFewEventsError(
            f"{counted(n_events, 'event')} for {counted(x.shape[1], 'coefficient')}: estimates would not be finite. "
            "Use fewer covariates (ten events per coefficient is a common floor)."
        )
    n_strata = 1 if rows.strata_labels is None else len(rows.strata_labels)
    entry = None if rows.outcome.from_origin else rows.outcome.start
    buckets, first, last, death = lay_buckets(entry, rows.outcome.stop, rows.event, rows.strata, n_strata)
    offset_center = 0.0 if rows.offset is None else float(rows.offset.mean())
    offset = np.zeros(len(x)) if rows.offset is None else rows.offset - offset_center
    shard = Shard(x, first, last, death, weight, offset)
    mr = one_shard(shard)
    problem = Problem(mr, buckets, efron, x.shape[1], *mr(row_bounds, None))
    names = rows.encoder.terms_
    result = maximise(problem, max_iter, tol, lambda matrix, state: refuse_unidentified(matrix, state, names))
    report_end(result, rows, max_iter, stacklevel + 1)
    warn_of_empty_strata(rows, buckets, stacklevel + 1)
    inverse = np.asarray(np.linalg.inv(result.information), dtype=np.float64)
    is_robust = robust or rows.cluster is not None
    covariance: Floats = inverse / factor
    robust_score, rank = None, x.shape[1]
    if is_robust:
        cluster = np.asarray(pd.factorize(rows.outcome.subject)[0] if rows.cluster is None else rows.cluster)
        used = weight > 0
        covariance, robust_score, rank = sandwich(mr, buckets, result, inverse, cluster.astype(np.int64), used)
        warn_of_few_clusters(rank, x.shape[1], stacklevel + 1)
    null_score = gradient(result.null.sums, result.null.terms)
    both = np.outer(scale, scale)
    return Fit(
        coef=result.state.beta / scale,
        naive_covariance=inverse / both / factor,
        covariance=covariance / both,
        is_robust=is_robust,
        log_likelihood=unscaled_log_likelihood(result.state, factor),
        null_log_likelihood=unscaled_log_likelihood(result.null, factor),
        score_statistic=factor * float(null_score @ np.linalg.solve(result.null_information, null_score)),
        robust_score_statistic=robust_score,
        center=center,
        centred_hazard=baseline(result.state, buckets, rows),
        offset_center=offset_center,
        first=_extreme_times(np.minimum, rows.outcome.start, rows, weight, n_strata),
        last=_extreme_times(np.maximum, rows.outcome.stop, rows, weight, n_strata),
        covariance_rank=rank,
        n_iter=result.n_iter,
        n_events=n_events,
    )


def standardised(design: Floats, terms: list[str]) -> tuple[Floats, Floats, Floats]:
    """Give means, standard deviations and the standardised design, C-ordered; constant columns are refused.

    Coefficients are invariant to it, and covariates of any unit then suit the same tolerances.
    """
    center = design.mean(axis=0)
    x, shift, mean_square = centred(design, center)
    # the mean of the differences is the rounding error of the first mean (columns such as 1e12 + 1e9 z)
    scale = np.sqrt(mean_square)
    if np.any(np.abs(shift) > 1e-12 * scale):
        center = center + shift
        x, _, mean_square = centred(design, center)
        scale = np.sqrt(mean_square)
    constant = np.flatnonzero(scale <= 1e-14 * np.abs(center))
    if len(constant):
        raise DataError(
            f"Column {first_of([repr(terms[j]) for j in constant])} is constant: it cannot explain who leaves. "
            "Leave it out."
        )
    x /= scale
    return center, scale, x


def refuse_unidentified(matrix: Floats, null: State, terms: list[str]) -> None:
    """Refuse columns without variance within the risk sets, and exact combinations of others, naming them.

    Works on the information at β = 0, the sum over deaths of the covariates' covariance within their risk sets, by a
    Cholesky factorisation in the order of the columns: a pivot near zero means nothing of the column is its own.
    """
    weight = float(null.sums.death_weight.sum())
    variance = np.diag(matrix) / weight
    flat = np.flatnonzero(variance < NO_VARIANCE)
    if len(flat):
        raise DataError(
            f"Column {first_of([repr(terms[j]) for j in flat])} is constant within every risk set (a column of the calendar "
            "alone under strata of vintage is), so that no coefficient is identified. Leave it out or use coarser strata."
        )
    root = np.sqrt(np.diag(matrix))
    correlation = matrix / np.outer(root, root)
    for j in range(1, len(terms)):
        others = correlation[:j, :j]
        shares = np.linalg.lstsq(others, correlation[:j, j], rcond=None)[0]
        own = 1.0 - float(correlation[:j, j] @ shares)
        if own < 10 * NO_VARIANCE:
            involved = [terms[k] for k in np.flatnonzero(np.abs(shares) > 1e-6)]
            raise CollinearityError(
                f"Column {terms[j]!r} is a linear combination of {first_of([repr(t) for t in involved], 8)} within the risk "
                "sets: their coefficients are not identified. Leave one of them out."
            )


def report_end(result: NewtonResult, rows: Rows, max_iter: int, stacklevel: int) -> None:
    """Warn of a likelihood without maximum, naming its columns; raise when the iterations just ended."""
    if result.converged:
        return
    if result.monotone is None:
        raise ConvergenceError(
            f"The partial likelihood was not maximised in {counted(max_iter, 'iteration')}. Look for outliers in the "
            "covariates, or raise max_iter."
        )
    names = [rows.encoder.terms_[j] for j in result.monotone]
    parts = []
    for name, j in zip(names, result.monotone, strict=True):
        column = rows.design[:, j]
        if set(np.unique(column[:10_000]).tolist()) <= {0.0, 1.0}:
            ones = column == 1
            parts.append(
                f"{name}: {counted(int(np.count_nonzero(rows.event & ones)), 'event')} of {np.count_nonzero(ones):,}"
            )
    detail = f" ({'; '.join(parts)})" if parts else ""
    warnings.warn(
        f"The likelihood is monotone in {first_of([repr(n) for n in names])}{detail}: the estimate is infinite, and so the "
        "number given is only where the iterations stopped. The likelihood-ratio test is valid, Wald's is not. Merge the "
        "level with another, or leave the column out.",
        SeparationWarning,
        stacklevel=stacklevel + 1,
    )


def warn_of_empty_strata(rows: Rows, buckets: Buckets, stacklevel: int) -> None:
    """Warn of strata without events: they add nothing to the fit and have no hazard."""
    if rows.strata_labels is None or rows.strata is None:
        return
    empty = np.flatnonzero(np.diff(buckets.begin) == 0)
    if len(empty):
        sizes = np.bincount(rows.strata, minlength=len(rows.strata_labels))
        shown = first_of([f"{rows.strata_labels[s]}: 0 events of {sizes[s]:,}" for s in empty])
        warnings.warn(
            f"Strata without events ({shown}): their baseline hazard is estimated as 0, so that nobody is predicted to "
            "leave there. Merge them with others.",
            SmallSampleWarning,
            stacklevel=stacklevel + 1,
        )


def unscaled_log_likelihood(state: State, factor: float) -> float:
    """Give the log likelihood of weights c w from that of weights w: c l(w) − c log(c) Σ w over the deaths."""
    return factor * (state.log_likelihood - float(np.log(factor)) * float(state.sums.death_weight.sum()))


def warn_of_few_clusters(rank: int, n_coefficients: int, stacklevel: int) -> None:
    """Warn when the sandwich has fewer dimensions than there are coefficients."""
    if rank < n_coefficients:
        warnings.warn(
            f"The clusters give a covariance of rank {rank} for {n_coefficients} coefficients: joint tests are not possible, "
            "and with few clusters intervals are too narrow. Use more, smaller clusters, or fewer covariates.",
            SmallSampleWarning,
            stacklevel=stacklevel + 1,
        )


def sandwich(
    mr: MapReduce,
    buckets: Buckets,
    result: NewtonResult,
    inverse: Floats,
    cluster: NDArray[np.int64],
    used: NDArray[np.bool_],
) -> tuple[Floats, float, int]:
    """Give I⁻¹ (Σ u u') I⁻¹ with score residuals u summed by cluster, the robust score statistic at β = 0, and the rank."""
    n_clusters = int(cluster.max()) + 1
    refuse_one_cluster(cluster[used])

    def scores(state: State) -> Floats:
        arg = ScoreArg(state.beta, state.shift, buckets, state.sums, state.terms, cluster, n_clusters)
        return np.asarray(mr(cluster_scores, arg)[0])

    residual = scores(result.state) @ inverse
    at_null = scores(result.null)
    total = at_null.sum(axis=0)
    statistic = float(total @ np.linalg.lstsq(at_null.T @ at_null, total, rcond=None)[0])
    # residuals sum to zero, so that G clusters span at most G − 1 dimensions
    width = residual.shape[1]
    rank = (
        width if n_clusters > 2 * width + 2 else int(np.linalg.matrix_rank(residual, tol=1e-8 * np.abs(residual).max()))
    )
    return residual.T @ residual, statistic, rank


def baseline(state: State, buckets: Buckets, rows: Rows) -> pd.DataFrame:
    """Give the cumulative hazard at the centre of the covariates and of the offset: columns stratum, time, hazard."""
    increments = state.terms.e0 * np.exp(-state.shift[buckets.stratum])
    running = cumulated(increments, buckets.begin)
    after = np.arange(len(increments)) + buckets.stratum + 1
    stratum = buckets.stratum if rows.strata_labels is None else [rows.strata_labels[s] for s in buckets.stratum]
    return pd.DataFrame({"stratum": stratum, "time": buckets.time, "hazard": running[after]})


def _extreme_times(extreme: np.ufunc, times: Floats, rows: Rows, weight: Floats, n_strata: int) -> list[float]:
    """Give the smallest or largest time of each stratum, over the rows that count."""
    used = weight > 0
    stratum = np.zeros(len(times), dtype=np.int64) if rows.strata is None else rows.strata
    found = np.full(n_strata, -np.inf if extreme is np.maximum else np.inf)
    extreme.at(found, stratum[used], times[used])
    return [float(t) if np.isfinite(t) else 0.0 for t in found]

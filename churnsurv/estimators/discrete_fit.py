"""The fit of one cause's monthly hazard: rows laid into months, the likelihood maximised, estimates as the covariates are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.encoder import DesignEncoder
from churnsurv.estimators.cox_checks import (
    refuse_combinations,
    refuse_too_few_events,
    warn_of_empty_strata,
    warn_of_few_clusters,
)
from churnsurv.estimators.cox_rows import Rows, location_and_scale
from churnsurv.exceptions import ConvergenceError, DataError, SeparationWarning
from churnsurv.kernels import grouped_hazard as kernel
from churnsurv.kernels.cox_rows import standardised_rows
from churnsurv.kernels.splines import natural_basis, spline_knots
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome
from churnsurv.rows import refuse_one_cluster

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Baseline = Literal["month", "spline"]

#: largest basis of a smooth baseline (bytes)
_MOST_BASIS = 2**28


_NO_BASELINE = (
    "The baseline hazard was not estimable: the offset differs too much between rows, or all exits fall into few of the months "
    "of a smooth baseline. Check the offset, lower df, or use baseline='month'."
)


@contextmanager
def _with_a_baseline() -> Iterator[None]:
    """Say what it means when the information is singular: a smooth baseline runs away."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise ConvergenceError(_NO_BASELINE) from error


@dataclass(frozen=True, eq=False)
class CauseFit:
    """What a fitted model knows of one cause; C cells (months of strata), p coefficients.

    The log cumulative hazard within a cell of a customer at the centre of the covariates is ``log_hazard`` (C,) (inf: everybody
    at risk left; months of other cells have hazard 0). Its variance is ``variance`` (C,), or root root' with ``root`` (C, q),
    plus that of the coefficients times ``slope`` (C, p).
    """

    encoder: DesignEncoder
    coef: pd.Series
    covariance: pd.DataFrame
    naive_covariance: pd.DataFrame
    is_robust: bool
    center: Floats
    offset_center: float
    stratum: Ints
    month: Floats
    log_hazard: Floats
    slope: Floats
    variance: Floats
    root: Floats | None
    log_likelihood: float
    null_log_likelihood: float
    n_events: int
    n_iter: int


class _Cells(NamedTuple):
    """Cells in the order of (stratum, month), and rows in them as the kernel takes them."""

    stratum: Ints
    month: Ints
    first: Ints
    last: Ints
    event: Ints


def refuse_parts_of_months(y: Outcome) -> None:
    """Refuse times that are not whole."""
    for name in ("start", "stop"):
        times = getattr(y, name)
        broken = np.flatnonzero(times != np.floor(times))
        if len(broken):
            raise DataError(
                f"{name} is not whole in {counted(len(broken), 'row')} (row {first_of(broken)}; {times[broken[0]]:g}): the "
                "model is of whole months (or other periods). Round exits up with np.ceil, censorings and entries down "
                "and up to months that were seen whole; or use CoxPH, which takes times as they are."
            )


@_with_a_baseline()
def fit_cause(
    rows: Rows, baseline: Baseline, df: int, max_iter: int, tol: float, robust: bool, stacklevel: int
) -> CauseFit:
    """Maximise the likelihood of one cause, exits by others counting as months without an exit by this one."""
    # rows of weight 0 have no say, not even in which months there are
    used = np.ones(len(rows.design), dtype=bool) if rows.weight is None else rows.weight > 0
    weight = np.ones(len(rows.design)) if rows.weight is None else rows.weight / rows.weight[used].mean()
    factor = 1.0 if rows.weight is None else float(rows.weight[used].mean())
    stratum = np.zeros(len(used), dtype=np.int64) if rows.strata is None else rows.strata
    event = rows.event & used
    n_events = int(np.count_nonzero(event))
    refuse_too_few_events(n_events, rows.design.shape[1])
    stacklevel += 1  # the frame of the decorator
    _warn_of_strata(rows, stratum[event], stacklevel + 1)
    cells, full = _laid(rows.outcome, event, stratum, used, baseline)
    used &= (cells.first < cells.last) | (cells.event >= 0)
    terms = rows.encoder.terms_
    if not used.any():
        raise DataError("Everybody at risk leaves in each month with an exit: no coefficient is identified.")
    center, scale = location_and_scale(rows.design, used, terms)
    offset_center = 0.0 if rows.offset is None else float(rows.offset[used].mean())
    offset = np.zeros(len(used)) if rows.offset is None else rows.offset - offset_center
    grouped = kernel.Rows(
        standardised_rows(rows.design[used], center, scale), weight[used], offset[used], cells.first[used],
        cells.last[used], cells.event[used], len(cells.month),
    )  # fmt: skip
    basis = None if baseline == "month" else _basis(cells, rows.outcome.stop[event], df)
    null, information = _null(grouped, basis, max_iter, tol)
    refuse_combinations(information, float(weight[event].sum()), terms)
    found = kernel.maximise(grouped, basis, null.theta, max_iter, tol, information)
    _report_end(found, terms, max_iter, stacklevel + 1)
    inverse = np.asarray(np.linalg.inv(found.slopes.profile()), dtype=np.float64)
    mean = found.slopes.solved(found.slopes.both)
    mean = mean if basis is None else basis @ mean
    covariance = inverse / factor
    is_robust = robust or rows.cluster is not None
    if is_robust:
        cluster = pd.factorize(rows.outcome.subject if rows.cluster is None else rows.cluster)[0][used]
        covariance = _sandwich(grouped, found.point, mean, inverse, cluster, stacklevel + 1)
    both = np.outer(scale, scale)
    cell_stratum, cell_month, order = _merged(cells, full)
    root = None
    if basis is not None:
        root = basis @ np.linalg.inv(np.linalg.cholesky(found.slopes.theta)).T / np.sqrt(factor)
    variance = np.zeros(len(cells.month)) if basis is not None else 1.0 / found.slopes.theta / factor
    extra = len(full)
    return CauseFit(
        encoder=rows.encoder,
        coef=pd.Series(found.point.beta / scale, index=terms),
        covariance=pd.DataFrame(covariance / both, index=terms, columns=terms),
        naive_covariance=pd.DataFrame(inverse / factor / both, index=terms, columns=terms),
        is_robust=is_robust,
        center=center,
        offset_center=offset_center,
        stratum=cell_stratum,
        month=cell_month.astype(np.float64),
        log_hazard=np.concatenate((found.point.alpha, np.full(extra, np.inf)))[order],
        slope=np.vstack((mean * scale, np.zeros((extra, len(scale)))))[order],
        variance=np.concatenate((variance, np.zeros(extra)))[order],
        root=None if root is None else np.vstack((root, np.zeros((extra, root.shape[1]))))[order],
        log_likelihood=factor * found.point.log_likelihood,
        null_log_likelihood=factor * null.log_likelihood,
        n_events=n_events,
        n_iter=found.n_iter,
    )


def _laid(
    y: Outcome, event: NDArray[np.bool_], stratum: Ints, used: NDArray[np.bool_], baseline: Baseline
) -> tuple[_Cells, Ints]:
    """Lay rows into cells; with them the keys of cells in which everybody at risk leaves, which have hazard 1.

    Free months: those with an exit, as the estimate of the others is 0 and nothing depends on it. Smooth: all.
    """
    # rows at risk from the closed origin are at risk at age 0 itself, which is a month of its own if somebody leaves then
    at_origin = -1.0 if np.any(event & (y.stop == 0)) else 0.0
    begin = np.maximum(y.entry, at_origin).astype(np.int64)
    end = y.stop.astype(np.int64)
    width = int(end.max()) + 2
    from_, until = stratum * width + begin + 1, stratum * width + end + 1
    if baseline == "month":
        keys, at = np.unique(until[event], return_inverse=True)
        n_event = np.bincount(at, minlength=len(keys))
        # from_ < key <= until
        n_risk = np.searchsorted(np.sort(from_[used]), keys) - np.searchsorted(np.sort(until[used]), keys)
        full = keys[n_event == n_risk]
        keys = keys[n_event < n_risk]
    else:
        # months under observation of strata with an exit
        seen = np.zeros((int(stratum.max()) + 1) * width + 1, dtype=np.int64)
        np.add.at(seen, from_[used] + 1, 1)
        np.add.at(seen, until[used] + 1, -1)
        keys = np.flatnonzero(np.cumsum(seen[:-1]) > 0)
        keys, full = keys[np.isin(keys // width, stratum[event])], np.zeros(0, dtype=np.int64)
    first, last = np.searchsorted(keys, from_, side="right"), np.searchsorted(keys, until, side="right")
    leaves = event & ~np.isin(until, full)
    cell = np.where(leaves, last - 1, -1)
    return _Cells(keys // width, keys % width - 1, first, last - leaves, cell), _months(full, width)


def _months(keys: Ints, width: int) -> Ints:
    return np.column_stack((keys // width, keys % width - 1)).astype(np.int64)


def _merged(cells: _Cells, full: Ints) -> tuple[Ints, Ints, Ints]:
    """Give strata and months of all cells, those in which everybody leaves among them, and their order."""
    stratum = np.concatenate((cells.stratum, full[:, 0]))
    month = np.concatenate((cells.month, full[:, 1]))
    order = np.lexsort((month, stratum))
    return stratum[order], month[order], order


def _basis(cells: _Cells, exits: Floats, df: int) -> Floats:
    """Give the natural spline in the month, with coefficients of its own in each stratum, (C, df S)."""
    knots = spline_knots(exits, float(exits.min()), float(exits.max()), df)
    smooth = natural_basis(cells.month.astype(np.float64), knots)
    present, position = np.unique(cells.stratum, return_inverse=True)
    size = len(smooth) * smooth.shape[1] * len(present)
    if 8 * size > _MOST_BASIS:
        raise DataError(
            f"A smooth baseline of {counted(len(present), 'stratum')[:-1]} x {len(smooth):,} months would take "
            f"{8 * size / 2**30:.1f} GB: use baseline='month', or fewer strata."
        )
    return np.asarray((smooth[:, None, :] * np.eye(len(present))[position][:, :, None]).reshape(len(smooth), -1))


def _null(rows: kernel.Rows, basis: Floats | None, max_iter: int, tol: float) -> tuple[kernel.Point, Floats]:
    """Fit the baseline alone; give it with the information of β at β = 0."""
    leaving = np.bincount(rows.event[rows.event >= 0], rows.weight[rows.event >= 0], rows.n_cells)
    staying = np.bincount(rows.first, rows.weight, rows.n_cells + 1) - np.bincount(
        rows.last, rows.weight, rows.n_cells + 1
    )
    left = np.cumsum(staying)[:-1]
    if basis is None:
        theta = np.log(np.log1p(leaving / left))
    else:
        theta = np.linalg.lstsq(basis, np.full(len(basis), np.log(leaving.sum() / left.sum())), rcond=None)[0]
    bare = rows._replace(x=rows.x[:, :0])
    found = kernel.maximise(bare, basis, theta, max_iter, tol, None)
    if not found.converged:
        raise ConvergenceError(_NO_BASELINE)
    p = rows.x.shape[1]
    point = kernel.evaluate(rows, basis, found.point.theta, np.zeros(p))
    return point, kernel.slopes_at(rows, basis, point).profile()


def _sandwich(
    rows: kernel.Rows, point: kernel.Point, mean: Floats, inverse: Floats, cluster: Ints, stacklevel: int
) -> Floats:
    """Give I⁻¹ (Σ u u') I⁻¹ with the efficient scores u summed by cluster."""
    refuse_one_cluster(cluster)
    residual = kernel.efficient_scores(rows, point, mean, cluster, int(cluster.max()) + 1) @ inverse
    rank = int(np.linalg.matrix_rank(residual, tol=1e-8 * np.abs(residual).max()))
    warn_of_few_clusters(rank, residual.shape[1], stacklevel + 1)
    return np.asarray(residual.T @ residual)


def _warn_of_strata(rows: Rows, with_event: Ints, stacklevel: int) -> None:
    if rows.strata_labels is None or rows.strata is None:
        return
    size = np.bincount(rows.strata, minlength=len(rows.strata_labels))
    events = np.bincount(with_event, minlength=len(rows.strata_labels))
    empty = [f"{rows.strata_labels[s]}: 0 events of {size[s]:,}" for s in np.flatnonzero(events == 0)]
    warn_of_empty_strata(empty, stacklevel + 1)


def _report_end(found: kernel.Maximum, terms: list[str], max_iter: int, stacklevel: int) -> None:
    if found.monotone is not None:
        together = "" if len(found.monotone) == 1 else ", alone or in combination"
        warnings.warn(
            f"The likelihood is monotone in {first_of([repr(terms[j]) for j in found.monotone])}{together}: the estimate is "
            "infinite, and so the number given is only where the iterations stopped. The likelihood-ratio test is valid, "
            "Wald's is not. Merge the level with another, leave the column out, or use CoxPH(penalty='firth').",
            SeparationWarning,
            stacklevel=stacklevel + 1,
        )
    elif not found.converged:
        raise ConvergenceError(
            f"The likelihood was not maximised in {counted(max_iter, 'iteration')}. Look for outliers in the covariates, or "
            "raise max_iter."
        )

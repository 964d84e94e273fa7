r"""The Cox fit over batches of rows that are never in memory together, with the same result.

The kernel's sums are additive over rows (:mod:`churnsurv.kernels.cox`). A first pass fixes the layout
(:mod:`churnsurv.estimators.stream_layout`); each Newton step is then two passes, one for the sums by bucket and one for the
Gram matrix; the robust variance is one or more passes at the end. Memory: the sums (distinct event times by stratum times
2p + 2 numbers), a few batches, and with clusters eight bytes for each.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from joblib import effective_n_jobs
from numpy.typing import NDArray
from tqdm import tqdm

from churnsurv.data.encoder import DesignEncoder
from churnsurv.estimators.cox_checks import (
    refuse_too_few_events,
    refuse_unidentified,
    report_end,
    warn_of_empty_strata,
    warn_of_few_clusters,
)
from churnsurv.estimators.cox_fit import Fit, Sandwich, as_fit
from churnsurv.estimators.cox_rows import Prepared
from churnsurv.estimators.stream_design import BatchDesign, design_of, fitted_encoder
from churnsurv.estimators.stream_layout import FirstPass, Layout
from churnsurv.estimators.stream_roles import Roles, read_roles
from churnsurv.estimators.stream_source import Source, keys_of
from churnsurv.exceptions import DataError, MissingDataWarning, NoEventsError
from churnsurv.kernels.buckets import located
from churnsurv.kernels.cox import ScoreArg, Shard, cluster_scores
from churnsurv.kernels.cox_rows import Moments, merged_moments, moments, standardised_rows
from churnsurv.kernels.newton import NewtonResult, Problem, State, maximise
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Missing

__all__ = ["Passes", "Settings", "Streamed", "fit_batches", "read_roles"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: score residuals summed by cluster are held for so many numbers at a time (128 MB); more clusters take more passes
MOST_SCORES = 2**24


class Streamed(NamedTuple):
    """A fit over batches, and what the model remembers beside it."""

    fit: Fit
    encoder: DesignEncoder
    layout: Layout


class Settings(NamedTuple):
    """Parameters of the model that the computation needs."""

    formula: str | None
    efron: bool
    cause: str | None
    missing: Missing
    is_sampling: bool
    max_iter: int
    tol: float


class Passes:
    """Passes over the batches of a source: read, and reduced in the order of the batches, whatever the number of threads."""

    def __init__(self, source: Source, roles: Roles, size: int, n_jobs: int | None, progress: bool) -> None:
        absent = [name for name in roles.needed() if name not in source.names]
        if absent:
            raise DataError(f"No column {absent[0]!r} in the source; its columns are {first_of(source.names, 12)}.")
        if n_jobs is not None and (not isinstance(n_jobs, int) or n_jobs == 0):
            raise DataError(f"n_jobs={n_jobs!r}: give a number of threads, -1 for all, or None.")
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise DataError(f"batch_size={size!r} is no number of rows: give 1 or more.")
        self.source, self.columns, self.size = source, roles.needed(), size
        self.n_jobs, self.progress, self.n_passes = effective_n_jobs(n_jobs or 1), progress, 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read all batches once."""
        self.n_passes += 1
        try:
            with tqdm(desc=f"pass {self.n_passes}", unit=" rows", leave=False, disable=not self.progress) as bar:
                for batch in self.source.read(self.columns, self.size):
                    if batch.num_rows:
                        yield batch
                        bar.update(batch.num_rows)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"The source cannot be read: {str(error).splitlines()[0]}") from error

    def reduced(self, work: Callable[[pa.RecordBatch], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Give the sums over the batches of what `work` gives."""
        total: list[Any] | None = None
        for parts in self._worked(work):
            total = list(parts) if total is None else [_added(a, b) for a, b in zip(total, parts, strict=True)]
        if total is None:
            raise DataError("The source has no rows any more: it must give the same rows at every pass.")
        return tuple(total)

    def _worked(self, work: Callable[[pa.RecordBatch], tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        if self.n_jobs == 1:
            yield from map(work, self.batches())
            return
        with ThreadPoolExecutor(self.n_jobs) as pool:
            waiting: deque[Future[tuple[Any, ...]]] = deque()
            for batch in self.batches():
                waiting.append(pool.submit(work, batch))
                if len(waiting) > self.n_jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def _added(total: Any, part: Any) -> Any:
    if isinstance(total, np.ndarray):
        total += part
        return total
    return total + part


class Rows(NamedTuple):
    """How the rows of a batch become a shard of the kernel."""

    first_pass: FirstPass
    layout: Layout
    design: BatchDesign
    center: Floats
    scale: Floats

    def shard(self, batch: pa.RecordBatch) -> tuple[Shard, NDArray[np.bool_]]:
        """Give a shard, and which rows of the batch it holds."""
        layout, piece = self.layout, self.first_pass.read(batch, learn=False)
        stop, start = layout.snapped(piece.stop), None if piece.start is None else layout.snapped(piece.start)
        if start is not None and np.any(start >= stop):
            raise DataError("In some rows start and stop differ by rounding alone. Leave such rows out.")
        stratum = None if piece.stratum is None else layout.stratum_of[piece.stratum]
        event = piece.code == self.first_pass.modelled()
        first, last, death = located(layout.grid, start, stop, event, stratum)
        design = self.design(batch, piece.kept)
        x = standardised_rows(design, self.center, self.scale)
        offset = np.zeros(len(x)) if piece.offset is None else piece.offset - layout.offset_center
        return Shard(x, first, last, death, piece.weight / layout.mean_weight, offset), piece.kept


def fit_batches(passes: Passes, roles: Roles, settings: Settings, stacklevel: int) -> Streamed:
    """Maximise the partial likelihood over the batches."""
    first_pass, encoder, found = _first_pass(passes, roles, settings)
    by_subject = settings.is_sampling and bool(roles.subject)
    layout = first_pass.finished(by_subject, stacklevel + 1)
    if layout.n_dropped:
        warnings.warn(
            f"{counted(layout.n_dropped, 'row')} of {layout.n_rows + layout.n_dropped:,} dropped: a covariate is missing.",
            MissingDataWarning,
            stacklevel=stacklevel + 1,
        )
    if layout.n_events == 0 or not len(layout.grid.times):
        raise NoEventsError(f"No event among {counted(layout.n_rows, 'row')}: there is nothing to estimate.")
    design = design_of(encoder, first_pass.levels)
    if found is None:
        found = _design_moments(passes, first_pass, design)
    if found.n != layout.n_rows:
        raise DataError("The source gave other rows at the second pass than at the first; it must give the same ones.")
    data = _prepared(
        passes, Rows(first_pass, layout, design, found.mean, _scale_of(found, encoder.terms_)), found, settings
    )
    refuse_too_few_events(data.n_events, len(data.scale))
    names = encoder.terms_
    result = maximise(
        data.problem, settings.max_iter, settings.tol, lambda matrix, state: refuse_unidentified(matrix, state, names)
    )
    report_end(result, data, names, settings.max_iter, stacklevel + 1)
    warn_of_empty_strata(layout.empty_strata, stacklevel + 1)
    is_robust = settings.is_sampling or bool(roles.cluster)
    inverse = np.asarray(np.linalg.inv(result.information), dtype=np.float64)
    sandwich = Sandwich(inverse / data.factor, None, len(names))
    if is_robust:
        rows = Rows(first_pass, layout, design, data.center, data.scale)
        sandwich = _sandwich(passes, rows, roles.cluster or ([roles.subject] if roles.subject else []), result, inverse)
        warn_of_few_clusters(sandwich.rank, len(names), stacklevel + 1)
    fit = as_fit(
        result, data, sandwich, is_robust, layout.strata_labels, layout.first, layout.last, settings.is_sampling
    )
    return Streamed(fit, encoder, layout)


def _first_pass(passes: Passes, roles: Roles, settings: Settings) -> tuple[FirstPass, DesignEncoder, Moments | None]:
    """Check all batches; without categories the encoder is known early, and the columns' moments come along."""
    first_pass: FirstPass | None = None
    encoder: DesignEncoder | None = None
    sample: pd.DataFrame | None = None
    found: Moments | None = None
    categorical: list[str] = []
    for number, batch in enumerate(passes.batches(), start=1):
        if first_pass is None:
            categorical = categorical_columns(batch, roles.covariates, settings.formula)
            first_pass = FirstPass(roles, settings.missing, categorical, passes.source.categories, settings.cause)
        piece = first_pass.add(batch, number)
        if sample is None and piece.kept.any():
            sample = batch.select(roles.covariates).slice(0, 4000).to_pandas()[piece.kept[:4000]].head(2000)
            sample = sample if len(sample) else batch.select(roles.covariates).to_pandas()[piece.kept].head(2000)
            if not categorical:
                encoder = fitted_encoder(settings.formula, sample, {})
        if encoder is not None and piece.kept.any():
            part = moments(design_of(encoder, {})(batch, piece.kept))
            found = part if found is None else merged_moments(found, part)
    if first_pass is None or sample is None:
        raise DataError(
            "The source has 0 rows to use: there is nothing to analyse. Was everything filtered out before?"
        )
    if encoder is None:
        encoder = fitted_encoder(settings.formula, sample, first_pass.levels)
    return first_pass, encoder, found


def categorical_columns(batch: pa.RecordBatch, covariates: list[str], formula: str | None) -> list[str]:
    """Give the covariates that are text, or that the formula takes as categories."""
    from churnsurv.data.formulas import column_of, expressions_of

    named = []
    if formula is not None:
        named = [column_of(e) for e in expressions_of(formula.strip().removeprefix("~")) if e.startswith("C(")]
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    return [c for c in covariates if c in named or any(test(batch.column(c).type) for test in text)]


def _design_moments(passes: Passes, first_pass: FirstPass, design: BatchDesign) -> Moments:
    found: Moments | None = None
    for batch in passes.batches():
        kept = first_pass.read(batch, learn=False).kept
        if kept.any():
            part = moments(design(batch, kept))
            found = part if found is None else merged_moments(found, part)
    if found is None:
        raise DataError("The source has no rows any more: it must give the same rows at every pass.")
    return found


def _scale_of(found: Moments, terms: list[str]) -> Floats:
    scale = np.sqrt(np.maximum(found.square, 0.0) / found.n)
    constant = np.flatnonzero(scale <= 1e-14 * np.abs(found.mean))
    if len(constant):
        raise DataError(
            f"Column {first_of([repr(terms[j]) for j in constant])} is constant: it cannot explain who leaves. Leave it out."
        )
    return np.asarray(scale)


def _prepared(passes: Passes, rows: Rows, found: Moments, settings: Settings) -> Prepared:
    layout, scale = rows.layout, rows.scale

    def mr(kernel: Callable[[Shard, Any], tuple[Any, ...]], arg: Any) -> tuple[Any, ...]:
        def work(batch: pa.RecordBatch) -> tuple[Any, ...]:
            shard, _ = rows.shard(batch)
            return (len(shard.x), *kernel(shard, arg))

        n, *sums = passes.reduced(work)
        if n != layout.n_rows:
            raise DataError(
                f"Pass {passes.n_passes} read {counted(n, 'row')}, the first one {layout.n_rows:,}: the source must give the "
                "same rows each time."
            )
        return tuple(sums)

    low, high = (found.low - found.mean) / scale, (found.high - found.mean) / scale
    longest = float(np.linalg.norm(np.maximum(np.abs(low), np.abs(high))))
    buckets, p = layout.grid.buckets, len(scale)
    problem = Problem(mr, buckets, settings.efron, p, longest, layout.offset_bound, high - low)
    none = np.empty(0, dtype=np.int32)
    no_rows = Shard(np.empty((0, p)), none, none, none, np.empty(0), np.empty(0))
    return Prepared(
        shard=no_rows,
        buckets=buckets,
        problem=problem,
        center=found.mean,
        scale=scale,
        factor=layout.mean_weight,
        offset_center=layout.offset_center,
        n_events=layout.n_events,
        n_strata=len(buckets.begin) - 1,
    )


def _sandwich(passes: Passes, rows: Rows, columns: list[str], result: NewtonResult, inverse: Floats) -> Sandwich:
    """Give the sandwich by cluster, wherever the rows of a cluster lie; without `columns` each row is its own cluster."""
    p, keys = len(inverse), rows.layout.keys
    if keys is not None and len(keys) < 2:
        raise DataError("All rows are of one cluster: a variance between clusters needs at least two, better forty.")
    at_block = max(1, MOST_SCORES // (2 * p))
    blocks = [None] if keys is None else [keys[b : b + at_block] for b in range(0, len(keys), at_block)]
    meat, null_meat, total, rank = np.zeros((p, p)), np.zeros((p, p)), np.zeros(p), p
    for block in blocks:
        if block is None:
            part, null_part, null_total = passes.reduced(lambda batch: _row_products(rows, batch, result))
        else:
            of_block = partial(_block_scores, rows, result=result, columns=columns, block=block)
            scores, null_scores = passes.reduced(of_block)
            part, null_part, null_total = scores.T @ scores, null_scores.T @ null_scores, null_scores.sum(axis=0)
            if keys is not None and len(keys) <= 2 * p + 2:
                residual = scores @ inverse
                rank = int(np.linalg.matrix_rank(residual, tol=1e-8 * np.abs(residual).max()))
        meat, null_meat, total = meat + part, null_meat + null_part, total + null_total
    statistic = float(total @ np.linalg.lstsq(null_meat, total, rcond=None)[0])
    return Sandwich(inverse @ meat @ inverse, statistic, rank)


def _scores(rows: Rows, shard: Shard, state: State, codes: Codes, n_codes: int) -> Floats:
    arg = ScoreArg(state.beta, state.shift, rows.layout.grid.buckets, state.sums, state.terms, codes, n_codes)
    return cluster_scores(shard, arg)[0]


def _row_products(rows: Rows, batch: pa.RecordBatch, result: NewtonResult) -> tuple[Floats, Floats, Floats]:
    shard, _ = rows.shard(batch)
    codes = np.arange(len(shard.x))
    at_end, at_null = (_scores(rows, shard, state, codes, len(codes)) for state in (result.state, result.null))
    return at_end.T @ at_end, at_null.T @ at_null, at_null.sum(axis=0)


def _block_scores(
    rows: Rows, batch: pa.RecordBatch, result: NewtonResult, columns: list[str], block: Codes
) -> tuple[Floats, Floats]:
    """Sum the score residuals of the clusters of a block of keys (sorted)."""
    shard, kept = rows.shard(batch)
    keys = keys_of(batch, columns)[kept]
    place = np.minimum(np.searchsorted(block, keys), len(block) - 1)
    mine = np.flatnonzero(block[place] == keys)
    x, first, last, death, weight, offset = (part[mine] for part in shard)
    chosen = Shard(x, first, last, death, weight, offset)  # type: ignore[arg-type]
    return tuple(_scores(rows, chosen, state, place[mine], len(block)) for state in (result.state, result.null))  # type: ignore[return-value]

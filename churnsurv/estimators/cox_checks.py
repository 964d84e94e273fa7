"""What a Cox fit refuses or warns of: columns that are not identified, a likelihood without maximum, thin strata."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from churnsurv.estimators.cox_rows import Prepared, Rows
from churnsurv.exceptions import (
    CollinearityError,
    ConvergenceError,
    DataError,
    SeparationWarning,
    SmallSampleWarning,
    TooFewEventsError,
)
from churnsurv.kernels.cox import Buckets
from churnsurv.kernels.cox_rows import indicator_counts
from churnsurv.kernels.newton import NewtonResult, State
from churnsurv.messages import counted, first_of

Floats = NDArray[np.float64]

#: a column whose variance within the risk sets is below this share of its variance is taken for constant there,
#: or for a combination of others if so little of it is its own
NO_VARIANCE = 1e-10


def refuse_unidentified(matrix: Floats, null: State, terms: list[str]) -> None:
    """Refuse columns without variance within the risk sets, and exact combinations of others, naming them.

    Works on the information at β = 0, the sum over deaths of the covariates' covariance within their risk sets, by a
    Cholesky factorisation in the order of the columns: a pivot near zero means nothing of the column is its own.
    """
    if not (np.isfinite(null.log_likelihood) and np.isfinite(matrix).all()):
        raise DataError(
            "The offset differs by so much between rows at risk together that hazards of some are e^700 times those of others, "
            "which no double holds. Is it on the scale of the logarithm of the hazard?"
        )
    refuse_combinations(matrix, float(null.sums.death_weight.sum()), terms)


def refuse_combinations(matrix: Floats, events: float, terms: list[str]) -> None:
    """Refuse what :func:`refuse_unidentified` does, by the information at β = 0 and the weight of the events."""
    variance = np.diag(matrix) / events
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


def report_end(result: NewtonResult, data: Prepared, names: list[str], max_iter: int, stacklevel: int) -> None:
    """Warn of a likelihood without maximum, naming its columns; raise when the iterations just ended."""
    if result.converged:
        return
    if result.monotone is None:
        raise ConvergenceError(
            f"The partial likelihood was not maximised in {counted(max_iter, 'iteration')}. Look for outliers in the "
            "covariates, or raise max_iter."
        )
    columns = result.monotone
    standardised = [(value - data.center[columns]) / data.scale[columns] for value in (0.0, 1.0)]
    ones, events, others = data.problem.mr(indicator_counts, (columns, *standardised))
    parts = [
        f"{names[j]}: {counted(int(events[k]), 'event')} of {int(ones[k]):,}"
        for k, j in enumerate(columns)
        if others[k] == 0
    ]
    detail = f" ({'; '.join(parts)})" if parts else ""
    together = "" if len(columns) == 1 else ", alone or in combination"
    warnings.warn(
        f"The likelihood is monotone in {first_of([repr(names[j]) for j in columns])}{together}{detail}: the estimate is "
        "infinite, and so the number given is only where the iterations stopped. The likelihood-ratio test is valid, Wald's "
        "is not. CoxPH(penalty='firth') gives finite estimates and intervals; or merge the level with another, or leave the "
        "column out.",
        SeparationWarning,
        stacklevel=stacklevel + 1,
    )


def empty_strata(rows: Rows, buckets: Buckets) -> list[str]:
    """Describe the strata without events."""
    if rows.strata_labels is None or rows.strata is None:
        return []
    sizes = np.bincount(rows.strata, minlength=len(rows.strata_labels))
    return [f"{rows.strata_labels[s]}: 0 events of {sizes[s]:,}" for s in np.flatnonzero(np.diff(buckets.begin) == 0)]


def warn_of_empty_strata(empty: list[str], stacklevel: int) -> None:
    """Warn of strata without events: they add nothing to the fit and have no hazard."""
    if empty:
        warnings.warn(
            f"Strata without events ({first_of(empty)}): their baseline hazard is estimated as 0, so that nobody is "
            "predicted to leave there. Merge them with others.",
            SmallSampleWarning,
            stacklevel=stacklevel + 1,
        )


def refuse_too_few_events(n_events: int, n_coefficients: int) -> None:
    """Refuse fewer events than coefficients."""
    if n_events < n_coefficients:
        raise TooFewEventsError(
            f"{counted(n_events, 'event')} for {counted(n_coefficients, 'coefficient')}: estimates would not be finite. "
            "Use fewer covariates (ten events per coefficient is a common floor)."
        )


def warn_of_few_clusters(rank: int, n_coefficients: int, stacklevel: int) -> None:
    """Warn when the sandwich has fewer dimensions than there are coefficients."""
    if rank < n_coefficients:
        warnings.warn(
            f"The clusters give a covariance of rank {rank} for {n_coefficients} coefficients: joint tests are not possible, "
            "and with few clusters intervals are too narrow. Use more, smaller clusters, or fewer covariates.",
            SmallSampleWarning,
            stacklevel=stacklevel + 1,
        )

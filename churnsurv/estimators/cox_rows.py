"""Rows of data on their way into the Cox kernel: checked, encoded, standardised, laid into buckets."""

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
from churnsurv.exceptions import DataError, MissingDataWarning, NoEventsError
from churnsurv.kernels.buckets import lay_buckets
from churnsurv.kernels.cox import Buckets, Shard, one_shard
from churnsurv.kernels.cox_rows import centred_moments, row_bounds, standardised_rows
from churnsurv.kernels.newton import Problem
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Missing, Outcome

Floats = NDArray[np.float64]


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
    #: rows of the input that are kept (n,); None: all of them
    kept: NDArray[np.bool_] | None = None

    def cut(self, values: NDArray[Any]) -> NDArray[Any]:
        """Give the values of the rows that are kept, of values of all rows of the input."""
        return values if self.kept is None else values[self.kept]


class Prepared(NamedTuple):
    """Rows as the kernel takes them: covariates as (x − center) / scale, weights of mean 1 (times `factor`: as given)."""

    shard: Shard
    buckets: Buckets
    problem: Problem
    center: Floats
    scale: Floats
    factor: float
    offset_center: float
    n_events: int
    n_strata: int


def read_rows(
    frame: pd.DataFrame,
    outcome: Outcome,
    arguments: Mapping[str, RowArgument],
    formula: str | DesignEncoder | None,
    missing: Missing,
    cause: str,
    stacklevel: int = 3,
) -> Rows:
    """Check and encode the input; rows with missing covariates are refused or dropped.

    A fitted encoder in the place of the formula encodes as in the fit it belongs to.
    """
    check_rows(frame, outcome)
    named = [c for value in arguments.values() for c in columns_named(value, frame)]
    # a formula says itself which columns are covariates: C(region) beside cluster="region" is one
    by_name = (formula.formula_ if isinstance(formula, DesignEncoder) else formula) is None
    covariates = frame.drop(columns=named) if named and by_name else frame
    strata = codes_argument(arguments["strata"], frame, "strata")
    cluster = codes_argument(arguments["cluster"], frame, "cluster")
    weight = weights_argument(arguments["sample_weight"], frame)
    offset = offset_argument(arguments["offset"], frame)
    encoder = formula if isinstance(formula, DesignEncoder) else DesignEncoder(formula).fit(covariates)
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
            warnings.warn(f"{dropped} of {len(kept):,} dropped: {report}.", MissingDataWarning, stacklevel=stacklevel)
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
        kept if isinstance(kept, np.ndarray) else None,
    )


def prepared(
    rows: Rows, efron: bool, center: Floats | None = None, scale: Floats | None = None, x: Floats | None = None
) -> Prepared:
    """Standardise rows and lay them into buckets; with `center` and `scale` given, by these; `x` is the design so treated."""
    # a common factor of the weights changes no estimate: with mean 1 they suit the tolerances
    factor = 1.0 if rows.weight is None else float(rows.weight[rows.weight > 0].mean())
    weight = np.ones(len(rows.design)) if rows.weight is None else rows.weight / factor
    n_strata = 1 if rows.strata_labels is None else len(rows.strata_labels)
    entry = None if rows.outcome.from_origin else rows.outcome.start
    buckets, first, last, death = lay_buckets(entry, rows.outcome.stop, rows.event, rows.strata, n_strata)
    if center is None or scale is None:
        center, scale = location_and_scale(rows.design, (first < last) & (weight > 0), rows.encoder.terms_)
    x = standardised_rows(rows.design, center, scale) if x is None else x
    offset_center = 0.0 if rows.offset is None else float(rows.offset.mean())
    offset = np.zeros(len(x)) if rows.offset is None else rows.offset - offset_center
    shard = Shard(x, first, last, death, weight, offset)
    problem = Problem(one_shard(shard), buckets, efron, x.shape[1], *row_bounds(shard))
    n_events = int(np.count_nonzero(rows.event & (weight > 0)))
    return Prepared(shard, buckets, problem, center, scale, factor, offset_center, n_events, n_strata)


def location_and_scale(design: Floats, used: NDArray[np.bool_], terms: list[str]) -> tuple[Floats, Floats]:
    """Give means and standard deviations of the columns over the rows at risk at some event; constant columns are refused.

    Coefficients are invariant to it, and covariates of any unit then suit the same tolerances. Rows that are at risk at no
    event could hold anything, and have no say.
    """
    center = design.mean(axis=0)
    shift, mean_square = centred_moments(design, center, used)
    scale = np.sqrt(mean_square)
    # the mean of the differences is the rounding error of the first mean (columns such as 1e12 + 1e9 z), or comes of rows
    # that are not used
    if np.any(np.abs(shift) > 1e-12 * scale):
        center = center + shift
        _, mean_square = centred_moments(design, center, used)
        scale = np.sqrt(mean_square)
    constant = np.flatnonzero(scale <= 1e-14 * np.abs(center))
    if len(constant):
        raise DataError(
            f"Column {first_of([repr(terms[j]) for j in constant])} is constant: it cannot explain who leaves. "
            "Leave it out."
        )
    return center, scale

"""The design matrix of a batch: the encoding is fixed before, from levels and a sample of rows, and must not need more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from churnsurv.data.encoder import DesignEncoder
from churnsurv.data.features import refuse_text_that_is_no_category
from churnsurv.estimators.stream_source import Levels, numbers
from churnsurv.exceptions import DataError

Floats = NDArray[np.float64]
#: gives the design of the kept rows of a batch
BatchDesign = Callable[[pa.RecordBatch, NDArray[np.bool_]], Floats]


def fitted_encoder(formula: str | None, sample: pd.DataFrame, levels: Mapping[str, Levels]) -> DesignEncoder:
    """Fit the encoder to rows that stand in for all: numbers of the sample, every level of each category.

    Raises
    ------
    DataError
        A transform depends on all rows (knots at quantiles, centring): a sample would give another one.
    """
    frame = _stand_in(sample, levels)
    encoder = DesignEncoder(formula).fit(frame)
    if encoder.transform_state_:
        other = DesignEncoder(formula).fit(_lower_half(frame, levels))
        for name, state in encoder.transform_state_.items():
            if repr(state) != repr(other.transform_state_.get(name)):
                raise DataError(
                    f"{name} learns from all rows (knots at quantiles, means), which a fit from batches does not hold. Give "
                    "bs() its knots and bounds, e.g. bs(x, knots=[6, 12, 24], lower_bound=0, upper_bound=60), make the "
                    "term a column of the source, or fit in memory."
                )
    return encoder


def _stand_in(sample: pd.DataFrame, levels: Mapping[str, Levels]) -> pd.DataFrame:
    values = {name: known.values() for name, known in levels.items()}
    n = max([len(sample), *(3 * len(v) for v in values.values())])
    frame = sample.iloc[np.arange(n) % len(sample)].reset_index(drop=True)
    for name, known in values.items():
        column = pd.Series([known[i % len(known)] for i in range(n)])
        if levels[name].is_dictionary:
            column = column.astype(pd.CategoricalDtype(known))
        elif column.dtype == object:
            refuse_text_that_is_no_category(column, known, name)
        frame[name] = column
    return frame


def _lower_half(frame: pd.DataFrame, levels: Mapping[str, Levels]) -> pd.DataFrame:
    """Give rows of which every column of numbers has its smaller values only: what is learnt from them differs."""
    out = frame.copy()
    for name in frame.columns:
        if name not in levels:
            values = np.sort(frame[name].to_numpy())
            out[name] = values[np.arange(len(values)) % max(1, len(values) // 2)]
    return out


def design_of(encoder: DesignEncoder, levels: Mapping[str, Levels]) -> BatchDesign:
    """Give how a batch is encoded: column by column where the encoder has no formula, else by the encoder."""

    def by_formula(batch: pa.RecordBatch, kept: NDArray[np.bool_]) -> Floats:
        frame = batch.select(encoder.columns_).to_pandas()
        return _finite(encoder.design(frame if kept.all() else frame[kept]), encoder.terms_)

    def by_column(batch: pa.RecordBatch, kept: NDArray[np.bool_]) -> Floats:
        design = np.empty((batch.num_rows, len(encoder.terms_)), order="F")
        position = 0
        for name in encoder.columns_:
            if name not in encoder.levels_:
                design[:, position] = numbers(batch.column(name), name)
                position += 1
                continue
            place = levels[name].positions(encoder.levels_[name])
            codes = place[levels[name].codes(batch.column(name), learn=False)]
            for code in range(1, len(encoder.levels_[name])):
                np.equal(codes, code, out=design[:, position], casting="unsafe")
                position += 1
        return _finite(design if kept.all() else design[kept], encoder.terms_)

    return by_column if encoder.formula_ is None else by_formula


def _finite(design: Floats, terms: list[str]) -> Floats:
    sums: Any = design.sum(axis=0)
    for j in np.flatnonzero(~np.isfinite(sums)):
        bad = np.count_nonzero(~np.isfinite(design[:, j]))
        if bad:
            raise DataError(
                f"Column {terms[j]!r} is infinite or no number in {bad:,} rows of a batch. Correct them in the source."
            )
    return design

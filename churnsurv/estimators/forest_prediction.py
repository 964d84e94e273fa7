"""What a forest answers: state probabilities and mortality of new rows, and of training rows out of their bags."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves, check_size, within_support
from churnsurv.data.features import feature_frame
from churnsurv.estimators.forest_fit import TREE_ARRAYS
from churnsurv.estimators.forest_inputs import numeric_columns
from churnsurv.estimators.forest_rows import binned
from churnsurv.estimators.inputs import requested_start, requested_times
from churnsurv.exceptions import DataError, SmallSampleWarning
from churnsurv.kernels.forest_curves import forest_curves
from churnsurv.kernels.times import steps_until
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]

#: rows that one call of the prediction kernel takes
CHUNK = 2_000


class ForestPrediction:
    """Predictions of a fitted :class:`churnsurv.RandomSurvivalForest`, which inherits them."""

    n_jobs: int | None
    causes_: list[str]
    columns_: list[str]
    levels_: dict[str, list[Any]]
    missing_columns_: list[str]
    feature_names_in_: NDArray[np.object_]
    event_times_: Floats
    bin_edges_: list[Floats]
    trees_: dict[str, NDArray[Any]]
    portfolio_hazard_: Floats
    portfolio_at_risk_: Floats
    first_entry_: float
    last_: float

    def predict_curves(
        self, X: pd.DataFrame | ArrayLike, times: ArrayLike | None = None, *, start: ArrayLike | None = None
    ) -> Curves:
        """Predict the probabilities of staying and of leaving by each cause.

        Parameters
        ----------
        X : frame or array
            Covariates. Columns are found by name, in arrays without names by place. A missing value goes where those of
            the fit went; in a column that had none then (not in ``missing_columns_``) it gives NaN for its row.
        times : array, optional
            Default: the event times of the fit.
        start : number or array of n, optional
            Current age: probabilities are conditional on being a customer then. Default: 0, or with entry times in the
            fit the first age at which anyone was under observation.

        Raises
        ------
        NotIdentifiedError
            `start` lies before the first age at which anyone was under observation in the fit.
        """
        check_is_fitted(self)
        frame = feature_frame(X, names=self.feature_names_in_)
        grid = requested_times(times, self.event_times_)
        check_size(len(frame), 1 + len(self.causes_), len(grid), asked=times is not None)
        numbers = numeric_columns(frame, self.columns_, self.levels_)
        origin = requested_start(start, len(frame), np.full(len(frame), self.first_entry_))
        probability, _ = self._answers(numbers, grid, None if start is None else origin)
        last = np.full(len(frame), self.last_)
        curves = Curves(grid, probability, origin, last, tuple(self.causes_), frame.index)
        return within_support(curves, times is not None, self.event_times_, stacklevel=2)

    def predict(self, X: pd.DataFrame | ArrayLike, *, cause: str | None = None) -> Floats:
        """Give the ensemble mortality of each row; higher leaves sooner.

        The number of events of the cause that would be expected in the training sample, with its times under
        observation, if all its customers had the hazard of the row (Ishwaran et al. 2008). NaN where a value is missing that never was in the fit.

        Parameters
        ----------
        X : frame or array
            Covariates.
        cause : str, optional
            Required when there are several.
        """
        check_is_fitted(self)
        if cause is None and len(self.causes_) > 1:
            raise DataError(f"Name the cause: one of {list(self.causes_)}.")
        if cause is not None and cause not in self.causes_:
            raise DataError(f"Cause {cause!r} is unknown; the forest has {list(self.causes_)}.")
        frame = feature_frame(X, names=self.feature_names_in_)
        _, mortality = self._answers(numeric_columns(frame, self.columns_, self.levels_), np.empty(0), None)
        return mortality[:, 0 if cause is None else self.causes_.index(cause)]

    def _answers(
        self,
        numbers: Floats,
        times: Floats,
        start: Floats | None,
        drawn: NDArray[np.uint8] | None = None,
        unit: NDArray[np.int32] | None = None,
    ) -> tuple[Floats, Floats]:
        """Give state probabilities (n, 1 + K, m) at `times` and mortality (n, K), by threads over chunks of rows."""
        n, n_causes = len(numbers), len(self.causes_)
        known = [f for f, column in enumerate(self.columns_) if column not in self.missing_columns_]
        missing = np.isnan(numbers[:, known]).any(axis=1)
        codes = binned(numbers, self.bin_edges_)
        pick = steps_until(self.event_times_, times) - 1
        begin = np.zeros(n, np.int64) if start is None else steps_until(self.event_times_, start)
        unit = np.zeros(n, np.int32) if unit is None else unit
        drawn = np.zeros((0, 0), np.uint8) if drawn is None else drawn
        probability, mortality = np.empty((n, 1 + n_causes, len(times))), np.empty((n, n_causes))
        trees = [self.trees_[name] for name in ("node_begin", "leaf_begin", "level_begin", *TREE_ARRAYS)]

        def fill(rows: slice) -> None:
            forest_curves(  # type: ignore[call-arg]
                np.ascontiguousarray(codes[:, rows]), *trees, drawn, unit[rows], self.portfolio_hazard_,
                self.portfolio_at_risk_, begin[rows], pick, probability[rows], mortality[rows],
            )  # fmt: skip

        size = max(1, min(CHUNK, -(-n // effective_n_jobs(self.n_jobs))))
        chunks = [slice(at, at + size) for at in range(0, n, size)]
        Parallel(n_jobs=self.n_jobs, prefer="threads")(delayed(fill)(rows) for rows in chunks)
        probability[missing], mortality[missing] = np.nan, np.nan
        return probability, mortality

    def _out_of_bag(
        self, numbers: Floats, y: Outcome, index: pd.Index, drawn: NDArray[np.uint8], unit: NDArray[np.int32]
    ) -> Curves:
        # rows of weight 0 may enter before anyone else, where nothing is known
        origin = np.maximum(y.start, self.first_entry_)
        probability, _ = self._answers(numbers, self.event_times_, None if y.from_origin else origin, drawn, unit)
        always = np.flatnonzero(np.isnan(probability[:, 0, 0]))
        if len(always):
            warnings.warn(
                f"Every tree drew the subject of {counted(len(always), 'row')} (row {first_of(always)}): no out-of-bag "
                "curve there (NaN). Grow more trees.",
                SmallSampleWarning,
                stacklevel=3,
            )
        last = np.full(len(y), self.last_)
        return Curves(self.event_times_, probability, origin, last, tuple(self.causes_), index)

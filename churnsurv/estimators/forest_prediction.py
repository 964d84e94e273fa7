"""What a forest answers: state probabilities and mortality of new rows, and of training rows out of their bags."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves, check_size, within_support
from churnsurv.data.features import feature_frame
from churnsurv.estimators.forest_fit import TREE_ARRAYS
from churnsurv.estimators.forest_inputs import check_n_jobs, numeric_columns
from churnsurv.estimators.forest_intervals import with_bounds
from churnsurv.estimators.forest_oob import ForestOutOfBag
from churnsurv.estimators.forest_paths import predicted_paths, standing, unanswered
from churnsurv.estimators.forest_rows import binned
from churnsurv.estimators.inputs import RowArgument, requested_start, requested_times
from churnsurv.exceptions import DataError
from churnsurv.kernels.forest_curves import forest_curves
from churnsurv.kernels.times import steps_until

Floats = NDArray[np.float64]

#: rows that one call of the prediction kernel takes
CHUNK = 2_000


class ForestPrediction(ForestOutOfBag):
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
    seeds_: NDArray[np.int64]
    n_drawn_: int | None
    n_drawn_from_: int

    def predict_curves(
        self,
        X: pd.DataFrame | ArrayLike,
        times: ArrayLike | None = None,
        *,
        start: ArrayLike | None = None,
        level: float | None = None,
    ) -> Curves:
        """Predict the probabilities of staying and of leaving by each cause.

        Memory beyond the answer, of rows x states x `times`, does not grow with the event times of the fit: a million rows
        at a few horizons are one call.

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
        level : float, optional
            Adds standard errors ``se`` and pointwise bounds ``lower`` and ``upper`` of this level, by the infinitesimal
            jackknife for bagging, corrected for the finite number of trees (Efron 2014; Wager, Hastie and Efron 2014), for
            trees' pooled counts linearised. They tell how the forest would differ with other customers and another
            seed, and so cover **the expectation of the forest's estimate**; its bias (smoothing over neighbours) they know
            nothing of. Subjects count as independent, whatever their weights. Bounds are made on the log(−log) scale of
            staying and its complement of leaving; where no neighbour left by a cause they are NaN. Good standard errors need
            many more trees than good curves: of the order of 1,000, more with more customers, fewer with `max_samples`
            below 1. A number takes B² operations, so ask for few times.

        Warns
        -----
        SmallSampleWarning
            The trees are too few for the standard errors; tells about how many would do.

        Raises
        ------
        NotIdentifiedError
            `start` lies before the first age at which anyone was under observation in the fit; `level` of a forest without
            bootstrap.
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
        if level is not None:
            begin = np.zeros(len(frame), np.int64) if start is None else steps_until(self.event_times_, origin)
            pieces = standing(numbers, begin, len(self.event_times_))
            curves = with_bounds(self, curves, pieces, level, stacklevel=2)
        return within_support(curves, times is not None, self.event_times_, stacklevel=2)

    def predict_path(
        self,
        X: pd.DataFrame | ArrayLike,
        start: RowArgument,
        stop: RowArgument,
        subject: RowArgument,
        times: ArrayLike | None = None,
        *,
        level: float | None = None,
    ) -> Curves:
        """Predict curves along a path of covariates, such as a scenario of rates.

        At each event time the pooled hazards of the covariates that hold then apply, and Aalen–Johansen runs through them.
        The path must be known whatever the customer does (external covariates, or a scenario that is set): along a path of
        complaints or arrears the result is no probability of anything.

        Parameters
        ----------
        X : frame or array
            Covariates of the pieces of all paths, in any order.
        start, stop, subject : array of n, or name of a column of X
            The covariates of a row hold over (start, stop] of its subject. Each row starts where the one before ends.
        times : array, optional
            Default: the event times of the fit up to the end of the longest path.
        level : float, optional
            As in :meth:`predict_curves`.

        Returns
        -------
        Curves
            One row per subject, conditional on being a customer at the start of its path; NaN past its end, and after the
            start of a piece with a missing value.

        Raises
        ------
        DataError
            A path with gaps or overlaps, or a row that ends before it starts.
        NotIdentifiedError
            A path that starts before the first age at which anyone was under observation in the fit.

        Examples
        --------
        >>> import churnsurv as cs, numpy as np, pandas as pd
        >>> rate = np.tile([0.0, 1.0], 200)
        >>> months = np.ceil(np.random.default_rng(0).exponential(30 / np.exp(rate)))
        >>> y = cs.Outcome(np.minimum(months, 24), months <= 24)
        >>> forest = cs.RandomSurvivalForest(20, random_state=0).fit(pd.DataFrame({"rate": rate}), y)
        >>> path = pd.DataFrame({"rate": [0.0, 1.0], "start": [0, 6], "stop": [6, 12], "loan": ["a", "a"]})
        >>> curves = forest.predict_path(path, "start", "stop", "loan", times=[6, 12])
        >>> apart = forest.predict_curves(path, times=[6, 12], start=path["start"])
        >>> bool(np.isclose(curves.survival[0, 1], apart.survival[0, 0] * apart.survival[1, 1]))
        True
        """
        check_is_fitted(self)
        bounds = None if level is None else partial(with_bounds, self, level=level, stacklevel=3)
        return predicted_paths(self, X, start, stop, subject, times, bounds)

    def predict(self, X: pd.DataFrame | ArrayLike, *, cause: str | None = None) -> Floats:
        """Give the ensemble mortality of each row; higher leaves sooner.

        The number of events of the cause that would be expected in the training sample, with its times under
        observation, if all its customers had the hazard of the row (Ishwaran et al. 2008). NaN where a value is missing in
        a column that had none missing in the fit.

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
        check_n_jobs(self.n_jobs)
        n, n_causes = len(numbers), len(self.causes_)
        missing = unanswered(self, numbers)
        pick = steps_until(self.event_times_, times) - 1
        begin = np.zeros(n, np.int64) if start is None else steps_until(self.event_times_, start)
        unit = np.zeros(n, np.int32) if unit is None else unit
        drawn = np.zeros((0, 0), np.uint8) if drawn is None else drawn
        probability, mortality = np.empty((n, 1 + n_causes, len(times))), np.empty((n, n_causes))
        trees = [self.trees_[name] for name in ("node_begin", "leaf_begin", "level_begin", *TREE_ARRAYS)]

        def fill(rows: slice) -> None:
            forest_curves(  # type: ignore[call-arg]
                binned(numbers[rows], self.bin_edges_), *trees, drawn, unit[rows], self.portfolio_hazard_,
                self.portfolio_at_risk_, begin[rows], pick, probability[rows], mortality[rows],
            )  # fmt: skip

        size = max(1, min(CHUNK, -(-n // effective_n_jobs(self.n_jobs))))
        chunks = [slice(at, at + size) for at in range(0, n, size)]
        # the chunks write into shared arrays, so other backends do not serve
        Parallel(n_jobs=self.n_jobs, require="sharedmem")(delayed(fill)(rows) for rows in chunks)
        probability[missing], mortality[missing] = np.nan, np.nan
        return probability, mortality

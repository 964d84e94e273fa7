"""The bootstrap of Cox coefficients: subjects or clusters drawn again, as weights on one prepared design.

A resample is a weight per row, the number of times that its cluster was drawn, so that nothing is copied or encoded again,
and each fit starts at the estimate.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray

from churnsurv.estimators.cox_state import refuse_other_rows, require_cox, seen
from churnsurv.estimators.inputs import RowArgument
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning
from churnsurv.kernels.cox import Shard, one_shard
from churnsurv.kernels.newton import climb_from
from churnsurv.messages import confidence_level, counted
from churnsurv.outcome import Outcome
from churnsurv.rows import refuse_one_cluster

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]

#: a resample is fitted until the next step, which is still taken, is below so many standard errors
ENOUGH = 1e-7


def bootstrap_intervals(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    n_resamples: int = 200,
    level: float = 0.95,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    offset: RowArgument = None,
    random_state: int | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Give bootstrap standard errors and percentile intervals of the coefficients of a fitted Cox model.

    Subjects (with `cluster`, in the call or as a column in the fit: clusters) are drawn with replacement, all their rows
    together; they are taken for independent of each other. A row drawn twice counts as a row of twice the weight, also in
    Efron's rule for ties.

    Parameters
    ----------
    model : CoxPH
        Fitted, without a penalty.
    X, y
        The rows of the fit (the model keeps none).
    n_resamples : int
        At least 20; 200 for standard errors, 1,000 or more for intervals.
    level : float
        Confidence level; the ends are quantiles of the resampled coefficients (Efron 1979).
    strata, sample_weight, cluster, offset
        Arrays as in the fit; columns of X named in the fit are remembered.
    random_state : int, optional
        Seed; the result depends neither on `n_jobs` nor, but for rounding, on the order of a cluster's rows.
    n_jobs : int, optional
        Threads; -1: all processors.

    Returns
    -------
    DataFrame
        Index term; columns coef (of the model), se, bias (mean of the resamples less coef), lower, upper, hazard_ratio,
        hr_lower, hr_upper. Resamples without a finite estimate are left out, with a :class:`SmallSampleWarning`.

    Raises
    ------
    DataError
        Fewer than 20 resamples, one cluster only, or no resample with an estimate.
    NotIdentifiedError
        The fit is penalised.

    References
    ----------
    Efron (1979), Ann. Stat. 7.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.7, 0.4] * 20})
    >>> y = cs.Outcome(stop=[9, 2, 5, 4, 6, 3, 7, 8] * 20, event=[1, 1, 0, 1, 0, 1, 1, 1] * 20)
    >>> table = cs.bootstrap_intervals(cs.CoxPH().fit(X, y), X, y, n_resamples=50, random_state=1)
    >>> bool(table.loc["rate", "lower"] < table.loc["rate", "coef"] < table.loc["rate", "upper"])
    True
    """
    require_cox(model)
    if isinstance(n_resamples, bool) or not isinstance(n_resamples, int | np.integer) or n_resamples < 20:
        raise DataError(f"n_resamples={n_resamples!r}: give a whole number of at least 20.")
    if random_state is not None and (not isinstance(random_state, int | np.integer) or random_state < 0):
        raise DataError(f"random_state={random_state!r}: give a whole number of 0 or more, or None.")
    tail = 50 * (1 - confidence_level(level))
    at = seen(model, X, y, strata=strata, sample_weight=sample_weight, cluster=cluster, offset=offset)
    if model.penalty:
        raise NotIdentifiedError(
            "A penalised fit is biased by design, which a bootstrap would not show. Use summary() there."
        )
    refuse_other_rows(model, at)
    shard, problem, beta = at.data.shard, at.data.problem, at.state.beta
    codes = pd.factorize(at.rows.outcome.subject)[0] if at.rows.cluster is None else at.rows.cluster
    refuse_one_cluster(codes[shard.weight > 0])
    n_clusters = int(codes.max()) + 1

    def resampled(seed: np.random.SeedSequence) -> Floats | None:
        drawn = np.bincount(np.random.default_rng(seed).integers(0, n_clusters, n_clusters), minlength=n_clusters)
        times = drawn[codes]
        # a third of the clusters is not drawn
        rows = np.flatnonzero(times)
        x, first, last, death, weight, offset = shard
        drawn_rows = Shard(x[rows], first[rows], last[rows], death[rows], (weight * times)[rows], offset[rows])
        return climb_from(problem._replace(mr=one_shard(drawn_rows)), beta, model.max_iter, ENOUGH)

    with ThreadPoolExecutor(effective_n_jobs(n_jobs or 1)) as pool:
        found = list(pool.map(resampled, np.random.SeedSequence(random_state).spawn(int(n_resamples))))
    finite = [each / at.data.scale for each in found if each is not None]
    if len(finite) < n_resamples:
        lost = f"{counted(n_resamples - len(finite), 'resample')} of {n_resamples:,} without a finite estimate"
        if len(finite) < n_resamples / 2:
            raise DataError(f"{lost}: too few events or a column that nearly separates. Use CoxPH(penalty='firth').")
        warnings.warn(f"{lost}, left out: intervals are too narrow.", SmallSampleWarning, stacklevel=2)
    return _table(model, np.array(finite), tail)


def _table(model: CoxPH, resampled: Floats, tail: float) -> pd.DataFrame:
    lower, upper = np.percentile(resampled, [tail, 100 - tail], axis=0)
    coef = model.coef_.to_numpy()
    with np.errstate(over="ignore"):
        return pd.DataFrame(
            {
                "coef": coef,
                "se": resampled.std(axis=0, ddof=1),
                "bias": resampled.mean(axis=0) - coef,
                "lower": lower,
                "upper": upper,
                "hazard_ratio": np.exp(coef),
                "hr_lower": np.exp(lower),
                "hr_upper": np.exp(upper),
            },
            index=model.coef_.index,
        )

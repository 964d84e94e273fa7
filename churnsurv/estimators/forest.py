"""Random survival forest for right-censored data with delayed entry and competing causes.

Trees are grown on binned features and a grid of event times by log-rank scores (:mod:`churnsurv.kernels.forest`), and
answer by the pooled counts of their leaves (:mod:`churnsurv.kernels.forest_curves`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from churnsurv.data.features import feature_frame
from churnsurv.estimators.forest_bags import TrainingBags
from churnsurv.estimators.forest_criterion import criterion_of
from churnsurv.estimators.forest_explanation import ForestExplanation
from churnsurv.estimators.forest_fit import Growth, drawn_subjects, grow_forest, portfolio_counts
from churnsurv.estimators.forest_inputs import (
    check_oob_size,
    check_parameters,
    check_whole,
    counted_columns,
    features_per_split,
    learn_levels,
    level_offsets,
    refuse_empty,
    refuse_uncountable,
    subjects_per_tree,
)
from churnsurv.estimators.forest_memory import check_memory, fit_bytes, oob_bytes
from churnsurv.estimators.forest_prediction import ForestPrediction
from churnsurv.estimators.forest_rows import TIME_BINS, digest, training_rows
from churnsurv.estimators.inputs import (
    RowArgument,
    as_outcome,
    check_rows,
    columns_named,
    weights_argument,
)
from churnsurv.estimators.scoring import ScoredByConcordance
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]


class RandomSurvivalForest(ForestExplanation, ForestPrediction, ScoredByConcordance, BaseEstimator):  # type: ignore[misc]
    r"""Random survival forest: state probabilities from the outcomes of similar customers, without a model of their form.

    Each tree is grown on a bootstrap sample of the subjects (all rows of a subject together). A node is cut where the
    log-rank statistic is largest, over a random choice of features; with several causes the statistics
    :math:`U_k^2 / V_k` of the cause-specific log-rank tests are added, so that a covariate with opposite effects on two
    causes is found too. A row's neighbours are the training rows in its leaves; their pooled counts of events and of
    customers at risk, tree by tree, give the cause-specific hazards, and these the probabilities (Aalen–Johansen).
    Delayed entry enters the risk sets everywhere: a customer counts in a split and in a leaf only while under
    observation. Where a row has fewer than one neighbour at risk per leaf on average, they are topped up to one by the
    hazard of the whole portfolio, so that a single early exit does not decide a curve.

    The estimates are consistent when censoring and entry are independent of the time of leaving given the covariates.
    Covariates are taken as constant from the time of prediction on.

    Missing values need no filling in: a node that holds some tries them on both sides of every cut, and sends later ones
    where they scored more; a node that holds none sends them to its larger side. Unordered categories (text, unordered
    categoricals) are put in order once per tree, by the events that its sample has in each level, of those expected
    (Wright & König 2019); a level that it lacks ranks as the whole portfolio does.

    Parameters
    ----------
    n_estimators : int
        Number of trees.
    min_samples_leaf : int
        Smallest number of subjects in a leaf, counted with their weights (see :meth:`fit`) and repetitions in the
        bootstrap sample. Nodes of fewer than twice as many are not split.
    max_depth : int, optional
        Largest number of cuts above a leaf; default: no limit.
    max_features : {"sqrt", "log2"}, int, float or None
        Features tried at each node, of those that vary in it: the root or the logarithm of their number, that many, that
        share, or all.
    max_bins : int
        Largest number of cells a number is divided into, by its quantiles (at most 255). Missing values and the levels of
        unordered categories have cells of their own.
    time_bins : int, optional
        Largest number of event times kept apart. With more distinct event times in the data, events are counted at the
        next of so many quantiles of the event times. Default 512: months are never merged.
    criterion : {"logrank", "gray"}
        Score of a cut: the log-rank statistics of the cause-specific hazards, which find what moves a cause; or those of
        the subdistribution hazards (Gray 1988), which find what moves its probability. There, those who left by another
        cause stay at risk, weighted by the inverse probability of having entered and not being censored, which must not
        depend on the covariates. The same where there is one cause.
    cause : str or list of str, optional
        Causes whose statistics are added; default: all. Curves have all causes in any case.
    splitter : {"best", "random"}
        Best of all cuts of a feature, or one cut drawn uniformly from the cells that the node holds (extremely randomised
        trees, Geurts et al. 2006): faster, and less correlated trees.
    bootstrap : bool
        Draw subjects with replacement; ``False``: every tree sees all rows.
    max_samples : int or float, optional
        Subjects drawn for each tree, as number or share; default: as many as there are.
    oob : bool
        Predict each training row from the trees that did not draw its subject, see ``oob_curves_``.
    n_jobs : int, optional
        Threads, −1 for all cores; default 1. Trees are grown by processes instead under
        ``joblib.parallel_config(backend="loky")``. The forest is the same whatever the number and the backend.
    random_state : int, RandomState or None
        Seed. The same seed gives the same forest, in whatever order rows and columns come.
    verbose : int
        Show a progress bar.

    Attributes
    ----------
    causes_ : list of str
        Names of the causes.
    event_times_ : (T,) array
        Grid of event times.
    trees_ : dict of arrays
        Nodes and leaves of all trees: ``feature`` (position in ``columns_``; −1 in leaves), ``cut`` (left if code ≤ cut),
        ``child`` (left child, the right one follows; in leaves the number of the leaf), ``missing_left``, ``level_rank``
        (each tree's ranks of the levels of unordered categories), and the leaves' sparse counts;
        :mod:`churnsurv.kernels.forest_curves` says how a row walks them.
    columns_ : list of str
        Names of the features, sorted; ``levels_`` has the levels of those that are categories, ``bin_edges_`` the cuts,
        ``missing_columns_`` the names of those that had missing values.
    portfolio_hazard_, portfolio_at_risk_ : (K, T), (T,) arrays
        Hazard of each cause and number at risk in the training sample.
    oob_curves_ : Curves
        With ``oob=True``: out-of-bag curves of the training rows, from each row's entry on. A row whose subject every
        tree drew, or without weight, is NaN.
    oob_concordance_, oob_brier_ : dict of Estimate
        With ``oob=True``: out-of-bag concordance and integrated Brier score by cause (see :meth:`oob_score`);
        ``oob_absent_`` says why one is missing. They hold no rows and are saved with the forest.
    seeds_, n_drawn_, n_drawn_from_, digest_ : (B,) array, int or None, int, str
        Seed of each tree's sample, number of subjects drawn, and from how many (those at risk at some event time), and a
        checksum by which the training rows are recognised.
    first_entry_, last_ : float
        First age at which anyone was under observation, and the last; nothing is predicted outside.
    feature_names_in_ : (p,) array of str
        Names of the features in the order of the training data, in which arrays without names are read.
    n_events_, n_subjects_, n_observations_ : int
        Events, subjects and rows of positive weight in the training sample.

    Raises
    ------
    NoEventsError
        Nobody leaves.
    DataError
        Infinite values, columns without any value, more than 254 unordered levels, parameters outside their range, or more
        memory needed than there is; the column or parameter is named.

    References
    ----------
    Ishwaran, Kogalur, Blackstone and Lauer (2008), Ann. Appl. Stat. 2; Ishwaran et al. (2014), Biostatistics 15;
    Lin and Jeon (2006), J. Am. Stat. Assoc. 101; Athey, Tibshirani and Wager (2019), Ann. Stat. 47; Gray (1988), Ann.
    Stat. 16; Geurts, Ernst and Wehenkel (2006), Mach. Learn. 63; Wright and König (2019), PeerJ 7.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"rate_incentive": rng.normal(size=300)})
    >>> months = np.ceil(rng.exponential(20 * np.exp(-X["rate_incentive"])))
    >>> y = cs.Outcome(np.minimum(months, 36), months <= 36)
    >>> forest = cs.RandomSurvivalForest(n_estimators=20, random_state=0).fit(X, y)
    >>> new = pd.DataFrame({"rate_incentive": [-1.0, 1.0]})
    >>> low, high = forest.predict_curves(new, times=[12]).cumulative_incidence()[:, 0]
    >>> bool(low < high)
    True
    """

    def __init__(
        self,
        n_estimators: int = 200,
        *,
        min_samples_leaf: int = 15,
        max_depth: int | None = None,
        max_features: Literal["sqrt", "log2"] | int | float | None = "sqrt",
        max_bins: int = 255,
        time_bins: int | None = None,
        criterion: Literal["logrank", "gray"] = "logrank",
        cause: str | Sequence[str] | None = None,
        splitter: Literal["best", "random"] = "best",
        bootstrap: bool = True,
        max_samples: int | float | None = None,
        oob: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.max_depth = max_depth
        self.max_features = max_features
        self.max_bins = max_bins
        self.time_bins = time_bins
        self.criterion = criterion
        self.cause = cause
        self.splitter = splitter
        self.bootstrap = bootstrap
        self.max_samples = max_samples
        self.oob = oob
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        *,
        sample_weight: RowArgument = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : frame or array (n, p)
            Covariates, one row per row of `y`: numbers, booleans, text, categoricals; values may be missing.
        y : Outcome
            (Or scikit-survival's structured array.)
        sample_weight : array of n, or name of a column of X
            Whole numbers: how many customers a row stands for; without bootstrap they equal repeated rows. Other weights
            have no unit, so they are scaled to a mean of 1 per subject, and the forest is the same for any multiple
            of them. (Whole amounts of money count as customers: divide them by their mean.) A column so named is no
            covariate, and rows of weight 0 take no part.
        """
        # a fit that fails leaves the forest as it was, and one without oob keeps no curves of other rows
        grown = copy.copy(self)
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(grown, name)
        grown._grow(X, y, sample_weight)
        self.__dict__.clear()
        self.__dict__.update(grown.__dict__)
        return self

    def _grow(self, X: pd.DataFrame | ArrayLike, y: Outcome | NDArray[Any], sample_weight: RowArgument) -> None:
        """Fit a forest that was not fitted before."""
        check_parameters(self.get_params(deep=False))
        frame, outcome = feature_frame(X), as_outcome(y)
        check_rows(frame, outcome)
        if outcome.recurrent:
            raise NotIdentifiedError("A forest models one exit per subject; recurrent events are not supported.")
        weight = weights_argument(sample_weight, frame)
        refuse_uncountable(weight)
        covariates = frame.drop(columns=list(columns_named(sample_weight, frame)))
        if covariates.shape[1] == 0:
            raise DataError("There is no covariate: X has no column left.")
        check_memory(self._growing_bytes(*covariates.shape, len(outcome.causes)), self.n_estimators)
        numbers = self._learn_columns(covariates, weight)
        n_features = features_per_split(self.max_features, len(self.columns_))
        level_begin = level_offsets(covariates, self.columns_, self.levels_)
        rows = training_rows(numbers, outcome, weight, self.max_bins, self.time_bins, level_begin)
        self.missing_columns_ = [c for c, some in zip(self.columns_, rows.missing, strict=True) if some]
        watched = outcome if weight is None else outcome[weight > 0]
        n_drawn = subjects_per_tree(self.max_samples, watched.n_subjects, rows.n_subjects) if self.bootstrap else None
        if self.oob:
            check_oob_size(len(frame), 1 + len(outcome.causes), len(rows.grid))
            answers = oob_bytes(len(frame), len(outcome.causes), len(rows.grid), self.n_estimators)
            check_memory(self._growing_bytes(*covariates.shape, len(outcome.causes)) + answers, self.n_estimators)
        seeds = check_random_state(self.random_state).randint(0, np.iinfo(np.int32).max, self.n_estimators)
        self.trees_ = grow_forest(
            rows,
            criterion_of(self.criterion, self.cause, outcome, weight, rows.grid),
            len(outcome.causes),
            seeds,
            Growth(n_drawn, self.min_samples_leaf, self.max_depth, n_features, self.splitter == "random"),
            n_jobs=self.n_jobs,
            verbose=bool(self.verbose),
        )
        self.seeds_, self.n_drawn_, self.n_drawn_from_ = seeds, n_drawn, rows.n_subjects
        self.digest_ = digest(rows)
        self.causes_, self.event_times_, self.bin_edges_ = list(outcome.causes), rows.grid, rows.edges
        self.portfolio_hazard_, self.portfolio_at_risk_ = portfolio_counts(rows, len(outcome.causes))
        self.first_entry_ = 0.0 if watched.from_origin else float(watched.start.min())
        self.last_ = float(watched.stop.max())
        self.n_events_, self.n_subjects_, self.n_observations_ = watched.n_events, watched.n_subjects, len(watched)
        if self.oob:
            drawn = drawn_subjects(rows.n_subjects, int(n_drawn or 0), seeds)
            self._keep_out_of_bag(TrainingBags(frame, outcome, weight, numbers, drawn, rows.unit))

    def fit_memory(self, n_rows: int, n_features: int, *, n_causes: int = 1) -> int:
        """Estimate the memory in bytes that :meth:`fit` takes beyond X and y, with the parameters of this forest.

        A fit that would take more than 90 % of what is available is refused before its trees are grown. Out-of-bag curves
        (``oob=True``) are counted at `time_bins` event times, by default 512; the fit counts those there are.

        Examples
        --------
        >>> import churnsurv as cs
        >>> round(cs.RandomSurvivalForest(100).fit_memory(1_000_000, 30) / 2**30, 1)
        3.3
        """
        check_parameters(self.get_params(deep=False))
        for name, value in (("n_rows", n_rows), ("n_features", n_features), ("n_causes", n_causes)):
            check_whole(name, value, 1)
        growing = self._growing_bytes(n_rows, n_features, n_causes)
        n_times = TIME_BINS if self.time_bins is None else self.time_bins
        return growing + (oob_bytes(n_rows, n_causes, n_times, self.n_estimators) if self.oob else 0)

    def _growing_bytes(self, n_rows: int, n_features: int, n_causes: int) -> int:
        share = 1.0
        if self.max_samples is not None:
            share = min(1.0, self.max_samples if isinstance(self.max_samples, float) else self.max_samples / n_rows)
        # of n drawn with replacement from n, 1 - 1/e are different
        different = 1.0 - float(np.exp(-share)) if self.bootstrap else 1.0
        return fit_bytes(
            n_rows,
            n_features,
            n_causes,
            TIME_BINS if self.time_bins is None else self.time_bins,
            n_trees=self.n_estimators,
            n_sampled=int(different * n_rows),
            min_samples_leaf=self.min_samples_leaf,
            n_threads=effective_n_jobs(self.n_jobs),
        )

    def _learn_columns(self, covariates: pd.DataFrame, weight: Floats | None) -> Floats:
        """Remember names and levels, and give the features in the order of their names; of rows without weight nothing."""
        names = list(covariates.columns)
        self.feature_names_in_, self.n_features_in_ = np.array(names, dtype=object), len(names)
        self.columns_ = sorted(names)
        self.levels_ = learn_levels(covariates if weight is None else covariates[weight > 0])
        numbers = counted_columns(covariates, weight, self.columns_, self.levels_)
        refuse_empty(numbers, self.columns_)
        return numbers

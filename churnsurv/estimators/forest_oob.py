"""Out-of-bag accuracy of a forest: each training row judged by the trees that did not draw its subject."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves, check_size, within_support
from churnsurv.estimators.forest_bags import TrainingBags, training_bags
from churnsurv.estimators.forest_profiles import oob_concordance, profiles
from churnsurv.estimators.inputs import RowArgument, requested_times
from churnsurv.exceptions import ChurnSurvError, NoEventsError, NotIdentifiedError, SmallSampleWarning
from churnsurv.kernels.times import steps_until
from churnsurv.messages import confidence_level, counted, first_of
from churnsurv.metrics import integrated_brier_score
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate

if TYPE_CHECKING:
    from churnsurv.estimators.forest import RandomSurvivalForest

Floats = NDArray[np.float64]

#: share of the rows that must still be followed at the last horizon of the integrated Brier score, and its most horizons
FOLLOWED, MOST_HORIZONS = 0.1, 50


class OutOfBag(NamedTuple):
    """Answers of the trees that did not draw a row's subject: curves, and mortality (n, K)."""

    curves: Curves
    mortality: Floats


class OobScores(NamedTuple):
    """Out-of-bag accuracy by cause; `absent` says of each measure and cause that is missing why."""

    concordance: dict[str, Estimate]
    brier: dict[str, Estimate]
    absent: dict[str, str]

    def to_frame(self) -> pd.DataFrame:
        """Give a row per measure and cause: ``measure``, ``cause`` and the fields of :class:`churnsurv.Estimate`."""
        parts = []
        for measure in ("concordance", "brier"):
            for cause, estimate in getattr(self, measure).items():
                part = estimate.to_frame()
                part.insert(0, "measure", measure)
                part.insert(1, "cause", cause)
                parts.append(part)
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["measure", "cause"])


class ForestOutOfBag:
    """Out-of-bag answers of a fitted :class:`churnsurv.RandomSurvivalForest`, which inherits them."""

    oob_concordance_: dict[str, Estimate]
    oob_brier_: dict[str, Estimate]
    oob_absent_: dict[str, str]

    def out_of_bag_curves(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        times: ArrayLike | None = None,
        *,
        sample_weight: RowArgument = None,
    ) -> Curves:
        """Predict the training rows, given again, each from the trees that did not draw its subject.

        What ``oob=True`` keeps as ``oob_curves_``, later and at chosen times, so that memory is rows x states x `times`.
        Any forest grown with ``bootstrap=True`` gives them: its samples are drawn again from their seeds.

        Parameters
        ----------
        X, y, sample_weight
            The training rows as they were given to :meth:`fit`, in any order of the rows.
        times : array, optional
            Default: the event times of the fit.

        Returns
        -------
        Curves
            From each row's entry on. A row whose subject every tree drew, or without weight, is NaN.

        Raises
        ------
        DataError
            The rows are not those of the fit.
        NotIdentifiedError
            The forest was grown with ``bootstrap=False``.

        Examples
        --------
        >>> import churnsurv as cs, numpy as np, pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> X, months = pd.DataFrame({"rate": rng.normal(size=200)}), rng.integers(1, 30, 200)
        >>> y = cs.Outcome(months, months <= 24)
        >>> forest = cs.RandomSurvivalForest(50, random_state=0).fit(X, y)
        >>> forest.out_of_bag_curves(X, y, times=[12]).survival.shape
        (200, 1)
        """
        forest = _as_forest(self)
        bags = training_bags(forest, X, y, sample_weight)
        found = out_of_bag(forest, bags, requested_times(times, forest.event_times_), asked=times is not None)
        return within_support(found.curves, times is not None, forest.event_times_, stacklevel=2)

    def oob_score(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        *,
        times: ArrayLike | None = None,
        sample_weight: RowArgument = None,
        level: float = 0.95,
    ) -> OobScores:
        """Judge the forest on its training rows out of bag: concordance and integrated Brier score of each cause.

        The concordance (:func:`churnsurv.metrics.concordance_index`, Harrell's, cause-specific, entry-adjusted with delayed
        entry) is of the out-of-bag mortality (see :meth:`predict`). Customers in the same cell of every feature tie: the forest
        cannot tell them apart, and out of bag they would differ by their own outcomes only. The Brier score
        (:func:`churnsurv.metrics.integrated_brier_score`) is of the out-of-bag curves. Each row is answered by the trees
        that did not draw it only, so a forest of few trees is judged a little worse than it is. Rows that every tree drew
        are left out. The concordance's variance is doubled, because the customers also grew the trees that judge the others
        (without it, 86 of 100 intervals of level 0.95 hold the 0.5 of columns that tell nothing); the Brier score's is that
        of predictions taken as given.
        With ``oob=True`` the fit keeps these figures as ``oob_concordance_``, ``oob_brier_`` and ``oob_absent_``.

        Parameters
        ----------
        X, y, sample_weight
            The training rows as they were given to :meth:`fit`.
        times : array of two or more, optional
            Horizons that the Brier score is integrated over. Default: the event times up to the last that a tenth of the rows
            is followed beyond, at most 50 of them, evenly chosen.
        level : float
            Confidence level of the intervals.

        Returns
        -------
        OobScores
            ``concordance`` and ``brier``: :class:`churnsurv.Estimate` by cause; ``absent``: reason by measure and cause,
            of what is not identified, such as the Brier score of rows with delayed entry; ``to_frame()``.

        Raises
        ------
        DataError
            The rows are not those of the fit, or a horizon lies past their follow-up.
        NotIdentifiedError
            The forest was grown with ``bootstrap=False``.

        Examples
        --------
        >>> import churnsurv as cs, numpy as np, pandas as pd
        >>> rate = np.tile([-1.0, 1.0], 200)
        >>> months = np.ceil(np.random.default_rng(0).exponential(30 / np.exp(rate)))
        >>> X, y = pd.DataFrame({"rate": rate}), cs.Outcome(np.minimum(months, 24), months <= 24)
        >>> forest = cs.RandomSurvivalForest(50, random_state=0).fit(X, y)
        >>> scores = forest.oob_score(X, y, times=[6, 12, 18])
        >>> bool(scores.concordance["event"].lower > 0.5), bool(scores.brier["event"].value < 0.25)
        (True, True)
        """
        forest = _as_forest(self)
        bags = training_bags(forest, X, y, sample_weight)
        horizons = None if times is None else requested_times(times, np.empty(0))
        grid = default_horizons(forest.event_times_, bags.y) if horizons is None else horizons
        found = out_of_bag(forest, bags, grid, asked=True)
        return scores(
            found, bags, profiles(forest, bags.numbers), horizons, confidence_level(level), NotIdentifiedError
        )

    def _keep_out_of_bag(self, bags: TrainingBags) -> Self:
        """Keep curves and accuracy of the fit, see the attributes."""
        forest = _as_forest(self)
        found = out_of_bag(forest, bags, forest.event_times_, asked=True, stacklevel=5)
        with warnings.catch_warnings():
            # what is extreme here (all pairs concordant) is seen in the estimate, and the fit is no question about it
            warnings.simplefilter("ignore", SmallSampleWarning)
            made = scores(found, bags, profiles(forest, bags.numbers), None, 0.95, ChurnSurvError)
        self.oob_curves_ = found.curves
        self.oob_concordance_, self.oob_brier_, self.oob_absent_ = made
        return self


def _as_forest(forest: ForestOutOfBag) -> RandomSurvivalForest:
    return cast("RandomSurvivalForest", forest)


def out_of_bag(
    forest: RandomSurvivalForest, bags: TrainingBags, times: Floats, *, asked: bool, stacklevel: int = 3
) -> OutOfBag:
    """Answer each training row from the trees that did not draw its subject, from its entry on."""
    check_size(len(bags.y), 1 + len(forest.causes_), len(times), asked=asked)
    # rows of weight 0 may enter before anyone else, where nothing is known
    origin = np.maximum(bags.y.start, forest.first_entry_)
    start = None if bags.y.from_origin else origin
    probability, mortality = forest._answers(bags.numbers, times, start, bags.drawn, bags.unit)
    always = np.flatnonzero((bags.drawn[:, bags.unit] > 0).all(axis=0))
    if len(always):
        warnings.warn(
            f"Every tree drew the subject of {counted(len(always), 'row')} (row {first_of(always)}): no out-of-bag "
            "curve there (NaN). Grow more trees.",
            SmallSampleWarning,
            stacklevel=stacklevel,
        )
    last = np.full(len(bags.y), forest.last_)
    return OutOfBag(Curves(times, probability, origin, last, tuple(forest.causes_), bags.frame.index), mortality)


def default_horizons(event_times: Floats, y: Outcome) -> Floats:
    """Give the event times that enough rows are followed beyond, thinned evenly."""
    followed = len(y) - np.searchsorted(np.sort(y.stop), event_times, side="right")
    kept: Floats = event_times[(followed >= FOLLOWED * len(y)) & (event_times > 0)]
    chosen = np.unique(np.linspace(0, len(kept) - 1, min(len(kept), MOST_HORIZONS)).round().astype(int))
    return np.asarray(kept[chosen])


def scores(
    found: OutOfBag,
    bags: TrainingBags,
    profile: NDArray[np.int64],
    horizons: Floats | None,
    level: float,
    refused: type[ChurnSurvError],
) -> OobScores:
    """Judge out-of-bag answers of the training rows; what is `refused` by a measure is absent, with the reason.

    `profile` (n,) tells which rows are alike, see :mod:`churnsurv.estimators.forest_profiles`.
    """
    rows = np.flatnonzero(np.isfinite(found.mortality).all(axis=1))
    if not len(rows):
        return OobScores({}, {}, {"all": "No row is out of the bag of any tree: grow more trees."})
    y, weight = bags.y[rows], None if bags.weight is None else bags.weight[rows]
    given: dict[str, Any] = {"sample_weight": weight, "level": level}
    span = default_horizons(found.curves.times, bags.y) if horizons is None else horizons

    def concordance(k: int, cause: str) -> Estimate:
        return oob_concordance(y, found.mortality[rows, k], profile[rows], cause, weight=weight, level=level)

    def brier(k: int, cause: str) -> Estimate:
        # without an event of the cause there is nothing to be judged yet
        first = y.stop[y.event == 1 + k].min(initial=np.inf)
        own = span[span >= first] if horizons is None else span
        if len(own) < 2:
            raise NotIdentifiedError("There are not two event times to integrate over: pass times= to oob_score.")
        risk = found.curves.cumulative_incidence(cause)[rows][:, steps_until(found.curves.times, own) - 1]
        return integrated_brier_score(y, risk, own, cause=cause, **given)

    made = OobScores({}, {}, {})
    for k, cause in enumerate(found.curves.causes):
        for measure, into in ((concordance, made.concordance), (brier, made.brier)):
            try:
                into[cause] = measure(k, cause)
            except (NotIdentifiedError, NoEventsError, refused) as reason:
                made.absent[f"{measure.__name__} of {cause}"] = str(reason)
    return made

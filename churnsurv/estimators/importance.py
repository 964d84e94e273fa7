"""Permutation importance: how much worse a forest judges when the customers' values of a column change hands.

The estimand is θ = M(F) − M(F_π), the fall of a metric M when a column x of a customer Z is replaced by the x' of an
independent customer, with the forest held fixed. M(F_π) depends on the distribution of customers twice, through those who
receive a value and those who give it, so that with ψ the influence function of the metric

    u_i = ψ(Z_i, x_i) − E_x' ψ(Z_i, x') − E_Z ψ(Z, x_i),      Var(θ̂) = Σ_i u_i² (sampling) + V_π / R (permutations),

for R permutations with variance V_π between them. The means over x' and Z are estimated from the R permutations; the noise
that this adds to Σ u² is subtracted (its expectation is Σ_i s_i² / R with s_i² the variance of u_i between permutations).

Out of bag a customer is also among those whose outcomes the others are judged by. Of a column that does nothing,
D = Σ_{i≠j} K(x_i, x_j) e_i e_j with e the residuals and K the weight that trees give to j in judging i: a degenerate
U-statistic, whose variance is twice the Σ_i e_i² (Σ_j K e_j)² that holding the forest fixed gives, as each pair enters twice
with the same sign. So the sampling variance is doubled there.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from churnsurv.data.features import feature_frame
from churnsurv.estimators.forest_bags import training_bags
from churnsurv.estimators.forest_inputs import check_whole, numeric_columns
from churnsurv.estimators.forest_paths import said_unanswered, unanswered
from churnsurv.estimators.forest_profiles import ROLES, oob_concordance, profiles
from churnsurv.estimators.inputs import (
    RowArgument,
    as_outcome,
    check_rows,
    columns_named,
    requested_start,
    weights_argument,
)
from churnsurv.exceptions import DataError, SmallSampleWarning, SupportWarning
from churnsurv.messages import confidence_level, counted, first_of, one_number
from churnsurv.metrics import brier_score, concordance_index
from churnsurv.metrics.inputs import the_cause
from churnsurv.metrics.scorers import brier_scorer, concordance_scorer
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate

if TYPE_CHECKING:
    from churnsurv.estimators.forest import RandomSurvivalForest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: fewest subjects whose values can change hands with any meaning
LEAST_SUBJECTS = 10


@dataclass(frozen=True, repr=False, eq=False)
class PermutationImportance:
    """Importance of columns, or groups of them, with intervals; the most important first.

    Parameters
    ----------
    groups : dict
        Columns of each group that were permuted together, by its name.
    value, se, lower, upper : (G,)
        Fall of the concordance (rise of the Brier score) when the group is permuted: 0 = the forest does as well without.
    repeats : (G, R)
        The fall in each permutation.
    baseline : Estimate
        The metric without permutation.
    level : float
    n, n_events : int
        Subjects judged, and their events of the cause.
    method : str
        What was permuted, and what the intervals cover.
    """

    groups: dict[str, tuple[str, ...]]
    value: Floats
    se: Floats
    lower: Floats
    upper: Floats
    repeats: Floats
    baseline: Estimate
    level: float
    n: int
    n_events: int
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Give a frame with index group, columns importance, se, lower, upper."""
        numbers = {"importance": self.value, "se": self.se, "lower": self.lower, "upper": self.upper}
        return pd.DataFrame(numbers, index=pd.Index(list(self.groups), name="group"))

    def __repr__(self) -> str:
        heading = f"PermutationImportance: change of {self.baseline.name} ({self.baseline.value:.4f})"
        return f"{heading}\n{self.to_frame().to_string(float_format='{:.4f}'.format)}\n{self.method}"


class _Judged(NamedTuple):
    """The rows that are judged: features (n, p), outcome, weights, and the out-of-bag arguments of the forest's answers."""

    numbers: Floats
    y: Outcome
    weight: Floats
    bags: dict[str, Any]


def permutation_importance(
    forest: RandomSurvivalForest,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    cause: str | None,
    groups: Mapping[str, Sequence[str]] | None,
    n_repeats: int,
    out_of_bag: bool,
    metric: Literal["concordance", "brier"],
    horizon: float | None,
    sample_weight: RowArgument,
    level: float,
    random_state: int | None,
    n_jobs: int | None,
    progress: bool,
) -> PermutationImportance:
    """Give the importance of columns; see :meth:`churnsurv.RandomSurvivalForest.permutation_importance`."""
    check_is_fitted(forest)
    level, horizon = confidence_level(level), _checked_horizon(metric, horizon)
    check_whole("n_repeats", n_repeats, 2)
    if random_state is not None:
        check_whole("random_state", random_state, 0, 2**32 - 1)
    permuted = _read_groups(forest, groups)
    judged = _judged(forest, X, y, sample_weight, out_of_bag)
    cause = the_cause(judged.y, cause)
    if n_jobs is not None:
        forest = copy.copy(forest)
        forest.n_jobs = n_jobs
    answer = _answer(forest, judged, cause, horizon)
    subjects = _Subjects(judged)
    score = answer(judged.numbers)
    baseline, scorer = _metric(forest, judged, score, cause, horizon, level)
    sign = 1.0 if horizon is None else -1.0
    value, own_influence = scorer(score, judged.numbers)
    own = subjects.sums(own_influence)
    seeds = np.random.SeedSequence(random_state).spawn(n_repeats)
    donors = [subjects.donors(np.random.default_rng(seed)) for seed in seeds]
    falls, se, quantile = np.empty((len(permuted), n_repeats)), np.empty(len(permuted)), np.empty(len(permuted))
    for g, columns in enumerate(tqdm(permuted.values(), desc="Permuting", unit="group", disable=not progress)):
        places = [forest.columns_.index(column) for column in columns]
        moved, idle = np.empty((n_repeats, len(own))), True
        for r, (giver, rows) in enumerate(donors):
            numbers = judged.numbers.copy()
            numbers[:, places] = judged.numbers[rows][:, places]
            changed = answer(numbers)
            idle &= (same := np.array_equal(changed, score))
            other, influence = (value, own_influence) if same else scorer(changed, numbers)
            falls[g, r] = sign * (value - other)
            received = subjects.sums(influence)
            moved[r] = own - received - np.bincount(giver, received, len(own))
        # where no answer changes there is nothing to be uncertain of
        moved *= not idle
        se[g], df = _standard_error(moved, falls[g], ROLES if out_of_bag else 1.0)
        quantile[g] = stdtrit(df, (1 + level) / 2)
    importance = falls.mean(axis=1)
    lower, upper = importance - quantile * se, importance + quantile * se
    order = np.argsort(-importance, kind="stable")
    names = list(permuted)
    return PermutationImportance(
        groups={names[g]: permuted[names[g]] for g in order},
        value=importance[order],
        se=se[order],
        lower=lower[order],
        upper=upper[order],
        repeats=falls[order],
        baseline=baseline,
        level=level,
        n=len(own),
        n_events=baseline.n_events,
        method=f"{n_repeats} permutations of the values among {counted(len(own), 'subject')}, predictions "
        + ("out of bag" if out_of_bag else "for rows given as new")
        + "; intervals cover sampling of the subjects judged and of the permutations"
        + (" (variance doubled: they also grew each other's trees)" if out_of_bag else ", for this forest"),
    )


def _standard_error(moved: Floats, falls: Floats, roles: float) -> tuple[float, float]:
    """Give the standard error of the mean fall and its degrees of freedom (Satterthwaite 1946).

    From the subjects' u (R, S) and the falls (R,), see the head of the module; the few permutations are what bounds the
    degrees of freedom.
    """
    n_repeats, n_subjects = moved.shape
    mean = moved.mean(axis=0)
    sampling = roles * max(0.0, float(mean @ mean - moved.var(axis=0, ddof=1).sum() / n_repeats))
    permuting = float(falls.var(ddof=1)) / n_repeats
    total = sampling + permuting
    if total == 0:
        return 0.0, n_subjects - 1.0
    return np.sqrt(total), total**2 / (sampling**2 / (n_subjects - 1) + permuting**2 / (n_repeats - 1))


class _Subjects:
    """The subjects of the judged rows: their sums, and who gives values to whom."""

    def __init__(self, judged: _Judged) -> None:
        y = judged.y
        self.code = pd.factorize(y.subject)[0].astype(np.int64)
        self.n = int(self.code.max()) + 1
        if self.n < LEAST_SUBJECTS:
            raise DataError(
                f"{counted(self.n, 'subject')} can be judged: values cannot change hands among so few. Pass at least "
                f"{LEAST_SUBJECTS}, better some hundreds."
            )
        starts = np.unique(y.start)
        self._place = np.searchsorted(starts, y.start)
        self._span = len(starts)
        self._by_time = np.lexsort((self._place, self.code))
        self._key = self.code[self._by_time] * self._span + self._place[self._by_time]
        self._begin = np.searchsorted(self.code[self._by_time], np.arange(self.n + 1))
        first, final = self._by_time[self._begin[:-1]], self._by_time[self._begin[1:] - 1]
        # neither the order of the rows nor the splitting of a spell decides who gives to whom
        known = (*judged.numbers[final].T, judged.weight[first], y.start[first], y.event[final], y.stop[final])
        self._order = np.lexsort(known)
        share = judged.weight[first][self._order]
        self._share = None if np.all(share == share[0]) else share / share.sum()

    def sums(self, values: Floats) -> Floats:
        """Sum over the rows of each subject, (S,)."""
        return np.bincount(self.code, values, self.n).astype(np.float64)

    def donors(self, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Draw who gives to each subject (S,), and which of the giver's rows to each row (n,).

        A permutation; with weights, givers are drawn in proportion to them. The row is the giver's last one that begins no
        later than the receiving row, else the giver's first.
        """
        drawn = rng.permutation(self.n) if self._share is None else rng.choice(self.n, self.n, p=self._share)
        giver = np.empty(self.n, dtype=np.int64)
        giver[self._order] = self._order[drawn]
        of_row = giver[self.code]
        found = np.searchsorted(self._key, of_row * self._span + self._place, side="right") - 1
        return giver, self._by_time[np.maximum(found, self._begin[of_row])]


def _judged(forest: RandomSurvivalForest, X: Any, y: Any, sample_weight: RowArgument, out_of_bag: bool) -> _Judged:
    if out_of_bag:
        bags = training_bags(forest, X, y, sample_weight)
        outcome, numbers, given = bags.y, bags.numbers, bags.weight
        judged = (bags.drawn == 0).any(axis=0)[bags.unit]
        if not judged.all():
            warnings.warn(
                f"Every tree drew the subject of {counted(int((~judged).sum()), 'row')} "
                f"(row {first_of(np.flatnonzero(~judged))}): left out of the importance. Grow more trees.",
                SmallSampleWarning,
                stacklevel=4,
            )
        # rows censored before the first event took no part, and may lack what no other does
        silent = np.flatnonzero(unanswered(forest, numbers) & (given is None or given > 0))
        if len(silent):
            judged[silent] = False
            warnings.warn(
                f"{said_unanswered(forest, numbers, silent)}: left out of the importance.", SupportWarning, stacklevel=4
            )
    else:
        frame, outcome = feature_frame(X, names=forest.feature_names_in_), as_outcome(y)
        check_rows(frame, outcome)
        if list(outcome.causes) != forest.causes_:
            raise DataError(f"The outcome has the causes {list(outcome.causes)}, the forest has {forest.causes_}.")
        given = weights_argument(sample_weight, frame)
        frame = frame.drop(columns=list(columns_named(sample_weight, frame)))
        numbers, judged = numeric_columns(frame, forest.columns_, forest.levels_), np.ones(len(frame), dtype=bool)
        silent = np.flatnonzero(unanswered(forest, numbers))
        if len(silent):
            raise DataError(f"{said_unanswered(forest, numbers, silent)}. Fill it in, or leave these rows out.")
    weight = np.ones(len(outcome)) if given is None else given
    rows = np.flatnonzero(judged & (weight > 0))
    kept = {"drawn": bags.drawn, "unit": bags.unit[rows]} if out_of_bag else {}
    if not len(rows):
        raise DataError(
            "No row is left to judge: every tree drew every subject. Grow more trees, or use held-out rows."
        )
    return _Judged(numbers[rows], outcome[rows], weight[rows], kept)


def _answer(
    forest: RandomSurvivalForest, judged: _Judged, cause: str, horizon: float | None
) -> Callable[[Floats], Floats]:
    """Give the function from features to what is judged: mortality, or with a horizon the risk at it."""
    k = forest.causes_.index(cause)
    if horizon is None:
        return lambda numbers: np.asarray(forest._answers(numbers, np.empty(0), None, **judged.bags)[1][:, k])
    requested_start(0.0, 1, np.array([forest.first_entry_]))
    if horizon > forest.last_:
        raise DataError(f"horizon={horizon:g} is past the last time the forest knows ({forest.last_:g}).")
    at = np.array([horizon])
    return lambda numbers: np.asarray(forest._answers(numbers, at, None, **judged.bags)[0][:, 1 + k, 0])


def _metric(
    forest: RandomSurvivalForest, judged: _Judged, score: Floats, cause: str, horizon: float | None, level: float
) -> tuple[Estimate, Callable[[Floats, Floats], tuple[float, Floats]]]:
    """Give the metric without permutation (which checks the rows), and the function of scores and features for others."""
    y, weight = judged.y, judged.weight
    if horizon is not None:
        estimate = brier_score(y, score, horizon, cause=cause, sample_weight=weight, level=level)
        of_risk = brier_scorer(y, horizon, cause, weight)
        return cast(Estimate, estimate), lambda risk, _: of_risk(risk)
    of_score = concordance_scorer(y, cause, weight)
    if not judged.bags:
        estimate = concordance_index(y, score, cause=cause, sample_weight=weight, level=level)
        return estimate, lambda risk, _: of_score(risk, None)
    alike = profiles(forest, judged.numbers)
    estimate = oob_concordance(y, score, alike, cause, weight=weight, level=level)
    return estimate, lambda risk, numbers: of_score(risk, profiles(forest, numbers))


def _read_groups(
    forest: RandomSurvivalForest, groups: Mapping[str, Sequence[str]] | None
) -> dict[str, tuple[str, ...]]:
    if groups is None:
        return {str(column): (column,) for column in forest.columns_}
    if not isinstance(groups, Mapping) or not groups:
        raise DataError("groups: give a mapping from names to columns, such as {'rates': ['incentive', 'spread']}.")
    alone = [name for name, of in groups.items() if not isinstance(of, Iterable)]
    if alone:
        raise DataError(f"groups[{alone[0]!r}]={groups[alone[0]]!r}: give the name of a column, or a list of names.")
    read = {str(name): (of,) if isinstance(of, str) else tuple(of) for name, of in groups.items()}
    for name, columns in read.items():
        unknown = [column for column in columns if column not in forest.columns_]
        if unknown or not columns:
            what = f"{first_of(map(repr, unknown))}, which the forest does not have" if unknown else "no column"
            raise DataError(f"Group {name!r} holds {what}; its columns are {first_of(forest.columns_, 12)}.")
    return read


def _checked_horizon(metric: str, horizon: float | None) -> float | None:
    if metric not in ("concordance", "brier"):
        raise DataError(f"metric={metric!r} is not known: use 'concordance', or 'brier' with a horizon.")
    if metric == "concordance" and horizon is not None:
        raise DataError("horizon is for metric='brier'; a concordance is of the whole follow-up.")
    if metric == "brier" and horizon is None:
        raise DataError("metric='brier' needs horizon=, the time at which probabilities are judged.")
    return None if horizon is None else one_number(horizon, "horizon")

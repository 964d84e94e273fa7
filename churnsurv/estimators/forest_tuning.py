"""Choosing the parameters of a forest: candidates judged out of bag, or by folds of whole customers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler
from tqdm import tqdm

from churnsurv.data.features import feature_frame
from churnsurv.data.splits import CustomerKFold
from churnsurv.estimators.forest import RandomSurvivalForest
from churnsurv.estimators.forest_bags import training_bags
from churnsurv.estimators.forest_inputs import checked_random_state
from churnsurv.estimators.forest_profiles import oob_concordance, profiles
from churnsurv.estimators.inputs import RowArgument, as_outcome, check_rows, columns_named, row_values, weights_argument
from churnsurv.estimators.scoring import ScoreName, Scorer, scorer
from churnsurv.exceptions import ChurnSurvError, DataError
from churnsurv.metrics.inputs import the_cause
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]

#: parameters that decide what a forest predicts; the others say how it is computed
TUNABLE = (
    "n_estimators", "min_samples_leaf", "max_depth", "max_features", "max_bins", "time_bins", "criterion", "cause", "splitter",
    "bootstrap", "max_samples",
)  # fmt: skip
#: folds when customers are given without a number of them
FOLDS = 5


@dataclass(frozen=True)
class ForestTuning:
    """What :func:`churnsurv.tune_forest` found.

    Parameters
    ----------
    table : DataFrame
        One row per candidate, the best first: its parameters, ``score`` (more is better), ``se``, ``leaves`` (mean number
        per tree), ``seconds`` of its fits and predictions, ``default`` (the forest as it was given), ``within_one_se``.
    best_parameters : dict
        Those of the highest score, for ``forest.set_params(**best_parameters)``.
    one_se_parameters : dict
        Those of the smallest forest, by leaves, whose score is within one standard error (of the highest score itself) of
        the highest (Breiman et al. 1984): simpler, and not clearly worse.
    scoring, method : str
        The score, and how it and its standard error were estimated.
    random_state : int
        Seed of the trees of every candidate.
    n, n_events : int
        Subjects, and events of the cause that was judged.
    """

    table: pd.DataFrame
    best_parameters: dict[str, Any]
    one_se_parameters: dict[str, Any]
    scoring: str
    method: str
    random_state: int
    n: int
    n_events: int


def tune_forest(
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    scoring: Scorer | ScoreName = "concordance",
    forest: RandomSurvivalForest | None = None,
    search: Mapping[str, Sequence[Any]] | None = None,
    n_candidates: int | None = 20,
    groups: RowArgument = None,
    folds: int | None = None,
    sample_weight: RowArgument = None,
    random_state: int | None = None,
    n_jobs: int | None = None,
    progress: bool = True,
) -> ForestTuning:
    """Compare forests with different parameters on rows that their trees did not see.

    Every candidate is grown from the same seed, so that they differ by their parameters and not by luck. The forest as
    given is always among them. The highest of many scores is optimistic: judge the forest that is chosen on other data.

    Parameters
    ----------
    X : frame or array (n, p)
        Covariates.
    y : Outcome of n rows
    scoring : Scorer of :func:`churnsurv.scorer`, or "concordance"
        What is compared. With several causes: ``scoring=cs.scorer("concordance", cause=...)``.
    forest : RandomSurvivalForest, optional
        Its parameters stay but for those searched. Default: ``RandomSurvivalForest()``.
    search : mapping of parameter to list of values, optional
        Default: ``min_samples_leaf`` from 5 to a twentieth of the subjects, ``max_features``, ``max_depth`` and
        ``max_samples``.
    n_candidates : int or None
        So many combinations are drawn at random, without repetition; None, or at least as many as there are: all.
    groups : array of n, or name of a column of X, optional
        Customers, when some have several loans: candidates are compared by folds of whole customers, because a loan
        is no stranger to trees that saw its owner's other loans. Default: out of bag, by subject.
    folds : int, optional
        Number of folds (with `groups`: 5). Without `groups`, folds of whole subjects instead of out of bag.
    sample_weight : array of n, or name of a column of X, optional
        Weights in the fits and in the scores.
    random_state : int, optional
        Seed of the combinations, the folds and the trees.
    n_jobs : int, optional
        Threads of each forest; default: those of `forest`.
    progress : bool
        Show a bar.

    Returns
    -------
    ForestTuning
        Standard errors are those of the metric out of bag (see ``oob_score``: by subject, and for a concordance of twice the
        variance, as subjects also grew each other's trees), and by folds the standard deviation of their scores divided by
        the square root of their number.

    Raises
    ------
    DataError
        Unknown parameters in `search`, empty lists, a cause that is not named.
    NotIdentifiedError
        Out of bag with ``bootstrap=False``; a Brier score with delayed entry.

    References
    ----------
    Breiman, Friedman, Olshen and Stone (1984), Classification and Regression Trees, section 3.4.3.
    Bergstra and Bengio (2012), J. Mach. Learn. Res. 13 (random search).

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.normal(size=(300, 3)), columns=["rate_incentive", "utilisation", "noise"])
    >>> y = cs.Outcome(np.ceil(rng.exponential(20 * np.exp(-X["rate_incentive"]))), np.ones(300, int))
    >>> tuned = cs.tune_forest(
    ...     X, y, forest=cs.RandomSurvivalForest(20), search={"min_samples_leaf": [5, 20, 60]}, random_state=0, progress=False
    ... )
    >>> forest = cs.RandomSurvivalForest(200, **tuned.one_se_parameters).fit(X, y)
    >>> len(tuned.table)
    4
    """
    judge = scorer(scoring) if isinstance(scoring, str) else scoring
    if not isinstance(judge, Scorer):
        raise DataError(f"scoring={scoring!r}: give 'concordance' or a scorer of churnsurv.scorer.")
    if judge.name == "uno" and groups is None and folds is None:
        raise DataError("Out of bag there is Harrell's concordance only: pass folds=5, or scorer('concordance').")
    generator = checked_random_state(random_state)
    template = _template(forest, n_jobs)
    frame, outcome = feature_frame(X), as_outcome(y)
    check_rows(frame, outcome)
    cause = the_cause(outcome, judge.cause)
    weight = weights_argument(sample_weight, frame)
    customer = row_values(groups, frame, "groups")
    frame = frame.drop(columns=list({*columns_named(sample_weight, frame), *columns_named(groups, frame)}))
    seed = int(generator.randint(0, np.iinfo(np.int32).max))
    template.set_params(random_state=seed)
    candidates = _candidates(template, _ranges(outcome) if search is None else search, n_candidates, seed)
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    if customer is not None or folds is not None:
        split = CustomerKFold(FOLDS if folds is None else folds, random_state=seed)
        parts = list(split.split(outcome, outcome, outcome.subject if customer is None else customer))

    rows = []
    with tqdm(candidates, desc="Tuning", unit="candidate", disable=not progress) as bar:
        for candidate in bar:
            begin = time.perf_counter()
            grown = clone(template).set_params(**candidate)
            found = (
                _by_folds(grown, judge, frame, outcome, weight, parts)
                if parts
                else _out_of_bag(grown, judge, cause, frame, outcome, weight)
            )
            rows.append({**candidate, **found, "seconds": time.perf_counter() - begin})
            bar.set_postfix(best=f"{max(row['score'] for row in rows):.4f}")
    unit = "subjects" if customer is None else "customers"
    method = (
        f"{len(parts)} folds of whole {unit}; standard error of their mean"
        if parts
        else "out of bag by subject; standard error by infinitesimal jackknife"
        + (", variance doubled (they also grew each other's trees)" if judge.name == "concordance" else "")
    )
    table, best, simplest = _ranked(rows, candidates)
    return ForestTuning(
        table=table,
        best_parameters=candidates[best],
        one_se_parameters=candidates[simplest],
        scoring=repr(judge),
        method=method,
        random_state=seed,
        n=outcome.n_subjects,
        n_events=int(np.count_nonzero(outcome.event == outcome.cause_code(cause))),
    )


def _template(forest: RandomSurvivalForest | None, n_jobs: int | None) -> RandomSurvivalForest:
    if forest is not None and not isinstance(forest, RandomSurvivalForest):
        raise DataError(f"forest is a {type(forest).__name__}; give a RandomSurvivalForest, or use GridSearchCV.")
    made = RandomSurvivalForest() if forest is None else clone(forest)
    # out-of-bag curves of all rows are not needed: the score asks for what it judges
    made.set_params(oob=False, verbose=0)
    return made if n_jobs is None else made.set_params(n_jobs=n_jobs)


def _ranges(y: Outcome) -> dict[str, list[Any]]:
    most = max(y.n_subjects // 20, 10)
    return {
        "min_samples_leaf": sorted({round(size) for size in np.geomspace(5, most, 8).tolist()}),
        "max_features": ["sqrt", 0.5, 0.75, None],
        "max_depth": [None, 4, 6, 9],
        "max_samples": [None, 0.632, 0.3],
    }


def _candidates(
    template: RandomSurvivalForest, search: Mapping[str, Sequence[Any]], n_candidates: int | None, seed: int
) -> list[dict[str, Any]]:
    """Give the parameters of each candidate, those of the template first."""
    own = {name: value for name, value in template.get_params().items() if name in TUNABLE}
    unknown = [name for name in search if name not in own]
    if unknown or not search:
        wrong = f"search names {unknown}" if unknown else "search is empty"
        raise DataError(f"{wrong}: give lists of values for some of {list(own)}.")
    for name, values in search.items():
        if isinstance(values, str) or not hasattr(values, "__len__") or len(values) == 0:
            raise DataError(f"search[{name!r}]={values!r}: give a list of values.")
    if n_candidates is not None and (
        isinstance(n_candidates, bool) or not isinstance(n_candidates, Integral) or n_candidates < 1
    ):
        raise DataError(f"n_candidates={n_candidates!r}: give a whole number, 1 or more, or None for all combinations.")
    grid = ParameterGrid({name: list(values) for name, values in search.items()})
    n = len(grid) if n_candidates is None else int(n_candidates)
    drawn = list(grid) if n >= len(grid) else list(ParameterSampler(grid.param_grid, n, random_state=seed))
    first = {name: own[name] for name in search}
    return [first, *(candidate for candidate in drawn if candidate != first)]


def _out_of_bag(
    forest: RandomSurvivalForest, judge: Scorer, cause: str, frame: pd.DataFrame, y: Outcome, weight: Floats | None
) -> dict[str, float]:
    bags = training_bags(forest.fit(frame, y, sample_weight=weight), frame, y, weight)
    probability, mortality = forest._answers(bags.numbers, judge.horizons(), None, bags.drawn, bags.unit)
    code = y.cause_code(cause)
    # with few trees some rows are in every bag, and nothing can be said of them
    known = np.flatnonzero(~np.isnan(mortality[:, 0]))
    known_weight = None if weight is None else weight[known]
    if judge.name == "concordance":
        alike = profiles(forest, bags.numbers)[known]
        risk = mortality[known, code - 1]
        estimate = oob_concordance(y[known], risk, alike, cause, weight=known_weight, tau=judge.horizon)
    else:
        censoring = judge.censoring_of(frame.iloc[known], y[known], known_weight)
        estimate = judge.estimate(y[known], probability[known, code], known_weight, censoring=censoring)
    return {"score": judge.signed(estimate), "se": estimate.se, "leaves": _leaves(forest)}


def _by_folds(
    forest: RandomSurvivalForest,
    judge: Scorer,
    frame: pd.DataFrame,
    y: Outcome,
    weight: Floats | None,
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> dict[str, float]:
    scores, leaves = [], []
    for number, (train, test) in enumerate(parts, start=1):
        of_train, of_test = (None, None) if weight is None else (weight[train], weight[test])
        try:
            forest.fit(frame.iloc[train], y[train], sample_weight=of_train)
            scores.append(judge(forest, frame.iloc[test], y[test], of_test))
        except ChurnSurvError as error:
            raise type(error)(
                f"Fold {number} of {len(parts)} (rows counted within it): {error} What is rare may fall into one fold alone: "
                "join rare levels into one (e.g. 'other'), fill in rare missing values, take fewer folds, or leave out folds= "
                "and groups= to compare out of bag, where every candidate has seen all levels."
            ) from error
        leaves.append(_leaves(forest))
    se = float(np.std(scores, ddof=1) / np.sqrt(len(scores)))
    return {"score": float(np.mean(scores)), "se": se, "leaves": float(np.mean(leaves))}


def _leaves(forest: RandomSurvivalForest) -> float:
    return float(forest.trees_["leaf_begin"][-1]) / len(forest.seeds_)


def _ranked(rows: list[dict[str, Any]], candidates: list[dict[str, Any]]) -> tuple[pd.DataFrame, int, int]:
    """Give the table of the candidates, the best first, and the numbers of the best and of the one-standard-error choice."""
    table = pd.DataFrame(rows)
    # parameters of several types (None, text, numbers) stay what they are
    for name in candidates[0]:
        table[name] = pd.Series([candidate[name] for candidate in candidates], dtype=object)
    score, leaves = (np.array([row[name] for row in rows]) for name in ("score", "leaves"))
    best = int(np.argmax(score))
    # a perfect concordance has no standard error
    within = score >= score[best] - np.nan_to_num(rows[best]["se"])
    simplest = int(np.flatnonzero(within)[np.lexsort((-score[within], leaves[within]))[0]])
    table["default"], table["within_one_se"] = np.arange(len(rows)) == 0, within
    return table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True), best, simplest

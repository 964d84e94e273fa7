"""Fitting the probability of each arm: unpenalised logistic regression or any classifier, by folds of customers.

What the arms share no values of is refused here, with the column: no method can compare customers where one arm has none.
"""

from __future__ import annotations

import warnings
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from churnsurv.data.encoder import DesignEncoder, missing_report
from churnsurv.data.features import feature_frame
from churnsurv.effects.resampling import check_seed
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.messages import counted, first_of
from churnsurv.rows import row_labels

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: fitted probabilities of a logistic regression below this are those of a likelihood without a maximum
SEPARATED = 1e-7

_REMEDY = (
    "Join them with others, leave them out on purpose (the effect is then of the others), leave the column out if it is no "
    "confounder, or give a penalised model=."
)


class Arms(NamedTuple):
    """Arm of each row as a code 0…K−1, the labels of the codes (the reference first), and the customer of each row."""

    code: Ints
    labels: tuple[Any, ...]
    unit: Ints


class Candidates(NamedTuple):
    """What the assignment is modelled on, encoded once, and the model; None stands for unpenalised logistic regression."""

    design: Floats | pd.DataFrame
    terms: list[str]
    classifier: Any | None
    fold: Ints  #: (n,) fold of each row, all 0 without cross-fitting

    @property
    def n_folds(self) -> int:
        """Number of folds; 1: the model is fitted to the rows it is applied to."""
        return int(self.fold.max()) + 1

    def rows(self, index: NDArray[Any]) -> Floats | pd.DataFrame:
        """Give rows of the design."""
        return self.design.iloc[index] if isinstance(self.design, pd.DataFrame) else self.design[index]


def read_arm_labels(arm: ArrayLike, n: int, cluster: ArrayLike | None, reference: Any) -> Arms:
    """Read two or more arms with two or more customers each; the reference (default: first in sorted order) gets code 0."""
    code, labels = row_labels(arm, n, "arm")
    unit = np.arange(n, dtype=np.int64) if cluster is None else row_labels(cluster, n, "cluster")[0]
    if len(labels) < 2:
        raise DataError(f"All rows are in arm {labels[0]!r}: a comparison needs two arms. Was the other filtered out?")
    alone = labels[(pd.Series(unit).groupby(code).nunique() < 2).to_numpy()]
    if len(alone):
        raise DataError(
            f"Arm {first_of([repr(v) for v in alone])} has one customer only: who gets it cannot be learnt, nor what it does. "
            "Leave the arm out, or join it with another."
        )
    first = 0 if reference is None else arm_position(labels, reference, "reference")
    order = [first, *(k for k in range(len(labels)) if k != first)]
    return Arms(np.argsort(order)[code].astype(np.int64), tuple(labels[order]), unit)


def arm_position(labels: Any, label: Any, argument: str) -> int:
    """Give the position of an arm's label."""
    known = list(labels)
    if label not in known:
        raise DataError(f"{argument}={label!r} is no arm; the arms are {first_of([repr(v) for v in known], 12)}.")
    return known.index(label)


def read_candidates(
    X: pd.DataFrame | ArrayLike,
    arms: Arms,
    formula: str | None,
    model: Any | None,
    folds: int | None,
    random_state: int | None,
    argument: str = "model",
) -> Candidates:
    """Encode the covariates, check that the arms share their values, and deal customers into folds.

    `argument` names the model in errors.
    """
    frame = feature_frame(X)
    if len(frame) != len(arms.code):
        raise DataError(f"X has {counted(len(frame), 'row')}, arm has {len(arms.code):,}; they must match row for row.")
    if model is not None and (
        isinstance(model, type) or not (hasattr(model, "fit") and hasattr(model, "predict_proba"))
    ):
        raise DataError(
            f"{argument}={model!r} gives no probabilities: pass a scikit-learn classifier with predict_proba (SVC only with "
            "probability=True, LinearSVC in a CalibratedClassifierCV), or leave it out for logistic regression."
        )
    check_seed(random_state)
    fold = _folds(arms, _n_folds(folds, model), random_state)
    if isinstance(model, Pipeline) and formula is None:
        # it encodes and imputes by itself
        return Candidates(frame, list(frame.columns), model, fold)
    encoder = DesignEncoder(formula).fit(frame)
    design = encoder.design(frame)
    if np.isnan(design).any():
        raise DataError(
            f"Covariates are missing: {missing_report(design, frame[encoder.columns_])}. Impute them (with an indicator of "
            "being missing), give a Pipeline that does, or leave these customers out of the comparison on purpose."
        )
    if model is None:
        _refuse_lone_levels(frame, encoder, arms)
    _refuse_separate_arms(encoder, design, arms, complete_only=model is not None)
    return Candidates(design, encoder.terms_, model, fold)


def _n_folds(folds: int | None, model: Any | None) -> int:
    if folds is None:
        return 1 if model is None else 5
    if isinstance(folds, bool) or not isinstance(folds, int | np.integer) or folds < 1:
        raise DataError(f"folds={folds!r}: give a whole number, 1 (no cross-fitting) or more.")
    return int(folds)


def _folds(arms: Arms, n_folds: int, random_state: int | None) -> Ints:
    """Deal customers into folds at random, arm by arm, so that every fold has its share of each arm."""
    if n_folds == 1:
        return np.zeros(len(arms.unit), dtype=np.int64)
    n_units = int(arms.unit.max()) + 1
    if n_folds > n_units:
        raise DataError(f"folds={n_folds} for {counted(n_units, 'customer')}: ask for fewer folds.")
    latest = np.zeros(n_units, dtype=np.int64)
    np.maximum.at(latest, arms.unit, arms.code)
    order = np.lexsort((np.random.default_rng(random_state).permutation(n_units), latest))
    fold = np.empty(n_units, dtype=np.int64)
    fold[order] = np.arange(n_units) % n_folds
    of_row = fold[arms.unit]
    for k in range(n_folds):
        absent = np.flatnonzero(np.bincount(arms.code[of_row != k], minlength=len(arms.labels)) == 0)
        if len(absent):
            raise DataError(
                f"All customers of arm {arms.labels[absent[0]]!r} are in fold {k + 1} of {n_folds}: the model of the other "
                "folds never sees the arm. Ask for fewer folds, or leave the arm out."
            )
    return of_row


def _refuse_lone_levels(frame: pd.DataFrame, encoder: DesignEncoder, arms: Arms) -> None:
    """Refuse levels of categories that an arm lacks: the likelihood has no maximum, and these customers no counterpart."""
    for column, levels in encoder.levels_.items():
        at = pd.Index(levels).get_indexer(pd.Index(frame[column]))
        counts = np.zeros((len(levels), len(arms.labels)), dtype=np.int64)
        np.add.at(counts, (at, arms.code), 1)
        for level, of_arm in zip(levels, counts, strict=True):
            if np.count_nonzero(of_arm) < len(arms.labels):
                empty = arms.labels[int(np.argmin(of_arm))]
                raise NotIdentifiedError(
                    f"Column {column!r} separates the arms: of {counted(int(of_arm.sum()), 'row')} with {level!r} none is in "
                    f"arm {empty!r}, so nothing says how these customers would have done there. {_REMEDY}"
                )


def _refuse_separate_arms(encoder: DesignEncoder, design: Floats, arms: Arms, complete_only: bool) -> None:
    """Refuse columns by which an arm can be told from another, or (unless `complete_only`) some customers' arm can."""
    varies = np.ptp(design, axis=0) > 0
    for a, b in permutations(range(len(arms.labels)), 2):
        top, bottom = design[arms.code == a].max(axis=0), design[arms.code == b].min(axis=0)
        apart = varies & ((top < bottom) if complete_only else (top <= bottom))
        if not apart.any():
            continue
        j = int(np.argmax(apart))
        one, other = repr(arms.labels[a]), repr(arms.labels[b])
        what = f"Column {encoder.terms_[j]!r} separates the arms: "
        if top[j] < bottom[j]:
            raise NotIdentifiedError(
                f"{what}it is at most {top[j]:g} in arm {one} and at least {bottom[j]:g} in arm {other}. No customer of one "
                "has a counterpart in the other. Is it the rule of assignment, or known only after it? Leave the column out "
                "if it is no confounder, or compare customers near the threshold."
            )
        of_pair = np.isin(arms.code, (a, b))
        above, below = (int(np.sum(of_pair & side)) for side in (design[:, j] > top[j], design[:, j] < top[j]))
        parts = [f"{counted(above, 'row')} above {top[j]:g} in arm {other} only"] if above else []
        parts += [f"{counted(below, 'row')} below {top[j]:g} in arm {one} only"] if below else []
        raise NotIdentifiedError(f"{what}{' and '.join(parts)}, so nothing compares these customers. {_REMEDY}")


def fitted_probabilities(candidates: Candidates, code: Ints, n_arms: int, times: Ints | None = None) -> Floats:
    """Give the (n, K) probabilities of the arms, each row's from the folds without it.

    `times` (n,) says how often a row was drawn in a resample: a row drawn twice counts twice, in the fold it has always had.
    """
    n = len(code)
    probability = np.full((n, n_arms), np.nan)
    for k in range(candidates.n_folds):
        mine = np.arange(n) if candidates.n_folds == 1 else np.flatnonzero(candidates.fold == k)
        others = np.arange(n) if candidates.n_folds == 1 else np.flatnonzero(candidates.fold != k)
        if times is not None:
            others = np.repeat(others, times[others])
        if candidates.classifier is None:
            fit = logistic(np.asarray(candidates.rows(others)), code[others], n_arms)
            probability[mine] = fit.probabilities(np.asarray(candidates.rows(mine)))
            continue
        model = clone(candidates.classifier).fit(candidates.rows(others), code[others])
        of_class = model.predict_proba(candidates.rows(mine))
        if len(model.classes_) < n_arms:
            raise DataError("A resample lacks an arm.")
        probability[mine] = of_class
    return probability


class Logistic(NamedTuple):
    """A fitted logistic regression: one column of coefficients per arm but the reference's, NaN where redundant."""

    intercept: Floats  #: (K − 1,)
    coef: Floats  #: (p, K − 1)

    def probabilities(self, design: Floats) -> Floats:
        """Give the probabilities of the K arms, (n, K)."""
        score = design @ np.nan_to_num(self.coef) + self.intercept
        score = np.column_stack((np.zeros(len(design)), score))
        score = np.exp(score - score.max(axis=1, keepdims=True))
        return np.asarray(score / score.sum(axis=1, keepdims=True))


def logistic(design: Floats, code: Ints, n_arms: int) -> Logistic:
    """Fit the maximum-likelihood (multinomial) logistic regression by Newton's method."""
    if len(np.unique(code)) < n_arms:
        raise DataError("A resample lacks an arm.")
    centre, scale = design.mean(axis=0), design.std(axis=0)
    varies = scale > 1e-12 * (1 + np.abs(centre))
    z = (design - centre) / np.where(varies, scale, 1.0)
    kept = np.flatnonzero(varies)
    if len(kept):
        # columns that are combinations of others add nothing to the probabilities
        r, pivot = qr(z[:, kept], mode="r", pivoting=True)
        diagonal = np.abs(np.diag(r[: len(kept)]))
        kept = np.sort(kept[pivot[: int(np.count_nonzero(diagonal > 1e-9 * diagonal[0]))]])
    coef = np.full((design.shape[1], n_arms - 1), np.nan)
    if not len(kept):
        share = np.bincount(code, minlength=n_arms) / len(code)
        return Logistic(np.log(share[1:] / share[0]), coef)
    # Newton's method on two arms is exact to rounding; of the solvers for more arms this is the closest
    solver = {"solver": "newton-cholesky"} if n_arms == 2 else {"solver": "newton-cg"}
    with warnings.catch_warnings():
        # under separation it ends where the probabilities no longer change, which the caller looks at
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=200, **solver).fit(z[:, kept], code)
    raw, intercept = (model.coef_, model.intercept_)
    if n_arms > 2:
        raw, intercept = raw[1:] - raw[0], intercept[1:] - intercept[0]
    coef[kept] = raw.T / scale[kept, None]
    return Logistic(np.asarray(intercept - centre[kept] @ coef[kept]), coef)

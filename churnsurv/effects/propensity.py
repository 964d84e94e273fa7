"""The propensity: the probability of each arm, given what was known of the customer when it was assigned."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline

from churnsurv.data.features import feature_frame
from churnsurv.effects.propensity_fit import (
    SEPARATED,
    Candidates,
    arm_position,
    fitted_probabilities,
    logistic,
    read_arm_labels,
    read_candidates,
)
from churnsurv.effects.weights import Estimand, arm_weights, check_weighting, refuse_impossible
from churnsurv.exceptions import DataError, NotIdentifiedError, PositivityWarning
from churnsurv.messages import counted, first_of, one_number

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: an arm less probable than this is hardly ever seen among customers of the kind
RARE = 0.01


@dataclass(frozen=True, repr=False, eq=False)
class Propensity:
    """Probabilities of the arms, row for row, and what they are good for.

    Parameters
    ----------
    arms : tuple
        Labels of the K arms, the reference first.
    code : (n,)
        Position of each row's arm in `arms`.
    probability : (n, K)
        Probability of each arm; rows sum to 1.
    coefficients : DataFrame or None
        Of the logistic regression fitted to all rows: index term, a column per arm but the reference; NaN for columns that are
        combinations of others. None for other models and with cross-fitting.
    log_likelihood : float
        Σ log of the probability of the arm that the row is in.
    n_customers : int
    method : str
        Model and folds in words.

    Examples
    --------
    See :func:`propensity`.
    """

    arms: tuple[Any, ...]
    code: Ints
    probability: Floats
    coefficients: pd.DataFrame | None
    log_likelihood: float
    n_customers: int
    method: str

    @property
    def score(self) -> Floats:
        """Probability of the arm that is not the reference, (n,); of two arms only."""
        if len(self.arms) != 2:
            raise DataError(f"There are {len(self.arms)} arms, so no single score: use probability, (n, K).")
        return self.probability[:, 1]

    def weights(
        self,
        estimand: Estimand = "ate",
        *,
        treated: Any = None,
        stabilised: bool = False,
        truncate: float | None = None,
        trim: float | None = None,
    ) -> Floats:
        """Give the weights under which the arms are alike in the covariates, (n,).

        Parameters
        ----------
        estimand : {"ate", "att", "overlap"}
            Whose average effect the weighted comparison is of: all customers ("ate": 1/probability of the own arm), those
            `treated` ("att"), or those who could well have been in any arm ("overlap", never above 1, balances the means of
            the covariates of an unpenalised two-arm logistic regression exactly; Li, Morgan and Zaslavsky 2018).
        treated : label, optional
            For "att" with more than two arms.
        stabilised : bool
            "ate" weights times the arm's share: mean about 1. Curves are the same, a hazard ratio is not quite.
        truncate : float, optional
            Set weights beyond the quantiles q and 1 − q to these: less variance, some bias (Cole and Hernán 2008).
        trim : float, optional
            Leave out (weight 0) customers to whom some arm came with a probability below this (Crump et al. 2009: 0.1); the
            effect is then of those who remain.

        Raises
        ------
        NotIdentifiedError
            A customer whose own arm was all but impossible.

        Warns
        -----
        PositivityWarning
            Customers to whom an arm that is needed came with a probability below 1 %.
        """
        check_weighting(estimand, stabilised, truncate, trim)
        target = self._target(treated)
        refuse_impossible(self.probability, self.code, self.arms, estimand, target, trim)
        self.warn_of_rare(estimand, target, trim, stacklevel=3)
        return arm_weights(
            self.probability,
            self.code,
            estimand,
            target=target,
            stabilised=stabilised,
            truncate=truncate,
            trim=trim,
        )

    def positivity(self, threshold: float = RARE) -> pd.DataFrame:
        """Describe how probable each arm was for all customers.

        Returns
        -------
        DataFrame
            Index arm; columns n (rows in it), share, lowest, q05, median, q95, highest (of its probability over all rows),
            n_below (rows to which it came with a probability below `threshold`), n_outside (rows of other arms whose
            probability lies outside the range of the rows in it: they have no counterpart there).
        """
        least = one_number(threshold, "threshold")
        rows = {}
        for k, label in enumerate(self.arms):
            p, inside = self.probability[:, k], self.code == k
            low, high = p[inside].min(), p[inside].max()
            q = np.quantile(p, [0.0, 0.05, 0.5, 0.95, 1.0])
            rows[label] = [
                int(inside.sum()), inside.mean(), *q, int(np.sum(p < least)), int(np.sum((p < low) | (p > high))),
            ]  # fmt: skip
        columns = ["n", "share", "lowest", "q05", "median", "q95", "highest", "n_below", "n_outside"]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        return table.rename_axis("arm")

    def to_frame(self) -> pd.DataFrame:
        """Give arm and the probability of each arm, a row per row of the data."""
        frame = pd.DataFrame(self.probability, columns=[f"probability_{label}" for label in self.arms])
        frame.insert(0, "arm", np.array(self.arms, dtype=object)[self.code])
        return frame

    def warn_of_rare(self, estimand: Estimand, target: int, trim: float | None, stacklevel: int) -> None:
        """Warn of customers to whom an arm that the estimand needs came with a probability below 1 %."""
        if estimand == "overlap":
            return
        needed = [k for k in range(len(self.arms)) if estimand == "ate" or k != target]
        rare = self.probability[:, needed].min(axis=1) < RARE
        if trim is not None:
            rare &= self.probability.min(axis=1) >= trim
        rows = np.flatnonzero(rare)
        if len(rows):
            arm = self.arms[needed[int(self.probability[rows[0]][needed].argmin())]]
            warnings.warn(
                f"{counted(len(rows), 'row')} of {len(self.code):,} (row {first_of(rows)}) had a probability of "
                f"{'an arm' if len(needed) > 1 else f'arm {arm!r}'} below {RARE:.0%}: few customers there carry the "
                "comparison, and an error of the model much of it. Look at positivity(); consider "
                "estimand='overlap' or trim=0.05.",
                PositivityWarning,
                stacklevel=stacklevel,
            )

    def _target(self, treated: Any) -> int:
        if treated is None:
            return 1
        position = arm_position(self.arms, treated, "treated")
        if position == 0:
            raise DataError(f"treated={treated!r} is the reference: give another arm, or another reference.")
        return position

    def __repr__(self) -> str:
        low, high = self.probability.min(), self.probability.max()
        return (
            f"Propensity of {first_of([repr(a) for a in self.arms], 12)} for {counted(len(self.code), 'row')} "
            f"({counted(self.n_customers, 'customer')}): {self.method}; probabilities from {low:.3g} to {high:.3g}"
        )


def propensity(
    X: pd.DataFrame | ArrayLike,
    arm: ArrayLike,
    *,
    formula: str | None = None,
    model: Any | None = None,
    folds: int | None = None,
    cluster: ArrayLike | None = None,
    reference: Any = None,
    random_state: int | None = 0,
) -> Propensity:
    """Estimate the probability of each arm given the covariates (Rosenbaum and Rubin 1983).

    Weights made of it remove confounding if all that made customers get an arm and leave sooner or later is in X, was known
    when the arm was assigned, and no customer was bound to an arm. Columns that come after assignment must not be in X.

    Parameters
    ----------
    X : frame or array of n rows
        Confounders, one row per assignment.
    arm : (n,)
        Two or more arms.
    formula : str, optional
        Right-hand side in formulaic's grammar; default: every column, categories by indicators.
    model : scikit-learn classifier, optional
        With ``predict_proba``; it is cloned. A Pipeline gets X as it is (and may impute). Default: unpenalised logistic
        regression (multinomial for more arms) at its maximum likelihood, R's ``glm``.
    folds : int, optional
        Cross-fitting: the probabilities of a customer come from a model that has not seen him (Chernozhukov et al. 2018), which
        flexible models need. Default: 5 for a given model, 1 (none) for the logistic regression.
    cluster : (n,), optional
        Customer of each row; all rows of a customer are in one fold. Default: every row is a customer.
    reference : label, optional
        The arm compared with; default the first in sorted order.
    random_state : int, optional
        Seed of the folds; a classifier has its own.

    Returns
    -------
    Propensity

    Raises
    ------
    DataError
        One arm, or an arm of one customer; a missing arm; missing covariates (named); an arm that the model of a fold never
        sees; an unknown reference; a model without probabilities.
    NotIdentifiedError
        A column, or a combination of columns, separates the arms.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"debt_to_income": [20, 31, 45, 38, 22, 40, 35, 28] * 10})
    >>> arm = ["none", "deferral", "deferral", "none", "none", "deferral", "none", "none"] * 10
    >>> ps = cs.effects.propensity(X, arm, reference="none")
    >>> ps.score[:3].round(2)
    array([0.03, 0.23, 0.87])
    >>> ps.weights("overlap").round(2)[:3]
    array([0.03, 0.77, 0.13])
    """
    n = len(feature_frame(X))
    arms = read_arm_labels(arm, n, cluster, reference)
    candidates = read_candidates(X, arms, formula, model, folds, random_state)
    return propensity_of(candidates, arms.code, arms.labels, int(arms.unit.max()) + 1)


def propensity_of(candidates: Candidates, code: Ints, labels: tuple[Any, ...], n_customers: int) -> Propensity:
    """Fit the model of checked rows; a logistic regression without a finite estimate is refused."""
    coefficients = None
    if candidates.classifier is None and candidates.n_folds == 1:
        fit = logistic(np.asarray(candidates.design), code, len(labels))
        probability = fit.probabilities(np.asarray(candidates.design))
        coefficients = pd.DataFrame(
            np.vstack((fit.intercept, fit.coef)), ["Intercept", *candidates.terms], list(labels[1:])
        ).rename_axis("term")
    else:
        probability = fitted_probabilities(candidates, code, len(labels))
    if candidates.classifier is None:
        _refuse_separation(candidates, code, labels, probability)
    own = probability[np.arange(len(code)), code]
    with np.errstate(divide="ignore"):
        log_likelihood = float(np.log(own).sum())
    return Propensity(labels, code, probability, coefficients, log_likelihood, n_customers, _words(candidates))


def _refuse_separation(candidates: Candidates, code: Ints, labels: tuple[Any, ...], probability: Floats) -> None:
    rows = np.flatnonzero(probability.min(axis=1) < SEPARATED)
    if not len(rows):
        return
    design = np.asarray(candidates.design)
    fit = logistic(design, code, len(labels))
    strength = np.nan_to_num(np.abs(fit.coef).max(axis=1) * design.std(axis=0))
    raise NotIdentifiedError(
        f"The covariates separate the arms: {counted(len(rows), 'row')} (row {first_of(rows)}) had an arm with a probability "
        f"of 0 to rounding, most of all by column {candidates.terms[int(np.argmax(strength))]!r}. The logistic regression has "
        "no finite estimate, and customers there no counterpart. Leave out what follows from the assignment, join rare "
        "levels, or pass a penalised model= and trim=."
    )


def _words(candidates: Candidates) -> str:
    model = candidates.classifier
    last = model[-1] if isinstance(model, Pipeline) else model
    name = "logistic regression" if model is None else type(last).__name__
    return f"{name}, {'not cross-fitted' if candidates.n_folds == 1 else f'cross-fitted in {candidates.n_folds} folds'}"

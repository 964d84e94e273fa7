"""Weights that make arms comparable, made of the probabilities of getting them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.messages import counted, first_of, one_number
from churnsurv.rows import row_labels, row_numbers

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Estimand = Literal["ate", "att", "overlap"]

#: a received arm less probable than this gives a row the weight of a million customers
IMPOSSIBLE = 1e-6


class Weighting(NamedTuple):
    """How probabilities become weights."""

    estimand: Estimand
    stabilised: bool
    truncate: float | None
    trim: float | None


def check_weighting(estimand: Any, stabilised: bool, truncate: Any, trim: Any) -> None:
    """Refuse options of :func:`arm_weights` that are not known."""
    if estimand not in get_args(Estimand):
        raise DataError(f"estimand={estimand!r} is not known: use one of {list(get_args(Estimand))}.")
    if stabilised and estimand != "ate":
        raise DataError(
            f"stabilised=True is for estimand='ate'; the weights of {estimand!r} are at most what they are."
        )
    for name, value in (("truncate", truncate), ("trim", trim)):
        if value is not None and not 0 <= one_number(value, name) < 0.5:
            raise DataError(f"{name}={value!r}: give a share from 0 to below 0.5, such as 0.01.")


def arm_weights(
    probability: Floats,
    code: Ints,
    estimand: Estimand,
    *,
    target: int = 1,
    stabilised: bool = False,
    truncate: float | None = None,
    trim: float | None = None,
    times: Ints | None = None,
) -> Floats:
    """Give the weight of each row, (n,), from the (n, K) probabilities of the arms.

    With p_a the probability of the row's own arm: "ate" 1/p_a (stabilised: P(a)/p_a), "att" p_target/p_a, "overlap"
    (Σ_k 1/p_k)⁻¹/p_a (Li and Li 2019; of two arms the probability of the other arm, Li, Morgan and Zaslavsky 2018). Rows in
    which an arm is less probable than `trim` get 0 (Crump et al. 2009); then weights beyond the quantiles `truncate` and
    1 − `truncate` are set to them (Cole and Hernán 2008). `times` says how often rows count.
    """
    own = probability[np.arange(len(code)), code]
    kept = np.ones(len(code), dtype=bool) if trim is None else probability.min(axis=1) >= trim
    count = kept.astype(np.int64) if times is None else kept * times
    with np.errstate(divide="ignore", invalid="ignore"):
        if estimand == "ate":
            # of those kept: trimming changes whom the comparison is about
            share = np.bincount(code, weights=count, minlength=probability.shape[1]) / count.sum()
            weight = (share[code] if stabilised else 1.0) / own
        elif estimand == "att":
            weight = np.where(code == target, 1.0, probability[:, target] / own)
        else:
            weight = 1 / np.sum(1 / probability, axis=1) / own
            # an arm of probability 0 has no counterpart, and no weight
            weight = np.where(probability.min(axis=1) > 0, weight, 0.0)
    weight = np.where(kept, weight, 0.0)
    if truncate is not None:
        low, high = np.quantile(np.repeat(weight, count), [truncate, 1 - truncate])
        weight = np.where(kept, np.clip(weight, low, high), 0.0)
    return np.asarray(weight)


def log_weight_slopes(probability: Floats, code: Ints, estimand: Estimand, target: int) -> Floats:
    """Give the derivative of the logarithm of :func:`arm_weights` by linear predictors of a logistic regression, (n, K − 1).

    The predictor of arm j moves log p_k by 1(k = j) − p_j, and −log Σ_k 1/p_k by (1/p_j)/Σ_k 1/p_k − p_j. Weights must be
    positive (other rows get a number without a use), shares of the arms and cuts are held.
    """
    own = (code[:, None] == np.arange(1, probability.shape[1])).astype(np.float64)
    if estimand == "ate":
        return np.asarray(probability[:, 1:] - own)
    if estimand == "att":
        return np.asarray((np.arange(1, probability.shape[1]) == target) - own)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / probability
        return np.asarray(np.nan_to_num(inverse[:, 1:] / inverse.sum(axis=1, keepdims=True) - own))


def refuse_impossible(
    probability: Floats, code: Ints, labels: tuple[Any, ...], estimand: Estimand, target: int, trim: float | None
) -> None:
    """Refuse rows whose own arm was all but impossible: their weight has no end."""
    if estimand == "overlap":
        return
    own = probability[np.arange(len(code)), code]
    bad = own < IMPOSSIBLE
    if estimand == "att":
        bad &= code != target
    if trim is not None:
        bad &= probability.min(axis=1) >= trim
    rows = np.flatnonzero(bad)
    if len(rows):
        raise NotIdentifiedError(
            f"{counted(len(rows), 'row')} (row {first_of(rows)}) of arm {labels[code[rows[0]]]!r} had a probability of it of "
            f"{own[rows[0]]:.1g}: the weight would be without end. Use estimand='overlap', trim=0.05, or a model with more "
            "customers per leaf."
        )


def effective_sample_size(sample_weight: ArrayLike, arm: ArrayLike) -> pd.Series:
    """Give (Σw)²/Σw² of each arm: how many customers of equal weight would say as much (Kish 1965).

    Parameters
    ----------
    sample_weight : (n,)
        Positive; 0 leaves a row out.
    arm : (n,)

    Returns
    -------
    Series
        By arm.

    Raises
    ------
    DataError
        Weights that are negative or missing, or all 0 in an arm.

    Examples
    --------
    >>> import churnsurv as cs
    >>> cs.effects.effective_sample_size([1, 1, 1, 4], ["a", "a", "b", "b"]).round(2).tolist()
    [2.0, 1.47]
    """
    code, labels = row_labels(arm, np.size(arm), "arm")
    weight = read_weights(sample_weight, code, labels)
    total, square = (np.bincount(code, weights=weight**power) for power in (1, 2))
    return pd.Series(total**2 / square, pd.Index(labels, name="arm"), name="effective_sample_size")


def read_weights(weights: ArrayLike, code: Ints, labels: pd.Index) -> Floats:
    """Give the weights of rows, which must be 0 or more, with some weight in every arm."""
    weight = row_numbers(weights, len(code), "sample_weight")
    if weight is None:
        raise DataError("sample_weight is None: give one number per row, such as propensity(X, arm).weights('ate').")
    negative = np.flatnonzero(weight < 0)
    if len(negative):
        raise DataError(
            f"sample_weight has {counted(len(negative), 'negative value')} (row {first_of(negative)}; "
            f"{weight[negative[0]]:g}). "
            "A weight is the number of customers a row stands for."
        )
    empty = labels[np.bincount(code, weights=weight, minlength=len(labels)) <= 0]
    if len(empty):
        raise DataError(f"Every weight of arm {first_of([repr(v) for v in empty])} is zero: nobody of it is left.")
    return weight

"""Splits by customer: a customer has several loans, a loan has many spells, and none of them is on both sides.

Rows drawn one by one would put a customer into development and test, and flatter the model. Splits by date are in
:mod:`churnsurv.data.calendar_splits`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold, train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target

from churnsurv.data.landmark import Cohort
from churnsurv.data.spells import Spells
from churnsurv.exceptions import DataError, SmallSampleWarning
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, row_labels

Ints = NDArray[np.int64]
_Sample = TypeVar("_Sample", Spells, Cohort)


class CustomerKFold(StratifiedGroupKFold):  # type: ignore[misc]
    """Folds of whole customers with about the same number of events of each cause, for scikit-learn's cross-validation.

    Customers are spread by their event, by the rarest one when their rows have several. The folds depend on the customers
    and their events, not on the order of the rows.

    Parameters
    ----------
    n_splits : int
        Number of folds, 2 or more.
    shuffle : bool
        Spread customers at random; else in blocks in the order of their identifiers, which is often that of time.
    random_state : int, RandomState or None
        Seed of the shuffle.

    Raises
    ------
    DataError
        No groups, or fewer customers than folds.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 4, 8, 2, 9], event=[1, 0, 1, 0, 1, 0])
    >>> folds = cs.data.CustomerKFold(3, random_state=0).split(y, y, groups=["a", "a", "b", "c", "d", "e"])
    >>> for train, test in folds:
    ...     assert not {"aabcde"[i] for i in train} & {"aabcde"[i] for i in test}
    """

    def __init__(self, n_splits: int = 5, *, shuffle: bool = True, random_state: Any = None) -> None:
        if isinstance(n_splits, bool) or not isinstance(n_splits, Integral) or n_splits < 2:
            raise DataError(f"n_splits={n_splits!r}: give a whole number of folds, 2 or more.")
        if not isinstance(shuffle, bool):
            raise DataError(f"shuffle={shuffle!r}: give True or False.")
        if not shuffle and random_state is not None:
            raise DataError("random_state has no effect without shuffle=True; leave it out.")
        super().__init__(n_splits=int(n_splits), shuffle=shuffle, random_state=random_state)

    def split(self, X: Any, y: Any = None, groups: ArrayLike | None = None) -> Iterator[tuple[Ints, Ints]]:
        """Give the positions of the rows to fit and to test, fold by fold.

        Parameters
        ----------
        X : array-like of n
            Only its length is looked at.
        y : Outcome, structured array of scikit-survival or labels, optional
            What is spread over the folds.
        groups : array of n
            Customer of each row: ``groups=spells.groups``.
        """
        if groups is None:
            raise DataError(
                "CustomerKFold needs the customer of each row: pass groups=spells.groups (or cohort.groups), e.g. "
                "cross_val_score(model, X, y, groups=spells.groups, cv=CustomerKFold(5))."
            )
        customer, labels = row_labels(groups, np.shape(groups if X is None else X)[0], "groups")
        _refuse_too_few(labels, int(self.n_splits), f"{self.n_splits} folds")
        event, names = _events_of(y, len(customer))
        self._warn_of_folds_without(customer, event, names)
        fold = self._fold_of_customers(rarest_event(customer, event, len(labels)))[customer]
        for number in range(self.n_splits):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)

    def _fold_of_customers(self, strata: Ints) -> Ints:
        options = {"n_splits": self.n_splits, "shuffle": self.shuffle, "random_state": _seed(self.random_state)}
        # scikit-learn refuses to stratify when no stratum reaches every fold
        kind = StratifiedKFold if np.bincount(strata).max() >= self.n_splits else KFold
        fold = np.empty(len(strata), np.int64)
        with warnings.catch_warnings():
            # small strata are warned of by cause, before
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            for number, (_, test) in enumerate(kind(**options).split(strata, strata)):
                fold[test] = number
        return fold

    def _warn_of_folds_without(self, customer: Ints, event: Ints, names: list[str]) -> None:
        for code, name in enumerate(names, start=1):
            n = len(np.unique(customer[event == code]))
            if 0 < n < self.n_splits:
                warnings.warn(
                    f"{name!r} happened to {counted(n, 'customer')}, fewer than {self.n_splits} folds: some folds are tested "
                    "without it.",
                    SmallSampleWarning,
                    stacklevel=3,
                )


def customer_split(sample: _Sample, *, test_share: float = 0.25, random_state: Any = None) -> tuple[_Sample, _Sample]:
    """Split spells or a cohort into two parts with different customers, and about the same share of each event.

    Parameters
    ----------
    sample : Spells or Cohort
    test_share : float
        Share of the customers in the second part.
    random_state : int, RandomState or None
        Seed of the draw.

    Returns
    -------
    development, test : of the kind of `sample`
        Each keeps its reconciliation: loans of the other part are counted as "of other customers".

    Raises
    ------
    DataError
        One customer only, or a share that leaves a part without customers.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> development, test = cs.data.customer_split(spells.landmark("2025-09-30"), random_state=1)
    >>> bool(set(development.groups) & set(test.groups))
    False
    """
    if not isinstance(sample, Spells | Cohort):
        raise DataError(f"{type(sample).__name__} cannot be split by customer; give spells or a cohort of them.")
    if isinstance(test_share, bool) or not isinstance(test_share, Real) or not 0 < float(test_share) < 1:
        raise DataError(f"test_share={test_share!r}: give a share between 0 and 1, such as 0.25.")
    customer, labels = row_labels(sample.groups, len(sample), "customer_id")
    _refuse_too_few(labels, 2, "two parts")
    n_test = round(float(test_share) * len(labels))
    if not 0 < n_test < len(labels):
        raise DataError(
            f"test_share={test_share:g} of {counted(len(labels), 'customer')} leaves a part without customers: give a share "
            f"from {1 / len(labels):.3g} to {1 - 1 / len(labels):.3g}."
        )
    event = pd.Categorical(sample.frame["cause"], categories=list(sample.rules.cause_names)).codes.astype(np.int64) + 1
    strata = _large_strata(rarest_event(customer, event, len(labels)), min(n_test, len(labels) - n_test))
    parts = train_test_split(labels.to_numpy(), test_size=n_test, random_state=_seed(random_state), stratify=strata)
    return sample.of_customers(parts[0]), sample.of_customers(parts[1])


def rarest_event(customer: Ints, event: Ints, n_customers: int) -> Ints:
    """Give the code of each customer's event, of several the one that the fewest customers had; 0 without any."""
    pairs = pd.DataFrame({"customer": customer, "event": event})[event > 0].drop_duplicates()
    pairs["n"] = pairs["event"].map(pairs["event"].value_counts())
    rarest = pairs.sort_values(["n", "event"], kind="stable").drop_duplicates("customer")
    strata = np.zeros(n_customers, np.int64)
    strata[rarest["customer"].to_numpy()] = rarest["event"].to_numpy()
    return strata


def _large_strata(strata: Ints, smaller_part: int) -> Ints | None:
    """Give strata that a draw can be stratified by: single customers join the others; None where there is no room."""
    sizes = np.bincount(strata)
    merged = np.where(sizes[strata] < 2, 0, strata)
    sizes = np.bincount(merged)
    sizes = sizes[sizes > 0]
    return merged if sizes.min() >= 2 and len(sizes) <= smaller_part else None


def _events_of(y: Any, n: int) -> tuple[Ints, list[str]]:
    """Give codes 0, 1, … of what is to be spread over the folds, and names of 1, 2, …; all 0 where nothing is."""
    if isinstance(y, Outcome) or getattr(getattr(y, "dtype", None), "names", None):
        outcome = as_outcome(y)
        codes, names = outcome.event, list(outcome.causes)
    elif y is not None and type_of_target(np.asarray(y)) in ("binary", "multiclass"):
        codes, labels = pd.factorize(np.asarray(y), sort=True)
        names = [str(label) for label in labels[1:]]
    else:
        return np.zeros(n, np.int64), []
    if len(codes) != n:
        raise DataError(f"y has {counted(len(codes), 'row')}, groups have {n:,}: give one customer per row.")
    return codes.astype(np.int64), names


def _refuse_too_few(labels: pd.Index, n: int, parts: str) -> None:
    if len(labels) == 1:
        raise DataError(
            f"All rows are of one customer ({labels[0]}): there is nothing to split. Are the groups the customers?"
        )
    if len(labels) < n:
        raise DataError(
            f"{counted(len(labels), 'customer')} ({first_of(labels)}) cannot be spread over {parts}: give fewer folds."
        )


def _seed(random_state: Any) -> Any:
    try:
        check_random_state(random_state)
    except ValueError:
        raise DataError(
            f"random_state={random_state!r} is no seed; give a whole number, a RandomState or None."
        ) from None
    return random_state

"""All pairs of arms, or all arms against one, by any test of arms, with p-values adjusted for their number."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.effects.arms import read_arms, values_of
from churnsurv.effects.logrank import logrank_test
from churnsurv.effects.multiplicity import Adjustment, adjusted_p_values, check_adjustment
from churnsurv.effects.named import checked_options
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.outcome import Outcome
from churnsurv.results import TestResult
from churnsurv.rows import as_outcome

#: options of the tests that have one value per row, and are cut to the rows of a pair
BY_ROW = ("X", "strata", "sample_weight", "cluster")


def pairwise_tests(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    test: Callable[..., TestResult] = logrank_test,
    adjust: Adjustment = "holm",
    reference: Any = None,
    **options: Any,
) -> pd.DataFrame:
    """Compare arms two by two, each pair on its own rows, and adjust the p-values.

    Parameters
    ----------
    y, arm
        As in the tests.
    test : function
        :func:`logrank_test`, :func:`gray_test`, :func:`maxcombo_test`, :func:`cox_test`, or any of that form.
    adjust : {"holm", "benjamini-hochberg", "bonferroni"}
        Holm's (1979) step-down bound of the probability of any false difference, under any dependence; Benjamini and
        Hochberg's (1995) expected share of false among the differences found; Bonferroni's bound.
    reference : label, optional
        Compare the other arms with this one only. Default: all pairs.
    **options
        Passed to `test`. X, strata, sample_weight and cluster have one value per row (no names of columns).

    Returns
    -------
    DataFrame
        Index arm, versus; columns statistic, df, p_value, adjusted_p_value, n, n_events; ``attrs`` says the test, its
        method and the adjustment.

    Raises
    ------
    DataError
        An unknown adjustment or reference; a test that is no function; as in the test.
    NotIdentifiedError
        As in the test: one pair that cannot be compared is an error, for it counts in the adjustment.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6, 7, 8, 9, 9], event=[1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 0])
    >>> table = cs.effects.pairwise_tests(y, ["a"] * 4 + ["b"] * 4 + ["c"] * 4)
    >>> table["adjusted_p_value"].round(3).to_list()
    [0.196, 0.137, 0.02]
    """
    y = as_outcome(y)
    codes, labels = read_arms(y, arm)
    check_adjustment(adjust)
    if reference is not None and reference not in labels:
        raise DataError(f"reference={reference!r} is no arm; the arms are {first_of([repr(v) for v in labels], 12)}.")
    if not callable(test):
        raise DataError(f"test={test!r} is no function: pass one of churnsurv.effects, such as gray_test.")
    said = getattr(test, "__name__", repr(test))
    checked_options(test, options, said)
    pairs = list(combinations(range(len(labels)), 2))
    if reference is not None:
        base = labels.tolist().index(reference)
        pairs = [(k, base) for k in range(len(labels)) if k != base]
    names = np.asarray(labels, dtype=object)
    results = []
    for one, other in pairs:
        kept = np.flatnonzero((codes == one) | (codes == other))
        mine = {
            name: value if name not in BY_ROW or value is None else values_of(value, kept, len(y), name)
            for name, value in options.items()
        }
        found = test(y[kept], pd.Series(names[codes[kept]]).infer_objects(), **mine)
        if not isinstance(found, TestResult):
            raise DataError(
                f"{said} gives {type(found).__name__}, no TestResult: pass a test of arms, such as gray_test."
            )
        results.append(found)
    columns = ["statistic", "df", "p_value", "n", "n_events"]
    table = pd.DataFrame([[getattr(r, c) for c in columns] for r in results], columns=columns)
    table.index = pd.MultiIndex.from_arrays([names[[p[k] for p in pairs]] for k in (0, 1)], names=["arm", "versus"])
    table.insert(3, "adjusted_p_value", adjusted_p_values(table["p_value"].to_numpy(), adjust))
    table.attrs = {"test": results[0].name, "method": results[0].method, "adjustment": adjust}
    return table

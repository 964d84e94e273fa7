"""Where covariates of spells are missing, and when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.config import did_you_mean
from churnsurv.data.spells import Spells
from churnsurv.exceptions import DataError


def missingness(spells: Spells, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Give the share of spells that lack each covariate, in all and in the first and last calendar quarter.

    A loan's first periods lack what is lagged by the rules; they do not count, so that what is missing here is a gap in the
    data rather than a value not yet known. Nothing is filled in: estimators that cannot use a spell leave it out
    (:meth:`Spells.complete`).

    Parameters
    ----------
    spells : Spells
        Whole rather than complete.
    columns : sequence of str, optional
        Default: the covariates of the rules.

    Returns
    -------
    DataFrame
        One row per column: column, spells (that should have it), missing, share, loans (that ever lack it), first, last
        (share missing in the first and the last quarter; NaN where no spell should have it).

    Raises
    ------
    DataError
        A column that the spells do not have.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> cs.data.missingness(spells, ["credit_score"])["missing"].tolist()
    [0]
    """
    names = list(spells.rules.covariate_names if columns is None else columns)
    unknown = [name for name in names if name not in spells.frame]
    if unknown:
        raise DataError(
            f"The spells have no column {unknown[0]!r}. {did_you_mean(unknown[0], [str(c) for c in spells.frame.columns])}"
        )
    longest = max([spells.rules.lag, *spells.rules.lags.values()])
    frame = spells.frame
    used = np.flatnonzero((frame["start"] >= frame["entry"] + longest).to_numpy())
    loan, code = frame["loan_id"].to_numpy()[used], pd.factorize(frame["period"].to_numpy()[used], sort=True)
    quarter = pd.PeriodIndex(code[1], freq="Q").astype("int64").to_numpy()[code[0]]
    ends = [quarter == end(quarter) for end in (np.min, np.max)] if len(used) else [np.zeros(0, dtype=bool)] * 2
    rows = []
    # column by column: of millions of spells a copy of all takes gigabytes
    for name in names:
        gap = frame[name].isna().to_numpy()[used]
        first, last = (_share(gap[end]) for end in ends)
        loans = len(pd.unique(loan[gap]))
        rows.append((name, len(used), int(gap.sum()), _share(gap), loans, first, last))
    return pd.DataFrame(rows, columns=["column", "spells", "missing", "share", "loans", "first", "last"])


def _share(which: NDArray[np.bool_]) -> float:
    return float(which.mean()) if len(which) else float("nan")

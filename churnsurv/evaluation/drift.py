"""Population and characteristic stability: whether today's customers are like those of the development."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.evaluation.inputs import rate_of, seed_of
from churnsurv.evaluation.stability import FIXED_RULE, CharacteristicStability, Stability
from churnsurv.evaluation.stability_bins import Binned, binned
from churnsurv.exceptions import DataError
from churnsurv.kernels.multiplicity import Adjustment, adjusted_p_values, check_adjustment, common_cut
from churnsurv.kernels.stability import (
    Null,
    clustered_null,
    contributions,
    independent_null,
    permuted_null,
    shares,
)
from churnsurv.messages import confidence_level, counted, first_of
from churnsurv.rows import row_labels

Method = Literal["auto", "analytic", "permutation"]
#: expected rows per bin of the smaller sample below which the chi-square is not relied on
_LEAST_EXPECTED = 10
#: the same where the covariance of clusters is estimated, and with it the chi-square
_LEAST_CLUSTERED = 100


def population_stability(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    bins: int = 10,
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    false_alarm_rate: float = 0.05,
    method: Method = "auto",
    draws: int = 1_999,
    seed: int = 0,
    level: float = 0.95,
    name: str = "score",
) -> Stability:
    """Compare the distribution of a score today with that of the development, with an alarm that knows the sample sizes.

    Without drift the index of independent samples of n and m rows is about (1/n + 1/m) times a chi-square with one degree of
    freedom less than there are bins, so that a fixed rule of 0.10 alarms at random in small samples and never in large ones.
    Edges at quantiles of the reference do not change that distribution to first order. With `groups` the covariance of the
    shares is that of sums over groups: several loans of one customer make the index larger by chance, the same customer in
    both samples makes it smaller; both are taken into account (Rao and Scott's second-order correction).

    Parameters
    ----------
    reference, current : (n,), (m,)
        The score or characteristic: numbers or labels, missing ones allowed (a bin of their own).
    bins : int
        Number of bins, between quantiles of the reference; fewer where quantiles are equal.
    groups : (labels (n,), labels (m,)), optional
        Independent units, e.g. customers; a label in both samples is the same customer. Without them all rows are taken as
        independent, and no row may be in both samples.
    false_alarm_rate : float
        Probability of an alarm when nothing has changed.
    method : {"auto", "analytic", "permutation"}
        Where the threshold is from: the (scaled) chi-square, or relabelled samples. "auto": permutations where a bin is
        expected to hold fewer than 10 rows of the smaller sample; 100 with `groups`.
    draws, seed : int
        Number and seed of the permutations.
    level : float
        Confidence level of the interval.
    name : str
        Name in the result.

    Returns
    -------
    Stability

    Raises
    ------
    DataError
        An empty sample, numbers compared with labels, infinite values, options out of range.

    References
    ----------
    Yurdakul, Naranjo (2020) J Risk Model Validation 14(4). Rao, Scott (1984) Ann Stat 12:46.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np
    >>> rng = np.random.default_rng(1)
    >>> moved = cs.evaluation.population_stability(rng.normal(size=500), rng.normal(0.3, 1, 500))
    >>> moved.alarm, round(moved.threshold, 3)
    (True, 0.068)
    """
    frames = [
        _column(values, which).to_frame(name) for which, values in (("reference", reference), ("current", current))
    ]
    options = _Options(bins, groups, false_alarm_rate, method, draws, seed, level, "holm")
    return _family(frames[0], frames[1], [name], options).characteristics[0]


def characteristic_stability(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Sequence[str] | None = None,
    *,
    bins: int = 10,
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    false_alarm_rate: float = 0.05,
    adjust: Adjustment = "holm",
    method: Method = "auto",
    draws: int = 1_999,
    seed: int = 0,
    level: float = 0.95,
) -> CharacteristicStability:
    """Compare the distribution of each covariate today with that of the development, with alarms for the family.

    Parameters
    ----------
    reference, current : DataFrame
        One row per loan. Numbers are binned at quantiles of the reference; labels, and numbers of at most `bins` different
        values, by level, with one bin for what the reference does not have and one for missing values.
    columns : sequence of str, optional
        Default: all columns of the reference.
    adjust : {"holm", "benjamini-hochberg", "bonferroni"}
        How the alarms account for the number of characteristics.
    bins, groups, false_alarm_rate, method, draws, seed, level
        As in :func:`population_stability`.

    Returns
    -------
    CharacteristicStability

    Raises
    ------
    DataError
        A column that one of the frames lacks; what :func:`population_stability` refuses.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> before = pd.DataFrame({"age": rng.normal(40, 9, 800), "region": rng.choice(["north", "south"], 800)})
    >>> today = pd.DataFrame({"age": rng.normal(44, 9, 800), "region": rng.choice(["north", "south"], 800)})
    >>> [one.name for one in cs.evaluation.characteristic_stability(before, today).alarms]
    ['age']
    """
    for which, frame in (("reference", reference), ("current", current)):
        if not isinstance(frame, pd.DataFrame):
            raise DataError(f"The {which} is a {type(frame).__name__}: give a DataFrame of the covariates.")
    if columns is not None and not isinstance(columns, Iterable):
        raise DataError(f"columns={columns!r}: give names of columns.")
    names = list(reference.columns) if columns is None else [columns] if isinstance(columns, str) else list(columns)
    for which, frame in (("reference", reference), ("current", current)):
        absent = [name for name in names if name not in frame.columns]
        if absent:
            raise DataError(f"The {which} has no column {first_of([repr(a) for a in absent])}: name common columns.")
    if not names or len(set(names)) < len(names):
        raise DataError(f"columns={names!r}: name at least one column, and each once.")
    return _family(
        reference, current, names, _Options(bins, groups, false_alarm_rate, method, draws, seed, level, adjust)
    )


def _column(values: ArrayLike, which: str) -> pd.Series:
    """Give one value per row; of a frame its only column."""
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        values = values.iloc[:, 0]
    array = values.array if isinstance(values, pd.Series) else np.asarray(values)
    if array.ndim != 1 or array.dtype.kind == "V":
        raise DataError(
            f"The {which} has the shape {np.shape(values)}: give one value per row; for several columns take "
            "characteristic_stability."
        )
    return pd.Series(array)


@dataclass(frozen=True)
class _Options:
    bins: int
    groups: tuple[ArrayLike, ArrayLike] | None
    rate: float
    method: str
    draws: int
    seed: int
    level: float
    adjust: str

    def __post_init__(self) -> None:
        confidence_level(self.level)
        check_adjustment(self.adjust)
        rate_of(self.rate)
        seed_of(self.seed)
        for name, value, least in (("bins", self.bins, 2), ("draws", self.draws, 99)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise DataError(f"{name}={value!r}: give a whole number of at least {least}.")
        if self.method not in get_args(Method):
            raise DataError(f"method={self.method!r} is not known: use one of {list(get_args(Method))}.")


def _family(
    reference: pd.DataFrame, current: pd.DataFrame, names: Sequence[str], options: _Options
) -> CharacteristicStability:
    for which, frame in (("reference", reference), ("current", current)):
        if len(frame) < 2:
            raise DataError(f"The {which} sample has {counted(len(frame), 'row')}: at least 2 are needed.")
    cluster = _clusters(options.groups, len(reference), len(current))
    found = [_one(binned(reference[name], current[name], options.bins, str(name)), cluster, options) for name in names]
    values = [float(contributions(counts).sum()) for counts, _ in (one[:2] for one in found)]
    p = np.array(
        [
            null.p_value(v) if counts.shape[1] > 1 else np.nan
            for v, (counts, null, *_) in zip(values, found, strict=True)
        ]
    )
    adjusted = adjusted_p_values(p, options.adjust)
    cut = common_cut(adjusted, options.rate, options.adjust)
    return CharacteristicStability(
        tuple(
            _record(str(name), value, one, (float(p[i]), float(adjusted[i]), cut), options)
            for i, (name, value, one) in enumerate(zip(names, values, found, strict=True))
        ),
        options.adjust,
        options.rate,
    )


def _clusters(groups: tuple[ArrayLike, ArrayLike] | None, n: int, m: int) -> NDArray[np.int64] | None:
    """Give the codes of the groups over both samples, one after the other."""
    if groups is None:
        return None
    if not isinstance(groups, tuple | list) or len(groups) != 2:
        raise DataError("groups: give a pair, the labels of the reference rows and those of the current rows.")
    labels = [np.asarray(one).reshape(-1) for one in groups]
    for which, one, rows in (("reference", labels[0], n), ("current", labels[1], m)):
        if len(one) != rows:
            raise DataError(f"groups has {len(one):,} labels for {rows:,} rows of the {which} sample.")
    both = pd.concat([pd.Series(one) for one in labels], ignore_index=True)
    if both.isna().any():
        raise DataError(
            f"groups has {counted(int(both.isna().sum()), 'missing label')}: name the customer of each row."
        )
    # sorted, so that permutations do not depend on the order of the rows
    codes = row_labels(both, n + m, "groups")[0].astype(np.int64)
    if codes.max() < 1:
        raise DataError(
            "All rows are of one group: nothing is known of how groups differ. Give groups=None or customers."
        )
    return codes


def _one(
    bins: Binned, cluster: NDArray[np.int64] | None, options: _Options
) -> tuple[NDArray[np.float64], Null, Binned, str]:
    """Count the bins and give the distribution of the index without drift."""
    n_bins = len(bins.labels)
    counts = np.stack([np.bincount(codes, minlength=n_bins) for codes in (bins.reference, bins.current)]).astype(float)
    if n_bins == 1:
        return counts, Null(0.0, 1.0, 1.0), bins, "one bin only: nothing to compare"
    sample = np.repeat([0, 1], [len(bins.reference), len(bins.current)]).astype(np.int64)
    code = np.concatenate((bins.reference, bins.current))
    least = float(counts.sum(axis=0).min() / counts.sum() * counts.sum(axis=1).min())
    enough = _LEAST_EXPECTED if cluster is None else _LEAST_CLUSTERED
    units = "independent rows" if cluster is None else "clusters over both samples"
    if options.method == "permutation" or (options.method == "auto" and least < enough):
        rng = np.random.default_rng(options.seed)
        null = permuted_null(sample, code, cluster, n_bins, int(options.draws), rng)
        return counts, null, bins, f"{counted(int(options.draws), 'permutation')} of {units}, edges fixed"
    if cluster is None:
        return counts, independent_null(counts), bins, f"chi-square of {units}"
    null = clustered_null(sample, code, cluster, n_bins)
    return counts, null, bins, f"Rao-Scott scaled chi-square of {units}"


def _record(
    name: str,
    value: float,
    found: tuple[NDArray[np.float64], Null, Binned, str],
    p: tuple[float, float, float],
    options: _Options,
) -> Stability:
    counts, null, bins, method = found
    p_value, p_adjusted, cut = p
    n, m = (int(total) for total in counts.sum(axis=1))
    share = shares(counts)
    table = pd.DataFrame(
        {
            "bin": bins.labels,
            "n_reference": counts[0].astype(int),
            "n_current": counts[1].astype(int),
            "share_reference": counts[0] / n,
            "share_current": counts[1] / m,
            "contribution": (share[1] - share[0]) * np.log(share[1] / share[0]),
        }
    ).sort_values("contribution", ascending=False, kind="stable", ignore_index=True)
    known = null.scale > 0
    se, lower, upper = null.interval(value, options.level) if known else (np.nan, np.nan, np.nan)
    rule = ("stable", "moderate shift", "large shift")[int(np.searchsorted(FIXED_RULE, value, side="right"))]
    return Stability(
        name=name,
        value=value,
        se=se,
        lower=lower,
        upper=upper,
        level=options.level,
        threshold=null.threshold(cut) if known else np.nan,
        false_alarm_rate=options.rate,
        p_value=p_value,
        p_adjusted=p_adjusted,
        alarm=bool(p_adjusted <= options.rate),
        expected=null.expected,
        fixed_rule=rule,
        fixed_rule_false_alarms=null.p_value(FIXED_RULE[0]) if known else 0.0,
        fixed_rule_false_large=null.p_value(FIXED_RULE[1]) if known else 0.0,
        design_effect=null.design_effect,
        n_reference=n,
        n_current=m,
        bins=table,
        method=f"index over {counted(len(bins.labels), 'bin')}; threshold: {method}",
    )

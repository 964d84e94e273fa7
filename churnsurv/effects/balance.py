"""How alike arms are in their covariates, before and after weighting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.features import feature_frame, is_categorical, levels_of
from churnsurv.effects.propensity_fit import read_arm_labels
from churnsurv.effects.weights import read_weights
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of, numeric_column

Floats = NDArray[np.float64]


def balance_table(
    X: pd.DataFrame | ArrayLike, arm: ArrayLike, sample_weight: ArrayLike | None = None, *, reference: Any = None
) -> pd.DataFrame:
    """Compare the covariates of the arms, before and after weighting.

    The standardised mean difference is (mean of the arm − mean of the reference)/√((s²_arm + s²_reference)/2) with the
    variances before weighting in both columns, so that weighting changes the numerator only (Austin 2009). Below 0.1 is
    usually taken for balanced. Variances under weights are Σw(x − x̄)²/(Σw − Σw²/Σw).

    Parameters
    ----------
    X : frame or array of n rows
        Numbers as they are; categories give a row per level, as 0/1.
    arm : (n,)
        Two or more arms; each is compared with the reference.
    sample_weight : (n,), optional
        As of :meth:`Propensity.weights`; without them the table has the columns before weighting only.
    reference : label, optional
        Default: the first arm in sorted order.

    Returns
    -------
    DataFrame
        Columns arm, term, mean, reference_mean, smd, variance_ratio (NaN for levels, where the mean says it), and with weights
        weighted_mean, weighted_reference_mean, weighted_smd, weighted_variance_ratio. A column that is constant in both arms
        has the difference 0 if the means agree, else an infinite one.

    Raises
    ------
    DataError
        Missing covariates (named), missing or unknown arms, an arm of one row; negative or missing weights, or all 0 in an
        arm.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"debt_to_income": [20, 31, 45, 38, 22, 40, 35, 28] * 10})
    >>> arm = ["none", "deferral", "deferral", "none", "none", "deferral", "none", "none"] * 10
    >>> ps = cs.effects.propensity(X, arm, reference="none")
    >>> table = cs.effects.balance_table(X, arm, ps.weights("overlap"), reference="none")
    >>> bool(table.loc[0, "smd"] > 1), bool(abs(table.loc[0, "weighted_smd"]) < 1e-8)
    (True, True)
    """
    frame = feature_frame(X)
    arms = read_arm_labels(arm, len(frame), None, reference)
    columns = dict(_columns(frame))
    values = np.column_stack(list(columns.values()))
    is_level = np.array(["=" in term and term not in frame.columns for term in columns])
    weight = None if sample_weight is None else read_weights(sample_weight, arms.code, pd.Index(arms.labels))
    base = arms.code == 0
    mean_0, variance_0 = _moments(values[base], None)
    parts = []
    for k, label in enumerate(arms.labels[1:], 1):
        mean, variance = _moments(values[arms.code == k], None)
        spread = np.sqrt((variance + variance_0) / 2)
        part = {
            "arm": [label] * len(columns),
            "term": list(columns),
            "mean": mean,
            "reference_mean": mean_0,
            "smd": _standardised(mean - mean_0, spread),
            "variance_ratio": _ratio(variance, variance_0, is_level),
        }
        if weight is not None:
            mean_w, variance_w = _moments(values[arms.code == k], weight[arms.code == k])
            mean_0w, variance_0w = _moments(values[base], weight[base])
            part |= {
                "weighted_mean": mean_w,
                "weighted_reference_mean": mean_0w,
                "weighted_smd": _standardised(mean_w - mean_0w, spread),
                "weighted_variance_ratio": _ratio(variance_w, variance_0w, is_level),
            }
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _columns(frame: pd.DataFrame) -> list[tuple[str, Floats]]:
    missing = frame.columns[frame.isna().any()]
    if len(missing):
        rows = np.flatnonzero(frame[missing[0]].isna())
        raise DataError(
            f"Column {missing[0]!r} has {counted(len(rows), 'missing value')} (row {first_of(rows)}). Impute them, and add a "
            f"column that says where, so that the balance of being missing is seen too: X.assign({missing[0]}_missing="
            f"X[{missing[0]!r}].isna())."
        )
    made: list[tuple[str, Floats]] = []
    for name in frame.columns:
        if is_categorical(frame[name]):
            held = frame[name].astype(object)
            made += [(f"{name}={v}", (held == v).to_numpy(dtype=np.float64)) for v in levels_of(frame[name])]
        else:
            made.append((str(name), numeric_column(frame[name], str(name))))
    return made


def _moments(values: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    w = np.ones(len(values)) if weight is None else weight
    total = w.sum()
    mean = w @ values / total
    left = total - (w @ w) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        return mean, np.asarray(w @ (values - mean) ** 2 / left)


def _standardised(difference: Floats, spread: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((difference == 0) & (spread == 0), 0.0, difference / spread)


def _ratio(above: Floats, below: Floats, is_level: NDArray[np.bool_]) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(is_level, np.nan, above / below)

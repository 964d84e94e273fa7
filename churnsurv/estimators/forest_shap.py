"""SHAP values of a forest's risk at a horizon, by the trees of the library shap (an optional dependency).

A forest answers by the pooled counts of its leaves, which is no sum over trees. Explained is what is one: the mean over the
trees of the leaf's own cumulative incidence. Each tree is explained in its own encoding (an unordered category by the tree's
own ranks), and the values are added, as Shapley values are linear in what they explain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from churnsurv.data.features import feature_frame
from churnsurv.estimators.dependence import evenly_spread
from churnsurv.estimators.forest_inputs import numeric_columns
from churnsurv.estimators.forest_rows import binned
from churnsurv.estimators.inputs import requested_start
from churnsurv.exceptions import ChurnSurvError, DataError
from churnsurv.kernels.forest_leaves import leaf_risks, mean_leaf_value
from churnsurv.kernels.forest_split import MISSING
from churnsurv.kernels.times import steps_until
from churnsurv.messages import counted, first_of, one_number

if TYPE_CHECKING:
    from churnsurv.estimators.forest import RandomSurvivalForest

Floats = NDArray[np.float64]

#: customers that others are compared with by default, and at most
BACKGROUND, MOST_BACKGROUND = 100, 1_000
#: fewest customers with a prediction that serve as their own background: of one alone all contributions are 0
LEAST_OWN = 20
_WALK = ("node_begin", "leaf_begin", "level_begin", "feature", "cut", "child", "missing_left", "level_rank")
_COUNTS = ("risk_begin", "risk_time", "risk_change", "event_begin", "event_time", "event_cause", "event_count")


@dataclass(frozen=True, repr=False, eq=False)
class ShapValues:
    """Contributions of the columns to the risk of single customers.

    Parameters
    ----------
    values : (n, p)
        Contribution of each column: ``base_value`` plus a row's sum is its ``explained`` risk.
    base_value : float
        Mean explained risk of the background customers.
    data : DataFrame (n, p)
        The customers' columns.
    explained : (n,)
        Mean over the trees of the leaf's own risk: what the values add up to.
    pooled : (n,)
        The forest's prediction, from the pooled counts of its leaves.
    cause : str
    horizon : float
    n_background : int
        Customers that were compared with.
    """

    values: Floats
    base_value: float
    data: pd.DataFrame
    explained: Floats
    pooled: Floats
    cause: str
    horizon: float
    n_background: int

    @property
    def correlation(self) -> float:
        """Correlation of what is explained with the forest's prediction, over the customers."""
        known = np.isfinite(self.explained)
        return float(np.corrcoef(self.explained[known], self.pooled[known])[0, 1]) if known.sum() > 1 else np.nan

    @property
    def mean_absolute_difference(self) -> float:
        """Mean absolute difference of what is explained from the forest's prediction."""
        known = np.isfinite(self.explained)
        return float(np.abs(self.explained - self.pooled)[known].mean()) if known.any() else np.nan

    def to_frame(self) -> pd.DataFrame:
        """Give the values with a row per customer and a column per column."""
        return pd.DataFrame(self.values, index=self.data.index, columns=self.data.columns)

    def mean_absolute(self) -> pd.Series:
        """Give the mean absolute contribution of each column, the largest first."""
        return self.to_frame().abs().mean().sort_values(ascending=False)

    def to_explanation(self) -> Any:
        """Give a ``shap.Explanation``, for the figures of shap."""
        return _shap().Explanation(
            self.values,
            base_values=np.full(len(self.values), self.base_value),
            data=self.data.to_numpy(),
            feature_names=list(self.data.columns),
        )

    def __repr__(self) -> str:
        return (
            f"ShapValues of the risk of {self.cause} within {self.horizon:g}: {counted(len(self.values), 'customer')} against "
            f"{self.n_background:,}, base {self.base_value:.4f}; what is explained (mean of the trees) correlates "
            f"{self.correlation:.4f} with the forest's prediction and differs by {self.mean_absolute_difference:.4f} on "
            f"average\n{self.mean_absolute().to_string(float_format='{:.4f}'.format)}"
        )


def shap_values(
    forest: RandomSurvivalForest,
    X: pd.DataFrame | ArrayLike,
    *,
    horizon: float,
    cause: str | None,
    start: float | None,
    background: pd.DataFrame | ArrayLike | None,
    progress: bool,
) -> ShapValues:
    """Give SHAP values; see :meth:`churnsurv.RandomSurvivalForest.shap_values`."""
    check_is_fitted(forest)
    shap, horizon = _shap(), one_number(horizon, "horizon")
    begin = None if start is None else one_number(start, "start")
    frame = feature_frame(X, names=forest.feature_names_in_)
    origin = float(requested_start(begin, 1, np.array([forest.first_entry_]))[0])
    if origin + horizon > forest.last_:
        raise DataError(
            f"Time {origin + horizon:g} is past the last time known ({forest.last_:g}): ask for less than it."
        )
    curves = forest.predict_curves(frame, [origin + horizon], start=begin)
    pooled = curves.risk(cause, horizon, strict=True)
    cause = forest.causes_[0] if cause is None else cause
    codes = binned(numeric_columns(frame, forest.columns_, forest.levels_), forest.bin_edges_)
    known = np.isfinite(pooled)
    names = list(forest.feature_names_in_)
    if not known.any():
        silent = np.full(len(frame), np.nan)
        return ShapValues(
            np.full((len(frame), len(names)), np.nan), np.nan, frame[names], silent, silent, cause, horizon, 0
        )
    if background is None and known.sum() < LEAST_OWN:
        raise DataError(
            f"X has {counted(int(known.sum()), 'row')} with a prediction, too few to compare each with the others: pass "
            f"background=, a sample of some {BACKGROUND} customers such as the training rows."
        )
    compared = _background(
        forest, frame[known] if background is None else background, pooled[known], background is None
    )
    tree_parts = forest.trees_
    leaf_risk = leaf_risks(  # type: ignore[call-arg]
        *(tree_parts[name] for name in _COUNTS), forest.portfolio_hazard_, forest.causes_.index(cause),
        0 if begin is None else int(steps_until(forest.event_times_, np.array([begin]))[0]),
        int(steps_until(forest.event_times_, np.array([origin + horizon]))[0]),
    )  # fmt: skip
    walk = [tree_parts[name] for name in _WALK]
    values = np.zeros((len(frame), len(forest.columns_)))
    n_trees = len(walk[0]) - 1
    for tree in tqdm(range(n_trees), desc="Explaining trees", unit="tree", disable=not progress):
        masker = shap.maskers.Independent(_encoded(forest, compared, tree), max_samples=compared.shape[1])
        described = {"trees": [_described(forest, tree, leaf_risk / n_trees)]}
        explainer = shap.TreeExplainer(described, masker, feature_perturbation="interventional")
        values += explainer.shap_values(_encoded(forest, codes, tree), check_additivity=False)
    explained = mean_leaf_value(codes, *walk, leaf_risk)  # type: ignore[call-arg]
    base = mean_leaf_value(compared, *walk, leaf_risk).mean()  # type: ignore[call-arg]
    values[~known], explained[~known] = np.nan, np.nan
    return ShapValues(
        values=values[:, [forest.columns_.index(name) for name in names]],
        base_value=float(base),
        data=frame[names],
        explained=explained,
        pooled=pooled,
        cause=cause,
        horizon=horizon,
        n_background=compared.shape[1],
    )


def _background(
    forest: RandomSurvivalForest, given: pd.DataFrame | ArrayLike, risk: Floats, from_rows: bool
) -> NDArray[np.uint8]:
    """Give the cells (p, m) of the customers to compare with: those given, or some of X spread over the order of risk."""
    frame = feature_frame(given, names=forest.feature_names_in_)
    if from_rows:
        frame = frame.iloc[evenly_spread(risk, np.full(len(risk), 1 / len(risk)), min(BACKGROUND, len(risk)))]
    if len(frame) > MOST_BACKGROUND:
        raise DataError(
            f"background has {len(frame):,} rows; the work grows with them and {BACKGROUND} are enough. Pass a sample of at "
            f"most {MOST_BACKGROUND:,}."
        )
    numbers = numeric_columns(frame, forest.columns_, forest.levels_)
    unknown = [
        column
        for column, values in zip(forest.columns_, numbers.T, strict=True)
        if column not in forest.missing_columns_ and np.isnan(values).any()
    ]
    if unknown:
        raise DataError(f"background lacks values in {first_of(map(repr, unknown))}, which the fit never did.")
    return binned(numbers, forest.bin_edges_)


def _encoded(forest: RandomSurvivalForest, codes: NDArray[np.uint8], tree: int) -> Floats:
    """Give the cells (n, p) as one tree orders them; missing values are NaN."""
    levels, ranks = forest.trees_["level_begin"], forest.trees_["level_rank"]
    encoded = codes.T.astype(np.float64)
    for f in np.flatnonzero(np.diff(levels)):
        at = tree * int(levels[-1]) + int(levels[f])
        rank = np.append(ranks[at : at + levels[f + 1] - levels[f]].astype(np.float64), np.nan)
        encoded[:, f] = rank[np.minimum(codes[f], len(rank) - 1)]
    encoded[codes.T == MISSING] = np.nan
    return encoded


def _described(forest: RandomSurvivalForest, tree: int, leaf_value: Floats) -> dict[str, Any]:
    """Give one tree as shap reads it: x ≤ threshold goes left, missing values to the default child."""
    parts = forest.trees_
    nodes = slice(parts["node_begin"][tree], parts["node_begin"][tree + 1])
    feature, child = parts["feature"][nodes].astype(np.int32), parts["child"][nodes].astype(np.int32)
    is_leaf = feature < 0
    left, right = np.where(is_leaf, -1, child), np.where(is_leaf, -1, child + 1)
    value = np.zeros(len(feature))
    value[is_leaf] = leaf_value[parts["leaf_begin"][tree] + child[is_leaf]]
    return {
        "children_left": left,
        "children_right": right,
        "children_default": np.where(parts["missing_left"][nodes] == 1, left, right),
        "features": feature,
        "thresholds": parts["cut"][nodes].astype(np.float64) + 0.5,
        "values": value[:, None],
        # how many training rows came by is not kept, and the comparison with a background does not need it
        "node_sample_weight": np.ones(len(feature)),
    }


def _shap() -> Any:
    try:
        import shap
    except ImportError:
        raise ChurnSurvError(
            "SHAP values need the library shap, which is not installed: pip install 'churnsurv[explain]'."
        ) from None
    return shap

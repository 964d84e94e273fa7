"""Growing the trees of a forest: the sample of each tree, the trees in one set of arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tqdm import tqdm

from churnsurv.estimators.forest_rows import TrainingRows
from churnsurv.kernels.forest import grow_tree
from churnsurv.kernels.forest_scores import Criterion, Sample

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

#: names of the arrays of a tree, in the order the kernels take them
TREE_ARRAYS = (
    "feature",
    "cut",
    "child",
    "missing_left",
    "level_rank",
    "risk_begin",
    "risk_time",
    "risk_change",
    "event_begin",
    "event_time",
    "event_cause",
    "event_count",
)


class Growth(NamedTuple):
    """How trees are grown; `n_drawn` subjects drawn with replacement, None: all taken once."""

    n_drawn: int | None
    min_samples_leaf: int
    max_depth: int | None
    n_features: int
    at_random: bool


def portfolio_counts(rows: TrainingRows, n_causes: int) -> tuple[Floats, Floats]:
    """Give the hazards (K, T) of the causes in the whole sample, and its number at risk (T,)."""
    n_times = len(rows.grid)
    change = np.bincount(rows.first, rows.weight, n_times + 1) - np.bincount(rows.last, rows.weight, n_times + 1)
    at_risk = np.cumsum(change)[:n_times]
    events = np.zeros((n_causes, n_times))
    happened = rows.cause > 0
    np.add.at(events, (rows.cause[happened] - 1, rows.last[happened] - 1), rows.weight[happened])
    # sums of weights of very different size may fall short by rounding
    at_risk = np.maximum(at_risk, events.sum(axis=0))
    return events / at_risk, at_risk


def draw_counts(n_subjects: int, n_drawn: int, seed: int) -> NDArray[np.int64]:
    """Give how often a bootstrap sample with this seed holds each subject."""
    return np.bincount(np.random.default_rng(seed).integers(0, n_subjects, n_drawn), minlength=n_subjects)


def drawn_subjects(n_subjects: int, n_drawn: int, seeds: NDArray[np.int64]) -> Bytes:
    """Give which trees (B) drew which subjects, (B, n_subjects + 1); the last column, of rows left out, is 0."""
    drawn = np.zeros((len(seeds), n_subjects + 1), dtype=np.uint8)
    for tree, seed in enumerate(seeds.tolist()):
        drawn[tree, :-1] = draw_counts(n_subjects, n_drawn, seed) > 0
    return drawn


def grow_one(rows: TrainingRows, criterion: Criterion, n_causes: int, growth: Growth, seed: int) -> tuple[Any, ...]:
    """Draw the sample of one tree and grow it. A plain function of arrays, so that any joblib backend can run it."""
    weight, chosen = rows.weight, None
    if growth.n_drawn is not None:
        weight = weight * draw_counts(rows.n_subjects, growth.n_drawn, seed)[rows.subject]
        chosen = np.flatnonzero(weight > 0)
        weight = weight[chosen]

    def taken(part: NDArray[Any]) -> NDArray[Any]:
        # a copy: memory-mapped rows of other processes are read-only, and the kernel writes over the codes
        return np.array(part) if chosen is None else np.take(np.asarray(part), chosen, axis=-1)

    subject = taken(rows.subject)
    single = bool((np.diff(subject) > 0).all())
    sample = Sample(
        taken(rows.codes), taken(rows.first), taken(rows.last), taken(rows.cause), subject, np.array(weight), single
    )
    depth = np.iinfo(np.int32).max if growth.max_depth is None else growth.max_depth
    causes, stay, inverse, gray = criterion
    own = Criterion(np.array(causes), np.array(stay), np.array(inverse), gray)
    tree = grow_tree(
        sample, np.array(rows.level_begin), own, n_causes,
        growth.min_samples_leaf, depth, growth.n_features, growth.at_random, np.uint64(seed),
    )  # fmt: skip
    if not np.array_equal(rows.weight, np.floor(rows.weight)) or rows.weight.max() * len(weight) >= 2**24:
        return tree  # type: ignore[no-any-return]
    # counts of customers are exact in half the space; fractional weights are not
    return tuple(part.astype(np.float32) if part.dtype == np.float64 else part for part in tree)


def grow_forest(
    rows: TrainingRows,
    criterion: Criterion,
    n_causes: int,
    seeds: NDArray[np.int64],
    growth: Growth,
    *,
    n_jobs: int | None,
    verbose: bool,
) -> dict[str, Any]:
    """Grow one tree per seed: in threads, or by the joblib backend that is configured."""
    # not every backend hands out results one by one, so progress is that of the trees begun
    begun = tqdm(seeds.tolist(), desc="Growing trees", unit="tree", disable=not verbose)
    trees = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(grow_one)(rows, criterion, n_causes, growth, seed) for seed in begun
    )
    return flat_forest(trees, rows.level_begin)


def flat_forest(trees: list[tuple[NDArray[Any], ...]], level_begin: NDArray[np.int32]) -> dict[str, Any]:
    """Put the trees' arrays one after the other; node_begin and leaf_begin say where each tree starts."""
    forest: dict[str, Any] = {}
    for position, name in enumerate(TREE_ARRAYS):
        parts = [tree[position] for tree in trees]
        if name.endswith("begin"):
            ends = np.cumsum([part[-1] for part in parts])
            parts = [part[:-1] + end - part[-1] for part, end in zip(parts, ends, strict=True)]
            parts.append(ends[-1:])
        forest[name] = np.concatenate(parts)
    leaves = TREE_ARRAYS.index("risk_begin")
    forest["node_begin"] = np.cumsum([0, *(len(tree[0]) for tree in trees)])
    forest["leaf_begin"] = np.cumsum([0, *(len(tree[leaves]) - 1 for tree in trees)])
    forest["level_begin"] = level_begin
    return forest

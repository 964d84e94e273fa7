"""Accuracy of the forest beside scikit-survival's: the same public data, splits and settings, paired differences.

    python benchmarks/forest_accuracy.py                                     # every data set, 30 seeds, about ten minutes
    python benchmarks/forest_accuracy.py --data GBSG2 pbc --seeds 3
    python benchmarks/forest_accuracy.py --table                             # the table of what is stored

Data are SurvSet's (``pip install SurvSet``; Drysdale 2022), rows with missing values left out; with several causes any event
counts. Times are rounded up to a ninetieth of their 95 % quantile for both, at most 100 distinct ones, as months would be
(scikit-survival's time grows with their number). Categories are columns of 0 and 1 for both, so that both search the same
cuts; "native" is churnsurv with the categories as they are. Leaves are of equal size (see LEAF). Each seed draws two thirds
of the rows for the fit and another seed of the forests. Measured on the other third: Harrell's C of the predicted risk, and
the Brier score integrated over 20 times between the first tenth and the eighth of the event times. Differences are churnsurv
minus scikit-survival (C: more is better; Brier: less). Intervals: Student's t over the seeds of a data set, and over the means
of the data sets. Results are kept line by line in a file, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

DATA = (
    "GBSG2", "LeukSurv", "TRACE", "Unemployment", "colon", "cost", "dataDIVAT2", "follic", "grace", "pbc", "prostate", "rdata",
    "retinopathy", "rott2", "scania", "whas500",
)  # fmt: skip
SETTINGS = {"n_estimators": 100, "max_features": "sqrt", "n_jobs": -1}
#: scikit-survival counts the different rows in a leaf, churnsurv their repetitions in the bootstrap sample too, of which there
#: are 1/(1 - 1/e) = 1.58 per row: leaves of equal size
LEAF = {"churnsurv": 24, "scikit-survival": 15}
MOST_TIMES = 100
#: categories of fewer rows become the most common one, so that none is met that no tree knows
RARE = 20
SCORES = ("c", "ibs")
#: what a difference may be at most, to say that two forests are as accurate
MARGIN = {"c": 0.01, "ibs": 0.005}


def data_set(name: str) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray]:
    """Give columns of numbers, columns with categories, months 1…100 and events."""
    from SurvSet.data import SurvLoader

    frame = SurvLoader().load_dataset(ds_name=name)["df"].dropna().reset_index(drop=True)
    categories = [column for column in frame.columns if column.startswith("fac_")]
    native = frame.drop(columns=["pid", "event", "time"])
    for column in categories:
        native[column] = native[column].astype(str)
        counts = native[column].value_counts()
        native[column] = native[column].where(native[column].map(counts) >= RARE, counts.index[0]).astype("category")
    numbers = pd.get_dummies(native, columns=categories, drop_first=True, dtype=float)
    step = frame["time"].quantile(0.95) / (0.9 * MOST_TIMES)
    month = np.maximum(np.ceil(frame["time"].to_numpy() / step - 1e-9), 1.0)
    event = ((month <= MOST_TIMES) & (frame["event"] > 0)).astype(int)  # any event, where there are several causes
    return numbers, native, np.minimum(month, MOST_TIMES), event


def horizons_of(month: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Give the times at which probabilities are judged."""
    return np.linspace(*np.quantile(month[event > 0], [0.1, 0.8]), 20)


def ours(X, y, train, test, horizons, seed):
    import churnsurv as cs

    forest = cs.RandomSurvivalForest(**SETTINGS, min_samples_leaf=LEAF["churnsurv"], random_state=seed).fit(
        X.iloc[train], y[train]
    )
    return forest.predict(X.iloc[test]), 1 - forest.predict_curves(X.iloc[test], horizons).survival


def theirs(X, y, train, test, horizons, seed):
    from sksurv.ensemble import RandomSurvivalForest

    settings = SETTINGS | {"min_samples_leaf": LEAF["scikit-survival"], "random_state": seed}
    forest = RandomSurvivalForest(**settings).fit(X.iloc[train], y[train].to_sksurv())
    at = np.searchsorted(forest.unique_times_, horizons, side="right") - 1
    survival = forest.predict_survival_function(X.iloc[test], return_array=True)
    return forest.predict(X.iloc[test]), 1 - np.where(at >= 0, survival[:, np.maximum(at, 0)], 1.0)


def run(name: str, seed: int) -> dict:
    """Fit the forests to one split of one data set."""
    import churnsurv as cs

    numbers, native, month, event = data_set(name)
    y, horizons = cs.Outcome(month, event), horizons_of(month, event)
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = np.split(order, [2 * len(y) // 3])
    made = {"data": name, "seed": seed, "n": len(y), "events": int(event.sum()), "columns": numbers.shape[1]}
    for library, work, X in (
        ("churnsurv", ours, numbers),
        ("scikit-survival", theirs, numbers),
        ("native", ours, native),
    ):
        begin = time.perf_counter()
        risk, gone = work(X, y, train, test, horizons, seed)
        made[library] = {
            "c": cs.metrics.concordance_index(y[test], risk).value,
            "ibs": cs.metrics.integrated_brier_score(y[test], gone, horizons).value,
            "seconds": time.perf_counter() - begin,
        }
    return made


def stored(path: Path) -> pd.DataFrame:
    """Give the runs in the file, one row each."""
    lines = path.read_text().splitlines() if path.exists() else []
    return pd.json_normalize([json.loads(line) for line in lines])


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Give the mean and the ends of its 95 % interval."""
    mean, half = float(np.mean(values)), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return mean, mean - half, mean + half


def differences(runs: pd.DataFrame, library: str, score: str) -> pd.Series:
    """Give each run's difference to scikit-survival."""
    return runs[f"{library}.{score}"] - runs[f"scikit-survival.{score}"]


def table(runs: pd.DataFrame) -> list[str]:
    """Give the table in markdown."""
    n_seeds = runs.groupby("data")["seed"].nunique().min()
    lines = [
        f"Differences to scikit-survival, at least {n_seeds} seeds each, mean [95 % interval]. C: more is better, Brier: less.",
        "",
        "| data | rows | events | columns | C, sksurv | churnsurv | native | Brier, sksurv | churnsurv | native |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    means = {}
    for name, of_data in runs.groupby("data"):
        cells = []
        for score in SCORES:
            cells.append(f"{of_data[f'scikit-survival.{score}'].mean():.3f}")
            for library in ("churnsurv", "native"):
                difference = differences(of_data, library, score)
                means.setdefault((library, score), []).append(difference.mean())
                cells.append(_cell(difference.to_numpy()))
        first = of_data.iloc[0]
        lines.append(f"| {name} | {first['n']:,} | {first['events']:,} | {first['columns']} | {' | '.join(cells)} |")
    cells = [
        "" if library is None else f"**{_cell(np.array(means[library, score]))}**"
        for score in SCORES
        for library in (None, "churnsurv", "native")
    ]
    lines += [f"| mean of the data sets | | | | {' | '.join(cells)} |", ""]
    for score, margin in MARGIN.items():
        inside = [
            name
            for name, of_data in runs.groupby("data")
            if np.all(np.abs(mean_interval(differences(of_data, "churnsurv", score))[1:]) <= margin)
        ]
        lines.append(f"{score}: interval within ±{margin} on {len(inside)} of {runs['data'].nunique()} data sets.")
    return lines


def _cell(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():+.4f}"
    return "{:+.4f} [{:+.4f}, {:+.4f}]".format(*mean_interval(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--results", type=Path, default=Path("forest_accuracy.jsonl"), help="file that keeps the runs")
    parser.add_argument("--table", action="store_true", help="only print the table of the stored runs")
    options = parser.parse_args()
    runs = stored(options.results)
    done = set() if runs.empty else set(zip(runs["data"], runs["seed"], strict=True))
    if not options.table:
        # one seed of all data sets before the next, so that a part of the run says something of each
        for seed in range(options.seeds):
            for name in options.data:
                if (name, seed) in done:
                    continue
                made = run(name, seed)
                with options.results.open("a") as file:
                    file.write(json.dumps(made) + "\n")
                print(name, seed, {k: made[k] for k in ("churnsurv", "scikit-survival", "native")}, flush=True)
    runs = stored(options.results)
    if runs.empty:
        print(f"{options.results} holds no run.")
        return
    print("\n".join(table(runs[runs["data"].isin(options.data)])))


if __name__ == "__main__":
    main()

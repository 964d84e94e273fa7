"""Forests beside their peers: same data, same run, each fit in a process of its own.

    python benchmarks/forest.py                                              # every case, peers that are installed
    python benchmarks/forest.py --case 10k --repeat 3
    python benchmarks/forest.py --case 1M --peers churnsurv
    python benchmarks/forest.py --case 100k --rows 50000 --trees 20 --budget 120
    python benchmarks/forest.py --table                                      # the tables of what is stored

Measured: processor and wall seconds of the fit and of predicting 10,000 held-out rows (risk, and probabilities at 10 times),
memory of the fit above what the process held before, and the peak of all, size on disk (churnsurv: its own file;
scikit-survival: pickle; ranger: R's compressed saveRDS), Harrell's C and integrated Brier score on the held-out rows, leaves
per tree. All processors are used by all. Leaves are of about equal size: 15 different rows, which churnsurv counts with their
repetitions in the bootstrap sample as 24, and ranger in its threshold for trying to split (min.node.size).

A peer grows one tree first. When all trees would take longer than the budget, it grows as many as fit in, and its seconds and
its size are those of all trees at that rate (marked ~). Where not even one tree is finished in time, the table says so. Results
are kept line by line in a file, so that a run that was stopped goes on. R is measured when ``Rscript`` and its package ranger
are there (Debian: r-cran-ranger).
"""

from __future__ import annotations

import argparse
import gc
import json
import pickle
import shutil
import statistics
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import in_a_process_of_its_own, measured, peak_mb

#: case → rows, columns
CASES = {"2k": (2_000, 10), "10k": (10_000, 30), "100k": (100_000, 10), "1M": (1_000_000, 30)}
LIBRARIES = ("churnsurv", "scikit-survival", "ranger")
TREES = 100
HELD_OUT = 10_000
HORIZONS = np.arange(6.0, 61.0, 6.0)
LEAF = {"churnsurv": 24, "scikit-survival": 15, "ranger": 24}
#: columns of a result that grow with the number of trees
PER_TREE = ("fit_cpu", "fit_wall", "predict_cpu", "predict_wall", "disk")


def portfolio(rows: int, columns: int, seed: int = 1) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Give covariates, months 1…120 with heavy ties and exits (a third of the rows; the others are censored).

    The log hazard is linear in one column, bends in the second, and two more interact; the others are noise.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns))
    risk = 0.4 * x[:, 0] + 0.4 * np.abs(x[:, 1]) + 0.5 * (x[:, 2] > 0) * x[:, 3] - 0.3
    exit_month = np.ceil(rng.exponential(150 * np.exp(-risk)))
    censored = np.ceil(rng.uniform(0, 120, rows))
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(columns)], copy=False)
    return frame, np.minimum(exit_month, censored), (exit_month <= censored).astype(int)


def fit_churnsurv(x, stop, event, trees):
    import churnsurv as cs

    forest = cs.RandomSurvivalForest(trees, min_samples_leaf=LEAF["churnsurv"], n_jobs=-1, random_state=1)
    return forest.fit(x, cs.Outcome(stop, event))


def fit_sksurv(x, stop, event, trees):
    from sksurv.ensemble import RandomSurvivalForest
    from sksurv.util import Surv

    forest = RandomSurvivalForest(trees, min_samples_leaf=LEAF["scikit-survival"], n_jobs=-1, random_state=1)
    return forest.fit(x, Surv.from_arrays(event == 1, stop))


def predict_churnsurv(forest, x):
    return forest.predict(x), forest.predict_curves(x, HORIZONS).survival


def predict_sksurv(forest, x):
    at = np.searchsorted(forest.unique_times_, HORIZONS, side="right") - 1
    return forest.predict(x), forest.predict_survival_function(x, return_array=True)[:, at]


def size_churnsurv(forest, folder):
    import churnsurv as cs

    return cs.save(forest, Path(folder) / "forest").stat().st_size


def size_sksurv(forest, folder):
    with (Path(folder) / "forest").open("wb") as file:
        pickle.dump(forest, file)
    return (Path(folder) / "forest").stat().st_size


def leaves_churnsurv(forest):
    return float(forest.trees_["leaf_begin"][-1]) / len(forest.seeds_)


def leaves_sksurv(forest):
    return float(np.mean([tree.tree_.n_leaves for tree in forest.estimators_]))


WORK = {
    "churnsurv": (fit_churnsurv, predict_churnsurv, size_churnsurv, leaves_churnsurv),
    "scikit-survival": (fit_sksurv, predict_sksurv, size_sksurv, leaves_sksurv),
}


def measure(library: str, rows: int, columns: int, trees: int) -> dict[str, Any]:
    """Fit, predict and save once, in this process or in R, and give what was measured."""
    # the held-out rows are drawn after the others: they are the same whatever is done with those
    new, stop, event = portfolio(HELD_OUT, columns, seed=2)
    if library == "ranger":
        found, risk, survival = measure_r(new, rows, columns, trees)
    else:
        found, risk, survival = measure_here(library, new, rows, columns, trees)
    import churnsurv as cs

    y = cs.Outcome(stop, event)
    return found | {
        "c": cs.metrics.concordance_index(y, risk).value,
        "ibs": cs.metrics.integrated_brier_score(y, 1 - survival, HORIZONS).value,
    }


def measure_here(library: str, new: pd.DataFrame, rows: int, columns: int, trees: int) -> tuple[dict, Any, Any]:
    fit, predict, size, leaves = WORK[library]
    # imports and compiled code are loaded before the clock starts
    predict(fit(*portfolio(500, columns), 2), new[:50])
    x, stop, event = portfolio(rows, columns)
    gc.collect()
    held: dict[str, Any] = {}
    fitted = measured(lambda: held.update(forest=fit(x, stop, event, trees)) or {})
    peak = peak_mb()
    predicted = measured(lambda: held.update(answers=predict(held["forest"], new)) or {})
    with tempfile.TemporaryDirectory() as folder:
        disk = size(held["forest"], folder) / 2**20
    found = {f"fit_{key}": fitted[key] for key in ("cpu", "wall")} | {
        f"predict_{key}": predicted[key] for key in ("cpu", "wall")
    }
    about = {"memory": fitted["memory"], "peak": peak, "disk": disk, "leaves": leaves(held["forest"])}
    return found | about | {"events": int(event.sum()), "version": version(library)}, *held["answers"]


def measure_r(new: pd.DataFrame, rows: int, columns: int, trees: int) -> tuple[dict, Any, Any]:
    """Fit and predict once in R."""
    x, stop, event = portfolio(rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        np.asarray(x, dtype=float).T.tofile(here / "x.bin")
        np.asarray(new, dtype=float).T.tofile(here / "new.bin")
        stop.tofile(here / "stop.bin")
        event.astype(float).tofile(here / "event.bin")
        HORIZONS.tofile(here / "horizons.bin")
        sizes = [str(size) for size in (rows, len(new), columns, len(HORIZONS), trees, LEAF["ranger"])]
        command = ["Rscript", str(Path(__file__).with_suffix(".R")), folder, *sizes]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(output.strip().splitlines()[-1])
        survival = np.fromfile(here / "survival.bin").reshape(len(HORIZONS), len(new)).T
        return found | {"events": int(event.sum())}, np.fromfile(here / "risk.bin"), survival


def is_here(library: str) -> bool:
    """Whether a library is installed."""
    if library == "ranger":
        probe = ["Rscript", "-e", "library(ranger)"]
        there = shutil.which("Rscript") is not None
        return there and subprocess.run(probe, check=False, capture_output=True).returncode == 0
    try:
        return bool(version(library))
    except PackageNotFoundError:
        return False


def run(library: str, rows: int, columns: int, trees: int, budget: float) -> dict[str, Any]:
    """Measure a library with as many trees as the budget allows."""

    def child(n: int) -> dict[str, Any]:
        size = ["--rows", str(rows), "--columns", str(columns), "--trees", str(n)]
        # twice the budget: the data and the held-out scores are not of the fit
        limit = None if library == "churnsurv" else 2 * budget + 60
        return in_a_process_of_its_own(__file__, ["--measure", library, *size], limit) | {"trees_run": n}

    if library == "churnsurv":
        return child(trees)
    made: dict[str, Any] = {"trees_run": 0}
    try:
        made = child(1)
        n = min(trees, int(budget / max(made["fit_wall"] + made["predict_wall"], 1e-3)))
        made = child(n) if n > 1 else made
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        # one tree is kept where all of them take longer than it promised
        print(f"{library}: {error}")
    return made


def stored(path: Path) -> list[dict[str, Any]]:
    """Give the results in the file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the medians of repeats, at the rate of all trees."""
    scale = [run["trees"] / run["trees_run"] for run in runs]
    values = {
        key: statistics.median(run[key] * (by if key in PER_TREE else 1.0) for run, by in zip(runs, scale, strict=True))
        for key in runs[0]
        if isinstance(runs[0][key], int | float)
    }
    return values | {"mark": "~" if max(scale) > 1 else "", "version": runs[0]["version"]}


def table(results: list[dict[str, Any]]) -> list[str]:
    """Give a table in markdown for each size that was measured."""
    lines: list[str] = []
    for size in sorted({(run["rows"], run["columns"], run["trees"]) for run in results}):
        here = [run for run in results if (run["rows"], run["columns"], run["trees"]) == size]
        ours = [run for run in here if run["library"] == "churnsurv"]
        lines += [
            "",
            "{:,} rows x {} columns, {} trees".format(*size),
            "",
            *_rows_of(here, medians(ours) if ours else None),
        ]
    return lines


def _rows_of(here: list[dict[str, Any]], ours: dict[str, Any] | None) -> list[str]:
    lines = [
        "| library | fit CPU s | wall s | CPU ratio | predict CPU s | memory over data, MB | peak, MB | disk, MB | disk ratio "
        "| C | Brier | leaves | runs |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for library in LIBRARIES:
        runs = [run for run in here if run["library"] == library]
        finished = [run for run in runs if run["trees_run"] > 0]
        if runs and not finished:
            lines.append(f"| {library} | no tree within {2 * runs[0]['budget'] + 60:g} s |" + " |" * 11)
        if not finished:
            continue
        m = medians(finished)
        ratio, disk_ratio = ("", "") if ours is None else (m["fit_cpu"] / ours["fit_cpu"], m["disk"] / ours["disk"])
        trees = "" if not m["mark"] else f" ({m['trees_run']:.0f} trees)"
        cells = [
            f"{library} {m['version']}",
            *(f"{m['mark']}{m[key]:.2f}" for key in ("fit_cpu", "fit_wall")),
            ratio if ratio == "" else f"{m['mark']}{ratio:.1f}",
            f"{m['mark']}{m['predict_cpu']:.2f}",
            f"{m['memory']:.0f}",
            f"{m['peak']:.0f}",
            f"{m['mark']}{m['disk']:.2f}",
            disk_ratio if disk_ratio == "" else f"{m['mark']}{disk_ratio:.0f}",
            f"{m['c']:.4f}{trees}",
            f"{m['ibs']:.4f}{trees}",
            f"{m['leaves']:.0f}",
            str(len(finished)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--rows", type=int, help="instead of the case's")
    parser.add_argument("--columns", type=int, help="instead of the case's, 4 or more")
    parser.add_argument("--trees", type=int, default=TREES)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--peers", nargs="+", choices=LIBRARIES, default=LIBRARIES, help="libraries to measure")
    parser.add_argument("--budget", type=float, default=600.0, help="seconds for the fit and prediction of a peer")
    parser.add_argument(
        "--results", type=Path, default=Path("forest_benchmark.jsonl"), help="file that keeps the results"
    )
    parser.add_argument("--table", action="store_true", help="only print the tables of the stored results")
    parser.add_argument("--measure", choices=LIBRARIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.rows, options.columns, options.trees)))
        return
    present = [name for name in options.peers if options.table or is_here(name)]
    for name in set(options.peers) - set(present):
        print(f"{name} is not installed and is left out.")
    for case in [] if options.table else options.case:
        rows, columns = options.rows or CASES[case][0], options.columns or CASES[case][1]
        for repeat in range(options.repeat):
            for library in present:
                key = {"rows": rows, "columns": columns, "trees": options.trees, "library": library, "repeat": repeat}
                if any(key.items() <= run.items() for run in stored(options.results)):
                    continue
                made = key | {"budget": options.budget} | run(library, rows, columns, options.trees, options.budget)
                with options.results.open("a") as file:
                    file.write(json.dumps(made) + "\n")
                print(json.dumps(made), flush=True)
    print("\n".join(table(stored(options.results))))


if __name__ == "__main__":
    main()

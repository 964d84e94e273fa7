"""Metrics of predictions beside their peers: same data, same run, each in a process of its own, reported as ratios.

    python benchmarks/metrics.py                                   # every case at its size, peers that are installed
    python benchmarks/metrics.py --n 20000 --repeat 1              # all cases at 20,000 rows
    python benchmarks/metrics.py --case auc --peers churnsurv scikit-survival

Cases: ``concordance`` (Harrell's, monthly times), ``concordance, continuous times``, ``quadratic`` (Harrell's at 100,000 rows,
where scikit-survival's comparison of all pairs ends), ``uno``, ``auc`` and ``brier`` (at 19 half-years), ``aalen-johansen``
(two causes). churnsurv gives a standard error with each; so do R's concordance and survfit. lifelines and scikit-survival give
values alone, and churnsurv's time holds its error, and the Brier score of the null model, all the same.

Months are 1 to 120, about two fifths of the rows leave. ``auc`` and ``brier`` count half-months, with censorings in the middle
of months, so that scikit-survival's G(T) of who leaves at T is G(T−); scores have six decimals, so that its ties are ties: the
answers are the same (tests/metrics/test_scikit_survival.py). Time is processor time of the metric alone: data are made,
libraries imported and code compiled before; predictions are given. Memory is the peak above what the process held when the
metric began. Repeats alternate between the libraries; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measure import in_a_process_of_its_own, measured

#: half-years, in half-months
TIMES = np.arange(12.0, 240.0, 12.0)
#: case → rows, libraries
CASES = {
    "concordance": (1_000_000, ("churnsurv", "R", "lifelines")),
    "concordance, continuous times": (1_000_000, ("churnsurv", "R", "lifelines")),
    "quadratic": (100_000, ("churnsurv", "scikit-survival")),
    "uno": (1_000_000, ("churnsurv", "R")),
    "auc": (1_000_000, ("churnsurv", "scikit-survival")),
    "brier": (1_000_000, ("churnsurv", "scikit-survival")),
    "aalen-johansen": (1_000_000, ("churnsurv", "R")),
}


class Portfolio(NamedTuple):
    """Ends of loans (event 0, 1, with two causes 2) and a score; risk (n, 19) where probabilities are judged."""

    score: np.ndarray
    stop: np.ndarray
    event: np.ndarray
    risk: np.ndarray | None


def portfolio(rows: int, case: str, seed: int = 1) -> Portfolio:
    """Give the data of a case."""
    rng = np.random.default_rng(seed)
    score = np.round(rng.normal(size=rows), 6)
    leaves, censored = rng.exponential(120 * np.exp(-0.7 * score)), rng.uniform(0, 120, rows)
    if case != "concordance, continuous times":
        leaves, censored = np.ceil(leaves), np.ceil(censored)
    if case in ("auc", "brier"):
        leaves, censored = 2 * leaves, 2 * censored - 1
    event = (leaves <= censored).astype(int)
    if case == "aalen-johansen":
        event *= rng.integers(1, 3, rows)
    risk = -np.expm1(-np.outer(np.exp(0.7 * score), TIMES / 240)) if case == "brier" else None
    return Portfolio(score, np.minimum(leaves, censored), event, risk)


def by_churnsurv(data: Portfolio, case: str) -> list[float]:
    import churnsurv as cs

    causes = ("attrition", "default") if case == "aalen-johansen" else ("event",)
    y = cs.Outcome(data.stop, data.event, causes=causes)
    if case == "aalen-johansen":
        last = cs.AalenJohansen().fit(y).table_.groupby("state").last().loc[list(causes)]
        return [*last["estimate"], *last["se"]]
    if case in ("auc", "brier"):
        metric, given = (cs.metrics.cumulative_dynamic_auc, data.score), (cs.metrics.brier_score, data.risk)
        metric, prediction = metric if case == "auc" else given
        return metric(y, prediction, TIMES)["value"].tolist()
    found = cs.metrics.concordance_index(y, data.score, weighting="n/G2" if case == "uno" else "n")
    return [found.value, found.se]


def by_lifelines(data: Portfolio, case: str) -> list[float]:
    from lifelines.utils import concordance_index

    return [concordance_index(data.stop, -data.score, data.event)]


def by_sksurv(data: Portfolio, case: str) -> list[float]:
    from sksurv import metrics
    from sksurv.util import Surv

    if case == "quadratic":
        return [metrics.concordance_index_censored(data.event == 1, data.stop, data.score)[0]]
    y = Surv.from_arrays(data.event == 1, data.stop)
    if case == "auc":
        return metrics.cumulative_dynamic_auc(y, y, data.score, TIMES)[0].tolist()
    return metrics.brier_score(y, y, 1 - data.risk, TIMES)[1].tolist()


WORK = {"churnsurv": by_churnsurv, "lifelines": by_lifelines, "scikit-survival": by_sksurv}


def measure(library: str, case: str, rows: int) -> dict:
    """Compute once in this process and give values, seconds and memory."""
    data = portfolio(rows, case)
    if library == "R":
        return by_r(data, case)
    # imports and compiled code are loaded before the clock starts
    WORK[library](portfolio(2_000, case), case)
    return measured(lambda: {"value": WORK[library](data, case)})


def by_r(data: Portfolio, case: str) -> dict:
    """Compute once in R."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("score", "stop", "event"):
            getattr(data, name).astype(float).tofile(f"{folder}/{name}.bin")
        command = ["Rscript", str(Path(__file__).with_name("metrics.R")), folder, str(len(data.stop)), case]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])


def is_here(library: str) -> bool:
    """Whether a library is installed."""
    if library == "R":
        probe = ["Rscript", "-e", "library(survival)"]
        found = shutil.which("Rscript") is not None
        return found and subprocess.run(probe, check=False, capture_output=True).returncode == 0
    try:
        return bool(version(library))
    except PackageNotFoundError:
        return False


def run_case(case: str, rows: int, libraries: list[str], repeat: int) -> None:
    """Measure the libraries in turn and print the rows of a case."""
    runs: dict[str, list[dict]] = {library: [] for library in libraries}
    for _ in range(repeat):
        for library, found in runs.items():
            found.append(in_a_process_of_its_own(__file__, ["--measure", library, "--case", case, "--n", str(rows)]))
    ours = runs[libraries[0]]
    for library, found in runs.items():
        median = {key: statistics.median(run[key] for run in found) for key in ("cpu", "wall", "memory")}
        ratio = median["cpu"] / statistics.median(run["cpu"] for run in ours)
        values = np.array(found[0]["value"])
        apart = np.max(np.abs(values / np.array(ours[0]["value"])[: len(values)] - 1))
        cells = f"{median['cpu']:.3f} | {median['wall']:.3f} | {median['memory']:.0f} | {ratio:.1f} | {apart:.0e}"
        print(f"| {case}, {rows:,} rows | {library} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--n", type=int, help="rows, in place of each case's own")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peers", nargs="+", help="libraries to measure (default: those installed)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.case, options.n)))
        return
    everywhere = sorted({name for _, libraries in CASES.values() for name in libraries})
    asked = [name for name in everywhere if options.peers is None or name in options.peers]
    present = [name for name in asked if is_here(name)]
    for name in set(asked) - set(present):
        print(f"{name} is not installed and is left out.")
    print("| case | library | CPU s | wall s | memory over data, MB | CPU ratio | largest relative difference |")
    print("|---|---|---|---|---|---|---|")
    for case in [options.case] if options.case else CASES:
        rows, libraries = CASES[case]
        run_case(case, options.n or rows, [name for name in libraries if name in present], options.repeat)


if __name__ == "__main__":
    main()

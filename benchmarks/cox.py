"""Cox fits beside their peers: same data, same run, each fit in a process of its own, reported as ratios.

    python benchmarks/cox.py                         # 1,000,000 rows, 10 columns, against lifelines
    python benchmarks/cox.py --rows 100000 --columns 30 --repeat 3

Time is processor time of the fit alone (data are made and the library imported before); memory is the peak of the process
above what it held when the fit began. Repeats alternate between the libraries; the medians are compared.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd


def portfolio(rows: int, columns: int, seed: int = 1) -> pd.DataFrame:
    """Give monthly durations 1…120 with heavy ties, about a third of them exits, the rest censored."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns))
    beta = np.linspace(-0.3, 0.3, columns)
    exit_month = np.ceil(rng.exponential(200 * np.exp(-(x @ beta))))
    censored = np.ceil(rng.uniform(0, 120, rows))
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(columns)])
    frame["stop"] = np.minimum(exit_month, censored)
    frame["event"] = (exit_month <= censored).astype(int)
    return frame


def resident_mb() -> float:
    """Give the memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mb() -> float:
    """Give the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fit_churnsurv(data: tuple[pd.DataFrame, pd.DataFrame]):
    import churnsurv as cs

    x, exits = data
    model = cs.CoxPH().fit(x, cs.Outcome(exits["stop"], exits["event"]))
    return model.coef_.tolist(), model.log_likelihood_


def fit_lifelines(data: pd.DataFrame):
    from lifelines import CoxPHFitter

    model = CoxPHFitter().fit(data, "stop", "event")
    return model.params_.tolist(), model.log_likelihood_


def separate(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give covariates and exits as frames of their own."""
    exits = ["stop", "event"]
    return frame.drop(columns=exits), frame[exits].copy()


#: library → (how it takes the data, its fit)
FITTERS = {"churnsurv": (separate, fit_churnsurv), "lifelines": (lambda frame: frame, fit_lifelines)}


def measure(library: str, rows: int, columns: int) -> dict:
    """Fit once in this process and give coefficients, seconds and memory."""
    prepare, fit = FITTERS[library]
    fit(prepare(portfolio(2_000, columns)))  # imports and compiled code are loaded before the clock starts
    data = prepare(portfolio(rows, columns))
    before, wall, cpu = resident_mb(), time.perf_counter(), time.process_time()
    coef, log_likelihood = fit(data)
    return {
        "coef": coef,
        "log_likelihood": log_likelihood,
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "memory": peak_mb() - before,
        "events": int((data[1] if isinstance(data, tuple) else data)["event"].sum()),
    }


def measured_apart(library: str, rows: int, columns: int) -> dict:
    """Call :func:`measure` in a fresh process."""
    command = [sys.executable, __file__, "--measure", library, "--rows", str(rows), "--columns", str(columns)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--measure", choices=FITTERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.rows, options.columns)))
        return
    runs: dict[str, list[dict]] = {library: [] for library in FITTERS}
    for _ in range(options.repeat):
        for library, found in runs.items():
            found.append(measured_apart(library, options.rows, options.columns))
    ours, theirs = runs["churnsurv"], runs["lifelines"]
    apart = max(np.abs(np.array(ours[0]["coef"]) - theirs[0]["coef"]))
    print(
        f"{options.rows:,} rows x {options.columns} columns, {ours[0]['events']:,} events, Efron ties, "
        f"{options.repeat} runs each"
    )
    print(f"largest difference of a coefficient: {apart:.1e}\n")
    print("| library | CPU s | wall s | memory over data, MB |\n|---|---|---|---|")
    for library, found in runs.items():
        cells = [f"{statistics.median(run[key] for run in found):.2f}" for key in ("cpu", "wall")]
        memory = f"{statistics.median(run['memory'] for run in found):.0f}"
        print(f"| {library} {version(library)} | {cells[0]} | {cells[1]} | {memory} |")
    ratio = {
        key: statistics.median(run[key] for run in theirs) / statistics.median(run[key] for run in ours)
        for key in ("cpu", "wall", "memory")
    }
    print(
        f"\nchurnsurv takes 1/{ratio['cpu']:.1f} of the processor time, 1/{ratio['wall']:.1f} of the wall time and "
        f"1/{ratio['memory']:.1f} of the memory of lifelines."
    )


if __name__ == "__main__":
    main()

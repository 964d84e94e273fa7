"""Fine–Gray fits beside the fit of the expanded rows, and R: same data, each fit in a process of its own.

    python benchmarks/fine_gray.py                   # 100,000 rows, 10 columns, monthly times
    python benchmarks/fine_gray.py --rows 20000 --repeat 3

The expanded fit is the way of R's ``finegray``: rows that left by the other cause go on in pieces of constant weight, and a
weighted Cox model with (start, stop] rows is fitted to them (here by churnsurv's own CoxPH). R (``finegray`` and ``coxph``,
clustered by row) is measured where ``Rscript`` and its package survival are installed. Processor time and memory as in
benchmarks/cox.py; the expansion is part of the fit.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from measure import peak_mb, resident_mb

CAUSES = ("attrition", "default")


def portfolio(rows: int, columns: int, seed: int = 1) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Give covariates, months 1…84 with heavy ties, and endings: censored, attrition or default."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns))
    beta = np.linspace(-0.3, 0.3, columns)
    exits = np.ceil(rng.exponential(np.column_stack([120 * np.exp(-(x @ beta)), 200 * np.exp(x @ beta / 2)])))
    censored = np.ceil(rng.uniform(6, 84, rows))
    stop = np.minimum(exits.min(axis=1), censored)
    event = np.where(exits.min(axis=1) <= censored, exits.argmin(axis=1) + 1, 0)
    return pd.DataFrame(x, columns=[f"x{j}" for j in range(columns)]), stop, event


def fit_churnsurv(x: pd.DataFrame, stop: np.ndarray, event: np.ndarray) -> list[float]:
    import churnsurv as cs

    return cs.FineGray("attrition").fit(x, cs.Outcome(stop, event, causes=CAUSES)).coef_.tolist()


def fit_expanded(x: pd.DataFrame, stop: np.ndarray, event: np.ndarray) -> list[float]:
    import churnsurv as cs

    y = cs.Outcome(stop, event, causes=CAUSES)
    months = np.unique(stop[event == 1])
    remaining = cs.CensoringModel().fit(y)
    before = remaining.probability(months, before=True)
    gone = np.flatnonzero(event == 2)
    base = remaining.probability(stop[gone], before=True)
    pieces = len(months) - np.searchsorted(months, stop[gone], side="right")
    source = np.repeat(gone, pieces)
    within = np.arange(len(source)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    month = np.repeat(len(months) - pieces, pieces) + within
    start = np.where(within == 0, stop[source], months[np.maximum(month - 1, 0)])
    weight = before[month] / np.repeat(base, pieces)
    rows = np.concatenate((np.arange(len(stop)), source))
    outcome = cs.Outcome(
        np.concatenate((stop, months[month])),
        np.concatenate((event == 1, np.zeros(len(source), bool))).astype(int),
        start=np.concatenate((np.zeros(len(stop)), start)),
    )
    weights = np.concatenate((np.ones(len(stop)), weight))
    kept = weights > 0
    model = cs.CoxPH().fit(x.iloc[rows[kept]], outcome[kept], sample_weight=weights[kept], cluster=rows[kept])
    return model.coef_.tolist()


FITTERS = {"churnsurv FineGray": fit_churnsurv, "expanded rows, churnsurv CoxPH": fit_expanded}

R_SCRIPT = """
suppressPackageStartupMessages(library(survival))
a <- commandArgs(TRUE); d <- read.csv(a[1]); d$ev <- factor(d$event, 0:2); d$id <- seq_len(nrow(d)); d$event <- NULL
invisible(gc(reset = TRUE)); t0 <- proc.time()
g <- finegray(Surv(stop, ev) ~ ., d)
model <- reformulate(grep("^x", names(d), value = TRUE), "Surv(fgstart, fgstop, fgstatus)")
f <- coxph(model, g, weights = fgwt, cluster = id)
u <- proc.time() - t0
cat(sprintf('{"coef": [%s], "cpu": %f, "wall": %f, "memory": %f}',
            paste(format(coef(f), digits = 15), collapse = ","), u[1] + u[2], u[3], sum(gc()[, 6])))
"""


def measure(name: str, rows: int, columns: int) -> dict:
    """Fit once in this process and give coefficients, seconds and memory."""
    fit = FITTERS[name]
    fit(*portfolio(2_000, columns))  # imports and compiled code are loaded before the clock starts
    data = portfolio(rows, columns)
    before, wall, cpu = resident_mb(), time.perf_counter(), time.process_time()
    coef = fit(*data)
    taken = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return {"coef": coef, **taken, "memory": peak_mb() - before}


def measured_apart(name: str, rows: int, columns: int) -> dict:
    """Call :func:`measure` in a fresh process, or R."""
    if name == "R survival":
        x, stop, event = portfolio(rows, columns)
        with tempfile.TemporaryDirectory() as folder:
            script, table = Path(folder) / "fit.R", Path(folder) / "data.csv"
            script.write_text(R_SCRIPT)
            x.assign(stop=stop, event=event).to_csv(table, index=False)
            command = ["Rscript", str(script), str(table)]
            return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    command = [sys.executable, __file__, "--measure", name, "--rows", str(rows), "--columns", str(columns)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--measure", choices=FITTERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.rows, options.columns)))
        return
    names = [*FITTERS, *(["R survival"] if shutil.which("Rscript") else [])]
    runs: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(options.repeat):
        for name, found in runs.items():
            found.append(measured_apart(name, options.rows, options.columns))
    _, stop, event = portfolio(options.rows, options.columns)
    counts = np.bincount(event)
    print(
        f"{options.rows:,} rows x {options.columns} columns, {len(np.unique(stop))} months, {counts[1]:,} events, "
        f"{counts[2]:,} competing, Efron ties, {options.repeat} runs each"
    )
    first = np.array(runs[names[0]][0]["coef"])
    print(
        "\n| fit | CPU s | wall s | memory over data, MB | largest difference of a coefficient |\n|---|---|---|---|---|"
    )
    for name, found in runs.items():
        cells = [f"{statistics.median(run[key] for run in found):.2f}" for key in ("cpu", "wall")]
        memory = f"{statistics.median(run['memory'] for run in found):.0f}"
        print(
            f"| {name} | {cells[0]} | {cells[1]} | {memory} | {np.abs(np.array(found[0]['coef']) - first).max():.1e} |"
        )
    if "R survival" not in runs:
        print("\nR is not installed here and was not measured.")


if __name__ == "__main__":
    main()

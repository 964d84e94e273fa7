"""Cox fits beside their peers: same data, same run, each fit in a process of its own, reported as ratios.

    python benchmarks/cox.py                                        # every case at its size, peers that are installed
    python benchmarks/cox.py --case rows --rows 100000 --columns 30 --repeat 3
    python benchmarks/cox.py --case panel --peers churnsurv lifelines

Cases: ``rows`` (right-censored, one row per loan), ``panel`` ((start, stop] rows, 12 per loan), ``robust`` (covariance by
cluster), ``bootstrap`` (200 refits), ``pass`` (one Newton step beside the matrix product X'X). Time is processor time of the
fit alone: data are made, libraries imported and code compiled before. Memory is the peak above what the process held when
the fit began. Repeats alternate between the libraries; medians are compared. R is measured when ``Rscript`` and its package
survival are there (Debian: r-cran-survival).
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

import numpy as np
import pandas as pd
from measure import in_a_process_of_its_own, measured

BOOTSTRAPS = 200
#: case → rows, numbers of columns, libraries
CASES = {
    "rows": (1_000_000, (10, 30), ("churnsurv", "lifelines", "scikit-survival", "statsmodels", "R coxph", "R fitter")),
    "panel": (1_200_000, (10, 30), ("churnsurv", "lifelines", "statsmodels", "R coxph", "R fitter")),
    "robust": (100_000, (30,), ("churnsurv", "churnsurv, not robust", "R robust")),
    "bootstrap": (100_000, (10,), ("churnsurv", "lifelines")),
    "pass": (1_000_000, (30,), ("churnsurv", "X'X")),
}
ROWS_PER_LOAN = 12


def portfolio(rows: int, columns: int, panel: bool = False, seed: int = 1) -> pd.DataFrame:
    """Give monthly durations 1…120 with heavy ties, about a third of them exits, the rest censored.

    In a panel each loan's time is cut into 12 rows of equal length with covariates that change; the row in which it leaves
    depends on its last ones.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns))
    beta = np.linspace(-0.3, 0.3, columns)
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(columns)])
    if panel:
        loans, part = rows // ROWS_PER_LOAN, np.arange(rows) % ROWS_PER_LOAN
        stop, event = _exits(rng, x[ROWS_PER_LOAN - 1 :: ROWS_PER_LOAN] @ beta)
        loan = np.repeat(np.arange(loans), ROWS_PER_LOAN)
        step = stop[loan] / ROWS_PER_LOAN
        is_last = part == ROWS_PER_LOAN - 1
        end = np.where(is_last, stop[loan], (part + 1) * step)
        return frame.assign(start=part * step, stop=end, event=np.where(is_last, event[loan], 0), id=loan)
    stop, event = _exits(rng, x @ beta)
    return frame.assign(start=0, stop=stop, event=event, id=np.arange(rows) // 2)


def _exits(rng: np.random.Generator, risk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    exit_month = np.ceil(rng.exponential(200 * np.exp(-risk)))
    censored = np.ceil(rng.uniform(0, 120, len(risk)))
    return np.minimum(exit_month, censored), (exit_month <= censored).astype(int)


EXIT = ["start", "stop", "event", "id"]


def split(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give covariates and exits as frames of their own."""
    return frame.drop(columns=EXIT), frame[EXIT].copy()


def fit_churnsurv(data, case):
    import churnsurv as cs

    x, exits = data
    start = exits["start"] if case == "panel" else None
    y = cs.Outcome(exits["stop"], exits["event"], start=start, subject=exits["id"] if case == "panel" else None)
    model = cs.CoxPH().fit(x, y, cluster=exits["id"] if case == "robust" else None)
    return {"coef": model.coef_.tolist(), "se": np.sqrt(np.diag(model.covariance_)).tolist()}


def fit_lifelines(data, case):
    import lifelines

    if case == "panel":
        model = lifelines.CoxTimeVaryingFitter().fit(
            data, event_col="event", start_col="start", stop_col="stop", id_col="id"
        )
    else:
        model = lifelines.CoxPHFitter().fit(data.drop(columns=["start", "id"]), "stop", "event")
    return {"coef": model.params_.tolist()}


def fit_sksurv(data, case):
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    x, exits = data
    model = CoxPHSurvivalAnalysis(ties="efron").fit(x, Surv.from_arrays(exits["event"] == 1, exits["stop"]))
    return {"coef": model.coef_.tolist()}


def fit_statsmodels(data, case):
    from statsmodels.duration.hazard_regression import PHReg

    x, exits = data
    entry = exits["start"].to_numpy(float) if case == "panel" else None
    model = PHReg(exits["stop"].to_numpy(float), x, status=exits["event"].to_numpy(), entry=entry, ties="efron")
    return {"coef": np.asarray(model.fit().params).tolist()}


def _resamples(frame: pd.DataFrame) -> int:
    return BOOTSTRAPS if len(frame) > 10_000 else 20


def bootstrap_churnsurv(data, case):
    import churnsurv as cs

    x, exits = data
    y = cs.Outcome(exits["stop"], exits["event"])
    model = cs.CoxPH().fit(x, y)
    cs.bootstrap_intervals(model, x, y, n_resamples=_resamples(x), random_state=1)
    return {"coef": model.coef_.tolist()}


def bootstrap_lifelines(data, case):
    import lifelines

    rng, frame = np.random.default_rng(1), data.drop(columns=["start", "id"])
    coef = []
    for _ in range(_resamples(frame)):
        rows = frame.iloc[rng.integers(0, len(frame), len(frame))]
        coef.append(lifelines.CoxPHFitter().fit(rows, "stop", "event").params_)
    return {"coef": np.mean(coef, axis=0).tolist()}  # beside the estimate: apart by the bootstrap's own error


def newton_step(data, case):
    from churnsurv.kernels.newton import evaluate, information_at

    problem, beta = data
    information_at(problem, evaluate(problem, beta))
    return {"coef": []}


def product(data, case):
    from churnsurv.kernels.cox import CHUNK

    total = np.zeros((data.shape[1], data.shape[1]))
    for begin in range(0, len(data), CHUNK):
        chunk = data[begin : begin + CHUNK]
        total += chunk.T @ chunk
    return {"coef": []}


def problem_of(frame):
    import churnsurv as cs
    from churnsurv.estimators.cox_rows import prepared, read_rows

    x, exits = split(frame)
    none = dict.fromkeys(("strata", "sample_weight", "cluster", "offset"))
    rows = read_rows(x, cs.Outcome(exits["stop"], exits["event"]), none, None, "raise", "event")
    return prepared(rows, efron=True).problem, np.full(x.shape[1], 0.1)


#: (library, case or None for the others) → (how it takes the data, its work)
WORK = {
    ("churnsurv", None): (split, fit_churnsurv),
    ("churnsurv, not robust", None): (split, lambda data, case: fit_churnsurv(data, "rows")),
    ("lifelines", None): (lambda frame: frame, fit_lifelines),
    ("scikit-survival", None): (split, fit_sksurv),
    ("statsmodels", None): (split, fit_statsmodels),
    ("churnsurv", "bootstrap"): (split, bootstrap_churnsurv),
    ("lifelines", "bootstrap"): (lambda frame: frame, bootstrap_lifelines),
    ("churnsurv", "pass"): (problem_of, newton_step),
    ("X'X", "pass"): (lambda frame: np.ascontiguousarray(split(frame)[0]), product),
}


def measure(library: str, case: str, rows: int, columns: int) -> dict:
    """Fit once in this process and give coefficients, seconds and memory."""
    if library.startswith("R "):
        return measure_r(library, case, rows, columns)
    prepare, work = WORK.get((library, case)) or WORK[library, None]
    # imports and compiled code are loaded before the clock starts
    work(prepare(portfolio(6_000, columns, case == "panel")), case)
    frame = portfolio(rows, columns, case == "panel")
    events = int(frame["event"].sum())
    data = prepare(frame)
    del frame
    return measured(lambda: work(data, case)) | {"events": events}


def measure_r(library: str, case: str, rows: int, columns: int) -> dict:
    """Fit once in R."""
    frame = portfolio(rows, columns, case == "panel")
    x, exits = split(frame)
    with tempfile.TemporaryDirectory() as folder:
        np.asarray(x, dtype=float).T.tofile(f"{folder}/x.bin")
        for name in EXIT:
            exits[name].to_numpy(float).tofile(f"{folder}/{name}.bin")
        script = str(Path(__file__).with_name("cox.R"))
        command = ["Rscript", script, folder, str(len(x)), str(columns), library.removeprefix("R ")]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.strip().splitlines()[-1]) | {"events": int(exits["event"].sum())}


def is_here(library: str) -> bool:
    """Whether a library is installed."""
    if library.startswith("R "):
        probe = ["Rscript", "-e", "library(survival)"]
        return (
            shutil.which("Rscript") is not None
            and subprocess.run(probe, check=False, capture_output=True).returncode == 0
        )
    if library in ("X'X", "churnsurv, not robust"):
        return True
    try:
        return bool(version(library))
    except PackageNotFoundError:
        return False


def run_case(case: str, rows: int, columns: int, libraries: list[str], repeat: int) -> None:
    """Measure the libraries in turn and print the table of a case."""
    runs: dict[str, list[dict]] = {library: [] for library in libraries}
    for _ in range(repeat):
        for library, found in runs.items():
            # R too: a child's peak memory is never below what its parent held when it was made
            size = ["--rows", str(rows), "--columns", str(columns)]
            found.append(in_a_process_of_its_own(__file__, ["--measure", library, "--case", case, *size]))
    ours = runs["churnsurv"]
    print(f"\n{case}: {rows:,} rows x {columns} columns, {ours[0]['events']:,} events, {repeat} runs each\n")
    print(
        "| library | CPU s | wall s | memory over data, MB | CPU ratio | largest difference |\n|---|---|---|---|---|---|"
    )
    for library, found in runs.items():
        median = {key: statistics.median(run[key] for run in found) for key in ("cpu", "wall", "memory")}
        ratio = median["cpu"] / statistics.median(run["cpu"] for run in ours)
        apart = np.max(np.abs(np.subtract(ours[0]["coef"], found[0]["coef"])), initial=0.0)
        if case == "robust" and found[0].get("se"):
            apart = max(apart, float(np.max(np.abs(np.subtract(ours[0]["se"], found[0]["se"])))))
        cells = f"{median['cpu']:.2f} | {median['wall']:.2f} | {median['memory']:.0f} | {ratio:.1f} | {apart:.0e}"
        print(f"| {library} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--columns", type=int, nargs="+")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peers", nargs="+", help="libraries to measure (default: those installed)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.case, options.rows, options.columns[0])))
        return
    for case in [options.case] if options.case else CASES:
        rows, columns, libraries = CASES[case]
        asked = [name for name in libraries if options.peers is None or name in options.peers]
        present = [name for name in asked if is_here(name)]
        for name in set(asked) - set(present):
            print(f"{name} is not installed and is left out.")
        for width in options.columns or columns:
            run_case(case, options.rows or rows, width, present, options.repeat)


if __name__ == "__main__":
    main()

"""A Cox fit from a Parquet file that is never in memory as a whole: time, peak memory, and the same answer.

    python benchmarks/cox_stream.py                       # 10,000,000 rows x 10 columns
    python benchmarks/cox_stream.py --rows 2000000 --columns 10 --compare

The file is written in parts before the clock starts, in a process of its own; the peak is that of the process that fits,
libraries included. `--compare` fits the same rows in memory too and prints the largest difference of a coefficient.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_OF_A_PART = 500_000


def write(file: Path, rows: int, columns: int) -> None:
    """Write monthly durations 1…120 with heavy ties, about a third of them exits."""
    rng = np.random.default_rng(1)
    beta = np.linspace(-0.3, 0.3, columns)
    writer = None
    for begin in range(0, rows, ROWS_OF_A_PART):
        n = min(ROWS_OF_A_PART, rows - begin)
        x = rng.normal(size=(n, columns))
        exit_month = np.ceil(rng.exponential(200 * np.exp(-(x @ beta))))
        censored = np.ceil(rng.uniform(0, 120, n))
        part = {f"x{j}": x[:, j] for j in range(columns)}
        part |= {"stop": np.minimum(exit_month, censored), "event": (exit_month <= censored).astype(np.int8)}
        table = pa.table(part)
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=125_000)
    if writer is not None:
        writer.close()


def measure(file: Path, n_jobs: int) -> dict:
    """Fit from the file in this process."""
    import churnsurv as cs

    small = pa.table({"x": np.arange(40.0) % 7, "stop": np.arange(40) % 9 + 1.0, "event": np.arange(40) % 2})
    cs.CoxPH().fit_stream(
        small, stop="stop", event="event"
    )  # libraries and compiled code are loaded before the clock starts
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter(), time.process_time()
    model = cs.CoxPH().fit_stream(file, stop="stop", event="event", n_jobs=n_jobs)
    return {
        "coef": model.coef_.tolist(),
        "log_likelihood": model.log_likelihood_,
        "iterations": model.n_iter_,
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "libraries": before,
    }


def in_memory(file: Path) -> dict:
    """Fit to the whole file in memory."""
    import churnsurv as cs

    frame = pq.read_table(file).to_pandas()
    y = cs.Outcome(frame.pop("stop"), frame.pop("event"))
    wall, cpu = time.perf_counter(), time.process_time()
    model = cs.CoxPH().fit(frame, y)
    return {
        "coef": model.coef_.tolist(),
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def apart(*arguments: str) -> dict:
    """Run a part of this script in a fresh process."""
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    return json.loads(done.stdout or "{}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help="fit in memory too")
    parser.add_argument("--part", choices=("write", "measure", "in-memory"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part == "write":
        write(options.file, options.rows, options.columns)
    elif options.part == "measure":
        print(json.dumps(measure(options.file, options.jobs)))
    elif options.part == "in-memory":
        print(json.dumps(in_memory(options.file)))
    else:
        report(options)


def report(options: argparse.Namespace) -> None:
    """Write, measure, print."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "loans.parquet"
        apart("--part", "write", "--file", str(file), "--rows", str(options.rows), "--columns", str(options.columns))
        size = file.stat().st_size / 2**20
        found = apart("--part", "measure", "--file", str(file), "--jobs", str(options.jobs))
        print(
            f"{options.rows:,} rows x {options.columns} columns, {size:.0f} MB of Parquet, {found['iterations']} iterations"
        )
        print(
            f"from the file: {found['wall']:.1f} s, {found['cpu']:.1f} s of processor, peak {found['peak']:.0f} MB "
            f"({found['libraries']:.0f} MB of it libraries)"
        )
        if options.compare:
            whole = apart("--part", "in-memory", "--file", str(file))
            largest = float(np.abs(np.array(whole["coef"]) - found["coef"]).max())
            print(f"in memory: {whole['wall']:.1f} s, {whole['cpu']:.1f} s of processor, peak {whole['peak']:.0f} MB")
            print(f"largest difference of a coefficient: {largest:.1e}")


if __name__ == "__main__":
    main()

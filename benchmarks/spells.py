"""Spells of a large portfolio beside a polars script written by hand for it: same files, same spells, reported as ratios.

    python benchmarks/spells.py                       # 300,000 loans of 40 months: 12,000,000 loan-months
    python benchmarks/spells.py --loans 30000 --repeat 1

Both read Parquet and write Parquet: they drop copies, rows after the exit and rows past the term, lag twelve columns by a
month where the month before was observed, join the market of the month before by region, and sort by loan and age. The script
knows its tables; churnsurv reads rules, checks every column and counts what it drops, and writes the period ahead as well.
Each run is a process of its own; time is from its start to its end, memory its peak. Repeats alternate. The last run is
churnsurv in less than 1 GB.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MONTHS = 40
COLUMNS = [f"x{i}" for i in range(10)] + ["k0", "k1"]
REGIONS = np.array(["coast", "hills", "lakes", "metro", "plains"])
#: of the engine, so that the process as a whole stays below 1 GB
SMALL = "450MB"


def month_ends(number: np.ndarray) -> pa.Array:
    """Give the last day of months counted from January 1970."""
    return pa.array((number.astype("datetime64[M]") + 1).astype("datetime64[D]") - 1)


def write_tables(folder: Path, n_loans: int, seed: int = 1) -> int:
    """Write loans, performance and macro tables; some rows are copies, some months are missing, some rows follow the exit."""
    rng = np.random.default_rng(seed)
    opened = rng.integers(500, 600, n_loans)
    first = opened + rng.integers(0, 20, n_loans)
    loan = np.repeat(np.arange(n_loans), MONTHS)
    month = np.repeat(first, MONTHS) + np.tile(np.arange(MONTHS), n_loans)
    status = np.where(rng.random(len(loan)) < 0.015, rng.integers(1, 3, len(loan)), 0)
    # rows of the months after an exit are left in the table where they come at once
    left = np.cumsum(status.reshape(n_loans, MONTHS) > 0, axis=1).ravel()
    kept = (left == 0) | ((left == 1) & (rng.random(len(loan)) < 0.9))
    kept &= rng.random(len(loan)) > 0.002
    rows = np.flatnonzero(kept)
    rows = np.sort(np.concatenate((rows, rng.choice(rows, len(rows) // 500))))
    table = {
        "loan_id": 100_000 + loan[rows],
        "month": month_ends(month[rows]),
        "status": pa.DictionaryArray.from_arrays(status[rows].astype("int8"), ["open", "prepaid", "charged_off"]),
    }
    for name in COLUMNS:
        values = (
            rng.normal(size=len(loan)).round(2) if name[0] == "x" else rng.integers(0, 90, len(loan)).astype("int32")
        )
        table[name] = values[rows]
    pq.write_table(pa.table(table), folder / "performance.parquet", compression="zstd", row_group_size=500_000)
    loans = {
        "loan_id": 100_000 + np.arange(n_loans),
        "customer_id": np.arange(n_loans) // 2,
        "origination_date": pa.array(opened.astype("datetime64[M]").astype("datetime64[D]")),
        "term": np.full(n_loans, 48),
        "region": REGIONS[rng.integers(0, len(REGIONS), n_loans)],
        "contract_rate": rng.normal(7, 1, n_loans).round(2),
    }
    pq.write_table(pa.table(loans), folder / "loans.parquet")
    months = np.arange(480, 720).repeat(len(REGIONS))
    macro = {
        "month": month_ends(months),
        "region": np.tile(REGIONS, 240),
        "market_rate": rng.normal(6, 1, len(months)),
        "unemployment_rate": rng.normal(5, 1, len(months)),
    }
    pq.write_table(pa.table(macro), folder / "macro.parquet")
    return len(rows)


def by_churnsurv(folder: Path, out: Path, memory_limit: str | None = None) -> None:
    from churnsurv.data import SpellRules, write_spells

    rules = SpellRules(
        customer_id="customer_id",
        origination="origination_date",
        term="term",
        observed="month",
        status="status",
        open=["open"],
        causes={"attrition": ["prepaid"], "default": ["charged_off"]},
        covariates={"loans": ["term"], "performance": COLUMNS, "macro": ["unemployment_rate"]},
        macro={"period": "month", "region": "region"},
        rate_incentive={"own": "contract_rate", "market": "market_rate"},
    )
    tables = {name: folder / f"{name}.parquet" for name in ("loans", "performance", "macro")}
    write_spells(out, rules=rules, memory_limit=memory_limit, **tables)


def by_polars(folder: Path, out: Path) -> None:
    import polars as pl

    def number(column: str) -> pl.Expr:
        return (pl.col(column).dt.year().cast(pl.Int32) - 1970) * 12 + pl.col(column).dt.month().cast(pl.Int32) - 1

    loans = pl.scan_parquet(folder / "loans.parquet").with_columns(opened=number("origination_date"))
    macro = pl.scan_parquet(folder / "macro.parquet").with_columns(then=number("month")).drop("month")
    cause = {"open": "open", "prepaid": "attrition", "charged_off": "default"}
    spells = (
        pl.scan_parquet(folder / "performance.parquet")
        .with_columns(period=number("month"), cause=pl.col("status").cast(pl.String).replace_strict(cause))
        .unique(["loan_id", "period"])
        .sort("loan_id", "period")
        .with_columns(exits=(pl.col("cause") != "open").cast(pl.Int8).cum_sum().over("loan_id"))
        .filter((pl.col("exits") == 0) | ((pl.col("exits") == 1) & (pl.col("cause") != "open")))
        .join(loans, on="loan_id")
        .with_columns(start=pl.col("period") - pl.col("opened"))
        .filter((pl.col("start") >= 0) & (pl.col("start") < pl.col("term")))
        .sort("loan_id", "period")
        .with_columns(
            before=pl.col("period").shift(1).over("loan_id"),
            **{f"{c} before": pl.col(c).shift(1).over("loan_id") for c in COLUMNS},
        )
        .with_columns(
            follows=(pl.col("before") == pl.col("period") - 1).fill_null(value=False), then=pl.col("period") - 1
        )
        .with_columns(
            entry=pl.when(~pl.col("follows")).then(pl.col("start")).forward_fill().over("loan_id"),
            stop=pl.col("start") + 1,
            cause=pl.when((pl.col("start") + 1 >= pl.col("term")) & (pl.col("cause") == "open"))
            .then(pl.lit("matured"))
            .otherwise(pl.col("cause")),
            vintage=pl.col("origination_date").dt.year(),
            **{c: pl.when(pl.col("follows")).then(pl.col(f"{c} before")).cast(pl.Float64) for c in COLUMNS},
        )
        .join(macro, on=["region", "then"], how="left", maintain_order="left")
        .with_columns(rate_incentive=pl.col("contract_rate") - pl.col("market_rate"))
        .select(
            "loan_id",
            "customer_id",
            "period",
            "vintage",
            "entry",
            "start",
            "stop",
            "cause",
            "rate_incentive",
            "term",
            *COLUMNS,
            "unemployment_rate",
        )
    )
    spells.sink_parquet(out, compression="zstd")


def checksum(file: Path) -> dict[str, float]:
    """Give sums over the spells of a file; rows of the period ahead have no cause."""
    import duckdb

    sums = ", ".join(f"sum({name})" for name in ("start", "entry", "rate_incentive", "unemployment_rate", *COLUMNS))
    causes = "count(*) filter (cause = 'attrition'), count(*) filter (cause = 'matured')"
    row = duckdb.sql(f"select count(*), {causes}, {sums} from '{file}' where cause is not null").fetchone()
    return dict(enumerate(float(value) for value in row))


RUNS = {
    "churnsurv": lambda folder, out: by_churnsurv(folder, out, "2GB"),
    "polars script": by_polars,
    "churnsurv, small": lambda folder, out: by_churnsurv(folder, out, SMALL),
}


def measured_apart(name: str, folder: Path) -> dict[str, float]:
    """Run one of them in a process of its own: seconds, processor seconds, peak memory."""
    out = folder / "out.parquet"
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, "--run", name, "--folder", str(folder)])
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed")
    wall = time.perf_counter() - began
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1024} | {
        "sums": checksum(out)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loans", type=int, default=300_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--run", choices=[*RUNS, "tables"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run == "tables":
        print(write_tables(options.folder, options.loans))
        return
    if options.run:
        RUNS[options.run](options.folder, options.folder / "out.parquet")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # in a process of its own: a child's peak memory is never below what its parent held when it was made
        made = [sys.executable, __file__, "--run", "tables", "--folder", name, "--loans", str(options.loans)]
        n = int(subprocess.run(made, check=True, capture_output=True, text=True).stdout)
        runs: dict[str, list[dict]] = {name: [] for name in RUNS}
        for repeat in range(options.repeat):
            for name, found in runs.items():
                if name != "churnsurv, small" or repeat == 0:
                    found.append(measured_apart(name, folder))
    expected = runs["polars script"][0]["sums"]
    for name, found in runs.items():
        np.testing.assert_allclose(list(found[0]["sums"].values()), list(expected.values()), rtol=1e-9, err_msg=name)
    print(
        f"{n:,} rows of {options.loans:,} loans give {expected[0]:,.0f} spells, the same by all; medians of {options.repeat}\n"
    )
    print("| spells by | wall s | CPU s | peak memory, MB |\n|---|---|---|---|")
    for name, found in runs.items():
        cells = [f"{statistics.median(run[key] for run in found):.1f}" for key in ("wall", "cpu")]
        limits = {"churnsurv": "2GB", "churnsurv, small": SMALL}
        words = f"churnsurv, memory_limit={limits[name]!r}" if name in limits else name
        print(f"| {words} | {cells[0]} | {cells[1]} | {statistics.median(run['memory'] for run in found):,.0f} |")
    pairs = zip(runs["churnsurv"], runs["polars script"], strict=True)
    ratios = [[ours[key] / theirs[key] for key in ("wall", "cpu", "memory")] for ours, theirs in pairs]
    wall, cpu, memory = np.median(ratios, axis=0)
    print(
        f"\nchurnsurv takes {wall:.2f} of the wall time, {cpu:.2f} of the processor time and {memory:.2f} of the memory of the "
        f"script (polars {version('polars')}, DuckDB {version('duckdb')})."
    )


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()

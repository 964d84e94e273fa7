"""Time and peak memory of the whole quarterly report, and the seconds of each of its sections.

``python benchmarks/report.py --loans 5000 200000 --formats html,json``: for each size a portfolio is simulated (once, kept in
``--folder``), and the report of reports/quarterly.toml made of it in a process of its own. A model is fitted by the first
section that asks for it. Prints lines of the table in docs/benchmarks.md, and the sections by their seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import in_a_process_of_its_own, measured

HERE = Path(__file__).parent
RULES = HERE.parent / "reports" / "quarterly.toml"


def simulated(loans: int, folder: Path) -> Path:
    """Give the configuration of a portfolio of so many loans, which is simulated where it is not there yet."""
    home = folder / f"loans-{loans}"
    if not (home / "performance.parquet").exists():
        from churnsurv.data import simulate

        simulate(loans, seed=20260930, drift="population").save(home)
    path = home / "quarterly.toml"
    path.write_text(RULES.read_text(encoding="utf-8").replace("../data/synthetic/", ""), encoding="utf-8")
    return path


def report_of(config: Path, formats: list[str]) -> dict[str, Any]:
    """Make a report and its files; give the seconds of each piece of work and the sizes of the files."""
    from churnsurv.report import read_config
    from churnsurv.report.quarterly import assembled

    marks: list[tuple[str, float]] = []
    report = assembled(read_config(config), lambda name: marks.append((name, time.perf_counter())))
    marks.append(("files", time.perf_counter()))
    with tempfile.TemporaryDirectory() as folder:
        files = report.save(Path(folder) / "report", formats)
        sizes = {name: path.stat().st_size for name, path in files.items()}
    ends = [*(begin for _, begin in marks[1:]), time.perf_counter()]
    seconds = {name: end - begin for (name, begin), end in zip(marks, ends, strict=True)}
    return {"seconds": seconds, "sizes": sizes, "findings": len(report.findings)}


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loans", type=int, nargs="+", default=[5_000])
    parser.add_argument("--formats", default="html,json")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "churnsurv-benchmark")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(measured(lambda: report_of(given.one, given.formats.split(",")))))
        return
    print("| loans | wall s | CPU s | peak memory above the start, MB | files, MB |\n|---|---|---|---|---|", flush=True)
    details = []
    for loans in given.loans:
        config = simulated(loans, given.folder)
        found = in_a_process_of_its_own(__file__, ["--one", str(config), "--formats", given.formats])
        sizes = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in found["sizes"].items())
        print(
            f"| {loans:,} | {found['wall']:.0f} | {found['cpu']:.0f} | {found['memory']:,.0f} | {sizes} |", flush=True
        )
        details.append((loans, found["seconds"]))
    for loans, seconds in details:
        longest = sorted(seconds.items(), key=lambda item: -item[1])
        print(f"\n{loans:,} loans, wall s: " + ", ".join(f"{name} {value:.1f}" for name, value in longest))


if __name__ == "__main__":
    sys.exit(main())

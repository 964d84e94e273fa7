"""How much memory growing a forest takes, said before it is taken."""

from __future__ import annotations

import os
from pathlib import Path

from churnsurv.exceptions import DataError

#: share of the memory available now that a fit may ask for
SHARE = 0.9


def fit_bytes(
    n_rows: int,
    n_features: int,
    n_causes: int,
    n_times: int,
    *,
    n_trees: int,
    n_sampled: int,
    min_samples_leaf: int,
    n_threads: int,
) -> int:
    """Estimate the bytes that growing a forest takes beyond X and y; a tree draws `n_sampled` different rows.

    Rows: features as doubles and, twice, as cells, times, causes, owners and weights, and what sorting them takes. Each
    thread: the draw, its sample, the scans' buffers and a tree at its largest. Forest: trees with leaves of the smallest
    size, in which every row leaves two changes of the number at risk and an event; twice, while they are put together.
    """
    rows = n_rows * (10 * n_features + 200)
    per_time = 38 * n_causes + 8 * n_causes**2 + 30
    thread = n_rows * 32 + n_sampled * (n_features + 24 * n_causes + 178) + 8 * n_times * per_time
    tree = max(1, n_sampled // min_samples_leaf) * (2 * 10 + 2 * 16) + n_sampled * (2 * 6 + 7)
    return rows + n_threads * thread + 2 * n_trees * tree


def oob_bytes(n_rows: int, n_causes: int, n_times: int, n_trees: int) -> int:
    """Estimate the bytes that out-of-bag answers of all rows take: curves, who was drawn, and what judging them takes."""
    return n_rows * (8 * (1 + n_causes) * n_times + n_trees + 8 * n_causes + 2_000)


def available_memory() -> int | None:
    """Give the bytes that programs can still get, from the system's own estimate or its free pages; None where unknown."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def check_memory(needed: int, n_trees: int) -> None:
    """Refuse a fit that would need more than :data:`SHARE` of the memory available."""
    available = available_memory()
    if available is not None and needed > SHARE * available:
        raise DataError(
            f"Growing this forest may take {needed / 2**30:.1f} GB, and {available / 2**30:.1f} GB are available (a fit may "
            f"ask for {SHARE:.0%}). Raise min_samples_leaf, lower max_samples or n_estimators={n_trees}, use fewer n_jobs, "
            "or fit on a sample of the rows."
        )

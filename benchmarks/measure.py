"""Memory and seconds of one piece of work in this process, and running it in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def resident_mb() -> float:
    """Give the memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mb() -> float:
    """Give the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Give what the work gives, with its processor and wall seconds and the memory above what was held before."""
    before, wall, cpu = resident_mb(), time.perf_counter(), time.process_time()
    found = work()
    return found | {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "memory": max(peak_mb() - before, 0.0),
    }


def in_a_process_of_its_own(script: str, arguments: list[str], seconds: float | None = None) -> dict[str, Any]:
    """Run a script, whose last line of output is JSON; past so many seconds it raises subprocess.TimeoutExpired."""
    command = [sys.executable, script, *arguments]
    # in a session of its own, so that what it started ends with it
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return json.loads(output.strip().splitlines()[-1])

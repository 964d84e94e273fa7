"""Where the public experiments are on this machine; they are never part of the repository."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [Path(os.environ.get("CHURNSURV_DATA") or "no folder"), ROOT.parent / "shared" / "data"]


def experiment(name):
    """Give the path of a file, or None, and the mark that skips tests without it."""
    path = next((folder / name for folder in FOLDERS if (folder / name).is_file()), None)
    return path, pytest.mark.skipif(path is None, reason=f"{name} is neither in CHURNSURV_DATA nor in ../shared/data")

"""Where the public panel of US mortgages is on this machine; it is never part of the repository."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [Path(os.environ.get("CHURNSURV_DATA") or "no folder"), ROOT.parent / "shared" / "data"]
FOLDER = next((folder for folder in FOLDERS if (folder / "dcr_mortgage_panel.parquet").is_file()), None)

needs_panel = pytest.mark.skipif(
    FOLDER is None, reason="dcr_mortgage_panel.parquet is neither in CHURNSURV_DATA nor in ../shared/data"
)

"""The house stands as designed: imports go down only, public names are these, importing is cheap."""

import subprocess
import sys
from pathlib import Path

import churnsurv as cs

ROOT = Path(__file__).parents[1]


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_imports_go_downward_only():
    result = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert result.returncode == 0, result.stdout


def test_the_public_names_are_these():
    assert sorted(cs.__all__) == [
        "AalenJohansen", "CauseSpecificCox", "CensoringModel", "CoxPH", "Curves", "DiscreteHazard", "Estimate",
        "FineGray", "KaplanMeier", "NelsonAalen", "NullModel", "Outcome", "RandomSurvivalForest", "Recalibrated",
        "StandardisedCurves", "TestResult", "adapt", "bootstrap_intervals", "compare_nested", "data", "diagnose",
        "effects", "evaluation", "events_per_parameter", "exceptions", "functional_form", "hazard_ratio_over_time",
        "influence", "load", "metrics", "partial_dependence", "plot", "predict_curves", "profile_intervals",
        "proportional_hazards_test", "report", "save", "scorer", "standardised_curves", "tune_forest",
        "variance_inflation",
    ]  # fmt: skip
    for name in cs.__all__:
        assert getattr(cs, name) is not None
    assert set(cs.__all__) <= set(dir(cs))


def test_importing_churnsurv_loads_nothing_heavy():
    heavy = [
        "lifelines",
        "sksurv",
        "matplotlib",
        "numba",
        "duckdb",
        "formulaic",
        "jinja2",
        "pyarrow.parquet",
        "scipy.stats",
    ]
    code = f"import sys, churnsurv; print([m for m in {heavy!r} if m in sys.modules])"
    assert run(sys.executable, "-c", code).stdout.strip() == "[]"


def test_files_stay_small():
    long = {
        str(p.relative_to(ROOT)): n for p in ROOT.glob("churnsurv/**/*.py") if (n := p.read_text().count("\n")) > 350
    }
    assert long == {}


def test_every_public_function_and_class_is_described():
    for name in cs.__all__:
        assert (getattr(cs, name).__doc__ or "").strip(), name

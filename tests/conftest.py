"""A small simulated portfolio and its report, made once and shared by the tests of report and command line."""

from __future__ import annotations

import gc
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import settings

import churnsurv as cs
from churnsurv.report import quarterly, read_config
from churnsurv.report.analysis import analyse
from tests.depth import DEEP

REPORTS = Path(__file__).parent.parent / "reports"

#: files that take long: begun first, so that at the end no core waits for another
LONG = {
    "test_leakage.py", "test_readme.py", "test_guides.py", "test_docstrings.py", "test_notebooks.py", "test_cli.py",
    "test_spells_properties.py", "test_spells_history.py", "test_report_mortgage.py", "test_verify.py", "test_since.py",
    "test_portfolio_effects.py",
}  # fmt: skip

#: as many covariates as some thirty defaults can bear, none of them rare
FEW_COVARIATES = (
    "rate_incentive", "burnout", "term", "credit_score", "debt_to_income", "days_past_due_max_12m", "response_hours",
    "complaints_12m", "csat", "months_since_contact", "loyalty_tier", "unemployment_rate", "rate_offer", "faster_service",
)  # fmt: skip


def pytest_configure(config):
    """Try many examples where the slow tests are asked for, and collect garbage less often."""
    settings.register_profile(DEEP)
    if "slow" in config.option.markexpr.replace("not slow", ""):
        settings.load_profile(DEEP)
    # expressions of Ibis are many small objects: by default a fourth of the time goes into looking for cycles among them
    gc.set_threshold(20_000, 20, 50)


def pytest_collection_modifyitems(items):
    """Put the files that take longest first, see LONG."""
    items.sort(key=lambda item: item.path.name not in LONG)


def small_configuration(**replacements: str) -> str:
    """Give the text of the shipped configuration, for a portfolio of 1,200 loans in the folder of the file."""
    few = ", ".join(f'"{name}"' for name in FEW_COVARIATES)
    text = (REPORTS / "quarterly.toml").read_text(encoding="utf-8")
    text = text.replace("../data/synthetic/", "").replace("min_at_risk = 50", "min_at_risk = 20")
    text = text.replace("n_estimators = 100", "n_estimators = 10")
    # its few defaults bear the covariates badly, which the full portfolio need not repeat in every test
    text = text.replace("[thresholds]\n", "[thresholds]\nleast_events_per_parameter = 2\nmax_vif = 20\n")
    text, n = re.subn(r"^covariates = \[.*?^\]", f"covariates = [{few}]", text, flags=re.DOTALL | re.MULTILINE)
    assert n == 1, "the configuration has no list of the model's covariates"
    for old, new in replacements.items():
        assert old in text, f"{old!r} is not in the configuration"
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory):
    """A folder with the tables of a small portfolio and quarterly.toml."""
    folder = tmp_path_factory.mktemp("portfolio")
    cs.data.simulate(1_200, seed=1).save(folder)
    (folder / "quarterly.toml").write_text(small_configuration(), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def small_config(small_folder):
    """The path of the small portfolio's configuration."""
    return small_folder / "quarterly.toml"


@pytest.fixture(scope="session")
def small_analysis(small_config):
    """Tables, spells and (when asked for) models of the small portfolio; not to be changed."""
    return analyse(read_config(small_config))


@pytest.fixture(scope="session")
def small_report(small_analysis):
    """The report of the small portfolio; models that it fits are those of `small_analysis` from then on."""
    own = replace(small_analysis, parts=[])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quarterly, "analyse", lambda config, step: own)
        report = quarterly.build(small_analysis.config)
    computed = {name: value for name, value in vars(own).items() if name not in {f.name for f in fields(own)}}
    vars(small_analysis).update(computed)
    return report

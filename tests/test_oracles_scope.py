"""Which oracle cases are found, which of their blocks are checked, and which are skipped with which reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import tests.oracle_cases as oracle_cases
from tests.oracle_cases import Check, LeftOut, checks, checks_of, folders, skipped, verify

#: blocks of the cases kept here: fewer would mean that something silently fell out of reach
LEAST = {
    "cox": 154,
    "baseline": 44,
    "prediction": 27,
    "km": 47,
    "rmst": 14,
    "km-difference": 13,
    "aalen-johansen": 10,
    "logrank": 52,
    "residuals": 30,
    "ph-test": 114,
    "value": 345,
    "fine-gray": 7,
    "concordance": 28,
    "auc": 4,
    "brier": 4,
    "calibration": 5,
}


@pytest.mark.parametrize("left_out", skipped(), ids=str)
def test_block_outside_the_scope(left_out: LeftOut) -> None:
    # the blocks themselves: python -m tests.oracle_cases
    pytest.skip(left_out.reason)


def test_every_case_kept_here_is_found() -> None:
    index = (oracle_cases.HERE / "oracles" / "INDEX.csv").read_text().splitlines()[1:]
    assert {line.split(",")[0] for line in index} <= {folder.name for folder in folders()}


def test_no_block_falls_silently_out_of_reach() -> None:
    kept = [
        check.kind for folder in folders() if folder.is_relative_to(oracle_cases.HERE) for check in checks_of(folder)
    ]
    counts = Counter(kept)
    assert {kind: counts[kind] for kind, least in LEAST.items() if counts[kind] < least} == {}


def test_a_number_that_is_wrong_is_found() -> None:
    check = next(check for check in checks("cox") if str(check) == "cox_lung.efron.fit")
    off = {**check.expected, "loglik": check.expected["loglik"] * (1 + 1e-6)}
    with pytest.raises(AssertionError, match="loglik"):
        verify(Check(check.case, check.path, check.kind, check.ours, off))


def test_a_new_case_is_picked_up_and_checked_without_a_line_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # of three customers one leaves in month 1 and one in month 2: the curve is 2/3, then 2/3 · 1/2
    folder = tmp_path / "new_case"
    folder.mkdir()
    (folder / "input.csv").write_text("month,left\n1,1\n2,1\n3,0\n")
    (folder / "make.R").write_text(
        'source("../lib.R"); d <- get_csv(); ex <- list()\n'
        "ex$km <- surv_at(survfit(Surv(month, left) ~ 1, d), c(1, 2))\n"
        "ex$other <- unheard_of(d)\n"
        'finish(list(case = "new_case"), ex)\n'
    )
    numbers = {"km": {"time": [1, 2], "surv": [2 / 3, 1 / 3], "n_risk": [3, 2]}, "other": 1}
    (folder / "expected.json").write_text(json.dumps({"meta": {"capabilities": []}, "expected": numbers}))
    monkeypatch.setenv("ORACLES", str(tmp_path))
    assert folder in folders()
    found, other = checks_of(folder)
    verify(found)
    assert (str(found), found.kind) == ("new_case.km", "km")
    assert (str(other), other.ours.reason) == ("new_case.other", "R's unheard_of is not translated")

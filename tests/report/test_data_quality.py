"""The data section finds what exceeds the thresholds of [data_quality], and says what the models do with gaps."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from churnsurv.report import Finding, Table
from churnsurv.report.analysis import Analysis
from churnsurv.report.sections.data_quality import data_quality
from churnsurv.report.sections.portfolio import reconciliation


@pytest.fixture(scope="module")
def whole(small_analysis):
    return small_analysis


def with_spells(whole, spells):
    return Analysis(whole.config, whole.tables, spells, spells.complete())


def found(blocks):
    return [b for b in blocks if isinstance(b, Finding)]


def table(blocks, key):
    return next(b for b in blocks if isinstance(b, Table) and b.key == key)


def with_gaps(whole, rows):
    frame = whole.spells.frame.copy()
    frame.loc[rows(frame), "credit_score"] = np.nan
    return with_spells(whole, replace(whole.spells, frame=frame))


def test_a_covariate_missing_in_the_last_quarter_is_found_with_its_shares(whole):
    last = lambda frame: frame["period"].dt.to_period("Q") == frame["period"].max().to_period("Q")  # noqa: E731
    blocks = data_quality(with_gaps(whole, last))
    row = table(blocks, "missingness").rows[0]
    assert row[0] == "Credit score"
    assert row[3:] == (0.0, 1.0)
    findings = [f for f in found(blocks) if f.evidence == "missingness"]
    assert len(findings) == 2
    assert "last quarter" in findings[1].text
    assert "Nothing is filled in" in " ".join(b.text for b in blocks if hasattr(b, "text"))


def test_gaps_of_a_few_loans_are_not_told_by_their_shares(whole):
    few = lambda frame: frame["loan_id"].isin(frame["loan_id"].drop_duplicates()[:3])  # noqa: E731
    assert table(data_quality(with_gaps(whole, few)), "missingness").rows[0][1:] == ("<5", None, None, None)


def test_a_leak_is_a_red_finding_without_examples(whole):
    frame = whole.spells.frame.copy()
    frame["credit_score"] = frame.groupby("loan_id")["stop"].transform("max").astype(float)
    blocks = data_quality(with_spells(whole, replace(whole.spells, frame=frame)))
    finding = next(f for f in found(blocks) if f.severity == "red")
    assert finding.evidence == "leakage"
    assert "credit_score" in finding.text


def test_loans_that_are_not_explained_are_found(whole):
    n = whole.spells.frame["loan_id"].nunique()
    spells = replace(whole.spells, left_out={"no usable row": 60}, loans_in=n + 60)
    blocks = data_quality(with_spells(whole, spells))
    assert any(f.evidence == "reconciliation" and f.figure == pytest.approx(60 / (n + 60)) for f in found(blocks))
    rows = {row[0]: row[1] for row in reconciliation(with_spells(whole, spells)).rows}
    assert (rows["Loans in"], rows["No usable row"], rows["Analysed"]) == (n + 60, 60, n)


def test_a_few_excluded_loans_do_not_follow_from_the_loans_given(whole):
    n = whole.spells.frame["loan_id"].nunique()
    spells = replace(whole.spells, left_out={"no usable row": 2}, loans_in=n + 2)
    rows = {row[0]: row[1] for row in reconciliation(with_spells(whole, spells)).rows}
    assert (rows["Loans in"], rows["No usable row"], rows["Analysed"]) == ("not shown", "<5", n)


def test_a_shift_in_the_mix_of_new_loans_is_found(whole):
    frame = whole.spells.frame.copy()
    first = ~frame["loan_id"].duplicated()
    now = frame["period"].dt.to_period("Q") == frame["period"].max().to_period("Q")
    moved = frame["loan_id"].isin(frame.loc[first & now, "loan_id"])
    frame.loc[moved, "region"] = "Hills"
    blocks = data_quality(with_spells(whole, replace(whole.spells, frame=frame)))
    assert any(f.evidence == "inflow" and "region" in f.text for f in found(blocks))


def test_balances_add_up_to_those_of_the_loans_analysed(whole):
    rows = {row[0]: row for row in reconciliation(whole).rows}
    endings = [row for name, row in rows.items() if name not in ("Loans in", "Analysed", "With complete covariates")]
    known = [row[3] for row in endings if row[3] is not None]
    if len(known) == len(endings):
        assert sum(known) == pytest.approx(rows["Analysed"][3], abs=len(known))
    last = whole.spells.frame.groupby("loan_id")["balance"].last()
    assert rows["Analysed"][3] == round(float(last.sum()))
    assert isinstance(pd.Series(known).sum(), np.integer | int)

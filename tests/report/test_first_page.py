"""The first page leads with what matters: red findings first and in full, findings alike in one row."""

from types import SimpleNamespace

from churnsurv.report.analysis import Part
from churnsurv.report.content import Finding, Section, Table, Text
from churnsurv.report.first_page import first_page

SETTINGS = SimpleNamespace(purpose="Why.", level=0.95)


def _part(key, *findings, **more):
    return Part(Section(key, key.capitalize(), findings), **more)


def _amber(text, threshold="at most 1"):
    return Finding(text, "amber", threshold, "x")


def _findings(*parts):
    page = first_page(SETTINGS, parts)
    return next(b for b in page.blocks if isinstance(b, Table) and b.key == "findings")


def test_red_findings_come_first_and_in_full():
    red = Finding("Too many left. Recalibrate.", "red", "none", "x")
    table = _findings(_part("stability", _amber("Shifted. Look.")), _part("calibration", red))
    assert [row[:2] for row in table.rows] == [("2", "Too many left. Recalibrate."), ("1", "Shifted.")]
    assert table.groups[0].startswith("Red")


def test_findings_for_the_business_come_before_those_on_models():
    table = _findings(_part("stability", _amber("Shifted.")), _part("interventions", _amber("No effect.")))
    assert [row[0] for row in table.rows] == ["2", "1"]


def test_findings_that_miss_the_same_threshold_share_a_row():
    alike = _part("portfolio", _amber("Rule a. Ask."), _amber("Rule b. Ask."), _amber("Other.", "at most 2"))
    assert [row[:2] for row in _findings(alike).rows] == [("1, 2", "Rule a. And 1 like it."), ("3", "Other.")]


def test_numbers_are_those_of_the_findings_in_their_sections():
    parts = [_part("stability", _amber("A."), _amber("B.", "b")), _part("fairness", _amber("C.", "c"))]
    sections = (first_page(SETTINGS, parts), *(part.section for part in parts))
    from churnsurv.report.content import Report

    numbered = Report("T", "P", "2026-09-30", (), sections).numbered().findings
    told = {row[0]: row[1] for row in _findings(*parts).rows}
    assert {str(f.number): f.text for f in numbered} == told


def test_without_findings_the_page_says_so_and_has_no_table():
    page = first_page(SETTINGS, [_part("portfolio", first_page=("What happened.",))])
    assert Text("Nothing exceeds its threshold.", "headline") in page.blocks
    assert Text("What happened.") in page.blocks
    assert not any(isinstance(b, Table) and b.key == "findings" for b in page.blocks)

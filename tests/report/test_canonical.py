import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnsurv.exceptions import DataError
from churnsurv.report import Finding, Report, Section, Table, Text
from churnsurv.report.canonical import clean
from churnsurv.report.content import SCHEMA, Column
from churnsurv.report.headlines import as_shown, headline
from churnsurv.report.render import render_json
from tests.report.sample import EVIL, sample


@pytest.fixture(scope="module")
def document():
    return sample(EVIL).to_dict()


def test_json_read_back_is_the_same_report(document):
    again = Report.from_dict(json.loads(render_json(document)))
    assert again.to_dict() == document
    assert render_json(again.to_dict()) == render_json(document)
    assert again == Report.from_dict(document)


def test_the_report_read_back_has_the_findings_and_headlines_of_the_first():
    report = sample()
    again = Report.from_dict(report.to_dict())
    assert again.headlines == report.headlines
    assert [replace(f, number=0) for f in again.findings] == list(report.findings)
    assert [f.number for f in again.findings] == [1, 2]


@pytest.mark.parametrize("schema", [None, "churnsurv-report/9", "something else"])
def test_another_schema_is_refused(document, schema):
    with pytest.raises(DataError, match=f"not '{SCHEMA}'"):
        Report.from_dict({**document, "schema": schema})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.pop("period"), "'period' is missing"),
        (lambda d: d["sections"][0]["blocks"][0].pop("text"), "text"),
        (lambda d: d["sections"][0]["blocks"][0].update(colour="red"), "colour"),
        (lambda d: d["sections"][0]["blocks"][0].update(kind="video"), "no kind of block 'video'"),
        (lambda d: d["sections"][1]["blocks"][2]["rows"][0].pop(), "'wide' have not as many cells"),
        (lambda d: d["headlines"][0].update(value="much"), "value"),
    ],
)
def test_a_damaged_report_is_refused_with_what_is_wrong(document, damage, message):
    broken = json.loads(json.dumps(document))
    damage(broken)
    with pytest.raises(DataError, match=message):
        Report.from_dict(broken)


def test_characters_that_break_or_turn_a_document_are_replaced():
    assert (
        clean("a\x00b\x0bc\x1bd\u202ee\u2066f\ud800g\x85h\ufffei")
        == "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg\ufffdh\ufffdi"
    )
    assert clean("tab\tline\nend, 汉字, عقد, \u200dz") == "tab\tline\nend, 汉字, عقد, \u200dz"
    text = render_json(sample("x\x0by\u202ez\ud800").to_dict())
    assert "x\ufffdy\ufffdz\ufffd" in text
    assert "\\u000b" not in text


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.floats(), st.integers(), st.booleans())
def test_any_text_and_number_survives_the_way_through_json(text, number, count, flag):
    table = Table("t", text, tuple(Column(c, c, "number:2") for c in "abcd"), ((text, number, count, (number, None)),))
    made = Report("t", text, "d", ((text, text),), (Section("s", text, (Text(text), table)),), {"flag": flag})
    document = json.loads(render_json(made.to_dict()))
    assert Report.from_dict(document).to_dict() == made.to_dict() == document
    # whatever the text was, it can be written as UTF-8
    render_json(document).encode("utf-8")


def test_two_parts_of_one_key_are_refused():
    section = Section("s", "S", (Text("x"),))
    with pytest.raises(DataError, match="two parts with the key 's'"):
        Report("t", "p", "d", (), (section, section)).to_dict()


def test_a_finding_without_its_evidence_is_refused():
    section = Section("s", "S", (Finding("Too much", "red", "less", "nowhere"),))
    with pytest.raises(DataError, match="'Too much' names 'nowhere'"):
        Report("t", "p", "d", (), (section,)).to_dict()


def test_a_table_with_a_row_too_short_is_refused():
    table = Table("t", "T", (Column("a", "A"), Column("b", "B")), (("x",),))
    with pytest.raises(DataError, match="'t' has 2 columns"):
        Report("t", "p", "d", (), (Section("s", "S", (table,)),)).to_dict()


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_error_of_a_headline_gives_its_interval_back(scale):
    value, se, z = 0.6, 0.1, 1.959963984540054
    ends = (
        (value - z * se, value + z * se) if scale == "linear" else (value * math.exp(-z * se), value * math.exp(z * se))
    )
    made = headline("k", "m", (value, *ends), "x", level=0.95, scale=scale, format="number:2")
    assert made.se == pytest.approx(se, rel=1e-12)


def test_a_headline_without_an_interval_has_no_error_and_says_so():
    unknown = headline("k", "m", None, "no exits", level=0.95, scale="log", format="number:2")
    assert (unknown.value, unknown.se) == (None, None)
    assert as_shown(unknown) == ("not estimable", "–")
    at_zero = headline("k", "m", (0.0, 0.0, 0.0), "none", level=0.95, scale="log", format="percent:1")
    assert at_zero.se is None
    assert as_shown(at_zero) == ("0.0%", "0.0% to 0.0%")

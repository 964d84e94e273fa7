"""Targets are judged by intervals, figures of others stand beside ours."""

import pytest

from churnsurv.evaluation import exit_rates
from churnsurv.exceptions import ConfigError
from churnsurv.nonparametric import AalenJohansen
from churnsurv.report import Finding, ReportConfig, Table
from churnsurv.report.analysis import Analysis
from churnsurv.report.sections.goals import goals, verdict_of
from churnsurv.report.settings import Benchmark, Target


@pytest.fixture(scope="module")
def whole(small_analysis):
    return small_analysis


@pytest.fixture
def shown(whole):
    """The blocks for these targets and benchmark figures."""

    def show(targets=(), benchmarks=()):
        config = whole.config.model_copy(update={"targets": tuple(targets), "benchmarks": tuple(benchmarks)})
        blocks = goals(Analysis(config, whole.tables, whole.spells, whole.complete))
        return {b.key: b for b in blocks if isinstance(b, Table)}, [b for b in blocks if isinstance(b, Finding)]

    return show


@pytest.mark.parametrize(
    ("direction", "value", "verdict"),
    [
        ("at most", 0.30, "met"),
        ("at most", 0.10, "missed"),
        ("at most", 0.20, "cannot be told yet"),
        ("at least", 0.30, "missed"),
        ("at least", 0.10, "met"),
        ("at least", 0.20, "cannot be told yet"),
    ],
)
def test_the_whole_interval_decides_on_a_target(direction, value, verdict):
    assert verdict_of(Target(cause="attrition", value=value, direction=direction), (0.2, 0.15, 0.25)) == verdict
    assert verdict_of(Target(cause="attrition", value=value, direction=direction), None) == "not estimable"


def test_a_target_stands_against_the_estimate_of_its_horizon_and_a_missed_one_is_a_finding(shown, whole):
    tables, findings = shown([Target(cause="attrition", horizon=24, value=0.01), Target(cause="attrition", value=0.99)])
    missed, met = tables["targets"].rows
    aj = AalenJohansen().fit(whole.spells.y, cluster=whole.spells.groups, min_at_risk=20)
    at = aj.curves_.origin[0] + 24
    position = (aj.curves_.times <= at).sum() - 1
    assert missed[2] == pytest.approx(aj.curves_.probability[0, aj.curves_.causes.index("attrition") + 1, position])
    assert (missed[4], met[4]) == ("missed", "met")
    assert [f.severity for f in findings] == ["amber"]
    assert findings[0].figure == missed[2]


def test_a_yearly_target_is_about_the_last_four_quarters(shown, whole):
    row = shown([Target(cause="attrition", value=0.1)])[0]["targets"].rows[0]
    quarter = whole.spells.frame["period"].dt.to_period("Q")
    rates = exit_rates(whole.spells, (quarter > quarter.max() - 4).to_numpy())
    assert row[2] == pytest.approx(rates.loc[True, "attrition rate"])
    assert row[3] == pytest.approx(tuple(rates.loc[True, ["attrition lower", "attrition upper"]]))


def test_a_target_of_a_group_that_is_not_there_or_has_too_few_exits_is_not_estimable(shown):
    tables, findings = shown([Target(cause="attrition", value=0.1, segment="segment", group="nobody")])
    assert tables["targets"].rows[0][2:] == (None, None, "not estimable")
    assert not findings


def test_a_figure_of_others_keeps_its_source_and_the_difference_has_our_interval(shown):
    table = shown((), [Benchmark(name="Peers", cause="attrition", horizon=12, value=0.5, source="Survey 2025")])[0][
        "benchmarks"
    ]
    row = table.rows[0]
    assert row[1:3] == ("Peers", 0.5)
    assert row[5] == pytest.approx(row[3] - 0.5)
    assert row[6] == pytest.approx((row[4][0] - 0.5, row[4][1] - 0.5))
    assert row[7] == "ours: lower"
    assert any("Survey 2025" in note for note in table.notes)


def test_no_difference_is_claimed_where_the_interval_includes_none(shown):
    ours = shown((), [Benchmark(name="a", cause="attrition", value=0, source="b")])[0]["benchmarks"].rows[0][3]
    row = shown((), [Benchmark(name="a", cause="attrition", value=ours, source="b")])[0]["benchmarks"].rows[0]
    assert row[7] == "no clear difference"


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ({"targets": [{"cause": "churn", "value": 0.1}]}, r"\[targets\] names the cause 'churn'"),
        ({"targets": [{"cause": "attrition", "value": 0.1, "segment": "segment"}]}, "segment and group together"),
        (
            {"targets": [{"cause": "attrition", "value": 0.1, "segment": "branch", "group": "x"}]},
            r"\[\[targets\]\] names the segment 'branch'",
        ),
        ({"benchmarks": [{"cause": "attrition", "value": 0.1, "name": "Peers"}]}, "source"),
    ],
)
def test_a_goal_that_cannot_be_measured_is_refused(whole, goal, message):
    plain = whole.config.model_dump()
    with pytest.raises(ConfigError, match=message):
        ReportConfig(**(plain | goal))

"""Since last quarter: headlines, definitions, data and findings of two reports beside each other."""

import json
import math
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import ConfigError
from churnsurv.report import Finding, Report, quarterly, read_config
from churnsurv.report.analysis import analyse
from churnsurv.report.headlines import headline
from churnsurv.report.previous import fingerprint, read_previous, restatement
from churnsurv.report.sections.changes import size_words
from churnsurv.report.since import changes_of, findings_since, redefinitions
from tests.report.quick import quick_configuration


def record(key="incidence.attrition.24", value=0.3, error=0.1, **options):
    given = {"level": 0.95, "scale": "log", "format": "percent:1", "sample": "cumulative", "better": "lower"} | options
    bounds = value * np.exp(1.959963984540054 * error * np.array([-1, 1]))
    return headline(key, "Attrition", (value, *bounds), "", **given)


def report(*headlines, findings=(), **provenance):
    section = cs.report.Section("attrition", "Attrition", tuple(findings))
    return Report("t", "2026 Q2", "2026-06-30", (), (section,), provenance, headlines)


def compared(before, *now, redefined=(), restated=False):
    return changes_of(before, [("attrition", h) for h in now], redefined, restated=restated, level=0.95)


class TestHeadlines:
    def test_of_all_data_so_far_are_compared_as_nested(self):
        (change,) = compared(report(record(error=0.10)), record(value=0.36, error=0.08))
        assert change.basis == "nested"
        assert change.change == pytest.approx(math.log(1.2))
        # sqrt(0.01 - 0.0064) = 0.06
        assert (change.upper - change.lower) / 2 == pytest.approx(1.959964 * 0.06, rel=1e-4)
        assert change.exceeds
        assert change.is_worse

    @pytest.mark.parametrize(
        ("options", "restated", "basis"),
        [
            ({"sample": "window"}, False, "separate"),
            ({"sample": "unknown"}, False, "conservative"),
            ({"sample": "cumulative"}, True, "conservative"),
        ],
    )
    def test_of_other_data_are_compared_as_independent(self, options, restated, basis):
        (change,) = compared(report(record(**options)), record(value=0.36, error=0.08, **options), restated=restated)
        assert change.basis == basis
        assert (change.upper - change.lower) / 2 == pytest.approx(1.959964 * math.hypot(0.1, 0.08), rel=1e-4)
        assert not change.exceeds

    def test_a_change_in_the_wanted_direction_or_without_one_is_not_worse(self):
        for better, value in (("higher", 0.6), ("lower", 0.15), (None, 0.6)):
            (change,) = compared(report(record(better=better)), record(value=value, error=0.09, better=better))
            assert change.exceeds
            assert not change.is_worse

    def test_each_of_many_needs_a_smaller_p_value(self):
        alone = compared(report(record(error=0.10)), record(value=0.342, error=0.08))
        keys = [f"incidence.{i}" for i in range(9)]
        same = [record(key, error=0.10) for key in keys], [record(key, error=0.08) for key in keys]
        many = compared(report(record(error=0.10), *same[0]), record(value=0.342, error=0.08), *same[1])
        assert alone[0].exceeds
        assert not many[0].exceeds
        assert many[0].p_value == alone[0].p_value
        assert many[0].p_adjusted == pytest.approx(10 * many[0].p_value)

    def test_defined_in_another_way_are_shown_and_not_tested(self):
        (change,) = compared(report(record()), record(value=0.9, error=0.01), redefined=["incidence.min_at_risk"])
        assert change.redefined == ("incidence.min_at_risk",)
        assert not change.is_compared
        (change,) = compared(report(record()), record(value=0.9), redefined=["model.ties"])
        assert change.is_compared
        (change,) = compared(report(record()), record(scale="linear"))
        assert change.redefined

    def test_not_estimable_in_a_quarter_are_not_tested(self):
        none = headline("incidence.attrition.24", "Attrition", None, "", level=0.95, scale="log", format="percent:1")
        for before, now in ((none, record()), (record(), none)):
            (change,) = compared(report(before), now)
            assert not change.is_compared
            assert math.isnan(change.p_value)


@pytest.mark.parametrize(
    ("value", "scale", "format", "words"),
    [
        (math.log(1.025), "log", "percent:1", "+2.5%"),
        (math.log(0.5), "log", "number:2", "\u221250.0%"),
        (-0.012, "linear", "number:3", "\u22120.012"),
        (0.012, "linear", "percent:1", "+1.2 points"),
        (-1e-9, "linear", "number:3", "0.000"),
        (math.nan, "log", "percent:1", "–"),
    ],
)
def test_changes_are_told_on_their_scale(value, scale, format, words):
    assert size_words(value, record(scale=scale, format=format)) == words


class TestRedefinitions:
    then = {"period": "2026 Q2", "incidence": {"horizon": 24}, "evaluation": {"development_until": "2025-06-30"}}

    def changed(self, **now):
        return redefinitions(report(configuration=self.then), {**self.then, **now}, date(2026, 9, 30))

    def test_tell_the_keys_with_both_values(self):
        assert self.changed(incidence={"horizon": 12}) == {"incidence.horizon": ("24", "12")}
        assert self.changed(model={"ties": "efron"}) == {"model.ties": ("not set", "efron")}

    def test_leave_out_words_and_dates_that_moved_on_with_the_quarter(self):
        assert self.changed(period="2026 Q3", evaluation={"development_until": "2025-09-30"}) == {}
        assert "evaluation.development_until" in self.changed(evaluation={"development_until": "2025-12-31"})

    def test_are_not_known_without_a_recorded_configuration(self):
        assert redefinitions(report(), {}, date(2026, 9, 30)) is None


def test_findings_are_matched_by_evidence_and_threshold_numbers_apart():
    def finding(text, evidence="attrition", threshold="at least 0.55", severity="amber"):
        return Finding(text, severity, threshold, evidence)

    before = [finding("C of attrition is 0.51"), finding("C of default is 0.52"), finding("gone", "table")]
    now = [finding("C of default is 0.40", severity="red"), finding("C of attrition is 0.42"), finding("new", "figure")]
    since = findings_since([*before, finding("no PDF", "documents")], [*now, finding("moved", "changes")])
    assert [f.text for f in since.opened] == ["new"]
    assert [f.text for f in since.closed] == ["gone"]
    assert since.open_still == tuple(now[:2])
    one_less = findings_since(before[:2], now[:1])
    assert [f.text for f in one_less.closed] == ["C of attrition is 0.51"]


@pytest.fixture(scope="module")
def quarters(small_folder, tmp_path_factory):
    """Folders of two deliveries, the earlier one with its report, and the later one compared with it."""
    home = tmp_path_factory.mktemp("quarters")
    latest = cs.data.Portfolio.load(small_folder)
    latest.until("2026-06-30").save(home / "Q2")
    latest.save(home / "Q3")
    earlier = quick_configuration(**{"2026 Q3": "2026 Q2", "2026-09-30": "2026-06-30"})
    (home / "Q2" / "q.toml").write_text(earlier, encoding="utf-8")
    quarterly.build(home / "Q2" / "q.toml").save(home / "Q2" / "out", ("json",))
    now = quick_configuration(**{'period = "': 'previous = "../Q2/out/report.json"\nperiod = "'})
    (home / "Q3" / "q.toml").write_text(now, encoding="utf-8")
    return home


def section_of(made, key="changes"):
    return next(section for section in made.sections if section.key == key)


def block(made, key):
    return next(b for b in section_of(made).blocks if getattr(b, "key", "") == key)


@pytest.fixture(scope="module")
def made(quarters):
    return quarterly.build(quarters / "Q3" / "q.toml")


class TestTheSection:
    def test_stands_after_the_first_page_which_tells_its_result(self, made):
        assert [section.key for section in made.sections[:2]] == ["summary", "changes"]
        assert any("Since last quarter: " in getattr(b, "text", "") for b in made.sections[0].blocks)

    def test_has_every_headline_of_both(self, made, quarters):
        before = json.loads((quarters / "Q2" / "out" / "report.json").read_text(encoding="utf-8"))
        both = {h["key"] for h in before["headlines"]} & {h.key for h in made.headlines}
        rows = block(made, "changes-headlines").rows
        assert len(rows) == len(both) >= 3
        assert {row[-1] for row in rows} == {"all so far"}

    def test_finds_the_data_of_then_in_those_of_today(self, made):
        assert any(
            "nothing of 2026 Q2 and before was restated" in getattr(b, "text", "") for b in section_of(made).blocks
        )

    def test_is_recorded_with_the_report_compared_with(self, made):
        assert made.provenance["previous"]["period"] == "2026 Q2"
        assert made.provenance["previous"]["file"] == "report.json"

    def test_finds_a_wave_of_exits_planted_in_the_new_quarter(self, quarters, tmp_path):
        for file in (quarters / "Q3").iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        frame = pd.read_parquet(tmp_path / "performance.parquet")
        when = pd.Timestamp("2026-08-31")
        there = frame[(frame["month"] == when) & (frame["status"] == "open")]
        leaving = there["loan_id"].iloc[::5]
        frame = frame[~(frame["loan_id"].isin(leaving) & (frame["month"] > when))]
        frame.loc[frame["loan_id"].isin(leaving) & (frame["month"] == when), "status"] = "prepaid"
        frame.to_parquet(tmp_path / "performance.parquet")
        text = (tmp_path / "q.toml").read_text(encoding="utf-8").replace("../Q2", str(quarters / "Q2"))
        (tmp_path / "q.toml").write_text(text, encoding="utf-8")
        made = quarterly.build(tmp_path / "q.toml")
        found = [f for f in made.findings if f.evidence == "changes-headlines"]
        assert [f.severity for f in found] == ["amber"]
        assert found[0].text.startswith("Attrition within 24 months went from")
        assert found[0].figure[0] > 0
        assert "nothing of 2026 Q2 and before was restated" in str(section_of(made))


class TestRestatedData:
    def test_are_told_by_column(self, quarters):
        config = read_config(quarters / "Q3" / "q.toml")
        previous, spells = read_previous(config), analyse(config).spells
        assert not restatement(previous, spells)
        early = spells.frame.index[spells.frame["period"] < "2026-01-01"][3]
        spells.frame.loc[early, "credit_score"] += 1
        found = restatement(previous, spells)
        assert found.columns == ("credit_score",)
        assert found.spells[0] == found.spells[1]

    def test_are_not_known_without_a_record(self, quarters):
        config = read_config(quarters / "Q3" / "q.toml")
        previous = read_previous(config)
        bare = replace(previous, report=replace(previous.report, provenance={}))
        assert restatement(bare, analyse(config).spells) is None

    def test_the_order_of_rows_and_the_last_bits_do_not_count(self, quarters):
        spells = analyse(read_config(quarters / "Q2" / "q.toml")).spells
        mixed = spells.frame.sample(frac=1, random_state=1).reset_index(drop=True)
        mixed["burnout"] = mixed["burnout"] * (1 + 1e-15)
        assert fingerprint(replace(spells, frame=mixed)) == fingerprint(spells)


class TestTheEarlierReport:
    @pytest.mark.parametrize(
        ("content", "message"),
        [("{}", "no report that this version reads"), ("not json", "is no JSON"), (None, "earlier quarter")],
    )
    def test_that_cannot_be_compared_with_is_refused_before_the_work(self, quarters, tmp_path, content, message):
        later = report(record())
        path = tmp_path / "report.json"
        path.write_text(json.dumps(replace(later, as_of="2026-09-30").to_dict()) if content is None else content)
        config = read_config(quarters / "Q3" / "q.toml").model_copy(update={"previous": str(path)})
        with pytest.raises(ConfigError, match=message):
            quarterly.build(config)

    def test_that_is_missing_is_named(self, quarters, tmp_path):
        text = (quarters / "Q3" / "q.toml").read_text(encoding="utf-8").replace("../Q2/out", "../Q1/out")
        path = quarters / "Q3" / "missing.toml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"previous = '\.\./Q1/out/report\.json'"):
            read_config(path)

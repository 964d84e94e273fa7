"""The section on interventions: every design of the configuration, its words, findings, multiplicity and disclosure."""

import json
import warnings
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import ConfigError, DataError
from churnsurv.report import Finding, Table, read_config
from churnsurv.report.analysis import Analysis, analyse, noticed
from churnsurv.report.sections.intervention_findings import findings, too_early
from churnsurv.report.sections.intervention_tables import Endpoint, adjusted, multiplicity_words
from churnsurv.report.sections.intervention_words import fewer_words, noninferiority, says
from churnsurv.report.sections.interventions import interventions
from churnsurv.report.studies import Study, study_of
from tests.conftest import REPORTS


@pytest.fixture(scope="module")
def analysis(small_analysis):
    return small_analysis


@pytest.fixture(scope="module")
def config(analysis):
    return analysis.config


@pytest.fixture
def changed(analysis):
    """The analysis with other settings, spells or tables."""

    def change(spells=None, tables=None, **settings):
        config = analysis.config.model_copy(update=settings)
        used = analysis.spells if spells is None else spells
        return Analysis(config, tables or analysis.tables, used, used.complete())

    return change


def named(config, name, **changes):
    return next(i for i in config.interventions if i.name == name).model_copy(update=changes)


def texts(blocks):
    return " ".join(b.text for b in blocks if hasattr(b, "text"))


def table(blocks, key):
    return next(b for b in blocks if isinstance(b, Table) and b.key == key)


def ratio(value, lower, upper, n_events=50):
    se = value * np.log(upper / lower) / (2 * 1.959964)
    return cs.Estimate("Hazard ratio", value, se, lower, upper, 0.95, 1000, n_events, "")


def study(settings, main=None, safety=None, p=0.01):
    made = {("hazard_ratio", c): r for c, r in (("attrition", main), ("default", safety)) if r is not None}
    return Study(settings, None, made, {c: p for _, c in made})


BELOW, AROUND, ABOVE = (0.6, 0.45, 0.8), (0.9, 0.7, 1.2), (1.5, 1.2, 1.9)


class TestFindings:
    @pytest.mark.parametrize(
        ("decision", "main", "safety", "margin", "severities", "words"),
        [
            ("extend", BELOW, BELOW, None, [], ""),
            ("continue", AROUND, AROUND, None, [], ""),
            ("open", ABOVE, AROUND, None, [], ""),
            ("extend", AROUND, AROUND, None, ["amber"], "includes no effect on attrition"),
            ("continue", ABOVE, AROUND, None, ["red"], "more leave by attrition"),
            ("extend", ABOVE, ABOVE, None, ["red", "red"], "goes with more default"),
            ("stop", BELOW, AROUND, None, ["amber"], "decided to stop, but fewer leave"),
            ("stop", BELOW, ABOVE, None, ["red"], "goes with more default"),
            ("extend", BELOW, AROUND, 1.1, ["amber"], "not excluded"),
            ("extend", BELOW, AROUND, 1.3, [], ""),
            ("extend", BELOW, ABOVE, 1.1, ["red"], "goes with more default"),
        ],
    )
    def test_harm_and_decisions_against_the_interval_are_found(
        self, analysis, config, decision, main, safety, margin, severities, words
    ):
        settings = named(config, "Rate offer", decision=decision, margin=margin)
        found = findings(analysis, study(settings, ratio(*main), ratio(*safety)), "evidence")
        assert [f.severity for f in found] == severities
        assert words in " ".join(f.text for f in found)

    def test_a_decision_to_go_on_without_an_estimate_is_found(self, analysis, config):
        found = findings(analysis, study(named(config, "Rate offer", decision="extend", margin=1.2)), "evidence")
        assert [f.severity for f in found] == ["amber", "amber"]
        assert "no effect on attrition could be estimated" in found[0].text


class TestWords:
    @pytest.mark.parametrize(
        ("interval", "said"),
        [(BELOW, "fewer"), (ABOVE, "more"), (AROUND, "includes no effect"), ((0.9, 0.7, 1), "includes no effect")],
    )
    def test_the_interval_decides_what_is_said(self, interval, said):
        assert says(ratio(*interval)) == said
        assert says(None) == "not estimable"

    def test_numbers_whose_interval_includes_zero_are_not_called_fewer(self):
        none = cs.Estimate("Fewer", 16, 17, -16, 49, 0.95, 100, 20, "")
        clear = cs.Estimate("Fewer", -58, 17, -92, -23, 0.95, 100, 20, "")
        assert "not distinguishably different: between 16 more and 49 fewer" in fewer_words(
            none, "attrition", "Of 1,000"
        )
        assert "58 more leave by attrition (95% CI 23 to 92)" in fewer_words(clear, "attrition", "Of 1,000")

    def test_non_inferiority_needs_the_whole_interval_below_the_margin(self, config):
        settings = named(config, "Rate offer", margin=1.25)
        assert "is excluded" in noninferiority(study(settings, safety=ratio(0.9, 0.7, 1.24)), "default")
        assert "is not excluded" in noninferiority(study(settings, safety=ratio(0.9, 0.7, 1.25)), "default")


class TestMultiplicity:
    def endpoints(self, config, p_values, primary):
        settings = config.interventions[0]
        return [
            Endpoint(settings, None if p is None else study(settings, ratio(*BELOW), p=p), "attrition", first)
            for p, first in zip(p_values, primary, strict=True)
        ]

    def test_primary_endpoints_are_one_family_and_a_missing_result_counts_as_one(self, config):
        every = self.endpoints(config, [0.01, 0.02, None, 0.001], [True, True, True, False])
        # three tests: 3 x 0.01, 2 x 0.02, and the one without a result
        np.testing.assert_allclose(adjusted(every, "holm"), [0.03, 0.04, np.nan, np.nan])
        np.testing.assert_allclose(adjusted(every, "benjamini-hochberg"), [0.03, 0.03, np.nan, np.nan])

    def test_a_test_that_stands_alone_only_is_named(self, analysis, config):
        every = self.endpoints(config, [0.001, 0.03, 0.03], [True] * 3)
        words = multiplicity_words(analysis, every)
        assert "Of 3 primary tests, 1 stands" in words
        assert "below 0.05 alone" in words

    def test_without_a_primary_endpoint_nothing_is_confirmed(self, analysis, config):
        assert "confirm nothing" in multiplicity_words(analysis, self.endpoints(config, [0.01], [False]))


class TestSection:
    def test_every_design_of_the_configuration_is_shown(self, small_report, config):
        section = next(s for s in small_report.sections if s.key == "interventions")
        assert len(table(section.blocks, "interventions-register").rows) == len(config.interventions)
        effects = table(section.blocks, "interventions-effects")
        assert len(effects.rows) == 2 * len(config.interventions)
        keys = [h.key for h in small_report.headlines]
        for settings in config.interventions:
            assert sum(key.endswith(f".{settings.name}.attrition") for key in keys) == 1
        assert "one family" in effects.notes[0]

    def test_every_number_of_the_flow_is_accounted_for(self, small_report):
        section = next(s for s in small_report.sections if s.key == "interventions")
        flows = [b for b in section.blocks if isinstance(b, Table) and b.key.endswith("-flow")]
        assert flows
        for flow in flows:
            loans = [row[1] for row in flow.rows]
            if all(isinstance(n, int) for n in loans):
                assert loans[0] == sum(loans[1:])

    def test_one_that_cannot_be_estimated_leaves_the_others(self, changed, config):
        items = (named(config, "Rate offer", treated="gift"), named(config, "Fee advice"))
        part = noticed(interventions, changed(interventions=items))
        found = [b for b in part.section.blocks if isinstance(b, Finding)]
        assert [f.severity for f in found] == ["red"]
        assert "'Rate offer'" in found[0].text
        assert [h.value is None for h in part.headlines] == [True, False]
        assert table(part.section.blocks, "fee-advice-effects").rows

    def test_one_whose_horizon_is_not_over_is_too_early_to_judge_and_says_from_when(self, changed, config):
        # drawn on 30 September 2025, the data end a year later
        part = noticed(interventions, changed(interventions=(named(config, "Rate offer", horizon=15),)))
        (found,) = (b for b in part.section.blocks if isinstance(b, Finding))
        assert found.severity == "amber"
        assert "Too early to judge Rate offer" in found.text
        assert "from 31 December 2026" in found.text
        assert "The decision to extend rests on no estimate until then." in found.text
        assert [h.meaning for h in part.headlines] == ["Too early to judge: from 31 December 2026"]
        late = named(config, "Seminar", first=date(2026, 3, 31))
        assert too_early(changed(), late) == pd.Timestamp("2027-03-31")
        assert too_early(changed(), named(config, "Faster service")) is None
        assert too_early(changed(), named(config, "Rate offer")) is None

    def test_a_message_of_an_intervention_shows_no_identifier(self, changed, analysis, config):
        twice = analysis.tables["interventions"]
        twice = pd.concat([twice, twice[twice["intervention"] == "rate_offer"].iloc[:3]])
        part = noticed(
            interventions,
            changed(tables={**analysis.tables, "interventions": twice}, interventions=config.interventions[:1]),
        )
        found = next(b for b in part.section.blocks if isinstance(b, Finding))
        assert "more than once" in found.text
        assert "[id]" in found.text

    def test_an_arm_without_an_exit_is_said_not_to_be_estimable(self, changed, analysis, config):
        spells = analysis.spells
        treated = analysis.tables["interventions"].query("arm == 'offer'")["loan_id"]
        frame = spells.frame.copy()
        gone = frame["loan_id"].isin(treated) & (frame["period"] > "2025-09-30")
        frame.loc[gone, "cause"] = "open"
        part = noticed(interventions, changed(replace(spells, frame=frame), interventions=config.interventions[:1]))
        assert "Not estimable" in texts(part.section.blocks)
        assert part.headlines[0].value is None

    def test_what_would_tell_a_hidden_count_is_left_out(self, changed, config):
        part = noticed(interventions, changed(smallest_cell=60, interventions=config.interventions[:1]))
        arms = table(part.section.blocks, "rate-offer-arms").rows
        assert any("<60" in row for row in arms)
        hidden = [name for name, at in (("attrition", 2), ("default", 5)) if any(row[at] == "<60" for row in arms)]
        measures = [row[0] for row in table(part.section.blocks, "rate-offer-effects").rows]
        effects = table(part.section.blocks, "interventions-effects")
        totals = {group.split(": ")[1]: row[1] for group, row in zip(effects.groups, effects.rows, strict=True)}
        for cause in hidden:
            assert not any(m.startswith(f"Fewer by {cause}") for m in measures)
            assert totals[cause] == "not shown"
        assert "<60" not in json.dumps([b.alt for b in part.section.blocks if hasattr(b, "alt")])

    def test_a_rollout_needs_the_dates_of_its_switches_once(self, config):
        settings = named(config, "Faster service")
        with pytest.raises(ConfigError, match="either the indicator of the change, or the intervention"):
            type(settings)(**{**settings.model_dump(), "intervention": "faster_service"})


def test_an_indicator_gives_the_rollout_that_the_assignments_give(analysis, config):
    settings = named(config, "Faster service", adjust=(), permutations=1)
    listed = settings.model_copy(update={"indicator": None, "intervention": "faster_service"})
    whole = Analysis(analysis.config, analysis.tables, analysis.complete, analysis.complete)
    one, other = study_of(whole, settings), study_of(whole, listed)
    assert one.ratio("attrition").value == pytest.approx(other.ratio("attrition").value, rel=1e-9)
    assert len(one.cohort) == len(other.cohort)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (lambda f: 2.0, r"'faster_service' must be 0 before and 1 since.*2"),
        (lambda f: (f["period"] < "2024").astype(float), "'faster_service' is 0 again"),
        (lambda f: 1.0, "1 throughout"),
    ],
)
def test_an_indicator_of_other_values_or_that_goes_back_is_refused(analysis, column, message):
    frame = analysis.complete.frame
    spells = replace(analysis.complete, frame=frame.assign(faster_service=column(frame)))
    with pytest.raises(DataError, match=message):
        cs.effects.switch_dates(spells, "faster_service", "branch")


#: intervention → measure of the section, endpoint, and how its truth is found
TRUTHS = {
    "Rate offer": ("rate_offer", "hazard_ratio", "marginal"),
    "Loyalty programme": ("loyalty_programme", "complier", "compliers"),
    "Fee advice": ("fee_advice", "complier", "compliers"),
    "Deferral": ("deferral", "hazard_ratio", "conditional"),
    "Restructuring": ("restructuring", "hazard_ratio", "conditional"),
    "Faster service": ("faster_service", "hazard_ratio", "marginal"),
    "Cross-selling": ("cross_selling", "hazard_ratio", "marginal"),
    "Proactive contact": ("proactive_contact", "hazard_ratio", "marginal"),
    "Seminar": ("seminar", "hazard_ratio", "marginal"),
}


def misses(kinds):
    """Give the endpoints of the shipped configuration whose interval misses the truth of the simulation."""
    analysis = analyse(read_config(REPORTS / "quarterly.toml"))
    truths = json.loads((REPORTS.parent / "data" / "synthetic" / "truth.json").read_text())["interventions"]
    missed = []
    for settings in analysis.config.interventions:
        fast = {"permutations": 1}
        if settings.kind not in kinds:
            continue
        quick = settings.model_copy(update={k: v for k, v in fast.items() if k in type(settings).model_fields})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = study_of(analysis, quick)
        name, measure, kind = TRUTHS[settings.name]
        of = truths[name]
        for cause in ("attrition", "default") if kind == "conditional" else ("attrition",):
            if kind == "compliers":
                truth = of["effects"]["compliers"]["risk_difference"][cause]
            elif kind == "conditional":
                truth = np.exp(of["conditional_log_hazard_ratio"][cause])
            else:
                truth = np.exp(of["effects"]["eligible"]["marginal_log_hazard_ratio"][cause])
            estimate = found.effects[measure, cause]
            if not estimate.lower <= truth <= estimate.upper:
                missed.append((settings.name, cause))
    return missed


def test_intervals_of_the_shipped_configuration_cover_the_truth_of_the_simulation():
    # six intervals of 95 %: three or more miss in 0.2 % of portfolios
    assert len(misses({"randomised", "encouragement", "rollout", "time-varying"})) <= 2


@pytest.mark.slow
def test_intervals_of_what_was_not_drawn_cover_the_truth_of_the_simulation():
    # five intervals of 95 %: three or more miss in 0.1 % of portfolios
    assert len(misses({"landmark", "observational"})) <= 2

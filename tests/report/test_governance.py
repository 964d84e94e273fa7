"""Sign-off, definitions and limitations: what settings, rules and analysis say."""

from dataclasses import replace
from datetime import date

import pytest

from churnsurv.data import SpellRules
from churnsurv.exceptions import ConfigError, DataError, SmallSampleWarning
from churnsurv.report import Finding, Report, Table, Text
from churnsurv.report.analysis import Part
from churnsurv.report.content import Section
from churnsurv.report.contents import CHAPTERS, chapters_of, made
from churnsurv.report.render import render_json
from churnsurv.report.render.html import render_html
from churnsurv.report.sections.definitions import censoring_words, definitions
from churnsurv.report.sections.limitations import limitations
from churnsurv.report.sections.sign_off import sign_off
from churnsurv.report.settings import Change, Definitions, Governance, Limitation, Sections
from tests.report.sample import EVIL


@pytest.fixture(scope="module")
def analysis(small_analysis):
    return small_analysis


def with_settings(analysis, **settings):
    """Give the analysis under other settings, with the model as it was fitted."""
    other = replace(analysis, config=analysis.config.model_copy(update=settings), parts=[])
    vars(other).update({name: value for name, value in vars(analysis).items() if name == "model"})
    return other


def table(part, key):
    return next(b for b in part.section.blocks if isinstance(b, Table) and b.key == key)


def findings(part):
    return [b for b in part.section.blocks if isinstance(b, Finding)]


def words(part):
    return " ".join(b.text for b in part.section.blocks if isinstance(b, Text))


def shows_markup_as_text(part):
    report = Report("t", "p", "d", (), (part.section,))
    html = render_html(report.to_dict())
    return (
        "<script" not in html
        and "&lt;script&gt;" in html
        and EVIL.replace('"', '\\"')[:8] in render_json(report.to_dict())
    )


class TestSignOff:
    def of(self, analysis, regime="generic", **given):
        return sign_off(with_settings(analysis, governance=Governance(**given), regime=regime))

    def test_roles_names_and_dates_stand_in_the_form(self, analysis):
        part = self.of(analysis, "ss1-23", owner="A. Meyer", signed={"owner": date(2026, 10, 5)}, tier="high")
        form = table(part, "signatures")
        assert form.style == "form"
        assert form.rows[0] == ("Model owner", "A. Meyer", "2026-10-05", "")
        assert [row[0] for row in form.rows][2:] == ["Independent validation", "Accountable senior manager (SMF)"]
        assert ("Tier", "Tier 1") in table(part, "model-card").rows

    def test_what_is_not_given_is_said_to_be_missing_and_no_finding(self, analysis):
        part = self.of(analysis)
        assert {value for name, value in table(part, "model-card").rows if name != "Headings"} == {"not stated"}
        assert all(row[1:] == ("", "", "") for row in table(part, "signatures").rows)
        assert "No change of model or report is recorded" in words(part)
        assert findings(part) == []

    def test_changes_are_listed_the_newest_first(self, analysis):
        changes = tuple(
            Change(version=v, date=d, what="x", approved_by="B") for v, d in (("1", "2025-01-01"), ("2", "2026-01-01"))
        )
        rows = table(self.of(analysis, changes=changes), "change-log").rows
        assert [row[:2] for row in rows] == [("Model 2", "2026-01-01"), ("Model 1", "2025-01-01")]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"validator": "A. Meyer", "developer": " a.  meyer"}, "One person stands for two roles"),
            ({"next_review": date(2026, 6, 30)}, "was due on 2026-06-30"),
            (
                {
                    "model_version": "3",
                    "changes": (Change(version="2", date=date(2026, 1, 1), what="x", approved_by="B"),),
                },
                "version 3, which the change log does not have",
            ),
            ({"changes": (Change(version="2", date=date(2026, 1, 1), what="x"),)}, "Without approval.*model 2"),
        ],
    )
    def test_what_is_not_in_order_is_an_amber_finding(self, analysis, given, message):
        (finding,) = findings(self.of(analysis, **given))
        assert finding.severity == "amber"
        assert finding.evidence in ("signatures", "model-card", "change-log")
        with pytest.raises(DataError, match=message):
            raise DataError(finding.text)

    def test_markup_in_every_setting_stays_text(self, analysis):
        texts = (
            "owner",
            "developer",
            "validator",
            "approver",
            "model_id",
            "model_version",
            "materiality",
            "classification",
        )
        change = Change(version=EVIL, date=date(2026, 1, 1), what=EVIL, approved_by=EVIL)
        assert shows_markup_as_text(self.of(analysis, **dict.fromkeys(texts, EVIL), changes=(change,)))

    def test_wrong_settings_are_refused(self):
        with pytest.raises(ConfigError, match=r"\[governance\] has no key 'ownr'. Did you mean 'owner'"):
            Governance(ownr="x")
        with pytest.raises(ConfigError, match=r"version '1' of the model 2 times"):
            Governance(changes=(Change(version="1", date=date(2026, 1, 1), what="x"),) * 2)
        with pytest.raises(ConfigError, match="tier"):
            Governance(tier="huge")

    def test_without_the_table_there_is_no_section(self, analysis):
        config = analysis.config.model_copy(update={"governance": None})
        assert "sign-off" not in [chapter.key for chapter in chapters_of(config)]


#: rules with every kind of ending
RULES = SpellRules(
    origination="opened",
    observed="quarter",
    period="quarter",
    status="state",
    open=["ok"],
    causes={"attrition": ["prepaid", "closed"], "default": []},
    censored={"sold": ["sold on"]},
    exits=[
        {
            "cause": "default",
            "when": [{"column": "dpd", "at_least": 90}, {"column": "written_off_on", "present": True}],
        },
        {"cause": "matured", "when": [{"column": "balance", "values": [0]}]},
    ],
    maturity="ends",
    acquired="bought_on",
    paid_at_term=["attrition"],
    covariates={"performance": ["score"]},
    lags={"score": 2},
    exclude={"product": ["card"]},
    plausible={"score": [300, 850]},
)


class TestDefinitions:
    def of(self, analysis, **settings):
        return definitions(with_settings(analysis, **settings))

    def test_every_ending_of_the_rules_is_defined_by_them(self, analysis):
        part = self.of(analysis)
        rows = {row[0].lower(): row for row in table(part, "events").rows}
        assert set(rows) == set(analysis.config.spells.endings)
        assert rows["attrition"][1:] == ("main event", "status = prepaid")
        assert rows["default"][1:] == ("competing event, safety endpoint", "status = charged_off")
        assert rows["matured"][1].startswith("censored")
        assert rows["matured"][2] == "status = matured; or age = term (months)"

    def test_rules_by_conditions_are_told_as_they_apply(self, analysis):
        rows = {row[0]: row for row in table(self.of(analysis, spells=RULES), "events").rows}
        assert rows["Default"][2] == "dpd \u2265 90 and written_off_on is given"
        assert rows["Attrition"][2].startswith("state = prepaid or closed; in the last scheduled period")
        assert rows["Sold"][1:] == ("censored: a stated end of observation", "state = sold on")
        assert rows["Matured"][2] == (
            "balance = 0; or the period ends is reached; or exits by attrition in the last scheduled period"
        )

    def test_time_and_clean_up_follow_the_rules(self, analysis):
        part = self.of(analysis, spells=RULES)
        time = dict(table(part, "time-scale").rows)
        assert time["Time scale"].startswith("loan age in quarters since opened")
        assert time["At risk from"].endswith("not before bought_on")
        assert time["Other lags"] == "score 2 quarters"
        assert time["Dependence"] == "every loan by itself"
        assert dict(table(part, "data-rules").rows)["score"].startswith("300 to 850")
        assert ("Left out: excluded by product", "product = card", 0) in table(part, "population").rows

    def test_stated_censoring_is_said_to_be_an_assumption(self, analysis):
        assert "sold" in censoring_words(RULES)
        assert "Censored without being scheduled" not in censoring_words(analysis.config.spells)

    def test_the_population_adds_up(self, analysis):
        rows = table(self.of(analysis), "population").rows
        assert rows[0][2] - sum(row[2] for row in rows[1:-1]) == rows[-1][2] == 1_200

    def test_uses_not_stated_are_a_finding_where_the_regime_asks_for_them(self, analysis):
        empty = {"definitions": Definitions()}
        assert findings(self.of(analysis, **empty)) == []
        (finding,) = findings(self.of(analysis, **empty, regime="ecb"))
        assert "intended, prohibited and users" in finding.text
        assert findings(self.of(analysis, regime="ecb")) == []

    def test_markup_in_every_setting_stays_text(self, analysis):
        texts = dict.fromkeys(("intended", "prohibited", "users", "in_scope", "out_of_scope"), (EVIL,))
        assert shows_markup_as_text(self.of(analysis, definitions=Definitions(**texts, glossary={EVIL: EVIL})))


class TestLimitations:
    def of(self, analysis, parts=(), **settings):
        other = with_settings(analysis, **settings)
        other.parts.extend(parts)
        return limitations(other)

    def found(self, part):
        return {row[0]: row for row in table(part, "known-limitations").rows}

    def test_those_of_the_owners_are_listed(self, analysis):
        given = (Limitation(what="No rivals' rates.", owner="A. Meyer"),)
        rows = table(self.of(analysis, limitations=given), "stated-limitations").rows
        assert rows == (("No rivals' rates.", "A. Meyer", "nothing stated"),)
        assert "No limitation is stated" in words(self.of(analysis, limitations=()))

    def test_those_of_data_and_models_are_found(self, analysis):
        found = self.found(self.of(analysis))
        first = analysis.spells.frame.drop_duplicates("loan_id")
        assert found["Late entry"][1] == f"{100 * (first['entry'] > 0).mean():.1f}% of the loans"
        # one default lacks covariates: beside all defaults, their number in the model would tell
        defaults = int((analysis.spells.frame["cause"] == "default").sum())
        assert 0 < defaults - analysis.model.models_["default"].n_events_ < 5
        assert found["Few events of default"][1] == "events not shown"
        assert "No safety cause" not in found
        assert "Few events of attrition" not in found

    def test_what_is_not_in_the_report_is_a_limitation(self, analysis):
        found = self.found(self.of(analysis, evaluation=None, interventions=(), safety_cause=None))
        assert {"No prediction on a later period, no forest", "No intervention measured", "No safety cause"} <= set(
            found
        )

    def test_a_section_switched_off_is_a_limitation_too(self, analysis):
        found = self.found(self.of(analysis, sections=Sections(evaluation=False)))
        assert "No prediction on a later period, no forest" in found
        assert "No intervention measured" not in found

    def test_strata_of_vintage_leave_little_of_the_economy(self, analysis):
        assert analysis.model  # fitted without strata: of that model is the limitation
        model = analysis.config.model.model_copy(update={"strata": ("vintage",)})
        found = self.found(self.of(analysis, model=model))
        assert found["Little macro variation within vintages"][1] == "unemployment_rate"

    def test_few_events_below_the_smallest_cell_are_not_told(self, analysis):
        row = self.found(self.of(analysis, smallest_cell=100))["Few events of default"]
        assert row[1] == "fewer than 100 events"

    def test_notices_and_failures_of_the_other_sections_are_collected(self, analysis):
        parts = [
            Part(Section("attrition", "Attrition", ()), notices=("Few loans.", EVIL)),
            Part(Section("overrides", "Overrides", ()), failed=True),
        ]
        part = self.of(analysis, parts, regime="ecb")
        # the section itself has them: said once
        assert "in notes at the end of: Risk quantification: attrition (2)." in words(part)
        assert "Few loans." not in words(part)
        assert "Could not be made: Human judgement: overrides." in words(part)

    def test_markup_in_every_setting_stays_text(self, analysis):
        given = (Limitation(what=EVIL, owner=EVIL, mitigation=EVIL),)
        assert shows_markup_as_text(self.of(analysis, limitations=given))

    def test_a_limitation_without_owner_is_refused(self):
        with pytest.raises(ConfigError, match=r"\[limitations\] owner"):
            Limitation(what="x")


def test_a_notice_tells_no_identifier(analysis):
    loan = str(analysis.spells.frame["loan_id"].iloc[0])

    def make(analysis):
        import warnings

        warnings.warn(f"Rows of few loans ({loan}).", SmallSampleWarning, stacklevel=2)
        return Part(Section("attrition", "Attrition", ()))

    chapter = next(c for c in CHAPTERS if c.key == "attrition")._replace(make=make)
    assert made(chapter, analysis).notices == ("Rows of few loans ([id]).",)

"""The sections on prediction: discrimination, calibration, stability, backtest, challengers, scenarios, fairness."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import ConfigError
from churnsurv.report import Figure, Finding, Report, Table, read_config
from churnsurv.report.analysis import Analysis, analyse, noticed
from churnsurv.report.checks import check_evaluation
from churnsurv.report.contents import CHAPTERS, chapters_of, made
from churnsurv.report.peers import peer
from churnsurv.report.sections.calibration import calibration
from churnsurv.report.sections.challengers import challengers
from churnsurv.report.sections.evaluation import evaluation
from churnsurv.report.sections.fairness import fairness
from churnsurv.report.sections.monitoring import vintages
from churnsurv.report.sections.scenarios import scenarios
from churnsurv.report.sections.stability import stability
from churnsurv.report.settings import ChallengerSettings, FairnessSettings, ScenarioSettings
from churnsurv.report.trial import CHAMPION, backtest_dates, sample_of
from tests.conftest import small_configuration

KEYS = ("evaluation", "calibration", "stability", "backtest", "challengers", "scenarios", "fairness")


@pytest.fixture(scope="module")
def config(small_config):
    return read_config(small_config)


@pytest.fixture(scope="module")
def analysis(small_analysis):
    return small_analysis


@pytest.fixture(scope="module")
def parts(analysis):
    """The sections that several tests read, made once."""
    return {make.__name__: noticed(make, analysis) for make in (calibration, stability, challengers)}


def other(analysis, spells=None, **settings):
    """The analysis with other settings, and the trial anew."""
    used = analysis.spells if spells is None else spells
    return Analysis(analysis.config.model_copy(update=settings), analysis.tables, used, used.complete())


def with_trial_of(analysis, **settings):
    """The analysis with other settings that leave the trial as it is."""
    same = other(analysis, **settings)
    same.__dict__["trial"], same.__dict__["origins"] = analysis.trial, analysis.origins
    return same


def table(part, key):
    return next(b for b in part.section.blocks if isinstance(b, Table) and b.key == key)


def texts(part):
    return " ".join(b.text for b in part.section.blocks if hasattr(b, "text"))


def findings(part):
    return [b for b in part.section.blocks if isinstance(b, Finding)]


class TestEveryChapter:
    def test_is_in_the_report_with_tables_and_figures_and_none_fails(self, small_report):
        sections = {section.key: section for section in small_report.sections}
        assert [key for key in sections if key in KEYS] == list(KEYS)
        for key in KEYS:
            kinds = {type(block) for block in sections[key].blocks}
            assert {Table, Figure} <= kinds, key
            assert "could not be made" not in " ".join(b.text for b in sections[key].blocks if hasattr(b, "text"))

    def test_shows_no_small_count(self, small_report):
        for section in small_report.sections:
            for block in section.blocks:
                if section.key not in KEYS or not isinstance(block, Table) or block.key == "replication":
                    continue
                counted = [i for i, c in enumerate(block.columns) if c.name in ("exits", "loans")]
                for row in block.rows:
                    assert not any(isinstance(row[i], int) and 0 < row[i] < 5 for i in counted), (block.key, row)

    def test_of_a_single_hidden_count_hides_another(self, small_report):
        blocks = [b for s in small_report.sections for b in s.blocks]
        bands = next(b for b in blocks if isinstance(b, Table) and b.key == "vintage-table")
        hidden = {}
        for group, row in zip(bands.groups, bands.rows, strict=True):
            hidden.setdefault(group, []).append(isinstance(row[2], str))
        assert any(any(h) for h in hidden.values())
        assert all(sum(h) != 1 for h in hidden.values())

    def test_has_headlines_whose_keys_hold_no_period(self, small_report):
        keys = [h.key for h in small_report.headlines]
        assert {"concordance.attrition.Cox", "observed-expected.attrition.12", "observed-expected.default.12"} <= set(
            keys
        )
        assert {"stability.score", "backtest.auc.attrition", "scenario.base.attrition.12"} <= set(keys)
        assert len(keys) == len(set(keys))
        assert not any("2026" in key or "2025" in key for key in keys)

    def test_survives_json(self, small_report):
        assert Report.from_dict(small_report.to_dict()) == small_report.numbered()

    def test_can_be_switched_off(self, config):
        off = config.sections.model_copy(update=dict.fromkeys(KEYS, False))
        assert not {c.key for c in chapters_of(config.model_copy(update={"sections": off}))} & set(KEYS)

    def test_without_its_table_is_not_there(self, config):
        bare = config.model_copy(update={"scenarios": None, "fairness": None})
        assert {c.key for c in chapters_of(bare)} & set(KEYS) == set(KEYS) - {"scenarios", "fairness"}
        assert not {c.key for c in chapters_of(config.model_copy(update={"evaluation": None}))} & set(KEYS) - {
            "scenarios"
        }


class TestTrial:
    def test_is_run_once_and_kept(self, analysis):
        assert analysis.trial is analysis.trial
        assert analysis.trial.champion is analysis.trial.found.models_[CHAMPION, analysis.trial.date]

    def test_the_champions_predictions_are_those_of_its_curves(self, analysis):
        trial = analysis.trial
        curves = trial.champion.predict_curves(trial.X, start=trial.age)
        np.testing.assert_allclose(trial.risk("attrition"), curves.risk("attrition", 12.0), atol=1e-12)

    def test_of_a_large_portfolio_a_sample_of_customers_is_judged_and_told(self, analysis):
        settings = analysis.config.evaluation.model_copy(update={"most_loans": 800})
        part = evaluation(other(analysis, evaluation=settings))
        assert "random sample of customers" in texts(part)
        sampled = sample_of(analysis.spells, 800, 1)
        kept = analysis.spells.frame["customer_id"].isin(sampled.frame["customer_id"].unique())
        assert kept.sum() == len(sampled.frame)
        assert sample_of(analysis.spells, 5_000, 1) is None


class TestCalibration:
    def test_segments_sum_to_the_exits_of_the_trial(self, analysis):
        free = with_trial_of(analysis, smallest_cell=0)
        rows = table(calibration(free), "calibration-segments")
        own = [row for row, group in zip(rows.rows, rows.groups, strict=True) if group == "Attrition by segment"]
        assert sum(row[2] for row in own) == analysis.trial.events["attrition"]

    def test_a_deviation_within_the_tolerance_is_no_finding(self, analysis, parts):
        strict = parts["calibration"]
        assert any("loans left by attrition" in f.text for f in findings(strict))
        lenient = analysis.config.calibration.model_copy(update={"tolerance": 5.0})
        assert not findings(calibration(with_trial_of(analysis, calibration=lenient)))

    def test_the_advice_has_the_factor_of_the_recalibrated_model(self, parts):
        part = parts["calibration"]
        factor = table(part, "recalibration").rows[0][3]
        told = next(f.text for f in findings(part) if "attrition" in f.text)
        assert f"multiplied by {factor:.2f}" in told

    def test_a_safety_cause_of_few_exits_is_said_to_be_left_out(self, analysis):
        part = evaluation(other(analysis, smallest_cell=8))
        assert "Too few exits by default" in texts(part)


class TestStability:
    def test_a_planted_shift_of_the_customers_is_found_and_named(self, tmp_path):
        cs.data.simulate(1_500, seed=3, drift="population", truth_of_effects=False).save(tmp_path)
        path = tmp_path / "quarterly.toml"
        path.write_text(small_configuration(), encoding="utf-8")
        config = read_config(path)
        off = ChallengerSettings(forest=False, replicate=False)
        part = noticed(stability, analyse(config.model_copy(update={"challengers": off, "interventions": ()})))
        told = " ".join(f.text for f in findings(part) if f.evidence == "stability-table")
        assert "debt to income" in told  # one of the three that moved farthest
        table = next(block for block in part.section.blocks if getattr(block, "key", "") == "stability-table")
        alarms = [row[0] for row in table.rows if row[4] == "alarm"]
        assert {"Credit score", "Debt to income"} <= set(alarms)

    def test_series_of_the_market_are_left_out_and_told(self, parts):
        part = parts["stability"]
        names = [row[0] for row in table(part, "stability-table").rows]
        assert "Unemployment" not in names
        assert "unemployment" in texts(part)

    def test_a_performance_is_compared_with_one_that_shares_no_exits(self, parts):
        heads = [c.label for c in table(parts["stability"], "performance-drift").columns]
        assert heads[1:3] == ["Fitted September 2024", "Fitted September 2025"]

    def test_a_vintage_with_a_small_count_is_not_drawn(self, analysis):
        blocks = vintages(analysis, analysis.trial)
        rows = next(b for b in blocks if isinstance(b, Table))
        hidden = [
            r[0] for r, g in zip(rows.rows, rows.groups, strict=True) if g == "Attrition" and isinstance(r[2], str)
        ]
        alt = next(b.alt for b in blocks if isinstance(b, Figure))
        assert hidden
        assert not any(f" {vintage} " in alt for vintage in hidden)


class TestBacktest:
    def test_dates_are_counted_back_and_end_with_the_development(self, analysis):
        days = [f"{d:%Y-%m-%d}" for d in backtest_dates(analysis)]
        assert days == ["2024-09-30", "2024-12-31", "2025-03-31", "2025-06-30", "2025-09-30"]

    def test_the_pooled_estimate_lies_within_those_of_the_dates(self, analysis):
        found = analysis.origins
        own = found.folds[(found.folds["metric"] == "auc") & (found.folds["model"] == CHAMPION)]
        own = own[own["cause"] == "attrition"]["value"]
        pooled = found.estimate("auc", model=CHAMPION, cause="attrition").value
        assert own.min() <= pooled <= own.max()


class TestChallengers:
    def test_a_failing_one_is_a_row_with_its_reason(self, analysis):
        settings = ChallengerSettings(
            forest=False, replicate=False, fine_gray=True, peers={"sksurv.CoxnetSurvivalAnalysis": {"l1_ratio": -3.0}}
        )
        part = challengers(other(analysis, challengers=settings))
        shown = table(part, "challengers-table")
        rows = {(group, row[0]): row for group, row in zip(shown.groups, shown.rows, strict=True)}
        failed = rows["Attrition", "sksurv.CoxnetSurvivalAnalysis"]
        assert failed[2] is None
        assert len(failed[-1]) > 10
        assert rows["Attrition", "Fine\u2013Gray"][2] is not None
        assert rows["Default", "Fine\u2013Gray"][2] is None  # a model of one cause
        assert {"Monthly hazards", "Same risk for all"} <= {model for _, model in rows}

    def test_the_champion_is_replicated(self, parts):
        part = parts["challengers"]
        assert {row[-1] for row in table(part, "replication").rows} == {"agree"}
        assert not any(f.severity == "red" for f in findings(part))

    @pytest.mark.parametrize(
        "name", ["os.system", "lifelines.NoSuchModel", "sksurv", "lifelines._private", "lifelines.utils"]
    )
    def test_only_models_of_the_two_libraries_are_taken(self, name):
        with pytest.raises(ConfigError, match="peers"):
            peer(name, {})

    def test_a_parameter_that_a_model_does_not_take_is_named(self):
        with pytest.raises(ConfigError, match=r"peers\.lifelines\.WeibullAFTFitter.*trees"):
            peer("lifelines.WeibullAFTFitter", {"trees": 3})


class TestScenarios:
    def test_frozen_covariates_and_the_base_are_told(self, analysis):
        words = texts(scenarios(analysis))
        assert "stay as they were on that day" in words
        assert "credit score" in words

    def test_of_many_loans_a_sample_is_followed_and_told(self, analysis):
        settings = ScenarioSettings(horizon=3, shocks={"slump": {"unemployment_rate": 1.0}}, most_loans=200)
        part = scenarios(with_trial_of(analysis, scenarios=settings))
        assert "random sample of customers" in texts(part)
        assert next(h.n for h in part.headlines) < 260

    def test_own_shocks_are_shown_against_the_base(self, analysis):
        settings = ScenarioSettings(horizon=6, shocks={"slump": {"unemployment_rate": 4.0}}, largest_change=0.0)
        part = scenarios(with_trial_of(analysis, scenarios=settings))
        assert [row[0] for row in table(part, "scenario-table").rows][:2] == ["base", "slump"]
        assert any("range of the data" in f.text for f in findings(part))


class TestFairness:
    def test_a_small_group_is_hidden_with_another(self, analysis):
        frame = analysis.spells.frame
        few = frame["loan_id"].isin(analysis.trial.cohort.frame["loan_id"].iloc[:6])
        labels = frame["segment"].astype(str).where(~few, "staff")
        part = fairness(self.with_segment(analysis, labels))
        rows = table(part, "fairness-segment-table").rows
        assert [row[1] for row in rows].count("not shown") == 2
        assert "staff" not in texts(part)

    def test_names_of_groups_are_text_in_every_form(self, analysis, tmp_path):
        evil = '<script>alert("1")</script>'
        labels = analysis.spells.frame["segment"].astype(str).replace("young", evil)
        changed = self.with_segment(analysis, labels)
        parts = [fairness(changed).section, calibration(changed).section]
        assert any(evil in str(row) for s in parts for b in s.blocks if isinstance(b, Table) for row in b.rows)
        report = Report("Attrition", "2026 Q3", "2026-09-30", (), tuple(parts))
        saved = report.save(tmp_path / "report", ("html", "md"))
        for path in saved.values():
            assert "<script>alert" not in path.read_text(encoding="utf-8")

    def with_segment(self, analysis, labels):
        """The analysis with another column of segments, and the same trial."""
        from dataclasses import replace

        spells = replace(analysis.spells, frame=analysis.spells.frame.assign(segment=labels.to_numpy()))
        changed = other(analysis, spells, fairness=FairnessSettings(groups=("segment",), threshold=0.2))
        cohort = analysis.trial.cohort
        by_loan = pd.Series(labels.to_numpy(), index=spells.frame["loan_id"]).groupby(level=0).first()
        frame = cohort.frame.assign(segment=by_loan.reindex(cohort.frame["loan_id"]).to_numpy())
        changed.__dict__["trial"] = replace(analysis.trial, cohort=replace(cohort, frame=frame))
        return changed


@pytest.mark.parametrize(
    ("table_", "update", "message"),
    [
        ("evaluation", {"development_until": date(2026, 6, 30)}, r"\[evaluation\] development_until"),
        ("backtest", {"dates": (date(2026, 6, 30),)}, r"\[backtest\] dates: 2026-06-30"),
        ("scenarios", {"shocks": {"a": {"unemployment": 1.0}}}, r"'unemployment'.*Did you mean 'unemployment_rate'"),
        ("fairness", {"groups": ("credit_score",)}, r"'credit_score', which has .* different values"),
    ],
)
def test_what_the_data_do_not_allow_is_refused_before_any_model_is_fitted(config, analysis, table_, update, message):
    settings = getattr(config, table_).model_copy(update=update)
    with pytest.raises(ConfigError, match=message):
        check_evaluation(other(analysis, **{table_: settings}))


def test_the_checks_are_made_with_the_analysis(config):
    settings = config.evaluation.model_copy(update={"development_until": date(2026, 6, 30)})
    with pytest.raises(ConfigError, match=r"\[evaluation\] development_until"):
        analyse(config.model_copy(update={"evaluation": settings}))


def test_a_chapter_that_fails_leaves_the_others(analysis):
    broken = other(analysis, evaluation=analysis.config.evaluation.model_copy(update={"horizon": 40}))
    part = made(next(c for c in CHAPTERS if c.key == "calibration"), broken)
    assert [f.severity for f in findings(part)] == ["red"]

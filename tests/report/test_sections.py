from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import ConfigError, DataError
from churnsurv.metrics import brier_score
from churnsurv.report import Finding, Table, quarterly, read_config
from churnsurv.report.analysis import Analysis, analyse, known_at, named
from churnsurv.report.exit_counts import ExitCounts
from churnsurv.report.sections.by_quarter import exits_by_quarter, quarter_table
from churnsurv.report.sections.evaluation import evaluation
from churnsurv.report.sections.portfolio import portfolio
from tests.report.quick import only


@pytest.fixture(scope="module")
def config(small_config):
    return read_config(small_config)


@pytest.fixture(scope="module")
def analysis(small_analysis):
    return small_analysis


@pytest.fixture
def changed(analysis):
    """The analysis with other settings and copies of its frames."""

    def change(spells=None, tables=None, **settings):
        config = analysis.config.model_copy(update=settings)
        used = analysis.spells if spells is None else spells
        return Analysis(config, tables or analysis.tables, used, used.complete())

    return change


def texts(blocks):
    return " ".join(b.text for b in blocks if hasattr(b, "text"))


def table(blocks, key):
    return next(b for b in blocks if isinstance(b, Table) and b.key == key)


class TestDateOfTheReport:
    def test_what_came_later_is_cut_and_counted(self, config, analysis):
        earlier = analyse(config.model_copy(update={"as_of": pd.Timestamp("2026-03-31").date(), "evaluation": None}))
        assert earlier.spells.frame["period"].max() == pd.Timestamp("2026-03-01")
        assert earlier.cut["spells"] == (analysis.spells.frame["period"] > "2026-03-31").sum() > 0
        assert "The data go on after 31 March 2026" in texts(portfolio(earlier).section.blocks)
        assert "go on after" not in texts(portfolio(analysis).section.blocks)

    @pytest.mark.parametrize("date", ["2031-12-31", "2026-10-31", "2011-01-31"])
    def test_a_date_that_the_data_do_not_reach_is_refused(self, config, analysis, date):
        with pytest.raises(ConfigError, match=r"as_of = .*cover 2023-01-01 to 2026-09-30"):
            known_at(analysis.spells, config.model_copy(update={"as_of": pd.Timestamp(date).date()}))

    def test_a_date_within_the_following_period_reports_the_last_complete_one(self, config, analysis):
        later = known_at(analysis.spells, config.model_copy(update={"as_of": pd.Timestamp("2026-10-15").date()}))
        assert len(later) == len(analysis.spells)

    def test_a_horizon_beyond_the_ages_observed_is_refused(self, config):
        incidence = config.incidence.model_copy(update={"horizon": 900})
        with pytest.raises(ConfigError, match=r"\[incidence\] a horizon of 900 months"):
            analyse(config.model_copy(update={"incidence": incidence}))


def test_a_cause_of_which_most_quarters_are_hidden_has_no_column(small_analysis):
    quarters = [key for key in small_analysis.exits.cells if key[:2] == ("attrition", "quarter")]
    cells = dict(small_analysis.exits.cells) | dict.fromkeys(quarters[-6:], "<5")
    other = replace(small_analysis)
    vars(other)["exits"] = ExitCounts(cells)
    found = quarter_table(other)
    assert "attrition" not in [column.name for column in found.columns]
    assert found.notes[-1].startswith("Left out, because most quarters have too few exits to be shown: attrition")


def test_no_table_of_the_report_shows_a_small_count(small_report):
    for section in small_report.sections:
        for block in section.blocks:
            counted = [i for i, c in enumerate(getattr(block, "columns", ())) if c.format == "integer"]
            if section.key in ("portfolio", "attrition", "interventions"):
                for row in getattr(block, "rows", ()):
                    assert not any(isinstance(row[i], int) and 0 < row[i] < 5 for i in counted), (block.key, row)


def test_a_hidden_count_of_a_quarter_has_no_rate(analysis):
    true = exits_by_quarter(analysis.spells, 0.95).tail(8)
    found = quarter_table(analysis)
    names = [column.name for column in found.columns]
    hidden = 0
    for cause in ("attrition", "default", "renewed"):
        if cause in names:
            for row, n in zip(found.rows, true[cause], strict=True):
                cell, rate = row[names.index(cause)], row[names.index(f"{cause} rate")]
                assert (cell == "<5") == (0 < n < 5)
                assert (rate is None) == isinstance(cell, str)
                hidden += isinstance(cell, str)
    assert hidden


def test_a_safety_cause_is_not_needed(config):
    keys = ("definitions", "attrition", "interventions")
    update = {"safety_cause": None, "interventions": config.interventions[:1], "sections": only(config, *keys)}
    sections = quarterly.build(config.model_copy(update=update)).to_dict()["sections"]
    assert [section["key"] for section in sections] == ["summary", *keys]
    assert "safety endpoint" not in str(sections)
    assert "could not be made" not in str(sections)


def test_errors_and_warnings_name_their_place():
    with pytest.raises(DataError, match=r"^\[model\]: no$"), named("[model]"):
        raise DataError("no")


def test_a_csv_file_is_read(config, small_folder, tmp_path):
    pd.read_parquet(small_folder / "loans.parquet").to_csv(tmp_path / "loans.csv", index=False)
    data = config.data.model_copy(update={"loans": str(tmp_path / "loans.csv")})
    assert len(analyse(config.model_copy(update={"data": data})).spells) > 0


def test_a_file_that_is_no_parquet_says_what_can_be_read(config, tmp_path):
    (tmp_path / "loans.dat").write_text("a,b")
    data = config.data.model_copy(update={"loans": str(tmp_path / "loans.dat")})
    with pytest.raises(DataError, match=r"cannot be read as Parquet.*\.csv"):
        analyse(config.model_copy(update={"data": data}))


class TestEvaluation:
    def test_a_date_within_a_month_counts_as_the_end_of_the_one_before(self, changed, config):
        settings = config.evaluation.model_copy(update={"development_until": pd.Timestamp("2025-09-17").date()})
        words = texts(evaluation(changed(evaluation=settings)).section.blocks)
        assert "known on 31 August 2025" in words
        assert "complete on 17 September 2025" in words

    @pytest.mark.parametrize(("date", "horizon"), [("2026-06-30", 12), ("2023-03-31", 12), ("2025-09-30", 40)])
    def test_a_date_without_enough_data_around_it_names_the_keys(self, changed, config, date, horizon):
        settings = config.evaluation.model_copy(
            update={"development_until": pd.Timestamp(date).date(), "horizon": horizon}
        )
        with pytest.raises(ConfigError, match=r"\[evaluation\].*development_until.*horizon"):
            evaluation(changed(evaluation=settings))

    def test_a_formula_with_a_column_that_did_not_vary_then_is_refused_with_the_reason(self, changed, config):
        model = config.model.model_copy(update={"formula": "rate_incentive + rate_offer"})
        with pytest.raises(ConfigError, match="formula uses 'rate_offer', which is the same for every loan"):
            evaluation(changed(model=model))

    def test_the_numbers_the_models_were_fitted_on_are_told(self, analysis):
        date = pd.Timestamp("2025-09-30")
        complete = analysis.spells.until(date).complete()
        words = texts(evaluation(analysis).section.blocks)
        assert f"{complete.frame['loan_id'].nunique():,} loans, with exits" in words

    def test_loans_open_at_the_end_of_the_horizon_count_as_having_stayed(self):
        y = cs.Outcome(stop=[3, 12, 12, 12], event=[1, 0, 0, 0])
        risk = np.array([0.6, 0.2, 0.2, 0.2])
        assert brier_score(y, risk, 12.0).value == pytest.approx((0.4**2 + 3 * 0.2**2) / 4)

    def test_a_worse_score_within_chance_is_no_finding(self, analysis):
        for block in evaluation(analysis).section.blocks:
            if isinstance(block, Finding) and block.evidence == "accuracy":
                assert "difference lies between" in block.text

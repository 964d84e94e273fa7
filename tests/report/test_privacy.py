"""No loan or customer is named, and no hidden count follows from one elsewhere in the report."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from churnsurv.report import Figure, Section, Table
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Column
from churnsurv.report.disclosure import HIDDEN
from churnsurv.report.exit_counts import COMPLETE
from churnsurv.report.identifiers import without_ids
from churnsurv.report.sections import monitoring
from churnsurv.report.sections import segments as of_segments
from churnsurv.report.sections.backtest import backtest
from churnsurv.report.sections.challengers import _reason
from churnsurv.report.sections.changes import _subtracted
from churnsurv.report.sections.hazards import _reading, hazards
from churnsurv.report.sections.limitations import limitations
from churnsurv.report.sections.portfolio import portfolio
from churnsurv.report.sections.provenance import provenance_record
from churnsurv.report.sections.specification import specification
from churnsurv.report.verify import _inputs


def of_ids(*ids):
    frame = pd.DataFrame({"loan_id": list(ids), "customer_id": list(ids)})
    return SimpleNamespace(spells=SimpleNamespace(frame=frame), config=SimpleNamespace(smallest_cell=5))


class TestMessages:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("loan 17 has two rows", "loan [id] has two rows"),
            ("loans 17, 18 and 19 left twice", "loans [id], [id] and [id] left twice"),
            ("loan_id = 17: negative time", "loan_id = [id]: negative time"),
            ("rows of customer '18' overlap", "rows of customer '[id]' overlap"),
            ("index [17, 18] not found", "index [[id], [id]] not found"),
            ("times differ (np.int64(17), 18)", "times differ (np.int64([id]), [id])"),
            ("17 loans have no row within 18 months", "17 loans have no row within 18 months"),
        ],
    )
    def test_hold_no_short_numbers_that_are_ids(self, text, shown):
        assert without_ids(text, of_ids(17, 18, 19)) == shown

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("3 events for 14 coefficients", "fewer than 5 events for 14 coefficients"),
            ("Arm 'offer' has one customer only", "Arm 'offer' has fewer than 5 customers only"),
            ("1 loan is alone", "fewer than 5 loans is alone"),
            ("5 events, 1,002 loans, 0 exits", "5 events, 1,002 loans, 0 exits"),
        ],
    )
    def test_hold_no_small_counts(self, text, shown):
        assert without_ids(text, of_ids("A1")) == shown

    @pytest.mark.parametrize("name", ["AB 12", "L:12;3", "O'Neil, J", "(x)", "12/34-5"])
    def test_hold_no_ids_with_blanks_or_punctuation(self, name):
        assert without_ids(f"the spells of {name} overlap.", of_ids(name, "other")) == "the spells of [id] overlap."

    def test_of_failing_challengers_are_cut_after_the_ids_are_out(self, small_analysis):
        first = small_analysis.spells.frame["loan_id"].iloc[0]
        told = _reason(without_ids(f"{'x ' * 70}loan {first} has no row {'y ' * 50}", small_analysis))
        assert str(first) not in told


@pytest.fixture(scope="module")
def few_lost(small_analysis):
    """Two loans without usable rows, and two more without complete covariates."""
    spells = small_analysis.spells
    has = spells.frame["loan_id"].isin(small_analysis.complete.frame["loan_id"])
    of_customer = has.groupby(spells.frame["customer_id"]).all()
    spells = spells.of_customers([*of_customer.index[of_customer], *of_customer.index[~of_customer][:2]])
    spells = replace(spells, left_out={"no usable row": 2}, loans_in=spells.frame["loan_id"].nunique() + 2)
    complete = spells.complete()
    assert 0 < spells.frame["loan_id"].nunique() - complete.frame["loan_id"].nunique() < 5
    return Analysis(small_analysis.config, small_analysis.tables, spells, complete)


def test_the_rows_of_the_loan_table_do_not_tell_how_few_were_left_out(few_lost, small_analysis):
    files = provenance_record(few_lost)["files"]
    assert files["loans"]["rows"] == HIDDEN
    assert files["performance"]["rows"] == len(few_lost.tables["performance"])
    record = provenance_record(small_analysis)
    assert record["files"]["loans"]["rows"] == 1_200
    # a verification still tells that the file is another one
    changed = record | {"files": files | {"loans": files["loans"] | {"sha256": "0" * 64}}}
    (line,) = _inputs(changed, provenance_record(few_lost) | {"spells": {}})
    assert "rows not shown" in line


def test_the_loans_of_the_models_do_not_tell_how_few_lack_a_covariate(few_lost):
    assert few_lost.exits["loans", "complete"] == HIDDEN
    sizes = next(b for b in specification(few_lost) if getattr(b, "key", "") == "model-sizes")
    assert {row[1] for row in sizes.rows} == {HIDDEN}
    assert "of nearly all loans" in _reading(few_lost)


def words_of(*parts):
    """Everything that parts of a report say, in one text."""
    blocks = [block for part in parts for block in part.section.blocks]
    return " ".join(str(replace(block, svg="") if isinstance(block, Figure) else block) for block in blocks)


class TestEventsOfTheModels:
    """46 defaults, of which the models have 45: the one left out must not follow."""

    def test_are_not_told_where_few_are_left_out(self, small_analysis):
        total = int((small_analysis.spells.frame["cause"] == "default").sum())
        events = small_analysis.model.models_["default"].n_events_
        assert 0 < total - events < small_analysis.config.smallest_cell
        said = words_of(hazards(small_analysis), limitations(small_analysis))
        assert f"{total:,}" in words_of(portfolio(small_analysis))
        assert not re.search(rf"\b{events}\b(?! ?%)", re.sub(r"\d+\.\d+", "", said))
        # nor do events per coefficient
        assert str(events / len(small_analysis.model.models_["default"].coef_)) not in said
        assert "<5 default" in said

    def test_are_told_where_more_or_none_are_left_out(self, small_analysis):
        counts = small_analysis.exits
        for cause, model in small_analysis.model.models_.items():
            left_out = int((small_analysis.spells.frame["cause"] == cause).sum()) - model.n_events_
            if left_out == 0 or left_out >= 5:
                assert counts.of_model(cause, COMPLETE) == model.n_events_
                assert f"Events of {cause}: {model.n_events_:,}" in words_of(hazards(small_analysis))

    def test_are_those_of_the_cohorts_that_judge_the_models(self, small_analysis):
        trial, counts = small_analysis.trial, small_analysis.exits
        assert {cause: counts.of_model(cause, trial.date) for cause in trial.events} == trial.events
        table = next(b for b in backtest(small_analysis).section.blocks if getattr(b, "key", "") == "backtest-dates")
        found = small_analysis.origins.folds
        for cause, (day, _, exits, *_) in zip(table.groups, table.rows, strict=True):
            if isinstance(exits, int) and day != "All dates":
                rows = found[(found["fold"] == day) & (found["cause"] == cause.lower()) & (found["model"] == "Cox")]
                assert set(rows["n_events"].dropna()) == {exits}

    def test_the_control_charts_count_every_exit_of_the_quarters(self, small_analysis, monkeypatch):
        tables = []
        monkeypatch.setattr(monitoring, "chart_plot", lambda table, cause, ax: tables.append((cause, table)))
        monitoring.control_charts(small_analysis, small_analysis.trial)
        frame = small_analysis.spells.frame
        assert tables
        for cause, drawn in tables:
            exits = frame["period"][frame["cause"] == cause].dt.to_period("Q").value_counts()
            shown = drawn.dropna(subset=["observed"])
            assert (shown["observed"].to_numpy() == exits.reindex(shown["period"], fill_value=0).to_numpy()).all()


def table(key, *rows):
    columns = (Column("segment", "Segment"), Column("loans", "Loans", "integer"), Column("default", "D", "integer"))
    return Section("attrition", "A", (Table(key, "t", columns, rows),))


def test_two_reports_of_which_one_can_be_subtracted_from_the_other_say_so():
    then = [table("by-segment", ("a", 40, "<5"), ("b", 60, 12))]
    now = [table("by-segment", ("a", 42, 6), ("b", 70, 12))]
    (said,) = _subtracted(then, now, 5)
    assert "1 of 3 counts with the same name in both differ by fewer than 5" in said.text
    assert _subtracted(then, now, 0) == []
    assert _subtracted(then, then, 5) == []
    assert _subtracted([table("trend", ("a", 1, 1))], [table("trend", ("a", 2, 2))], 5) == []


class TestSegments:
    @pytest.fixture
    def rows(self, small_analysis, monkeypatch):
        """Exits by segment as shown, when the true ones are given."""

        def shown(events, fairness, sizes=None):
            labels = pd.Series([name for name, n in (sizes or dict.fromkeys(events, 50)).items() for _ in range(n)])
            lines = [
                {"cause": "attrition", "vintage": v, "n": 50, "events": n, "expected": 9.0, "ratio": 1.0, "alarm": False,
                 "ratio_lower": 0.5, "ratio_upper": 1.5, "p_adjusted": 0.5}
                for v, n in events.items()
            ]  # fmt: skip
            found = SimpleNamespace(summary=pd.DataFrame(lines))
            monkeypatch.setattr(of_segments, "banded", lambda *_: labels)
            monkeypatch.setattr(of_segments, "roll_forward", lambda *_, **__: found)
            update = {"fairness": SimpleNamespace(groups=fairness)}
            config = small_analysis.config.model_copy(update=update)
            config.calibration.__dict__["segments"] = ("segment",)
            analysis = Analysis(config, {}, small_analysis.spells, small_analysis.complete)
            trial = SimpleNamespace(cohort=None, champion=None, horizon=12, causes=["attrition"])
            blocks = of_segments.segments(analysis, trial)
            config.calibration.__dict__["segments"] = ()
            return [row[2] for row in blocks[1].rows] if blocks else []

        return shown

    def test_hide_all_exits_where_the_fairness_section_hides_others_of_them(self, rows):
        events = {"a": 3, "b": 20, "c": 30}
        assert rows(events, ("region",)) == ["<5", HIDDEN, 30]
        assert rows(events, ("segment",)) == [HIDDEN] * 3
        assert rows({"a": 13, "b": 20, "c": 30}, ("segment",)) == [13, 20, 30]

    def test_of_which_one_holds_fewer_loans_than_a_count_may_tell_are_not_shown(self, rows):
        assert rows({"a": 0, "b": 20}, (), {"a": 3, "b": 90}) == []

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnsurv.exceptions import ConfigError, DataError
from churnsurv.report import Finding, Report, Table, Text, read_config
from churnsurv.report.adjustments import Adjustment
from churnsurv.report.analysis import analyse
from churnsurv.report.disclosure import HIDDEN
from churnsurv.report.outlook import outlook, today
from churnsurv.report.render import render_json
from churnsurv.report.render.html import render_html
from churnsurv.report.sections.overrides import loans_shown, overrides
from churnsurv.report.settings import Override, Overrides
from churnsurv.small_counts import is_small
from tests.conftest import small_configuration
from tests.report.attacker import Attacker
from tests.report.sample import EVIL


@pytest.fixture(scope="module")
def analysis(small_analysis):
    return small_analysis


def entry(**given):
    return Override(**{"date": date(2026, 7, 1), "kind": "overlay", "reason": "why", "approved_by": "B", **given})


def section(analysis, *entries, rows=None, **settings):
    config = analysis.config.model_copy(update={"overrides": Overrides(entries=entries, **settings)})
    tables = dict(analysis.tables) if rows is None else {**analysis.tables, "overrides": pd.DataFrame(rows)}
    other = replace(analysis, config=config, tables=tables, parts=[])
    vars(other)["model"] = analysis.model
    return overrides(other).section.blocks


def table(blocks, key):
    return next(b for b in blocks if isinstance(b, Table) and b.key == key)


def findings(blocks):
    return [b for b in blocks if isinstance(b, Finding)]


def loan_rows(ids, **given):
    values = {"date": "2026-07-01", "kind": "override", "reason": "why", "approved_by": "B", **given}
    return [{"loan_id": i, **values} for i in ids]


def test_without_a_decision_the_section_says_so(analysis):
    (text,) = section(analysis)
    assert "No override or overlay is recorded" in text.text


def test_decisions_are_listed_the_latest_first_with_their_state(analysis):
    blocks = section(
        analysis,
        entry(date=date(2026, 1, 1), expires=date(2026, 6, 30)),
        entry(date=date(2026, 12, 1), kind="override"),
        entry(expires=date(2026, 9, 30), scope="segment = young"),
    )
    rows = table(blocks, "override-list").rows
    assert [row[4] for row in rows] == [
        "2026-12-01 to no date: not yet in force",
        "2026-07-01 to 2026-09-30: in force",
        "2026-01-01 to 2026-06-30: expired",
    ]
    young = int((today(analysis).frame["segment"] == "young").sum())
    assert [row[3] for row in rows] == [len(today(analysis)), young, len(today(analysis))]
    assert table(blocks, "overrides-by-kind").rows == (("Override", 0, 0, 1), ("Overlay", 1, 1, 0))


def test_expired_and_unapproved_decisions_are_findings(analysis):
    blocks = section(analysis, entry(expires=date(2026, 6, 30)), entry(approved_by=" "))
    assert [(f.severity, f.figure) for f in findings(blocks)] == [("amber", 1), ("red", 1)]
    assert "2026-06-30" in findings(blocks)[0].text
    assert findings(section(analysis, entry())) == []


def test_the_effect_is_the_size_over_the_share_of_the_loans_in_scope(analysis):
    blocks = section(analysis, entry(scope="segment = young", size=0.02), entry(size=0.001), horizon=12)
    view = outlook(analysis, 12)
    share = (view.cohort.frame["segment"] == "young").mean()
    mean = view.risk["attrition"].mean()
    # no probability is near 1, so nothing is cut off
    assert view.risk["attrition"].max() < 0.97
    values = [row[1] for row in table(blocks, "override-effect").rows]
    np.testing.assert_allclose(values, [mean, 0.02 * share + 0.001, mean + 0.02 * share + 0.001], atol=1e-12)


def test_decisions_not_in_force_or_without_size_move_nothing(analysis):
    blocks = section(analysis, entry(), entry(size=0.1, date=date(2026, 12, 1)), entry(size=0.1, scope="the north"))
    assert not [b for b in blocks if isinstance(b, Table) and b.key == "override-effect"]
    blocks = section(analysis, entry(size=0.1), entry(size=0.1, scope="the north"))
    assert "Without 1 decision whose scope is in free words." in table(blocks, "override-effect").notes


class TestScopesOfOneColumn:
    """Their loans add up to the loans open: one hidden number would be the rest."""

    @staticmethod
    def shown(sizes, n_open, smallest=5, column="segment"):
        found, begin = [], 0
        for name, n in sizes.items():
            loans = np.zeros(n_open, dtype=bool)
            loans[begin : begin + n] = True
            found.append(Adjustment(entry(scope=f"{column} = {name}"), "in force", loans))
            begin += n
        return loans_shown(found, n_open, smallest)

    def test_hide_a_second_number_with_a_small_one(self):
        assert self.shown({"a": 3, "b": 40, "c": 57}, 100) == ["<5", HIDDEN, 57]
        assert self.shown({"a": 30, "b": 13, "c": 57}, 100) == [30, 13, 57]

    def test_hide_numbers_where_few_loans_are_of_no_scope(self):
        assert self.shown({"a": 30, "b": 67}, 100) == [HIDDEN, 67]
        assert self.shown({"a": 30, "b": 60}, 100) == [30, 60]

    def test_say_the_same_of_the_same_scope(self):
        a, b = np.arange(100) < 3, np.arange(100) >= 3
        scopes = [("segment = a", a), ("segment = b", b), ("segment=a", a), ("all", a | b)]
        found = [Adjustment(entry(scope=scope), "in force", loans) for scope, loans in scopes]
        assert loans_shown(found, 100, 5) == ["<5", HIDDEN, "<5", 100]

    @given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(0, 8))
    def test_leave_every_small_number_open_to_one_who_adds_up(self, sizes, rest):
        n_open = sum(sizes) + rest
        shown = self.shown({f"s{i}": n for i, n in enumerate(sizes)}, n_open)
        attacker = Attacker(5)
        for i, cell in enumerate(shown):
            attacker.cell(i)
            if cell is not None:
                attacker.reads(i, cell)
        attacker.knows_sum([*range(len(sizes)), "rest"], n_open)
        for i, n in enumerate([*sizes, rest]):
            if is_small(n, 5) and n < n_open:
                low, high = attacker.bounds(i if i < len(sizes) else "rest")
                assert high > low


class TestATable:
    def test_rows_alike_but_for_the_loan_are_one_decision(self, analysis):
        ids = today(analysis).frame["loan_id"].to_list()
        rows = [*loan_rows(ids[:20]), *loan_rows(ids[10:30], reason="other"), *loan_rows(ids[:5], kind="overlay")]
        blocks = section(analysis, rows=rows)
        assert [row[3] for row in table(blocks, "override-list").rows] == [20, 20, 5]
        text = " ".join(b.text for b in blocks if isinstance(b, Text))
        # loans in several decisions count once
        assert f"30 loans of {len(ids)} loans under observation ({100 * 30 / len(ids):.1f}%)" in text

    def test_too_many_overridden_loans_are_a_finding(self, analysis):
        ids = today(analysis).frame["loan_id"].to_list()
        (finding,) = findings(section(analysis, rows=loan_rows(ids[:30])))
        assert finding.figure == pytest.approx(30 / len(ids))
        assert findings(section(analysis, rows=loan_rows(ids[:30]), most=0.5)) == []

    def test_small_counts_are_not_shown_in_any_place(self, analysis):
        ids = today(analysis).frame["loan_id"].to_list()
        blocks = section(analysis, rows=loan_rows(ids[:3]), most=0)
        assert table(blocks, "override-list").rows[0][3] == "<5"
        (finding,) = findings(blocks)
        assert finding.figure is None
        assert "fewer than 5 loans" in finding.text
        assert "%)" not in finding.text
        # the change divided by the size would be the number of loans
        sized = section(analysis, rows=loan_rows(ids[:3], size=0.02))
        assert not [b for b in sized if isinstance(b, Table) and b.key == "override-effect"]
        nearly = section(analysis, rows=loan_rows(ids[:-2]))
        assert table(nearly, "override-list").rows[0][3] == "not shown"
        assert findings(nearly)[0].figure is None

    def test_the_loans_named_in_all_do_not_tell_how_few_one_decision_names(self, analysis):
        ids = today(analysis).frame["loan_id"].to_list()
        blocks = section(analysis, rows=[*loan_rows(ids[:20]), *loan_rows(ids[20:23], reason="other")], most=0)
        assert {row[3] for row in table(blocks, "override-list").rows} == {20, "<5"}
        assert f"decisions in force: some of {len(ids)} loans" in " ".join(
            b.text for b in blocks if isinstance(b, Text)
        )
        assert findings(blocks)[0].figure is None

    def test_loans_that_the_portfolio_does_not_have_are_a_finding(self, analysis):
        (finding,) = findings(section(analysis, rows=loan_rows([-1, -2, -3, -4, -5, -6])))
        assert finding.figure == 6
        assert "not in the portfolio" in finding.text

    def test_no_identifier_is_told_though_it_stands_in_the_reason(self, analysis):
        ids = today(analysis).frame["loan_id"].to_list()[:6]
        rows = loan_rows(ids, reason=f"as agreed for loan {ids[0]}")
        told = render_json(Report("t", "p", "d", (), (section_of(analysis, rows),)).to_dict())
        assert not [i for i in ids if str(i) in told]
        assert "[id]" in told

    def test_sizes_are_averaged_and_dates_may_be_timestamps(self, analysis):
        ids = today(analysis).frame["loan_id"].to_list()
        rows = pd.DataFrame(loan_rows(ids[:2])).assign(
            size=[0.02, 0.04], date=pd.Timestamp("2026-07-01"), expires=pd.NaT
        )
        row = table(section(analysis, rows=rows), "override-list").rows[0]
        assert (row[2], row[4]) == (pytest.approx(0.03), "2026-07-01 to no date: in force")

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([{"date": "2026-07-01", "kind": "overlay", "reson": "x"}], "column 'reson'. Did you mean 'reason'"),
            ([{"date": "2026-07-01", "reason": "x"}], "lacks the column 'kind'"),
            ([{"date": "2026-07-01", "kind": "guess", "reason": "x"}], "row 1: kind"),
            ([{"date": "soon", "kind": "overlay", "reason": "x"}], "row 1: date"),
            ([{"date": "2026-07-01", "kind": "overlay", "reason": None}], "row 1: reason"),
        ],
    )
    def test_a_faulty_table_is_refused(self, analysis, rows, message):
        with pytest.raises(DataError, match=message):
            section(analysis, rows=rows)

    def test_it_is_read_from_a_file_named_in_the_data(self, small_folder):
        (small_folder / "overrides.csv").write_text("date,kind,reason\n2026-07-01,overlay,why\n", encoding="utf-8")
        text = small_configuration(**{"[spells]\n": 'overrides = "overrides.csv"\n\n[spells]\n'})
        (small_folder / "with_overrides.toml").write_text(text, encoding="utf-8")
        made = analyse(read_config(small_folder / "with_overrides.toml"))
        rows = table(overrides(made).section.blocks, "override-list").rows
        assert ("Overlay: all", "why") in [row[:2] for row in rows]
        assert len(rows) == 1 + len(made.config.overrides.entries)


def section_of(analysis, rows):
    config = analysis.config.model_copy(update={"overrides": Overrides()})
    return overrides(
        replace(analysis, config=config, tables={**analysis.tables, "overrides": pd.DataFrame(rows)})
    ).section


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("segmnt = young", "'segmnt'. Did you mean 'segment'"),
        ("segment = yung", "no loan has 'yung'. Did you mean 'young'"),
    ],
)
def test_a_scope_that_means_nothing_is_refused(analysis, scope, message):
    with pytest.raises(ConfigError, match=message):
        section(analysis, entry(scope=scope))


def test_a_table_without_its_settings_is_refused(small_config):
    config = read_config(small_config)
    values = {name: getattr(config, name) for name in type(config).model_fields}
    values |= {"overrides": None, "data": config.data.model_copy(update={"overrides": "x.csv"})}
    with pytest.raises(ConfigError, match=r"\[data\] overrides is given without \[overrides\]"):
        type(config)(**values)


def test_markup_in_every_setting_stays_text(analysis):
    blocks = section(analysis, entry(scope=EVIL.replace("=", ""), reason=EVIL, approved_by=EVIL, size=0.01))
    report = Report("t", "p", "d", (), (replace(section_of(analysis, loan_rows([-1])), blocks=blocks),))
    html = render_html(report.to_dict())
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 3

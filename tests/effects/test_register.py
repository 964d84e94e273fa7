"""The register keeps what was written down: nothing is lost silently, faults are named, multiplicity is stated."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.effects import InterventionRegister, RegisterEntry
from churnsurv.effects.multiplicity import adjusted_p_values
from churnsurv.exceptions import ConfigError

PLAN = {
    "name": "Retention discount",
    "reference": "I1",
    "quarter": "2026 Q3",
    "what": "half a point off for a year",
    "design": "randomised",
    "estimand": "eligible loans, offer against hold-out: risk difference of attrition at 12 months",
    "specified_on": date(2025, 9, 1),
    "analysed_from": date(2026, 9, 30),
}
ESTIMATE = cs.Estimate("risk difference", -0.05, 0.02, -0.09, -0.01, 0.95, 1467, 184, "Aalen-Johansen")
TEST = cs.TestResult("log-rank", 6.1, 1, 0.0135, "unstratified", "equal hazards", 1467, 184)


def planned(**changes):
    return RegisterEntry(**(PLAN | changes))


@pytest.fixture
def register():
    return InterventionRegister().add(planned()).add(planned(name="Seminar", design="landmark", primary=False))


def with_result(register, name, p_value):
    test = cs.TestResult("log-rank", 1.0, 1, p_value, "", "", 10, 5)
    return register.record(name, "2026 Q3", estimate=ESTIMATE, test=test, estimated_on=date(2026, 10, 5))


def test_a_register_survives_the_file(register, tmp_path):
    register = with_result(register, "Retention discount", 0.0135)
    register = register.decide("Retention discount", "2026 Q3", "keep", 'clear effect; "no" harm \\ seen\n(default)')
    path = register.write(tmp_path / "register.toml")
    again = InterventionRegister.read(path)
    assert again.entries == register.entries
    assert again.write(path) == path


@settings(max_examples=25, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8"), min_size=1),
    numbers=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    p=st.floats(0, 1),
)
def test_any_text_and_number_survives_the_file(text, numbers, p, tmp_path_factory):
    lower, value, upper = sorted(numbers)
    result = {"estimated_on": date(2026, 10, 1), "estimate": value, "lower": lower, "upper": upper, "p_value": p}
    entry = planned(name=text, what=text, result=result, reason=text)
    path = InterventionRegister((entry,)).write(tmp_path_factory.mktemp("register") / "register.toml")
    assert InterventionRegister.read(path).entries == (entry,)


def test_an_open_end_of_an_interval_survives_too(tmp_path):
    result = {"estimated_on": date(2026, 10, 1), "estimate": 1.0, "lower": 0.5, "upper": float("inf"), "p_value": 0.4}
    entry = planned(result=result)
    assert InterventionRegister.read(InterventionRegister((entry,)).write(tmp_path / "r.toml")).entries == (entry,)


def test_nothing_is_replaced_silently(register, tmp_path):
    with pytest.raises(ConfigError, match="'Seminar' stands twice in the quarter 2026 Q3"):
        register.add(planned(name="Seminar"))
    done = with_result(register, "Seminar", 0.2)
    with pytest.raises(ConfigError, match="has a result of 2026-10-05 already; nothing was changed"):
        with_result(done, "Seminar", 0.01)
    decided = done.decide("Seminar", "2026 Q3", "stop", "nothing came of it")
    with pytest.raises(ConfigError, match="is decided already"):
        decided.decide("Seminar", "2026 Q3", "keep", "after all")
    path = decided.write(tmp_path / "register.toml")
    kept = path.read_bytes()
    with pytest.raises(ConfigError, match="has another result there"):
        register.write(path)
    with pytest.raises(ConfigError, match="'Seminar' of 2026 Q3 is not in this register"):
        InterventionRegister().add(planned()).write(path)
    other = InterventionRegister().add(planned(estimand="something else")).add(decided.entries[1])
    with pytest.raises(ConfigError, match="has another estimand there"):
        other.write(path)
    assert path.read_bytes() == kept
    decided.add(planned(quarter="2026 Q4")).write(path)
    register.write(path, overwrite=True)
    assert InterventionRegister.read(path).entries == register.entries


def test_a_result_of_before_the_first_look_is_not_recorded(register):
    with pytest.raises(ConfigError, match="estimated_on = 2026-09-01 is before analysed_from"):
        register.record("Seminar", "2026 Q3", estimate=ESTIMATE, test=TEST, estimated_on=date(2026, 9, 1))
    assert register.entries[1].result is None


def test_what_is_no_entry_estimate_test_or_file_is_refused(register, tmp_path):
    with pytest.raises(ConfigError, match="An entry is a NoneType"):
        register.add(None)
    plan = ("Seminar", "2026 Q3")
    with pytest.raises(ConfigError, match="estimate is a TestResult; give the Estimate"):
        register.record(*plan, estimate=TEST, test=TEST, estimated_on=date(2026, 10, 5))
    with pytest.raises(ConfigError, match="test is a float; give the TestResult"):
        register.record(*plan, estimate=ESTIMATE, test=0.04, estimated_on=date(2026, 10, 5))
    with pytest.raises(ConfigError, match="There is no folder .*to write 'register.toml' to"):
        register.write(tmp_path / "nowhere" / "register.toml")
    with pytest.raises(ConfigError, match="is a folder: give the name of a file"):
        register.write(tmp_path)


def test_comments_of_a_file_are_not_lost(register, tmp_path):
    path = register.write(tmp_path / "register.toml")
    written = path.read_text()
    for commented in (
        "# whoever reads this\n" + written,
        written.replace("primary = true", "primary = true # really", 1),
    ):
        path.write_text(commented)
        with pytest.raises(ConfigError, match="has 1 comment .*nothing was written"):
            register.write(path)
        assert path.read_text() == commented
    register.write(path, overwrite=True)
    assert path.read_text() == written
    # a # inside of a text is none
    full = register.add(planned(name="# 7", what='one "#" two\n# three', reason="it's # four"))
    assert full.write(full.write(path)) == path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"desing": "randomised"}, "has no key 'desing'. Did you mean 'design'"),
        ({"design": "guess"}, "design: Input should be 'randomised'"),
        ({"quarter": "2026-3"}, "is no quarter"),
        ({"reference": "7"}, "reference"),
        ({"reference": "I99"}, "'I99' is not in the catalogue"),
        (
            {"result": {"estimated_on": date(2026, 9, 29), "estimate": 1, "lower": 0, "upper": 2, "p_value": 0.1}},
            "estimated_on = 2026-09-29 is before analysed_from = 2026-09-30",
        ),
        ({"name": ""}, "name"),
        ({"decision": "keep"}, "without a result or a reason"),
        (
            {"result": {"estimated_on": date(2026, 1, 1), "estimate": 2, "lower": 0, "upper": 1, "p_value": 0.1}},
            "outside its",
        ),
        (
            {"result": {"estimated_on": date(2026, 1, 1), "estimate": 2, "lower": 0, "upper": 3, "p_value": 1.1}},
            "p_value",
        ),
    ],
)
def test_faulty_entries_are_refused_naming_the_key(change, words):
    with pytest.raises(ConfigError, match=words):
        planned(**change)


def test_unknown_keys_of_the_file_and_files_that_are_none_are_refused(tmp_path):
    path = tmp_path / "register.toml"
    with pytest.raises(ConfigError, match="There is no file"):
        InterventionRegister.read(path)
    path.write_text("[[intervention]]\nname = 'x'\n")
    with pytest.raises(ConfigError, match="has no key 'intervention'. Did you mean 'interventions'"):
        InterventionRegister.read(path)
    path.write_text("name = ")
    with pytest.raises(ConfigError, match="is not TOML"):
        InterventionRegister.read(path)


def test_names_that_are_not_there_are_refused(register):
    with pytest.raises(ConfigError, match="has no 'Gift' in 2026 Q3; it has 'Retention discount', 'Seminar'"):
        with_result(register, "Gift", 0.1)
    with pytest.raises(ConfigError, match="no entry of '2025 Q1'"):
        register.multiplicity("2025 Q1")
    with pytest.raises(ConfigError, match="method='bonferroni'"):
        register.multiplicity("2026 Q3", "bonferroni")


def test_multiplicity_counts_what_was_planned_and_marks_the_others():
    register = InterventionRegister()
    for name, p in (("a", 0.01), ("b", 0.02), ("c", 0.04), ("not run yet", None)):
        register = register.add(planned(name=name))
        register = register if p is None else with_result(register, name, p)
    register = register.add(planned(name="exploratory", primary=False))
    register = with_result(register, "exploratory", 0.001)
    register = register.add(planned(name="thought of later", specified_on=date(2026, 10, 1)))
    register = with_result(register, "thought of later", 0.002)
    holm = register.multiplicity("2026 Q3").set_index("name")
    assert (holm["family"] == 4).all()
    np.testing.assert_allclose(holm["adjusted_p_value"].iloc[:3], [0.04, 0.06, 0.08])
    assert holm["adjusted_p_value"].iloc[3:].isna().all()
    assert holm["prespecified"].tolist() == [True, True, True, True, True, False]
    bh = register.multiplicity("2026 Q3", "benjamini-hochberg").set_index("name")
    np.testing.assert_allclose(bh["adjusted_p_value"].iloc[:3], [0.04, 0.04, 0.16 / 3])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_adjusted_p_values_are_the_textbook_ones(values):
    p = np.array(values)
    holm, bh = adjusted_p_values(p, "holm"), adjusted_p_values(p, "benjamini-hochberg")
    m, order = len(p), np.argsort(p, kind="stable")
    for i, k in enumerate(order):
        steps = [(m - j) * p[order[j]] for j in range(i + 1)]
        assert holm[k] == pytest.approx(min(1, max(steps)))
        assert bh[k] == pytest.approx(min(1.0, *(m / (j + 1) * p[order[j]] for j in range(i, m))))
    assert (p <= bh + 1e-12).all()
    assert (bh <= holm + 1e-12).all()


def test_the_frame_has_a_row_per_entry_with_its_result(register):
    frame = with_result(register, "Seminar", 0.2).to_frame()
    assert frame["name"].tolist() == ["Retention discount", "Seminar"]
    assert frame["prespecified"].all()
    assert frame["estimate"].isna().tolist() == [True, False]
    assert InterventionRegister().to_frame().columns.tolist() == frame.columns.tolist()
    assert repr(register) == "InterventionRegister of 2 interventions: open 2"

import pytest
from pydantic import BaseModel

from churnsurv.data import SpellRules
from churnsurv.exceptions import ConfigError
from tests.data.tables import RULES, rules


def test_an_unknown_key_is_refused_with_its_name_and_the_nearest_known_one():
    with pytest.raises(ConfigError, match=r"\[spells\] has no key 'orgination'. Did you mean 'origination'\?"):
        rules(orgination="opened")


def test_an_unknown_key_of_a_nested_table_names_that_table():
    with pytest.raises(ConfigError, match=r"\[spells.covariates\] has no key 'perfomance'. Did you mean 'performance'"):
        rules(covariates={"perfomance": ["score"]})


def test_a_value_of_the_wrong_kind_names_the_key():
    with pytest.raises(ConfigError, match=r"\[spells\] lag: .*integer"):
        rules(lag="one")
    with pytest.raises(ConfigError, match=r"\[spells\] lag: .*greater than or equal to 1"):
        rules(lag=0)


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match="observed: Field required"):
        SpellRules(origination="opened", status="status", open=["open"], causes={"attrition": ["prepaid"]})


def test_an_error_of_rules_inside_another_model_is_the_same_error():
    class Config(BaseModel):
        spells: SpellRules

    with pytest.raises(ConfigError, match="no key 'colour'"):
        Config(spells=RULES.model_dump(exclude_none=True) | {"colour": "red"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"causes": {}}, "causes is empty"),
        ({"causes": {"open": ["x"]}}, "the name is taken"),
        ({"causes": {"attrition": ["open"]}}, "'open' has two meanings"),
        ({"maturity": "ends"}, "term and maturity both"),
        ({"paid_at_term": ["payoff"]}, "paid_at_term names 'payoff'"),
        ({"covariates": {"loans": ["score"], "performance": ["score"]}}, "names 'score' twice"),
        ({"keep": ["period"]}, "'period' is taken by a column of the spells"),
        ({"covariates": {"macro": ["unemployment_rate"]}}, "say by which column they join"),
        ({"period_one": "first quarter"}, "is not a period such as '2000Q1'"),
    ],
)
def test_contradictions_are_refused_saying_which(changes, message):
    with pytest.raises(ConfigError, match=message):
        rules(**changes)


def test_rules_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        RULES.lag = 2


def test_rules_are_read_from_the_spells_table_of_a_file(tmp_path):
    file = tmp_path / "rules.toml"
    text = """
        [data]
        loans = "elsewhere.parquet"
        [spells]
        origination = "opened"
        observed = "month"
        status = "status"
        open = [0]
        causes = { payoff = [2, 3], default = [1] }
    """
    file.write_text(text)
    read = SpellRules.from_toml(file)
    assert read.cause_names == ("payoff", "default")
    assert read.causes["payoff"] == (2, 3)


def test_a_missing_file_and_broken_toml_are_named(tmp_path):
    (tmp_path / "other.toml").write_text("a = ")
    with pytest.raises(ConfigError, match=r"no file .*rules.toml'. In its folder are: other.toml"):
        SpellRules.from_toml(tmp_path / "rules.toml")
    with pytest.raises(ConfigError, match=r"other.toml' is not TOML"):
        SpellRules.from_toml(tmp_path / "other.toml")


def test_a_single_value_where_a_list_is_expected_is_shown_as_a_list():
    with pytest.raises(ConfigError, match=r"""open: 'laufend' stands alone; give a list, e.g. \["laufend"\]"""):
        rules(open="laufend")


@pytest.mark.parametrize("bounds", [[850, 300], [float("nan"), 850]])
def test_plausible_values_from_high_to_low_are_refused(bounds):
    with pytest.raises(ConfigError, match=r"plausible.score = \[.*\]: give \[lowest, highest\]"):
        rules(plausible={"score": bounds})


@pytest.mark.parametrize("changes", [{"plausible": {"rate": [0, 20]}}, {"zero_is_missing": ["rate"]}])
def test_rules_about_the_values_of_macro_columns_are_refused(changes):
    with pytest.raises(ConfigError, match="names 'rate', a column of the macro table"):
        rules(covariates={"macro": ["rate"]}, macro={"period": "month"}, **changes)

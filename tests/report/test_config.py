import shutil

import pytest

from churnsurv.data.config import ConfigTable
from churnsurv.exceptions import ConfigError
from churnsurv.report import ReportConfig, read_config, settings
from churnsurv.report.contents import chapters_of
from tests.conftest import REPORTS, small_configuration


@pytest.fixture
def written(small_folder, tmp_path):
    """Write a changed configuration beside copies of the tables; give its path."""

    def write(**replacements):
        for file in small_folder.glob("*.parquet"):
            shutil.copy(file, tmp_path)
        path = tmp_path / "changed.toml"
        path.write_text(small_configuration(**replacements), encoding="utf-8")
        return path

    return write


def test_the_shipped_configuration_is_read():
    config = read_config(REPORTS / "quarterly.toml")
    assert config.main_cause == "attrition"
    assert {i.kind for i in config.interventions} == {
        "randomised", "encouragement", "rollout", "time-varying", "landmark", "observational",
    }  # fmt: skip
    assert read_config(config) is config


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('period = "2026 Q3"', 'periode = "2026 Q3"', r"'periode'.*Did you mean 'period'"),
        ("min_at_risk = 20", "min_risk = 20", r"\[incidence\].*'min_risk'.*'min_at_risk'"),
        ('main_cause = "attrition"', 'main_cause = "churn"', "'churn'.*attrition"),
        ("development_until = 2025-09-30", 'development_until = "soon"', r"\[evaluation\] development_until"),
        ('kind = "time-varying"', 'kind = "staged"', "randomised.*rollout.*observational"),
        ('expected = { default = "-" }', 'expected = { churn = "-" }', "'churn'"),
        ('segments = ["segment", "region"]', 'segments = ["segmnt"]', "'segmnt'.*Did you mean 'segment'"),
        ('indicator = "faster_service"', 'indicator = "fast_service"', "'fast_service'.*Did you mean 'faster_service'"),
        ('interventions = "interventions.parquet"', "", "'Rate offer': give the table of assignments"),
        ("smallest_cell = 5", "smallest_cell = -1", "smallest_cell"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_a_remedy(written, old, new, message):
    with pytest.raises(ConfigError, match=message):
        read_config(written(**{old: new}))


def test_a_missing_configuration_is_named_as_given():
    with pytest.raises(ConfigError, match=r"'reports/quartely\.toml'.*quarterly\.toml"):
        read_config("reports/quartely.toml")


def test_a_missing_data_file_is_named_with_the_remedy(written):
    path = written(**{'loans = "loans.parquet"': 'loans = "lones.parquet"'})
    with pytest.raises(ConfigError, match=r"loans = 'lones\.parquet'.*relative to the configuration file"):
        read_config(path)


def test_an_environment_variable_that_is_not_set_is_named(written, monkeypatch):
    path = written(**{'loans = "loans.parquet"': 'loans = "${LENDER}/loans.parquet"'})
    monkeypatch.delenv("LENDER", raising=False)
    with pytest.raises(ConfigError, match="LENDER, which is not set"):
        read_config(path)
    monkeypatch.setenv("LENDER", str(path.parent))
    assert read_config(path).data.files()["loans"] == path.parent / "loans.parquet"


def test_the_configuration_told_in_the_report_holds_no_path(small_config):
    echo = read_config(small_config).echo()
    assert echo["data"]["loans"] == "loans.parquet"
    assert str(small_config.parent) not in str(echo)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[terms.rate_incentive]", "[terms.rate_incentiv]", r"\[terms\.rate_incentiv\].*Did you mean 'rate_incentive'"),
        ('unit = "months"\nper = 12', 'unit = "months"\nper = 0', r"\[terms\.term\] per = 0"),
        ('unit = "months"\nper = 12', "unit = 3", r"\[terms\.term\] unit"),
        (
            'expected = { default = "-" }',
            'expected = { default = "less" }',
            r"\[terms\.credit_score\] expected\.default",
        ),
        ('kind = "time-varying"\n', "", "number 6 has no kind"),
        ('name = "Faster service"', 'name = "Rate offer"', "'Rate offer' more than once"),
        ('indicator = "faster_service"\n', "", "give either the indicator of the change, or the intervention"),
        ('reference = "I2"', 'reference = "I12"', "reference"),
        ('decision = "extend"', 'decision = "expand"', "decision"),
        ("horizons = [12, 24, 36]", "horizons = [12, -24]", r"\[incidence\] horizons"),
    ],
)
def test_words_that_would_silently_be_lost_are_refused(written, old, new, message):
    with pytest.raises(ConfigError, match=message):
        read_config(written(**{old: new}))


def test_a_safety_cause_is_optional(written):
    assert read_config(written(**{'safety_cause = "default"\n': ""})).safety_cause is None


def test_an_empty_list_of_covariates_is_told_as_the_covariates_used(small_config):
    config = read_config(small_config)
    every = config.model_copy(update={"model": config.model.model_copy(update={"covariates": ()})})
    assert every.echo()["model"]["covariates"] == list(config.spells.covariate_names)


TABLES = [ReportConfig, *(t for t in vars(settings).values() if isinstance(t, type) and issubclass(t, ConfigTable))]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_the_page_on_the_configuration_describes_every_key(table):
    page = (REPORTS.parent / "docs" / "report-configuration.md").read_text(encoding="utf-8")
    for name, field in table.model_fields.items():
        assert f"| `{name}` |" in page, (table, name)
        assert field.description, (table, name)
        assert field.description in page, (table, name)


class TestSections:
    def test_a_section_can_be_left_out(self, small_config):
        config = read_config(small_config)
        keys = [chapter.key for chapter in chapters_of(config)]
        fewer = config.model_copy(update={"sections": settings.Sections(hazard_ratios=False)})
        assert [chapter.key for chapter in chapters_of(fewer)] == [key for key in keys if key != "hazard-ratios"]

    def test_an_unknown_section_is_refused_with_the_nearest(self, written):
        path = written(**{"[incidence]": "[sections]\nportfolo = false\n\n[incidence]"})
        with pytest.raises(ConfigError, match=r"\[sections\] has no key 'portfolo'.*'portfolio'"):
            read_config(path)

    def test_a_section_that_lacks_its_table_is_refused(self, small_config):
        config = read_config(small_config).model_copy(
            update={"evaluation": None, "sections": settings.Sections(evaluation=True)}
        )
        with pytest.raises(ConfigError, match=r"evaluation = true.*no \[evaluation\]"):
            chapters_of(config)


class TestABase:
    def write(self, folder, text):
        path = folder / "quarter.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def test_is_taken_but_for_what_the_file_says(self, written, tmp_path):
        base = written()
        (tmp_path / "q").mkdir()
        text = 'base = "../changed.toml"\nperiod = "2026 Q4"\n[incidence]\nhorizon = 12\nsegments = ["region"]\n'
        path = self.write(tmp_path / "q", text)
        config, below = read_config(path), read_config(base)
        assert (config.period, config.incidence.horizon, config.incidence.segments) == ("2026 Q4", 12, ("region",))
        assert config.incidence.horizons == below.incidence.horizons
        assert config.terms == below.terms
        assert config.data.files()["loans"].samefile(below.data.files()["loans"])

    def test_is_part_of_the_recorded_hash(self, written, tmp_path):
        base = written()
        path = self.write(tmp_path, 'base = "changed.toml"\n')
        before = read_config(path).source
        base.write_text(base.read_text(encoding="utf-8") + "# remark\n", encoding="utf-8")
        assert before["file"] == "quarter.toml"
        assert read_config(path).source["sha256"] != before["sha256"]

    def test_of_a_base_is_refused(self, written, tmp_path):
        written(**{"period =": 'base = "other.toml"\nperiod ='})
        (tmp_path / "other.toml").write_text("", encoding="utf-8")
        with pytest.raises(ConfigError, match="no base of its own"):
            read_config(self.write(tmp_path, 'base = "changed.toml"\n'))

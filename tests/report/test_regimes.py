import tomllib

import pytest

from churnsurv.exceptions import ConfigError
from churnsurv.report import Finding, read_config
from churnsurv.report.analysis import Part
from churnsurv.report.content import Section, Table, Text
from churnsurv.report.regimes import SHIPPED, Regime, read_regime
from churnsurv.report.required import renamed, with_requirements
from tests.report.sample import EVIL

NAMES = ("generic", "sr26-2", "ss1-23", "ecb")


def part(key, *, failed=False):
    return Part(Section(key, f"Title of {key}", (Text("Text."),)), failed=failed)


def test_the_four_regimes_are_shipped_and_read():
    assert tuple(tomllib.loads(SHIPPED.read_text(encoding="utf-8"))) == NAMES
    for name in NAMES:
        assert read_regime(name).title
    assert read_regime("generic").required == ()
    assert all("sign-off" in read_regime(name).required for name in NAMES[1:])


def test_an_unknown_regime_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'ss1-32'.*Did you mean 'ss1-23'.*ends in \.toml"):
        read_regime("ss1-32")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "Own"\nrequird = []', r"own\.toml.*'requird'.*Did you mean 'required'"),
        ('title = "Own"\nrequired = ["sign-of"]', r"own\.toml.*'sign-of'.*Did you mean 'sign-off'"),
        ('title = "Own"\n[names]\nhazards = "x"', "section 'hazards'"),
        ('title = "Own"\n[roles]\nauditor = "x"', "roles"),
        ('title = "Own"\n[tiers]\nhuge = "x"', "tiers"),
        ("about = 'nothing'", "title"),
        ("title = ", "is not TOML"),
    ],
)
def test_a_faulty_file_of_ones_own_is_refused(tmp_path, text, message):
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_regime(str(path))


def test_a_file_of_ones_own_is_found_beside_the_configuration_and_told_by_its_name(small_config):
    own = small_config.parent / "bank.toml"
    own.write_text(
        'title = "Bank policy 7"\nrequired = ["limitations"]\n[names]\nlimitations = "Known limits"\n', "utf-8"
    )
    path = small_config.parent / "with_regime.toml"
    text = small_config.read_text(encoding="utf-8")
    path.write_text(text.replace("level = 0.95\n", 'level = 0.95\nregime = "bank.toml"\n', 1), encoding="utf-8")
    config = read_config(path)
    assert read_regime(config.regime).names == {"limitations": "Known limits"}
    assert config.echo()["regime"] == "bank.toml"
    path.write_text(text.replace("level = 0.95\n", 'level = 0.95\nregime = "bnak.toml"\n', 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no file .*bnak\.toml"):
        read_config(path)


class TestRequiredSections:
    regime = Regime(
        title=EVIL, about="About.", required=("sign-off", "limitations", "overrides"), names={"overrides": "O"}
    )

    def test_missing_are_amber_and_failed_are_red(self):
        parts = with_requirements([part("sign-off"), part("limitations", failed=True)], self.regime)
        found = [b for b in parts[0].section.blocks if isinstance(b, Finding)]
        assert [(f.severity, f.figure, f.evidence) for f in found] == [
            ("red", "failed", "requirements"),
            ("amber", "missing", "requirements"),
        ]
        assert "could not be made" in found[0].text
        assert "\u201cO\u201d" in found[1].text
        (table,) = [b for b in parts[0].section.blocks if isinstance(b, Table)]
        assert [row[1] for row in table.rows] == ["included", "failed", "missing"]
        assert table.rows[2][0] == "O"

    def test_without_a_sign_off_they_make_a_section_of_their_own(self):
        parts = with_requirements([part("portfolio"), part("limitations")], self.regime)
        assert [p.section.key for p in parts] == ["required", "portfolio", "limitations"]
        found = [b for b in parts[0].section.blocks if isinstance(b, Finding)]
        assert len(found) == 2
        assert with_requirements([], self.regime)[0].section.key == "required"
        assert all(f.text.startswith("Required under <script>") for f in found)

    def test_all_there_is_no_finding(self):
        parts = with_requirements([part(key) for key in self.regime.required], self.regime)
        assert not [b for b in parts[0].section.blocks if isinstance(b, Finding)]

    def test_the_generic_regime_adds_nothing(self):
        parts = [part("portfolio")]
        assert with_requirements(parts, read_regime("generic")) == parts

    def test_headings_are_those_of_the_regime(self):
        first, second = renamed([part("overrides"), part("portfolio")], self.regime)
        assert (first.section.title, second.section.title) == ("O", "Title of portfolio")

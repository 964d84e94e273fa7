"""The configuration of a report: one TOML file, every key checked, paths relative to the file."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from churnsurv.data.config import ConfigTable, did_you_mean, read_toml
from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import ConfigError

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)\}")
Sign = Literal["+", "-", ""]


class DataFiles(ConfigTable):
    """Parquet files of the portfolio; paths are relative to the configuration file and may hold ``${VARIABLE}``."""

    table: ClassVar[str] = "data"

    loans: str | None = None
    performance: str
    macro: str | None = None
    interventions: str | None = None

    def files(self) -> dict[str, Path]:
        """Give role → path of the files that are used."""
        return {
            role: Path(path)
            for role in ("loans", "performance", "macro", "interventions")
            if (path := getattr(self, role))
        }


class ModelSettings(ConfigTable):
    """The cause-specific Cox models: covariates (default: all of the spells) or a formula, strata, rule for ties."""

    table: ClassVar[str] = "model"

    covariates: tuple[str, ...] = ()
    formula: str | None = None
    strata: tuple[str, ...] = ()
    ties: Literal["efron", "breslow"] = "efron"


class Term(ConfigTable):
    """How a covariate is shown, and the sign it should have by cause."""

    table: ClassVar[str] = "terms"

    label: str | None = None
    unit: str | None = None
    per: float = 1.0
    group: str | None = None
    expected: dict[str, Sign] = Field(default_factory=dict)


class Incidence(ConfigTable):
    """Cumulative incidence: horizons of the table, the one used by vintage and segment, columns that make segments."""

    table: ClassVar[str] = "incidence"

    horizons: tuple[int, ...] = (12, 24, 36)
    horizon: int = Field(default=24, ge=1)
    min_at_risk: int = Field(default=30, ge=1)
    segments: tuple[str, ...] = ()


class Forest(ConfigTable):
    """Settings of the random survival forest."""

    table: ClassVar[str] = "evaluation.forest"

    n_estimators: int = Field(default=100, ge=1)
    min_samples_leaf: int = Field(default=30, ge=1)
    seed: int = 20260930


class Evaluation(ConfigTable):
    """Out-of-time evaluation: fitted on what was known at a date, measured on the loans open then."""

    table: ClassVar[str] = "evaluation"

    development_until: date
    horizon: int = Field(ge=1)
    forest: Forest = Forest()


class RandomisedOffer(ConfigTable):
    """An offer assigned at random: its name in the interventions table, the two arms, and the time to look at."""

    table: ClassVar[str] = "interventions"

    kind: Literal["randomised"]
    name: str
    intervention: str
    control: str
    treated: str
    horizon: int = Field(ge=1)


class StaggeredRollout(ConfigTable):
    """A change that reaches units (branches) at different dates: the covariate that turns to 1 then, and the unit."""

    table: ClassVar[str] = "interventions"

    kind: Literal["rollout"]
    name: str
    indicator: str
    unit: str
    adjust: tuple[str, ...] = ()


class Thresholds(ConfigTable):
    """What makes a finding."""

    table: ClassVar[str] = "thresholds"

    contrary_signs: int = Field(default=0, ge=0)
    least_concordance: float = Field(default=0.55, ge=0.5, le=1)


Intervention = Annotated[RandomisedOffer | StaggeredRollout, Field(discriminator="kind")]


class ReportConfig(ConfigTable):
    """Everything a quarterly report needs to know; made by :func:`read_config`.

    Examples
    --------
    >>> from churnsurv.report import read_config
    >>> read_config("reports/quarterly.toml").period  # doctest: +SKIP
    '2026 Q3'
    """

    table: ClassVar[str] = "top level"

    title: str = "Loan attrition: quarterly model-risk report"
    period: str
    as_of: date
    folder: str
    purpose: str = ""
    main_cause: str = "attrition"
    safety_cause: str | None = "default"
    smallest_cell: int = Field(default=5, ge=0)
    level: float = Field(default=0.95, gt=0, lt=1)
    data: DataFiles
    spells: SpellRules
    model: ModelSettings = ModelSettings()
    terms: dict[str, Term] = Field(default_factory=dict)
    incidence: Incidence = Incidence()
    evaluation: Evaluation | None = None
    interventions: tuple[Intervention, ...] = ()
    thresholds: Thresholds = Thresholds()

    def model_post_init(self, _context: Any) -> None:
        """Check that names used in one table exist in another."""
        causes = self.spells.cause_names
        if self.main_cause not in causes:
            raise ConfigError(f"main_cause = {self.main_cause!r} is not among the causes of [spells]: {list(causes)}.")
        if self.safety_cause is not None and self.safety_cause not in causes:
            raise ConfigError(
                f"safety_cause = {self.safety_cause!r} is not among the causes of [spells]: {list(causes)}."
            )
        for term, words in self.terms.items():
            unknown = [cause for cause in words.expected if cause not in causes]
            if unknown:
                raise ConfigError(
                    f"[terms.{term}] expected names {unknown[0]!r}; the causes of [spells] are {list(causes)}."
                )
        known = (*self.spells.covariate_names, *self.spells.keep, "vintage")
        rollouts = [r for r in self.interventions if isinstance(r, StaggeredRollout)]
        named = {
            "model": (*self.model.covariates, *self.model.strata),
            "incidence": self.incidence.segments,
            "interventions": tuple(name for r in rollouts for name in (r.indicator, r.unit, *r.adjust)),
        }
        for table, names in named.items():
            for name in names:
                if name not in known:
                    raise ConfigError(
                        f"[{table}] names the column {name!r}, which [spells] does not carry. "
                        f"{did_you_mean(name, list(known))}"
                    )
        if any(isinstance(i, RandomisedOffer) for i in self.interventions) and self.data.interventions is None:
            raise ConfigError(
                "[[interventions]] lists a randomised offer: give the table of assignments as [data] interventions."
            )

    @property
    def unit(self) -> str:
        """The unit of loan age: month or quarter."""
        return self.spells.period

    def echo(self) -> dict[str, Any]:
        """Give the configuration as plain data, files by their names only (a path tells of a machine, not of the data)."""
        plain = self.model_dump(mode="json", exclude_none=True)
        plain["data"] = {role: path.name for role, path in self.data.files().items()}
        return plain


def read_config(config: str | Path | ReportConfig) -> ReportConfig:
    """Read and check a configuration file; a parsed one passes through.

    Raises
    ------
    ConfigError
        There is no such file, it is no TOML, a key is unknown, a value is wrong, an environment variable is not set, a
        data file does not exist.
    """
    if isinstance(config, ReportConfig):
        return config
    path = Path(config)
    document = read_toml(path)
    data = document.get("data")
    if isinstance(data, dict):
        document["data"] = {role: _located(value, role, path) for role, value in data.items()}
    parsed = ReportConfig(**document)
    for role, file in parsed.data.files().items():
        if not file.is_file():
            given = data[role] if isinstance(data, dict) else file
            raise ConfigError(
                f"[data] {role} = {given!r} in {str(config)!r}: there is no file {str(file)!r}. "
                "Paths are relative to the configuration file."
            )
    return parsed


def _located(value: Any, role: str, path: Path) -> Any:
    """Give a path with variables filled in, relative paths from the folder of the configuration file."""
    if not isinstance(value, str):
        return value

    def filled(match: re.Match[str]) -> str:
        name = match["name"]
        if not os.environ.get(name):
            raise ConfigError(
                f"[data] {role} = {value!r} in {str(path)!r} uses the environment variable {name}, which is not set. "
                f"Set it, e.g. export {name}=/path/to/the/data."
            )
        return os.environ[name]

    return str(path.parent / Path(_VARIABLE.sub(filled, value)).expanduser())

"""The configuration of a report: one TOML file, every key checked, paths relative to the file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, field_validator

from churnsurv.data.config import ConfigTable, did_you_mean, read_toml
from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import ConfigError
from churnsurv.report.peers import peer
from churnsurv.report.regimes import read_regime
from churnsurv.report.settings import (
    Assumptions,
    BacktestSettings,
    Benchmark,
    CalibrationSettings,
    ChallengerSettings,
    DataFiles,
    DataQuality,
    Definitions,
    EarlyWarning,
    Evaluation,
    FairnessSettings,
    Governance,
    Incidence,
    Intervention,
    Limitation,
    ModelSettings,
    Overrides,
    ScenarioSettings,
    Sections,
    StabilitySettings,
    Target,
    Term,
    Thresholds,
)
from churnsurv.report.settings.tables import SettingsTable

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)\}")


class ReportConfig(ConfigTable):
    """Everything a quarterly report needs to know; made by :func:`read_config`.

    Every key with its default is described in ``docs/report-configuration.md``.

    Parameters
    ----------
    title, purpose : str
        Heading, and what the report is for and who reads it.
    period : str
        Reporting period, e.g. "2026 Q3".
    as_of : date
        The data are cut after it; they must reach to the last complete period before it.
    folder : str
        Where the report goes, beside the configuration.
    previous : str
        The ``report.json`` of the quarter before (optional), with which the headlines are compared.
    main_cause, safety_cause : str
        Cause that the report is about, and the one that must not get worse (optional).
    smallest_cell : int
        Counts from 1 to one less are not shown; 0 or 1 shows all.
    level : float
        Confidence level of all intervals.
    regime : str
        Headings and required sections: a name of :mod:`churnsurv.report.regimes`, or the path of a file.
    data, spells, model, terms, and every other field
        The tables of the file (:mod:`churnsurv.report.settings`).

    Examples
    --------
    >>> from churnsurv.report import read_config
    >>> read_config("reports/quarterly.toml").period  # doctest: +SKIP
    '2026 Q3'
    """

    table: ClassVar[str] = "top level"

    title: str = Field(default="Loan attrition: quarterly model-risk report", description="heading")
    period: str = Field(description='reporting period, e.g. "2026 Q3"')
    as_of: date = Field(description="the data are cut after this day, and must reach it")
    folder: str = Field(min_length=1, description="where the report goes, beside the configuration")
    previous: str | None = Field(default=None, description="report.json of an earlier quarter, to compare with")
    purpose: str = Field(default="", description="what the report is for, and who reads it")
    main_cause: str = Field(default="attrition", description="cause of [spells.causes] that the report is about")
    safety_cause: str | None = Field(default=None, description="cause that interventions must not raise")
    smallest_cell: int = Field(default=5, ge=0, description="counts from 1 to one less are not shown; 0 or 1: all are")
    level: float = Field(default=0.95, gt=0, lt=1, description="confidence level of all intervals")
    regime: str = Field(
        default="generic", description="sr26-2, ss1-23, ecb, generic, or the path of a TOML file of your own"
    )
    data: DataFiles = Field(description="see [data]")
    spells: SpellRules = Field(description="see [spells]")
    model: ModelSettings = Field(default=ModelSettings(), description="see [model]")
    assumptions: Assumptions = Field(default=Assumptions(), description="see [assumptions]")
    terms: dict[str, Term] = Field(default_factory=dict, description="see [terms.<covariate>]")
    incidence: Incidence = Field(default=Incidence(), description="see [incidence]")
    targets: tuple[Target, ...] = Field(default=(), description="see [[targets]]")
    benchmarks: tuple[Benchmark, ...] = Field(default=(), description="see [[benchmarks]]")
    data_quality: DataQuality = Field(default=DataQuality(), description="see [data_quality]")
    evaluation: Evaluation | None = Field(default=None, description="see [evaluation]")
    calibration: CalibrationSettings = Field(default=CalibrationSettings(), description="see [calibration]")
    stability: StabilitySettings = Field(default=StabilitySettings(), description="see [stability]")
    backtest: BacktestSettings = Field(default=BacktestSettings(), description="see [backtest]")
    challengers: ChallengerSettings = Field(default=ChallengerSettings(), description="see [challengers]")
    scenarios: ScenarioSettings | None = Field(default=None, description="see [scenarios]")
    fairness: FairnessSettings | None = Field(default=None, description="see [fairness]")
    interventions: tuple[Intervention, ...] = Field(default=(), description="see [[interventions]]")
    thresholds: Thresholds = Field(default=Thresholds(), description="see [thresholds]")
    governance: Governance | None = Field(default=None, description="see [governance]")
    definitions: Definitions = Field(default=Definitions(), description="see [definitions]")
    early_warning: EarlyWarning | None = Field(default=None, description="see [early_warning]")
    overrides: Overrides | None = Field(default=None, description="see [overrides]")
    limitations: tuple[Limitation, ...] = Field(default=(), description="see [[limitations]]")
    sections: Sections = Field(default=Sections(), description="see [sections]")

    @field_validator("terms", mode="before")
    @classmethod
    def _terms_by_name(cls, value: Any) -> Any:
        """Make the terms one by one, so that a fault names its term."""
        if not isinstance(value, Mapping):
            return value
        terms = {}
        for name, words in value.items():
            try:
                terms[name] = Term(**words) if isinstance(words, Mapping) else words
            except ConfigError as error:
                raise ConfigError(str(error).replace("[terms]", f"[terms.{name}]", 1)) from None
        return terms

    @field_validator("interventions", mode="before")
    @classmethod
    def _kinds_are_given(cls, value: Any) -> Any:
        items = value if isinstance(value, list | tuple) else []
        for position, item in enumerate(items, start=1):
            if isinstance(item, Mapping) and "kind" not in item:
                raise ConfigError(
                    f'[[interventions]] number {position} has no kind: give kind = "randomised", "encouragement", "rollout", '
                    '"time-varying", "landmark" or "observational".'
                )
        return value

    def model_post_init(self, _context: Any) -> None:
        """Check that names used in one table exist in another."""
        causes = self.spells.cause_names
        if self.main_cause not in causes:
            raise ConfigError(f"main_cause = {self.main_cause!r} is not among the causes of [spells]: {list(causes)}.")
        if self.safety_cause is not None and self.safety_cause not in causes:
            raise ConfigError(
                f"safety_cause = {self.safety_cause!r} is not among the causes of [spells]: {list(causes)}."
            )
        known = (*self.spells.covariate_names, *self.spells.keep, "vintage")
        for term, words in self.terms.items():
            self._check_term(term, words, known)
        names_given = [item.name for item in self.interventions]
        twice = [name for name in names_given if names_given.count(name) > 1]
        if twice:
            raise ConfigError(f"[[interventions]] has {twice[0]!r} more than once: give each a name of its own.")
        for table in self._tables():
            for name in table.columns():
                if name not in known:
                    raise ConfigError(
                        f"[{table.table}] names the column {name!r}, which [spells] does not carry. "
                        f"{did_you_mean(name, list(known))}"
                    )
            for name in table.causes():
                if name not in causes:
                    raise ConfigError(
                        f"[{table.table}] names the cause {name!r}; those of [spells] are {list(causes)}."
                    )
        shown = (None, "vintage", *self.incidence.segments)
        for goal in (*self.targets, *self.benchmarks):
            if goal.segment not in shown:
                raise ConfigError(
                    f"[[{goal.table}]] names the segment {goal.segment!r}; those shown are vintage and [incidence] segments: "
                    f"{list(self.incidence.segments)}."
                )
        for name, parameters in self.challengers.peers.items():
            peer(name, parameters)
        if self.fairness is not None and self.evaluation is None:
            raise ConfigError("[fairness] judges the predictions of [evaluation]: add that table.")
        listed = [item.name for item in self.interventions if item.needs_assignments]
        if listed and self.data.interventions is None:
            raise ConfigError(
                f"[[interventions]] {listed[0]!r}: give the table of assignments as [data] interventions."
            )
        if self.data.overrides is not None and self.overrides is None:
            raise ConfigError("[data] overrides is given without [overrides]: add that table; it may be empty.")

    def _tables(self) -> list[SettingsTable]:
        """Give the tables that name columns and causes."""
        values = [value for name in type(self).model_fields for value in _each(getattr(self, name))]
        return [value for value in values if isinstance(value, SettingsTable)]

    def _check_term(self, term: str, words: Term, known: tuple[str, ...]) -> None:
        causes = self.spells.cause_names
        unknown = [cause for cause in words.expected if cause not in causes]
        if unknown:
            raise ConfigError(
                f"[terms.{term}] expected names {unknown[0]!r}; the causes of [spells] are {list(causes)}."
            )
        # the terms of a formula are known when it is fitted
        if self.model.formula is None and term.split("[")[0] not in known:
            raise ConfigError(f"[terms.{term}] is no covariate of [spells]. {did_you_mean(term, list(known))}")

    #: name, SHA-256 and parsed form of the file it was read from
    _source: tuple[str, str, dict[str, Any]] | None = PrivateAttr(default=None)

    @property
    def source(self) -> dict[str, str] | None:
        """Name and SHA-256 of the file that the configuration was read from; None where it is not (any more) that file's."""
        if self._source is None or self._source[2] != self.model_dump(mode="json"):
            return None
        return {"file": self._source[0], "sha256": self._source[1]}

    @property
    def unit(self) -> str:
        """The unit of loan age: month or quarter."""
        return self.spells.period

    def echo(self) -> dict[str, Any]:
        """Give the configuration as plain data, files by their names only (a path tells of a machine, not of the data)."""
        plain = self.model_dump(mode="json", exclude_none=True)
        if self.model.formula is None:
            plain["model"]["covariates"] = list(self.model.covariates or self.spells.covariate_names)
        plain["regime"] = Path(self.regime).name
        plain["data"] = {role: path.name for role, path in self.data.files().items()}
        if self.previous is not None:
            plain["previous"] = Path(self.previous).name
        return plain


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def read_config(config: str | Path | ReportConfig) -> ReportConfig:
    """Read and check a configuration file; a parsed one passes through.

    A file with ``base = "other.toml"`` says only in what it differs from the other one, table by table.

    Raises
    ------
    ConfigError
        There is no such file, it is no TOML, a key is unknown, a value is wrong, an environment variable is not set, a
        data file does not exist.
    """
    if isinstance(config, ReportConfig):
        return config
    path = Path(config)
    document, given, content = _read(path)
    parsed = ReportConfig(**document)
    read_regime(parsed.regime)
    files = {f"[data] {role}": file for role, file in parsed.data.files().items()}
    if parsed.previous is not None:
        files["previous"] = Path(parsed.previous)
    for place, file in files.items():
        if not file.exists():
            raise ConfigError(
                f"{place} = {given[place]!r} in {str(path)!r}: there is no file {str(file)!r}. "
                "Paths are relative to the configuration file."
            )
    parsed._source = (path.name, hashlib.sha256(content).hexdigest(), parsed.model_dump(mode="json"))
    return parsed


def configuration_hash(path: Path) -> str:
    """Give the SHA-256 of a configuration file together with that of its base."""
    return hashlib.sha256(_read(path)[2]).hexdigest()


def _read(path: Path, *, is_base: bool = False) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Give the document over that of its base, its paths as given by their places, and the bytes of both files."""
    document = read_toml(path)
    content = path.read_bytes()
    data = document.get("data")
    given: dict[str, Any] = {}
    if isinstance(data, dict):
        given = {f"[data] {role}": value for role, value in data.items()}
        document["data"] = {role: _located(value, f"[data] {role}", path) for role, value in data.items()}
    for name in ("previous", "base"):
        if name in document:
            given[name] = document[name]
            document[name] = _located(document[name], name, path)
    regime = document.get("regime")
    if isinstance(regime, str) and regime.endswith(".toml"):
        document["regime"] = _located(regime, "regime", path)
    base = document.pop("base", None)
    if base is None:
        return document, given, content
    if is_base or not isinstance(base, str):
        raise ConfigError(f"base = {given['base']!r} in {str(path)!r}: give one file, which has no base of its own.")
    below, places, more = _read(Path(base), is_base=True)
    return _over(below, document), {**places, **given}, content + more


def _over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one document over another, table by table; lists are replaced as a whole."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _over(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def _located(value: Any, place: str, path: Path) -> Any:
    """Give a path with variables filled in, relative paths from the folder of the configuration file."""
    if not isinstance(value, str):
        return value

    def filled(match: re.Match[str]) -> str:
        name = match["name"]
        if not os.environ.get(name):
            raise ConfigError(
                f"{place} = {value!r} in {str(path)!r} uses the environment variable {name}, which is not set. "
                f"Set it, e.g. export {name}=/path/to/the/data."
            )
        return os.environ[name]

    return str(path.parent / Path(_VARIABLE.sub(filled, value)).expanduser())

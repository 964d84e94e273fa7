"""The configuration of a report: one TOML file, every key checked, paths relative to the file."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from churnsurv.data.config import ConfigTable, did_you_mean, read_toml
from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import ConfigError

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)\}")
Sign = Literal["+", "-", ""]
#: a number of periods, loans or trees: 1 or more
Periods = Annotated[int, Field(ge=1)]


class DataFiles(ConfigTable):
    """Files of the portfolio (Parquet, or CSV by suffix); relative to the configuration, may hold ``${VARIABLE}``."""

    table: ClassVar[str] = "data"

    loans: str | None = Field(
        default=None, description="one row per loan; left out when performance repeats its columns"
    )
    performance: str = Field(description="one row per loan and observed period")
    macro: str | None = Field(default=None, description="one row per period (and region)")
    interventions: str | None = Field(default=None, description="one row per loan and intervention it was assigned to")

    def files(self) -> dict[str, Path]:
        """Give role → path of the files that are used."""
        return {
            role: Path(path)
            for role in ("loans", "performance", "macro", "interventions")
            if (path := getattr(self, role))
        }


class ModelSettings(ConfigTable):
    """The cause-specific Cox models."""

    table: ClassVar[str] = "model"

    covariates: tuple[str, ...] = Field(
        default=(), description="columns of the models; empty: all covariates of [spells]"
    )
    formula: str | None = Field(default=None, description="right-hand side of a formula, in place of the plain columns")
    strata: tuple[str, ...] = Field(default=(), description="columns with a baseline hazard of their own")
    ties: Literal["efron", "breslow"] = Field(default="efron", description="rule for exits at the same age")


class Term(ConfigTable):
    """How a covariate is shown, and the sign it should have by cause."""

    table: ClassVar[str] = "terms"

    label: str | None = Field(default=None, description="name shown; default: the column's")
    unit: str | None = Field(default=None, description="unit shown, such as pp; yes vs no for indicators")
    per: float = Field(default=1.0, description="number of units that the hazard ratio refers to; not 0")
    group: str | None = Field(default=None, description="heading under which the term stands")
    expected: dict[str, Sign] = Field(
        default_factory=dict, description="cause → + (leaves sooner) or - (later), stated before fitting"
    )

    def model_post_init(self, _context: Any) -> None:
        """Check the size of the step."""
        if not math.isfinite(self.per) or self.per == 0:
            raise ConfigError(f"[terms] per = {self.per:g}: give a finite number that is not 0.")


class Incidence(ConfigTable):
    """Cumulative incidence of leaving by each cause."""

    table: ClassVar[str] = "incidence"

    horizons: tuple[Periods, ...] = Field(
        default=(12, 24, 36), description="horizons of the table, in periods of [spells]"
    )
    horizon: Periods = Field(default=24, description="the one of the headlines, vintages and segments")
    min_at_risk: Periods = Field(default=30, description="loans at risk from which on a curve is drawn")
    segments: tuple[str, ...] = Field(default=(), description="columns that make segments: kept columns or covariates")


class Forest(ConfigTable):
    """The random survival forest, challenger of the Cox models."""

    table: ClassVar[str] = "evaluation.forest"

    n_estimators: Periods = Field(default=100, description="number of trees")
    min_samples_leaf: Periods = Field(default=30, description="least number of loans in a leaf")
    seed: int = Field(default=20260930, description="the same seed grows the same forest")


class Evaluation(ConfigTable):
    """Out-of-time evaluation; without the table there is no such section."""

    table: ClassVar[str] = "evaluation"

    development_until: date = Field(description="models are fitted on what was known then (end of a complete period)")
    horizon: Periods = Field(description="periods after it in which the predictions are measured")
    forest: Forest = Field(default=Forest(), description="see [evaluation.forest]")


class RandomisedOffer(ConfigTable):
    """An offer assigned at random."""

    table: ClassVar[str] = "interventions"

    kind: Literal["randomised"] = Field(description='"randomised"')
    name: str = Field(min_length=1, description="name shown; no two interventions share one")
    intervention: str = Field(description="its name in the interventions table")
    control: str = Field(description="arm compared with")
    treated: str = Field(description="arm with the offer")
    horizon: Periods = Field(description="periods since assignment to look at")


class StaggeredRollout(ConfigTable):
    """A change that reaches units (branches) at different dates."""

    table: ClassVar[str] = "interventions"

    kind: Literal["rollout"] = Field(description='"rollout"')
    name: str = Field(min_length=1, description="name shown; no two interventions share one")
    indicator: str = Field(description="covariate that is 0 before and 1 since the change, never back to 0")
    unit: str = Field(description="column of the units that change as a whole")
    adjust: tuple[str, ...] = Field(default=(), description="covariates known before the change")


class Thresholds(ConfigTable):
    """What makes a finding."""

    table: ClassVar[str] = "thresholds"

    contrary_signs: int = Field(
        default=0, ge=0, description="signs contrary to expectation that are let pass, by cause"
    )
    least_concordance: float = Field(default=0.55, ge=0.5, le=1, description="least Harrell's C of the Cox models")


Intervention = Annotated[RandomisedOffer | StaggeredRollout, Field(discriminator="kind")]


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
    main_cause, safety_cause : str
        Cause that the report is about, and the one that must not get worse (optional).
    smallest_cell : int
        Counts from 1 to one less are not shown; 0 or 1 shows all.
    level : float
        Confidence level of all intervals.
    data, spells, model, terms, incidence, evaluation, interventions, thresholds
        The tables of the file: :class:`DataFiles`, :class:`churnsurv.data.SpellRules`, :class:`ModelSettings`,
        :class:`Term` by covariate, :class:`Incidence`, :class:`Evaluation`, a list of :class:`RandomisedOffer` and
        :class:`StaggeredRollout`, :class:`Thresholds`.

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
    purpose: str = Field(default="", description="what the report is for, and who reads it")
    main_cause: str = Field(default="attrition", description="cause of [spells.causes] that the report is about")
    safety_cause: str | None = Field(default=None, description="cause that interventions must not raise")
    smallest_cell: int = Field(default=5, ge=0, description="counts from 1 to one less are not shown; 0 or 1: all are")
    level: float = Field(default=0.95, gt=0, lt=1, description="confidence level of all intervals")
    data: DataFiles = Field(description="see [data]")
    spells: SpellRules = Field(description="see [spells]")
    model: ModelSettings = Field(default=ModelSettings(), description="see [model]")
    terms: dict[str, Term] = Field(default_factory=dict, description="see [terms.<covariate>]")
    incidence: Incidence = Field(default=Incidence(), description="see [incidence]")
    evaluation: Evaluation | None = Field(default=None, description="see [evaluation]")
    interventions: tuple[Intervention, ...] = Field(default=(), description="see [[interventions]]")
    thresholds: Thresholds = Field(default=Thresholds(), description="see [thresholds]")

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
                    f'[[interventions]] number {position} has no kind: give kind = "randomised" or kind = "rollout".'
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

    @property
    def unit(self) -> str:
        """The unit of loan age: month or quarter."""
        return self.spells.period

    def echo(self) -> dict[str, Any]:
        """Give the configuration as plain data, files by their names only (a path tells of a machine, not of the data)."""
        plain = self.model_dump(mode="json", exclude_none=True)
        if self.model.formula is None:
            plain["model"]["covariates"] = list(self.model.covariates or self.spells.covariate_names)
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
        if not file.exists():
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

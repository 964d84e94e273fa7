"""What every section starts from: the tables, the spells, the fitted models."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from churnsurv.data import Spells, build_spells
from churnsurv.estimators.cause_specific import CauseSpecificCox
from churnsurv.exceptions import ChurnSurvError, DataError
from churnsurv.report.config import ReportConfig, Term
from churnsurv.report.content import Section
from churnsurv.report.hazard_ratios import HazardRatioTable, Unit, hazard_ratio_table


@dataclass(frozen=True)
class Headline:
    """One line of the first table: what was estimated, its value and interval as shown, and what it means."""

    measure: str
    value: str
    interval: str
    meaning: str


@dataclass(frozen=True)
class Part:
    """A section, and what of it belongs on the first page."""

    section: Section
    headlines: tuple[Headline, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Analysis:
    """Data and models of one report.

    Attributes
    ----------
    config : ReportConfig
    tables : dict
        The frames read, by role (loans, performance, macro).
    spells, complete : Spells
        All spells, and those whose covariates are known.
    """

    config: ReportConfig
    tables: dict[str, pd.DataFrame]
    spells: Spells
    complete: Spells

    @property
    def covariates(self) -> list[str]:
        """Names of the covariates of the models."""
        return list(self.config.model.covariates or self.config.spells.covariate_names)

    @cached_property
    def model(self) -> CauseSpecificCox:
        """Cause-specific Cox models of all complete spells, clustered by customer."""
        settings = self.config.model
        columns = [*self.covariates, *(name for name in settings.strata if name not in self.covariates)]
        model = CauseSpecificCox(settings.formula, ties=settings.ties)
        return model.fit(
            self.complete.frame[columns],
            self.complete.y,
            strata=list(settings.strata) or None,
            cluster=self.complete.groups,
        )

    @cached_property
    def hazard_ratios(self) -> HazardRatioTable:
        """The models' hazard ratios with the words of the configuration."""
        return ratios(self.model, self.config)


def ratios(model: object, config: ReportConfig, extra: dict[str, Term] | None = None) -> HazardRatioTable:
    """Lay out hazard ratios with labels, units, groups and expected signs of the configuration (and `extra` terms)."""
    terms = {**config.terms, **(extra or {})}
    units: dict[str, Unit] = {name: (t.per, t.unit) for name, t in terms.items() if t.unit is not None}
    signs = {
        cause: {name: t.expected[cause] for name, t in terms.items() if cause in t.expected}
        for cause in config.spells.cause_names
    }
    return hazard_ratio_table(
        model,
        labels={name: t.label for name, t in terms.items() if t.label is not None},
        groups={name: t.group for name, t in terms.items() if t.group is not None},
        units=units,
        expected_signs=signs,
        level=config.level,
    )


def read_tables(config: ReportConfig) -> dict[str, pd.DataFrame]:
    """Read the Parquet files of the configuration."""
    tables = {}
    for role, path in config.data.files().items():
        try:
            tables[role] = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(f"[data] {role}: {path.name!r} cannot be read as Parquet: {error}.") from None
    return tables


def analyse(config: ReportConfig, step: Callable[[str], None] = lambda name: None) -> Analysis:
    """Read the tables and build the spells; models are fitted when a section asks for them."""
    step("tables")
    tables = read_tables(config)
    step("spells")
    spells = build_spells(tables.get("loans"), tables["performance"], config.spells, macro=tables.get("macro"))
    return Analysis(config, tables, spells, spells.complete())


def noticed(make: Callable[[Analysis], Part], analysis: Analysis) -> Part:
    """Make a part; what churnsurv warned of meanwhile is kept with it, so that a reader of the report learns of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        part = make(analysis)
    told = dict.fromkeys(str(w.message) for w in caught if _is_ours(w.category))
    return Part(part.section, part.headlines, (*part.notices, *told))


def _is_ours(category: type[Warning]) -> bool:
    return category.__module__.startswith(ChurnSurvError.__module__)

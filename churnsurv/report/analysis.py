"""What every section starts from: the tables, the spells, the fitted models."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from churnsurv.data import Spells, build_spells
from churnsurv.data.config import did_you_mean
from churnsurv.data.files import frame_of_file
from churnsurv.estimators.cause_specific import CauseSpecificCox
from churnsurv.exceptions import ChurnSurvError, ConfigError
from churnsurv.outcome import Outcome
from churnsurv.report.config import ReportConfig
from churnsurv.report.content import Headline, Section
from churnsurv.report.disclosure import merged_small_groups
from churnsurv.report.exit_counts import ExitCounts, exit_counts
from churnsurv.report.hazard_ratios import HazardRatioTable, Unit, hazard_ratio_table
from churnsurv.report.previous import fingerprint
from churnsurv.report.ratio_models import known_names
from churnsurv.report.regimes import Regime, read_regime
from churnsurv.report.settings import Term

if TYPE_CHECKING:
    from churnsurv.evaluation import Evaluation
    from churnsurv.report.trial import Trial

#: small groups taken together
OTHERS = "others"


@dataclass(frozen=True)
class Part:
    """A section, and what of it belongs on the first page: headlines, and sentences."""

    section: Section
    headlines: tuple[Headline, ...] = ()
    notices: tuple[str, ...] = ()
    first_page: tuple[str, ...] = ()
    #: it holds nothing but the reason why it could not be made
    failed: bool = False


@dataclass(frozen=True, eq=False)
class Analysis:
    """Data and models of one report.

    Attributes
    ----------
    config : ReportConfig
    tables : dict
        The frames read, by role (loans, performance, macro).
    spells, complete : Spells
        All spells up to the date of the report, and those whose covariates are known.
    cut : dict
        What lies after the date of the report: number of spells, and of exits by cause; empty when nothing does.
    parts : list of Part
        The sections made so far, for one that is made after them and looks at their results.
    """

    config: ReportConfig
    tables: dict[str, pd.DataFrame]
    spells: Spells
    complete: Spells
    cut: dict[str, int] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)

    @cached_property
    def regime(self) -> Regime:
        """The words of the regime."""
        return read_regime(self.config.regime)

    @property
    def covariates(self) -> list[str]:
        """Names of the covariates of the models."""
        return list(self.config.model.covariates or self.config.spells.covariate_names)

    @property
    def model_columns(self) -> list[str]:
        """Columns that the models are fitted to, strata among them."""
        return list(dict.fromkeys([*self.covariates, *self.config.model.strata]))

    @cached_property
    def groups(self) -> dict[str, pd.Series]:
        """Label of each spell by vintage and each segment; groups of fewer loans than a curve needs are taken together."""
        frame, found = self.spells.frame, {}
        least = max(self.config.incidence.min_at_risk, self.config.smallest_cell)
        for name in dict.fromkeys(("vintage", *self.config.incidence.segments)):
            code, values = pd.factorize(frame[name])
            # the code of a missing value is -1; one text of each label, however many spells
            labels = pd.Series(np.array([*map(str, values), "missing"], dtype=object)[code], index=frame.index)
            found[name] = merged_small_groups(labels, frame["loan_id"], least, OTHERS)
        return found

    @cached_property
    def exits(self) -> ExitCounts:
        """The numbers of loans and exits as the reader may see them, the same in all sections."""
        from churnsurv.report.model_counts import model_exits

        return exit_counts(self.spells, self.complete, self.groups, self.config.smallest_cell, model_exits(self))

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What tells next quarter whether the data of today are still the same."""
        return fingerprint(self.spells)

    @cached_property
    def model(self) -> CauseSpecificCox:
        """Cause-specific Cox models of all complete spells, clustered by customer."""
        settings = self.config.model
        X, y, arguments = self.rows
        with named("[model] the cause-specific Cox models"):
            return CauseSpecificCox(settings.formula, ties=settings.ties).fit(X, y, **arguments)

    @property
    def rows(self) -> tuple[pd.DataFrame, Outcome, dict[str, Any]]:
        """Covariates, outcome and row arguments of the models."""
        return model_rows(self.complete, self)

    @cached_property
    def trial(self) -> Trial:
        """Champion and challengers out of time, which the sections on prediction share."""
        from churnsurv.report.trial import run_trial

        return run_trial(self)

    @cached_property
    def origins(self) -> Evaluation:
        """The champion at the dates of the backtest."""
        from churnsurv.report.trial import run_origins

        return run_origins(self)

    @cached_property
    def hazard_ratios(self) -> HazardRatioTable:
        """The models' hazard ratios with the words of the configuration."""
        known = [name for fitted in self.model.models_.values() for name in known_names(fitted)]
        columns = [*self.config.spells.covariate_names, *self.config.spells.keep, "vintage"]
        for term in self.config.terms:
            if term not in known and term not in columns:
                raise ConfigError(
                    f"[terms.{term}] is no term of the models. {did_you_mean(term, list(dict.fromkeys(known)))}"
                )
        has_categories = any(fitted.encoder_.levels_ for fitted in self.model.models_.values())
        return ratios(self.model, self.config, data=self.rows if has_categories else None)


def model_rows(spells: Spells, analysis: Analysis) -> tuple[pd.DataFrame, Outcome, dict[str, Any]]:
    """Give covariates, outcome and row arguments with which the models are fitted to some spells."""
    strata = analysis.config.model.strata
    return spells.frame[analysis.model_columns], spells.y, {"strata": list(strata) or None, "cluster": spells.groups}


def ratios(
    model: Any, config: ReportConfig, extra: dict[str, Term] | None = None, *, signs: bool = True, **options: Any
) -> HazardRatioTable:
    """Lay out hazard ratios with labels, units, groups and expected signs of the configuration (and `extra` terms).

    `options` are those of :func:`hazard_ratio_table`.
    """
    models = getattr(model, "models_", model)
    terms = {**config.terms, **(extra or {})}
    units: dict[str, Unit] = {n: (t.per, t.unit or "") for n, t in terms.items() if t.unit is not None or t.per != 1}

    # the configuration may speak of more terms than a model has; that each is a column was checked with it
    def of_model(words: dict[str, Any], fitted: Any) -> dict[str, Any]:
        return {name: word for name, word in words.items() if name in known_names(fitted)}

    every = dict.fromkeys(name for fitted in models.values() for name in known_names(fitted))
    expected = {
        cause: of_model({n: t.expected[cause] for n, t in terms.items() if cause in t.expected}, fitted)
        for cause, fitted in models.items()
        if signs
    }
    return hazard_ratio_table(
        models,
        labels={name: t.label for name, t in terms.items() if t.label is not None and name in every},
        groups={name: t.group for name, t in terms.items() if t.group is not None and name in every},
        units={name: unit for name, unit in units.items() if name in every},
        expected_signs=expected,
        level=config.level,
        **options,
    )


def read_tables(config: ReportConfig) -> dict[str, pd.DataFrame]:
    """Read the files of the configuration."""
    return {role: frame_of_file(role, path) for role, path in config.data.files().items()}


def analyse(config: ReportConfig, step: Callable[[str], None] = lambda name: None) -> Analysis:
    """Read the tables and build the spells; models are fitted when a section asks for them."""
    step("tables")
    tables = read_tables(config)
    step("spells")
    if config.spells.macro is not None and "macro" not in tables:
        raise ConfigError('[spells.macro] joins a macro table, but [data] names none: give macro = "..." in [data].')
    spells = build_spells(tables.get("loans"), tables["performance"], config.spells, macro=tables.get("macro"))
    known = known_at(spells, config)
    cut = {"spells": len(spells) - len(known)} | {
        cause: int((spells.frame["cause"] == cause).sum() - (known.frame["cause"] == cause).sum())
        for cause in config.spells.cause_names
    }
    analysis = Analysis(config, tables, known, known.complete(), cut if cut["spells"] else {})
    check_horizons(analysis)
    check_prediction(analysis)
    return analysis


def known_at(spells: Spells, config: ReportConfig) -> Spells:
    """Give the spells as known at the date of the report; a date at which the data end earlier is refused."""
    first, last = spells.frame["period"].min(), spells.frame["period"].max()
    frequency = "M" if config.unit == "month" else "Q"
    begins, ends = (pd.Period(day, freq=frequency) for day in (first, last))
    wanted = pd.Period(pd.Timestamp(config.as_of) + pd.Timedelta(days=1), freq=frequency) - 1
    if not begins <= wanted <= ends:
        raise ConfigError(
            f"as_of = {config.as_of}, but the data of [data] performance cover {begins.start_time:%Y-%m-%d} to "
            f"{ends.end_time:%Y-%m-%d}. Give a date within them (the last complete {config.unit} by as_of is reported), or "
            "newer data."
        )
    return spells if wanted == ends else spells.until(config.as_of)


def check_horizons(analysis: Analysis) -> None:
    """Refuse horizons that the data cannot reach."""
    config = analysis.config
    observed = analysis.spells.frame["stop"].max() - analysis.spells.frame["start"].min()
    longest = max(config.incidence.horizon, *config.incidence.horizons, 0)
    if longest > observed:
        raise ConfigError(
            f"[incidence] a horizon of {longest} {config.unit}s is longer than the loan ages observed ({observed:g} "
            f"{config.unit}s). Give shorter ones in horizon and horizons."
        )


def check_prediction(analysis: Analysis) -> None:
    """Refuse dates, shocks and groups that the data do not allow, before the long work begins."""
    from churnsurv.report.checks import check_evaluation

    check_evaluation(analysis)


@contextmanager
def named(place: str) -> Iterator[None]:
    """Put the place of the report or its configuration before errors and warnings raised inside."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except ChurnSurvError as error:
            raise type(error)(_placed(place, error)) from error
    for warning in caught:
        words = _placed(place, warning.message) if _is_ours(warning.category) else str(warning.message)
        warnings.warn(words, warning.category, stacklevel=3)


def _placed(place: str, message: Any) -> str:
    """Put the place before a message that does not name its own."""
    return str(message) if str(message).startswith("[") else f"{place}: {message}"


def noticed(make: Callable[[Analysis], Part], analysis: Analysis) -> Part:
    """Make a part; what churnsurv warned of meanwhile is kept with it, so that a reader of the report learns of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        part = make(analysis)
    told = dict.fromkeys(str(w.message) for w in caught if _is_ours(w.category))
    return replace(part, notices=(*part.notices, *told))


def _is_ours(category: type[Warning]) -> bool:
    return category.__module__.startswith(ChurnSurvError.__module__)

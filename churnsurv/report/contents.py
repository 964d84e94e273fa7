"""Which sections a report has, in which order, and what happens when one of them fails."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from churnsurv.exceptions import ChurnSurvError, ConfigError
from churnsurv.report.analysis import Analysis, Part, noticed
from churnsurv.report.content import Finding, Section
from churnsurv.report.identifiers import without_ids
from churnsurv.report.sections import (
    assumptions,
    attrition,
    backtest,
    calibration,
    challengers,
    changes,
    definitions,
    early_warning,
    evaluation,
    fairness,
    hazards,
    interventions,
    limitations,
    overrides,
    portfolio,
    provenance,
    scenarios,
    sign_off,
    stability,
)

if TYPE_CHECKING:
    from churnsurv.report.config import ReportConfig


class Chapter(NamedTuple):
    """A section that a report may have."""

    key: str
    title: str
    make: Callable[[Analysis], Part]
    #: tables of the configuration without which the section has nothing to say
    needs: str = ""
    #: whether it is there unless [sections] says otherwise
    usual: bool = True
    #: whether it is made after the others, whose parts it looks at
    last: bool = False


#: in the order of reading, after the first page
CHAPTERS = (
    Chapter("changes", changes.TITLE, changes.changes, "previous", last=True),
    Chapter("sign-off", sign_off.TITLE, sign_off.sign_off, "governance"),
    Chapter("definitions", definitions.TITLE, definitions.definitions),
    Chapter("portfolio", portfolio.TITLE, portfolio.portfolio),
    Chapter("attrition", attrition.TITLE, attrition.attrition),
    Chapter("hazard-ratios", hazards.TITLE, hazards.hazards),
    Chapter("assumptions", assumptions.TITLE, assumptions.assumptions),
    Chapter("evaluation", evaluation.TITLE, evaluation.evaluation, "evaluation"),
    Chapter("calibration", calibration.TITLE, calibration.calibration, "evaluation"),
    Chapter("stability", stability.TITLE, stability.stability, "evaluation"),
    Chapter("backtest", backtest.TITLE, backtest.backtest, "evaluation"),
    Chapter("challengers", challengers.TITLE, challengers.challengers, "evaluation"),
    Chapter("scenarios", scenarios.TITLE, scenarios.scenarios, "scenarios"),
    Chapter("fairness", fairness.TITLE, fairness.fairness, "evaluation fairness"),
    Chapter("interventions", interventions.TITLE, interventions.interventions, "interventions"),
    Chapter("early-warning", early_warning.TITLE, early_warning.early_warning, "early_warning"),
    Chapter("overrides", overrides.TITLE, overrides.overrides, "overrides"),
    Chapter("limitations", limitations.TITLE, limitations.limitations, last=True),
    Chapter("provenance", provenance.TITLE, provenance.provenance),
)


def chapters_of(config: ReportConfig) -> list[Chapter]:
    """Give the sections that the configuration asks for."""
    chosen = []
    for chapter in CHAPTERS:
        absent = [table for table in chapter.needs.split() if not getattr(config, table)]
        possible = not absent
        switch = chapter.key.replace("-", "_")
        wanted = getattr(config.sections, switch)
        if wanted and not possible:
            # a key of the top level, not a table
            lacking = "previous" if absent == ["previous"] else f"[{absent[0]}]"
            raise ConfigError(
                f"[sections] {switch} = true, but the configuration has no {lacking}: add it, for it says what the section is "
                "to show."
            )
        if possible and (chapter.usual if wanted is None else wanted):
            chosen.append(chapter)
    return chosen


def made(chapter: Chapter, analysis: Analysis) -> Part:
    """Make a section; one that fails becomes a red finding with the reason, so that the others stand."""
    try:
        part = noticed(chapter.make, analysis)
        return replace(part, notices=tuple(without_ids(notice, analysis) for notice in part.notices))
    except Exception as error:
        if os.environ.get("CHURNSURV_TRACEBACK"):
            traceback.print_exc()
        ours = isinstance(error, ChurnSurvError | OSError)
        reason = str(error) if ours else f"{type(error).__name__}: {error} (a fault of churnsurv, not of your data)"
        finding = Finding(
            f"This section could not be made. {without_ids(reason, analysis)}",
            "red",
            "every section of the configuration can be made",
            chapter.key,
        )
        return Part(Section(chapter.key, chapter.title, (finding,)), failed=True)

"""Which sections a report has, in which order, and what happens when one of them fails."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from churnsurv.exceptions import ChurnSurvError, ConfigError
from churnsurv.report.analysis import Analysis, Part, noticed
from churnsurv.report.content import Finding, Section
from churnsurv.report.sections import (
    attrition,
    backtest,
    calibration,
    challengers,
    evaluation,
    fairness,
    hazards,
    interventions,
    portfolio,
    provenance,
    scenarios,
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


#: in the order of reading, after the first page
CHAPTERS = (
    Chapter("portfolio", portfolio.TITLE, portfolio.portfolio),
    Chapter("attrition", attrition.TITLE, attrition.attrition),
    Chapter("hazard-ratios", hazards.TITLE, hazards.hazards),
    Chapter("evaluation", evaluation.TITLE, evaluation.evaluation, "evaluation"),
    Chapter("calibration", calibration.TITLE, calibration.calibration, "evaluation"),
    Chapter("stability", stability.TITLE, stability.stability, "evaluation"),
    Chapter("backtest", backtest.TITLE, backtest.backtest, "evaluation"),
    Chapter("challengers", challengers.TITLE, challengers.challengers, "evaluation"),
    Chapter("scenarios", scenarios.TITLE, scenarios.scenarios, "scenarios"),
    Chapter("fairness", fairness.TITLE, fairness.fairness, "evaluation fairness"),
    Chapter("interventions", interventions.TITLE, interventions.interventions, "interventions"),
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
            raise ConfigError(
                f"[sections] {switch} = true, but the configuration has no [{absent[0]}]: add that table, which says what "
                "the section is to show."
            )
        if possible and (chapter.usual if wanted is None else wanted):
            chosen.append(chapter)
    return chosen


def made(chapter: Chapter, analysis: Analysis) -> Part:
    """Make a section; one that fails becomes a red finding with the reason, so that the others stand."""
    try:
        return noticed(chapter.make, analysis)
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
        return Part(Section(chapter.key, chapter.title, (finding,)))


def without_ids(text: str, analysis: Analysis) -> str:
    """Give a message without the identifiers of loans and customers, which a report must not hold.

    Short numbers are identifiers in parentheses only, where messages give examples; elsewhere they are counts and months.
    """
    frame = analysis.spells.frame
    ids = {str(value) for name in ("loan_id", "customer_id") for value in frame[name].unique()}

    def hidden(match: re.Match[str]) -> str:
        word = match[0].rstrip(".")
        inside = text.count("(", 0, match.start()) > text.count(")", 0, match.start())
        if word not in ids or (word.isdigit() and len(word) < 6 and not inside):
            return match[0]
        return "[id]" + match[0][len(word) :]

    return re.sub(r"[^\s'\",;:()\[\]]+", hidden, text)

"""Which sections a report has, in which order, and what happens when one of them fails."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from churnsurv.exceptions import ChurnSurvError, ConfigError
from churnsurv.report.analysis import Analysis, Part, noticed, without_ids
from churnsurv.report.content import Finding, Section
from churnsurv.report.sections import attrition, evaluation, hazards, interventions, portfolio, provenance

if TYPE_CHECKING:
    from churnsurv.report.config import ReportConfig


class Chapter(NamedTuple):
    """A section that a report may have."""

    key: str
    title: str
    make: Callable[[Analysis], Part]
    #: table of the configuration without which the section has nothing to say
    needs: str = ""
    #: whether it is there unless [sections] says otherwise
    usual: bool = True


#: in the order of reading, after the first page
CHAPTERS = (
    Chapter("portfolio", portfolio.TITLE, portfolio.portfolio),
    Chapter("attrition", attrition.TITLE, attrition.attrition),
    Chapter("hazard-ratios", hazards.TITLE, hazards.hazards),
    Chapter("evaluation", evaluation.TITLE, evaluation.evaluation, "evaluation"),
    Chapter("interventions", interventions.TITLE, interventions.interventions, "interventions"),
    Chapter("provenance", provenance.TITLE, provenance.provenance),
)


def chapters_of(config: ReportConfig) -> list[Chapter]:
    """Give the sections that the configuration asks for."""
    chosen = []
    for chapter in CHAPTERS:
        possible = not chapter.needs or bool(getattr(config, chapter.needs))
        switch = chapter.key.replace("-", "_")
        wanted = getattr(config.sections, switch)
        if wanted and not possible:
            raise ConfigError(
                f"[sections] {switch} = true, but the configuration has no [{chapter.needs}]: add that table, which says what "
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

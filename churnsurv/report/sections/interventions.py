"""What we did about it: every intervention by its design, with the other cause as safety endpoint."""

from __future__ import annotations

from dataclasses import replace

from churnsurv.exceptions import ChurnSurvError
from churnsurv.report.analysis import Analysis, Part, named
from churnsurv.report.content import Block, Finding, Headline, Section, Text
from churnsurv.report.headlines import headline
from churnsurv.report.identifiers import without_ids
from churnsurv.report.sections.intervention_findings import early_finding, too_early
from churnsurv.report.sections.intervention_page import page
from churnsurv.report.sections.intervention_tables import endpoints, lost_to_adjustment, multiplicity_words, overview
from churnsurv.report.sections.intervention_words import meaning, prefix_of
from churnsurv.report.settings import Intervention
from churnsurv.report.studies import Study, study_of

TITLE = "Interventions"
#: what is added to the words of an effect that its interval shows, and the adjusted p-value does not
_ALONE = ", taken alone; not after adjustment for the number of tests"


def interventions(analysis: Analysis) -> Part:
    """Estimate every intervention of the configuration by its design; one that cannot be lined up leaves the others."""
    main, safety = analysis.config.main_cause, analysis.config.safety_cause
    second = f", {safety} the safety endpoint: keeping customers who then cannot pay is no success" if safety else ""
    studies: dict[str, Study | None] = {}
    pages: list[Block] = []
    for settings in analysis.config.interventions:
        study, blocks = _made(analysis, settings)
        studies[settings.name] = study
        pages += blocks
    opening = Text(
        f"Each intervention is estimated by its own design; {main} is the primary endpoint{second}. Hazard ratios compare "
        "those still there at each moment; numbers fewer say how many loans that is."
    )
    blocks = [opening, *overview(analysis, studies), *pages]
    every = endpoints(analysis, studies)
    lost = {e.settings.name for e in lost_to_adjustment(analysis, every) if e.cause == main}
    found = tuple(_headline(analysis, s, studies[s.name], s.name in lost) for s in analysis.config.interventions)
    told = (f"Interventions: {multiplicity_words(analysis, every)}",)
    return Part(Section("interventions", TITLE, tuple(blocks)), found, first_page=told)


def _made(analysis: Analysis, settings: Intervention) -> tuple[Study | None, list[Block]]:
    place = f"[[interventions]] {settings.name!r}"
    try:
        with named(place):
            study = study_of(analysis, settings)
            blocks = page(analysis, study)
            # what follows needs arms, exits and effects; covariates of millions of rows need not wait for it
            return replace(study, cohort=replace(study.cohort, X=study.cohort.X[[]]), weights=None), blocks
    except ChurnSurvError as error:
        ends = too_early(analysis, settings)
        if ends is not None and "past the last time with data" in str(error):
            return None, [Text(settings.name, "subheading"), early_finding(analysis, settings, ends)]
        finding = Finding(
            f"This intervention could not be estimated. {without_ids(str(error), analysis)}",
            "red",
            "every intervention of the configuration can be estimated",
            "interventions-register",
        )
        return None, [Text(settings.name, "subheading"), finding]


def _without_study(analysis: Analysis, settings: Intervention) -> str:
    ends = too_early(analysis, settings)
    return "Could not be estimated" if ends is None else f"Too early to judge: from {ends:%d %B %Y}"


def _headline(analysis: Analysis, settings: Intervention, study: Study | None, lost: bool) -> Headline:
    main = analysis.config.main_cause
    ratio = None if study is None else study.ratio(main)
    return headline(
        f"{prefix_of(settings)}.{settings.name}.{main}",
        f"{settings.name}: effect on {main}",
        None if ratio is None else (ratio.value, ratio.lower, ratio.upper),
        _without_study(analysis, settings) if study is None else meaning(analysis, study) + (_ALONE if lost else ""),
        level=analysis.config.level,
        scale="log",
        format="number:2",
        symbol="HR",
        n=None if ratio is None else ratio.n,
    )

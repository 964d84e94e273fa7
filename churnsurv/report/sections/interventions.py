"""What we did about it: randomised offers and staggered rollouts, with the other cause as safety endpoint."""

from __future__ import annotations

from churnsurv.report.analysis import Analysis, Part, named
from churnsurv.report.content import Block, Headline, Section, Text
from churnsurv.report.sections.offer import offer
from churnsurv.report.sections.rollout import rollout
from churnsurv.report.settings import RandomisedOffer

TITLE = "Interventions"


def interventions(analysis: Analysis) -> Part:
    """Estimate every intervention of the configuration by its design."""
    main, safety = analysis.config.main_cause, analysis.config.safety_cause
    second = f", {safety} the safety endpoint: keeping customers who then cannot pay is no success" if safety else ""
    blocks: list[Block] = [
        Text(
            f"Each intervention is estimated by its own design. {main.capitalize()} is the primary endpoint{second}. "
            "Intervals and p-values are not adjusted for looking at several interventions and endpoints."
        )
    ]
    headlines: list[Headline] = []
    for settings in analysis.config.interventions:
        with named(f"[[interventions]] {settings.name!r}"):
            if isinstance(settings, RandomisedOffer):
                made, found = offer(analysis, settings)
            else:
                made, found = rollout(analysis, settings)
        blocks += made
        headlines += found
    return Part(Section("interventions", TITLE, tuple(blocks)), tuple(headlines))

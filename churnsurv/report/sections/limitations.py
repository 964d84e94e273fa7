"""What limits the results: what people state, what the data and models show, what the other sections warned of."""

from __future__ import annotations

from collections.abc import Iterator

from churnsurv.exceptions import ChurnSurvError
from churnsurv.messages import counted
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Column, Section, Table, Text
from churnsurv.report.disclosure import HIDDEN, is_small, told
from churnsurv.report.exit_counts import COMPLETE
from churnsurv.report.words import listed, percent

TITLE = "Limitations"

#: events per coefficient below which coefficients are unreliable (Peduzzi et al. 1995, J. Clin. Epidemiol. 48)
EVENTS_PER_TERM = 10
#: shares that are worth a line
SOME = 0.05

Line = tuple[str, str, str]


def limitations(analysis: Analysis) -> Part:
    """List limitations with who looks after them, and what the analysis itself knows of its limits."""
    found = list(known_limitations(analysis))
    blocks: list[Block] = [*_stated(analysis), *_known(found), *_notices(analysis), *_failed(analysis)]
    return Part(Section("limitations", TITLE, tuple(blocks)))


def _stated(analysis: Analysis) -> list[Block]:
    given = analysis.config.limitations
    if not given:
        return [
            Text("No limitation is stated by the model's owner ([[limitations]]); those below come from the analysis.")
        ]
    columns = (Column("what", "Limitation"), Column("owner", "Owner"), Column("mitigation", "What is done about it"))
    rows = tuple((item.what, item.owner, item.mitigation or "nothing stated") for item in given)
    return [Table("stated-limitations", "Limitations stated by their owners", columns, rows)]


def _known(found: list[Line]) -> list[Block]:
    columns = (Column("what", "Limitation"), Column("figure", "In this report"), Column("meaning", "What it means"))
    if not found:
        return [Text("The analysis found none of the limits that it looks for.")]
    return [Table("known-limitations", "Limitations found by the analysis", columns, tuple(found))]


def known_limitations(analysis: Analysis) -> Iterator[Line]:
    """Give what the analysis knows of its limits: what, how much, what it means."""
    yield from _of_entry(analysis)
    yield from _of_covariates(analysis)
    yield from _of_rules(analysis)
    yield from _of_models(analysis)
    yield from _of_scope(analysis)


def _of_entry(analysis: Analysis) -> Iterator[Line]:
    first = analysis.spells.frame.drop_duplicates("loan_id")
    late, n = int((first["entry"] > 0).sum()), len(first)
    if late / n < SOME:
        return
    share = told(late, "loan", analysis.config.smallest_cell)
    if not is_small(late, analysis.config.smallest_cell):
        share = f"{percent(late / n)} of the loans"
    yield (
        "Late entry",
        share,
        "Loans that left before the data begin are unknown; young ages rest on the other loans, and entry is taken to be "
        "independent of the risk given the covariates.",
    )


def _of_covariates(analysis: Analysis) -> Iterator[Line]:
    lost = {str(r["what"]): r for r in analysis.complete.completeness.to_dict("records")}["spells"]
    share = int(lost["left_out"]) / max(int(lost["observed"]), 1)
    if share >= SOME:
        yield (
            "Missing covariates",
            f"{percent(share)} of the spells",
            "These spells are left out of the models; if what is missing depends on the risk, the results are distorted.",
        )
    settings, rules = analysis.config.model, analysis.config.spells
    macro = [name for name in rules.covariates.macro if name in analysis.covariates]
    if "vintage" in settings.strata and macro:
        yield (
            "Little macro variation within vintages",
            listed(macro),
            "Within a vintage, loans of one age are of nearly the same calendar time: what the economy did is compared only "
            "within a year of origination, and mostly absorbed by the strata.",
        )
    if rules.unlagged:
        yield (
            "Covariates of the same period",
            listed(list(rules.unlagged)),
            "They may know the outcome; associations and predictions can be too good.",
        )


def _of_rules(analysis: Analysis) -> Iterator[Line]:
    rules = analysis.config.spells
    if rules.customer_id is None:
        yield (
            "Customers are not known",
            "no customer_id",
            "Every loan counts as a customer of its own: with several loans to a customer, intervals are too narrow.",
        )
    if rules.censored:
        yield (
            "Stated censoring",
            listed(list(rules.censored)),
            "Taken to be independent of the risk; a sale of chosen loans is not, and the data cannot tell.",
        )
    if rules.term is None and rules.maturity is None and not rules.matured:
        yield (
            "Scheduled end not known",
            "no term, maturity or status",
            "Loans that end as scheduled cannot be told from loans that leave.",
        )


def _of_models(analysis: Analysis) -> Iterator[Line]:
    try:
        models = analysis.model.models_
    except ChurnSurvError:  # its sections say why
        yield ("No model", "could not be fitted", "Nothing in this report is adjusted for covariates.")
        return
    for cause, model in models.items():
        per_term = model.n_events_ / len(model.coef_)
        if per_term < EVENTS_PER_TERM:
            events = analysis.exits.of_model(cause, COMPLETE)
            yield (
                f"Few events of {cause}",
                f"{counted(events, 'event')}, {per_term:.1f} per coefficient"
                if isinstance(events, int)
                else f"events {HIDDEN}"
                if events in (None, HIDDEN)
                else told(model.n_events_, "event", analysis.config.smallest_cell),
                f"Fewer than {EVENTS_PER_TERM} events per coefficient: ratios are unstable and tend to be too far from 1.",
            )
        boundless = [str(name) for name, error in model.summary()["se"].items() if not error < float("inf")]
        if boundless:
            yield (
                f"Infinite estimates for {cause}",
                listed(boundless),
                "These terms separate who leaves from who stays; their ratios have no interval to trust.",
            )
    yield (
        "Association, not effect",
        f"{counted(len(models), 'Cox model')}",
        "Hazard ratios compare customers as they are. What a change would do is shown only where an intervention has a "
        "design of its own.",
    )


def _of_scope(analysis: Analysis) -> Iterator[Line]:
    config = analysis.config
    if config.evaluation is None or config.sections.evaluation is False:
        yield (
            "No prediction on a later period, no forest",
            "no section on evaluation",
            "How well the models predict new loans, and whether a forest would do better, is not shown.",
        )
    if config.safety_cause is None:
        yield ("No safety cause", "no safety_cause", "Offers may keep customers who then cannot pay; nobody looks.")
    if not config.interventions or config.sections.interventions is False:
        yield (
            "No intervention measured",
            "no section on interventions",
            "Whether anything done against attrition works is open.",
        )


def _notices(analysis: Analysis) -> list[Block]:
    """Say which other sections end with notes of what their computation warned of."""
    n = {analysis.regime.names.get(p.section.key, p.section.title): len(p.notices) for p in analysis.parts if p.notices}
    if not n:
        return []
    sections = listed([f"{title} ({count})" for title, count in n.items()])
    return [Text(f"What the computation warned of stands in notes at the end of: {sections}.")]


def _failed(analysis: Analysis) -> list[Block]:
    titles = [analysis.regime.names.get(p.section.key, p.section.title) for p in analysis.parts if p.failed]
    if not titles:
        return []
    return [Text(f"Could not be made: {listed(titles)}. Each gives the reason; what it would have shown is not known.")]

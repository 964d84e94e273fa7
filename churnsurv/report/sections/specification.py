"""What the models are: class, covariates, strata, ties, variance, numbers; whether events and covariates bear them."""

from __future__ import annotations

import pandas as pd

import churnsurv
from churnsurv.estimators.diagnostics import events_per_parameter, variance_inflation
from churnsurv.messages import counted
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Block, Cell, Column, Finding, Table
from churnsurv.report.disclosure import HIDDEN, count_words, is_small, notes_if_hidden
from churnsurv.report.exit_counts import COMPLETE
from churnsurv.report.forms import pairs
from churnsurv.report.term_labels import plain_name
from churnsurv.report.words import listed

#: terms in the table of variance inflation
MOST_INFLATED = 5


def specification(analysis: Analysis) -> list[Block]:
    """Give the table of the specification, that of the models' sizes, and what is amiss with either."""
    return [_what(analysis), _sizes(analysis), *_few_events(analysis), _inflation(analysis), *_collinear(analysis)]


def _what(analysis: Analysis) -> Table:
    config = analysis.config
    model = next(iter(analysis.model.models_.values()))
    names = [label_of_term(analysis, name) for name in analysis.covariates]
    strata = list(config.model.strata)
    covariates = (
        f"Formula: {config.model.formula}"
        if config.model.formula
        else f"{counted(len(names), 'covariate')}, each as it is (text by indicators): {listed(names)}"
    )
    lost = int(analysis.complete.completeness.set_index("what")["left_out"].to_dict()["spells"])
    rows = [
        (
            "Model class",
            "Cause-specific proportional hazards (Cox), one model per cause; the other causes are censored",
        ),
        ("Time scale", f"Loan age in {config.unit}s, with late entry; covariates of the {config.unit} before"),
        ("Covariates", covariates),
        ("Baseline hazard", f"Free; one for each {listed(strata)}" if strata else "Free, one for all loans"),
        ("Ties", f"{model.ties.capitalize()}'s rule"),
        ("Variance", "Sandwich (Lin and Wei) summed by customer; Wald intervals and tests"),
        (
            "Missing covariates",
            f"Spells without one are left out: {count_words(lost, config.smallest_cell)} of "
            f"{lost + len(analysis.complete):,}"
            if lost
            else "None missing in the spells",
        ),
        ("Software", f"churnsurv {churnsurv.__version__}"),
    ]
    return pairs("specification", "Specification of the models", rows)


def _sizes(analysis: Analysis) -> Table:
    smallest = analysis.config.smallest_cell
    columns = (
        Column("cause", "Cause"),
        Column("loans", "Loans", "integer"),
        Column("spells", "Spells", "integer"),
        Column("events", "Events", "integer"),
        Column("coefficients", "Coefficients", "integer"),
        Column("per", "Events per coefficient", "number:1"),
        Column("statistic", "Wald chi-squared, all terms", "number:1"),
        Column("p", "p", "p"),
    )
    rows: list[tuple[Cell, ...]] = []
    spells = spells_used(analysis)
    for cause, model in analysis.model.models_.items():
        wald = model.tests().loc["wald"]
        events = analysis.exits.of_model(cause, COMPLETE)
        per = events_per_parameter(model) if isinstance(events, int) else None
        rows.append(
            (
                cause, analysis.exits["loans", "complete"], spells, events, len(model.coef_), per,
                float(wald["statistic"]), float(wald["p_value"]),
            )
        )  # fmt: skip
    return Table("model-sizes", "What the models rest on", columns, tuple(rows), notes=notes_if_hidden(rows, smallest))


def spells_used(analysis: Analysis) -> Cell:
    """Give the number of spells of the models; with it a small number of others could be computed."""
    n = len(analysis.complete)
    return HIDDEN if is_small(len(analysis.spells) - n, analysis.config.smallest_cell) else n


def _few_events(analysis: Analysis) -> list[Finding]:
    least = analysis.config.thresholds.least_events_per_parameter
    found = []
    for cause, model in analysis.model.models_.items():
        per = events_per_parameter(model)
        if per < least:
            hidden = not analysis.exits.is_shown(cause, "model", COMPLETE)
            found.append(
                Finding(
                    f"The model of {cause} has few events for its {counted(len(model.coef_), 'coefficient')}: "
                    "estimates and "
                    "intervals are unreliable. Leave out covariates chosen without looking at the outcome, merge "
                    "rare levels, "
                    'or use Firth\'s penalty (CoxPH(penalty="firth")).',
                    "amber",
                    f"at least {least:g} events per coefficient",
                    "model-sizes",
                    None if hidden else per,
                    "number:1",
                )
            )
    return found


def _inflation(analysis: Analysis) -> Table:
    """Give the terms that go along most with the others, by cause."""
    factors = pd.DataFrame({c: variance_inflation(m)["factor"] for c, m in analysis.model.models_.items()})
    largest = factors.max(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_INFLATED]
    columns = (
        Column("term", "Term"),
        *(Column(c, c, "number:1", "Variance inflation") for c in analysis.model.models_),
    )
    rows: list[tuple[Cell, ...]] = [(label_of_term(analysis, str(t)), *factors.loc[t].tolist()) for t in largest]
    note = (
        "By how much the variance of a coefficient is larger than if the term did not go along with the others "
        "(per coefficient, "
        f"Fox and Monette 1992). Shown are the {len(rows)} largest of {len(factors)}."
    )
    return Table("variance-inflation", "Covariates that go along with each other", columns, tuple(rows), notes=(note,))


def label_of_term(analysis: Analysis, term: str) -> str:
    """Give the words of the configuration for a term of the formula."""
    words = analysis.config.terms.get(term)
    return (words.label if words else None) or plain_name(term)


def _collinear(analysis: Analysis) -> list[Finding]:
    most = analysis.config.thresholds.max_vif
    found = []
    for cause, model in analysis.model.models_.items():
        high = variance_inflation(model)["factor"].sort_values(ascending=False)
        high = high[high > most]
        if len(high):
            names = [label_of_term(analysis, str(name)) for name in high.index]
            found.append(
                Finding(
                    f"{listed(names)} go along with other covariates of the model of {cause}: their coefficients "
                    "cannot be "
                    "read one by one. Keep one of the columns that tell the same, or combine them; predictions "
                    "do not suffer.",
                    "amber",
                    f"variance inflation of at most {most:g} per term",
                    "variance-inflation",
                    float(high.iloc[0]),
                    "number:1",
                )
            )
    return found

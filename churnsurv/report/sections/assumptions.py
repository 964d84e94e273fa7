"""Whether what the Cox models assume holds, and by how much it fails where it does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from churnsurv.data import Spells
from churnsurv.estimators.assumptions import Ties, compare_tie_rules, departure_from_line, ratio_ranges
from churnsurv.estimators.cox import CoxPH
from churnsurv.estimators.diagnosis import diagnose
from churnsurv.estimators.smooths import functional_form, hazard_ratio_over_time
from churnsurv.messages import counted
from churnsurv.report.analysis import Analysis, Part, model_rows, named
from churnsurv.report.content import Block, Finding, Section, Text
from churnsurv.report.sections.assumption_tables import (
    censoring_table,
    change_figure,
    change_table,
    other_checks,
    shape_figure,
    shape_table,
    tested,
)
from churnsurv.report.term_labels import label_of, plain_name
from churnsurv.report.words import listed, p_words, share_words

TITLE = "Assumptions of the models"


@dataclass(frozen=True, eq=False)
class Examined:
    """A model with its rows and what the checks found.

    Attributes
    ----------
    cause : str
    model : CoxPH
        That of the report, or of a sample.
    tables : dict
        Of :func:`churnsurv.diagnose`.
    ranges : DataFrame
        Of :func:`churnsurv.estimators.assumptions.ratio_ranges`, by coefficient.
    ties : Ties
    over_time, shapes : dict
        Coefficient, or column, → its curve: of the most doubtful terms, and the shapes of all columns whose test rejects.
    drawn : list of str
        Columns whose shapes are drawn.
    labels : dict
        Term of the formula → words.
    """

    cause: str
    model: CoxPH
    tables: dict[str, pd.DataFrame]
    ranges: pd.DataFrame
    ties: Ties
    over_time: dict[str, pd.DataFrame]
    shapes: dict[str, pd.DataFrame]
    drawn: list[str]
    labels: dict[str, str]


def assumptions(analysis: Analysis) -> Part:
    """Examine the models of the causes asked for."""
    settings, config = analysis.config.assumptions, analysis.config
    spells, words = sampled(analysis)
    blocks: list[Block] = [Text(_reading(analysis, words)), *censoring_table(analysis)]
    for cause in settings.of_causes or (config.main_cause,):
        with named(f"[assumptions] the model of {cause}"):
            found = examined(analysis, spells, cause)
        blocks += [Text(f"Model of {cause}", "subheading"), Text(_proportional(found, analysis))]
        blocks.append(change_table(found, analysis))
        blocks += [change_figure(found, term, analysis) for term in found.over_time]
        blocks += [*_changes(found, analysis), Text(_linear(found, analysis))]
        blocks += [*shape_table(found, analysis), *(shape_figure(found, column, analysis) for column in found.drawn)]
        blocks += [*_bends(found, analysis), other_checks(found, analysis), *_others(found, analysis)]
    return Part(Section("assumptions", TITLE, tuple(blocks)))


def sampled(analysis: Analysis) -> tuple[Spells, str]:
    """Give the spells that are examined, and how they were chosen where they are not all."""
    settings, spells = analysis.config.assumptions, analysis.complete
    loans = spells.frame.drop_duplicates("loan_id")["customer_id"].value_counts(sort=False)
    if loans.sum() <= settings.most_loans:
        return spells, ""
    # whole customers, in an order that depends on neither rows nor the order of the file
    customers = loans.sort_index()
    order = np.random.default_rng(settings.seed).permutation(len(customers))
    chosen = customers.index[order][customers.to_numpy()[order].cumsum() <= settings.most_loans]
    sample = spells.of_customers(chosen)
    n = sample.frame["loan_id"].nunique()
    return sample, (
        f" To bound the time it takes, the checks use a random sample of whole customers with {counted(n, 'loan')} of "
        f"{int(loans.sum()):,} (seed {settings.seed}), to which the models were fitted anew; their coefficients "
        "therefore differ "
        "from those of the report by chance, and a departure too small for the sample stays unseen."
    )


def examined(analysis: Analysis, spells: Spells, cause: str) -> Examined:
    """Run the checks on the model of a cause."""
    settings = analysis.config.assumptions
    X, y, arguments = model_rows(spells, analysis)
    model: CoxPH = analysis.model.models_[cause]
    if spells is not analysis.complete:
        model = CoxPH(model.formula, cause=cause, ties=model.ties).fit(X, y, **arguments)
    tables = diagnose(model, X, y, alpha=settings.alpha, **arguments).tables
    ranges = ratio_ranges(model, X, y, **arguments)
    by_term = {term: [str(model.coef_.index[j]) for j in at] for term, at in model.encoder_.columns_by_term().items()}
    doubtful = _doubtful(tables["proportional_hazards"].drop(index="GLOBAL"), settings.figures)
    steepest = [max(by_term[term], key=lambda c: ranges["range"].to_dict()[c]) for term in doubtful]
    bent = _doubtful(tables["linearity"], settings.figures)
    shown = dict.fromkeys([*bent, *_rejected(tables["linearity"], analysis)])
    level = analysis.config.level
    return Examined(
        cause, model, tables, ranges, compare_tie_rules(model, X, y, **arguments),
        {term: hazard_ratio_over_time(model, X, y, term, level=level, **arguments) for term in steepest},
        {column: functional_form(model, X, y, column, level=level, **arguments) for column in shown},
        bent,
        _labels(analysis, by_term, model),
    )  # fmt: skip


def _doubtful(table: pd.DataFrame, most: int) -> list[str]:
    """Give the terms with the smallest p-values."""
    return [str(term) for term in tested(table)["p"].dropna().sort_values(kind="stable").index[:most]]


def _labels(analysis: Analysis, by_term: dict[str, list[str]], model: CoxPH) -> dict[str, str]:
    words = {name: term.label for name, term in analysis.config.terms.items() if term.label}
    found = {}
    for term, coefficients in by_term.items():
        found[term] = words.get(term) or (plain_name(term) if term in model.feature_names_in_ else term)
        for coefficient in coefficients:
            found.setdefault(
                coefficient, words.get(coefficient) or label_of(coefficient, model.encoder_.levels_, words)
            )
    return found


def _reading(analysis: Analysis, sample: str) -> str:
    alpha = analysis.config.assumptions.alpha
    return (
        "With many loans a test finds departures that matter to no decision, and with few it misses those that "
        "do. Each check "
        "therefore says both whether a departure is beyond chance and how large it is; it is a finding only when "
        "it is both. "
        f"Tests count as beyond chance when their p-value is at most {alpha:g} divided by the number of tests of "
        "their kind "
        f"(Bonferroni), so that with nothing amiss a false alarm has a chance of at most {alpha:g}. Tests are "
        "robust to loans of one "
        f"customer depending on each other.{sample}"
    )


def _rejected(table: pd.DataFrame, analysis: Analysis) -> list[str]:
    p = tested(table.drop(index="GLOBAL", errors="ignore"))["p"]
    return [str(term) for term in p.index[p <= analysis.config.assumptions.alpha / max(len(p), 1)]]


def _term_range(found: Examined, term: str) -> float:
    at = found.model.encoder_.columns_by_term()[term]
    return float(found.ranges["range"].to_numpy()[at].max())


def _proportional(found: Examined, analysis: Analysis) -> str:
    table = found.tables["proportional_hazards"]
    rejected = _rejected(table, analysis)
    whole = tested(table).loc["GLOBAL"]
    beyond = f"{share_words(len(rejected), len(table) - 1, 'test').capitalize()} beyond chance"
    names = f": {listed([found.labels[t] for t in rejected])}" if rejected else ""
    return (
        "Proportional hazards: a hazard ratio is the same at every age. The score test of Grambsch and Therneau "
        "looks for ratios that "
        f"change along the Kaplan–Meier scale of age. {beyond}{names}; all terms together "
        f"{p_words(float(whole['p']))}. "
        f"{{ref:changes-{found.cause}}} says how far each ratio ranges over the middle 80% of the exits."
    )


def _changes(found: Examined, analysis: Analysis) -> list[Finding]:
    most = analysis.config.thresholds.most_change_over_time
    terms = [t for t in _rejected(found.tables["proportional_hazards"], analysis) if _term_range(found, t) > most]
    return [
        Finding(
            f"The hazard ratio of {found.labels[term]} for {found.cause} is not the same at every age, and the "
            "one number of the "
            "model hides it. Let the effect change with age, stratify by it, or report it by age.",
            "amber",
            f"a ratio that changes over time by a factor of at most {most:g} where the test rejects",
            f"changes-{found.cause}",
            _term_range(found, term),
            "number:2",
        )
        for term in terms
    ]


def _linear(found: Examined, analysis: Analysis) -> str:
    table = found.tables["linearity"]
    if table.empty:
        return "Functional form: no numeric covariate enters the model as a line."
    rejected = _rejected(table, analysis)
    names = f": {listed([found.labels[t] for t in rejected])}" if rejected else ""
    return (
        "Functional form: the log hazard is linear in each numeric covariate. The score test of adding a natural "
        "spline looks for bends. "
        f"{share_words(len(rejected), len(table), 'test').capitalize()} beyond chance{names}."
    )


def _bends(found: Examined, analysis: Analysis) -> list[Finding]:
    most = analysis.config.thresholds.most_departure_from_line
    far = {
        c: departure_from_line(found.shapes[c])
        for c in _rejected(found.tables["linearity"], analysis)
        if c in found.shapes
    }
    return [
        Finding(
            f"The log hazard of {found.cause} is not linear in {found.labels[column]}. Look at its shape, and "
            "enter it as a natural "
            f"spline (cs({column}, df=4) in [model] formula), or as bands that mean something.",
            "amber",
            f"a hazard that departs from a line by a factor of at most {most:g} where the test rejects",
            f"shape-{found.cause}-{column}" if column in found.drawn else f"shapes-{found.cause}",
            value,
            "number:2",
        )
        for column, value in far.items()
        if value > most
    ]


def _others(found: Examined, analysis: Analysis) -> list[Finding]:
    """Say where single customers or the rule for ties move a coefficient too far."""
    thresholds, key = analysis.config.thresholds, f"other-checks-{found.cause}"
    moved = float(found.tables["influence"]["dfbetas"].abs().max())
    shift = float(found.ties.rules["shift"].abs().max())
    findings = []
    if moved > thresholds.most_influence:
        text = (
            f"A single customer moves a coefficient of the model of {found.cause} by more than its own "
            "uncertainty allows. Look for "
            "errors in the data (churnsurv.influence names the rows); report the model with and without them if "
            "they are right."
        )
        limit = f"no customer moves a coefficient by more than {thresholds.most_influence:g} standard errors"
        findings.append(Finding(text, "amber", limit, key, moved, "number:2"))
    if found.model.ties == "breslow" and shift > thresholds.most_tie_shift:
        text = (
            f"Breslow's rule for exits at the same age moves coefficients of the model of {found.cause} towards "
            "no effect: "
            'use ties = "efron" in [model].'
        )
        limit = f"the rule for ties moves no coefficient by more than {thresholds.most_tie_shift:g} standard errors"
        findings.append(Finding(text, "amber", limit, key, shift, "number:2"))
    return findings

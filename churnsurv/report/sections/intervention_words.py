"""What is said of an intervention: its question, design, assumptions, and what the intervals let one say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from churnsurv.report.analysis import Analysis
from churnsurv.report.disclosure import is_small
from churnsurv.report.settings import (
    DatedTreatment,
    Drawn,
    Intervention,
    LandmarkTrials,
    Observational,
    RandomisedInvitation,
    RandomisedOffer,
    StaggeredRollout,
)
from churnsurv.report.studies import PER, Study
from churnsurv.report.words import is_clear, level_words, p_words, periods, ratio_sentence, ratio_words
from churnsurv.results import Estimate

#: what headline keys begin with, and what the design is called
_KINDS: dict[type, tuple[str, str]] = {
    RandomisedOffer: ("offer", "randomised offer"),
    RandomisedInvitation: ("encouragement", "randomised invitation"),
    StaggeredRollout: ("rollout", "staggered rollout"),
    DatedTreatment: ("treatment", "time-varying treatment"),
    LandmarkTrials: ("landmark", "landmark trials"),
    Observational: ("observational", "observational, weighted"),
}


def prefix_of(settings: Intervention) -> str:
    """Give what the keys of an intervention's headline begin with."""
    return _KINDS[type(settings)][0]


def design_name(settings: Intervention) -> str:
    """Give the name of the design."""
    return _KINDS[type(settings)][1]


def arm_name(arm: str) -> str:
    """Give an arm's label as words."""
    return str(arm).replace("_", " ")


def row_of(estimate: Estimate) -> dict[str, Any]:
    """Give a ratio as the record that :mod:`churnsurv.report.words` reads."""
    return {"hazard_ratio": estimate.value, "hr_lower": estimate.lower, "hr_upper": estimate.upper}


def inline(estimate: Estimate, p_value: float | None = None) -> str:
    """Give "HR 0.60 (95% CI 0.45 to 0.81, p <0.001)"."""
    p = "" if p_value is None else f", {p_words(p_value)}"
    interval = f"{estimate.lower:.2f} to {estimate.upper:.2f}"
    return f"HR {estimate.value:.2f} ({level_words(estimate.level)} CI {interval}{p})"


def says(estimate: Estimate | None) -> str:
    """Give what the interval of a ratio says: "fewer leave", "more leave", "includes no effect"."""
    if estimate is None or not (estimate.lower > 0 and np.isfinite(estimate.upper)):
        return "not estimable"
    if not is_clear(estimate.lower, estimate.upper):
        return "includes no effect"
    return "fewer" if estimate.value < 1 else "more"


def hidden_causes(study: Study, smallest: int) -> list[str]:
    """Give the causes of which an arm has too few exits to be shown."""
    return [c for c in study.cohort.y.causes if any(is_small(n, smallest) for n in study.events(c).values())]


def question_and_design(analysis: Analysis, study: Study) -> str:
    """Say in one paragraph what is asked, who is compared with whom, and on what the answer rests."""
    settings, config = study.settings, analysis.config
    treated, control = arm_name(study.cohort.treated), arm_name(study.cohort.control)
    horizon = periods(settings.horizon, config.unit)
    asked = f"Does it change the hazard of {config.main_cause}"
    asked += f", without raising that of {config.safety_cause}? " if config.safety_cause else "? "
    what = f"{settings.what[0].upper()}{settings.what[1:].rstrip('.')}. " if settings.what else ""
    if isinstance(settings, Drawn):
        joined = (
            " Who takes part chose to; the effect on those who take part if and only if invited (compliers) uses the "
            "draw as an instrument."
            if isinstance(settings, RandomisedInvitation)
            else ""
        )
        design = (
            f"Randomised by {settings.unit}: \u201c{treated}\u201d is compared with \u201c{control}\u201d as assigned, whether "
            f"or not it was taken up, over {horizon} since the assignment.{joined}"
        )
    elif isinstance(settings, StaggeredRollout):
        n = len(np.unique(study.cohort.cluster))
        design = (
            f"A staggered rollout over {n} units ({settings.unit}): loans of a unit that has switched are compared with loans "
            f"of the same unit and age before, with those still waiting telling what the calendar did; the first "
            f"{horizon} after the switch count. Loans change from one arm to the other, so that there are no curves by arm."
        )
    elif isinstance(settings, DatedTreatment):
        design = (
            f"Treated at dates of their own: a loan counts as untreated until its date and as treated for {horizon} from "
            "then on. To count it as treated from the beginning would give its arm the time in which it could not have "
            f"left (immortal time). Loans of the same month and age (bands of {periods(settings.age_band, config.unit)}) are "
            "compared. Loans change arm, so that there are no curves by arm."
        )
    else:
        design = _trials_words(analysis, study, horizon)
    decided = "" if settings.decision == "open" else f" Decision: {settings.decision}"
    decided += f" ({settings.reason.rstrip('.')})." if decided and settings.reason else ("." if decided else "")
    return f"{what}{asked}{design} Assumed: {study.assumptions or 'see the design.'}{decided}"


def _trials_words(analysis: Analysis, study: Study, horizon: str) -> str:
    settings, unit = study.settings, analysis.config.unit
    assert isinstance(settings, LandmarkTrials | Observational)
    last = settings.last or settings.first
    when = (
        f"At the end of every {'' if settings.every == 1 else f'{settings.every} '}{unit}{'' if settings.every == 1 else 's'} "
        f"from {settings.first:%B %Y} to {last:%B %Y}"
        if last > settings.first
        else f"On {settings.first:%-d %B %Y}"
    )
    design = (
        f"{when} a trial of its own: loans treated in that {unit} against those not yet treated, which are followed until they "
        f"are; over {horizon}, by what was known at the date (no immortal time)."
    )
    if settings.adjust:
        design += (
            " Who was treated was not drawn: the ratio is adjusted for what is listed below, risks are weighted to the "
            "loans that could well have been in either arm (overlap weights of the propensity score)"
        )
        design += (
            ", and again standardised to the treated by models of leaving (g-formula): the two rest on different models."
            if isinstance(settings, Observational)
            else "."
        )
    return design


def fewer_words(estimate: Estimate, cause: str, per: str) -> str:
    """Say how many fewer (or more) of 1,000 leave; the estimate counts those fewer."""
    low, high = estimate.lower, estimate.upper
    ci = f"{level_words(estimate.level)} CI"
    if not is_clear(low, high, 0.0):
        return (
            f"{per}, the number leaving by {cause} is not distinguishably different: between {_more(low)} and {_more(high)} "
            f"({ci})."
        )
    word = "fewer" if estimate.value > 0 else "more"
    ends = sorted((abs(low), abs(high)))
    return f"{per}, {abs(estimate.value):,.0f} {word} leave by {cause} ({ci} {ends[0]:,.0f} to {ends[1]:,.0f})."


def _more(value: float) -> str:
    return f"{abs(value):,.0f} {'fewer' if value > 0 else 'more'}"


def saved(study: Study, cause: str) -> tuple[Estimate | None, str]:
    """Give how many of 1,000 loans (loan-years) fewer leave by a cause, and of what."""
    found = study.effects.get(("risk_difference", cause))
    if found is not None:
        turned = Estimate(
            f"Fewer by {cause} in {PER:,} loans",
            -PER * found.value,
            PER * found.se,
            -PER * found.upper,
            -PER * found.lower,
            found.level,
            found.n,
            found.n_events,
            found.method,
        )
        return turned, "loans"
    return study.effects.get(("averted", cause)), "loan-years"


def result(analysis: Analysis, study: Study) -> str:
    """Say what came out for the main cause and the safety cause."""
    settings, config = study.settings, analysis.config
    if study.failure:
        return f"Not estimable: {study.failure}"
    hidden = hidden_causes(study, config.smallest_cell)
    sentences = []
    for cause in (config.main_cause, config.safety_cause):
        ratio = study.ratio(cause)
        if cause is None:
            continue
        subject = settings.name if cause == config.main_cause else "Safety: the intervention"
        if ratio is None:
            sentences.append(f"The hazard ratio of {cause} is not estimable.")
            continue
        sentences.append(ratio_sentence(subject, row_of(ratio), inline(ratio, study.p_values.get(cause)), cause))
        number, of = saved(study, cause)
        if cause == config.main_cause and number is not None and cause not in hidden:
            per = f"Of {PER:,} loans within {periods(settings.horizon, config.unit)}" if of == "loans" else (
                f"In {PER:,} treated loan-years"
            )  # fmt: skip
            sentences.append(fewer_words(number, cause, per))
    if config.safety_cause is not None and settings.margin is not None:
        sentences.append(noninferiority(study, config.safety_cause))
    return " ".join(sentences)


def noninferiority(study: Study, safety: str) -> str:
    """Say whether harm beyond the margin is excluded: the two-sided interval lies below it."""
    ratio, margin = study.ratio(safety), study.settings.margin
    if ratio is None:
        return f"Whether {safety} rises by less than the margin of HR {margin:g} cannot be said."
    if ratio.upper < float(margin or np.inf):
        return f"A rise of {safety} by the margin (HR {margin:g}) or more is excluded: the interval ends at {ratio.upper:.2f}."
    return (
        f"A rise of {safety} by the margin (HR {margin:g}) is not excluded: the interval reaches {ratio.upper:.2f}. No "
        "difference seen is not no difference."
    )


def meaning(analysis: Analysis, study: Study) -> str:
    """Give the words beside the headline figure."""
    ratio = study.ratio(analysis.config.main_cause)
    name = design_name(study.settings).capitalize()
    if ratio is None:
        return f"{name}: not estimable"
    return f"{name}: {ratio_words(row_of(ratio), analysis.config.main_cause)}"


def when_words(analysis: Analysis, study: Study) -> str:
    """Give the calendar months in which the treated came under treatment."""
    settings = study.settings
    if isinstance(settings, DatedTreatment):
        return f"since {settings.since:%B %Y}"
    if isinstance(settings, LandmarkTrials | Observational):
        last = settings.last or settings.first
        same = last == settings.first
        return f"{settings.first:%B %Y}" if same else f"{settings.first:%B %Y} to {last:%B %Y}"
    number = study.cohort.calendar[study.cohort.arm == study.cohort.treated]
    frequency = "M" if analysis.config.unit == "month" else "Q"
    first = number.min() if isinstance(settings, StaggeredRollout) else number.min() - 1
    begin = pd.Period(ordinal=int(first), freq=frequency)
    last_number = number.min() if isinstance(settings, StaggeredRollout) else number.max() - 1
    end = pd.Period(ordinal=int(last_number), freq=frequency)
    shown = [p.strftime("%B %Y") for p in (begin, end)]
    if isinstance(settings, StaggeredRollout):
        return f"from {shown[0]} on"
    return shown[0] if begin == end else f"{shown[0]} to {shown[1]}"

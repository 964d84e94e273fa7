"""When an intervention needs somebody's attention: harm on the safety cause, or a decision that the intervals do not bear."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churnsurv.data.periods import last_complete_period, period_starts
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Finding
from churnsurv.report.sections.intervention_words import inline, says
from churnsurv.report.settings import Drawn, Intervention, LandmarkTrials, Observational
from churnsurv.report.studies import Study
from churnsurv.report.words import periods

#: decisions to go on
GOING_ON = ("continue", "extend")


def too_early(analysis: Analysis, settings: Intervention) -> pd.Timestamp | None:
    """Give the date from which an intervention can be judged, if it lies ahead: a horizon after loans are first followed.

    A shorter horizon would be an interim look, which the plan of the intervention did not provide for.
    """
    if isinstance(settings, Drawn):
        table = analysis.tables.get("interventions", pd.DataFrame())
        if not {"intervention", "arm", "assigned_on"} <= {*table.columns}:
            return None
        own = table[
            (table["intervention"] == settings.intervention) & table["arm"].isin([settings.treated, settings.control])
        ]
        begins = pd.to_datetime(own.groupby("arm")["assigned_on"].min(), errors="coerce").max()
    elif isinstance(settings, LandmarkTrials | Observational):
        begins = pd.Timestamp(settings.first)
    else:
        return None
    if pd.isna(begins):
        return None
    after = last_complete_period(begins, analysis.config.spells) + settings.horizon + 1
    ends = pd.Timestamp(period_starts(np.array([after]), analysis.config.spells)[0] - pd.Timedelta(days=1))
    return ends if ends > pd.Timestamp(analysis.config.as_of) else None


def early_finding(analysis: Analysis, settings: Intervention, ends: pd.Timestamp) -> Finding:
    """Say that an intervention cannot be judged yet, and from when on."""
    text = (
        f"Too early to judge {settings.name}: no loan has been followed for {periods(settings.horizon, analysis.config.unit)} "
        f"yet. It can be judged from {ends:%d %B %Y}; an estimate before would be an interim look that was not planned."
    )
    if settings.decision in GOING_ON:
        text += f" The decision to {settings.decision} rests on no estimate until then."
    threshold = "the horizon of an intervention is over for the first loans"
    return Finding(text, "amber", threshold, "interventions-register")


def findings(analysis: Analysis, study: Study, evidence: str) -> list[Finding]:
    """Give the findings on an intervention."""
    found = [
        _safety(analysis, study, evidence),
        _decision(analysis, study, evidence),
        _margin(analysis, study, evidence),
    ]
    return [one for one in found if one is not None]


def _safety(analysis: Analysis, study: Study, evidence: str) -> Finding | None:
    safety = analysis.config.safety_cause
    ratio = study.ratio(safety)
    if ratio is None or says(ratio) != "more":
        return None
    return Finding(
        f"{study.settings.name} goes with more {safety}: {inline(ratio, study.p_values.get(str(safety)))}. Decide whether to "
        "go on with it.",
        "red",
        f"interval of the hazard ratio of {safety} not above 1",
        evidence,
        (ratio.lower, ratio.upper),
        "interval:2",
    )


def _decision(analysis: Analysis, study: Study, evidence: str) -> Finding | None:
    """Compare the decision with what the interval of the main cause says."""
    settings, main = study.settings, analysis.config.main_cause
    ratio, decision = study.ratio(main), settings.decision
    said = says(ratio)
    going_on = decision in GOING_ON
    if not going_on and decision != "stop":
        return None
    if ratio is None:
        if not going_on:
            return None
        return Finding(
            f"{settings.name}: decided to {decision}, but no effect on {main} could be estimated.",
            "amber",
            "a decision to go on rests on an estimate",
            evidence,
        )
    shown = inline(ratio, study.p_values.get(main))
    if going_on and said == "more":
        text, severity = f"decided to {decision}, but more leave by {main}: {shown}. Reconsider.", "red"
    elif decision == "extend" and said == "includes no effect":
        text = f"decided to extend, but the interval includes no effect on {main}: {shown}. Wait for more exits, or say why."
        severity = "amber"
    elif decision == "stop" and said == "fewer":
        safe = says(study.ratio(analysis.config.safety_cause)) != "more"
        if not safe:
            return None
        text, severity = f"decided to stop, but fewer leave by {main}: {shown}. Say what speaks against it.", "amber"
    else:
        return None
    reason = f" Reason given: {settings.reason.rstrip('.')}." if settings.reason else ""
    return Finding(
        f"{settings.name}: {text}{reason}",
        "red" if severity == "red" else "amber",
        f"the decision agrees with the interval of the hazard ratio of {main}",
        evidence,
        (ratio.lower, ratio.upper),
        "interval:2",
    )


def _margin(analysis: Analysis, study: Study, evidence: str) -> Finding | None:
    """Tell of a decision to go on although harm beyond the margin is not excluded."""
    settings, safety = study.settings, analysis.config.safety_cause
    ratio = study.ratio(safety)
    if settings.margin is None or safety is None or settings.decision not in GOING_ON:
        return None
    if ratio is None:
        return Finding(
            f"{settings.name}: decided to {settings.decision}, but {safety} could not be compared with the margin.",
            "amber",
            f"interval of the hazard ratio of {safety} below {settings.margin:g}",
            evidence,
        )
    if ratio.upper < settings.margin or says(ratio) == "more":
        return None
    return Finding(
        f"{settings.name}: decided to {settings.decision}, but a rise of {safety} by the margin (HR {settings.margin:g}) is "
        f"not excluded: {inline(ratio)}.",
        "amber",
        f"interval of the hazard ratio of {safety} below {settings.margin:g}",
        evidence,
        (ratio.lower, ratio.upper),
        "interval:2",
    )

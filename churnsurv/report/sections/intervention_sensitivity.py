"""How an intervention's effect would change if an assumption did not hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from churnsurv import effects
from churnsurv.exceptions import ChurnSurvError
from churnsurv.report.analysis import Analysis
from churnsurv.report.sections.intervention_words import arm_name, hidden_causes, says
from churnsurv.report.settings import Drawn, LandmarkTrials, StaggeredRollout
from churnsurv.report.studies import PER, Study
from churnsurv.report.words import is_clear, level_words, periods

#: the factor on the hazard of the censored that is looked at
DELTA = 2.0


def sensitivity(analysis: Analysis, study: Study) -> str:
    """Say how strong confounding, or how different the censored, would have to be."""
    said = []
    if not isinstance(study.settings, Drawn | StaggeredRollout):
        said.append(_confounding(analysis, study))
    if isinstance(study.settings, Drawn) or (isinstance(study.settings, LandmarkTrials) and not study.settings.adjust):
        said.append(_censoring(analysis, study))
    return " ".join(words for words in said if words)


def _confounding(analysis: Analysis, study: Study) -> str:
    """Say the E-value of the main hazard ratio."""
    main = analysis.config.main_cause
    ratio = study.ratio(main)
    if ratio is None or says(ratio) == "not estimable":
        return ""
    # how many of the loans compared leave by it
    common = ratio.n_events > 0.15 * ratio.n
    found = effects.e_value(ratio.value, ratio.lower, ratio.upper, measure="hazard ratio", common=common)
    words = (
        f"an unmeasured confounder would have to go with a {found.value:.1f} times higher risk, both of being treated and of "
        f"{main}, to explain the estimate away (E-value)"
    )
    if says(ratio) == "includes no effect":
        return f"{words}; the interval includes no effect as it is."
    return f"{words}, and {found.limit:.1f} times to move the interval to no effect."


def _censoring(analysis: Analysis, study: Study) -> str:
    """Say what the difference of risks is if the censored of the treated left more often, and where it turns."""
    main, cohort, config = analysis.config.main_cause, study.cohort, analysis.config
    usual = study.effects.get(("risk_difference", main))
    if usual is None or main in hidden_causes(study, config.smallest_cell):
        return ""
    y, horizon = cohort.y, float(study.settings.horizon)
    censored = int(np.sum((y.event == 0) & (y.stop < horizon)))
    within = periods(horizon, config.unit)
    if censored < max(config.smallest_cell, 1):
        return f"hardly any loan is lost from sight within {within}, so that dependent censoring can change nothing."
    options: dict[str, Any] = {
        "horizon": horizon,
        "cause": main,
        "reference": cohort.control,
        "level": config.level,
        "cluster": cohort.cluster,
    }
    try:
        worse = effects.delta_adjusted(y, cohort.arm, delta={cohort.treated: DELTA}, **options)
        tip = effects.tipping_point(y, cohort.arm, **options)
    except ChurnSurvError:
        return ""
    words = (
        f"if loans of \u201c{arm_name(cohort.treated)}\u201d lost from sight within {within} left {DELTA:g} times as often as "
        f"the others, the number saved per {PER:,} would be {_n(-PER * worse.value)} instead of {_n(-PER * usual.value)} "
        f"({level_words(worse.level)} CI {_n(-PER * worse.upper)} to {_n(-PER * worse.lower)})"
    )
    if not is_clear(usual.lower, usual.upper, 0.0):
        return f"{words}."
    if np.isinf(tip.delta):
        return f"{words}; even 20 times as often would not bring the interval to no effect."
    return f"{words}; at {tip.delta:.1f} times the interval reaches no effect."


def _n(value: float) -> str:
    return f"{round(value) + 0:,}".replace("-", "\u2212")

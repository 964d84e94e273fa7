"""Every intervention of a simulated portfolio, estimated by its proper design beside its truth.

Which effect is compared was fixed by what the design identifies: of the draw the hazard ratio of the arm alone; of the
invitations the risk difference of compliers; of what is given to some month after month the hazard ratio given what decides
who gets it (of the two that go to the distressed given everything that default depends on and what their rate tempts to, so
that the truth is the coefficient); of the rollouts the hazard ratio of all against none.
"""

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2

import churnsurv as cs
from churnsurv.data import build_spells
from churnsurv.effects import Encouragement, Landmark, Randomised, StaggeredRollout, TimeVaryingTreatment
from churnsurv.exceptions import SmallSampleWarning

#: months that the effects in the truth are measured in
YEAR = 12
OPEN_A_YEAR = "term - age >= 12"


class Task(NamedTuple):
    """One effect: its design, what is estimated of it for which cause, what is adjusted for, which truth it has."""

    name: str
    design: object
    measure: str
    cause: str
    adjust: tuple[str, ...]
    truth: float


def month_ends(first, last, every=1):
    return list(pd.date_range(first, last, freq="ME")[::every])


def tasks(portfolio):
    """Give the tasks of a portfolio; the truth of a ratio is its logarithm."""
    truth, formulas = portfolio.truth["interventions"], portfolio.truth["formulas"]
    last = pd.Timestamp(portfolio.truth["as_of"])
    zero = {name: pd.Timestamp(what["time_zero"]) for name, what in truth.items()}
    found = []

    def ratio(name, design, adjust=(), cause="attrition", conditional=False):
        of = truth[name]
        marginal = of["effects"]["eligible"]["marginal_log_hazard_ratio"][cause]
        value = of["conditional_log_hazard_ratio"][cause] if conditional else marginal
        found.append(Task(name, design, "hazard_ratio", cause, tuple(adjust), value))

    ratio(
        "rate_offer",
        Randomised(
            intervention="rate_offer", treated="offer", control="hold_out", follow_up=YEAR,
            time_zero=zero["rate_offer"], eligible=f"{OPEN_A_YEAR} and age >= 6",
        ),
    )  # fmt: skip
    for name in ("loyalty_programme", "fee_advice"):
        design = Encouragement(
            intervention=name, treated="invited", control="not_invited", follow_up=YEAR, eligible=OPEN_A_YEAR
        )
        value = truth[name]["effects"]["compliers"]["risk_difference"]["attrition"]
        found.append(Task(name, design, "complier_risk_difference", "attrition", (), value))
    for name in ("deferral", "restructuring"):
        # contract rates follow the credit score at the origination, and with them what tempts to leave
        of_default = [c for c in formulas["default"].split(" + ") if c != name]
        adjust = (*of_default, "rate_incentive", "burnout")
        design = TimeVaryingTreatment(intervention=name, since=zero[name], prevalent="leave out")
        for cause in ("attrition", "default"):
            ratio(name, design, adjust, cause, conditional=True)
    for name, unit in (
        ("faster_service", "branch"),
        ("new_app", "branch"),
        ("feedback_action", "branch"),
        ("cross_selling", "region"),
    ):
        ratio(name, StaggeredRollout(intervention=name, unit=unit, follow_up=YEAR))
    name = "proactive_contact"
    ratio(name, TimeVaryingTreatment(intervention=name, since=zero[name], follow_up=YEAR, prevalent="leave out"))
    name, dates = "seminar", month_ends(zero["seminar"], last - pd.offsets.MonthEnd(1), every=3)
    design = Landmark(intervention=name, dates=dates, follow_up=YEAR, eligible=OPEN_A_YEAR)
    ratio(name, design, ("loyalty_tier", "nps", "products_held"))
    return found


def portfolio_effects(portfolio):
    """Give name, measure, cause, estimate, se, lower, upper and truth of each intervention; ratios as logarithms."""
    spells = build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    complete = spells.complete()
    rows, built = [], {}
    for task in tasks(portfolio):
        # time-varying covariates are known one month after a loan is first seen
        at = complete if task.name in ("deferral", "restructuring") else spells
        if task.name not in built:
            built = {task.name: task.design.cohort(at, portfolio.interventions)}
        cohort = built[task.name]
        with warnings.catch_warnings():
            # regions are few, and this is what is looked at
            warnings.simplefilter("ignore", SmallSampleWarning)
            options = {"n_permutations": 1} if isinstance(task.design, StaggeredRollout) else {}
            result = task.design.estimate(cohort, cause=task.cause, safety=None, adjust=task.adjust, **options)
        found = result[task.measure, task.cause]
        values = np.array([found.value, found.lower, found.upper])
        se = found.se
        if task.measure == "hazard_ratio":
            values, se = np.log(values), found.se / found.value
        rows.append((task.name, task.measure, task.cause, values[0], se, values[1], values[2], task.truth))
    return pd.DataFrame(rows, columns=["name", "measure", "cause", "estimate", "se", "lower", "upper", "truth"])


def joint_test(effects):
    """Give χ², its degrees of freedom and the p-value of all estimates being their truth, taken as independent."""
    z = (effects["estimate"] - effects["truth"]) / effects["se"]
    return float(z @ z), len(z), float(chi2.sf(z @ z, len(z)))


def simulated_effects(seeds, n_loans=5_000):
    """Give the effects of one portfolio per seed, with the seed and whether the interval covers the truth."""
    parts = [portfolio_effects(cs.data.simulate(n_loans, seed=seed)).assign(seed=seed) for seed in seeds]
    every = pd.concat(parts, ignore_index=True)
    return every.assign(covered=(every["lower"] <= every["truth"]) & (every["truth"] <= every["upper"]))

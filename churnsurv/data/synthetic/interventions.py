"""The interventions of the simulated lender: one table, read by the mechanisms that assign them.

Four designs cover them. *randomised*: a coin at one date, hold-outs for good. *encouraged*: a coin decides who is invited, and
of the invited those take part who are inclined to. *dated*: every month some get it, with a probability by what is known of
them. *staggered*: whole branches or regions switch in waves, in random order, and some never do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: months that effects are measured in, and that an eligible loan must have to go
HORIZON = 12

Design = Literal["randomised", "encouraged", "dated", "staggered"]
Unit = Literal["loan", "customer", "branch", "region"]


@dataclass(frozen=True)
class Through:
    """A column that an intervention moves while in force, by the full amount after `months`.

    It becomes `factor` times what it was, or `shift` more; `chance` is added to the monthly chance of what the column counts
    (a contact, a further product).
    """

    column: str
    factor: float = 1.0
    shift: float = 0.0
    chance: float = 0.0
    months: int = 1


@dataclass(frozen=True)
class Intervention:
    """How an intervention is assigned and what it moves.

    Parameters
    ----------
    name : str
        Its indicator column, 1 while in force; the direct effect is the indicator's coefficient.
    reference : str
        Its number in the catalogue of interventions.
    design, unit
        How it is assigned, and to whom as a whole.
    back : int
        Months from time zero, the first assignment, to the last month.
    waves : tuple of int
        Staggered: months from the switch of each wave to the last month; as many units as a wave has never switch.
    intercept, inclined : float, mapping
        Logit of taking part (encouraged) or of getting it in a month (dated): intercept + Σ slope * (value − centre), given as
        column → (centre, slope). ``loyalty`` is the latent loyalty that no table shows.
    every : int
        Dated: months between two dates.
    least_age : int
        Months a loan must be old to be eligible.
    arms : pair of str
        Names of the arms in the table of assignments, treated first; of dated and staggered ones it lists the treated alone,
        under the name of the intervention.
    through : tuple of Through
        What it moves beside its direct effect.
    """

    name: str
    reference: str
    design: Design
    unit: Unit
    back: int
    waves: tuple[int, ...] = ()
    intercept: float = 0.0
    inclined: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    every: int = 1
    least_age: int = 0
    arms: tuple[str, str] | None = None
    through: tuple[Through, ...] = ()


INTERVENTIONS = (
    Intervention("rate_offer", "I1", "randomised", "loan", back=12, least_age=6, arms=("offer", "hold_out")),
    Intervention(
        "loyalty_programme",
        "I2",
        "encouraged",
        "customer",
        back=18,
        arms=("invited", "not_invited"),
        intercept=-0.2,
        inclined={"loyalty_tier": (1, 0.4), "nps": (20, 0.01), "loyalty": (0, 0.8)},
    ),
    Intervention(
        "deferral",
        "I3",
        "dated",
        "loan",
        back=36,
        least_age=3,
        intercept=-5.9,
        inclined={
            "days_past_due_max_12m": (5, 0.025),
            "debt_to_income": (32, 0.04),
            "expense_shock_3m": (0, 1.2),
            "credit_score": (690, -0.006),
        },
    ),
    Intervention(
        "restructuring",
        "I4",
        "dated",
        "loan",
        back=36,
        least_age=3,
        intercept=-7.2,
        inclined={
            "days_past_due_max_12m": (5, 0.025),
            "debt_to_income": (32, 0.05),
            "unemployed": (0, 1.5),
            "credit_score": (690, -0.006),
        },
    ),
    Intervention(
        "faster_service",
        "I5",
        "staggered",
        "branch",
        back=27,
        waves=(27, 21, 15, 9),
        through=(Through("response_hours", factor=0.6, months=3),),
    ),
    Intervention(
        "new_app",
        "I6",
        "staggered",
        "branch",
        back=31,
        waves=(31, 25, 19, 13),
        through=(
            Through("latency_ms", factor=0.7),
            Through("app_crashes_30d", factor=0.6),
            Through("digital_completion", shift=8, months=6),
        ),
    ),
    Intervention(
        "proactive_contact",
        "I7",
        "dated",
        "customer",
        back=30,
        intercept=-3.5,
        through=(Through("months_since_contact", chance=0.2),),
    ),
    Intervention(
        "fee_advice",
        "I8",
        "encouraged",
        "customer",
        back=15,
        arms=("invited", "not_invited"),
        intercept=-0.4,
        inclined={"fees_12m": (20, 0.01), "digital_completion": (65, 0.02), "loyalty": (0, 0.5)},
    ),
    Intervention(
        "seminar",
        "I9",
        "dated",
        "customer",
        back=24,
        every=3,
        intercept=-4.0,
        inclined={"loyalty_tier": (1, 0.4), "nps": (20, 0.02), "products_held": (1.8, 0.2)},
    ),
    Intervention(
        "cross_selling",
        "I10",
        "staggered",
        "region",
        back=22,
        waves=(22, 16, 13),
        through=(Through("products_held", chance=0.015),),
    ),
    Intervention(
        "feedback_action",
        "I11",
        "staggered",
        "branch",
        back=20,
        waves=(20, 17, 14),
        through=(
            Through("csat", shift=0.2),
            Through("attitude_score", shift=0.15),
            Through("complaints_12m", factor=0.85),
        ),
    ),
)

"""Terms of a rollout's model: calendar time, and time since the switch."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.effects.design import StudyCohort
from churnsurv.exceptions import TooFewEventsError
from churnsurv.messages import counted

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
#: parts that calendar time is cut into at most, those of the time since the switch, and exits in each at least
MOST_PARTS, MOST_EXPOSURES, LEAST_EXITS = 20, 12, 10
#: a late period, to which periods can still be added
NEVER = np.iinfo(np.int64).max // 2


def first_switched(cohort: StudyCohort) -> Ints:
    """Give for each row the first calendar period in which its unit had switched; a late number where it never does."""
    number = pd.Series(np.where(cohort.arm == cohort.treated, cohort.calendar, NEVER))
    return number.groupby(pd.Series(cohort.cluster)).transform("min").to_numpy(dtype=np.int64)


def calendar_terms(cohort: StudyCohort, cause: str) -> pd.DataFrame:
    """Give indicators of calendar time but its first part; periods are joined until each part has enough exits.

    Raises
    ------
    TooFewEventsError
        No two parts have enough.
    """
    event = cohort.y.event == cohort.y.cause_code(cause)
    periods, position = np.unique(cohort.calendar, return_inverse=True)
    exits = np.bincount(position[event], minlength=len(periods))
    part = joined(exits, max(LEAST_EXITS, int(np.ceil(exits.sum() / MOST_PARTS))))
    if part[-1] == 0:
        raise TooFewEventsError(
            f"{counted(int(event.sum()), 'exit')} by {cause}: too few to tell the change from what the calendar did (two "
            f"parts of the time with {LEAST_EXITS} exits each are needed)."
        )
    of_row = part[position]
    return pd.DataFrame({f"calendar_{k}": (of_row == k).astype(np.float64) for k in range(1, int(part[-1]) + 1)})


def joined(exits: Ints, least: int) -> Ints:
    """Give each period the number of its part: consecutive ones with at least `least` exits; a poorer rest joins the last."""
    part, number, total = np.zeros(len(exits), dtype=np.int64), 0, 0
    for k, n in enumerate(exits):
        part[k], total = number, total + int(n)
        if total >= least:
            number, total = number + 1, 0
    return np.minimum(part, max(number - 1, 0))


def exposure_terms(cohort: StudyCohort, cause: str) -> tuple[pd.DataFrame, Floats]:
    """Give indicators of the parts of the time since the switch, and the share of its periods in each.

    There are as many parts as have enough exits among those that have switched, twelve at most.
    """
    since, treated = cohort.calendar - first_switched(cohort), cohort.is_treated > 0
    event = cohort.y.event == cohort.y.cause_code(cause)
    exits = np.bincount(since[treated & event], minlength=int(since[treated].max()) + 1)
    part = joined(exits, max(LEAST_EXITS, int(np.ceil(exits.sum() / MOST_EXPOSURES))))
    of_row = np.where(treated, part[np.where(treated, since, 0)], -1)
    terms = {f"switched_{k}": (of_row == k).astype(np.float64) for k in range(int(part[-1]) + 1)}
    return pd.DataFrame(terms), np.bincount(part) / len(part)

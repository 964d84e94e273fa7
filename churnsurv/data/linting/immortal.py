"""Treatment flags that are on before the treatment: loans that have them could not leave until then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import pdtr

from churnsurv.data.linting.material import Bools, Column, Ints, Material
from churnsurv.data.linting.separation import OF_LOANS, RARE
from churnsurv.data.linting.signs import ERROR, OK, WARNING, Sign, share
from churnsurv.data.periods import period_numbers

IMMORTAL = "immortal time"

#: agreement beyond chance (Cohen's kappa) between the loans of an arm and those with the mark of its flag
_AGREEMENT = 0.8
#: share of the marked loans in the arm: of a static column, loans that left before the assignment would be in no arm if
#: the mark were known at the beginning
_PURE_VARYING, _PURE_STATIC = 0.9, 0.98
#: loans on which a resemblance must rest when the names say nothing
_FEWEST_LOANS = 10
#: marked loans that are marked too early by a mistake in a date
_MISDATED = 0.05
#: periods without an exit that are no accident of the first months
_FEWEST_PERIODS = 3

_FROM_ASSIGNMENT = (
    "make the flag vary: 0 until the assignment, 1 after it, lagged like other columns; to estimate the effect, count time "
    "from the assignment, for both arms"
)
_GUARANTEE = (
    "say since when each loan has it, as a column that varies; if it is a lock-in agreed at origination, accept it, and give "
    "it a stratum of its own"
)


class _Arm(NamedTuple):
    """Loans assigned to an arm, with the last period complete at their first assignment."""

    intervention: str
    arm: str
    loans: Ints
    assigned: Ints


def immortal_time(m: Material, assigned: pd.DataFrame | None) -> list[Sign]:
    """Find treatment flags that are on in spells before the loan's assignment, or that guarantee a time without exit.

    Why it leaks: a loan must still be there to be treated, so the time before the assignment is survived by all treated
    loans; counting it as treated makes any treatment look good. With the table of interventions: a column named like an
    intervention or arm, or whose mark is on in the loans of an arm and hardly any others (kappa 0.8), must be off in all
    spells whose period ends by the day of the assignment (error above 5 % of the marked loans; a few misdated ones:
    warning). Without it: a static mark without a single exit in its first months of age, or of the calendar, though at the
    hazards of the other loans, times whatever ratio, some of its exits would lie there (probability of none below 1e-5),
    or without any exit at all: warnings, as an agreed lock-in looks the same.
    """
    arms = [] if assigned is None else list(_arms(m, assigned))
    signs = []
    for column in m.columns.values():
        sign = _on_too_early(m, column, arms) or (_guaranteed(m, column) if column.static else None)
        signs += [sign] if sign else []
    if assigned is None and not signs:
        evidence = f"no table of interventions was given: flags were only looked at for times without an exit{m.sample}"
        signs.append(Sign(OK, IMMORTAL, "", evidence, ""))
    return signs


def _arms(m: Material, assigned: pd.DataFrame) -> Iterator[_Arm]:
    """Give each intervention as a whole (arm empty) and each of its arms; of several assignments the first counts."""
    day_after = assigned["assigned_on"] + pd.Timedelta(days=1)
    table = pd.DataFrame(
        {
            "loan": pd.Index(m.ids).get_indexer(pd.Index(assigned["loan_id"])),
            "last": period_numbers(day_after.rename("assigned_on"), m.rules) - 1,
            "intervention": assigned["intervention"],
            "arm": assigned["arm"],
        }
    )
    table = table[table["loan"] >= 0]
    for intervention, of_one in table.groupby("intervention"):
        for arm, part in [("", of_one), *of_one.groupby("arm")]:
            first = part.groupby("loan")["last"].min()
            yield _Arm(str(intervention), str(arm), first.index.to_numpy(np.int64), first.to_numpy(np.int64))


def _on_too_early(m: Material, column: Column, arms: list[_Arm]) -> Sign | None:
    """Look for a mark that stands for an arm in spells that end by the day of the loan's assignment."""
    if not arms:
        return None
    for text, mark, on in column.marks(slice(None)):
        if not on:
            continue
        marked = np.zeros(len(m.ids), bool)
        marked[m.loan[mark]] = True
        for arm in arms:
            if _stands_for(column, text, marked, arm):
                sign = _early(m, column, arm, text, mark, marked)
                if sign:
                    return sign
    return None


def _stands_for(column: Column, text: str, marked: Bools, arm: _Arm) -> bool:
    """Tell whether the mark is the one of the arm: by its name, or by the loans that have it."""
    both = int(np.count_nonzero(marked[arm.loans]))
    if _plain(column.name) in (_plain(arm.intervention), _plain(arm.arm)):
        # the column of an intervention may hold the names of its arms
        return both > 0 and (column.kind != "category" or (arm.arm != "" and text == f"equal to {arm.arm!r}"))
    n, n_arm, n_marked = len(marked), len(arm.loans), int(np.count_nonzero(marked))
    pure = _PURE_STATIC if column.static else _PURE_VARYING
    if not arm.arm or both < max(_FEWEST_LOANS, pure * n_marked):
        return False
    agreed = (n - n_arm - n_marked + 2 * both) / n
    by_chance = (n_arm * n_marked + (n - n_arm) * (n - n_marked)) / n**2
    return by_chance < 1 and (agreed - by_chance) / (1 - by_chance) >= _AGREEMENT


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _early(m: Material, column: Column, arm: _Arm, text: str, mark: Bools, marked: Bools) -> Sign | None:
    until = np.full(len(m.ids), np.iinfo(np.int64).min)
    until[arm.loans] = arm.assigned
    early = mark & (m.period <= until[m.loan])
    loans = np.unique(m.loan[early])
    if len(loans) == 0:
        return None
    both = int(np.count_nonzero(marked[arm.loans]))
    whole = f"intervention {arm.intervention!r}" + (f", arm {arm.arm!r}" if arm.arm else "")
    evidence = (
        f"{text} in {share(early.sum(), mark.sum())} spells that lie before the loan's assignment ({whole}), of "
        f"{share(len(loans), both)} loans that have it and were assigned{m.sample}"
    )
    level = ERROR if len(loans) > _MISDATED * both else WARNING
    return Sign(level, IMMORTAL, column.name, evidence, _FROM_ASSIGNMENT, m.examples(loans))


def _guaranteed(m: Material, column: Column) -> Sign | None:
    """Look for marks of loans without an exit before some age or date, or without any."""
    clocks = {"age": m.age, "period": m.period - m.period.min()}
    left = m.cause[m.last] > 0
    for text, of_loan, _ in column.marks(m.last):
        for clock, time in clocks.items():
            marked_exits = time[m.last][of_loan & left]
            begin = int(time[m.first][of_loan].min())
            until = int(marked_exits.min()) if len(marked_exits) else -1
            # most marks end the search here: a loan that has them leaves early
            if 0 <= until < begin + _FEWEST_PERIODS:
                continue
            expected = _expected_before(of_loan[m.loan], m.cause > 0, time, until)
            if expected:
                evidence = (
                    f"none of the {np.count_nonzero(of_loan):,} loans in which it is {text} left "
                    f"{_when(m, clock, time, until)}, where {expected:.1f} exits were to be expected{m.sample}"
                )
                examples = m.examples(np.flatnonzero(of_loan))
                return Sign(WARNING, IMMORTAL, column.name, evidence, _GUARANTEE, examples)
    return None


def _expected_before(mark: Bools, exits: Bools, time: Ints, until: int) -> float:
    """Give the exits of marked rows expected before their first one, or 0 where none is no surprise.

    With the hazards of the other rows times any ratio, each of the n exits of marked rows lies after their first one with
    the same probability q, so all do with q**n, whatever the ratio. Without any exit, the ratio is taken to be that of a
    strongly protective covariate. The hazards of the others rest on their exits: q is taken three standard errors higher.
    """
    size = int(time.max()) + 1
    n_mark, n_others = (np.bincount(time[rows], minlength=size) for rows in (mark, ~mark))
    weight = n_mark / np.maximum(n_others, 1)
    exits_of_others = np.bincount(time[exits & ~mark], minlength=size)
    usual, variance = weight * exits_of_others, weight**2 * exits_of_others
    split = size if until < 0 else until
    before = float(usual[:split].sum() - 3 * np.sqrt(variance[:split].sum()))
    if before <= 0:
        return 0.0
    if until < 0:
        return before / OF_LOANS if pdtr(0, before / OF_LOANS) <= RARE else 0.0
    n, after = np.count_nonzero(exits & mark), float(usual[split:].sum() + 3 * np.sqrt(variance[split:].sum()))
    surprising = after > 0 and (after / (before + after)) ** n <= RARE
    return before * n / after if surprising else 0.0


def _when(m: Material, clock: str, time: Ints, until: int) -> str:
    if until < 0:
        return f"in {np.unique(m.period).size} {m.rules.period}s, even at a fifth of the hazard of the others"
    at = int(np.argmax(time == until))
    if clock == "age":
        return f"before age {m.start[at]:g}"
    return f"before {m.frame['period'].iloc[at].date()}"

"""Columns that know the outcome: filled because of an exit, changed by it, or too good at telling it."""

from __future__ import annotations

import numpy as np
from scipy.special import bdtrc

from churnsurv.data.linting.material import Bools, Column, Ints, Material
from churnsurv.data.linting.names import outcome_words
from churnsurv.data.linting.separation import (
    FEWEST_EXITS,
    OF_LOANS,
    OF_SPELLS,
    RARE,
    Concordance,
    GroupRanks,
    Purity,
    implied,
    never,
)
from churnsurv.data.linting.signs import ERROR, WARNING, Sign, share
from churnsurv.data.linting.values import Floats

POST_OUTCOME, AT_EXIT, SUSPICIOUS = "post-outcome column", "changes at exit", "suspicious discrimination"

#: a change comes with at least this share of the exits, and so many times as often as elsewhere
_SHARE_AT_EXIT, _TIMES_ELSEWHERE = 0.5, 20.0

_LEAVE_OUT = "leave it out of the covariates; it is known only once the loan has ended"
_LAG = "lag it, or leave it out: the value of the spell's own period is written after the exit"
_LAST_STAGE = (
    "check how the column is made; if it is an honest last stage before the exit (a notice, a last missed payment), accept "
    "it, and say that the model predicts one period ahead"
)


def post_outcome_columns(m: Material) -> list[Sign]:
    """Find columns that are filled because the exit happened: recoveries, loss, the last payment, a final status.

    Why it leaks: in a loan that stays, the value does not exist; the model learns "is there a recovery", and no loan open
    today has one. Seen by data (error): a mark of the column (filled, empty, one of its codes) of which practically every
    loan leaves, more than would if the mark were known in advance and multiplied the hazard by 5 (50 for a single period);
    marks that hold exactly for ended loans; a value of the loan that separates those that leave from those of the same
    vintage that stay by more than 0.97. Seen by name alone: a warning.
    """
    signs = []
    for column in m.columns.values():
        sign = (_marked_loans(m, column) or _separated_loans(m, column)) if column.static else _marked_spells(m, column)
        words = outcome_words(column.name, lagged=column.lagged)
        if sign is None and words:
            sign = Sign(WARNING, POST_OUTCOME, column.name, f"its name speaks of an outcome ({words!r})", _LEAVE_OUT)
        signs += [sign] if sign else []
    return signs


def _marked_loans(m: Material, column: Column) -> Sign | None:
    cause, ended = m.cause[m.last], m.ended[m.last]
    for text, mark, _ in column.marks(m.last):
        for target, exits in m.targets(cause):
            found = implied(mark, exits, m.cohort, OF_LOANS)
            if found:
                evidence = _evidence(text, target, found, "loan") + m.sample
                examples = m.examples(np.flatnonzero(mark & exits))
                return Sign(ERROR, POST_OUTCOME, column.name, evidence, _LEAVE_OUT, examples)
        over = (cause > 0) | ended
        if implied(mark, over, m.cohort, OF_LOANS) and never(~mark, cause > 0, m.cohort, OF_LOANS):
            evidence = (
                f"{text} in {share(np.count_nonzero(mark & over), np.count_nonzero(over))} loans that have ended and in "
                f"{share(np.count_nonzero(mark & ~over), np.count_nonzero(~over))} that are open{m.sample}"
            )
            return Sign(ERROR, POST_OUTCOME, column.name, evidence, _LEAVE_OUT, m.examples(np.flatnonzero(mark & over)))
    return None


def _separated_loans(m: Material, column: Column) -> Sign | None:
    if column.kind == "category":
        return None
    ranks = GroupRanks(column.values[m.last], m.cohort)
    for target, exits in m.targets(m.cause[m.last]):
        found = ranks.concordance(exits)
        if found and found.beyond:
            evidence = f"tells {found.exits:,} loans that left by {target} from those of their vintage that stayed: {_c(found)}"
            examples = m.examples(np.flatnonzero(exits))
            return Sign(ERROR, POST_OUTCOME, column.name, evidence + m.sample, _LEAVE_OUT, examples)
    return None


def _marked_spells(m: Material, column: Column) -> Sign | None:
    # a matured loan has its own last values, which are no exit and no sign of staying
    rows = np.flatnonzero(~m.ended)
    targets = m.targets(m.cause[rows])
    for text, mark, _ in column.marks(rows):
        for target, exits in targets:
            found = implied(mark, exits, m.age[rows], OF_SPELLS)
            if found:
                evidence = _evidence(text, target, found, "spell") + m.sample
                examples = m.examples(m.loan[rows[mark & exits]])
                return Sign(ERROR, POST_OUTCOME, column.name, evidence, _LEAVE_OUT, examples)
    return None


def _evidence(text: str, target: str, found: Purity, unit: str) -> str:
    return (
        f"{text} in {found.marked:,} {unit}s, of which {share(found.exits, found.marked)} ended by {target}; of the other "
        f"{found.others:,} {found.exits_of_others:,} did"
    )


def _c(found: Concordance) -> str:
    return f"concordance {found.value:.3f} (standard error {found.se:.3f}; {'high' if found.higher else 'low'} values leave)"


def changes_at_exit(m: Material) -> list[Sign]:
    """Find columns that change in the spell of the exit as they do nowhere else: a balance of 0, a flag of the exit month.

    Why it leaks: the change is made by the exit, on the same day or in its wake. Seen by three comparisons with the other
    spells of loans seen before: nearly all changes lie in spells of exit; at least half of the exits come with a change,
    and 20 times as often as other spells (binomial probability, granting an honest column a factor of 10); the size of
    the change separates exits by more than 0.97 within risk sets. Of a lagged column the last two are warnings: a loan
    may honestly change before it leaves.
    """
    signs = []
    seen = np.flatnonzero((m.before >= 0) & ~m.ended)
    targets = m.targets(m.cause[seen])
    for column in m.columns.values():
        sign = None if column.static else _changed(m, column, seen, targets)
        signs += [sign] if sign else []
    return signs


def _changed(m: Material, column: Column, seen: Ints, targets: list[tuple[str, Bools]]) -> Sign | None:
    level, remedy = (WARNING, _LAST_STAGE) if column.lagged else (ERROR, _LAG)
    moved = column.moved[seen]
    for target, exits in targets:
        examples = m.examples(m.loan[seen[moved & exits]])
        only = implied(moved, exits, m.age[seen], OF_SPELLS)
        if only:
            evidence = f"{share(only.exits, only.marked)} changes lie in spells of exit ({target}){m.sample}"
            return Sign(ERROR, AT_EXIT, column.name, evidence, _LAG, examples)
        often = _far_more_often(moved, exits)
        if often:
            return Sign(level, AT_EXIT, column.name, f"{often} ({target}){m.sample}", remedy, examples)
    found, target, exit_loans = _largest_change(m, column)
    if found is None:
        return None
    evidence = f"changes most in the {found.exits:,} spells of exit ({target}): {_c(found)}{m.sample}"
    return Sign(level, AT_EXIT, column.name, evidence, remedy, m.examples(exit_loans))


def _largest_change(m: Material, column: Column) -> tuple[Concordance | None, str, Ints]:
    """Give the concordance of the size of the change with exits, if it is beyond an honest one."""
    rows = m.compared[m.before[m.compared] >= 0]
    if column.kind != "category":
        ranks = GroupRanks(np.abs(column.values[rows] - column.values[m.before[rows]]), m.age[rows])
        for target, exits in m.targets(m.cause[rows]):
            found = ranks.concordance(exits)
            if found and found.beyond and found.higher:
                return found, target, m.loan[rows[exits]]
    return None, "", rows


def _far_more_often(moved: Bools, exits: Bools) -> str:
    """Give the evidence for changes that come with exits far more often than with other spells, or nothing."""
    n, n_other = int(np.count_nonzero(exits)), int(np.count_nonzero(~exits))
    k, k_other = int(np.count_nonzero(moved & exits)), int(np.count_nonzero(moved & ~exits))
    if n < FEWEST_EXITS or n_other == 0 or k < _SHARE_AT_EXIT * n:
        return ""
    # a rate of 0 elsewhere is known no better than 1 in all spells
    elsewhere = max(k_other, 1) / n_other
    if k / n < _TIMES_ELSEWHERE * elsewhere or bdtrc(k - 1, n, min(1.0, 10 * elsewhere)) > RARE:
        return ""
    return f"changes in {share(k, n)} spells of exit and in {share(k_other, n_other)} others"


def suspicious_discrimination(m: Material) -> list[Sign]:
    """Find columns whose concordance with the exits of a cause, alone and within risk sets by age, is above 0.97.

    Why it leaks: no covariate known before tells so well which of the loans of one age leaves in this very period; what
    does, is made from the exit. Categories are read as the exit rate of their level in the other half of the loans. The
    concordance must hold at its lower limit (three standard errors above 0.92, at least 8 exits). Of a lagged column it is
    an error where practically all spells with values like those of the exits end in one, else a warning: the last stage
    before an exit (three missed payments) ranks as well, but some loans recover from it.
    """
    signs = []
    rows = m.compared
    targets = m.targets(m.cause[rows])
    for column in m.columns.values():
        number = column.kind != "category"
        if not number and not column.few_levels:
            continue
        ranks = GroupRanks(column.values[rows], m.age[rows]) if number else None
        for target, exits in targets:
            by_level = ranks or GroupRanks(_exit_rates(column, rows, exits, m.loan), m.age[rows])
            found = by_level.concordance(exits)
            if found and found.beyond:
                certain = not column.lagged or (number and _only_of_exits(m, column, rows[exits], found.higher))
                level, remedy = (ERROR, _LEAVE_OUT) if certain else (WARNING, _LAST_STAGE)
                evidence = (
                    f"tells the {found.exits:,} exits by {target} from loans of the same age: {_c(found)}{m.sample}"
                )
                examples = m.examples(m.loan[rows[exits]])
                signs.append(Sign(level, SUSPICIOUS, column.name, evidence, remedy, examples))
                break
    return signs


def _only_of_exits(m: Material, column: Column, exits: Ints, higher: bool) -> bool:
    """Tell whether all spells with values as extreme as those of half of the exits end in an exit."""
    usual = np.nanmedian(column.values[exits])
    mark = column.values >= usual if higher else column.values <= usual
    return implied(mark, m.cause > 0, m.age, OF_SPELLS) is not None


def _exit_rates(column: Column, rows: Ints, exits: Bools, loan: Ints) -> Floats:
    """Give for each row the exit rate of its level among the loans of the other half: the row itself has no part in it."""
    level = np.where(column.known, column.values, len(column.levels))[rows].astype(np.int64)
    half = loan[rows] % 2
    cell = level * 2 + half
    size = 2 * (len(column.levels) + 1)
    n, n_exits = np.bincount(cell, minlength=size), np.bincount(cell[exits], minlength=size)
    rate = (n_exits + exits.mean()) / (n + 1)
    return np.asarray(rate[level * 2 + 1 - half])

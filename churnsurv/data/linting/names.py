"""Names of columns that lenders write after an exit, or at the extraction of the data.

A name proves nothing, so it is a warning; but it is there before any exit is, and in the smallest portfolio.
"""

from __future__ import annotations

import re

#: what is recorded because a loan ended, whenever it is delivered
_OUTCOME = (
    r"recover(y|ies|ed)?",
    r"lgd|loss given|(net|credit|realised|realized) loss|loss amount",
    r"charge ?offs?|charged ?off|chargedoff|write ?offs?|written ?off",
    r"pay ?off|paid ?off|payoff",
    r"defaulted|default (time|date|month|period|flag|amount|reason|age)",
    r"exit|exited",
    r"closed|closure|close (date|month|time|reason)",
    r"settlement|settled",
    r"(prepaid|prepayment|repaid) (date|month|time|flag|amount)",
    r"foreclosure|foreclosed|repossess(ion|ed)|liquidat(ion|ed)",
    r"terminat(ion|ed)|cancell?(ed|ation)",
    r"churn|churned|attrition|attrited",
    r"resolution|res (time|date)|loan status|final status",
)

#: sums and last values: of the future where the column is the same in all spells of a loan or is not lagged
_RUNNING = (
    r"last (pymnt|payment|paid|instal?lment)",
    r"total (pymnt|payments?|paid|rec|received|repaid)",
)

#: states at the extraction of the data
_SNAPSHOT = (
    # "in the last 6 months" is a window
    r"last(?! \d)|latest|final|ever|lifetime|to date|as of|snapshot|extract(ed|ion)?",
    r"(payments|instal?lments) (made|paid)|months on books?|mob",
    r"out prncp|current (balance|status|score|rate)|next (pymnt|payment)",
)


def _pattern(fragments: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(fragments)})\b")


_OF_AN_OUTCOME, _OF_A_RUN, _OF_A_SNAPSHOT = map(_pattern, (_OUTCOME, _RUNNING, _SNAPSHOT))


def _words(name: str) -> str:
    """Give a name in small letters with spaces between its words: "lastPymnt_D2" is "last pymnt d 2"."""
    return " ".join(re.findall(r"[a-z]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()))


def outcome_words(name: str, *, lagged: bool) -> str:
    """Give the part of a name that tells of an outcome, or nothing.

    Examples
    --------
    >>> outcome_words("ChargeOff_Dt", lagged=True)
    'charge off'
    >>> outcome_words("last_pymnt_amnt", lagged=False), outcome_words("last_pymnt_amnt", lagged=True)
    ('last pymnt', '')
    """
    words = _words(name)
    found = _OF_AN_OUTCOME.search(words) or (None if lagged else _OF_A_RUN.search(words))
    return found.group() if found else ""


def snapshot_words(name: str) -> str:
    """Give the part of a name that tells of a state at the extraction of the data, or nothing."""
    found = _OF_A_SNAPSHOT.search(_words(name))
    return found.group() if found else ""

"""Two quarters beside each other: headlines, definitions and findings, as plain records; the section puts them in words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import SequenceMatcher
from typing import Any, Literal

from churnsurv.evaluation import estimate_changes
from churnsurv.report.content import Finding, Headline, Report
from churnsurv.report.words import flattened

#: what may differ between quarters without another meaning of a headline
_WORDS_ONLY = ("title", "period", "as_of", "folder", "purpose", "data", "previous", "sections", "thresholds", "level",
               "smallest_cell")  # fmt: skip
#: what gives every headline its meaning
_EVERYTHING = ("spells", "main_cause", "safety_cause")
#: tables of the configuration → sections whose headlines they define; others define the section of their own name
_DEFINES = {
    "incidence": ("attrition",),
    "terms": ("hazard-ratios",),
    "evaluation": ("evaluation", "discrimination", "calibration", "stability", "backtest", "challengers"),
}
#: sections whose headlines do not come from the models
_WITHOUT_MODEL = ("portfolio", "attrition")
#: evidence of findings that are about documents or quarters, not about the portfolio
_NOT_MATCHED = ("documents", "changes")

Basis = Literal["nested", "separate", "conservative", ""]


@dataclass(frozen=True)
class Change:
    """A headline in two quarters.

    Attributes
    ----------
    before, now : Headline
    redefined : tuple of str
        Keys of the configuration by which the two are not the same quantity; it is not tested then.
    change, lower, upper : float
        On the headline's scale, of the logarithm where that is "log"; NaN where not comparable.
    p_value, p_adjusted : float
        Wald's, and Holm's over all headlines compared.
    basis : str
        How the standard error was made: "nested" (all data so far), "separate" (windows of their own), "conservative"
        (overlapping data taken as independent); empty where nothing was compared.
    exceeds : bool
        Whether the adjusted p-value is below 1 − level.
    """

    before: Headline
    now: Headline
    redefined: tuple[str, ...] = ()
    change: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    p_value: float = math.nan
    p_adjusted: float = math.nan
    basis: Basis = ""
    exceeds: bool = False

    @property
    def is_compared(self) -> bool:
        """Whether there is a test."""
        return self.basis != ""

    @property
    def is_worse(self) -> bool:
        """Whether it exceeds noise in the unwanted direction."""
        return self.exceeds and (self.change > 0) == (self.now.better == "lower") and self.now.better is not None


def redefinitions(before: Report, configuration: Mapping[str, Any], as_of: date) -> dict[str, tuple[str, str]] | None:
    """Give key → (value then, value now) of what changed in the configuration; None where the earlier report has none.

    Words, thresholds and file names do not count, nor dates that moved on as the report's did.
    """
    recorded = before.provenance.get("configuration")
    if not isinstance(recorded, Mapping):
        return None
    then, now = flattened(recorded), flattened(configuration)
    moved = _months(f"{as_of:%Y-%m-%d}", before.as_of)
    changed = {}
    for key in [*now, *(key for key in then if key not in now)]:
        old, new = then.get(key, "not set"), now.get(key, "not set")
        top, _, rest = key.partition(".")
        words = top in _WORDS_ONLY or (top == "terms" and not rest.endswith(".per"))
        if old != new and not words and (moved is None or _months(new, old) != moved):
            changed[key] = (old, new)
    return changed


def _months(later: str, earlier: str) -> int | None:
    try:
        a, b = date.fromisoformat(later), date.fromisoformat(earlier)
    except ValueError:
        return None
    return 12 * (a.year - b.year) + a.month - b.month


def concerns(key: str, section: str) -> bool:
    """Whether a key of the configuration defines the headlines of a section.

    >>> concerns("incidence.horizon", "attrition"), concerns("model.ties", "attrition"), concerns("spells.term", "attrition")
    (True, False, True)
    """
    top = key.split(".")[0]
    if top in _EVERYTHING:
        return True
    if top == "model":
        return section not in _WITHOUT_MODEL
    return section in _DEFINES.get(top, (top.replace("_", "-"),))


def changes_of(
    before: Report,
    now: Iterable[tuple[str, Headline]],
    redefined: Iterable[str],
    *,
    restated: bool,
    level: float,
) -> list[Change]:
    """Compare the headlines that both reports have; `now` gives each with the key of its section."""
    earlier = {headline.key: headline for headline in before.headlines}
    pairs = []
    for section, headline in now:
        if headline.key in earlier:
            old = earlier[headline.key]
            by = tuple(key for key in redefined if concerns(key, section))
            if (old.scale, old.symbol) != (headline.scale, headline.symbol):
                by = (*by, "scale of the headline")
            pairs.append((old, headline, by))
    tested = [pair for pair in pairs if _is_testable(*pair)]
    nested = [old.sample == new.sample == "cumulative" and not restated for old, new, _ in tested]
    table = estimate_changes(
        [_scaled(old) for old, _, _ in tested], [old.se or math.nan for old, _, _ in tested],
        [_scaled(new) for _, new, _ in tested], [new.se or math.nan for _, new, _ in tested], nested=nested, level=level,
    )  # fmt: skip
    found = {}
    for (old, new, _), row in zip(tested, table.to_dict("records"), strict=True):
        separate = old.sample == new.sample == "window"
        basis: Basis = "nested" if row["basis"] == "nested" else ("separate" if separate else "conservative")
        numbers = {name: float(row[name]) for name in ("change", "lower", "upper", "p_value", "p_adjusted")}
        found[new.key] = Change(old, new, (), **numbers, basis=basis, exceeds=row["p_adjusted"] < 1 - level)
    return [found.get(new.key, Change(old, new, by)) for old, new, by in pairs]


def _is_testable(old: Headline, new: Headline, redefined: Sequence[str]) -> bool:
    return not redefined and all(math.isfinite(_scaled(h)) and h.se is not None and h.se > 0 for h in (old, new))


def _scaled(headline: Headline) -> float:
    if headline.value is None:
        return math.nan
    if headline.scale == "linear":
        return float(headline.value)
    return math.log(headline.value) if headline.value > 0 else math.nan


@dataclass(frozen=True)
class FindingsSince:
    """Findings of two quarters: opened since, still open, closed since."""

    opened: tuple[Finding, ...]
    open_still: tuple[Finding, ...]
    closed: tuple[Finding, ...]


def findings_since(before: Iterable[Finding], now: Iterable[Finding]) -> FindingsSince:
    """Match findings by their evidence and threshold, numbers apart; several of one kind by their words."""
    then = [finding for finding in before if finding.evidence not in _NOT_MATCHED]
    today = [finding for finding in now if finding.evidence not in _NOT_MATCHED]
    matched: dict[int, int] = {}
    likely = sorted(
        ((_likeness(old, new), i, j) for i, old in enumerate(then) for j, new in enumerate(today) if _is_kin(old, new)),
        key=lambda found: (-found[0], found[1], found[2]),
    )
    for _, i, j in likely:
        if i not in matched and j not in matched.values():
            matched[i] = j
    return FindingsSince(
        tuple(new for j, new in enumerate(today) if j not in matched.values()),
        tuple(new for j, new in enumerate(today) if j in matched.values()),
        tuple(old for i, old in enumerate(then) if i not in matched),
    )


def _is_kin(old: Finding, new: Finding) -> bool:
    return old.evidence == new.evidence and _words(old.threshold) == _words(new.threshold)


def _likeness(old: Finding, new: Finding) -> float:
    return SequenceMatcher(None, _words(old.text), _words(new.text), autojunk=False).ratio()


def _words(text: str) -> str:
    return re.sub(r"[\d.,%]+", "#", text).casefold()

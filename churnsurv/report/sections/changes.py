"""Since last quarter: what moved, whether by more than chance would explain, and which findings came and went."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date

from churnsurv.exceptions import ConfigError
from churnsurv.messages import counted, first_of
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Cell, Column, Finding, Headline, Section, Table, Text
from churnsurv.report.disclosure import is_small
from churnsurv.report.headlines import as_shown
from churnsurv.report.previous import Previous, Restatement, read_previous, restatement
from churnsurv.report.render.cells import MINUS, NONE
from churnsurv.report.since import Change, FindingsSince, changes_of, findings_since, redefinitions
from churnsurv.report.words import level_words, listed, p_words

TITLE = "Since last quarter"

_BASES = {
    "nested": "all so far",
    "separate": "separate",
    "conservative": "overlapping",
    "": NONE,
}
#: tables whose counts are of all loans so far, by reason and by group
_COUNTED = re.compile("reconciliation|by-(?!quarter$).*", re.DOTALL)
#: columns of the spells that a sentence names
_MOST = 8


def changes(analysis: Analysis) -> Part:
    """Compare headlines and findings with those of an earlier report."""
    config = analysis.config
    previous = read_previous(config)
    if previous is None:
        raise ConfigError('the configuration names no earlier report: give previous = "path/to/report.json".')
    before, period = previous.report, previous.report.period
    redefined = redefinitions(before, config.echo(), config.as_of)
    restated = restatement(previous, analysis.spells)
    now = [(part.section.key, headline) for part in analysis.parts for headline in part.headlines]
    found = changes_of(before, now, redefined or (), restated=bool(restated), level=config.level)
    since = findings_since(before.findings, _findings_of(analysis))
    blocks: list[Block] = [
        Text(_opening(previous)),
        Text(_result(found, period), "headline"),
        *(Text(_moved(change, period)) for change in found if change.exceeds),
        *([_table(found, analysis, period)] if found else []),
        *(
            _finding(change, period, config.level, len([c for c in found if c.is_compared]))
            for change in found
            if change.is_worse
        ),
        *_come_and_gone(found, before.headlines, [headline for _, headline in now]),
        Text(_data(restated, period)),
        *_subtracted(before.sections, [part.section for part in analysis.parts], config.smallest_cell),
        *_definitions(redefined, period),
        *_findings(since, period),
        Text(_METHODS, "note"),
    ]
    return Part(Section("changes", TITLE, tuple(blocks)), first_page=(_first_page(found, since, period),))


_METHODS = (
    "Methods: Wald tests of the change, of the logarithm where the change is given in percent of the earlier value. Where both "
    "reports use all data so far, those of the earlier one are contained in today's; estimates that are efficient then have "
    "Var(change) = Var(earlier) − Var(today) (Scharfstein, Tsiatis and Robins, 1997), which makes the test one of the new "
    "quarter's data against all before. For intervals that allow for customers with several loans this is an approximation. "
    "Elsewhere the two are taken as independent: exact for separate windows, too cautious for overlapping ones or where the "
    "data of earlier quarters were restated. Intervals are each by themselves; p-values are adjusted by Holm's method for the "
    "number of headlines compared. Findings are matched by their evidence and threshold."
)


def _findings_of(analysis: Analysis) -> list[Finding]:
    return [block for part in analysis.parts for block in part.section.blocks if isinstance(block, Finding)]


def _opening(previous: Previous) -> str:
    return (
        f"Today's headlines beside those of the report of {previous.report.period} (data as of {_day(previous.report.as_of)}; "
        f"{previous.file}, SHA-256 {previous.sha256[:16]})."
    )


def _day(text: str) -> str:
    try:
        return f"{date.fromisoformat(text):%d %B %Y}"
    except ValueError:
        return text


def _result(found: Sequence[Change], period: str) -> str:
    """Say how many headlines moved by more than noise."""
    compared = [change for change in found if change.is_compared]
    if not compared:
        return f"No headline can be compared with {period}."
    moved = [change for change in compared if change.exceeds]
    if not moved:
        same = "Its change is" if len(compared) == 1 else "Their changes are"
        return (
            f"{counted(len(compared), 'headline')} compared with {period}. {same} within what chance alone would give."
        )
    worse = sum(change.is_worse for change in moved)
    rest = len(compared) - len(moved)
    text = (
        f"{len(moved)} of {counted(len(compared), 'headline')} changed since {period} by more than chance would explain"
    )
    text += f", {worse} for the worse" if worse else ""
    return text + (
        f"; {'that of the other one is' if rest == 1 else f'those of the other {rest} are'} within noise."
        if rest
        else "."
    )


def _moved(change: Change, period: str) -> str:
    direction = {True: ", the unwanted direction", False: ", the wanted direction"}
    told = "" if change.now.better is None else direction[change.is_worse]
    return (
        f"{change.now.measure} went from {as_shown(change.before)[0]} in {period} to {as_shown(change.now)[0]}: "
        f"{size_words(change.change, change.now)} ({interval_words(change)}; {p_words(change.p_adjusted)} after "
        f"adjustment){told}."
    )


def size_words(value: float, headline: Headline) -> str:
    """Give a change on the headline's scale: "+2.5%" of the earlier value for ratios, "+0.012" or "+1.2 points" else."""
    if not math.isfinite(value):
        return NONE
    if headline.scale == "log":
        number, suffix, digits = 100 * math.expm1(value), "%", 1
    else:
        kind, _, asked = headline.format.partition(":")
        digits = int(asked or 0)
        number, suffix = (100 * value, " points") if kind == "percent" else (value, "")
    text = f"{number:+,.{digits}f}"
    zero = float(text.replace(",", "")) == 0
    return (text.lstrip("+-") if zero else text.replace("-", MINUS)) + suffix


def interval_words(change: Change) -> str:
    """Give the interval of a change."""
    return f"{size_words(change.lower, change.now)} to {size_words(change.upper, change.now)}"


def _verdict(change: Change) -> str:
    if change.redefined:
        return "defined anew"
    if not change.is_compared:
        return "not estimable"
    if not change.exceeds:
        return "no"
    return "yes" + ("" if change.now.better is None else ", worse" if change.is_worse else ", better")


def _table(found: Sequence[Change], analysis: Analysis, period: str) -> Table:
    columns = (
        Column("measure", "Headline"),
        Column("before", period, "value"),
        Column("now", analysis.config.period, "value"),
        Column("change", "Change", "value"),
        Column("interval", f"{level_words(analysis.config.level)} CI", "value"),
        Column("p_adjusted", "p, adjusted", "p"),
        Column("verdict", "Beyond noise?"),
        Column("basis", "Data"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            change.now.measure,
            as_shown(change.before)[0],
            as_shown(change.now)[0],
            size_words(change.change, change.now),
            interval_words(change) if change.is_compared else None,
            change.p_adjusted if change.is_compared else None,
            _verdict(change),
            _BASES[change.basis],
        )
        for change in found
    ]
    note = (
        "Change: in percent of the earlier value for ratios and probabilities compared on the log scale; the difference "
        "otherwise; with its interval. Data: all so far, of which those of the earlier report are a part; separate windows; or "
        "overlapping (or restated, or not stated), taken as independent. A dash: not tested."
    )
    title = f"Headlines of {period} and {analysis.config.period}"
    emphasis = tuple(i for i, change in enumerate(found) if change.exceeds)
    return Table("changes-headlines", title, columns, tuple(rows), notes=(note,), emphasis=emphasis)


def _finding(change: Change, period: str, level: float, compared: int) -> Finding:
    is_ratio = change.now.scale == "log"
    bounds = (change.lower, change.upper)
    digits = change.now.format.partition(":")[2] or "3"
    return Finding(
        f"{_moved(change, period)} Find out what changed: the data (restated?), the customers, the market, or what makes them "
        "leave.",
        "amber",
        f"no change for the worse beyond noise ({level_words(level)}, Holm over {counted(compared, 'headline')})",
        "changes-headlines",
        (math.expm1(bounds[0]), math.expm1(bounds[1])) if is_ratio else bounds,
        "percent interval:1" if is_ratio else f"interval:{digits}",
    )


def _come_and_gone(found: Sequence[Change], before: Sequence[Headline], now: Sequence[Headline]) -> list[Block]:
    """Say which headlines only one of the reports has, and which cannot be compared."""
    both = {change.now.key for change in found}
    texts = []
    new = [h.measure for h in now if h.key not in both]
    gone = [h.measure for h in before if h.key not in both]
    anew = {change.now.measure: change.redefined for change in found if change.redefined}
    if new:
        texts.append(f"New headlines: {'; '.join(new)}.")
    if gone:
        texts.append(f"Headlines that the earlier report had and this one has not: {'; '.join(gone)}.")
    if anew:
        keys = list(dict.fromkeys(key for by in anew.values() for key in by))
        texts.append(
            f"Defined in another way than then, and therefore not tested: {'; '.join(anew)} (changed: {first_of(keys, 6)})."
        )
    return [Text(text) for text in texts]


def _data(restated: Restatement | None, period: str) -> str:
    """Say whether the data of the earlier report are still the same."""
    if restated is None:
        return (
            f"Whether the data up to {period} were restated since is not known: the earlier report recorded no hash of its "
            "spells. They are taken as they were."
        )
    if not restated:
        return (
            f"Today's data, cut off at the date of the earlier report, are those that it had ({restated.loans[1]:,} loans, "
            f"{restated.spells[1]:,} spells): nothing of {period} and before was restated."
        )
    if restated.columns:
        names = first_of(restated.columns, _MOST)
        what = (
            f"loans and rows are the same, but not {counted(len(restated.columns), 'column')} of the spells ({names})"
        )
    else:
        what = (
            f"it had {restated.loans[0]:,} loans with {restated.spells[0]:,} spells; today's data up to its date have "
            f"{restated.loans[1]:,} with {restated.spells[1]:,}"
        )
    return (
        f"The data up to {period} were restated since the earlier report: {what}. A change may come from the restatement; "
        "today's data do not contain the earlier ones, and errors are taken as independent."
    )


def _subtracted(before: Sequence[Section], now: Sequence[Section], smallest: int) -> list[Block]:
    """Say how many counts differ so little from those of the earlier report that the two together tell of a few customers."""
    then = _counts(before)
    moved = [abs(count - then[cell]) for cell, count in _counts(now).items() if cell in then]
    small = sum(is_small(difference, smallest) for difference in moved)
    if not small:
        return []
    text = (
        f"Each report hides small counts within itself. Who has both can subtract: {small} of {counted(len(moved), 'count')} "
        f"with the same name in both differ by fewer than {smallest}. Give the two only to readers who may know of single "
        "customers."
    )
    return [Text(text, "note")]


def _counts(sections: Sequence[Section]) -> dict[tuple[str, ...], int]:
    """Give the counts of loans and exits by group: table, block of rows, row and column → count."""
    found: dict[tuple[str, ...], int] = {}
    tables = [block for section in sections for block in section.blocks if isinstance(block, Table)]
    for table in (table for table in tables if _COUNTED.fullmatch(table.key)):
        for position, row in enumerate(table.rows):
            place = (table.key, table.groups[position] if table.groups else "", str(row[0]))
            for column, cell in zip(table.columns, row, strict=True):
                if column.format == "integer" and column.name != "balance" and isinstance(cell, int):
                    found[(*place, column.name)] = cell
    return found


def _definitions(redefined: dict[str, tuple[str, str]] | None, period: str) -> list[Block]:
    if redefined is None:
        return [Text("The earlier report does not tell its configuration: definitions are taken as unchanged.")]
    if not redefined:
        return [Text("The configuration defines the headlines as it did then.")]
    columns = (Column("key", "Key"), Column("before", period), Column("now", "Now"))
    rows = tuple((key, _short(old), _short(new)) for key, (old, new) in redefined.items())
    return [Table("changes-definitions", "Changes of the configuration", columns, rows)]


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _findings(since: FindingsSince, period: str) -> list[Block]:
    """List the findings that opened and closed."""
    counts = (
        f"Findings since {period}: {len(since.opened)} opened, {len(since.closed)} closed, {len(since.open_still)} open in "
        "both reports."
    )
    rows = [(state, finding.severity, finding.text) for state, findings in (
        ("opened", since.opened), ("closed", since.closed), ("still open", since.open_still),
    ) for finding in findings]  # fmt: skip
    if not rows:
        return [Text(counts)]
    columns = (Column("state", "State"), Column("severity", "Severity"), Column("text", "Finding"))
    return [Text(counts), Table("changes-findings", "Findings opened and closed", columns, tuple(rows))]


def _first_page(found: Sequence[Change], since: FindingsSince, period: str) -> str:
    moved = [change.now.measure for change in found if change.exceeds]
    which = f" These are: {listed(moved)}." if moved else ""
    return f"{TITLE}: {_result(found, period)}{which} Findings: {len(since.opened)} opened, {len(since.closed)} closed."

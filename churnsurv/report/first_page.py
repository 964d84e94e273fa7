"""The first page: what happened, what to act on (the worst first), the headline figures, and the words used."""

from __future__ import annotations

from collections.abc import Sequence

from churnsurv.messages import counted
from churnsurv.report.analysis import Part
from churnsurv.report.config import ReportConfig
from churnsurv.report.content import Block, Column, Finding, Section, Table, Text
from churnsurv.report.headlines import headline_table
from churnsurv.report.words import listed

#: words a reader may not know, as the sections use them
_GLOSSARY = (
    ("Hazard", "The rate of leaving at some loan age, among the customers who are still there."),
    ("Hazard ratio (HR)", "How many times as high the hazard is; above 1 sooner, below 1 later."),
    ("Cumulative incidence", "The probability of having left by a cause by some age, the other causes at work."),
    ("Censored", "Still a customer when last seen, or at the scheduled end: the exit, if any, lies beyond."),
    ("CI", "Confidence interval: the range of values that the data are compatible with, at the stated level."),
)
#: sections whose findings are for those who run the business; the others are for those who answer for data and models
_BUSINESS = {"attrition", "scenarios", "fairness", "interventions", "early-warning", "overrides"}
#: groups of findings, in the order of reading
_GROUPS = ("Red: act on these first", "Amber: the business", "Amber: the models and their data")


def first_page(settings: ReportConfig, parts: Sequence[Part]) -> Section:
    """Make the first section of the report from the others."""
    headlines = [headline for part in parts for headline in part.headlines]
    found = [(part.section, block) for part in parts for block in part.section.blocks if isinstance(block, Finding)]
    blocks: list[Block] = [Text(settings.purpose)] if settings.purpose else []
    blocks.append(Text(_told([finding for _, finding in found]), "headline"))
    blocks += [Text(sentence) for part in parts for sentence in part.first_page]
    if found:
        blocks.append(_findings_table(found))
    if headlines:
        blocks.append(headline_table(headlines, settings.level))
    words = Table("glossary", "Words used", (Column("word", "Word"), Column("meaning", "Meaning")), _GLOSSARY)
    return Section("summary", "Purpose and headlines", (*blocks, words))


def _told(findings: Sequence[Finding]) -> str:
    if not findings:
        return "Nothing exceeds its threshold."
    counts = [(sum(f.severity == severity for f in findings), severity) for severity in ("red", "amber")]
    return f"{counted(len(findings), 'finding')} to act on: {listed([f'{n} {name}' for n, name in counts if n])}."


def _findings_table(found: Sequence[tuple[Section, Finding]]) -> Table:
    """Give the findings by weight and by whom they are for: red ones in full, of the others what was found."""
    kinds: dict[tuple[str, ...], list[tuple[int, Section, Finding]]] = {}
    # findings are counted in the order of reading, and none stands before this table
    for number, (section, finding) in enumerate(found, start=1):
        group = _GROUPS[0 if finding.severity == "red" else 1 if section.key in _BUSINESS else 2]
        # what misses the same threshold of a section says much the same
        own = str(number) if finding.severity == "red" else finding.threshold
        kinds.setdefault((group, section.key, own), []).append((number, section, finding))
    rows = []
    for (group, *_), alike in kinds.items():
        number, section, finding = alike[0]
        text = finding.text if finding.severity == "red" else first_sentence(finding.text)
        text += f" And {len(alike) - 1} like it." if len(alike) > 1 else ""
        rows.append((group, (", ".join(str(n) for n, _, _ in alike), text, section.title)))
    rows.sort(key=lambda row: _GROUPS.index(row[0]))
    columns = (Column("finding", "Finding"), Column("text", "What was found"), Column("section", "Section"))
    note = "Each finding stands in its section under its number, with what to do, its threshold and its evidence."
    return Table(
        "findings",
        "Findings, the worst first",
        columns,
        tuple(cells for _, cells in rows),
        tuple(group for group, _ in rows),
        (note,),
    )


def first_sentence(text: str) -> str:
    """Give a text up to the end of its first sentence.

    >>> first_sentence("The target is missed: 14.8%. Decide on what is to be done.")
    'The target is missed: 14.8%.'
    """
    return text.split(". ", 1)[0].rstrip(".") + "."

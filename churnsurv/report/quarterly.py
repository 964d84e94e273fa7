"""The quarterly attrition report: from a configuration to a :class:`~churnsurv.report.Report`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from churnsurv.exceptions import ChurnSurvError
from churnsurv.messages import counted
from churnsurv.report.analysis import Analysis, Part, analyse
from churnsurv.report.config import ReportConfig, read_config
from churnsurv.report.content import Report, Section, Text
from churnsurv.report.contents import chapters_of, made
from churnsurv.report.first_page import first_page
from churnsurv.report.previous import read_previous
from churnsurv.report.required import renamed, with_requirements
from churnsurv.report.sections.provenance import data_hash, provenance_record
from churnsurv.report.words import listed


def build(config: str | Path | ReportConfig, *, progress: bool = False) -> Report:
    """Build the quarterly report.

    Parameters
    ----------
    config : path or ReportConfig
        The TOML file, or what :func:`churnsurv.report.read_config` made of it.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Report
        Save it with ``report.save(folder)``.

    Raises
    ------
    ConfigError
        The configuration cannot be used.
    DataError
        The tables cannot be used.

    Examples
    --------
    >>> import churnsurv as cs
    >>> report = cs.report.quarterly.build("reports/quarterly.toml")  # doctest: +SKIP
    >>> report.save("reports/2026Q3")  # doctest: +SKIP
    """
    settings = read_config(config)
    with tqdm(total=2 + len(chapters_of(settings)), desc="report", disable=not progress, leave=False) as bar:

        def step(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        return assembled(settings, step)


def assembled(settings: ReportConfig, step: Callable[[str], None]) -> Report:
    """Build the report, calling `step` with the name of each piece of work before it begins."""
    chapters = chapters_of(settings)
    # what cannot be compared with is told before the work
    read_previous(settings)
    analysis = analyse(settings, step)
    made_of: dict[str, Part] = {}
    for chapter in sorted(chapters, key=lambda chapter: chapter.last):
        step(chapter.key)
        made_of[chapter.key] = made(chapter, analysis)
        analysis.parts.append(made_of[chapter.key])
    in_order = [made_of[chapter.key] for chapter in chapters]
    parts = with_requirements(renamed(in_order, analysis.regime), analysis.regime)
    record = provenance_record(analysis)
    return Report(
        title=settings.title,
        period=settings.period,
        as_of=f"{settings.as_of:%Y-%m-%d}",
        facts=_facts(analysis, data_hash(record["files"])),
        sections=(first_page(settings, parts), *(_with_notices(part) for part in parts)),
        provenance=record,
        headlines=tuple(headline for part in parts for headline in part.headlines),
    )


def _facts(analysis: Analysis, hash_of_data: str) -> tuple[tuple[str, str], ...]:
    frame, config = analysis.spells.frame, analysis.config
    exits = {cause: analysis.exits[cause, "reason"] for cause in config.spells.cause_names}
    counts = [f"{n:,} {cause}" if isinstance(n, int) else f"{n} {cause}" for cause, n in exits.items()]
    first, last = frame["period"].min(), frame["period"].max()
    ends = last.to_period("M" if config.unit == "month" else "Q").end_time
    return (
        *_model_fact(analysis),
        *_governance_facts(config),
        ("Data as of", f"{config.as_of:%d %B %Y}"),
        ("Loans", f"{frame['loan_id'].nunique():,}"),
        ("Exits", listed(counts)),
        ("Observed", f"{first:%B %Y} to {ends:%B %Y}"),
        ("Data hash", hash_of_data[:16]),
    )


def _governance_facts(config: ReportConfig) -> list[tuple[str, str]]:
    if config.governance is None:
        return []
    given = config.governance
    model = " ".join(
        word for word in (given.model_id, given.model_version and f"version {given.model_version}") if word
    )
    return [(name, value) for name, value in (("Inventory", model), ("Classification", given.classification)) if value]


def _model_fact(analysis: Analysis) -> list[tuple[str, str]]:
    try:
        fitted = next(iter(analysis.model.models_.values()))
    except ChurnSurvError:  # the sections that need the model say why
        return [("Model", "could not be fitted")]
    return [("Model", f"Cause-specific Cox, {counted(len(fitted.coef_), 'term')}")]


def _with_notices(part: Part) -> Section:
    notices = tuple(Text(f"Note: {notice}", "note") for notice in part.notices)
    return Section(part.section.key, part.section.title, (*part.section.blocks, *notices))

"""A small report with every kind of block and awkward texts, for the tests of the renderers."""

from __future__ import annotations

from churnsurv.report import Figure, Finding, Report, Section, Table, Text
from churnsurv.report.content import Block, Column
from churnsurv.report.figures import drawn
from churnsurv.report.forms import change_log, pairs, sign_off
from churnsurv.report.headlines import headline, headline_table

#: text that would be markup, a link, a cell, a formula or a field in one format or another
EVIL = '<script>alert("1")</script> [x](http://evil.example) | `code` $x$ \\href{y} {{7*7}} &amp; </style> =cmd()'


def bars(labels: list[str], key: str = "bars") -> Figure:
    """A bar chart with these labels."""

    def draw(ax):
        ax.barh(range(len(labels)), range(1, len(labels) + 1))
        ax.set_yticks(range(len(labels)), labels)
        ax.set_xlabel("Loans")

    return drawn(
        key,
        "Loans by segment",
        draw,
        alt=f"Bars of {len(labels)} segments.",
        caption="As in {ref:wide}.",
        width=5,
        height=2.4,
    )


def sample(label: str = "North", *, figure: Figure | None = None, extra: tuple[Block, ...] = ()) -> Report:
    """The report; `label` stands wherever the data have a say."""
    numbers = tuple(Column(f"n{i}", f"Quarter {i}", "integer") for i in range(10))
    wide = Table(
        "wide",
        f"Loans by segment, {label}",
        (Column("segment", "Segment"), *numbers),
        ((label, *range(1_000, 1_010)), ("South", "<5", *range(1, 10)), ("All", *range(2_000, 2_010))),
        notes=(f"Counts below five are not shown ({label}).",),
        emphasis=(2,),
    )
    ratios = Table(
        "ratios",
        "Hazard ratios",
        (
            Column("term", "Term"),
            Column("hr", "HR", "number:2"),
            Column("ci", "95% CI", "interval:2"),
            Column("p", "p", "p"),
        ),
        tuple((f"Term {i} {label}", 1 + i / 10, (0.9 + i / 10, 1.1 + i / 10), 0.01 * i) for i in range(30)),
        tuple(f"Group {i // 10} {label}" for i in range(30)),
    )
    records = (
        headline("a.24", "Attrition", (0.284, 0.269, 0.3), label, level=0.95, scale="log", format="percent:1", n=5_000),
        headline("offer", "Offer", None, "no exits", level=0.95, scale="log", format="number:2", symbol="HR"),
    )
    summary = (
        Text(f"What it is about: {label}"),
        Text(f"One finding to act on: {label}", "headline"),
        headline_table(records, 0.95),
        sign_off("sign-off", (("Model owner", label), ("Validator", ""))),
        change_log("changes", (("1.1", "2026-09-30", label, "Model risk"),)),
        pairs("settings", "Settings", (("Level", "95%"), ("Name", label))),
    )
    results: tuple[Block, ...] = (
        Text(label, "subheading"),
        Text("See {ref:bars} and {ref:wide}."),
        wide,
        bars([label.encode(errors="replace").decode(), "South"]) if figure is None else figure,
        Finding(f"The share is too high: {label}.", "red", f"at most 3% ({label})", "wide", 0.0512, "percent:1"),
        Finding("The sign is contrary to the expected one.", "amber", "as expected", "ratios"),
        ratios,
        Text(f"Note: {label}", "note"),
        *extra,
    )
    return Report(
        f"Attrition {label}",
        "2026 Q3",
        "2026-09-30",
        (("Loans", "5,000"), ("Name", label)),
        (Section("summary", "Summary", summary), Section("results", f"Results {label}", results)),
        {"seed": 1, "note": label},
        records,
    )

"""Data: loans in and out, what the clean-up did, what is missing, how the inflow changed, exits by quarter."""

from __future__ import annotations

from churnsurv.data.reasons import LOANS_IN
from churnsurv.messages import counted
from churnsurv.plot.waterfall import waterfall
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Cell, Column, Figure, Section, Table, Text
from churnsurv.report.disclosure import count_words, notes_if_hidden, told
from churnsurv.report.figures import drawn
from churnsurv.report.sections.by_quarter import quarter_figure, quarter_table
from churnsurv.report.sections.data_quality import data_quality
from churnsurv.report.words import listed

TITLE = "Data and portfolio flow"

_GIVEN, _OUT, _ENDINGS, _USED = "Given", "Left out", "Analysed, by how they ended", "Used by the models"


def portfolio(analysis: Analysis) -> Part:
    """Say which loans the report is about, what their data are worth, and how many left when."""
    spells, config = analysis.spells, analysis.config
    frame = spells.frame
    first, last = frame["period"].min(), frame["period"].max()
    ends = last.to_period("M" if config.unit == "month" else "Q").end_time
    customers = frame["customer_id"].nunique()
    of_customers = "" if customers == frame["loan_id"].nunique() else f" of {counted(customers, 'customer')}"
    late = int((frame.drop_duplicates("loan_id")["entry"] > 0).sum())
    came = told(late, "loan", config.smallest_cell).capitalize()
    flow = reconciliation(analysis)
    blocks: list[Block] = [
        Text(
            f"The report covers {counted(frame['loan_id'].nunique(), 'loan')}{of_customers}, observed by {config.unit} from "
            f"{first:%B %Y} to {ends:%B %Y}. {{ref:reconciliation}} accounts for every loan given, {{ref:cleaning}} for what "
            "was set right on the way."
        ),
        Text(
            f"{came} came under observation after origination. They count as at risk only from the age at "
            "which they were first seen: the loans that had left by then are unknown, and counting the survivors from the "
            "origin would make retention look better than it is."
        ),
        *_cut_off(analysis),
        _waterfall(flow),
        flow,
        *data_quality(analysis),
        quarter_table(analysis),
        *quarter_figure(analysis),
    ]
    return Part(Section("portfolio", TITLE, tuple(blocks)))


def _cut_off(analysis: Analysis) -> list[Block]:
    """Say what lies after the date of the report."""
    if not analysis.cut:
        return []
    config, cut = analysis.config, analysis.cut
    exits = listed([f"{count_words(cut[cause], config.smallest_cell)} {cause}" for cause in config.spells.cause_names])
    text = (
        f"The data go on after {config.as_of:%d %B %Y}. What came later is not in this report: "
        f"{told(cut['spells'], f'loan-{config.unit}', config.smallest_cell)}, with exits: {exits}."
    )
    return [Text(text)]


def reconciliation(analysis: Analysis) -> Table:
    """Give the way from the loans given to those analysed, how these ended, and how many have complete covariates."""
    spells, config = analysis.spells, analysis.config
    shown = analysis.exits
    reasons = [str(reason) for reason in spells.reconciliation["reason"] if reason != LOANS_IN]
    out = [reason for reason in reasons if reason in spells.left_out]
    endings = [reason for reason in reasons if reason not in spells.left_out]
    steps: list[tuple[str, str, Cell]] = [(_GIVEN, LOANS_IN, shown[LOANS_IN, "reason"])]
    steps += [(_OUT, reason, shown[reason, "reason"]) for reason in out]
    steps += [(_ENDINGS, "analysed", shown["analysed", "reason"])]
    steps += [(_ENDINGS, reason, shown[reason, "reason"]) for reason in endings]
    steps += [(_USED, "with complete covariates", shown["loans", "complete"])]
    balances = _balances(analysis, endings)
    analysed = spells.frame["loan_id"].nunique()
    rows = []
    for _, label, n in steps:
        # balances of a hidden number of loans are those of a few
        money = (balances.get(label) if isinstance(n, int) else None,) if balances else ()
        rows.append((_sentence_case(label), n, n / analysed if isinstance(n, int) else None, *money))
    columns = [Column("reason", "Loans"), Column("loans", "Number", "integer")]
    columns.append(Column("share", "Of those analysed", "percent:1"))
    if balances:
        columns.append(Column("balance", "Balance when last known", "integer"))
    notes = [
        "Loans in are those left out and those analysed; the endings add up to those analysed. The models use spells with "
        "complete covariates."
    ]
    if balances:
        notes.append("Balance: the last one known of each loan before it ended; loans left out have none.")
    return Table(
        "reconciliation",
        "Loans in and out",
        tuple(columns),
        tuple(rows),
        groups=tuple(group for group, *_ in steps),
        notes=(*notes, *notes_if_hidden(rows, config.smallest_cell)),
        emphasis=tuple(i for i, (_, label, _) in enumerate(steps) if label in (LOANS_IN, "analysed")),
    )


def _balances(analysis: Analysis, endings: list[str]) -> dict[str, int]:
    """Give the sum of the last known balances by ending; nothing without a column of balances."""
    name, frame = analysis.config.incidence.balance, analysis.spells.frame
    if name is None:
        return {}
    known = frame[name].groupby(frame["loan_id"], sort=False).last()
    last = frame.drop_duplicates("loan_id", keep="last").set_index("loan_id")
    cause = last["cause"].astype(str)
    newest = last["period"] == frame["period"].max()
    money = known.reindex(last.index)
    sums = {reason: round(float(money[(cause == reason)].sum())) for reason in endings if reason in set(cause)}
    still = cause == "open"
    at_end, earlier = (reason for reason in endings if reason.startswith("open"))
    sums |= {at_end: round(float(money[still & newest].sum())), earlier: round(float(money[still & ~newest].sum()))}
    return sums | {"analysed": round(float(money.sum()))}


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _waterfall(flow: Table) -> Figure:
    """Draw the table of loans in and out."""
    steps = []
    open_at_end = next(i for i, row in enumerate(flow.rows) if str(row[0]).startswith("Open at the end"))
    for position, (row, group) in enumerate(zip(flow.rows, flow.groups, strict=True)):
        number = row[1]
        total = position in (*flow.emphasis, open_at_end) or group == _USED
        words = f"{number:,}" if isinstance(number, int) else str(number)
        steps.append((str(row[0]), number if isinstance(number, int) else None, words, total))
    # what is left comes last
    still = steps.pop(open_at_end)
    steps.insert(len(steps) - 1, still)
    steps = [step for step in steps if step[3] or step[1] != 0]
    return drawn(
        "waterfall",
        "From the loans given to those still open",
        lambda ax: waterfall(steps, ax=ax),
        height=0.7 + 0.3 * len(steps),
        alt=f"Bars from top to bottom: {listed([f'{label} {words}' for label, _, words, _ in steps])}.",
        caption=(
            "Blue: loans there at that step; orange: loans that leave the count, by reason. Matured loans reached their "
            "scheduled end. The last bar is the part of those analysed that the models use. Numbers are in "
            "{ref:reconciliation}."
        ),
    )

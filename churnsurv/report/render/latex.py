"""A table as LaTeX, for articles: booktabs, every special character escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from churnsurv.report.render.cells import group_begins, headings_over, shown

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "\u2212": r"$-$",
    "\u2003": r"\quad ",
}


def escaped(text: str) -> str:
    r"""Give text in which LaTeX reads every character as itself.

    >>> print(escaped("5 % of A_1"))
    5 \% of A\_1
    """
    return "".join(_SPECIAL.get(character, character) for character in text)


def render_table(table: Mapping[str, Any]) -> str:
    """Give a ``table`` environment from the JSON form of a table."""
    columns, groups = table["columns"], table["groups"]
    align = "".join("l" if column["format"] == "text" else "r" for column in columns)
    head = " & ".join(escaped(column["label"]) for column in columns)
    lines = [r"\begin{table}", rf"\caption{{{escaped(table['title'])}}}", rf"\begin{{tabular}}{{{align}}}", r"\toprule"]
    lines += [*_over(columns), head + r" \\", r"\midrule"]
    for position, row in enumerate(table["rows"]):
        if group_begins(groups, position):
            lines.append(rf"\multicolumn{{{len(columns)}}}{{l}}{{\textbf{{{escaped(groups[position])}}}}} \\")
        cells = (escaped(shown(value, column["format"])) for value, column in zip(row, columns, strict=True))
        lines.append(" & ".join(cells) + r" \\")
    notes = [rf"\par\footnotesize {escaped(note)}" for note in table["notes"]]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}", ""])


def _over(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give the line of headings that columns share, each underlined."""
    spans = headings_over(columns)
    if not spans:
        return []
    cells = [rf"\multicolumn{{{n}}}{{c}}{{{escaped(name)}}}" if name else " & ".join([""] * n) for name, n in spans]
    ends = [sum(n for _, n in spans[: i + 1]) for i in range(len(spans))]
    rules = [rf"\cmidrule(lr){{{end - n + 1}-{end}}}" for (name, n), end in zip(spans, ends, strict=True) if name]
    return [" & ".join(cells) + r" \\", "".join(rules)]

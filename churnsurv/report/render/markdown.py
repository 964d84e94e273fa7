"""The report as Markdown (GitHub's), for wikis and reviews: pipe tables, figures as SVG files beside it.

Every text is escaped, so that it can be neither a link, nor markup, nor a cell of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from churnsurv.report.render.cells import MARKS, group_begins, names_of_evidence, shown

_ENTITY = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LINE_START = re.compile(r"^(\s*)([-+=#:]|\d+[.)])")


def escaped(text: str) -> str:
    r"""Give text on one line that Markdown shows as it is.

    >>> print(escaped("a|b [x](http://e.example) <b> 2*3\n- no list"))
    a\|b \[x\](http\://e.example) &lt;b&gt; 2\*3 - no list
    """
    line = re.sub(r"\s*\n\s*", " ", text)
    line = re.sub(r"[\\`*_{}\[\]|~$!]", lambda m: "\\" + m[0], line)
    line = re.sub("[&<>]", lambda m: _ENTITY[m[0]], line)
    # GitHub makes links of bare addresses
    line = re.sub(r"(www)\.", r"\1\\.", line.replace("://", r"\://"), flags=re.IGNORECASE)
    return _LINE_START.sub(lambda m: m[1] + m[2][:-1] + "\\" + m[2][-1], line)


def render_markdown(document: Mapping[str, Any]) -> dict[str, str]:
    """Give the text and the figures that stand beside it: file name → content."""
    names = names_of_evidence(document)
    lines = [f"<!-- {document['schema']} -->", f"# {escaped(document['title'])}", ""]
    lines += [f"{escaped(document['period'])} · data as of {escaped(document['as_of'])}", ""]
    lines += [f"- **{escaped(name)}:** {escaped(value)}" for name, value in document["facts"]]
    lines += ["", "## Contents", ""]
    lines += [
        f"{i}. [{escaped(s['title'])}](#{_anchor(s['key'])})" for i, s in enumerate(document["sections"], start=1)
    ]
    figures = {}
    for position, section in enumerate(document["sections"], start=1):
        lines += ["", _target(section["key"]), "", f"## {position}. {escaped(section['title'])}", ""]
        for block in section["blocks"]:
            lines += [*_BLOCKS[block["kind"]](block, names), ""]
            if block["kind"] == "figure":
                figures[figure_file(block)] = block["svg"] + "\n"
    return {"report.md": "\n".join(lines), **figures}


def render_table(table: Mapping[str, Any]) -> str:
    """Give one table alone."""
    return "\n".join([*_table(table, {})[2:], ""])


def figure_file(figure: Mapping[str, Any]) -> str:
    """Give the name of a figure's file: its number, and its key as far as it is plain letters."""
    key = re.sub(r"[^a-z0-9]+", "-", figure["key"].lower())[:80].strip("-")
    return f"figure-{figure['number']:02d}" + (f"-{key}" if key else "") + ".svg"


def _anchor(key: str) -> str:
    return escape(re.sub(r"[^\w-]", "-", key), quote=True)


def _target(key: str) -> str:
    return f'<a id="{_anchor(key)}"></a>'


def _table(block: Mapping[str, Any], _names: Mapping[str, str]) -> list[str]:
    columns, groups = block["columns"], block["groups"]
    pairs = block["style"] == "pairs"
    number = f"**Table {block['number']}.** " if block["number"] else ""
    lines = [_target(block["key"]), "", f"{number}{escaped(block['title'])}", ""]
    # a pipe table has one line of headings
    heads = [": ".join(part for part in (c.get("over"), c["label"]) if part) for c in columns]
    lines.append(_row(["" if pairs else escaped(head) for head in heads]))
    lines.append(_row([":---" if column["format"] == "text" else "---:" for column in columns]))
    for position, row in enumerate(block["rows"]):
        if group_begins(groups, position):
            lines.append(_row([f"**{escaped(groups[position])}**", *[""] * (len(columns) - 1)]))
        cells = [escaped(shown(value, column["format"])) for value, column in zip(row, columns, strict=True)]
        lines.append(_row([f"**{c}**" if c else c for c in cells] if position in block["emphasis"] else cells))
    for note in block["notes"]:
        lines += ["", f"_{escaped(note)}_"]
    return lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(block: Mapping[str, Any], _names: Mapping[str, str]) -> list[str]:
    lines = [_target(block["key"]), "", f"**Figure {block['number']}.** {escaped(block['title'])}", ""]
    lines.append(f"![{escaped(block['alt'])}]({figure_file(block)})")
    return [*lines, "", f"_{escaped(block['caption'])}_"] if block["caption"] else lines


def _finding(block: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    severity, evidence = block["severity"], block["evidence"]
    told = [
        f"threshold: {escaped(block['threshold'])}",
        f"evidence: [{escaped(names[evidence])}](#{_anchor(evidence)})",
    ]
    if block["figure"] is not None:
        told.insert(0, f"measured: {escaped(shown(block['figure'], block['format']))}")
    name = f"{MARKS[severity]} {severity.capitalize()} finding {block['number']}."
    return [f"> **{name}** {escaped(block['text'])}", ">", f"> {'; '.join(told)}."]


def _text(block: Mapping[str, Any], _names: Mapping[str, str]) -> list[str]:
    text = escaped(block["text"])
    return [{"subheading": f"### {text}", "headline": f"> {text}", "note": f"_{text}_"}.get(block["style"], text)]


_BLOCKS = {"table": _table, "figure": _figure, "finding": _finding, "text": _text}

"""The one theme, as plain values: what matplotlib, HTML, PDF and Word take their colours and fonts from.

Colours of groups are those of Okabe and Ito (2008), ordered so that the first ones differ in lightness as well as in hue.
Every colour of text has a contrast of 4.5 or more on the paper it stands on (WCAG 2.2, level AA).
"""

from __future__ import annotations

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
#: text and axes; secondary text; lines of the grid; estimates that are not distinguishable from "no effect"
INK, MUTED, GRID, NEUTRAL = "#1f2933", "#5b6770", "#e1e6ea", "#8a949e"
#: what figures stand on; they are drawn transparent, so it is used for halos of letters only
PAPER = "#ffffff"

#: documents in the light theme (print, Word)
LIGHT = {
    "paper": PAPER, "ink": INK, "muted": "#52606d", "line": "#cbd5dd", "faint": "#e6ebef", "accent": "#0b4f8a",
    "tint": "#eef4fb", "amber": "#8f4700", "amber_tint": "#fdf4e3", "red": "#a61b12", "red_tint": "#fdecea",
}  # fmt: skip
#: and in the dark one (screens)
DARK = {
    "paper": "#14181d", "ink": "#e4e8ec", "muted": "#a3adb7", "line": "#3d4751", "faint": "#2a323a", "accent": "#7cb8ee",
    "tint": "#1c2732", "amber": "#f0b24a", "amber_tint": "#2e2716", "red": "#f28b80", "red_tint": "#331e1c",
}  # fmt: skip
#: colour of a figure → the one it has in the dark theme
FIGURE_DARK = {INK: DARK["ink"], MUTED: DARK["muted"], GRID: "#323b44", PAPER: DARK["paper"], PALETTE[0]: "#56a9e0"}

#: the font of figures, which matplotlib ships, and fonts for the scripts it lacks, taken where they are installed
FIGURE_FONT = "DejaVu Sans"
SCRIPT_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "Hiragino Sans GB",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "SimHei", "Noto Sans CJK JP", "Yu Gothic", "Malgun Gothic",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil",
    "Noto Sans Thai", "Nirmala UI", "Leelawadee UI", "Arial Unicode MS",
)  # fmt: skip
#: text of documents, from the first that the reader's machine has; Word takes the first name it knows
TEXT_FONTS = ("Source Sans 3", "Noto Sans", "Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", FIGURE_FONT)
WORD_FONT = "Calibri"

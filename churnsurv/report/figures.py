"""From a drawing to a Figure of the report: SVG text that is the same for the same numbers, in light and dark.

Letters are outlines, so that a figure looks the same everywhere. Where the fonts of this machine lack a character, the
letters of that figure stay text: the reader's machine draws them with its own fonts (docs/decisions/0017).
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import matplotlib as mpl
from matplotlib.text import Text as Label

from churnsurv.plot import theme
from churnsurv.plot.fonts import without_glyph
from churnsurv.plot.palette import FIGURE_DARK
from churnsurv.report.content import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

#: letters of a line of a label in a drawing
_LONGEST = 80
#: points that a drawing may be wide: on an A4 page, 504 points between the margins, its letters of 9 points are then printed
#: with 7.8 or more (in Word, with 482 points, 7.5)
WIDEST = 578.0
#: inches that axes are not made narrower than
_NARROWEST = 2.2
#: share of the width of a drawing that its axes have
_AXES = 0.775


def drawn(
    key: str,
    title: str,
    draw: Callable[[Axes], object],
    *,
    alt: str,
    caption: str = "",
    width: float = 7.0,
    height: float = 3.8,
) -> Figure:
    """Give the figure that `draw` makes on new axes of the given size (inches)."""
    svg = ""
    # words beside the axes make a drawing wider than asked: the axes give way, the letters do not
    while not svg or (_width(svg) > WIDEST and width > _NARROWEST):
        width = max(width - (_width(svg) - WIDEST) / 72 / _AXES, _NARROWEST) if svg else width
        with theme.themed():
            figure, ax = theme.figure(width, height)
            draw(ax)
            svg = _svg(figure)
    return Figure(key, title, _with_dark_colours(svg), alt, caption)


def _width(svg: str) -> float:
    """Give the width of a drawing in points."""
    found = re.search(r'<svg[^>]*?\swidth="([\d.]+)pt"', svg)
    return float(found[1]) if found else 0.0


def drawn_row(
    key: str,
    title: str,
    draw: Callable[[list[Axes]], object],
    *,
    panels: int,
    width: float,
    height: float,
    alt: str,
    caption: str = "",
    share_y: bool = False,
) -> Figure:
    """Give the figure that `draw` makes on several new axes beside each other (inches in all)."""
    with theme.themed():
        axes = theme.row(panels, width, height, share_y=share_y)
        draw(axes)
        svg = _svg(cast("Drawing", axes[0].figure))
    return Figure(key, title, _with_dark_colours(svg), alt, caption)


def _svg(figure: Drawing) -> str:
    """Give the drawing as outlines, or with its letters as text where a glyph is missing."""
    _shorten(figure)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        svg = _saved(figure, 0.04)
    missing = [w for w in caught if "missing from font" in str(w.message)]
    for warning in caught:
        if warning not in missing:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if not missing:
        return svg
    # matplotlib measures an unknown character as an empty box of 0.6 em; a Chinese one is 1 em wide
    labels = [(label.get_fontsize(), len(without_glyph(label.get_text()))) for label in figure.findobj(Label)]
    room = 0.4 * max(float(size) * n for size, n in labels) / 72
    with mpl.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*missing from font")
        return _saved(figure, 0.04 + room)


def _shorten(figure: Drawing) -> None:
    """Cut labels that would make the drawing wider than any page; tables and words hold them in full."""
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        ticks = [label.get_text() for label in axis.get_ticklabels()]
        if any(_short(text) != text for text in ticks):
            axis.set_ticks(axis.get_ticklocs(), [_short(text) for text in ticks])
    for label in figure.findobj(Label):
        if isinstance(label, Label) and label.get_text() != (short := _short(label.get_text())):
            label.set_text(short)


def _short(text: str) -> str:
    lines = text.split("\n")
    return "\n".join(line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…" for line in lines)


def _saved(figure: Drawing, margin: float) -> str:
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None}
    figure.savefig(buffer, format="svg", bbox_inches="tight", pad_inches=margin, metadata=nothing)
    return buffer.getvalue()


def _with_dark_colours(svg: str) -> str:
    """Drop the XML prologue and add rules for viewers in dark mode (images follow the page's colour scheme)."""
    # comments repeat each label; a label that is text may look like one only escaped
    svg = re.sub(r"\s*<!--.*?-->|\n\s+", lambda m: "" if "<!--" in m[0] else "\n", svg, flags=re.DOTALL)
    start = svg.index("<svg")
    first = svg.index(">", start) + 1
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
        for light, dark in FIGURE_DARK.items()
        for kind in ("fill", "stroke")
    )
    # letters that are text say no colour where it is black
    rules += f'text:not([style*="fill:"]){{fill:{FIGURE_DARK[theme.INK]}}}' if "<text" in svg else ""
    style = f"<style>@media screen and (prefers-color-scheme: dark){{{rules}}}</style>"
    return svg[start:first] + style + svg[first:]

"""From a drawing to a Figure of the report: SVG text that is the same for the same numbers, in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from churnsurv.plot import theme
from churnsurv.report.content import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: colour in the light theme → in the dark one, applied by the viewer of the image
_DARK = {
    theme.INK: "#e4e8ec",
    theme.MUTED: "#a3adb7",
    theme.GRID: "#323b44",
    theme.PAPER: "#14181d",
    theme.PALETTE[0]: "#56a9e0",
}


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
    with theme.themed():
        figure, ax = theme.figure(width, height)
        draw(ax)
        buffer = io.StringIO()
        figure.savefig(
            buffer, format="svg", bbox_inches="tight", pad_inches=0.04, metadata={"Date": None, "Creator": None}
        )
    return Figure(key, title, _with_dark_colours(buffer.getvalue()), alt, caption)


def _with_dark_colours(svg: str) -> str:
    """Drop the XML prologue and add rules for viewers in dark mode (images follow the page's colour scheme)."""
    svg = re.sub(r"\s*<!--.*?-->|\n\s+", lambda m: "" if "<!--" in m[0] else "\n", svg, flags=re.DOTALL)
    start = svg.index("<svg")
    first = svg.index(">", start) + 1
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
        for light, dark in _DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media screen and (prefers-color-scheme: dark){{{rules}}}</style>"
    return svg[start:first] + style + svg[first:]

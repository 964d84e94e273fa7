"""Which characters the fonts of this machine can draw.

Figures are drawn with the font that matplotlib ships and, character by character, with fonts of :data:`SCRIPT_FONTS` for
the scripts it lacks. What no font has is not drawn as empty boxes: see :func:`churnsurv.report.figures.drawn`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from churnsurv.plot.palette import FIGURE_FONT, SCRIPT_FONTS


def families() -> list[str]:
    """Give the font of figures and the installed ones of other scripts, in the order in which they are asked."""
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return [FIGURE_FONT, *(name for name in SCRIPT_FONTS if name in installed)]


def without_glyph(texts: Iterable[str]) -> list[str]:
    """Give the characters that no font of this machine has, sorted; controls and spaces are not characters here.

    >>> without_glyph(["Consumer loan, кредит, عقد, Ελλάδα"])
    []
    """
    missing = {c for text in texts for c in text if not c.isascii() and (c.isprintable() and not c.isspace())}
    own = font_manager.findfont(FIGURE_FONT)
    # the last resort, which matplotlib ships, has a box with a name for every character, and no letters
    others = (e.fname for e in font_manager.fontManager.ttflist if not e.name.startswith("Last Resort"))
    for path in dict.fromkeys([own, *others]):
        if not missing:
            break
        known = _characters(path)
        missing = {c for c in missing if ord(c) not in known}
    return sorted(missing)


@lru_cache(maxsize=4096)
def _characters(path: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        # a file in the list that is gone or no font draws nothing
        return frozenset()

"""A figure as pixels, for Word, which draws no SVG of its own everywhere: by resvg, the same bytes for the same figure."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from churnsurv.plot.palette import FIGURE_FONT, PAPER

#: pixels per inch of SVG, which counts 96 of its own to the inch; 200 dots per inch of paper
DPI = 200


def png_of(svg: str) -> bytes:
    """Give the drawing as PNG on white, in the light theme."""
    from resvg_py import svg_to_bytes

    # letters are outlines, unless a font lacked them
    has_text = "<text" in svg
    fonts = [str(Path(mpl.get_data_path()) / "fonts" / "ttf")] if has_text else None
    return bytes(
        svg_to_bytes(
            svg_string=svg,
            background=PAPER,
            dpi=96,
            zoom=DPI / 96,
            skip_system_fonts=not has_text,
            font_dirs=fonts,
            sans_serif_family=FIGURE_FONT,
        )
    )

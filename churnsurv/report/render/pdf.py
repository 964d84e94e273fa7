"""The report as PDF: the HTML page in its print style, by WeasyPrint, or by a Chromium that is installed.

WeasyPrint gives the same bytes for the same report, tags for screen readers and bookmarks; Chromium writes the time into
the file, so its bytes differ from run to run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl

from churnsurv.exceptions import ConfigError
from churnsurv.plot.palette import FIGURE_FONT
from churnsurv.report.render.html import render_html

#: names under which a browser that prints may be installed
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
_SECONDS = 120
#: words of many lines
_LONG = re.compile(r"\S{121,}")


@cache
def weasyprint_works() -> bool:
    """Whether WeasyPrint is installed together with the system's libraries that it needs (Pango)."""
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def browser() -> str | None:
    """Give the path of a Chromium, None where there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def render_pdf(document: Mapping[str, Any]) -> bytes:
    """Give the report as PDF from its JSON form."""
    html, found = render_html(with_short_words(document)), browser()
    if weasyprint_works():
        try:
            made = _by_weasyprint(html, document)
        # whatever WeasyPrint stumbles over, a browser may print
        except Exception as error:
            if found is None:
                raise ConfigError(f"WeasyPrint made no PDF of the report ({type(error).__name__}: {error}).") from error
            made = by_chromium(html, found)
    elif found is None:
        raise ConfigError("PDF needs WeasyPrint (pip install 'churnsurv[report]') or an installed Chromium.")
    else:
        made = by_chromium(html, found)
    # a comment after the end, by which a later run knows its own file
    return made.rstrip(b"\n") + f"\n% {document['schema']}\n".encode()


def with_short_words(value: Any, key: str = "") -> Any:
    """Give the document with endless words cut, which WeasyPrint takes minutes to set; the other formats hold them whole.

    >>> len(with_short_words({"label": "x" * 5_000})["label"])
    120
    """
    if isinstance(value, str):
        return value if key == "svg" else _LONG.sub(lambda word: word[0][:119] + "…", value)
    if isinstance(value, Mapping):
        return {name: with_short_words(item, name) for name, item in value.items()}
    return [with_short_words(item) for item in value] if isinstance(value, list | tuple) else value


def _by_weasyprint(html: str, document: Mapping[str, Any]) -> bytes:
    from weasyprint import CSS, HTML
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import URLFetcher

    fonts = FontConfiguration()
    with _date_of(document["as_of"]):
        # the page fetches what it holds itself; files are for the fonts of our own sheet only
        sheet = CSS(string=_own_fonts(), font_config=fonts, url_fetcher=URLFetcher(allowed_protocols=["file"]))
        page = HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=["data"]))
        return bytes(page.write_pdf(stylesheets=[sheet], font_config=fonts, pdf_tags=True))


def _own_fonts() -> str:
    """Give the font that matplotlib ships as the last one asked, for machines (containers) without any."""
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    faces = (("", "normal", "normal"), ("-Bold", "bold", "normal"), ("-Oblique", "normal", "italic"))
    return "".join(
        f'@font-face{{font-family:"{FIGURE_FONT}";font-weight:{weight};font-style:{style};'
        f'src:url("{(folder / f"DejaVuSans{name}.ttf").as_uri()}")}}'
        for name, weight, style in faces
    )


@contextmanager
def _date_of(as_of: str) -> Iterator[None]:
    """Let the date inside files be that of the data, not the clock's, unless the caller has set it."""
    name = "SOURCE_DATE_EPOCH"
    before = os.environ.get(name)
    if before is None:
        os.environ[name] = str(max(0, int(_midnight(as_of).timestamp())))
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def _midnight(as_of: str) -> datetime:
    try:
        return datetime.fromisoformat(as_of).replace(tzinfo=UTC)
    except ValueError:
        return datetime(2000, 1, 1, tzinfo=UTC)


def by_chromium(html: str, program: str) -> bytes:
    """Print a page with Chromium, without a network and with a profile of its own that is deleted."""
    with tempfile.TemporaryDirectory() as folder:
        page, made = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html, encoding="utf-8")
        command = [
            program, "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            f"--user-data-dir={folder}/profile", "--no-pdf-header-footer", "--generate-pdf-document-outline",
            f"--print-to-pdf={made}",
        ]  # fmt: skip
        # the sandbox does not run as root; the page has no script
        root = getattr(os, "geteuid", lambda: 1)() == 0
        command += ["--no-sandbox"] if root else []
        try:
            subprocess.run([*command, page.as_uri()], capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"{program} made no PDF of the report ({error}). Install WeasyPrint instead.") from None
        if not made.exists():
            raise ConfigError(f"{program} made no PDF of the report. Install WeasyPrint instead.")
        return made.read_bytes()

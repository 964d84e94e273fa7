"""Labels in any script: drawn where a font has the letters, left as text and told of where none has."""

import warnings

import matplotlib as mpl
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from churnsurv.plot import fonts
from churnsurv.plot.palette import FIGURE_FONT, SCRIPT_FONTS
from churnsurv.report.render import output_findings, write
from churnsurv.report.render.html import render_html
from churnsurv.report.render.pdf import render_pdf, weasyprint_works
from tests.report.sample import bars, sample

CHINESE, ARABIC, CYRILLIC = "消费贷款", "قرض عقد", "Потребительский кредит"


@pytest.fixture
def few_fonts(monkeypatch):
    """Only the fonts that matplotlib ships."""
    own = [entry for entry in font_manager.fontManager.ttflist if entry.fname.startswith(mpl.get_data_path())]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)


@pytest.fixture
def chinese_font(few_fonts, tmp_path, monkeypatch):
    """A font with the letters of the label, squares all of them, under a name that figures ask for."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0)), pen.lineTo((100, 800)), pen.lineTo((900, 800)), pen.lineTo((900, 0)), pen.closePath()
    names = [".notdef", *(f"u{ord(c):X}" for c in CHINESE)]
    made = FontBuilder(1000)
    made.setupGlyphOrder(names)
    made.setupCharacterMap({ord(c): f"u{ord(c):X}" for c in CHINESE})
    made.setupGlyf(dict.fromkeys(names, pen.glyph()))
    made.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": SCRIPT_FONTS[0], "styleName": "Regular"})
    made.setupOS2()
    made.setupPost()
    file = tmp_path / "squares.ttf"
    made.save(file)
    font_manager.fontManager.addfont(file)
    return file


@pytest.mark.parametrize("label", [CYRILLIC, ARABIC, "Ελλάδα", "עברית", "ação – naïve"])
def test_scripts_of_the_shipped_font_are_outlines_without_a_warning(few_fonts, label):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = bars([label, "South"])
    assert "<text" not in figure.svg
    assert output_findings(sample(label, figure=figure).to_dict(), ("html",)) == []


def test_a_label_without_a_font_stays_text_and_is_an_amber_finding(few_fonts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = bars([CHINESE, "South"])
    assert f">{CHINESE}</text>" in figure.svg
    found = output_findings(sample(CHINESE, figure=figure).to_dict(), ("html",))
    assert [f["severity"] for f in found] == ["amber"]
    assert found[0]["figure"] == len(set(CHINESE))
    assert "Noto Sans CJK" in found[0]["text"]


def test_a_label_that_only_a_figure_has_is_found_too(few_fonts):
    figure = bars([CHINESE, "South"])
    assert output_findings(sample("North", figure=figure).to_dict(), ("html",))[0]["figure"] == len(set(CHINESE))


def test_a_figure_with_text_has_room_for_letters_wider_than_measured(few_fonts):
    wide, narrow = (
        float(bars([label, "South"]).svg.split('viewBox="0 0 ')[1].split()[0]) for label in (CHINESE, "abcd")
    )
    # four letters of up to 1 em, measured as boxes of 0.6 em: 0.4 em of 9 points for each, on both sides
    assert wide > narrow + 2 * 4 * 0.4 * 9 * 0.9


def test_an_installed_font_of_the_script_draws_the_label(chinese_font):
    assert fonts.families() == [FIGURE_FONT, SCRIPT_FONTS[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = bars([CHINESE, "South"])
    assert "<text" not in figure.svg
    assert output_findings(sample(CHINESE, figure=figure).to_dict(), ("html",)) == []


def test_html_holds_the_letters_whatever_fonts_there_are(few_fonts):
    html = render_html(sample(f"{CHINESE} {ARABIC} {CYRILLIC}").to_dict())
    assert html.count(f"{CHINESE} {ARABIC} {CYRILLIC}") > 20


@pytest.mark.skipif(not weasyprint_works(), reason="WeasyPrint or its library Pango is not installed")
def test_the_text_of_the_pdf_can_be_searched_in_scripts_that_have_a_font(tmp_path):
    from pypdf import PdfReader

    file = tmp_path / "report.pdf"
    file.write_bytes(render_pdf(sample(CYRILLIC).to_dict()))
    assert CYRILLIC in " ".join(PdfReader(file).pages[0].extract_text().split())


def test_a_report_without_the_font_is_still_written(few_fonts, tmp_path):
    files = write(sample(CHINESE).to_dict(), tmp_path / "r", ("html", "docx", "md", "json"), force=False)
    assert set(files) == {"html", "docx", "md", "json"}
    assert "in no font of the machine" in files["md"].read_text(encoding="utf-8")

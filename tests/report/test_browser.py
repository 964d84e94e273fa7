"""The HTML report in a real browser: quiet, self-contained, accessible, and readable on a phone."""

import json

import pytest

from churnsurv.report.render.html import render_html
from churnsurv.report.render.pdf import browser
from tests.conftest import REPORTS
from tests.report.sample import EVIL, sample

websocket = pytest.importorskip("websocket", reason="websocket-client is not installed")
PROGRAM = browser()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed")

#: wider than the window, outside a box that scrolls
SPILLING = """
[...document.body.querySelectorAll("*")].filter(e => {
  const box = e.getBoundingClientRect();
  return box.right > innerWidth + 1 && box.width > 0 && !e.closest(".scroll, .skip, .unseen");
}).map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40))
"""


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    from tests.report.devtools import Browser

    made = Browser(PROGRAM, tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="module", params=["shipped", "awkward"])
def address(request, tmp_path_factory):
    """The shipped report, and the small one with awkward texts, as files."""
    if request.param == "shipped":
        document = json.loads((REPORTS / "sample" / "2026Q3" / "report.json").read_text(encoding="utf-8"))
    else:
        document = sample(EVIL + "W" * 60).to_dict()
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render_html(document), encoding="utf-8")
    return file.as_uri()


def test_the_page_is_quiet_and_asks_for_nothing(window, address):
    window.open(address)
    assert window.said() == []
    assert [url for url in window.asked() if not url.startswith("data:image/svg+xml")] == [address]


def test_every_image_is_shown_and_described(window, address):
    window.open(address)
    images = window.evaluate("[...document.images].map(i => [i.alt, i.complete, i.naturalWidth])")
    assert images
    assert all(len(alt) > 10 and complete and width > 100 for alt, complete, width in images)


def test_every_header_of_a_table_has_its_scope_and_every_table_its_caption(window, address):
    window.open(address)
    assert window.evaluate('document.querySelectorAll("th:not([scope])").length') == 0
    assert window.evaluate('document.querySelectorAll("th").length') > 20
    assert window.evaluate('[...document.querySelectorAll("table")].every(t => t.caption && t.caption.textContent)')


def test_the_navigation_moves_to_every_section(window, address):
    window.open(address)
    links = window.evaluate('[...document.querySelectorAll("nav a")].map(a => a.getAttribute("href"))')
    assert len(links) == window.evaluate('document.querySelectorAll("main > section").length')
    window.evaluate('document.documentElement.style.scrollBehavior = "auto"')
    for position, link in enumerate(links):
        window.evaluate(f'document.querySelectorAll("nav a")[{position}].click()')
        assert window.evaluate("location.hash") == link
        top = window.evaluate("document.querySelector(location.hash).getBoundingClientRect().top")
        at_end = window.evaluate("scrollY + innerHeight >= document.documentElement.scrollHeight - 2")
        assert at_end or abs(top) < 100


def test_every_link_leads_to_an_anchor(window, address):
    window.open(address)
    lost = '[...document.links].map(a => a.getAttribute("href").slice(1)).filter(id => !document.getElementById(id))'
    assert window.evaluate(lost) == []
    ids = window.evaluate('[...document.querySelectorAll("[id]")].map(e => e.id)')
    assert len(ids) == len(set(ids))


def test_the_contents_stay_beside_the_text_on_a_wide_screen(window, address):
    window.open(address, width=1500)
    window.evaluate("scrollTo(0, 2000)")
    box = window.evaluate(
        '(() => { const b = document.querySelector("nav").getBoundingClientRect(); return [b.top, b.right] })()'
    )
    text = window.evaluate('document.querySelector("main").getBoundingClientRect().left')
    assert 0 <= box[0] < 100
    assert box[1] <= text


@pytest.mark.parametrize("width", [400, 800])
def test_a_narrow_page_does_not_scroll_sideways(window, address, width):
    window.open(address, width=width)
    assert window.evaluate("document.documentElement.scrollWidth") <= width
    assert window.evaluate(SPILLING) == []
    smallest = window.evaluate(
        'Math.min(...[...document.querySelectorAll("p, td, th, li")].map(e => parseFloat(getComputedStyle(e).fontSize)))'
    )
    assert smallest >= 13


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast_on_its_ground_in_light_and_dark(window, address, dark):
    window.open(address, dark=dark)
    code = """
    (() => {
      const parts = c => c.match(/[\\d.]+/g).map(Number);
      const light = c => { const v = parts(c).slice(0, 3).map(x => x / 255).map(
        x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
      const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if ((parts(c)[3] ?? 1) > 0) return c; } return "rgb(255, 255, 255)"; };
      return Math.min(...[...document.querySelectorAll("p, td, th, li, a, h1, h2, h3, dt, dd, strong, .mark")].map(e => {
        const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
        return (a + .05) / (b + .05); }));
    })()
    """
    # WCAG 2.2, success criterion 1.4.3 (level AA)
    assert window.evaluate(code) >= 4.5

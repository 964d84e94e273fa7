import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.report import quarterly, read_config
from churnsurv.report.analysis import noticed
from churnsurv.report.render import render_json
from churnsurv.report.render.html import render_html
from churnsurv.report.sections.attrition import attrition
from churnsurv.report.sections.by_quarter import exits_by_quarter
from churnsurv.report.sections.interventions import interventions
from churnsurv.report.words import ratio_sentence, ratio_words
from tests.conftest import REPORTS
from tests.report.quick import only

SECTIONS = [
    "summary", "sign-off", "definitions", "portfolio", "attrition", "hazard-ratios", "assumptions", "evaluation",
    "calibration", "stability", "backtest", "challengers", "scenarios", "fairness", "interventions", "overrides",
    "limitations", "provenance",
]  # fmt: skip


@pytest.fixture(scope="module")
def document(small_report):
    return small_report.to_dict()


@pytest.fixture(scope="module")
def html(document):
    return render_html(document)


@pytest.fixture(scope="module")
def analysis(small_analysis):
    return small_analysis


def with_frame(analysis, frame, **changes):
    """The analysis with other spells, and nothing computed yet."""
    return replace(analysis, spells=replace(analysis.spells, frame=frame), **changes)


def block(document, key):
    return next(b for s in document["sections"] for b in s["blocks"] if b.get("key") == key)


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def of(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_report_has_its_sections_in_order(document):
    assert [s["key"] for s in document["sections"]] == SECTIONS


def test_loans_in_are_loans_out(document):
    table = block(document, "reconciliation")
    loans = {
        name: [row[1] for row, group in zip(table["rows"], table["groups"], strict=True) if group == name]
        for name in table["groups"]
    }
    given, analysed = loans.pop("Given"), loans.pop("Analysed, by how they ended")
    assert given == [1_200]
    assert analysed[0] == sum(analysed[1:])
    assert analysed[0] + sum(loans.get("Left out", [0])) == 1_200


def test_exits_by_quarter_add_up_to_the_exits_of_the_spells(analysis):
    table = exits_by_quarter(analysis.spells, 0.95)
    assert table["attrition"].sum() == (analysis.spells.frame["cause"] == "attrition").sum()
    assert table["exposure"].sum() == pytest.approx(len(analysis.spells.frame) / 12)
    rate, lower, upper = (table[f"attrition {name}"] for name in ("rate", "lower", "upper"))
    assert ((lower <= rate) & (rate <= upper)).all()


def test_ratios_in_the_report_are_those_of_a_fit_by_hand(document, analysis):
    X = analysis.complete.X[list(analysis.config.model.covariates)]
    model = cs.CoxPH(cause="attrition").fit(X, analysis.complete.y, cluster=analysis.complete.groups)
    row = next(r for r in block(document, "ratios-attrition")["rows"] if r[0] == "Rate incentive")
    expected = model.summary().loc["rate_incentive"]
    np.testing.assert_allclose(row[2], expected["hazard_ratio"])
    np.testing.assert_allclose(row[3], [expected["hr_lower"], expected["hr_upper"]])


def test_the_offer_compares_the_arms_as_assigned_on_time_since_assignment(document, small_folder):
    assignments = pd.read_parquet(small_folder / "interventions.parquet")
    arms = assignments[assignments["intervention"] == "rate_offer"].set_index("loan_id")["arm"]
    rows = {row[0]: row for row in block(document, "rate-offer-arms")["rows"]}
    assert rows["offer"][1] == (arms == "offer").sum()
    assert rows["hold out"][1] == (arms == "hold_out").sum()
    measures = [row[0] for row in block(document, "rate-offer-effects")["rows"]]
    assert "Hazard ratio of attrition" in measures
    assert "Fewer by attrition per 1,000 loans within 12 months" in measures
    assert any(m.startswith("Months not lost to attrition") for m in measures)


def test_evaluation_gives_both_models_with_intervals_and_the_null_model(document):
    discrimination, accuracy = block(document, "discrimination"), block(document, "accuracy")
    assert [row[0] for row in discrimination["rows"]][:3] == ["Cox", "Monthly hazards", "Forest"]
    for row in discrimination["rows"]:
        assert row[2][0] < row[1] < row[2][1]
        assert row[4][0] < row[3] < row[4][1]
    for row in accuracy["rows"]:
        assert row[2][0] < row[1] < row[2][1]
        assert 0 < row[3] < 1


def test_provenance_holds_hashes_and_versions_but_no_path(document, small_folder, html):
    record = document["provenance"]
    assert set(record["files"]) == {"loans", "performance", "macro", "interventions"}
    assert all(re.fullmatch("[0-9a-f]{64}", f["sha256"]) for f in record["files"].values())
    assert record["versions"]["churnsurv"] == cs.__version__
    assert str(small_folder) not in render_json(document)
    assert str(small_folder) not in html


def test_no_customer_or_loan_is_named(document, small_folder):
    loans = pd.read_parquet(small_folder / "loans.parquet")
    words = set(re.findall(r"\d{6,}", re.sub(r'"svg": ".*?(?<!\\)"', "", render_json(document))))
    assert not words & {str(v) for v in [*loans["loan_id"], *loans["customer_id"]]}


def test_small_counts_are_suppressed_with_what_could_be_computed_from_them(document):
    for key in ("by-vintage", "by-segment", "by-region"):
        table = block(document, key)
        for row in table["rows"]:
            assert not any(isinstance(n, int) and 0 < n < 5 for n in row[1:4])
            if row[2] == "<5":
                assert row[5] is None
                assert row[6] is None


def test_html_asks_for_nothing_from_outside(html):
    tags = Tags(html)
    urls = [v for _, attributes in tags.tags for k, v in attributes.items() if k in ("src", "href", "action", "data")]
    assert all(url.startswith(("data:image/svg+xml;base64,", "#")) for url in urls)
    assert not tags.of("script")
    assert not tags.of("link")
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_every_image_has_alt_text_and_every_header_a_scope(html):
    tags = Tags(html)
    assert len(tags.of("img")) >= 5
    assert all(len(image["alt"]) > 20 for image in tags.of("img"))
    assert tags.of("th")
    assert all(th.get("scope") in ("col", "colgroup", "row", "rowgroup") for th in tags.of("th"))


def test_every_link_of_the_navigation_leads_somewhere(html):
    tags = Tags(html)
    ids = [attributes["id"] for _, attributes in tags.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"].removeprefix("#") for a in tags.of("a")}
    assert targets <= set(ids)
    assert set(SECTIONS) <= targets


def test_every_reference_is_resolved_and_every_number_distinct(document, html):
    assert "{ref:" not in html
    for kind in ("table", "figure"):
        numbers = [b["number"] for s in document["sections"] for b in s["blocks"] if b["kind"] == kind]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_sentence_says_when_the_interval_includes_one():
    row = {"hazard_ratio": 0.9, "hr_lower": 0.7, "hr_upper": 1.2}
    sentence = ratio_sentence("The offer", row, "HR 0.90", "attrition")
    assert "no distinguishable difference" in sentence
    assert "includes 1" in sentence
    assert "30% lower to 20% higher" in sentence
    assert "lower hazard" in ratio_words(row | {"hr_upper": 0.95}, "attrition")
    assert ratio_words({"hazard_ratio": 3, "hr_lower": 2, "hr_upper": 4}, "x") == "hazard of x 3.0 times as high"


def test_a_category_with_markup_stays_text(analysis):
    evil = '<script>alert("segment")</script>'
    part = noticed(attrition, with_frame(analysis, analysis.spells.frame.assign(segment=evil)))
    made = cs.report.Report("t", "p", "d", (), (part.section,))
    assert evil in render_json(made.to_dict()).replace('\\"', '"')
    assert "<script" not in render_html(made.to_dict())


def test_an_effect_on_the_safety_cause_is_a_red_finding(analysis):
    config = analysis.config
    frame = analysis.spells.frame.copy()
    treated = pd.read_parquet(config.data.interventions).query("arm == 'offer'")["loan_id"]
    late = frame["period"] > "2025-09-30"
    # a third of the treated loans default at their last sight
    last = (
        ~frame.duplicated("loan_id", keep="last") & late & frame["loan_id"].isin(treated) & (frame["cause"] == "open")
    )
    frame.loc[frame.index[last][::3], "cause"] = "default"
    offer = with_frame(analysis, frame, config=config.model_copy(update={"interventions": config.interventions[:1]}))
    part = noticed(interventions, offer)
    found = [b for b in part.section.blocks if isinstance(b, cs.report.Finding)]
    assert "Rate offer goes with more default" in found[0].text
    assert found[0].severity == "red"


def test_a_sign_contrary_to_expectation_is_a_finding(small_config):
    config = read_config(small_config)
    term = config.terms["rate_incentive"].model_copy(update={"expected": {"attrition": "-"}})
    wrong = config.model_copy(
        update={
            "terms": {**config.terms, "rate_incentive": term},
            "sections": only(config, "hazard-ratios"),
        }
    )
    made = quarterly.build(wrong)
    (found,) = [f for f in made.findings if f.evidence == "ratios-attrition"]
    assert found.severity == "amber"
    assert "Rate incentive" in found.text


@pytest.mark.parametrize("quarter", ["2026Q2", "2026Q3"])
def test_the_sample_has_the_structure_of_a_report_made_now(document, quarter):
    folder = REPORTS / "sample" / quarter
    sample = json.loads((folder / "report.json").read_text(encoding="utf-8"))

    def outline(report):
        return [
            (s["key"], s["title"], [b["kind"] for b in s["blocks"] if b["kind"] in ("table", "figure")])
            for s in report["sections"]
            if s["key"] != "changes"
        ]

    assert sample["schema"] == document["schema"]
    assert [s[:2] for s in outline(sample)] == [s[:2] for s in outline(document)]
    assert (folder / "report.html").read_text(encoding="utf-8") == render_html(sample)


def test_the_second_quarter_of_the_sample_is_compared_with_the_first():
    earlier, later = ((REPORTS / "sample" / quarter / "report.json").read_bytes() for quarter in ("2026Q2", "2026Q3"))
    record = json.loads(later)["provenance"]["previous"]
    assert record["period"] == "2026 Q2"
    assert record["sha256"] == hashlib.sha256(earlier).hexdigest()

import numpy as np
import pytest

from churnsurv.exceptions import DataError
from churnsurv.report import Finding, quarterly, read_config
from churnsurv.report.analysis import analyse
from churnsurv.report.contents import CHAPTERS, made, without_ids
from churnsurv.report.settings import Sections

CHAPTER = {chapter.key: chapter for chapter in CHAPTERS}


@pytest.fixture(scope="module")
def config(small_config):
    return read_config(small_config).model_copy(update={"evaluation": None, "interventions": ()})


@pytest.fixture(scope="module")
def analysis(config):
    return analyse(config)


def test_every_section_has_its_switch_and_no_switch_is_without_section():
    assert [chapter.key.replace("-", "_") for chapter in CHAPTERS] == list(Sections.model_fields)


class TestAFailingSection:
    def failing(self, error):
        def make(analysis):
            raise error

        return CHAPTER["attrition"]._replace(make=make)

    def test_becomes_a_red_finding_with_the_reason(self, analysis):
        part = made(self.failing(DataError("Column 'csat' is empty: fill it in.")), analysis)
        (finding,) = part.section.blocks
        assert isinstance(finding, Finding)
        assert (finding.severity, finding.evidence) == ("red", part.section.key)
        assert "Column 'csat' is empty: fill it in." in finding.text

    def test_of_an_unforeseen_kind_is_told_to_be_a_fault_of_the_software(self, analysis):
        part = made(self.failing(np.linalg.LinAlgError("Singular matrix")), analysis)
        assert "LinAlgError: Singular matrix (a fault of churnsurv" in part.section.blocks[0].text

    def test_leaves_the_rest_of_the_report(self, config, monkeypatch):
        chapters = [CHAPTER["portfolio"], self.failing(DataError("no")), CHAPTER["hazard-ratios"]]
        monkeypatch.setattr(quarterly, "chapters_of", lambda config: chapters)
        report = quarterly.build(config)
        assert [s.key for s in report.sections] == ["summary", "portfolio", "attrition", "hazard-ratios"]
        assert len(report.sections[1].blocks) > 3
        assert len(report.sections[3].blocks) > 3
        assert "red" in [finding.severity for finding in report.findings]

    def test_tells_no_identifier_of_a_loan_or_customer(self, analysis):
        loan, customer = analysis.spells.frame.loc[0, ["loan_id", "customer_id"]]
        told = without_ids(f"3 loans ({loan}, 'x') of customer {customer} within 12 months.", analysis)
        assert str(loan) not in told
        assert "[id]" in told
        assert "within 12 months." in told


def test_a_model_that_cannot_be_fitted_leaves_the_sections_without_it(config):
    terms = {**config.terms}
    model = config.model.model_copy(
        update={"covariates": ("rate_incentive", "term"), "formula": "rate_incentive + missing"}
    )
    report = quarterly.build(config.model_copy(update={"model": model, "terms": terms}))
    assert ("Model", "could not be fitted") in report.facts
    red = [finding for finding in report.findings if finding.severity == "red"]
    assert [finding.evidence for finding in red] == ["hazard-ratios"]

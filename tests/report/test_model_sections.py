"""The sections on the specification and hazard ratios, and on the assumptions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import ConfigError
from churnsurv.report import Figure, Finding, Table, read_config
from churnsurv.report.analysis import Analysis
from churnsurv.report.sections.assumptions import assumptions, examined, sampled
from churnsurv.report.sections.hazard_extras import baseline, beside, curves, fine_gray, typical_loan, univariable
from churnsurv.report.sections.hazards import hazards
from churnsurv.report.sections.specification import specification

FEW = ("rate_incentive", "credit_score", "faster_service")


@pytest.fixture(scope="module")
def whole(small_analysis):
    return small_analysis


def changed(analysis, *, spells=None, **tables):
    """The analysis with other settings: table → changed keys."""
    config = analysis.config
    update = {name: getattr(config, name).model_copy(update=keys) for name, keys in tables.items()}
    used = analysis.spells if spells is None else spells
    return Analysis(config.model_copy(update=update), analysis.tables, used, used.complete())


@pytest.fixture(scope="module")
def analysis(whole):
    """Three covariates, two of them numeric: quick to examine."""
    model = {"covariates": FEW, "univariable": True, "fine_gray": True}
    return changed(whole, model=model, assumptions={"figures": 0})


def block(blocks, key):
    return next(b for b in blocks if getattr(b, "key", None) == key)


def texts(blocks):
    return " ".join(b.text for b in blocks if hasattr(b, "text"))


def column(table, name):
    at = [c.name for c in table.columns].index(name)
    return {row[0]: row[at] for row in table.rows}


class TestSpecification:
    def test_it_says_class_covariates_ties_variance_and_what_is_left_out(self, analysis):
        rows = dict(block(specification(analysis), "specification").rows)
        assert rows["Covariates"].endswith("Rate incentive, Credit score and Faster service")
        assert rows["Ties"] == "Efron's rule"
        lost = len(analysis.spells) - len(analysis.complete)
        assert f"{lost:,} of {len(analysis.spells):,}" in rows["Missing covariates"]

    def test_events_per_coefficient_below_the_threshold_are_a_finding(self, analysis):
        per = {cause: cs.events_per_parameter(m) for cause, m in analysis.model.models_.items()}
        sizes = block(specification(analysis), "model-sizes")
        # of default, one exit is left out of the model: neither its events nor events per coefficient are told
        told = {cause: value for cause, value in per.items() if analysis.exits.is_shown(cause, "model", "complete")}
        assert "default" not in told
        assert column(sizes, "per") == pytest.approx(told | dict.fromkeys(per.keys() - told.keys()))
        least = (min(per.values()) + max(per.values())) / 2
        found = [
            b
            for b in specification(changed(analysis, thresholds={"least_events_per_parameter": least}))
            if isinstance(b, Finding) and b.evidence == "model-sizes"
        ]
        assert len(found) == sum(value < least for value in per.values())
        assert [f.figure for f in found if f.figure is not None] == [v for v in told.values() if v < least]

    def test_inflation_above_the_threshold_is_a_finding(self, analysis):
        factors = cs.variance_inflation(analysis.model.models_["attrition"])["factor"]
        table = block(specification(analysis), "variance-inflation")
        assert column(table, "attrition")["Credit score"] == pytest.approx(factors["credit_score"])
        strict = specification(changed(analysis, thresholds={"max_vif": float(factors.min())}))
        found = [b for b in strict if isinstance(b, Finding) and b.evidence == "variance-inflation"]
        assert found[0].figure == pytest.approx(factors.max())

    def test_a_hidden_number_of_events_has_no_number_per_coefficient(self, analysis):
        config = analysis.config.model_copy(update={"smallest_cell": 10_000})
        table = block(specification(replace(analysis, config=config)), "model-sizes")
        assert set(column(table, "events").values()) == {"<10000"}
        assert set(column(table, "per").values()) == {None}


class TestHazardRatios:
    def test_univariable_ratios_are_those_of_models_of_one_covariate(self, analysis):
        table = block(univariable(analysis, "attrition"), "univariable-attrition")
        X, y, arguments = analysis.rows
        alone = cs.CoxPH("credit_score", cause="attrition").fit(X, y, **arguments)
        assert column(table, "uni_hazard_ratio")["Credit score"] == pytest.approx(
            np.exp(20 * alone.coef_["credit_score"])
        )

    def test_subdistribution_ratios_stand_beside_the_cause_specific_ones(self, analysis):
        blocks = fine_gray(analysis, "attrition")
        X, y, arguments = analysis.rows
        model = cs.FineGray("attrition").fit(X, y, **arguments)
        table = block(blocks, "subdistribution-attrition")
        assert column(table, "1.hazard_ratio")["Rate incentive"] == pytest.approx(np.exp(model.coef_["rate_incentive"]))
        assert "says why" in texts(blocks)
        assert "how many" in texts(blocks)

    def test_both_are_there_only_when_asked_for(self, analysis):
        keys = [getattr(b, "key", "") for b in hazards(analysis).section.blocks]
        assert {"beside-attrition", "baseline"} <= set(keys)
        without = changed(analysis, model={"univariable": False, "fine_gray": False})
        keys = [getattr(b, "key", "") for b in hazards(without).section.blocks]
        assert not any(key.startswith(("univariable", "subdistribution", "beside")) for key in keys)

    def test_one_table_holds_both_beside_the_ratio_once_more(self, analysis):
        (table,) = (b for b in beside(analysis, "attrition") if isinstance(b, Table))
        alone = block(univariable(analysis, "attrition"), "univariable-attrition")
        other = block(fine_gray(analysis, "attrition"), "subdistribution-attrition")
        for part in (alone, other):
            for name in {c.name for c in part.columns} & {c.name for c in table.columns}:
                assert column(table, name) == column(part, name)
        names = [c.name for c in table.columns]
        assert {"uni_interval", "hazard_ratio", "1.interval"} <= set(names)
        assert "interval" not in names
        only = changed(analysis, model={"univariable": False})
        assert [b.key for b in beside(only, "attrition") if isinstance(b, Table)] == ["subdistribution-attrition"]

    def test_a_spline_is_drawn_as_a_curve(self, analysis):
        curved = changed(analysis, model={"formula": "cs(rate_incentive, df=3) + credit_score"})
        (figure,) = curves(curved, "attrition")
        assert isinstance(figure, Figure)
        assert "Rate incentive" in figure.title
        assert curves(analysis, "attrition") == []

    def test_categories_have_counts_and_a_reference(self, analysis):
        frame = analysis.complete.frame
        segments = changed(analysis, model={"covariates": ("rate_incentive", "segment")})
        table = block(hazards(segments).section.blocks, "ratios-attrition")
        level = sorted(frame["segment"].unique())[0]
        there = frame["segment"] == level
        assert column(table, "interval")[f"\u2003{level}"] == "reference"
        assert column(table, "n")[f"\u2003{level}"] == frame.loc[there, "loan_id"].nunique()
        assert column(table, "events")[f"\u2003{level}"] == (there & (frame["cause"] == "attrition")).sum()

    def test_the_typical_loan_has_the_means_and_the_most_frequent_levels(self, analysis):
        stratified = changed(analysis, model={"covariates": ("rate_incentive",), "strata": ("segment",)})
        row, words = typical_loan(stratified)
        frame = stratified.complete.frame
        assert row.loc[0, "rate_incentive"] == pytest.approx(frame["rate_incentive"].mean())
        assert row.loc[0, "segment"] == frame["segment"].mode().iloc[0]
        assert f"segment {row.loc[0, 'segment']}" in words
        assert isinstance(baseline(stratified)[0], Figure)


class TestAssumptions:
    def findings(self, analysis, prefix):
        blocks = assumptions(analysis).section.blocks
        return [b for b in blocks if isinstance(b, Finding) and b.evidence.startswith(prefix)]

    def test_a_departure_is_a_finding_only_when_it_is_beyond_chance_and_large(self, analysis):
        loose = {"alpha": 0.999}
        everything = changed(analysis, assumptions=loose, thresholds={"most_change_over_time": 1.0})
        table = examined(everything, everything.complete, "attrition").tables["proportional_hazards"]
        rejected = table.drop(index="GLOBAL")["robust_p_value"] <= 0.999 / 3
        assert rejected.any()
        assert len(self.findings(everything, "changes-")) == rejected.sum()
        large = changed(analysis, assumptions=loose, thresholds={"most_change_over_time": 100.0})
        assert self.findings(large, "changes-") == []
        sure = changed(analysis, assumptions={"alpha": 1e-12}, thresholds={"most_change_over_time": 1.0})
        assert self.findings(sure, "changes-") == []

    def test_an_effect_that_turns_with_age_is_found_and_drawn(self, analysis):
        frame = analysis.spells.frame
        rng = np.random.default_rng(4)
        # 1 for loans that leave late, and for others that do not leave early
        late = frame.groupby("loan_id")["stop"].transform("max").to_numpy() > 24
        loan = rng.random(frame["loan_id"].nunique())[pd.factorize(frame["loan_id"])[0]]
        planted = np.where(late, loan < 0.8, loan < 0.2).astype(float)
        spells = replace(analysis.spells, frame=frame.assign(faster_service=planted))
        turned = changed(analysis, spells=spells, assumptions={"figures": 1})
        (finding,) = [f for f in self.findings(turned, "changes-") if "Faster service" in f.text]
        assert finding.figure > 1.5
        keys = [getattr(b, "key", "") for b in assumptions(turned).section.blocks]
        assert "change-attrition-faster_service" in keys

    def test_a_bent_covariate_is_a_finding_with_its_departure(self, analysis):
        frame = analysis.spells.frame
        bent = analysis.complete.frame.groupby("loan_id")["cause"].transform("last").eq("attrition")
        leaves = frame["loan_id"].isin(analysis.complete.frame.loc[bent, "loan_id"])
        rng = np.random.default_rng(5)
        loan = rng.normal(size=frame["loan_id"].nunique())[pd.factorize(frame["loan_id"])[0]]
        # those who leave have extreme values of either sign
        spells = replace(
            analysis.spells, frame=frame.assign(credit_score=690 + 40 * np.where(leaves, 1.5 * loan, 0.7 * loan))
        )
        curved = changed(analysis, spells=spells, assumptions={"figures": 1})
        (finding,) = self.findings(curved, "shape-")
        assert "Credit score" in finding.text
        assert finding.figure > 1.25

    def test_with_many_loans_whole_customers_are_sampled_and_it_is_said(self, analysis):
        small = changed(analysis, assumptions={"most_loans": 300})
        sample, words = sampled(small)
        n = sample.frame["loan_id"].nunique()
        assert 250 < n <= 300
        assert f"{n} loans of" in words
        for _, loans in small.complete.frame[
            small.complete.frame["customer_id"].isin(sample.frame["customer_id"])
        ].groupby("customer_id"):
            assert set(loans["loan_id"]) <= set(sample.frame["loan_id"])
        shuffled = small.complete.frame.sample(frac=1, random_state=0).sort_values(
            ["loan_id", "start"], ascending=[False, True]
        )
        again = sampled(replace(small, complete=replace(small.complete, frame=shuffled)))[0]
        assert set(again.frame["loan_id"]) == set(sample.frame["loan_id"])
        assert "random sample" in texts(assumptions(small).section.blocks)
        assert sampled(analysis)[1] == ""

    def test_another_seed_draws_another_sample(self, analysis):
        loans = [
            set(sampled(changed(analysis, assumptions={"most_loans": 300, "seed": seed}))[0].frame["loan_id"])
            for seed in (1, 2)
        ]
        assert loans[0] != loans[1]

    def test_influence_and_ties_are_findings_beyond_their_thresholds(self, analysis):
        strict = {"most_influence": 0.01, "most_tie_shift": 0.0001}
        found = self.findings(changed(analysis, thresholds=strict), "other-checks")
        # Efron's rule is the remedy for ties: its distance from Breslow's is no finding
        assert [f.threshold.split()[0] for f in found] == ["no"]
        breslow = changed(analysis, model={"ties": "breslow"}, thresholds=strict)
        assert len(self.findings(breslow, "other-checks")) == 2

    def test_no_customer_is_named(self, analysis):
        blocks = assumptions(analysis).section.blocks
        words = texts(blocks) + str([b.rows for b in blocks if isinstance(b, Table)])
        influential = examined(analysis, analysis.complete, "attrition").tables["influence"].index
        assert not any(str(customer) in words for customer in influential)

    def test_ends_of_observation_are_counted(self, analysis):
        table = block(assumptions(analysis).section.blocks, "censoring")
        # of all loans, as in the reconciliation
        last = analysis.spells.frame.drop_duplicates("loan_id", keep="last")
        shown = column(table, "loans")
        assert shown["Reached the scheduled end"] == (last["cause"] == "matured").sum()
        assert sum(shown.values()) == last["cause"].isin(["open", "matured"]).sum()

    def test_each_cause_asked_for_is_examined_and_others_are_refused(self, analysis, small_config):
        both = changed(analysis, assumptions={"of_causes": ("attrition", "default")})
        keys = [getattr(b, "key", "") for b in assumptions(both).section.blocks]
        assert {"changes-attrition", "changes-default"} <= set(keys)
        text = small_config.read_text() + '\n[assumptions]\nof_causes = ["churn"]\n'
        path = small_config.with_name("wrong.toml")
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"\[assumptions\] names the cause 'churn'"):
            read_config(path)

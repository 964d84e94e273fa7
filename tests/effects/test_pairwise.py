"""Pairwise tests and adjusted p-values."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.effects import cox_test, gray_test, logrank_test, maxcombo_test, pairwise_tests
from churnsurv.effects.multiplicity import adjusted_p_values
from churnsurv.exceptions import DataError, NotIdentifiedError
from tests.effects.test_logrank import drawn

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")


def test_adjusted_p_values_by_hand():
    # Holm: 3 · 0.01, max(0.03, 2 · 0.04), max(0.08, 0.03) in order of size; BH: from the largest down p m / rank
    p = [0.04, 0.01, 0.03]
    np.testing.assert_allclose(adjusted_p_values(p, "holm"), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(adjusted_p_values(p, "benjamini-hochberg"), [0.04, 0.03, 0.04])
    np.testing.assert_allclose(adjusted_p_values(p, "bonferroni"), [0.12, 0.03, 0.09])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_adjusted_p_values_are_ordered_as_the_raw_ones_and_by_strictness(p):
    raw = np.array(p)
    holm, bh, bonferroni = (adjusted_p_values(raw, a) for a in ("holm", "benjamini-hochberg", "bonferroni"))
    for adjusted in (holm, bh, bonferroni):
        order = np.argsort(raw, kind="stable")
        assert np.all(np.diff(adjusted[order]) >= -1e-12)
        assert np.all(adjusted <= 1)
    assert np.all((raw <= bh + 1e-12) & (bh <= holm + 1e-12) & (holm <= bonferroni + 1e-12))


def test_each_pair_is_tested_on_its_own_rows():
    y, arm, rng = drawn(0, arms=4)
    label = np.array(["hold_out", "call", "mail", "visit"])[arm]
    stratum, weight = rng.integers(0, 2, len(arm)), rng.uniform(1, 2, len(arm))
    X = pd.DataFrame({"rate": rng.normal(size=len(arm))}, index=rng.permutation(len(arm)))
    for test, options in [
        (logrank_test, {"strata": pd.Series(stratum), "sample_weight": weight, "weighting": "gehan"}),
        (gray_test, {"cause": "attrition", "strata": stratum}),
        (maxcombo_test, {"cause": "attrition", "weights": [(0, 0), (0, 1)]}),
        (cox_test, {"cause": "attrition", "X": X}),
    ]:
        table = pairwise_tests(y, label, test=test, **options)
        assert table.shape == (6, 6)
        pair = np.isin(label, ["call", "visit"])
        by_row = {"strata", "sample_weight", "X"}
        mine = {k: v[pair] if k in by_row else v for k, v in options.items()}
        one = test(y[pair], label[pair], **mine)
        assert table.loc[("call", "visit"), "p_value"] == pytest.approx(one.p_value, abs=1e-12)
        assert table.loc[("call", "visit"), "n_events"] == one.n_events
        np.testing.assert_allclose(table["adjusted_p_value"], adjusted_p_values(table["p_value"], "holm"))
    assert table.attrs["adjustment"] == "holm"


def test_against_one_arm_there_are_as_many_comparisons_as_others():
    y, arm, _ = drawn(1, arms=4)
    table = pairwise_tests(y, arm, reference=2, adjust="benjamini-hochberg")
    assert table.index.to_list() == [(0, 2), (1, 2), (3, 2)]
    every = pairwise_tests(y, arm)
    assert table.loc[(3, 2), "p_value"] == pytest.approx(every.loc[(2, 3), "p_value"])
    assert table.loc[(3, 2), "adjusted_p_value"] <= every.loc[(2, 3), "adjusted_p_value"]


def test_bad_arguments_are_named():
    y, arm, _ = drawn(2, arms=3)
    with pytest.raises(DataError, match="adjust='tukey' is not known"):
        pairwise_tests(y, arm, adjust="tukey")
    with pytest.raises(DataError, match="test='gray' is no function"):
        pairwise_tests(y, arm, test="gray")
    with pytest.raises(DataError, match="reference=7 is no arm"):
        pairwise_tests(y, arm, reference=7)
    with pytest.raises(DataError, match=r"strata has shape \(2,\)"):
        pairwise_tests(y, arm, strata=[1, 2])
    with pytest.raises(DataError, match="All rows are in arm"):
        pairwise_tests(y, 0 * arm)
    apart = cs.Outcome([2, 3, 7, 8, 2, 4], [1] * 6, start=[0, 0, 5, 5, 0, 0])
    with pytest.raises(NotIdentifiedError, match="two arms at risk together"):
        pairwise_tests(apart, list("AABBCC"))

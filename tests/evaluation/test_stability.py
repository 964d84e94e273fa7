"""Stability indices: the textbook value, bins, thresholds, clusters, families, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

import churnsurv as cs
from churnsurv.exceptions import DataError
from churnsurv.kernels.multiplicity import adjusted_p_values, common_cut
from churnsurv.kernels.stability import Null, clustered_null, independent_null, permuted_null

psi, csi = cs.evaluation.population_stability, cs.evaluation.characteristic_stability


def by_hand(reference, current, edges):
    """The index as textbooks write it, one bin after the other."""
    total = 0.0
    for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True):
        p = np.mean([low < x <= high for x in reference])
        q = np.mean([low < x <= high for x in current])
        total += (q - p) * np.log(q / p)
    return total


def normal(seed, *shape, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1, shape)


def test_the_index_is_the_textbook_s_over_quantiles_of_the_reference():
    reference, current = normal(1, 1000), normal(2, 400, mean=0.2)
    found = psi(reference, current)
    edges = [np.sort(reference)[100 * k - 1] for k in range(1, 10)]
    assert found.value == pytest.approx(by_hand(reference, current, edges), abs=1e-12)
    assert found.bins["contribution"].sum() == pytest.approx(found.value, abs=1e-12)
    assert (found.bins["n_reference"] == 100).all()
    assert found.bins["n_current"].sum() == found.n_current == 400


def test_without_clusters_the_threshold_is_that_of_the_chi_square():
    found = psi(normal(1, 1000), normal(2, 400), false_alarm_rate=0.01)
    scale = 1 / 1000 + 1 / 400
    assert found.threshold == pytest.approx(scale * chi2.ppf(0.99, 9), rel=1e-10)
    assert found.expected == pytest.approx(9 * scale)
    assert found.p_value == pytest.approx(chi2.sf(found.value / scale, 9), rel=1e-10)
    assert found.fixed_rule_false_alarms == pytest.approx(chi2.sf(0.10 / scale, 9), rel=1e-10)


def test_the_fixed_rule_alarms_at_random_in_small_samples_only():
    small, large = psi(normal(1, 150), normal(2, 150)), psi(normal(1, 50_000), normal(2, 50_000, mean=0.1))
    assert small.fixed_rule_false_alarms > 0.5
    assert large.fixed_rule == "stable"
    assert large.fixed_rule_false_alarms < 1e-12
    assert large.alarm


def test_rows_that_are_their_own_clusters_give_the_independent_threshold():
    reference, current = normal(1, 2000), normal(2, 1000)
    alone = psi(reference, current)
    named = psi(reference, current, groups=(np.arange(2000), np.arange(2000, 3000)))
    assert named.value == alone.value
    assert named.threshold == pytest.approx(alone.threshold, rel=0.05)
    assert named.design_effect == pytest.approx(1, rel=0.05)


def test_the_covariance_of_clusters_is_that_of_the_long_way():
    rng = np.random.default_rng(3)
    sample, code, cluster = rng.integers(0, 2, 300), rng.integers(0, 4, 300), rng.integers(0, 80, 300)
    n, m = np.sum(sample == 0), np.sum(sample == 1)
    pooled = np.bincount(code) / 300
    middle = np.zeros((4, 4))
    for g in range(80):
        total = np.zeros(4)
        for i in np.flatnonzero(cluster == g):
            one = (code[i] == np.arange(4)) - pooled
            total += one / m if sample[i] else -one / n
        middle += np.outer(total, total) * 80 / 79
    eigen = np.linalg.eigvals(np.diag(pooled**-0.5) @ middle @ np.diag(pooled**-0.5)).real
    found = clustered_null(sample, code, cluster, 4)
    assert found.scale == pytest.approx(np.sum(eigen**2) / np.sum(eigen))
    assert found.df == pytest.approx(np.sum(eigen) ** 2 / np.sum(eigen**2))


def test_doubled_rows_double_the_threshold_when_their_customer_is_named():
    reference, current = normal(1, 1000), normal(2, 1000)
    twice = (np.repeat(reference, 2), np.repeat(current, 2))
    named = psi(*twice, groups=(np.repeat(np.arange(1000), 2), np.repeat(np.arange(1000, 2000), 2)))
    assert named.threshold == pytest.approx(psi(reference, current).threshold, rel=0.05)
    assert psi(*twice).threshold == pytest.approx(named.threshold / 2, rel=0.05)


def test_the_same_customers_in_both_samples_lower_the_threshold():
    score = normal(1, 2000)
    later = 0.95 * score + np.sqrt(1 - 0.95**2) * normal(2, 2000)
    paired = psi(score, later, groups=(np.arange(2000), np.arange(2000)))
    assert paired.design_effect < 0.7
    assert not paired.alarm
    unpaired, moved = psi(score, later + 0.06), psi(score, later + 0.06, groups=(np.arange(2000), np.arange(2000)))
    assert moved.p_value < unpaired.p_value


@pytest.mark.parametrize("clustered", [False, True])
def test_permutations_agree_with_the_chi_square_in_large_bins(clustered):
    rng = np.random.default_rng(4)
    sample, code = np.repeat([0, 1], [1500, 1000]), rng.integers(0, 6, 2500)
    cluster = np.arange(2500) if clustered else None
    drawn = permuted_null(sample, code, cluster, 6, 1500, rng)
    counts = np.stack([np.bincount(code[sample == side]) for side in (0, 1)]).astype(float)
    exact = independent_null(counts)
    assert drawn.expected == pytest.approx(exact.expected, rel=0.08)
    assert drawn.threshold(0.05) == pytest.approx(exact.threshold(0.05), rel=0.1)
    # far out, where no draw reaches, the fitted tail stands in
    assert drawn.p_value(10 * exact.expected) < 1e-6


def test_small_bins_are_judged_by_permutations():
    rng = np.random.default_rng(5)
    levels, shares = list("abcd"), [0.6, 0.3, 0.095, 0.005]
    reference, current = (rng.choice(levels, 400, p=shares) for _ in range(2))
    found = psi(reference, current)
    assert "permutations" in found.method
    assert "chi-square" in psi(reference, current, method="analytic").method
    assert not found.alarm


def test_missing_values_and_unseen_levels_are_bins_of_their_own():
    reference = pd.DataFrame({"region": ["n", "s"] * 200, "score": np.arange(400.0)})
    current = reference.copy()
    current.loc[:99, "region"] = "west"
    current.loc[:49, "score"] = np.nan
    table = csi(reference, current).bins
    assert table.loc[(table["name"] == "region") & (table["bin"] == "not in the reference"), "n_current"].item() == 100
    assert table.loc[(table["name"] == "score") & (table["bin"] == "missing"), "n_current"].item() == 50


def test_a_flag_that_changes_is_found_where_quantiles_would_see_one_bin():
    before, after = np.zeros(500), np.r_[np.zeros(450), np.ones(50)]
    found = psi(before, after)
    assert found.alarm
    assert found.bins["bin"].tolist()[0] == "not in the reference"
    assert psi(before, before).alarm is False
    assert np.isnan(psi(before, before).p_value)


def test_heavy_ties_share_a_bin():
    rng = np.random.default_rng(6)
    values = [np.where(rng.random(2000) < 0.75, 0.0, rng.exponential(size=2000)) for _ in range(2)]
    table = psi(*values).bins
    assert 2 <= len(table) <= 4
    assert table["share_reference"].max() > 0.7


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_rows_and_a_change_of_scale_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    reference, current = rng.normal(size=300), rng.normal(0.1, 1, 200)
    groups = rng.integers(0, 90, 300), rng.integers(60, 150, 200)
    found = psi(reference, current, groups=groups)
    p, q = rng.permutation(300), rng.permutation(200)
    moved = psi(8 * reference[p] + 1, 8 * current[q] + 1, groups=(groups[0][p], groups[1][q]))
    assert moved.value == pytest.approx(found.value, rel=1e-12)
    assert moved.p_value == pytest.approx(found.p_value, rel=1e-9)
    assert found.value >= 0


def test_the_interval_holds_zero_without_drift_and_the_value_with_a_large_one():
    none = psi(normal(1, 2000), normal(2, 2000))
    large = psi(normal(1, 2000), normal(2, 2000, mean=0.8))
    assert none.lower == 0
    assert large.lower < large.value - large.expected < large.upper
    far = Null(1e-4, 9, 1.0).interval(0.5, 0.95)
    near = Null(1e-4, 9, 1.0).interval(0.19999, 0.95)
    assert far[1] < 0.5 - 9e-4 < far[2]
    # the normal approximation takes over without a jump
    after = Null(1e-4, 9, 1.0).interval(0.20001, 0.95)
    assert near[1:] == pytest.approx(after[1:], rel=3e-3)


def test_alarms_of_a_family_are_those_above_their_thresholds():
    rng = np.random.default_rng(7)
    reference = pd.DataFrame(rng.normal(size=(1500, 8)), columns=list("abcdefgh"))
    current = pd.DataFrame(rng.normal(size=(1500, 8)), columns=list("abcdefgh"))
    current[["a", "b"]] += 0.3
    for adjust in ("holm", "benjamini-hochberg", "bonferroni"):
        found = csi(reference, current, adjust=adjust)
        assert {one.name for one in found.alarms} == {"a", "b"}
        table = found.to_frame()
        assert ((table["value"] > table["threshold"]) == table["alarm"]).all()
        np.testing.assert_allclose(table["p_adjusted"], adjusted_p_values(table["p_value"], adjust))


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from(["holm", "benjamini-hochberg", "bonferroni"])
)
def test_findings_are_the_p_values_up_to_the_common_cut(p, adjust):
    p = np.asarray(p)
    adjusted = adjusted_p_values(p, adjust)
    cut = common_cut(adjusted, 0.05, adjust)
    clear = np.abs(p - cut) > 1e-12
    assert ((adjusted <= 0.05) == (p <= cut))[clear].all()


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        (([1.0], [1.0, 2.0]), {}, "reference sample has 1 row"),
        (([1.0, 2.0], ["a", "b"]), {}, "numbers, or both as labels"),
        (([1.0, np.inf, *range(20)], [1.0, 2.0]), {}, "infinite"),
        (([1.0, 2.0], [1.0, 2.0]), {"bins": 1}, "bins=1"),
        (([1.0, 2.0], [1.0, 2.0]), {"false_alarm_rate": 1.5}, "false_alarm_rate"),
        (([1.0, 2.0], [1.0, 2.0]), {"method": "guess"}, "method"),
        (([1.0, 2.0], [1.0, 2.0]), {"groups": ([1, 2], [1])}, "1 labels for 2 rows"),
        (([1.0, 2.0], [1.0, 2.0]), {"groups": ([1, 1], [1, 1])}, "one group"),
        (([1.0, 2.0], [1.0, 2.0]), {"groups": ([1, None], [1, 1])}, "missing label"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, options, match):
    with pytest.raises(DataError, match=match):
        psi(*arguments, **options)


def test_frames_without_common_columns_are_refused():
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    with pytest.raises(DataError, match="no column 'b'"):
        csi(frame, frame, ["b"])
    with pytest.raises(DataError, match="DataFrame"):
        csi(frame, [1, 2])

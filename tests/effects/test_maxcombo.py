"""The MaxCombo test: its statistics, their joint covariance and probability, what it refuses."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

import churnsurv as cs
from churnsurv.effects import logrank_test, maxcombo_test
from churnsurv.effects.maxcombo import exceedance
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError
from churnsurv.kernels.logrank import arm_counts, fleming_harrington, two_arm_scores
from churnsurv.kernels.normal_maximum import largest_exceeds
from tests.effects.test_logrank import drawn

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")


def test_one_weight_is_its_own_test():
    y, arm, _ = drawn(0)
    for pair in [(0, 0), (1, 0), (0.5, 2)]:
        one = logrank_test(y, arm, rho=pair[0], gamma=pair[1])
        for weights in ([pair], [pair, pair]):
            combined = maxcombo_test(y, arm, weights=weights)
            assert combined.statistic**2 == pytest.approx(one.statistic)
            assert combined.p_value == pytest.approx(one.p_value, abs=2e-5)


def test_the_statistic_is_the_largest_of_the_single_ones_within_strata():
    y, arm, rng = drawn(1)
    stratum = rng.integers(0, 3, len(arm))
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1)]
    options = {"strata": stratum, "cause": "attrition"}
    single = [logrank_test(y, arm, rho=r, gamma=g, **options) for r, g in pairs]
    combined = maxcombo_test(y, arm, **options)
    assert combined.statistic == pytest.approx(max(s.statistic for s in single) ** 0.5)
    assert combined.df == 4
    least = min(s.p_value for s in single)
    assert least <= combined.p_value <= 4 * least
    assert "G(0, 1)" in combined.method
    assert "attrition" in combined.estimand


def test_the_joint_covariance_is_that_of_sums_over_the_same_times():
    y, arm, rng = drawn(2)
    stratum = rng.integers(0, 2, len(arm))
    counts = arm_counts(y.entry, y.stop, (y.event > 0).astype(int), arm, stratum, 2)
    pairs = [(0, 0), (0, 1), (1, 0)]
    weights = np.stack([fleming_harrington(counts, *pair) for pair in pairs])
    score, covariance = two_arm_scores(counts, weights)
    # S + (1 - S) = 1 at every time: the log-rank statistic is the sum of the early and the late one
    assert score[0] == pytest.approx(score[1] + score[2])
    assert covariance[0] == pytest.approx(covariance[1] + covariance[2])
    want = np.zeros((3, 3))
    for cell in range(len(counts.stratum)):
        n, d, n1 = counts.at_risk[:, cell].sum(), counts.events[:, cell].sum(), counts.at_risk[1, cell]
        if n > 1:
            want += np.outer(weights[:, cell], weights[:, cell]) * d * (n - d) / (n - 1) * n1 / n * (1 - n1 / n)
    np.testing.assert_allclose(covariance, want, rtol=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("largest", [1.0, 2.0, 3.0])
def test_the_p_value_of_two_statistics_is_the_integral(rho, largest):
    root = np.sqrt(1 - rho**2)

    def within(z, low):
        return norm.pdf(z) * (norm.cdf((largest - rho * z) / root) - norm.cdf((low - rho * z) / root))

    correlation = np.array([[1, rho], [rho, 1]])
    two_sided = 1 - quad(within, -largest, largest, args=(-largest,), epsabs=1e-12)[0]
    one_sided = 1 - quad(within, -9, largest, args=(-np.inf,), epsabs=1e-12)[0]
    assert exceedance(largest, correlation, "two-sided") == pytest.approx(two_sided, abs=3e-5)
    assert exceedance(largest, correlation, "less") == pytest.approx(one_sided, abs=3e-5)


def sums_of_shares(shares):
    """Correlation of weighted log-rank statistics with these weights at equally informative times; rank 3 of 4."""
    w = np.stack([np.ones_like(shares), 1 - shares, shares, shares * (1 - shares)])
    covariance = w @ w.T
    return covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))


CORRELATIONS = [sums_of_shares(np.linspace(1, 0.2, 50)), np.full((5, 5), 0.4) + 0.6 * np.eye(5), np.ones((2, 2))]


@pytest.mark.parametrize("correlation", CORRELATIONS, ids=["singular", "five", "the same twice"])
@pytest.mark.parametrize("largest", [-0.5, 0.5, 2.0, 3.0])
def test_the_p_value_is_the_multivariate_normal_probability(correlation, largest):
    size = len(correlation)
    for two_sided in [True, False] if largest > 0 else [False]:
        below = multivariate_normal.cdf(
            np.full(size, largest), cov=correlation, allow_singular=True, maxpts=400_000, abseps=1e-6,
            lower_limit=np.full(size, -largest if two_sided else -np.inf), rng=np.random.default_rng(1),
        )  # fmt: skip
        assert largest_exceeds(largest, correlation, two_sided=two_sided) == pytest.approx(1 - below, abs=1e-4)


def test_far_out_the_p_value_keeps_its_relative_accuracy():
    # two variables: P(|Z1| > z or |Z2| > z) = 2 P(|Z1| > z) - P(both), by an integral
    rho, root = 0.8, 0.6

    def second_too(u, z):
        return norm.pdf(u) * (norm.sf((z - rho * u) / root) + norm.cdf((-z - rho * u) / root))

    for z in (5.0, 7.0):
        inner = quad(second_too, z, 12, args=(z,))[0]
        want = 4 * norm.sf(z) - 2 * inner
        got = largest_exceeds(z, np.array([[1, rho], [rho, 1]]), two_sided=True)
        assert got == pytest.approx(want, rel=0.01)
        assert 2 * norm.sf(z) <= exceedance(z, CORRELATIONS[0], "two-sided") <= 8 * norm.sf(z)


def test_sides_swap_with_the_reference():
    y, arm, _ = drawn(4)  # arm 1 leaves later
    label = np.array(["none", "offer"])[arm]
    less = maxcombo_test(y, label, alternative="less")
    assert less.p_value < 0.01
    assert maxcombo_test(y, label, alternative="greater").p_value > 0.9
    swapped = maxcombo_test(y, label, alternative="greater", reference="offer")
    assert (swapped.statistic, swapped.p_value) == (
        pytest.approx(less.statistic),
        pytest.approx(less.p_value, abs=2e-5),
    )
    assert "hazard of offer less" in less.method


def test_order_of_rows_changes_nothing_and_the_p_value_is_reproducible():
    y, arm, rng = drawn(5)
    one, again = maxcombo_test(y, arm), maxcombo_test(y, arm)
    assert one.p_value == again.p_value
    order = rng.permutation(len(arm))
    other = maxcombo_test(y[order], arm[order])
    assert other.statistic == pytest.approx(one.statistic, rel=1e-12)
    assert other.p_value == pytest.approx(one.p_value, abs=3e-5)


def test_weighted_rows_and_clusters_use_the_robust_covariance():
    y, arm, rng = drawn(7)
    weight = rng.uniform(0.5, 2, len(arm))
    single = [logrank_test(y, arm, rho=r, gamma=g, sample_weight=weight) for r, g in [(0, 0), (0, 1)]]
    combined = maxcombo_test(y, arm, weights=[(0, 0), (0, 1)], sample_weight=weight)
    assert combined.statistic == pytest.approx(max(s.statistic for s in single) ** 0.5)
    assert "robust variance" in combined.method


def test_a_weight_that_is_zero_at_every_event_drops_out():
    # one event time: 1 - S is 0 before it
    y = cs.Outcome([1, 1, 2, 2, 2], [1, 0, 0, 0, 0])
    result = maxcombo_test(y, [0, 0, 0, 1, 1], weights=[(0, 0), (0, 1)])
    assert result.df == 1
    with pytest.raises(NotIdentifiedError, match="positive weight"):
        maxcombo_test(y, [0, 0, 0, 1, 1], weights=[(0, 1)])


@pytest.mark.parametrize(
    ("arm", "options", "message"),
    [
        ([0, 0, 1, 1, 2, 2], {}, "3 arms.*pairwise_tests"),
        ([0, 0, 0, 0, 0, 0], {}, "All rows are in arm"),
        ([0, 0, 0, 0, 0, 1], {}, "one customer only"),
        ([0, 0, None, 1, 1, 1], {}, "missing value"),
        ([0, 0, 0, 1, 1, 1], {"weights": []}, "give pairs"),
        ([0, 0, 0, 1, 1, 1], {"weights": [(0, 0, 1)]}, "give pairs"),
        ([0, 0, 0, 1, 1, 1], {"weights": 3}, "give pairs"),
        ([0, 0, 0, 1, 1, 1], {"weights": [(0, -1)]}, "gamma of weights=-1"),
        ([0, 0, 0, 1, 1, 1], {"weights": [(np.nan, 1)]}, "rho of weights=nan"),
        ([0, 0, 0, 1, 1, 1], {"alternative": "more"}, "alternative='more'"),
        ([0, 0, 0, 1, 1, 1], {"reference": 2}, "reference=2 is no arm"),
        ([0, 0, 0, 1, 1, 1], {"sample_weight": [1, 1, 0, 1, 1, 1]}, "sample_weight is 0"),
    ],
)
def test_bad_arguments_are_named(arm, options, message):
    y = cs.Outcome([1, 2, 3, 4, 5, 6], [1, 0, 1, 1, 1, 0])
    with pytest.raises(DataError, match=message):
        maxcombo_test(y, arm, **options)


def test_nothing_to_compare_is_an_error():
    with pytest.raises(NoEventsError, match="nothing to test"):
        maxcombo_test(cs.Outcome([1, 2, 3, 4], [0] * 4), [0, 0, 1, 1])
    y = cs.Outcome([2, 3, 7, 8], [1, 1, 1, 1], start=[0, 0, 5, 5])
    with pytest.raises(NotIdentifiedError, match="two arms at risk together"):
        maxcombo_test(y, [0, 0, 1, 1])

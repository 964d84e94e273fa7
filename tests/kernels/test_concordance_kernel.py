"""The counting of pairs against all pairs written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnsurv.kernels.buckets import lay_buckets
from churnsurv.kernels.concordance import count_pairs
from tests.metrics import slow


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 3), st.booleans())
def test_counts_and_their_derivatives_agree_with_all_pairs(seed, n, n_strata, late):
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 4, n).astype(float)
    entry = start if late else np.full(n, -np.inf)
    stop = start + rng.integers(1, 8, n)
    event = rng.random(n) < 0.6
    event[0] = True
    score, weight, stratum = rng.integers(0, 5, n).astype(float), rng.random(n), rng.integers(0, n_strata, n)
    buckets, first, last, death = lay_buckets(entry if late else None, stop, event, stratum, n_strata)
    time_weight = rng.random(len(buckets.time))
    found = count_pairs(score, first, last, death, weight, time_weight)

    sums = {1.0: 0.0, 0.0: 0.0, -1.0: 0.0}
    net, comparable = np.zeros(n), np.zeros(n)
    for i, j, sign in slow.pair_table(entry, stop, event, score, stratum):
        v = time_weight[death[i]]
        sums[sign] += v * weight[i] * weight[j]
        for row, other in ((i, j), (j, i)):
            net[row] += v * weight[other] * sign
            comparable[row] += v * weight[other]
    assert found.concordant == pytest.approx(sums[1.0], abs=1e-12)
    assert found.discordant == pytest.approx(sums[-1.0], abs=1e-12)
    assert found.comparable == pytest.approx(sum(sums.values()), abs=1e-12)
    np.testing.assert_allclose(found.net_of_row, net, atol=1e-12)
    np.testing.assert_allclose(found.comparable_of_row, comparable, atol=1e-12)


def test_a_constant_score_has_neither_concordant_nor_discordant_pairs_to_the_last_bit():
    rng = np.random.default_rng(1)
    n = 300
    buckets, first, last, death = lay_buckets(None, rng.integers(1, 40, n).astype(float), rng.random(n) < 0.5, None, 1)
    found = count_pairs(np.zeros(n), first, last, death, rng.random(n), rng.random(len(buckets.time)))
    assert (found.concordant, found.discordant) == (0.0, 0.0)
    assert found.comparable > 0

"""Relabelled samples keep what must be kept, and agree with relabelling row by row."""

import numpy as np

from churnsurv.kernels.stability import _relabelled


def one_by_one(sample, code, cluster, n_bins, draws, rng):
    """Relabel cluster by cluster, in loops."""
    names = np.unique(cluster)
    both = [g for g in names if len(set(sample[cluster == g])) == 2]
    alone = [g for g in names if g not in both]
    sides = [sample[cluster == g][0] for g in alone]
    counts = np.zeros((draws, 2, n_bins))
    for draw in range(draws):
        label = dict(zip(alone, rng.permutation(sides), strict=True)) | {g: rng.integers(2) for g in both}
        for s, c, g in zip(sample, code, cluster, strict=True):
            counts[draw, (s ^ label[g]) if g in both else label[g], c] += 1
    return counts


def test_counts_of_relabelled_samples_have_the_distribution_of_the_long_way():
    rng = np.random.default_rng(1)
    sample, code, cluster = rng.integers(0, 2, 120), rng.integers(0, 3, 120), rng.integers(0, 60, 120)
    fast = _relabelled(sample, code, cluster, 3, 4000, rng)
    slow = one_by_one(sample, code, cluster, 3, 2000, rng)
    assert (fast.sum(axis=1) == np.bincount(code)).all()
    error = slow[:, 0].std(axis=0) / np.sqrt(2000)
    assert (np.abs(fast[:, 0].mean(axis=0) - slow[:, 0].mean(axis=0)) < 4 * np.sqrt(1.5) * error).all()
    np.testing.assert_allclose(np.cov(fast[:, 0].T), np.cov(slow[:, 0].T), rtol=0.15, atol=0.6)


def test_customers_in_both_samples_keep_the_sizes_when_each_has_one_row_per_side():
    rng = np.random.default_rng(2)
    sample, cluster = np.repeat([0, 1], 50), np.tile(np.arange(50), 2)
    counts = _relabelled(sample, rng.integers(0, 4, 100), cluster, 4, 200, rng)
    assert (counts.sum(axis=2) == 50).all()

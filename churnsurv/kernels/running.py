"""Loops of the Cox kernel that know arrays only: linear predictors, and sums running along strata or down a tree."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def linear_predictor(x, beta, offset):  # type: ignore[no-untyped-def]
    """Give x β + offset of C-ordered rows in one reading."""
    n, p = x.shape
    eta = np.empty(n)
    for i in range(n):
        total = 0.0
        for j in range(p):
            total += x[i, j] * beta[j]
        eta[i] = total + offset[i]
    return eta


@njit(cache=True, nogil=True)
def suffix_sums(values, begin):  # type: ignore[no-untyped-def]
    """Sum the rows of (B, k) from each to the end of its stratum, in place."""
    for s in range(len(begin) - 1):
        for k in range(begin[s + 1] - 2, begin[s] - 1, -1):
            for j in range(values.shape[1]):
                values[k, j] += values[k + 1, j]


@njit(cache=True, nogil=True)
def push_down(tree):  # type: ignore[no-untyped-def]
    """Add each node of a segment tree of (2 B, k) to its children, from the root, in place."""
    for node in range(1, len(tree) // 2):
        for j in range(tree.shape[1]):
            tree[2 * node, j] += tree[node, j]
            tree[2 * node + 1, j] += tree[node, j]


@njit(cache=True, nogil=True)
def cumulate(values, begin, out):  # type: ignore[no-untyped-def]
    """Fill `out` with the sums of (B, k) before each row of its stratum, see :func:`churnsurv.kernels.cox.cumulated`."""
    for s in range(len(begin) - 1):
        for k in range(begin[s], begin[s + 1]):
            for j in range(values.shape[1]):
                out[k + s + 1, j] = out[k + s, j] + values[k, j]

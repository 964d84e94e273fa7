"""Expected numbers and balances of a portfolio per period, what they owe to each hazard, and the noise of single exits.

With F_ik(m) the probability that loan i has left by cause k by the end of period m, S_i(m) that of being open:

- loans leaving in m: Σ F_ik(m) − F_ik(m − 1); balance leaving: the same times the balance at the begin of m;
- customers leaving in m: Σ over customers of P_k(m) − P_k(m − 1), P_k(m) = 1 − Π (1 − F_ik(m)) over the customer's loans, the
  probability that at least one of them has left by k (loans independent given their covariates);
- open: Σ S_i(m), for customers 1 − Π (1 − S_i(m)), at least one loan open; matured: Σ S_i at the term.

Given the hazards, exits are independent draws: a count has the variance Σ p (1 − p).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from churnsurv.evaluation.scenario_rows import Book

Floats = NDArray[np.float64]

QUANTITIES = ("loans", "customers", "balance")
#: states beside the causes
OPEN, MATURED = "open", "matured"


class Totals(NamedTuple):
    """Sums over loans, (H, K + 2, 3): causes, open, matured by loans, customers, balance; NaN where there is no such sum.

    noise and noise_so_far: variance of single exits around the value, of one period and of the sum up to it.
    """

    value: Floats
    noise: Floats
    noise_so_far: Floats

    def __add__(self, other: Totals) -> Totals:  # type: ignore[override]
        return Totals(*(a + b for a, b in zip(self, other, strict=True)))


class _Standing(NamedTuple):
    """Of each loan and period (n, H): still running at its end; matures in it; balance at its begin and end (or None)."""

    running: Floats
    matures: Floats
    begin: Floats | None
    end: Floats | None


def _standing(book: Book) -> _Standing:
    at_end = book.age[:, None] + np.arange(1, book.horizon + 1)
    over = book.matures[:, None] & (at_end >= book.end[:, None])
    first = over & ~np.hstack([np.zeros((len(book), 1), bool), over[:, :-1]])
    begin, end = (None, None) if book.balance is None else (book.balance[:, :-1], book.balance[:, 1:])
    return _Standing((~over).astype(float), first.astype(float), begin, end)


def totals(book: Book, states: Floats) -> Totals:
    """Sum the state probabilities (n, 1 + K, H) of the loans."""
    standing, n_causes, horizon = _standing(book), states.shape[1] - 1, book.horizon
    gone, stays = states[:, 1:], states[:, 0]
    monthly = np.diff(gone, axis=2, prepend=0.0)
    shape = (horizon, n_causes + 2, len(QUANTITIES))
    value, noise, so_far = (np.full(shape, np.nan) for _ in range(3))
    k = slice(0, n_causes)
    value[:, k, 0], noise[:, k, 0] = monthly.sum(axis=0).T, (monthly * (1 - monthly)).sum(axis=0).T
    so_far[:, k, 0] = (gone * (1 - gone)).sum(axis=0).T
    ever = 1 - _by_customer(book, 1 - gone)[0]
    first = np.diff(ever, axis=2, prepend=0.0)
    value[:, k, 1], noise[:, k, 1] = first.sum(axis=0).T, (first * (1 - first)).sum(axis=0).T
    so_far[:, k, 1] = (ever * (1 - ever)).sum(axis=0).T
    for state, chance in ((n_causes, stays * standing.running), (n_causes + 1, stays * standing.matures)):
        value[:, state, 0] = chance.sum(axis=0)
        noise[:, state, 0] = (chance * (1 - chance)).sum(axis=0)
    any_open = 1 - _by_customer(book, 1 - (stays * standing.running)[:, None])[0][:, 0]
    value[:, n_causes, 1], noise[:, n_causes, 1] = any_open.sum(axis=0), (any_open * (1 - any_open)).sum(axis=0)
    if standing.begin is not None and standing.end is not None:
        lost = standing.begin[:, None, :] * monthly
        value[:, k, 2] = lost.sum(axis=0).T
        second = standing.begin[:, None, :] ** 2 * monthly
        noise[:, k, 2] = (second - lost**2).sum(axis=0).T
        so_far[:, k, 2] = (np.cumsum(second, axis=2) - np.cumsum(lost, axis=2) ** 2).sum(axis=0).T
        for state, chance, each in (
            (n_causes, stays * standing.running, standing.end), (n_causes + 1, stays * standing.matures, standing.begin)
        ):  # fmt: skip
            value[:, state, 2] = (each * chance).sum(axis=0)
            noise[:, state, 2] = (each**2 * chance * (1 - chance)).sum(axis=0)
    matured = (np.cumsum(value[:, -1], axis=0), np.cumsum(stays * standing.matures, axis=1))
    so_far[:, -1, 0] = (matured[1] * (1 - matured[1])).sum(axis=0)
    if standing.begin is not None:
        each = np.cumsum(standing.begin * standing.matures, axis=1)
        so_far[:, -1, 2] = (each**2 * matured[1] * (1 - matured[1])).sum(axis=0)
    so_far[:, n_causes] = noise[:, n_causes]
    return Totals(value, noise, so_far)


def _by_customer(book: Book, chance: Floats) -> tuple[Floats, Floats]:
    """Multiply the loans' probabilities by customer: products (customers, …), and of each loan that of the others (n, …)."""
    begins = np.flatnonzero(np.diff(book.customer, prepend=-1))
    product = np.multiply.reduceat(chance, begins, axis=0)
    size = np.diff(np.append(begins, len(book)))
    others = np.repeat(product, size, axis=0) / np.maximum(chance, 1e-12)
    return product, np.where(np.repeat(size, size).reshape(-1, *([1] * (chance.ndim - 1))) == 1, 1.0, others)


def quantity_derivatives(book: Book, states: Floats, derivative: Floats) -> Floats:
    """Turn derivatives of the states (n, 1 + K, H, K, J) into those of the totals, (n, H (K + 2) 3, K, J); NaN become 0."""
    standing, n_causes = _standing(book), states.shape[1] - 1
    n, horizon = len(book), book.horizon
    found = np.zeros((n, horizon, n_causes + 2, len(QUANTITIES), *derivative.shape[3:]))
    gone = derivative[:, 1:].transpose(0, 2, 1, 3, 4)
    before = np.concatenate((np.zeros_like(gone[:, :1]), gone[:, :-1]), axis=1)
    found[:, :, :n_causes, 0] = gone - before
    others = _by_customer(book, 1 - states[:, 1:])[1].transpose(0, 2, 1)[..., None, None]
    weighted = others * gone
    found[:, :, :n_causes, 1] = weighted
    found[:, 1:, :n_causes, 1] -= weighted[:, :-1]
    running, matures = (part[..., None, None] for part in (standing.running, standing.matures))
    stays = derivative[:, 0]
    found[:, :, n_causes, 0], found[:, :, n_causes + 1, 0] = running * stays, matures * stays
    others = _by_customer(book, 1 - (states[:, 0] * standing.running)[:, None])[1][:, 0, :, None, None]
    found[:, :, n_causes, 1] = others * running * stays
    if standing.begin is not None and standing.end is not None:
        begin, end = standing.begin[..., None, None], standing.end[..., None, None]
        found[:, :, :n_causes, 2] = begin[:, :, None] * (gone - before)
        found[:, :, n_causes, 2], found[:, :, n_causes + 1, 2] = end * running * stays, begin * matures * stays
    return found.reshape(n, -1, *derivative.shape[3:])

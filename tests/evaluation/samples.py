"""Samples of customers whose risk is known."""

from functools import cache

import numpy as np
import pandas as pd

import churnsurv as cs


def competing(n=600, seed=0, p=3):
    """Customers with about two loans each, two causes, censoring; months."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, p)), columns=list("abcdefgh")[:p])
    leave = rng.exponential(20 * np.exp(-X["a"]))
    default = rng.exponential(80 * np.exp(-X["b"]))
    censored = rng.uniform(5, 40, n)
    first = np.minimum(leave, default)
    event = np.where(censored < first, 0, np.where(leave < default, 1, 2))
    y = cs.Outcome(np.ceil(np.minimum(first, censored)), event, causes=("attrition", "default"))
    return X, y, rng.integers(0, n // 2, n)


def single(n=400, seed=0, p=3, effect=0.8):
    """One cause, right-censored, continuous times."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, p)), columns=list("abcdefgh")[:p])
    leave, censored = rng.exponential(20 * np.exp(-effect * X["a"])), rng.uniform(5, 60, n)
    return X, cs.Outcome(np.minimum(leave, censored), leave <= censored)


def entering_late(n=400, seed=0):
    """Split spells with late entry: two rows per loan."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    entry = rng.integers(0, 10, n).astype(float)
    stop = entry + np.ceil(rng.exponential(20 * np.exp(-a))) + 1
    middle = (entry + stop) / 2
    X = pd.DataFrame({"a": np.repeat(a, 2), "b": rng.normal(size=2 * n)})
    start = np.column_stack((entry, middle)).ravel()
    end = np.column_stack((middle, stop)).ravel()
    y = cs.Outcome(end, np.tile([0, 1], n), start=start, subject=np.repeat(np.arange(n), 2))
    return X, y


@cache
def shipped_spells():
    """Spells of a third of the customers of the shipped portfolio, not to be changed."""
    shipped = cs.data.load_example()
    customers = shipped.loans["customer_id"].drop_duplicates().sort_values().iloc[::3]
    loans = shipped.loans[shipped.loans["customer_id"].isin(customers)]
    performance = shipped.performance[shipped.performance["loan_id"].isin(loans["loan_id"])]
    return cs.data.build_spells(loans, performance, shipped.rules, macro=shipped.macro).complete()

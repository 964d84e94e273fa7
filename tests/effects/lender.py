"""A lender of a page: loans with known exits, observed monthly, for tests of designs."""

import numpy as np
import pandas as pd

from churnsurv.data import SpellRules, build_spells

FIRST, LAST = pd.Period("2024-01", "M"), pd.Period("2025-12", "M")
RULES = SpellRules(
    customer_id="customer_id",
    origination="opened",
    term="term",
    observed="month",
    status="status",
    open=("open",),
    causes={"attrition": ("gone",), "default": ("lost",)},
    covariates={"loans": ["term", "segment"], "performance": ["score", "offer"]},
    keep=("branch",),
)


def day(month):
    """Give the last day of a month such as "2024-06"."""
    return pd.Period(month, "M").end_time.normalize()


def random_loans(n, seed, hazard=0.04, branches=6):
    """Draw loans: identifiers, opening date, branch, month and kind of the exit (none: open at the end)."""
    rng = np.random.default_rng(seed)
    opened = FIRST + rng.integers(0, 12, n)
    life = rng.geometric(hazard, n)
    exits = np.array([o + int(k) for o, k in zip(opened, life, strict=True)], dtype=object)
    return pd.DataFrame(
        {
            "loan_id": np.arange(n) + 1,
            "customer_id": 100 + np.arange(n) // 2,
            "opened": [p.start_time + pd.Timedelta(days=9) for p in opened],
            "branch": [f"B{k}" for k in np.arange(n) % branches],
            "segment": np.where(rng.random(n) < 0.4, "young", "salaried"),
            "term": 60,
            "exit": pd.Series([e if e <= LAST else None for e in exits], dtype=object),
            "kind": np.where(rng.random(n) < 0.75, "gone", "lost"),
            "score": 600 + rng.integers(0, 100, n),
        }
    )


def spells_of(loans):
    """Give the spells of loans as of :func:`random_loans`."""
    rows = []
    for loan in loans.itertuples():
        opened = pd.Period(loan.opened, "M")
        last = LAST if loan.exit is None else loan.exit
        for month in pd.period_range(opened, last, freq="M"):
            status = loan.kind if month == loan.exit else "open"
            rows.append((loan.loan_id, month.end_time.normalize(), status, loan.score + (month - opened).n, 0))
    performance = pd.DataFrame(rows, columns=["loan_id", "month", "status", "score", "offer"])
    return build_spells(loans.drop(columns=["exit", "kind", "score"]), performance, RULES)


def assigned(loans, name, date, arms):
    """Give an interventions table: one date (or one each), one arm each."""
    return pd.DataFrame({"loan_id": np.asarray(loans), "intervention": name, "assigned_on": date, "arm": arms})

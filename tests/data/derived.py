"""Burnout of the spells of a portfolio by hand, from the tables: the slow twin of the builder's."""

import numpy as np
import pandas as pd


def burnout(portfolio, frame):
    """Sum the positive rate incentives of each spell's loan over its earlier months, since origination."""
    loans = portfolio.loans.set_index("loan_id")
    market = portfolio.macro.pivot(index="month", columns="region", values="market_rate")
    months = market.index.to_period("M")
    # one row per month, one column per loan: what the loan's month saw, the market of the month before
    seen = market.shift(1)[loans["region"]].to_numpy()
    incentive = np.maximum(loans["contract_rate"].to_numpy() - seen, 0)
    begun = months.to_numpy()[:, None] >= loans["origination_date"].dt.to_period("M").to_numpy()
    before = np.vstack((np.zeros(len(loans)), np.cumsum(np.where(begun, incentive, 0), axis=0)[:-1]))
    row = pd.Index(months).get_indexer(frame["period"].dt.to_period("M"))
    return before[row, loans.index.get_indexer(frame["loan_id"])]

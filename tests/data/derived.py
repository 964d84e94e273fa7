"""The derived columns of a portfolio's hazards that the builder of spells may not compute: by hand, from the tables."""

import numpy as np
import pandas as pd

from churnsurv.data import build_spells


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


def recovery_frame(portfolio):
    """Give the complete spells of a portfolio, and their covariates with all columns of the recovery formula."""
    spells = build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro).complete()
    X = spells.X
    return spells, X if "burnout" in X else X.assign(burnout=burnout(portfolio, spells.frame))

"""A simulated lender: a world that lives month by month, the tables it leaves, and the truth behind them.

Lives here: covariates, hazards, interventions, drift and dirt of simulated portfolios, and their true effects.
May not: read tables, estimate, plot.
"""

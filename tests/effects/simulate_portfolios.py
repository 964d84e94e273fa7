"""Coverage of the designs' intervals over regenerated portfolios, kept for docs/validation.md.

    python -m tests.effects.simulate_portfolios            # 200 portfolios, about 40 minutes of one processor

The same function and seeds as the slow test in ``test_portfolio_effects.py``, which reads no file.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.effects.portfolio_effects import simulated_effects

FILE = Path(__file__).parent / "simulated" / "portfolios.csv"
SEEDS = range(1_000, 1_200)


def rows(found):
    """Give a row per effect, and one of all: name, quantity, truth, estimate, monte_carlo_error, repetitions."""
    n = found["seed"].nunique()
    error = np.sqrt(0.95 * 0.05 / n)
    table = [
        (f"portfolio: {name}, {measure.replace('_', ' ')}, {cause}", share, error)
        for (name, measure, cause), share in found.groupby(["name", "measure", "cause"])["covered"].mean().items()
    ]
    by_portfolio = found.groupby("seed")["covered"].mean()
    table.append(("portfolio: all thirteen effects", by_portfolio.mean(), by_portfolio.std() / np.sqrt(n)))
    frame = pd.DataFrame(table, columns=["name", "estimate", "monte_carlo_error"])
    frame.insert(1, "quantity", "coverage of the 95% interval")
    frame.insert(2, "truth", 0.95)
    return frame.assign(repetitions=n)


if __name__ == "__main__":
    rows(simulated_effects(SEEDS)).round(6).to_csv(FILE, index=False)

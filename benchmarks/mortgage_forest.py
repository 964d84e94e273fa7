"""A competing-risk forest on the public panel of US mortgages: what payoff and default hang on, as tables and a figure.

    CHURNSURV_DATA=FOLDER python benchmarks/mortgage_forest.py            # writes docs/mortgage_forest.png
    CHURNSURV_DATA=FOLDER python benchmarks/mortgage_forest.py --trees 20 --figure /tmp/figure.png

5,000 loans, 62,136 loan-quarters (start, stop] on loan age, 84 % of the loans observed from a later age on. The forest is
grown on all of them; importances are out of bag by loan; risks are those of the loans under observation at the end of 2009,
from their age then on, with their covariates as known then.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

import churnsurv as cs
from churnsurv.data import SpellRules, build_spells
from churnsurv.plot import theme

mpl.use("Agg")

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("CHURNSURV_DATA") or ROOT.parent / "shared" / "data")
HORIZONS = (8, 12)
CAUSES = {"attrition": "payoff", "default": "default"}
LABELS = {
    "rate_incentive": "Rate incentive",
    "LTV_time": "Loan to value",
    "FICO_orig_time": "FICO at origination",
    "balance_time": "Balance",
    "investor_orig_time": "Investor",
    "UNRATE": "Unemployment",
}
#: the column drawn for each cause
DRAWN = {
    "attrition": ("rate_incentive", "Rate incentive (percentage points)"),
    "default": ("LTV_time", "Loan to value (%)"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=int, default=50)
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "mortgage_forest.png")
    options = parser.parse_args()

    spells = build_spells(
        None,
        pd.read_parquet(FOLDER / "dcr_mortgage_panel.parquet"),
        SpellRules.from_toml(ROOT / "reports" / "mortgage.toml"),
        macro=pd.read_parquet(FOLDER / "macro_monthly.parquet"),
    )
    X, y = spells.X, spells.y
    begun = time.perf_counter()
    forest = cs.RandomSurvivalForest(options.trees, min_samples_leaf=30, n_jobs=2, random_state=1).fit(X, y)
    print(f"{len(y):,} rows of {y.n_subjects:,} loans: fit {time.perf_counter() - begun:.1f} s")

    importances = {}
    for cause, name in CAUSES.items():
        begun = time.perf_counter()
        importances[cause] = forest.permutation_importance(X, y, cause=cause, n_repeats=5, random_state=1)
        print(f"\n{name}: {time.perf_counter() - begun:.1f} s, out-of-bag concordance")
        print(importances[cause].baseline)
        print(importances[cause].to_frame().round(4).to_string())

    cohort = spells.landmark("2009-12-31")
    known = (cohort.frame["age"] + max(HORIZONS) <= forest.last_).to_numpy()
    frame = cohort.frame[known]
    curves = forest.predict_curves(frame[X.columns], start=frame["age"].to_numpy())
    observed = cs.AalenJohansen().fit(cohort.y[known])
    print(
        f"\n{len(frame):,} loans under observation at the end of 2009 (in sample: the forest saw what became of them)"
    )
    for cause, name in CAUSES.items():
        for horizon in HORIZONS:
            risk = curves.risk(cause, horizon)
            happened = observed.curves_.risk(cause, horizon)[0]
            low, high = np.quantile(risk, [0.1, 0.9])
            print(
                f"{name} within {horizon} quarters: mean predicted {risk.mean():.3f} (80% of loans {low:.3f} to {high:.3f}), "
                f"Aalen-Johansen {happened:.3f}"
            )

    with theme.themed():
        draw(forest, frame, X.columns, importances, options.figure)


def draw(forest, frame, columns, importances, path) -> None:
    """Draw importances on the left, risks over a column on the right, a row per cause."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 6.6), facecolor="white", layout="constrained")
    axes = figure.subplots(2, 2, width_ratios=(1, 1.25))
    for (left, right), (cause, name) in zip(axes, CAUSES.items(), strict=True):
        cs.plot.importance(
            importances[cause], ax=left, labels=LABELS, xlabel=f"Fall of the concordance of {name} when permuted"
        )
        column, label = DRAWN[cause]
        top = 0.0
        for position, horizon in enumerate(HORIZONS):
            result = cs.partial_dependence(
                forest, frame[columns], column, horizon=horizon, cause=cause, start=frame["age"].to_numpy()
            )
            print(result.to_frame().iloc[:, :4].round(3).to_string())
            tone = theme.colour(position)
            cs.plot.partial_dependence(result, ax=right, xlabel=label, color=tone)
            right.annotate(
                f"{horizon} quarters", (result.values[-1], result.average[-1]), (4, 0), textcoords="offset points",
                va="center", size=9, color=tone, annotation_clip=False,
            )  # fmt: skip
            top = max(top, float(result.upper.max()))
        right.set_ylim(0.0, 1.06 * top)
        theme.percent_axis(right)
        right.set_ylabel(f"Risk of {name}")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()

"""Champion and challengers on the public panel of US mortgages, out of time: fitted until 2007, judged in the crisis.

    CHURNSURV_DATA=FOLDER python benchmarks/mortgage_comparison.py        # prints the tables, writes docs/mortgage_origins.png
    CHURNSURV_DATA=FOLDER python benchmarks/mortgage_comparison.py --trees 20 --figure /tmp/figure.png

Models "on spells" are fitted to all loan-quarters until the date on loan age with delayed entry, those "on a cohort" to the
loans open one horizon before the date (Fine-Gray, the challengers of lifelines and scikit-survival, the null model). All are
judged by the loans open at the date. Unemployment is the same for all loans of one date: a cohort has nothing to tell of it.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from lifelines import WeibullAFTFitter
from sksurv.ensemble import GradientBoostingSurvivalAnalysis

import churnsurv as cs
from churnsurv.data import SpellRules, build_spells
from churnsurv.plot import theme

mpl.use("Agg")

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("CHURNSURV_DATA") or ROOT.parent / "shared" / "data")
DATE, HORIZONS = "2007-12-31", (4, 8)
ORIGINS = [f"{year}-12-31" for year in range(2004, 2010)]
CAUSES = {"attrition": "payoff", "default": "default"}
CHAMPION = "Cox"
#: one model each for payoff and default, in one row of the tables
FINE_GRAY = {cause: f"Fine–Gray, {name}" for cause, name in CAUSES.items()}
METRICS = ["concordance", "auc", "brier", "ipa", "observed_expected", "calibration_slope"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "mortgage_origins.png")
    options = parser.parse_args()
    spells = build_spells(
        None,
        pd.read_parquet(FOLDER / "dcr_mortgage_panel.parquet"),
        SpellRules.from_toml(ROOT / "reports" / "mortgage.toml"),
        macro=pd.read_parquet(FOLDER / "macro_monthly.parquet"),
    ).complete()
    print(f"{len(spells):,} loan-quarters of {spells.frame['loan_id'].nunique():,} loans with known covariates")
    on_spells, on_cohorts = models(options.trees)

    begun = time.perf_counter()
    found = judged(on_spells | on_cohorts, spells, DATE, list(HORIZONS), METRICS)
    print(f"{found.method} {time.perf_counter() - begun:.0f} s\n")
    print(comparison_table(found))
    print(f"\nHazard ratios of the {CHAMPION} model, until and after {DATE}\n")
    print(hazard_ratios(spells, DATE))

    begun = time.perf_counter()
    shown = {
        name: model for name, model in (on_spells | on_cohorts).items() if name in (CHAMPION, "Forest", "Boosting")
    }
    rolled = judged(shown, spells, ORIGINS, HORIZONS[0], ["auc", "observed_expected"])
    print(f"\n{rolled.method} {time.perf_counter() - begun:.0f} s\n")
    print(origins_table(rolled))
    draw(rolled, options.figure)


def models(trees: int) -> tuple[dict, dict]:
    """Give the models on spells, the champion first, and those on a cohort."""
    boosting = GradientBoostingSurvivalAnalysis(
        n_estimators=100, learning_rate=0.1, max_depth=2, subsample=0.5, random_state=1
    )
    on_spells = {
        CHAMPION: cs.CauseSpecificCox(),
        "Discrete hazard": cs.DiscreteHazard(),
        "Forest": cs.RandomSurvivalForest(trees, min_samples_leaf=30, random_state=1),
    }
    on_cohorts = {
        "Cox, cohort": cs.CauseSpecificCox(),
        **{name: cs.FineGray(cause=cause) for cause, name in FINE_GRAY.items()},
        "Weibull": cs.adapt(WeibullAFTFitter(), per_cause=True),
        "Boosting": cs.adapt(boosting, per_cause=True),
    }
    return on_spells, on_cohorts


def judged(chosen: dict, spells, dates, horizon, metrics: list[str]) -> cs.evaluation.Evaluation:
    """Fit and judge at the dates; models of a cohort have the loan's age and not the unemployment among their covariates."""
    on_spells = models(1)[0]
    names = list(spells.rules.covariate_names)
    of_cohort = [name for name in names if name != "UNRATE"] + ["age"]
    return cs.evaluation.backtest(
        chosen,
        spells,
        dates,
        horizon=horizon,
        train={name: "spells" if name in on_spells else "cohort" for name in chosen},
        features={name: names if name in on_spells else of_cohort for name in chosen} | {"null": []},
        cause=list(CAUSES),
        metrics=metrics,
    )


def comparison_table(found: cs.evaluation.Evaluation) -> str:
    """Give one Markdown table: measures of each model by outcome and horizon, and differences from the champion."""
    columns = ["C", "AUC", "Brier", "IPA", "observed/expected", "slope", "AUC, difference", "Brier, difference"]
    lines = [row_of("outcome", "model", *columns), "|" + "---|" * (2 + len(columns))]
    key = ["model", "metric", "cause", "horizon"]
    values, differences = found.table.fillna({"horizon": 0}), found.differences
    values, differences = values.set_index(key).sort_index(), differences.set_index(key).sort_index()
    for cause, name in CAUSES.items():
        for horizon in HORIZONS:
            first = f"{name}, {horizon} quarters"
            for model in found.table["model"].unique():
                if model in FINE_GRAY.values() and model != FINE_GRAY[cause]:
                    continue
                cells = [text(values.loc[(model, "concordance", cause, 0)], "value")]
                cells += [text(values.loc[(model, metric, cause, horizon)], "value") for metric in METRICS[1:]]
                for metric, digits in (("auc", 3), ("brier", 4)):
                    same = model == found.reference
                    at = (model, metric, cause, horizon)
                    cells.append("" if same else text(differences.loc[at], "difference", digits))
                lines.append(row_of(first, model.split(",")[0] if model in FINE_GRAY.values() else model, *cells))
                first = ""
    return "\n".join(lines)


def hazard_ratios(spells, date: str) -> str:
    """Give a Markdown table of the champion's hazard ratios per standard deviation, fitted before and after a date."""
    before, after = spells.until(date), spells.after(date)
    unit = before.X.std()
    lines = [
        row_of("covariate", "per", *(f"{name}, {when}" for name in CAUSES.values() for when in ("until", "after")))
    ]
    lines.append("|" + "---|" * 6)
    fits = [cs.CauseSpecificCox().fit(part.X / unit, part.y, cluster=part.groups).summary() for part in (before, after)]
    for term in before.X.columns:
        rows = [fit.loc[(cause, term)] for cause in CAUSES for fit in fits]
        cells = [f"{r['hazard_ratio']:.2f} ({r['hr_lower']:.2f} to {r['hr_upper']:.2f})" for r in rows]
        lines.append(row_of(term, f"{unit[term]:.3g}", *cells))
    return "\n".join(lines)


def origins_table(rolled: cs.evaluation.Evaluation) -> str:
    """Give a Markdown table of AUC and observed/expected by date and model."""
    names = list(rolled.table["model"].unique())
    lines = [row_of("outcome", "from the end of", "loans", "exits", *(f"{m}: AUC" for m in names if m != "null"))]
    lines[0] += "".join(f" {m}: O/E |" for m in names)
    lines.append("|" + "---|" * (3 + 2 * len(names)))
    folds = rolled.folds.set_index(["model", "metric", "cause", "fold"]).sort_index()
    for cause, name in CAUSES.items():
        for date in rolled.folds["fold"].unique():
            auc = [folds.loc[(m, "auc", cause, date)] for m in names if m != "null"]
            ratio = [folds.loc[(m, "observed_expected", cause, date)] for m in names]
            cells = [str(date.year), f"{auc[0]['n']:,}", str(auc[0]["n_events"])]
            lines.append(row_of(name, *cells, *(text(r, "value") for r in auc), *(text(r, "value", 2) for r in ratio)))
    return "\n".join(lines)


def row_of(*cells: str) -> str:
    """Give a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def text(row: pd.Series, column: str, digits: int = 3) -> str:
    """Give an estimate with its interval; a star where Holm's p-value is below 0.05."""
    if pd.isna(row[column]):
        return "–"
    value, lower, upper = (f"{round(row[name], digits) + 0.0:.{digits}f}" for name in (column, "lower", "upper"))
    star = "\\*" if row.get("p_holm", 1.0) < 0.05 else ""
    return (f"{value} [{lower}, {upper}]" if row["se"] > 1e-12 else value).replace("-", "−") + star


def draw(rolled: cs.evaluation.Evaluation, path: Path) -> None:
    """Draw AUC and observed/expected by date, a row per cause."""
    from matplotlib.figure import Figure

    with theme.themed():
        figure = Figure(figsize=(11.0, 7.0), facecolor="white", layout="constrained")
        for line, (cause, name) in zip(figure.subplots(2, 2), CAUSES.items(), strict=True):
            for ax, metric, label in zip(line, ("auc", "observed_expected"), ("AUC", "Observed/expected"), strict=True):
                cs.plot.rolling_origin(rolled, metric, cause=cause, ax=ax)
                ax.set_ylabel(f"{label}, {name} within a year")
                ax.set_xticks(rolled.folds["fold"].unique(), [date[:4] for date in ORIGINS])
                ax.set_xlabel("Fitted to what was known at the end of")
        figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()

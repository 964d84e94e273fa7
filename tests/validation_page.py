"""The tables of docs/validation.md: what is compared with R, and what simulations gave. Rewritten by running this module."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd

from tests.oracle_cases import HERE, checks_of, folders

PAGE = HERE.parent / "docs" / "validation.md"
BEGIN, END = "<!-- counts: python -m tests.validation_page -->", "<!-- end of counts -->"
FIRST, LAST = "<!-- simulations: python -m tests.validation_page -->", "<!-- end of simulations -->"
#: kind of a block → what it holds; a kind not listed is shown by its name
WORDS = {
    "cox": "Cox fits: coefficients, covariances, likelihoods, tests, intervals, AIC, BIC",
    "baseline": "baseline cumulative hazards",
    "prediction": "predicted curves and linear predictors",
    "km": "Kaplan–Meier and Nelson–Aalen curves",
    "aalen-johansen": "Aalen–Johansen curves",
    "rmst": "restricted means, their differences and ratios",
    "km-difference": "differences of Kaplan–Meier curves at a horizon",
    "logrank": "log-rank tests and their components",
    "concordance": "concordances: every weighting, horizon, weights, strata, clusters, with standard errors",
    "auc": "cumulative/dynamic AUC and differences of two models",
    "brier": "Brier scores, indices of prediction accuracy, differences of two models",
    "calibration": "calibration by bins of the predictions",
    "value": "single quantities: nested models, time-varying effects, edge cases, identities",
}


def counts() -> str:
    """Give the table of what is compared, of the cases kept in the repository."""
    blocks: dict[str, int] = {}
    cases: dict[str, set[str]] = {}
    for folder in folders():
        if not folder.is_relative_to(HERE):
            continue
        for check in checks_of(folder):
            if check.kind != "outside":
                blocks[check.kind] = blocks.get(check.kind, 0) + 1
                cases.setdefault(check.kind, set()).add(check.case)
    order = [kind for kind in WORDS if kind in blocks] + sorted(set(blocks) - set(WORDS))
    rows = [f"| {WORDS.get(kind, kind)} | {blocks[kind]} | {len(cases[kind])} |" for kind in order]
    total = f"| all | {sum(blocks.values())} | {len(set().union(*cases.values()))} |"
    return "\n".join(["| compared with R | blocks | cases |", "|---|---|---|", *rows, total])


def simulations() -> str:
    """Give the table of what simulations with a known truth gave, as their modules kept it."""
    parts = [pd.DataFrame(json.loads(file.read_text())) for file in sorted(HERE.glob("*/simulated/*.json"))]
    parts += [pd.read_csv(file) for file in sorted(HERE.glob("*/simulated/*.csv"))]
    table = pd.concat(parts, ignore_index=True).sort_values(["name", "quantity"], kind="stable")
    rows = [
        f"| {row.name} | {row.quantity} | {_truth(row.truth)} | {row.estimate:.4g} | {row.monte_carlo_error:.2g} | "
        f"{row.repetitions:,} |"
        for row in table[["name", "quantity", "truth", "estimate", "monte_carlo_error", "repetitions"]].itertuples(
            index=False, name="Row"
        )
    ]
    return "\n".join(
        ["| of | quantity | truth | found | Monte-Carlo error | data sets |", "|---|---|---|---|---|---|", *rows]
    )


def _truth(value: float) -> str:
    return "—" if pd.isna(value) else f"{value:.4g}"


def with_counts(text: str) -> str:
    """Give the page with the tables of today."""
    for begin, end, table in ((BEGIN, END, counts), (FIRST, LAST, simulations)):
        text = re.sub(f"{begin}.*{end}", lambda _, b=begin, e=end, t=table: f"{b}\n{t()}\n{e}", text, flags=re.DOTALL)
    return text


def main(page: Path = PAGE) -> None:
    """Rewrite the tables of the page."""
    page.write_text(with_counts(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The counts of docs/validation.md: how many blocks of which kind are compared with R. Rewritten by running this module."""

from __future__ import annotations

import re
from pathlib import Path

from tests.oracle_cases import HERE, checks_of, folders

PAGE = HERE.parent / "docs" / "validation.md"
BEGIN, END = "<!-- counts: python -m tests.validation_page -->", "<!-- end of counts -->"
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


def with_counts(text: str) -> str:
    """Give the page with the counts of today."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{counts()}\n{END}", text, flags=re.DOTALL)


def main(page: Path = PAGE) -> None:
    """Rewrite the counts of the page."""
    page.write_text(with_counts(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

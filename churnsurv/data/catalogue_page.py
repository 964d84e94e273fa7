"""The catalogue as a page of the documentation: ``python -m churnsurv.data.catalogue_page`` writes docs/covariates.md."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from churnsurv.data.catalogue import CAUSES, covariates, interventions, requirements

_INTRODUCTION = """\
# Covariates and interventions

Why loan customers leave, as columns of a table, and what lenders do about it, as tests. The tables are written from
`churnsurv/data/catalogue.toml` by `python -m churnsurv.data.catalogue_page`; from Python they are
`cs.data.covariates()`, `cs.data.interventions()` and `cs.data.requirements()`. Labels, units and expected signs go into a
table of hazard ratios by `cs.report.hazard_ratio_table(model, **cs.data.catalogue_words(X.columns, causes=[...]))`.

Three ways out are kept apart: **attrition** (the customer leaves while able to pay), **default** (the customer cannot pay)
and **renewed** (refinanced or topped up with us: not lost). An application that is not granted is none of them: it never
became a loan, and is a question of its own.
"""

_COVARIATES = """\
## Covariates

- **Kind**: S static, T varying with the customer, M macro (the same for a region and month), X external (competitor,
  platform, press). A column that has one value for everyone in a month cannot be told from the baseline when monthly
  vintages are strata: at a given loan age everyone of a vintage is in the same month. With coarser vintages it is told
  weakly.
- **Sign**: of the coefficient when the column rises, stated before fitting: + leaves sooner, − later, nothing where no
  direction can be stated or it depends on the case. Where the cause is that something falls, the sign is that of the
  column: a falling credit score raises default, so the score has a −.
- **Per**: the step that a hazard ratio refers to.
- **Lag**: months after which a value is known, so that a model may use it.
"""

_INTERVENTIONS = """\
## Interventions

**Design** is how the effect is told from what would have happened anyway, the best first. **Outcome** is what the
intervention is for, **safety** what it must not make worse.
"""

_REQUIREMENTS = """\
## Requirements on the process
"""

_SIGNS = [cause.capitalize() for cause in CAUSES]


def page() -> str:
    """Give the page as Markdown.

    Examples
    --------
    >>> from churnsurv.data.catalogue_page import page
    >>> page().splitlines()[0]
    '# Covariates and interventions'
    """
    parts = [
        _INTRODUCTION,
        _COVARIATES,
        _table(
            ["Ref", "Column", "What it is, and why it matters", "Unit", "Kind", "Table", *_SIGNS, "Per", "Lag"],
            [_covariate(row) for _, row in covariates().iterrows()],
        ),
        _INTERVENTIONS,
        _table(
            ["Ref", "Intervention", "Works through", "Design", "Estimand", "Outcome; safety", "What would be wrong"],
            [_intervention(row) for _, row in interventions().iterrows()],
        ),
        _REQUIREMENTS,
        _table(
            ["Ref", "Asked for", "Met by"],
            [
                [row["reference"], row["asked"], " ".join([row["met_by"], _columns(row["covariates"])]).strip()]
                for _, row in requirements().iterrows()
            ],
        ),
    ]
    return "\n".join(parts)


def _covariate(row: pd.Series) -> list[str]:
    signs = [row[f"expected_{cause}"].replace("-", "−") for cause in CAUSES]
    step = "" if pd.isna(row["per"]) else f"{row['per']:,g} {row['per_unit']}"
    lag = "" if pd.isna(row["lag"]) else f"{row['lag']}" + (f" ({row['lag_note']})" if row["lag_note"] else "")
    meaning = f"**{row['label']}.** {row['description']}"
    text = [row["reference"], f"`{row['column']}`", meaning, row["unit"], row["letter"], row["table"]]
    return [*text, *signs, step.replace("1 yes vs no", "yes vs no"), lag]


def _intervention(row: pd.Series) -> list[str]:
    name = f"**{row['name']}.** {row['description']}"
    through = f"{row['lever'].capitalize()}: {_columns(row['covariates'])}"
    design = f"{', '.join(row['designs'])}. {row['identification']}"
    return [
        row["reference"],
        name,
        through,
        design,
        row["estimand"],
        f"{row['outcome']}; {row['safety']}",
        row["wrong"],
    ]


def _columns(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(part.replace('|', chr(92) + '|') for part in row)} |\n" for row in cells)


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/covariates.md").write_text(page(), encoding="utf-8")

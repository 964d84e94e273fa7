"""Which column of a source has which role in a fit from batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from churnsurv.data.formulas import formula_columns, right_hand_side
from churnsurv.data.stored import SpellFile
from churnsurv.estimators.stream_source import Source, as_source
from churnsurv.exceptions import DataError


class Roles(NamedTuple):
    """Which column is what."""

    stop: str
    event: str
    start: str | None
    subject: str | None
    causes: Any
    censored: Any
    strata: list[str]
    cluster: list[str]
    sample_weight: str | None
    offset: str | None
    covariates: list[str]

    def needed(self) -> list[str]:
        """Give the columns to read, once each."""
        single = [self.start, self.subject, self.sample_weight, self.offset]
        return list(
            dict.fromkeys(
                [self.stop, self.event, *(c for c in single if c), *self.strata, *self.cluster, *self.covariates]
            )
        )


def read_roles(
    source: Any,
    formula: str | None,
    stop: str | None,
    event: str | None,
    start: str | None,
    subject: str | None,
    causes: Any,
    censored: Any,
    columns: Sequence[str] | None,
    strata: str | Sequence[str] | None,
    sample_weight: str | None,
    cluster: str | Sequence[str] | None,
    offset: str | None,
) -> tuple[Source, Roles]:
    """Give the source and which of its columns is what; a file of spells says itself how its rows end."""
    readable = as_source(source)
    if isinstance(source, SpellFile) and stop is None and event is None:
        stop, event, start, subject = "stop", "cause", "start", "loan_id"
        causes = source.rules.cause_names
        censored = [ending for ending in source.rules.endings if ending not in causes]
        causes = {name: name for name in causes}
    if stop is None or event is None:
        raise DataError("Name the columns of the outcome: stop= and event= (only a SpellFile knows them).")
    of_strata, of_cluster = _listed(strata), _listed(cluster)
    taken = {stop, event, start, subject, sample_weight, offset, *of_strata, *of_cluster}
    if columns is not None:
        covariates = _listed(columns)
    elif formula is not None:
        wanted = right_hand_side(formula)
        covariates = formula_columns(wanted, pd.DataFrame(columns=readable.names))
    elif isinstance(source, SpellFile):
        covariates = [name for name in source.rules.covariate_names if name not in taken]
    else:
        covariates = [name for name in readable.names if name not in taken]
    both = [name for name in covariates if name in taken - set(of_strata)]
    if both:
        raise DataError(f"Column {both[0]!r} is a covariate and has another role too; leave it out of columns=.")
    if not covariates:
        raise DataError("There is no covariate: the source has no column left, or the formula names none.")
    return readable, Roles(
        stop, event, start, subject, causes, censored, of_strata, of_cluster, sample_weight, offset, covariates
    )


def _listed(names: str | Sequence[str] | None) -> list[str]:
    return [] if names is None else [names] if isinstance(names, str) else [str(name) for name in names]

"""What a table of hazard ratios needs to know of a fitted model, whichever class it is of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from churnsurv.exceptions import DataError
from churnsurv.messages import counted
from churnsurv.report.term_labels import category_of, factors_of


@dataclass(frozen=True, eq=False)
class Fitted:
    """One fitted model of one cause.

    Attributes
    ----------
    source : estimator
        As fitted; of a model of several causes that has no parts of its own (monthly hazards), the whole.
    cause : str
        The cause modelled.
    coef_ : Series
        Log hazard ratios by term.
    covariance : array (p, p)
    encoder_ : DesignEncoder
    n_events, n_rows, n_subjects : int
    kind : {"cox", "subdistribution", "monthly"}
    """

    source: Any
    cause: str
    coef_: pd.Series
    covariance: np.ndarray
    encoder_: Any
    n_events: int
    n_rows: int
    n_subjects: int
    kind: str

    def summary(self, level: float) -> pd.DataFrame:
        """Give the model's summary of this cause."""
        table: pd.DataFrame = self.source.summary(level)
        return pd.DataFrame(table.xs(self.cause)) if isinstance(table.index, pd.MultiIndex) else table

    @property
    def symbol(self) -> str:
        """What stands before a ratio: HR, or SHR of subdistribution hazards."""
        return "SHR" if self.kind == "subdistribution" else "HR"

    @property
    def ratio_name(self) -> str:
        """The ratio as a heading."""
        return "Subdistribution HR" if self.kind == "subdistribution" else "Hazard ratio"

    def joint_p_values(self) -> dict[str, float]:
        """Give each term of the formula with the p-value of Wald's test of all its coefficients; NaN where it is not valid.

        Wald's statistic is far off where columns separate, so that a Firth fit has none.
        """
        found = {}
        for term, columns in self.encoder_.columns_by_term().items():
            rank = getattr(self.source, "covariance_rank_", len(self.coef_))
            if getattr(self.source, "penalty", None) or rank < len(columns):
                found[term] = float("nan")
                continue
            beta, part = self.coef_.to_numpy()[columns], self.covariance[np.ix_(columns, columns)]
            scale = np.sqrt(np.diag(part))
            z = beta / scale
            found[term] = float(chi2.sf(z @ np.linalg.solve(part / np.outer(scale, scale), z), len(columns)))
        return found

    def note(self, level_words: str) -> str:
        """Say what the ratios rest on: events, model, ties, strata, intervals."""
        source = self.source
        names = {"cox": "Cox model", "subdistribution": "Fine\u2013Gray model of the subdistribution hazard"}
        firth = getattr(source, "penalty", None) == "firth"
        model = names.get(self.kind, "monthly hazards with complementary log-log link")
        model += " with Firth's penalty" if firth else ""
        ties = getattr(source, "ties", None)
        strata = getattr(source, "strata_", None)
        robust = bool(getattr(source, "is_robust_", np.any(source.covariance_ != source.naive_covariance_)))
        by = "cluster" if "cluster" in getattr(source, "argument_columns_", {}) else "subject"
        variance = f"sandwich variance by {by}" if robust else "variance from the inverse information"
        parts = [
            f"{counted(self.n_events, 'event')} of {self.cause} among {counted(self.n_subjects, 'subject')} "
            f"({counted(self.n_rows, 'row')})",
            model + (f", ties by {ties.capitalize()}'s rule" if ties else ""),
            f"a baseline for each of {counted(len(strata), 'stratum')}".replace("stratums", "strata") if strata else "",
            f"{level_words} intervals of the profile penalised likelihood"
            if firth
            else f"{level_words} Wald intervals, {variance}",
        ]
        return "; ".join(part for part in parts if part) + "."


def fitted_models(model: Any) -> dict[str, Fitted]:
    """Give the fitted models within what was passed, by the name that stands above them.

    Raises
    ------
    DataError
        Something without coefficients.
    """
    if not isinstance(model, Mapping):
        return dict(_parts(model))
    found: dict[str, Fitted] = {}
    for name, one in model.items():
        parts = list(_parts(one))
        found |= {str(name) if len(parts) == 1 else f"{name}: {cause}": part for cause, part in parts}
    if not found:
        raise DataError("No models were given: pass a fitted one, or a mapping of names to fitted models.")
    return found


def _parts(model: Any) -> Iterator[tuple[str, Fitted]]:
    if hasattr(model, "models_"):
        for cause, one in model.models_.items():
            yield str(cause), _of_one(one, str(cause))
    elif not hasattr(model, "coef_"):
        raise DataError(f"{type(model).__name__} has no coefficients; give fitted Cox models.")
    elif isinstance(model.coef_.index, pd.MultiIndex):
        for cause, fit in model.fits_.items():
            yield str(cause), Fitted(
                model, str(cause), fit.coef, fit.covariance.to_numpy(), fit.encoder, int(fit.n_events),
                model.n_observations_, model.n_subjects_, "monthly",
            )  # fmt: skip
    else:
        cause = str(getattr(model, "cause_", "event"))
        yield cause, _of_one(model, cause)


def _of_one(model: Any, cause: str) -> Fitted:
    if not hasattr(model, "coef_"):
        raise DataError(f"{type(model).__name__} has no coefficients; give fitted Cox models.")
    return Fitted(
        model, cause, model.coef_, model.covariance_.to_numpy(), model.encoder_, model.n_events_, model.n_observations_,
        model.n_subjects_, "subdistribution" if hasattr(model, "n_competing_") else "cox",
    )  # fmt: skip


def known_names(model: Any) -> list[str]:
    """Give the names by which terms of a fitted model can be spoken of: the terms, and columns of categories."""
    names: dict[str, None] = {}
    for term in map(str, model.coef_.index):
        category = category_of(term)
        names |= dict.fromkeys([term, category.column] if category else [term])
    return list(names)


def columns_behind(model: Any) -> list[str]:
    """Give the columns within interactions and curves: they can be labelled, but have no sign or unit of their own."""
    return [factor.column for term in map(str, model.coef_.index) for factor in factors_of(term)]

"""The effects by name, for what is done to any of them: subgroups, negative controls."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from churnsurv.effects.arms import values_of
from churnsurv.effects.hazards import hazard_ratio, subdistribution_hazard_ratio
from churnsurv.effects.retained import retained_balance, retained_months
from churnsurv.effects.risks import risk_difference, risk_ratio
from churnsurv.effects.rmst import rmst_difference, rmst_ratio, rmtl_difference, rmtl_ratio
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.results import Estimate

#: effects with a standard error
EFFECTS: dict[str, Callable[..., Estimate]] = {
    "hazard_ratio": hazard_ratio,
    "retained_balance": retained_balance,
    "retained_months": retained_months,
    "risk_difference": risk_difference,
    "risk_ratio": risk_ratio,
    "rmst_difference": rmst_difference,
    "rmst_ratio": rmst_ratio,
    "rmtl_difference": rmtl_difference,
    "rmtl_ratio": rmtl_ratio,
    "subdistribution_hazard_ratio": subdistribution_hazard_ratio,
}
#: options that hold one value per row
_OF_ROWS = ("balance", "censoring_strata", "cluster", "sample_weight", "strata")


def effect_named(name: str) -> Callable[..., Estimate]:
    """Give the effect of this name."""
    if name not in EFFECTS:
        raise DataError(f"effect={name!r} is not known: use one of {list(EFFECTS)}.")
    return EFFECTS[name]


def checked_options(function: Callable[..., Any], options: dict[str, Any], name: str) -> None:
    """Refuse options that a function (called with an outcome and its arms) does not have, and the absence of those it needs."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # written in C: it says so itself
        return
    named = {p.name: p for p in parameters.values() if p.kind is p.KEYWORD_ONLY}
    named |= {p.name: p for p in list(parameters.values())[2:] if p.kind is p.POSITIONAL_OR_KEYWORD}
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        unknown = [option for option in options if option not in named]
        if unknown:
            raise DataError(
                f"{name} has no option {first_of([repr(o) for o in unknown])}; it has {first_of(named, 20)}."
            )
    absent = [p.name for p in named.values() if p.default is p.empty and p.name not in options]
    if absent:
        raise DataError(f"{name} needs {first_of(absent)}: give {absent[0]}= too.")


def is_ratio(name: str) -> bool:
    """Whether no effect is 1, else 0."""
    return name.endswith("ratio")


def options_of(options: dict[str, Any], rows: NDArray[Any], n: int) -> dict[str, Any]:
    """Give the options of these of n rows."""
    by_row = {name: options[name] for name in _OF_ROWS if options.get(name) is not None}
    return options | {name: values_of(values, rows, n, name) for name, values in by_row.items()}


def normal_scale(name: str, estimate: Estimate) -> tuple[float, float]:
    """Give the effect and its standard error on the scale on which its interval is symmetric."""
    if is_ratio(name):
        return float(np.log(estimate.value)), estimate.se / estimate.value
    return estimate.value, estimate.se


def two_sided(z: float) -> float:
    """Give the two-sided p-value of a standard normal statistic."""
    return float(2 * ndtr(-abs(z)))

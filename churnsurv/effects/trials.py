"""Trials that have not been run yet: what would happen in both arms, month by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from churnsurv.effects.resampling import check_seed
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of, one_number
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """One drawn trial: y in months since assignment, arm ("control", "treated"), cluster (n,)."""

    y: Outcome
    arm: NDArray[np.str_]
    cluster: NDArray[np.int64]


@dataclass(frozen=True)
class TrialScenario:
    """A comparison of two arms that could be run, month by month.

    Parameters
    ----------
    hazards : mapping
        Monthly hazard of each cause in the control arm: a number, or one per month.
    hazard_ratios : mapping
        Effect on each cause: a number, or ``{month: ratio}``, the ratio from that month on (1 before the first): an
        effect that comes late or wears off. Causes not named are not changed.
    follow_up : int
        Months after assignment for which all are followed; with `accrual`, the last to enter.
    accrual : int
        Months over which customers enter, evenly: the first are followed that much longer.
    dropout : float
        Monthly hazard of being lost to follow-up.
    share_treated : float
        Share of the units in the treated arm.
    cluster_size : int
        Customers per unit of assignment (a branch); 1: customers are assigned one by one.
    cluster_sd : float
        Standard deviation of the normal log hazard that the customers of a cluster share.

    Examples
    --------
    >>> from churnsurv.effects import TrialScenario
    >>> late = TrialScenario({"attrition": 0.012, "default": 0.002}, {"attrition": {4: 0.6}}, follow_up=12)
    >>> trial = late.draw(500, random_state=1)
    >>> trial.y.causes, len(trial.y)
    (('attrition', 'default'), 500)
    """

    hazards: Mapping[str, float | Sequence[float]]
    hazard_ratios: Mapping[str, float | Mapping[int, float]]
    follow_up: int
    accrual: int = 0
    dropout: float = 0.0
    share_treated: float = 0.5
    cluster_size: int = 1
    cluster_sd: float = 0.0
    _cumulated: Floats = field(init=False, repr=False, compare=False)
    _monthly: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("hazards", "hazard_ratios"):
            if not isinstance(getattr(self, name), Mapping):
                raise DataError(
                    f"{name}={getattr(self, name)!r}: give a number per cause, such as {{'attrition': 0.5}}."
                )
        if not self.hazards:
            raise DataError("hazards is empty: name at least one cause with its monthly hazard.")
        for name, least in (("follow_up", 1), ("accrual", 0), ("cluster_size", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise DataError(f"{name}={value!r}: give a whole number of at least {least}.")
        for name in ("dropout", "cluster_sd"):
            if one_number(getattr(self, name), name) < 0:
                raise DataError(f"{name}={getattr(self, name)!r} must be 0 or more.")
        if not 0 < one_number(self.share_treated, "share_treated") < 1:
            raise DataError(f"share_treated={self.share_treated!r} must lie between 0 and 1.")
        unknown = [cause for cause in self.hazard_ratios if cause not in self.hazards]
        if unknown:
            raise DataError(f"hazard_ratios names {first_of([repr(c) for c in unknown])}, which has no hazard.")
        months = self.follow_up + self.accrual
        control = np.array([_by_month(h, months, cause) for cause, h in self.hazards.items()])
        ratio = np.array([_ratios(self.hazard_ratios.get(cause, 1.0), months, cause) for cause in self.hazards])
        monthly = np.stack([control, control * ratio])  # (arm, cause, month)
        object.__setattr__(self, "_monthly", monthly)
        object.__setattr__(self, "_cumulated", np.cumsum(monthly.sum(axis=1), axis=1))

    def draw(self, n: int, *, random_state: int | np.random.Generator | None = None) -> Trial:
        """Draw a trial of n customers (whole clusters; the last may be smaller)."""
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise DataError(f"n={n!r}: give a whole number of customers, 1 or more.")
        if not isinstance(random_state, np.random.Generator):
            check_seed(random_state)
        rng = np.random.default_rng(random_state)
        cluster = np.arange(n) // self.cluster_size
        units = int(cluster[-1]) + 1
        # exactly the planned share of the units, in random order
        treated = rng.permutation(units) < round(units * self.share_treated)
        frailty = np.exp(self.cluster_sd * rng.standard_normal(units))
        arm = treated[cluster].astype(np.int64)
        months = self._cumulated.shape[1]
        reached = rng.exponential(size=n) / frailty[cluster]
        month = np.empty(n, dtype=np.int64)
        for a in (0, 1):
            month[arm == a] = np.searchsorted(self._cumulated[a], reached[arm == a])
        lost = rng.exponential(size=n) / self.dropout if self.dropout > 0 else np.full(n, np.inf)
        watched = np.minimum(self.follow_up + rng.integers(0, self.accrual + 1, n), np.ceil(lost))
        # in its month an exit comes before the end of observation
        gone = (month < months) & (month + 1 <= watched)
        hazards = self._monthly[arm, :, np.minimum(month, months - 1)]
        share = np.cumsum(hazards, axis=1) / np.maximum(hazards.sum(axis=1, keepdims=True), 1e-300)
        # the shares' last entry is 1 only up to rounding
        cause = 1 + np.minimum((rng.random((n, 1)) > share).sum(axis=1), len(self.hazards) - 1)
        stop = np.where(gone, month + 1, watched)
        y = Outcome(stop, np.where(gone, cause, 0), causes=tuple(self.hazards))
        return Trial(y, np.array(["control", "treated"])[arm], cluster)


def _by_month(hazard: float | Sequence[float], months: int, cause: str) -> Floats:
    try:
        values = np.asarray(hazard, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"The hazard of {cause!r} is {hazard!r}: give a number, or one per month.") from None
    if values.ndim == 0:
        values = np.full(months, float(values))
    if values.ndim != 1 or len(values) < months:
        raise DataError(f"The hazard of {cause!r} has {values.size} months; follow-up and accrual need {months}.")
    if not np.isfinite(values).all() or (values < 0).any() or not (values[:months] > 0).any():
        raise DataError(f"The hazard of {cause!r} must be finite and 0 or more, and above 0 in some month.")
    return values[:months]


def _ratios(ratio: float | Mapping[int, float], months: int, cause: str) -> Floats:
    steps = {1: ratio} if not isinstance(ratio, Mapping) else ratio
    values = np.ones(months)
    odd = [m for m in steps if isinstance(m, bool) or not isinstance(m, int | np.integer)]
    if odd:
        raise DataError(f"Hazard ratio of {cause!r}: {odd[0]!r} is no month; give whole numbers, such as {{4: 0.6}}.")
    for month, value in sorted(steps.items()):
        number = one_number(value, f"hazard ratio of {cause!r}")
        if number <= 0 or month < 1:
            raise DataError(f"Hazard ratio of {cause!r}: {month!r}: {value!r}; ratios are above 0, months 1 or more.")
        values[int(month) - 1 :] = number
    return values

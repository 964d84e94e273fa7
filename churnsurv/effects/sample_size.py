"""How many events and customers a comparison of two arms needs, in closed form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil, expm1, log

import pandas as pd
from scipy.special import ndtri

from churnsurv.exceptions import DataError
from churnsurv.messages import one_number


@dataclass(frozen=True)
class SampleSize:
    """What a planned comparison needs.

    Parameters
    ----------
    n, n_control, n_treated : int
        Customers in all, and by arm.
    n_events : int
        Events of the cause that the comparison must see.
    share_with_event : float
        Expected share of customers with such an event under observation.
    hazard_ratio, margin, power, alpha : float
        What is to be shown, see :func:`required_events`.
    method : str
        The formula and its assumptions in words.
    """

    n: int
    n_control: int
    n_treated: int
    n_events: int
    share_with_event: float
    hazard_ratio: float
    margin: float
    power: float
    alpha: float
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Give the record as a frame of one row."""
        return pd.DataFrame([asdict(self)])


def required_events(
    hazard_ratio: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    two_sided: bool = True,
    share_treated: float = 0.5,
    margin: float = 1.0,
    design_effect: float = 1.0,
) -> int:
    r"""Give the number of events with which a log-rank or Cox test reaches its power.

    Schoenfeld's (1981) formula, :math:`d = (z_{\alpha} + z_{\text{power}})^2 / (s (1 - s) \log^2(HR / margin))` with the
    share s of customers treated. It assumes proportional hazards and the same censoring in both arms; it holds for the
    cause-specific hazard of one cause too. For other effects see :func:`sample_size_by_simulation`.

    Parameters
    ----------
    hazard_ratio : float
        The hazard ratio to be found (treated to control); with a margin, the one that is expected.
    power, alpha : float
        Probability of finding it, and of a false alarm.
    two_sided : bool
        Whether `alpha` is split between both directions.
    share_treated : float
        Share of the customers in the treated arm.
    margin : float
        Hazard ratio under the null hypothesis: 1 for a difference; above 1 to show that default rises by less (then use
        ``two_sided=False`` and alpha 0.025).
    design_effect : float
        Factor for customers assigned in clusters, 1 + (size − 1) · intracluster correlation (Donner & Klar 2000).

    Raises
    ------
    DataError
        An argument outside its range; a hazard ratio equal to the margin, which no number of events tells apart.

    Examples
    --------
    >>> from churnsurv.effects import required_events
    >>> required_events(0.75)
    380
    >>> required_events(1.0, margin=1.3, alpha=0.025, two_sided=False)
    457
    """
    ratio, margin = _positive(hazard_ratio, "hazard_ratio"), _positive(margin, "margin")
    share, effect = _probability(share_treated, "share_treated"), _positive(design_effect, "design_effect")
    if effect < 1:
        raise DataError(f"design_effect={design_effect!r} is below 1: clusters never add information.")
    if abs(log(ratio / margin)) < 1e-9:
        raise DataError(
            f"hazard_ratio={hazard_ratio:g} is what the null hypothesis says (margin {margin:g}): no number of events "
            "tells them apart."
        )
    z = critical_value(alpha, two_sided) + ndtri(_probability(power, "power"))
    if z <= 0:
        raise DataError(f"power={power:g} is not above alpha={alpha:g}: no test is needed for that.")
    return ceil(float(effect * z**2 / (share * (1 - share) * log(ratio / margin) ** 2)) - 1e-9)


def sample_size(
    hazard_ratio: float,
    *,
    hazard: float,
    follow_up: float,
    competing: float = 0.0,
    dropout: float = 0.0,
    accrual: float = 0.0,
    power: float = 0.8,
    alpha: float = 0.05,
    two_sided: bool = True,
    share_treated: float = 0.5,
    margin: float = 1.0,
    design_effect: float = 1.0,
) -> SampleSize:
    """Give the number of customers with which a log-rank or Cox test of one cause reaches its power.

    The events of :func:`required_events`, divided by the expected share of customers with an event of the cause while
    under observation: constant hazards of the cause, of the other causes and of dropping out; customers enter evenly
    during `accrual` and all are followed until `follow_up` after its end (Schoenfeld 1983).

    Parameters
    ----------
    hazard_ratio : float
        Treated to control, see :func:`required_events` (also for the other options).
    hazard : float
        Hazard of the cause in the control arm, per unit of time (0.01 per month: about 1 % a month).
    follow_up : float
        Time under observation after the last entry.
    competing : float
        Hazard of leaving by any other cause, taken as the same in both arms.
    dropout : float
        Hazard of being lost to follow-up.
    accrual : float
        Length of the period of entry.

    Examples
    --------
    >>> from churnsurv.effects import sample_size
    >>> plan = sample_size(0.75, hazard=0.012, competing=0.002, follow_up=12)
    >>> plan.n_events, plan.n
    (380, 3252)
    """
    events = required_events(
        hazard_ratio,
        power=power,
        alpha=alpha,
        two_sided=two_sided,
        share_treated=share_treated,
        margin=margin,
        design_effect=design_effect,
    )
    hazard, follow_up = _positive(hazard, "hazard"), _positive(follow_up, "follow_up")
    other = _from_zero(competing, "competing") + _from_zero(dropout, "dropout")
    accrual = _from_zero(accrual, "accrual")
    control, treated = (event_share(h, other, follow_up, accrual) for h in (hazard, hazard * hazard_ratio))
    share = (1 - share_treated) * control + share_treated * treated
    n = ceil(events / share)
    n_treated = round(n * share_treated)
    words = [f"Schoenfeld (1983), constant hazards, {'two' if two_sided else 'one'}-sided"]
    words += [f"other causes and dropping out at {other:g} per unit of time"] if other else []
    words += [f"design effect {design_effect:g}"] if design_effect > 1 else []
    return SampleSize(
        n, n - n_treated, n_treated, events, share, hazard_ratio, margin, power, alpha, "; ".join(words)
    )  # fmt: skip


def event_share(hazard: float, other: float, follow_up: float, accrual: float = 0.0) -> float:
    """Give the probability of an event of the cause under observation, of length uniform on follow_up + (0, accrual)."""
    total = hazard + other
    staying = -expm1(-total * accrual) / (total * accrual) if accrual > 0 else 1.0
    # E[1 − exp(−total · length)], written so that small hazards lose no digits
    gone = -expm1(-total * follow_up + (log(staying) if staying < 1 else 0.0))
    return hazard / total * gone


def critical_value(alpha: float, two_sided: bool) -> float:
    """Give the normal quantile beyond which a test of level `alpha` rejects."""
    alpha = _probability(alpha, "alpha")
    return float(-ndtri(alpha / 2 if two_sided else alpha))


def _positive(value: float, argument: str) -> float:
    number = one_number(value, argument)
    if number <= 0:
        raise DataError(f"{argument}={value!r} must be above 0.")
    return number


def _from_zero(value: float, argument: str) -> float:
    number = one_number(value, argument)
    if number < 0:
        raise DataError(f"{argument}={value!r} must be 0 or more.")
    return number


def _probability(value: float, argument: str) -> float:
    number = one_number(value, argument)
    if not 0 < number < 1:
        raise DataError(f"{argument}={value!r} must lie between 0 and 1.")
    return number

"""Showing that an intervention does not harm by more than a margin."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from churnsurv.effects.named import checked_options, effect_named, is_ratio, normal_scale
from churnsurv.exceptions import DataError
from churnsurv.messages import one_number
from churnsurv.outcome import Outcome
from churnsurv.results import TestResult

#: effects of which more is harm
_HARMS = ("hazard_ratio", "risk_difference", "risk_ratio", "subdistribution_hazard_ratio")


def noninferiority_test(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    margin: float,
    cause: str = "default",
    effect: Literal["hazard_ratio", "risk_difference", "risk_ratio", "subdistribution_hazard_ratio"] = "hazard_ratio",
    **options: Any,
) -> TestResult:
    """Test whether a cause of leaving, such as default, rises by less than a margin.

    The null hypothesis is harm: an effect at or beyond the margin. It is rejected where the upper end of the one-sided
    interval lies below the margin; a difference that is merely not significant shows no such thing. The margin must be
    chosen before the data are seen: it is the harm that would still be accepted.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, of n rows
        On time since assignment.
    arm : (n,)
        Two arms.
    margin : float
        Above 1 for a ratio (1.3: up to 30 % more), above 0 for a difference of risks (0.01: one percentage point).
    cause : str
        The harm.
    effect : str
        Which effect the margin is on; see the functions of these names in ``churnsurv.effects``.
    **options
        Of that function: ``reference``, ``cluster``, ``strata``, ``sample_weight``, for risks ``horizon``.

    Returns
    -------
    TestResult
        Normal statistic (negative where harm is below the margin; df is NaN) and **one-sided** p-value: compare it with
        0.025. :func:`required_events` with this margin says how many events it needs.

    Raises
    ------
    DataError
        A margin on the wrong side of no effect, another effect; and as of the effect's function.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = cs.Outcome(rng.integers(1, 13, 4000), rng.random(4000) < 0.1, causes=("default",))
    >>> arm = np.repeat(["none", "offer"], 2000)
    >>> bool(cs.effects.noninferiority_test(y, arm, margin=1.5).p_value < 0.025)
    True
    """
    if effect not in _HARMS:
        raise DataError(f"effect={effect!r}: give one of {list(_HARMS)}, of which more is harm.")
    margin, none = one_number(margin, "margin"), 1.0 if is_ratio(effect) else 0.0
    if margin <= none:
        raise DataError(
            f"margin={margin:g} must lie above {none:g}, no effect: it is the harm that would still be accepted, such as "
            f"{'1.3' if is_ratio(effect) else '0.01'}."
        )
    estimator = effect_named(effect)
    checked_options(estimator, {"cause": cause, **options}, effect)
    found = estimator(y, arm, cause=cause, **options)
    value, se = normal_scale(effect, found)
    z = (value - (float(np.log(margin)) if is_ratio(effect) else margin)) / se
    return TestResult(
        name=f"Non-inferiority on {cause}, {found.name[0].lower()}{found.name[1:]}",
        statistic=z,
        df=np.nan,
        p_value=float(ndtr(z)),
        method=f"one-sided; estimate {found.value:.4g} ({found.level:.0%} interval {found.lower:.4g} to {found.upper:.4g}); "
        f"{found.method}",
        estimand=f"{effect.replace('_', ' ')} of {cause} at or beyond the margin {margin:g}",
        n=found.n,
        n_events=found.n_events,
    )

"""Exits that a treatment averted, where a design gives a ratio of hazards and no difference of risks."""

from __future__ import annotations

from churnsurv.exceptions import DataError
from churnsurv.messages import one_number
from churnsurv.results import Estimate


def exits_averted(ratio: Estimate, n_events: float, exposure: float, *, per: float = 1_000.0) -> Estimate:
    r"""Give how many exits fewer there were for the treatment, per so much time of treated loans.

    With d exits in the exposure T of the treated and the hazard ratio r, untreated they would have left at the rate
    (d/T)/r over the same time, so that (d/T)(1/r − 1) fewer left by it than would have (negative: more). Holds for a ratio
    that is the effect of treatment and constant over this time; that more would have left earlier, and could not have left
    again, is not part of a rate.

    Parameters
    ----------
    ratio : Estimate
        Hazard ratio, treated to untreated.
    n_events, exposure : float
        Exits by the cause and time (such as loan-years) of the treated, in the window that the ratio is of.
    per : float
        Unit of time that the number refers to.

    Returns
    -------
    Estimate
        Interval and standard error are those of the ratio (delta method); the rate of the treated is taken as known, so that
        the number is that of these exits and not of a future rate.

    Raises
    ------
    DataError
        A ratio or an exposure that is not positive, a negative number of exits.

    Examples
    --------
    >>> import churnsurv as cs
    >>> ratio = cs.Estimate("Hazard ratio", 0.8, 0.08, 0.66, 0.97, 0.95, 900, 100, "")
    >>> round(cs.effects.exits_averted(ratio, n_events=40, exposure=500).value, 1)
    20.0
    """
    events, time, unit = (one_number(v, n) for v, n in ((n_events, "n_events"), (exposure, "exposure"), (per, "per")))
    if not (ratio.lower > 0 and time > 0 and events >= 0 and unit > 0):
        raise DataError(
            f"A hazard ratio with the lower end {ratio.lower:g}, {events:g} exits in an exposure of {time:g}: ratio and "
            "exposure must be above 0, exits not below."
        )
    rate = unit * events / time
    return Estimate(
        name=f"Exits averted per {unit:g}, by the {ratio.name[0].lower()}{ratio.name[1:]}",
        value=rate * (1 / ratio.value - 1),
        se=rate * ratio.se / ratio.value**2,
        lower=rate * (1 / ratio.upper - 1),
        upper=rate * (1 / ratio.lower - 1),
        level=ratio.level,
        n=ratio.n,
        n_events=ratio.n_events,
        method=f"rate of the treated times 1/ratio - 1, the rate taken as known; ratio: {ratio.method}",
    )

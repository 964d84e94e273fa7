"""Gray's test of the probability of leaving by one cause, with the other causes competing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from churnsurv.effects.comparison import Comparison, exponent, read_comparison
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.gray import gray
from churnsurv.kernels.logrank import quadratic_form
from churnsurv.kernels.nonparametric import first_age_at_risk
from churnsurv.kernels.times import Ints
from churnsurv.messages import counted, first_of, one_number
from churnsurv.outcome import Outcome
from churnsurv.results import TestResult
from churnsurv.rows import as_outcome


def gray_test(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    cause: str,
    rho: float = 0,
    strata: ArrayLike | pd.DataFrame | None = None,
    min_at_risk: int = 1,
    sample_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
) -> TestResult:
    """Test whether the cumulative incidence of a cause is the same in all arms.

    Compares the hazards of the subdistribution (Gray 1988; R's ``cmprsk::cuminc``): an offer that only hurries defaults, so
    that fewer are left to be lost, changes it, whereas the log-rank test of the cause's own hazard does not see that. Read it
    beside the test of the other causes. Censoring and entry are taken as unrelated to leaving, given arm and stratum.

    With late entry the statistic uses those at risk on (start, stop]; Gray's derivation needs no more than that their
    hazards are those of all customers. All arms of a stratum begin at the first age at which each has `min_at_risk` at risk,
    given in ``method``, and incidences are conditional on reaching it.

    Parameters
    ----------
    y : Outcome of n rows, of two or more causes
        On time since assignment for interventions.
    arm : (n,)
        Two or more arms.
    cause : str
        The cause whose incidence is compared.
    rho : float
        Exponent of the weight (1 − F(t−))^rho, F the pooled incidence; 0 or more.
    strata : (n,) or frame of n rows, optional
        Arms are compared within strata, then summed.
    min_at_risk : int
        See above.
    sample_weight, cluster
        Refused: see Raises.

    Returns
    -------
    TestResult
        χ² statistic, its degrees of freedom and p-value.

    Raises
    ------
    NotIdentifiedError
        Weights or clusters (Gray's variance is that of independent, unweighted customers); recurrent events; everybody at
        risk in an arm leaves while others of it enter later; arms never at risk together.
    NoEventsError
        No event of the cause.
    DataError
        As in :func:`logrank_test`.

    Warns
    -----
    SmallSampleWarning
        An arm has no event of the cause, or is never at risk together with the others.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome([2, 4, 5, 8, 1, 2, 3, 6], [1, 1, 0, 2, 1, 2, 1, 1], causes=("attrition", "default"))
    >>> result = cs.effects.gray_test(y, ["offer"] * 4 + ["none"] * 4, cause="attrition")
    >>> result.df, round(result.statistic, 3), round(result.p_value, 3)
    (1, 0.21, 0.646)
    """
    for given, what in ((sample_weight, "sample_weight"), (cluster, "cluster")):
        if given is not None:
            raise NotIdentifiedError(
                f"Gray's test has no variance with {what}: its terms are for independent, unweighted customers. Fit "
                f"FineGray({cause!r}) with the arm as covariate and {what}=: its sandwich covariance tests the same hypothesis."
            )
    rho = exponent(rho, "rho")
    least = one_number(min_at_risk, "min_at_risk")
    if least != int(least) or least < 1:
        raise DataError(f"min_at_risk={min_at_risk!r}: give a number of rows, 1 or more.")
    y = as_outcome(y)
    y.cause_code(cause)
    rows = read_comparison(y, arm, "Gray's test", strata=strata, cause=cause)
    n_arms = len(rows.labels)
    score, covariance, n_events = np.zeros(n_arms), np.zeros((n_arms, n_arms)), 0
    origins: list[float] = []
    for s in np.unique(rows.stratum):
        kept, origin = _common_origin(rows, np.flatnonzero(rows.stratum == s), int(least))
        state = np.where(rows.event[kept] > 0, 1, np.where(rows.y.event[kept] > 0, 2, 0))
        if not np.any(state == 1) or len(np.unique(rows.arm[kept])) < 2:
            continue
        part = gray(rows.y.entry[kept], rows.y.stop[kept], state, rows.arm[kept], n_arms, rho=rho)
        _refuse_emptied(rows, part.emptied)
        score, covariance = score + part.score, covariance + part.covariance
        origins, n_events = [*origins, origin], n_events + int(np.count_nonzero(state == 1))
    if np.trace(covariance) <= 1e-12 * n_events:  # zero up to rounding
        raise rows.not_together()
    statistic, df = quadratic_form(score, covariance)
    rows.warn_of_lost_arms(df, covariance)
    more = [f"weights (1 - F)^{rho:g}"] if rho else []
    if max(origins) > 0:
        more += [f"from {min(origins):g}" + (f" to {max(origins):g} by stratum" if min(origins) < max(origins) else "")]
    return TestResult(
        name="Gray's test",
        statistic=statistic,
        df=df,
        p_value=float(chdtrc(df, statistic)),
        method=rows.method(*more, variance="Gray's variance with cmprsk's correction for ties"),
        estimand=f"equal cumulative incidence of leaving by {cause} in the arms {first_of(rows.labels, 12)}",
        n=rows.y.n_subjects,
        n_events=n_events,
    )


def _common_origin(rows: Comparison, mine: Ints, least: int) -> tuple[Ints, float]:
    """Give the rows of a stratum that count, and the first age from which on each of its arms has enough at risk."""
    y, origin = rows.y, 0.0
    arms = [mine[rows.arm[mine] == k] for k in np.unique(rows.arm[mine])]
    while True:  # the origin rises through ages of entry until it suits all arms
        begins = np.array([first_age_at_risk(y.entry[i], y.stop[i], least, origin) for i in arms])
        if np.isnan(begins).any():
            short = rows.labels[rows.arm[arms[int(np.flatnonzero(np.isnan(begins))[0])][0]]]
            raise NotIdentifiedError(
                f"Arm {short!r} never has {counted(least, 'row')} at risk together with the other arms"
                f"{' of its stratum' if rows.stratified else ''}: incidences from a common age cannot be compared. Check the "
                "entry times, lower min_at_risk, or use fewer strata."
            )
        if begins.max() <= origin:
            break
        origin = float(begins.max())
    return (mine[y.stop[mine] > origin] if origin > 0 or not y.from_origin else mine), origin


def _refuse_emptied(rows: Comparison, emptied: Ints) -> None:
    if len(emptied):
        raise NotIdentifiedError(
            f"In arm {first_of([repr(v) for v in rows.labels[emptied]])} everybody of a small early risk set left while others "
            "of the arm enter later: its incidence after that is not identified. Begin where more are at risk: "
            "min_at_risk=20, say."
        )

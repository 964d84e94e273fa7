"""Reading what every test of arms takes: outcome, arms, strata, weights and clusters, with the errors they need."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.effects.arms import read_arms
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, SmallSampleWarning
from churnsurv.kernels.logrank import Counts, LogRank, arm_counts, cluster_influences, of_counts
from churnsurv.kernels.times import Floats, Ints
from churnsurv.messages import counted, first_of, one_number
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, refuse_one_cluster, refuse_recurrent, row_labels, row_weights

#: fewer clusters than this and the sum of their squared influences is a rough variance
FEW_CLUSTERS = 40


class Comparison(NamedTuple):
    """Checked rows of a comparison of K arms."""

    y: Outcome
    event: Ints  #: (n,) 1: the cause asked for (default: any)
    cause: str | None
    arm: Ints  #: (n,) 0…K−1
    labels: pd.Index
    stratum: Ints
    stratified: bool
    weight: Floats | None  #: None: every row counts once
    cluster: Ints | None  #: units of the robust variance; None: hypergeometric variance

    @property
    def n_events(self) -> int:
        """Rows with an event of the cause."""
        return int(self.event.sum())

    def counts(self) -> Counts:
        """Count those at risk and events of the arms."""
        y = self.y
        return arm_counts(y.entry, y.stop, self.event, self.arm, self.stratum, len(self.labels), self.weight)

    def influences(self, counts: Counts, time_weight: Floats) -> Floats:
        """Give what each cluster adds to the statistic of each arm (G, K)."""
        assert self.cluster is not None
        weight = np.ones(len(self.y)) if self.weight is None else self.weight
        n_clusters = int(self.cluster.max()) + 1
        return cluster_influences(counts, self.event, self.arm, weight, self.cluster, n_clusters, time_weight)

    def log_rank(self, counts: Counts, time_weight: Floats) -> LogRank:
        """Give the statistic, with the robust covariance where there are clusters."""
        parts = of_counts(counts, time_weight)
        if not np.any(compared(counts, leaving=False) & (time_weight > 0)):
            raise self.not_together()
        if self.cluster is None:
            return parts
        u = self.influences(counts, time_weight)
        return parts._replace(covariance=u.T @ u)

    def not_together(self) -> NotIdentifiedError:
        """Give the error about arms that never meet."""
        return NotIdentifiedError(
            "At no event are customers of two arms at risk together"
            f"{' in one stratum' if self.stratified else ''} with positive weight (or all of them leave at "
            "once): the arms cannot be compared. Check the entry times, or use fewer strata."
        )

    def warn_of_lost_arms(self, df: int, covariance: Floats) -> None:
        """Warn when the degrees of freedom say that some arms are compared with no other, or not with all of them."""
        if df >= len(self.labels) - 1:
            return
        alone = self.labels[np.diag(covariance) <= 1e-10 * np.trace(covariance)]
        named = f"Arm {first_of([repr(v) for v in alone])} is" if len(alone) else "Some arms are"
        warnings.warn(
            f"{named} never at risk together with the others{' of a stratum' if self.stratified else ''} when somebody leaves "
            f"and tell nothing about them: the test has {df} instead of {len(self.labels) - 1} degrees of freedom.",
            SmallSampleWarning,
            stacklevel=3,
        )

    def hypothesis(self) -> str:
        """Say which hazards are equal."""
        return f"equal hazards of leaving by {self.cause or 'any cause'} in the arms {first_of(self.labels, 12)}"

    def method(self, *more: str, variance: str = "hypergeometric variance") -> str:
        """Say strata, variance, weights and entry; `variance` is that of independent customers."""
        words = ["stratified" if self.stratified else "unstratified"]
        if self.cluster is None:
            words += [variance] + (["case weights as copies"] if self.weight is not None else [])
        else:
            words += [f"robust variance over {counted(int(self.cluster.max()) + 1, 'cluster')}"]
            words += ["weighted, the weights taken as known"] if self.weight is not None else []
        words += list(more) + (["delayed entry"] if np.any(self.y.entry > 0) else [])
        return ", ".join(words)


def compared(counts: Counts, *, leaving: bool) -> NDArray[np.bool_]:
    """Tell at which cells (M,) two arms are at risk together and, unless all may be `leaving`, somebody stays.

    By the counts: a covariance that is zero in truth is zero up to rounding only, which a test would divide by.
    """
    n, d = counts.at_risk.sum(axis=0), counts.events.sum(axis=0)
    together = np.count_nonzero(counts.at_risk > 0, axis=0) >= 2
    return np.asarray(together if leaving else together & (n - d > 1e-9 * n))


def read_comparison(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    what: str,
    *,
    strata: ArrayLike | pd.DataFrame | None,
    cause: str | None,
    sample_weight: ArrayLike | None = None,
    weight_type: Literal["sampling", "case"] = "sampling",
    cluster: ArrayLike | None = None,
) -> Comparison:
    """Check the arguments of a test; `what` names it in the error about recurrent events."""
    y = as_outcome(y)
    refuse_recurrent(y, what)
    event = y.event > 0 if cause is None else y.event == y.cause_code(cause)
    codes, labels = read_arms(y, arm)
    stratum = np.zeros(len(y), dtype=np.int64) if strata is None else row_labels(strata, len(y), "strata")[0]
    weight = positive_weights(sample_weight, y, weight_type)
    units = _units(y, codes, labels, cluster, sample_weight is not None and weight_type == "sampling")
    if not event.any():
        of_cause = f" of cause {cause!r}" if cause else ""
        raise NoEventsError(f"No event{of_cause} among {len(y):,} rows: nothing to test.")
    _warn_of_arms_without_events(event, codes, labels)
    return Comparison(y, event.astype(np.int64), cause, codes, labels, stratum, strata is not None, weight, units)


def _warn_of_arms_without_events(event: NDArray[np.bool_], codes: Ints, labels: pd.Index) -> None:
    """Warn of arms in which nobody left by the cause."""
    without = labels[np.bincount(codes[event], minlength=len(labels)) == 0]
    if len(without):
        warnings.warn(
            f"Arm {first_of([repr(v) for v in without])} has no event: the χ² approximation of the p-value is rough.",
            SmallSampleWarning,
            stacklevel=4,
        )


def positive_weights(values: ArrayLike | None, y: Outcome, weight_type: str) -> Floats | None:
    """Give weights above 0: sampling weights of mean 1 over subjects (their unit means nothing), case weights as they are."""
    if weight_type not in ("sampling", "case"):
        raise DataError(f"weight_type={weight_type!r} is not known: use 'sampling' or 'case'.")
    weight = row_weights(values, len(y))
    if weight is None:
        return None
    zero = np.flatnonzero(weight == 0)
    if len(zero):
        raise DataError(
            f"sample_weight is 0 in {counted(len(zero), 'row')} (row {first_of(zero)}): such rows are in no arm. Leave them "
            "out of the outcome, the arms and the other arguments too."
        )
    if weight_type == "sampling":
        # over subjects, so that splitting rows changes nothing
        return np.asarray(weight / pd.Series(weight).groupby(y.subject).mean().mean())
    broken = np.flatnonzero(weight != np.floor(weight))
    if len(broken):
        raise DataError(
            f"sample_weight is no whole number in {counted(len(broken), 'row')} (row {first_of(broken)}; "
            f"{weight[broken[0]]:g}): case weights are numbers of customers. For weights of sampling or of propensity use "
            "weight_type='sampling'."
        )
    return weight


def _units(y: Outcome, codes: Ints, labels: pd.Index, cluster: ArrayLike | None, robust: bool) -> Ints | None:
    """Give the units of the robust variance: clusters, of sampling weights without them the subjects."""
    if cluster is None:
        return pd.factorize(y.subject)[0].astype(np.int64) if robust else None
    units = row_labels(cluster, len(y), "cluster")[0]
    refuse_one_cluster(units)
    by_arm = pd.Series(units).groupby(codes).nunique().to_numpy()
    alone = labels[by_arm < 2]
    if len(alone):
        raise DataError(
            f"Arm {first_of([repr(v) for v in alone])} lies in one cluster: what its cluster does cannot be told from what the "
            "arm does. Use smaller clusters, or leave the arm out."
        )
    n_clusters = int(units.max()) + 1
    if n_clusters <= len(labels):
        raise NotIdentifiedError(
            f"{counted(n_clusters, 'cluster')} cannot tell {len(labels)} arms apart: the robust variance has too low a rank. "
            "Use more, smaller clusters, or compare fewer arms."
        )
    if n_clusters < FEW_CLUSTERS:
        warnings.warn(
            f"{n_clusters} clusters: the robust variance is rough below about {FEW_CLUSTERS}, and so is the p-value.",
            SmallSampleWarning,
            stacklevel=4,
        )
    return units


def exponent(value: Any, argument: str) -> float:
    """Give an exponent of a weight, a number of 0 or more."""
    number = one_number(value, argument)
    if number < 0:
        raise DataError(f"{argument}={number:g} must be a number of 0 or more.")
    return number

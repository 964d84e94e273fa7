"""Discrimination: how well a score orders customers by when they leave."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning, SupportWarning
from churnsurv.kernels.buckets import lay_buckets
from churnsurv.kernels.concordance import Pairs, count_pairs, count_weighted_pairs
from churnsurv.kernels.cox import Buckets
from churnsurv.kernels.nonparametric import before, interval, kaplan_meier, risk_table
from churnsurv.messages import confidence_level, one_number
from churnsurv.metrics.inputs import (
    Judged,
    cluster_sums,
    events_until,
    finite_numbers,
    has_late_entry,
    judged_rows,
    one_row_each,
    probability_uncensored,
    refuse_no_chance,
    require_censoring_model,
    the_cause,
)
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, meant_times, refuse_recurrent, row_labels

Floats = NDArray[np.float64]
Weighting = Literal["n", "n/G2", "S", "S/G", "I"]

_NAMES = {"n": "Harrell's C", "n/G2": "Uno's C"}


def concordance_index(
    y: Outcome | NDArray[Any],
    risk: ArrayLike,
    *,
    cause: str | None = None,
    tau: float | None = None,
    weighting: Weighting = "n",
    censoring: CensoringModel | None = None,
    sample_weight: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    """Estimate the probability that of two customers the one who leaves first had the higher score.

    A pair is comparable when one of the two leaves at t while the other is under observation just after t (what is
    censored at t is later than an event at t; two events at t are no pair). It counts 1 when the leaver's score is the
    higher one, ½ when the scores are equal. With entry times only rows that entered before t are in the risk set, so
    that splitting a spell changes nothing.

    With several causes the concordance is **cause-specific**: an event of another cause is a censoring at its time, so
    the pairs are those of the cause-specific hazard: of two who are still customers, does the one who leaves by this
    cause have the higher score? (Wolbers et al. 2014 instead keep who left by another cause as comparable for ever,
    which judges cumulative incidences and is not identified with delayed entry.)

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, n rows
    risk : (n,)
        Score; higher = leaves sooner. Any monotone transform gives the same answer.
    cause : str, optional
        Cause to be measured; needed when there are several.
    tau : float, optional
        Count only events at or before this time.
    weighting : {"n", "n/G2", "S", "S/G", "I"}
        Weight of the pairs of an event time t. With n(t) the number at risk, S(t) the Kaplan–Meier of leaving by any
        cause and G(t) that of censoring: ``"n"`` 1 (Harrell), ``"n/G2"`` 1/G(t−)² (Uno: the limit does not depend on
        the censoring), ``"S"`` N S(t−)/n(t), ``"S/G"`` N S(t−)/(n(t) G(t−)), ``"I"`` 1/n(t) (every event counts alike).
    censoring : CensoringModel, optional
        G; default: Kaplan–Meier of the given y, within strata. One with strata or a model (for ``weighting="n/G2"`` only)
        weights the pair of an event of i at t and row j by 1/(G(t−|x_i) G(t−|x_j)) (Gerds et al. 2013), in O(n) per event.
    sample_weight : (n,), optional
        Case weights; a pair counts the product of its two weights, and 0 leaves a row out.
    strata : (n,) labels or frame, optional
        Pairs are formed within strata only.
    cluster : (n,) labels, optional
        Independent units of the variance, e.g. customers; default: the subjects of y.
    level : float
        Confidence level of the interval.

    Returns
    -------
    Estimate
        Value, infinitesimal-jackknife standard error (the weights of the event times taken as known) and an interval
        made on the logit scale.

    Raises
    ------
    NoEventsError
        No event of the cause (by `tau`).
    NotIdentifiedError
        No comparable pair; weights by G with delayed entry; recurrent events.
    DataError
        Scores that are missing, infinite or of the wrong length; an unknown weighting; `tau` past the follow-up.

    References
    ----------
    Harrell, Lee, Mark (1996) Stat Med 15:361. Uno, Cai, Pencina, D'Agostino, Wei (2011) Stat Med 30:1105.
    Therneau, Watson (2015) The concordance statistic and the Cox model, Mayo Clinic technical report 85.
    Gerds, Kattan, Schumacher, Yu (2013) Stat Med 32:2173.
    Wolbers, Blanche, Koller, Witteman, Gerds (2014) Biostatistics 15:526.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12], event=[1, 1, 0, 1])
    >>> cs.metrics.concordance_index(y, risk=[0.9, 0.2, 0.5, 0.1]).value
    0.8
    """
    level = confidence_level(level)
    compared = read_pairs(y, cause, tau, weighting, censoring, sample_weight, strata, cluster)
    pairs = compared.pairs(compared.score(risk, "risk"))
    value, influence = value_and_influence(pairs, compared.judged.weight)
    sums, units = cluster_sums(influence, compared.judged)
    se = float(np.sqrt(sums @ sums))
    lower, upper = concordance_interval(value, se, level)
    tied = 1 - (pairs.concordant + pairs.discordant) / pairs.comparable
    return Estimate(
        name=compared.name,
        value=value,
        se=se,
        lower=lower,
        upper=upper,
        level=level,
        n=compared.n,
        n_events=compared.n_events,
        method=f"{compared.method}, {max(tied, 0):.1%} tied in score; infinitesimal jackknife over {units}; logit interval",
    )


class ComparedPairs(NamedTuple):
    """The comparable pairs of an outcome, laid out once for any number of scores."""

    judged: Judged
    n_given: int  #: rows given, those of weight 0 included
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    death: NDArray[np.int32]
    time_weight: Floats
    name: str  #: what is estimated
    method: str
    n: int
    n_events: int
    event_time: Floats  #: (B,)
    censoring: CensoringModel | None  #: one by which pairs are weighted row by row

    def score(self, risk: ArrayLike, argument: str) -> Floats:
        """Read a score of all rows; give it for those that are judged."""
        if isinstance(risk, Curves):
            raise DataError(
                f"{argument} holds curves; a concordance compares one number per row. Pass the model's predict(X), or the risk "
                "by a horizon, curves.risk(cause, horizon)."
            )
        return finite_numbers(risk, self.n_given, argument)[self.judged.rows]

    def pairs(self, score: Floats) -> Pairs:
        """Count the pairs of a score, O(n log n); with weights of their own O(n) per event."""
        rows = (self.first, self.last, self.death, self.judged.weight)
        if self.censoring is None:
            return count_pairs(score, *rows, self.time_weight)
        return count_weighted_pairs(score, *rows, self._inverse_uncensored(self.censoring))

    def _inverse_uncensored(self, censoring: CensoringModel) -> Iterator[Floats]:
        """Give 1/G(t−|x) of all rows at some event times after the other, (n, B′): 0 for rows that are not at risk."""
        size = max(1, 2**22 // len(self.first))
        for begin in range(0, len(self.event_time), size):
            times = self.event_time[begin : begin + size]
            with warnings.catch_warnings():  # rows not at risk may be past the support
                warnings.simplefilter("ignore", SupportWarning)
                uncensored = censoring.probability(times, before=True)[self.judged.rows]
            k = np.arange(begin, begin + len(times))
            at_risk = (self.first[:, None] <= k) & (k < self.last[:, None])
            if np.any(at_risk & ~(uncensored > 0)):
                refuse_no_chance(times[np.any(at_risk & ~(uncensored > 0), axis=0)].min())
            yield np.divide(1.0, uncensored, out=np.zeros(uncensored.shape), where=at_risk)


def read_pairs(
    y: Outcome | NDArray[Any],
    cause: str | None,
    tau: float | None,
    weighting: Weighting,
    censoring: CensoringModel | None,
    sample_weight: ArrayLike | None,
    strata: ArrayLike | None,
    cluster: ArrayLike | None,
) -> ComparedPairs:
    """Read the arguments of a concordance, see :func:`concordance_index`."""
    y = as_outcome(y)
    refuse_recurrent(y, "A concordance")
    cause, n_given = the_cause(y, cause), len(y)
    if weighting not in get_args(Weighting):
        raise DataError(f"weighting={weighting!r} is not known; choose one of {list(get_args(Weighting))}.")
    require_censoring_model(censoring)
    own = censoring if "G" in weighting and censoring is not None and censoring.conditional else None
    if own is not None:
        own.require_rows_of(y)
        if weighting != "n/G2":
            raise DataError(f"weighting={weighting!r} takes a censoring that is the same for all; 'n/G2' takes any.")
    stratum, labels = (None, [cause]) if strata is None else row_labels(strata, n_given, "strata")
    judged = judged_rows(y, sample_weight, cluster)
    y, weight = judged.y, judged.weight
    stratum = None if stratum is None else stratum[judged.rows]
    if "G" in weighting and has_late_entry(y):
        raise NotIdentifiedError(
            f"weighting={weighting!r} divides by the probability of not being censored, which does not undo delayed "
            "entry. Use weighting='n' (entry-adjusted risk sets), or a landmark cohort (Spells.landmark(date))."
        )
    if tau is not None:
        tau = float(meant_times(np.array(one_number(tau, "tau")), y))
    is_event = events_until(y, cause, tau, "tau")
    layout = lay_buckets(None if y.from_origin else y.start, y.stop, is_event, stratum, len(labels))
    buckets, first, last, death = layout
    _require_pairs(np.where(is_event, last - 1, last) > first, len(labels))
    time_weight = _time_weight(y, buckets, stratum, weight, "n" if own is not None else weighting, censoring)
    counted = np.concatenate(([0], np.cumsum(time_weight > 0)))
    if not np.any(counted[np.where(is_event, last - 1, last)] > counted[first]):
        raise NotIdentifiedError(
            f"weighting={weighting!r} gives no pair a weight: everybody under observation left early, so that the survival is "
            "0 at all later events. Use weighting='n', or leave out who entered before that."
        )
    of_cause, until = f" of {cause}" if len(y.causes) > 1 else "", "" if tau is None else f" up to {tau:g}"
    return ComparedPairs(
        judged=judged,
        n_given=n_given,
        first=first,
        last=last,
        death=death,
        time_weight=time_weight,
        name=_NAMES.get(weighting, f"Concordance weighted by {weighting}") + of_cause + until,
        method=("cause-specific (other causes censored); " if of_cause else "")
        + f"{'entry-adjusted ' if buckets.late else ''}pairs weighted by {weighting}"
        + ("" if own is None else " (G of each customer)"),
        n=len(y) if one_row_each(y) else y.n_subjects,
        n_events=int(np.count_nonzero(is_event)),
        event_time=buckets.time,
        censoring=own,
    )


def value_and_influence(pairs: Pairs, weight: Floats) -> tuple[float, Floats]:
    """Give the concordance, and each row's part of its infinitesimal jackknife, (n,)."""
    somers_d = (pairs.concordant - pairs.discordant) / pairs.comparable
    influence = weight * (pairs.net_of_row - somers_d * pairs.comparable_of_row) / (2 * pairs.comparable)
    return (1 + somers_d) / 2, influence


def _require_pairs(compared: NDArray[np.bool_], n_strata: int) -> None:
    if not compared.any():
        raise NotIdentifiedError(
            "No two rows can be compared: nobody is under observation just after an event"
            + (" of the same stratum." if n_strata > 1 else ".")
        )


def _time_weight(
    y: Outcome,
    buckets: Buckets,
    stratum: NDArray[np.int64] | None,
    weight: Floats,
    weighting: Weighting,
    censoring: CensoringModel | None,
) -> Floats:
    """Give the weight of the pairs of each event time; the curves are those of the stratum."""
    result = np.ones(len(buckets.time))
    if weighting == "n":
        return result
    codes = np.zeros(len(y), dtype=np.int64) if stratum is None else stratum
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(buckets.begin)))
    for s in range(len(buckets.begin) - 1):
        rows, here = order[ends[s] : ends[s + 1]], slice(buckets.begin[s], buckets.begin[s + 1])
        times = buckets.time[here]
        if not len(times):
            continue
        if weighting in ("S", "S/G", "I"):
            survival, at_risk = _survival_before(y[rows], weight[rows], times)
            result[here] = 1 / at_risk if weighting == "I" else weight[rows].sum() * survival / at_risk
        if weighting in ("n/G2", "S/G"):
            model = censoring or CensoringModel().fit(y[rows], sample_weight=weight[rows])
            uncensored = probability_uncensored(model, times, before=True)
            result[here] /= uncensored**2 if weighting == "n/G2" else uncensored
    return result


def _survival_before(y: Outcome, weight: Floats, times: Floats) -> tuple[Floats, Floats]:
    """Give the Kaplan–Meier of leaving by any cause just before event times, and the weight at risk at them."""
    left = (y.event > 0).astype(np.int64)
    table = risk_table(y.entry, y.stop, left, weight, 1, np.zeros(len(y), dtype=bool))
    position = np.searchsorted(table.times, times)
    return before(kaplan_meier(table).survival, 1.0)[position], table.n_risk[position]


def concordance_interval(value: float, se: float, level: float) -> tuple[float, float]:
    """Give the interval on the logit scale; without it at 0 and 1, where the jackknife sees no variation."""
    if value in (0.0, 1.0):
        warnings.warn(
            f"The comparable pairs are all {'concordant' if value else 'discordant'}: the concordance is {value:g} and no "
            "interval can be given. Does the score know the outcome, or are there too few events?",
            SmallSampleWarning,
            stacklevel=3,
        )
        return np.nan, np.nan
    lower, upper = interval(np.array([value]), np.array([se]), level, "logit")
    return float(lower[0]), float(upper[0])

"""The measures that models are judged by on held-out rows: value, and what each row adds to its error.

The metrics of :mod:`churnsurv.metrics` give an estimate of one sample. Here the rows' influence is kept as well, so that
samples can be pooled and models compared on the same rows: an estimate moves by Σ ψ_i, and so does a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from churnsurv.exceptions import ChurnSurvError, DataError, NotIdentifiedError, TooFewEventsError
from churnsurv.kernels.nonparametric import interval
from churnsurv.kernels.pseudo import pseudo_values
from churnsurv.messages import counted, first_of
from churnsurv.metrics.auc import auc_at
from churnsurv.metrics.brier import integrated_at, score_at, time_shares
from churnsurv.metrics.discrimination import Weighting, read_pairs, value_and_influence
from churnsurv.metrics.inputs import finite_numbers, has_late_entry
from churnsurv.metrics.ipa import null_scores
from churnsurv.metrics.ipcw import Cohort, predicted_risk, scored_cohort
from churnsurv.metrics.recalibration import fit_link, in_the_large, inverse_link, link
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.rows import meant_times

Floats = NDArray[np.float64]
Found = tuple[float, Floats]

#: a calibration slope of fewer events by the horizon is not given, as by churnsurv.metrics.calibration
LEAST_EVENTS = 5


#: metrics weighted by the inverse probability of being uncensored
_WEIGHTED = frozenset({"uno", "auc", "brier", "integrated_brier", "ipa"})


class MetricFailedError(DataError):
    """A user's function failed: no fault of a model, so that no reason in a table is made of it."""


class Held(NamedTuple):
    """Held-out rows with the predictions of one model for one cause; all weights are above 0."""

    y: Outcome
    weight: Floats
    cause: str
    horizons: Floats
    score: Floats | None  #: (n,) higher leaves sooner
    risk: Floats | None  #: (n, H) probability of leaving by each horizon
    censoring: CensoringModel | None = None  #: fitted to these rows; None: Kaplan–Meier

    def ranking(self, k: int | None) -> Floats:
        """Give the score, or where the model has none the risk by a horizon (the last)."""
        if self.score is not None:
            return finite_numbers(self.score, len(self.y), "The score")
        return self.probability(-1 if k is None else k)

    def probability(self, k: int) -> Floats:
        """Give the probabilities by the k-th horizon."""
        assert self.risk is not None
        return finite_numbers(self.risk[:, k], len(self.y), f"The prediction for {self.horizons[k]:g}")

    def cohort(self, k: int | slice, metric: str) -> tuple[Cohort, Floats, Floats]:
        """Give the cohort weighted for censoring, the horizons as they are meant, and the risks (n, horizons)."""
        assert self.risk is not None
        horizons = meant_times(np.atleast_1d(self.horizons[k]), self.y)
        cohort = scored_cohort(self.y, horizons, self.cause, self.censoring, self.weight, None, metric)
        risk = self.risk[:, [k] if isinstance(k, int) else k]
        return cohort, horizons, predicted_risk(risk, self.y, cohort, horizons)


class Metric(NamedTuple):
    """One measure: what it is called, how it is computed and reported."""

    name: str
    label: str
    measure: Callable[[Held, int | None], Found]
    #: "score": a ranking is enough; "risk": probabilities by the horizons are needed
    needs: Literal["score", "risk"]
    #: "none": over all follow-up; "each": at each horizon; "any": at each if there are any; "span": once, over all of them
    at: Literal["none", "each", "any", "span"]
    scale: Literal["logit", "unit", "log", "plain"]  #: of the interval; "unit": plain, cut to [0, 1]
    better: Literal["higher", "lower", "near 1"]
    #: folds count by their events of the cause, else by their rows
    by_events: bool = False
    #: G/(G − 1) in the variance of G units, as the metric itself has it
    corrected: bool = True


def _pairs(held: Held, tau: float | None, k: int | None, weighting: Weighting) -> Found:
    compared = read_pairs(held.y, held.cause, tau, weighting, held.censoring, held.weight, None, None)
    return value_and_influence(compared.pairs(held.ranking(k)), held.weight)


def _concordance(held: Held, _: int | None) -> Found:
    return _pairs(held, None, None, "n")


def _uno(held: Held, k: int | None) -> Found:
    if has_late_entry(held.y):
        raise NotIdentifiedError(
            "Uno's C weights by the probability of not being censored, which does not undo delayed entry. Use concordance."
        )
    return _pairs(held, None if k is None else float(held.horizons[k]), k, "n/G2")


def _area(held: Held, k: int | None) -> Found:
    assert k is not None
    cohort, horizons, risk = held.cohort(k, "the AUC")
    return auc_at(cohort, risk[:, 0], float(horizons[0]))


def _brier(held: Held, k: int | None) -> Found:
    assert k is not None
    cohort, horizons, risk = held.cohort(k, "the Brier score")
    score = score_at(cohort, risk[:, 0], float(horizons[0]))
    return score.value, score.influence


def _integrated_brier(held: Held, _: int | None) -> Found:
    cohort, horizons, risk = held.cohort(slice(None), "the Brier score")
    score = integrated_at(cohort, risk, horizons, time_shares(horizons))
    return score.value, score.influence


def _ipa(held: Held, k: int | None) -> Found:
    """1 − BS/BS₀."""
    assert k is not None
    cohort, horizons, risk = held.cohort(k, "the Brier score")
    own, null = score_at(cohort, risk[:, 0], float(horizons[0])), null_scores(cohort, horizons)[0]
    return 1 - own.value / null.value, (own.value / null.value * null.influence - own.influence) / null.value


def _observed_expected(held: Held, k: int | None) -> Found:
    """O/E with O of Aalen–Johansen, whose influence is that of the pseudo-values."""
    assert k is not None
    cohort, horizons, risk = held._replace(censoring=None).cohort(k, "observed/expected")
    t = float(horizons[0])
    large = in_the_large(cohort, risk[:, 0], _pseudo(cohort, t), t)
    if large.expected <= 0:
        raise DataError("All predictions are 0: there is no ratio of observed to expected.")
    return large.ratio, large.of_ratio


def _slope(held: Held, k: int | None) -> Found:
    assert k is not None
    cohort, horizons, risk = held._replace(censoring=None).cohort(k, "calibration")
    t, y = float(horizons[0]), cohort.y
    n_events = int(np.count_nonzero((y.event == y.cause_code(cohort.cause)) & (y.stop <= t)))
    if n_events < LEAST_EVENTS:
        raise TooFewEventsError(f"{counted(n_events, 'event')} of {cohort.cause!r} by {t:g}: too few for a slope.")
    eta, n = link(risk[:, 0]), len(y)
    if np.ptp(eta) < 1e-9:
        raise NotIdentifiedError("All predictions are the same: there is no calibration slope.")
    design, pseudo = np.column_stack((np.ones(n), eta)), _pseudo(cohort, t)
    fit = fit_link(pseudo, design, np.zeros(n), cohort.weight, np.arange(n), np.array([0.0, 1.0]))
    fitted = np.minimum(design @ fit.coef, 4.0)
    tangent = np.exp(fitted - np.exp(fitted))[:, None] * design
    bread = np.linalg.pinv(tangent.T @ (cohort.weight[:, None] * tangent))
    score = (cohort.weight * (pseudo - inverse_link(design @ fit.coef)))[:, None] * tangent
    return float(fit.coef[1]), np.asarray((score @ bread)[:, 1])


def _pseudo(cohort: Cohort, t: float) -> Floats:
    y = cohort.y
    return pseudo_values(y.stop, y.event, cohort.weight, y.cause_code(cohort.cause), t)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("concordance", "Harrell's C", _concordance, "score", "none", "logit", "higher", True, False),
        Metric("uno", "Uno's C", _uno, "score", "any", "logit", "higher", True, False),
        Metric("auc", "AUC", _area, "risk", "each", "unit", "higher", True),
        Metric("brier", "Brier score", _brier, "risk", "each", "unit", "lower"),
        Metric("integrated_brier", "Integrated Brier score", _integrated_brier, "risk", "span", "unit", "lower"),
        Metric("ipa", "IPA", _ipa, "risk", "each", "plain", "higher"),
        Metric("observed_expected", "Observed/expected", _observed_expected, "risk", "each", "log", "near 1"),
        Metric("calibration_slope", "Calibration slope", _slope, "risk", "each", "plain", "near 1"),
    )
}


def read_metrics(metrics: Any, y: Outcome, horizons: Floats) -> list[Metric]:
    """Give the metrics asked for; by default those that the outcome and the horizons allow.

    Raises
    ------
    DataError
        Unknown names, metrics without the horizons they need.
    NotIdentifiedError
        Metrics of a cohort asked of an outcome with delayed entry.
    """
    late = has_late_entry(y) or bool(np.any(y.start > 0))
    if metrics is None:
        cohort_only = ("auc", "brier", "ipa", "observed_expected", "calibration_slope")
        metrics = ("concordance", *(cohort_only if len(horizons) and not late else ()))
    asked = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
    unknown = [name for name in asked if not callable(name) and name not in METRICS]
    if unknown or not asked:
        raise DataError(
            f"metrics={first_of([repr(m) for m in unknown]) or '()'}: choose among {list(METRICS)}, or pass a function."
        )
    chosen = [_own(each) if callable(each) else METRICS[each] for each in asked]
    names = [metric.name for metric in chosen]
    if len(set(names)) < len(names):
        raise DataError(f"metrics name one twice: {names}.")
    for metric in chosen:
        if late and (metric.at != "none"):
            raise NotIdentifiedError(
                f"{metric.label} averages over customers who are all followed from the same moment, but rows begin after time "
                "0. Evaluate on a landmark cohort (Spells.landmark(date), churnsurv.evaluation.backtest), or ask for "
                "metrics=['concordance'] alone, which is adjusted for entry."
            )
        needed = {"each": 1, "span": 2}.get(metric.at, 0)
        if len(horizons) < needed:
            raise DataError(f"{metric.label} needs horizons=, {'two' if needed == 2 else 'one'} or more, e.g. [6, 12].")
    return chosen


def read_censoring(censoring: Any, metrics: Sequence[Metric]) -> CensoringModel | None:
    """Refuse what is no unfitted model of the censoring, or would not be used."""
    if censoring is None:
        return None
    if not isinstance(censoring, CensoringModel) or hasattr(censoring, "table_"):
        raise DataError(
            f"censoring={censoring!r:.80}: pass an unfitted CensoringModel, such as CensoringModel(CoxPH()); it is fitted to "
            "the held-out rows of each fold."
        )
    if not _WEIGHTED & {metric.name for metric in metrics}:
        raise DataError(f"censoring= is for {sorted(_WEIGHTED)}, of which none is asked for: leave it out.")
    return censoring


def _own(function: Callable[..., Any]) -> Metric:
    """Make a metric of a function of (y, risk, *, cause, horizon, sample_weight)."""

    def measure(held: Held, k: int | None) -> Found:
        assert k is not None
        options = {"cause": held.cause, "horizon": float(held.horizons[k]), "sample_weight": held.weight}
        try:
            given = function(held.y, held.probability(k), **options)
        except ChurnSurvError:
            raise
        except Exception as error:
            raise MetricFailedError(
                f"The metric {name!r} failed when called with (y, risk, cause=, horizon=, sample_weight=): "
                f"{type(error).__name__}: {error}"
            ) from error
        value, influence = (
            given if isinstance(given, tuple) and len(given) == 2 else (given, np.full(len(held.y), np.nan))
        )
        if not isinstance(value, Real) or np.shape(influence) != (len(held.y),):
            raise MetricFailedError(
                f"The metric {name!r} gave {value!r:.60} and {np.shape(influence)}: return a number, or a number and the "
                "influence of each row on it, (n,)."
            )
        return float(value), np.asarray(influence, dtype=np.float64)

    name = getattr(function, "__name__", type(function).__name__)
    return Metric(name, name, measure, "risk", "each", "plain", "higher")


class Reported(NamedTuple):
    """An estimate with its interval."""

    value: float
    se: float
    lower: float
    upper: float


def reported(value: float, se: float, level: float, scale: str) -> Reported:
    """Give the interval of an estimate on its scale; without one at the ends of a concordance, and without a standard error."""
    if not np.isfinite(se) or (scale == "logit" and value in (0.0, 1.0)) or (scale == "log" and value <= 0):
        return Reported(value, se, np.nan, np.nan)
    z = float(ndtri((1 + level) / 2))
    if scale in ("logit", "unit"):
        lower, upper = interval(np.array([value]), np.array([se]), level, "logit" if scale == "logit" else "plain")
        return Reported(value, se, float(lower[0]), float(upper[0]))
    if scale == "log":
        factor = float(np.exp(z * se / value))
        return Reported(value, se, value / factor, value * factor)
    return Reported(value, se, value - z * se, value + z * se)

"""What an adapted model asks of a peer, whatever the library: fit, risk, cumulative hazard; and its errors in our words."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.exceptions import ChurnSurvError, ConvergenceError, DataError, NotIdentifiedError
from churnsurv.kernels.buckets import lay_buckets
from churnsurv.kernels.cox import Shard, one_shard
from churnsurv.kernels.cox_rows import row_bounds
from churnsurv.kernels.newton import Problem, evaluate
from churnsurv.kernels.times import step_values
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]

#: what to do about data that peers cannot take
LANDMARK = (
    "Adapted models are challengers on a landmark cohort, right-censored: make one with spells.landmark(date), "
    "or use churnsurv's own estimators (CoxPH, CauseSpecificCox, RandomSurvivalForest)."
)


class Peer(ABC):
    """A model of another library for one kind of exit; holds the estimator, which is a copy of its own.

    Hazards and survival are those since time 0, of rows of numbers or of the frame that a pipeline takes.
    """

    library: str
    #: the hazard has no steps, and is evaluated at any time
    smooth = False
    gives_curves = True

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    @property
    def name(self) -> str:
        """The class of the peer's estimator and its library, for messages."""
        return f"{type(self.estimator).__name__} ({self.library})"

    @property
    def takes_weights(self) -> bool:
        """Whether a row of weight 2 is to the peer as two rows."""
        return False

    def check(self) -> None:  # noqa: B027 (most peers have nothing to refuse)
        """Refuse settings of the estimator that the adapter cannot honour."""

    @abstractmethod
    def fit(self, frame: pd.DataFrame, stop: Floats, event: NDArray[np.bool_], weight: Floats | None) -> None:
        """Fit to right-censored rows."""

    @abstractmethod
    def risk(self, frame: pd.DataFrame) -> Floats:
        """Give a score (n,), higher leaves sooner."""

    def hazard(self, frame: pd.DataFrame, times: Floats) -> Floats:
        """Give the cumulative hazard (n, T) at the times."""
        raise NotIdentifiedError(
            f"{self.name} ranks customers and has no probabilities over time. Judge it by its concordance, or adapt a model "
            "that has them."
        )

    def survival(self, frame: pd.DataFrame, times: Floats) -> Floats:
        """Give the probability of staying (n, T) at the times, where there is no other way to leave."""
        return np.exp(-self.hazard(frame, times))


class ProportionalPeer(Peer):
    r"""A peer whose hazards are proportional, :math:`h(t|x) = h_0(t) e^{\eta(x)}`: its η, and our baseline hazard.

    The peers' own baselines are not used: lifelines and scikit-survival give Breslow's under Efron's ties, and lifelines
    interpolates between its steps.
    """

    #: Efron's tie rule in the peer's likelihood; the baseline then follows it
    efron = False

    @abstractmethod
    def log_hazard(self, frame: pd.DataFrame) -> Floats:
        """Give η of the rows, up to a constant."""

    def risk(self, frame: pd.DataFrame) -> Floats:
        """Give η."""
        return self.log_hazard(frame)

    def keep_baseline(self, frame: pd.DataFrame, stop: Floats, event: NDArray[np.bool_], weight: Floats | None) -> None:
        """Estimate the baseline hazard of a fitted peer from the rows of its fit, by the tie rule of its likelihood."""
        eta = self.log_hazard(frame)
        if not np.isfinite(eta).all():
            raise ConvergenceError(f"{self.name} predicts risks that are no finite numbers: its fit did not converge.")
        self.center = float(eta.mean())
        self.times, self.base = baseline_hazard(eta - self.center, stop, event, weight, self.efron)

    def hazard(self, frame: pd.DataFrame, times: Floats) -> Floats:
        """Give the cumulative hazard (n, T) at the times."""
        # beyond e^±600 the curve is at 0 or 1 anyhow
        ratio = np.exp(np.clip(self.log_hazard(frame) - self.center, -600, 600))
        return np.asarray(ratio[:, None] * step_values(self.times, self.base, times, before=0.0)[None, :])


def baseline_hazard(
    eta: Floats, stop: Floats, event: NDArray[np.bool_], weight: Floats | None, efron: bool
) -> tuple[Floats, Floats]:
    """Give times and cumulative baseline hazard of rows with known log hazard ratios η (an offset in Cox's likelihood)."""
    n = len(eta)
    buckets, first, last, death = lay_buckets(None, stop, event, None, 1)
    weights = np.ones(n) if weight is None else weight
    # one covariate of coefficient 0: the kernel has no model without any
    shard = Shard(np.zeros((n, 1)), first, last, death, weights, eta)
    state = evaluate(Problem(one_shard(shard), buckets, efron, 1, *row_bounds(shard)), np.zeros(1))
    return buckets.time, np.cumsum(state.terms.e0 * np.exp(-state.shift[buckets.stratum]))


def refuse_rows(model: str, y: Outcome, strata: Any, cluster: Any) -> None:
    """Refuse the rows and arguments that no challenger can take."""
    late = np.flatnonzero(y.start > 0)
    if y.recurrent:
        raise NotIdentifiedError(f"{model} takes no recurrent events. {LANDMARK}")
    if y.n_subjects < len(y):
        raise NotIdentifiedError(
            f"{model} takes no start-stop rows: {len(y):,} rows of {counted(y.n_subjects, 'subject')}. {LANDMARK}"
        )
    if len(late):
        raise NotIdentifiedError(
            f"{model} takes no delayed entry: {counted(len(late), 'row')} enter after time 0 (row {first_of(late)}). {LANDMARK}"
        )
    for name, value in (("strata", strata), ("clusters", cluster)):
        if value is not None:
            raise NotIdentifiedError(f"{model} takes no {name}. {LANDMARK}")


@contextmanager
def in_our_words(name: str, doing: str, stacklevel: int) -> Iterator[None]:
    """Turn a peer's errors into ours with its text, and give each of its warnings once, as if by our caller.

    Warnings keep their category, so that filters for the peer's warnings still work.
    """
    failure: Exception | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except ChurnSurvError as error:
            failure = error
        except (ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, RuntimeError,
                TypeError, ValueError, np.linalg.LinAlgError) as error:  # fmt: skip
            text = " ".join(str(error).split()) or f"a check of its own ({type(error).__name__})"
            if "onverge" in type(error).__name__:
                failure = ConvergenceError(f"{name} did not converge: {text}")
            else:
                failure = DataError(f"{name} failed to {doing}: {text}")
            failure.__cause__ = error
    told = set()
    for warning in caught:
        # lifelines speaks of its own medians on a grid, of which nothing is used here
        said = (warning.category, str(warning.message))
        if warning.category.__name__ == "ApproximationWarning" or said in told:
            continue
        told.add(said)
        warnings.warn(f"{name}: {' '.join(said[1].split())}", warning.category, stacklevel=stacklevel + 2)
    if failure is not None:
        raise failure

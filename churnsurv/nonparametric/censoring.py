"""The censoring distribution, for weights by the inverse probability of being uncensored."""

from __future__ import annotations

import copy
import hashlib
import warnings
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone

from churnsurv.exceptions import DataError, SupportWarning, UnseenCategoryError
from churnsurv.kernels.times import Floats, slack, steps_until
from churnsurv.messages import counted, first_of, numeric_column
from churnsurv.nonparametric.groups import from_origin, group_rows
from churnsurv.nonparametric.reversed import fitted_to_censoring, survival_at, survival_each
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, refuse_recurrent, row_labels, row_weights


class _Rows(NamedTuple):
    """The customers whose G is asked for: covariates, or codes of their strata."""

    X: Any
    codes: NDArray[np.int64] | None
    digest: str | None  #: of the outcome of the fit; None: given by :meth:`CensoringModel.at`

    def __len__(self) -> int:
        return len(self.X) if self.codes is None else len(self.codes)


class CensoringModel(BaseEstimator):  # type: ignore[misc]
    """Probability G(t) of not being censored by t: Kaplan–Meier, Kaplan–Meier within strata, or a model of covariates.

    At a tie events come before censorings: a customer who leaves at t is not at risk of being censored at t. So a row that
    leaves at T is weighted by 1/G(T−), a row still there at t by 1/G(t) (Graf et al. 1999; Gerds & Schumacher 2006).
    Kaplan–Meier assumes that censoring does not depend on anything that the leaving depends on too; strata or a model, that it
    does so through the strata or covariates alone, and as modelled.

    Parameters
    ----------
    model : estimator, optional
        Unfitted, with ``fit(X, y)`` and ``predict_curves(X, times)``, such as ``cs.CoxPH()`` or a pipeline that ends in one.
        It is fitted to the reversed outcome, in which being censored is the event and who leaves is at risk until just before;
        the end of follow-up itself, which comes for all, is no event. Ties by month are the model's business (Cox models take
        them for rounded times).

    Attributes
    ----------
    table_ : DataFrame
        time, n_risk (at risk of being censored), n_censored, estimate; one row per time with a censoring, all rows pooled.
    last_ : float
        Last time with data.
    model_ : the fitted model (with `model`)
    groups_ : dict of label to CensoringModel (with `strata`)

    Notes
    -----
    With strata or a model G differs between customers, so metrics must know whose rows they judge. Those of the fit are known
    (a reference to X is kept in memory, and left out by :func:`churnsurv.save`); for others give the metric
    ``censoring.at(X)`` or ``censoring.at(strata=...)``. Metrics take such a model as known in their standard errors.

    References
    ----------
    Gerds, Schumacher (2006) Biom J 48:1029. Gerds, Kattan, Schumacher, Yu (2013) Stat Med 32:2173.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[6, 6, 12, 18], event=[1, 0, 1, 0])
    >>> censoring = cs.CensoringModel().fit(y)
    >>> censoring.probability([6, 12]).round(3), censoring.probability([6, 12], before=True).round(3)
    (array([0.667, 0.667]), array([1.   , 0.667]))
    >>> by_branch = cs.CensoringModel().fit(y, strata=["a", "b", "a", "b"])
    >>> round(cs.metrics.brier_score(y, [0.6, 0.5, 0.3, 0.2], 12, censoring=by_branch).value, 4)
    0.1825
    """

    def __init__(self, model: Any = None) -> None:
        self.model = model

    def fit(
        self,
        y: Outcome | NDArray[Any],
        X: pd.DataFrame | ArrayLike | None = None,
        *,
        strata: ArrayLike | pd.DataFrame | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit G to the outcome; every end without event is a censoring, also at the end of the study.

        Parameters
        ----------
        y : Outcome of n rows
        X : frame or array (n, p), optional
            Covariates of the `model`; required with one.
        strata : (n,) labels or frame, optional
            Kaplan–Meier within each, such as the quarter of origination.
        sample_weight : (n,), optional
            Case weights.

        Raises
        ------
        NotIdentifiedError
            Recurrent events; a model although nobody is censored.
        DataError
            X without a model or a model without X; strata beside a model.
        """
        y = as_outcome(y)
        refuse_recurrent(y, "The probability of not being censored")
        if (self.model is None) != (X is None):
            raise DataError(
                "CensoringModel(model=...) needs the covariates: fit(y, X)."
                if X is None
                else "X is for a model of the censoring: CensoringModel(cs.CoxPH()).fit(y, X). For groups pass strata=."
            )
        if strata is not None and X is not None:
            raise DataError("Pass either a model with X or strata=; a model can hold the strata as a covariate.")
        for name in ("bound_", "model_", "groups_"):
            self.__dict__.pop(name, None)
        self._fit_kaplan_meier(y, sample_weight)
        if X is not None:
            X = X if isinstance(X, pd.DataFrame) else np.asarray(X)
            if len(X) != len(y):
                raise DataError(f"X has {counted(len(X), 'row')}, y has {len(y):,}: they must match row for row.")
            self.model_ = fitted_to_censoring(clone(self.model), X, y, row_weights(sample_weight, len(y)))
            self.bound_ = _Rows(X, None, _digest(y))
        elif strata is not None:
            codes, labels = row_labels(strata, len(y), "strata")
            weight = row_weights(sample_weight, len(y))
            self.groups_ = {}
            for code, label in enumerate(labels.tolist()):
                rows = np.flatnonzero((codes == code) & (True if weight is None else weight > 0))
                if len(rows):
                    self.groups_[label] = CensoringModel()._fit_kaplan_meier(
                        y[rows], None if weight is None else weight[rows]
                    )
            self.bound_ = _Rows(None, self._codes(strata, len(y)), _digest(y))
        return self

    def _fit_kaplan_meier(self, y: Outcome, sample_weight: ArrayLike | None) -> Self:
        rows = next(group_rows(y, np.zeros(len(y), dtype=np.int64), 1, sample_weight, None))
        table = from_origin(rows, "The outcome", 1, None, y.from_origin).risk_table(n_causes=1)
        censored = table.n_censored > 0
        n_censored = table.n_censored[censored]
        at_risk = (table.n_risk - table.n_event[0])[censored]
        # sums of fractional weights need not cancel to exactly 0 where everybody left is censored
        remaining = 1 - n_censored / at_risk
        remaining[remaining < 1e-12] = 0.0
        self.table_ = pd.DataFrame(
            {
                "time": table.times[censored],
                "n_risk": at_risk,
                "n_censored": n_censored,
                "estimate": np.cumprod(remaining),
            }
        )
        self.last_ = float(table.times[-1])
        return self

    @property
    def conditional(self) -> bool:
        """Whether G differs between customers (with strata or a model)."""
        return hasattr(self, "model_") or hasattr(self, "groups_")

    def at(self, X: pd.DataFrame | ArrayLike | None = None, *, strata: ArrayLike | pd.DataFrame | None = None) -> Self:
        """Give this fitted model for other customers, told by their covariates or strata: what metrics take for them."""
        self._require_fitted()
        wanted = "X" if hasattr(self, "model_") else "strata" if hasattr(self, "groups_") else ""
        if (X is not None) != (wanted == "X") or (strata is not None) != (wanted == "strata"):
            raise DataError(
                f"This CensoringModel depends on {'covariates' if wanted == 'X' else wanted}: at({wanted}=...) takes "
                "those of the customers."
                if wanted
                else "This CensoringModel is the same for all customers: pass it as it is."
            )
        made, codes = copy.copy(self), None
        if strata is not None:
            given = strata if isinstance(strata, pd.DataFrame) else np.asarray(strata)
            codes = self._codes(given, len(given))
            if np.any(codes < 0):
                rows = np.flatnonzero(codes < 0)
                raise UnseenCategoryError(
                    f"strata (row {first_of(rows)}) not seen when the censoring was fitted; known: "
                    f"{first_of(self.groups_, 12)}."
                )
        made.bound_ = _Rows(X if X is None or isinstance(X, pd.DataFrame) else np.asarray(X), codes, None)
        return made

    def probability(self, times: ArrayLike, *, before: bool = False) -> Floats:
        """Give G at the times, or with `before` its left limit G(t−); the array has the shape of `times`.

        With strata or a model: of the n rows it was fitted on or given by :meth:`at`, of shape (n,) + that of `times`. Past the
        last time with data G is not known unless it is 0: NaN, with a :class:`SupportWarning`.
        """
        self._require_fitted()
        wanted = _finite(times)
        if not self.conditional:
            return self._kaplan_meier(wanted, before)
        rows = self._rows()
        if rows.codes is None:
            found = survival_at(self.model_, rows.X, np.ravel(wanted), before, self.last_)
            return found.reshape(len(rows), *wanted.shape)
        curves = [group._kaplan_meier(wanted, before) for group in self.groups_.values()]
        return np.stack([*curves, np.full(wanted.shape, np.nan)])[rows.codes]

    def probability_each(
        self, times: ArrayLike, *, before: bool = False, rows: NDArray[np.int64] | None = None
    ) -> Floats:
        """Give each customer's G at a time of its own, (n,): of all rows, or of those at the positions `rows`."""
        self._require_fitted()
        wanted = _finite(times)
        if not self.conditional:
            return self._kaplan_meier(wanted, before)
        of = self._rows()
        rows = np.arange(len(of)) if rows is None else rows
        if wanted.shape != rows.shape:
            raise DataError(f"times has shape {wanted.shape}; give one per row, {rows.shape}.")
        if of.codes is None:
            return survival_each(self.model_, of.X, rows, wanted, before, self.last_)
        result = np.full(len(rows), np.nan)
        for code, group in enumerate(self.groups_.values()):
            inside = of.codes[rows] == code
            result[inside] = group._kaplan_meier(wanted[inside], before)
        return result

    def require_rows_of(self, y: Outcome) -> None:
        """Refuse an outcome of other rows than those that this model was fitted on or given."""
        if not self.conditional:
            return
        rows = self._rows()
        if len(rows) == len(y) and rows.digest in (None, _digest(y)):
            return
        given = "X" if hasattr(self, "model_") else "strata="
        raise DataError(
            f"The CensoringModel {'was fitted on' if rows.digest else 'was given'} {counted(len(rows), 'row')}, the outcome "
            f"has {len(y):,}{' others' if len(rows) == len(y) else ''}: pass censoring=model.at({given}) with the "
            "covariates or strata of these customers, row for row."
        )

    def _rows(self) -> _Rows:
        if not hasattr(self, "bound_"):
            raise DataError("A loaded CensoringModel knows no customers: pass model.at(X) or model.at(strata=...).")
        return self.bound_

    def _codes(self, strata: ArrayLike | pd.DataFrame, n: int) -> NDArray[np.int64]:
        """Give the numbers of the groups, −1 for labels without one (all of weight 0 in the fit)."""
        codes, labels = row_labels(strata, n, "strata")
        return np.asarray(pd.Index(list(self.groups_)).get_indexer(labels)[codes], dtype=np.int64)

    def _require_fitted(self) -> None:
        if not hasattr(self, "table_"):
            raise DataError("This CensoringModel is not fitted yet: call fit(y) first.")

    def _kaplan_meier(self, wanted: Floats, before: bool) -> Floats:
        steps = self.table_["time"].to_numpy()
        rounding = slack(np.unique(np.append(steps, self.last_)))
        # a step within rounding of t belongs to G(t), and not to G(t−)
        position = np.searchsorted(steps, wanted - rounding) if before else steps_until(steps, wanted)
        found = np.concatenate(([1.0], self.table_["estimate"].to_numpy()))[position]
        beyond = (wanted > self.last_ + rounding) & (found > 0)
        if beyond.any():
            warnings.warn(
                f"Time {first_of([f'{t:g}' for t in wanted[beyond]])} is past the last time with data ({self.last_:g}): the "
                "probability of being uncensored is not known there. The answer is NaN.",
                SupportWarning,
                stacklevel=3,
            )
        return np.where(beyond, np.nan, found)


def _finite(times: ArrayLike) -> Floats:
    wanted = numeric_column(np.ravel(times), "times").reshape(np.shape(times))
    if not np.all(np.isfinite(wanted)):
        raise DataError("times must be finite numbers.")
    return wanted


def _digest(y: Outcome) -> str:
    """Give a fingerprint that tells other rows, or the same in another order."""
    return hashlib.sha256(b"".join(part.tobytes() for part in (y.start, y.stop, y.event))).hexdigest()

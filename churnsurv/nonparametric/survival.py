"""Kaplan–Meier and Nelson–Aalen: leaving by any cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from churnsurv.exceptions import NotIdentifiedError
from churnsurv.kernels import nonparametric as kernel
from churnsurv.kernels.times import Floats
from churnsurv.nonparametric.base import GroupFit, Nonparametric
from churnsurv.nonparametric.groups import GroupRows, is_robust
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, refuse_recurrent

ConfType = Literal["log", "log-log", "plain", "logit", "arcsin"]


class KaplanMeier(Nonparametric):
    """Probability of still being a customer, by the product-limit estimator of Kaplan & Meier (1958).

    Assumes that censoring and entry are independent of leaving, given the group. With several causes leaving by any of
    them counts (1 − S of one cause alone is not the probability of leaving by it: see :class:`AalenJohansen`). Rows of one
    subject that follow each other without a gap count as one: splitting them changes nothing.

    Attributes
    ----------
    table_ : DataFrame
        group, time, n_risk, n_event, n_censored, estimate, se, lower, upper; one row per group and distinct time.
    curves_ : Curves
        One row per group, with bounds, conditional on reaching ``curves_.origin``.
    groups_ : Index
        The sorted labels of `by`, or "all".
    n_subjects_, n_events_ : Series
        Per group: subjects and events after the origin.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[6, 6, 12, 18], event=[1, 0, 1, 0])
    >>> km = cs.KaplanMeier().fit(y)
    >>> km.table_[["time", "n_risk", "n_event", "estimate"]]
       time  n_risk  n_event  estimate
    0   6.0       4        1     0.750
    1  12.0       2        1     0.375
    2  18.0       1        0     0.375
    >>> km.median().value, km.rmst(12).value
    (12.0, 10.5)
    """

    _method = "Kaplan-Meier"
    _model_variance = "Greenwood"

    def fit(
        self,
        y: Outcome | NDArray[Any],
        *,
        sample_weight: ArrayLike | None = None,
        by: ArrayLike | pd.DataFrame | None = None,
        cluster: ArrayLike | None = None,
        min_at_risk: int = 1,
        origin: float | None = None,
        level: float = 0.95,
        conf_type: ConfType = "log",
        variance: Literal["greenwood", "robust"] | None = None,
    ) -> Self:
        """Fit one curve per group.

        Parameters
        ----------
        y : Outcome or scikit-survival's structured array, of n rows
        sample_weight : (n,), optional
            Number of customers that each row stands for; 0 leaves a row out.
        by : (n,) or frame of n rows, optional
            Group of each row.
        cluster : (n,), optional
            Rows of a cluster (the loans of one customer) are not independent: gives the robust variance by cluster.
        min_at_risk : int
            With entry times, the curve begins at the first age with this many rows at risk.
        origin : float, optional
            Begin no earlier than at this age; the curve is conditional on reaching it.
        level : float
            Confidence level of the pointwise intervals.
        conf_type : {"log", "log-log", "plain", "logit", "arcsin"}
            Scale on which the interval is symmetric; "log" as R's default.
        variance : {"greenwood", "robust"}, optional
            "robust": infinitesimal jackknife by subject (or `cluster`; Therneau & Grambsch 2000). Default: robust with
            `cluster` or with weights that are not whole numbers, else Greenwood's.

        Raises
        ------
        DataError
            Weights that are negative, missing or all 0; groups that are missing or of another length; a group that
            never has `min_at_risk` rows at risk.
        NotIdentifiedError
            Recurrent events.

        Warns
        -----
        SmallSampleWarning
            A group has no event; an early risk set empties while others enter later.
        """
        y = as_outcome(y)
        refuse_recurrent(y, "A survival curve")
        self.causes_ = _leaving(y)
        robust = is_robust(variance, ("greenwood",), cluster, sample_weight)
        self._fit(
            y,
            lambda rows: _fit_survival(rows, kernel.kaplan_meier, robust),
            sample_weight=sample_weight,
            by=by,
            cluster=cluster,
            min_at_risk=min_at_risk,
            origin=origin,
            level=level,
            conf_type=conf_type,
            robust=robust,
        )
        return self


class NelsonAalen(Nonparametric):
    """Cumulative hazard of leaving, Σ d/n (Nelson 1972; Aalen 1978).

    With several causes leaving by any of them counts; fit ``y.only(cause)`` for the hazard of one. Recurrent events are
    allowed: then it is the mean number of events, with the variance robust by subject. ``curves_``, ``median`` and ``rmst``
    belong to the survival curve exp(−H), also called Breslow's or Fleming–Harrington's.

    Attributes
    ----------
    table_ : DataFrame
        group, time, n_risk, n_event, n_censored, estimate (the cumulative hazard), se, lower, upper.
    curves_, groups_, n_subjects_, n_events_
        As of :class:`KaplanMeier`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[6, 6, 12, 18], event=[1, 0, 1, 0])
    >>> cs.NelsonAalen().fit(y).table_["estimate"].tolist()
    [0.25, 0.75, 0.75]
    """

    _method = "Nelson-Aalen"
    _model_variance = "Aalen's"
    _conf_types: ClassVar[tuple[str, ...]] = ("log", "plain")

    def fit(
        self,
        y: Outcome | NDArray[Any],
        *,
        sample_weight: ArrayLike | None = None,
        by: ArrayLike | pd.DataFrame | None = None,
        cluster: ArrayLike | None = None,
        min_at_risk: int = 1,
        origin: float | None = None,
        level: float = 0.95,
        conf_type: Literal["log", "plain"] = "log",
        variance: Literal["aalen", "robust"] | None = None,
    ) -> Self:
        """Fit one cumulative hazard per group.

        Parameters
        ----------
        y, sample_weight, by, cluster, min_at_risk, origin, level
            As of :meth:`KaplanMeier.fit`.
        conf_type : {"log", "plain"}
            "log": H exp(± z se/H). "plain": H ± z se, which is R's "log" interval of exp(−H).
        variance : {"aalen", "robust"}, optional
            Aalen's Σ d/n², or the infinitesimal jackknife by subject (or `cluster`). Default: robust with `cluster`,
            recurrent events or weights that are not whole numbers, else Aalen's.

        Raises
        ------
        DataError
            As of :meth:`KaplanMeier.fit`; recurrent events are legal.
        """
        y = as_outcome(y)
        self.causes_, self.recurrent_ = _leaving(y), y.recurrent
        robust = is_robust(variance, ("aalen",), cluster, sample_weight) or (variance is None and y.recurrent)
        self._fit(
            y,
            lambda rows: _fit_survival(rows, kernel.nelson_aalen, robust),
            sample_weight=sample_weight,
            by=by,
            cluster=cluster,
            min_at_risk=min_at_risk,
            origin=origin,
            level=level,
            conf_type=conf_type,
            robust=robust,
        )
        return self

    def rmst(self, horizon: float) -> Estimate | dict[Any, Estimate]:
        """Give the restricted mean time of exp(−H), see :meth:`KaplanMeier.rmst`."""
        self._check_fitted()
        self._survival_bounds(self._fits[0])
        return super().rmst(horizon)

    def _columns(self, fit: GroupFit) -> dict[str, Any]:
        hazard, se, lower, upper = self._hazard(fit)
        return {**fit.counts, "estimate": hazard, "se": se, "lower": lower, "upper": upper}

    def _hazard(self, fit: GroupFit) -> tuple[Floats, Floats, Floats, Floats]:
        hazard, se = 0.0 - np.log(fit.state[0]), fit.se[0] / fit.state[0]
        half = float(ndtri((1 + self.level_) / 2)) * se
        if self.conf_type_ == "plain":
            return hazard, se, np.maximum(hazard - half, 0.0), hazard + half
        ratio = np.exp(half / np.where(hazard > 0, hazard, np.nan))
        return hazard, se, hazard / ratio, hazard * ratio

    def _survival_bounds(self, fit: GroupFit) -> tuple[Floats, Floats]:
        if self.recurrent_:
            raise NotIdentifiedError(
                "With recurrent events the cumulative hazard is a mean number of events and exp(-H) no probability. "
                "Use table_, or an outcome with each subject's first event only."
            )
        _, _, lower, upper = self._hazard(fit)
        return np.exp(-upper), np.exp(-lower)


def _leaving(y: Outcome) -> tuple[str, ...]:
    return y.causes if len(y.causes) == 1 else ("any cause",)


def _fit_survival(
    rows: GroupRows, estimator: Callable[[kernel.RiskTable], kernel.LogSurvival], robust: bool
) -> GroupFit:
    table = rows.risk_table(n_causes=1)
    log = estimator(table)
    variance, moments = np.cumsum(log.variance_steps), None
    if robust:
        parts = kernel.influence(table, log, rows.event, rows.weight, rows.cluster)
        variance = kernel.robust_log_variance(parts)
        moments = kernel.area_moments(parts, table.times, rows.origin, log.survival)
    # the variance is not defined where everybody has left
    se = np.where(log.survival > 0, log.survival * np.sqrt(variance), np.nan)
    return GroupFit(
        times=table.times,
        state=np.stack((log.survival, 1 - log.survival)),
        se=np.stack((se, se)),
        variance_steps=log.variance_steps,
        area_moments=moments,
        counts=table.columns(),
        event_by_state=np.repeat(table.n_event, 2, axis=0),
        event_rows=table.event_rows,
        falls_early=bool(np.any(log.survival[:-1] == 0)),
        origin=rows.origin,
        n=rows.n_clusters,
    )

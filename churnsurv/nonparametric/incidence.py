"""Aalen–Johansen: leaving by each of several causes."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError
from churnsurv.kernels import nonparametric as kernel
from churnsurv.nonparametric.base import GroupFit, Nonparametric
from churnsurv.nonparametric.groups import GroupRows, is_robust
from churnsurv.nonparametric.survival import ConfType
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, refuse_recurrent

Variance = Literal["robust", "aalen", "greenwood"]


class AalenJohansen(Nonparametric):
    """Probability of having left by each cause, when causes compete (Aalen & Johansen 1978).

    The cumulative incidence F_k(t) = Σ S(s−) d_k/n, with S the Kaplan–Meier curve of leaving by any cause, so that the
    states sum to 1. Assumes that censoring and entry are independent of leaving, given the group; the causes may depend on
    each other. With a single cause it is 1 − Kaplan–Meier. :meth:`median` and :meth:`rmst` are of leaving by any cause.

    Attributes
    ----------
    table_ : DataFrame
        group, state ("customer" or the cause), time, n_risk, n_event, n_censored, estimate, se, lower, upper; one row per
        group, state and distinct time. n_event counts the state's cause, for "customer" any.
    curves_, groups_, n_subjects_, n_events_
        As of :class:`KaplanMeier`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome([6, 12, 12, 18], [1, 2, 1, 0], causes=("attrition", "default"))
    >>> aj = cs.AalenJohansen().fit(y)
    >>> aj.curves_.cumulative_incidence("attrition")
    array([[0.25, 0.5 , 0.5 ]])
    """

    _method = "Aalen-Johansen"

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
        variance: Variance = "robust",
    ) -> Self:
        """Fit the state probabilities of each group.

        Parameters
        ----------
        y, sample_weight, by, cluster, min_at_risk, origin, level, conf_type
            As of :meth:`KaplanMeier.fit`.
        variance : {"robust", "aalen", "greenwood"}
            "robust": infinitesimal jackknife by subject (or `cluster`), as R's ``survfit``. "aalen": the delta method with
            Poisson-like leavings, as cmprsk's ``cuminc``. "greenwood": the delta method with multinomial leavings, as
            etm's. With the last two the state "customer" has Greenwood's variance.

        Raises
        ------
        DataError, NotIdentifiedError
            As of :meth:`KaplanMeier.fit`.

        Warns
        -----
        SmallSampleWarning
            As of :meth:`KaplanMeier.fit`.
        """
        y = as_outcome(y)
        refuse_recurrent(y, "A cumulative incidence")
        if variance is None:
            raise DataError(f"variance=None is not known: use one of {list(get_args(Variance))}.")
        robust = is_robust(variance, ("aalen", "greenwood"), cluster, sample_weight)
        self.causes_, self._model_variance = y.causes, variance.capitalize()
        self._fit(
            y,
            lambda rows: _fit_states(rows, len(y.causes), variance),
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

    def _columns(self, fit: GroupFit) -> dict[str, Any]:
        lower, upper = kernel.interval(fit.state, fit.se, self.level_, self.conf_type_)
        values = {"n_event": fit.event_by_state, "estimate": fit.state, "se": fit.se, "lower": lower, "upper": upper}
        return {
            "state": np.repeat(np.array(["customer", *self.causes_], dtype=object), len(fit.times)),
            **{name: np.tile(column, len(fit.state)) for name, column in fit.counts.items()},
            **{name: array.ravel() for name, array in values.items()},
        }


def _fit_states(rows: GroupRows, n_causes: int, variance: Variance) -> GroupFit:
    table = rows.risk_table(n_causes)
    log = kernel.kaplan_meier(table)
    incidence = kernel.cumulative_incidence(table, log.survival)
    if variance == "robust":
        parts = kernel.influence(table, log, rows.event, rows.weight, rows.cluster)
        survival_variance = log.survival**2 * kernel.robust_log_variance(parts)
        by_cause = kernel.robust_incidence_variance(parts, table, log.survival, incidence, rows.event, rows.weight)
        moments = kernel.area_moments(parts, table.times, rows.origin, log.survival)
    else:
        survival_variance = log.survival**2 * np.cumsum(log.variance_steps)
        by_cause = kernel.delta_variance(table, log.survival, incidence, multinomial=variance == "greenwood")
        moments = None
    return GroupFit(
        times=table.times,
        state=np.vstack((log.survival, incidence)),
        se=np.sqrt(np.vstack((survival_variance, by_cause))),
        variance_steps=log.variance_steps,
        area_moments=moments,
        counts=table.columns(),
        event_by_state=np.vstack((table.n_event.sum(axis=0), table.n_event)),
        event_rows=table.event_rows,
        falls_early=bool(np.any(log.survival[:-1] == 0)),
        origin=rows.origin,
        n=rows.n_clusters,
    )

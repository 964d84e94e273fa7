"""Confidence bounds of the state probabilities predicted by cause-specific Cox models."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import block_diag

from churnsurv.estimators.cox_state import Seen, seen
from churnsurv.estimators.cox_variance import refuse_saved_without
from churnsurv.estimators.inputs import known_codes, offset_argument
from churnsurv.exceptions import DataError, MissingDataWarning
from churnsurv.kernels.absolute_risk import Baselines, increment_influence, state_variance
from churnsurv.kernels.cox import ScoreArg, cluster_scores
from churnsurv.kernels.nonparametric import interval
from churnsurv.kernels.times import steps_until
from churnsurv.messages import counted
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.cause_specific import CauseSpecificCox

Floats = NDArray[np.float64]

#: clusters whose influences are held at once; event times of a stratum, over the causes, whose covariances are kept
CLUSTERS, MOST_TIMES = 4096, 4000


def variance_parts(
    model: CauseSpecificCox, frame: pd.DataFrame, outcome: Outcome, given: dict[str, Any]
) -> dict[str, Any]:
    """Give what bounds are made of: per cause the increments at the centre, O(B p); with clusters their covariances.

    Hazards of different causes and times are uncorrelated when subjects are independent (their martingales are orthogonal),
    which leaves one variance per event time. Customers with several loans, or sampling weights, correlate all of them: the
    infinitesimal jackknife then keeps a matrix of (event times of the causes)² per stratum.
    """
    with warnings.catch_warnings():
        # the fit has told of the rows it left out
        warnings.simplefilter("ignore", MissingDataWarning)
        looks: list[Seen] = []
        for fitted in model.models_.values():
            looks.append(seen(fitted, frame, outcome, **given, like=looks[0] if looks else None))
    increments, moves = [], []
    for fitted, look in zip(model.models_.values(), looks, strict=True):
        state, buckets = look.state, look.data.buckets
        terms, unshift = state.terms, np.exp(-state.shift[buckets.stratum])
        q1 = terms.a[:, None] * state.sums.risk[:, 1:] - terms.b[:, None] * state.sums.dead[:, 1:]
        # a design shared with another cause has its centre: at the model's own one the hazard is exp(β'd) times as high
        d = fitted.center_.to_numpy() - look.data.center
        move, hazard = float(np.exp(d @ fitted.coef_.to_numpy())), terms.e0 * unshift
        slope = hazard[:, None] * d - q1 * unshift[:, None] * look.data.scale
        moves.append(move)
        increments.append(
            {
                "stratum": buckets.stratum, "time": buckets.time, "hazard": move * hazard, "slope": move * slope,
                "variance": move**2 * terms.a * unshift**2 / look.data.factor,
            }
        )  # fmt: skip
    models = list(model.models_.values())
    if not any(m.is_robust_ for m in models):
        return {"increments": increments, "coef": block_diag(*[m.covariance_.to_numpy() for m in models])}
    return {"increments": increments} | _jackknife(
        looks, moves, [m.naive_covariance_.to_numpy() for m in models], outcome
    )


def _jackknife(looks: list[Seen], moves: list[float], naive: list[Floats], outcome: Outcome) -> dict[str, Any]:
    """Give the second moments of the clusters' influences: on the coefficients, and by stratum on the increments.

    `moves`: how many times as high each cause's hazard is at its own centre than at that of the design.
    """
    subject = pd.factorize(outcome.subject)[0].astype(np.int64)
    units = [x.rows.cut(subject) if x.rows.cluster is None else x.rows.cluster.astype(np.int64) for x in looks]
    n_units = 1 + max(int(u.max()) for u in units)
    dfbeta = []
    for look, unit, inverse in zip(looks, units, naive, strict=True):
        data, state = look.data, look.state
        arg = ScoreArg(state.beta, state.shift, data.buckets, state.sums, state.terms, unit, n_units)
        (score,) = data.problem.mr(cluster_scores, arg)
        # scores are of standardised covariates and of weights with mean 1
        dfbeta.append((score * data.scale) @ inverse * data.factor)
    coef = np.hstack(dfbeta)
    own, cross = {}, {}
    for s in range(looks[0].data.n_strata):
        size = sum(int(np.diff(x.data.buckets.begin)[s]) for x in looks)
        if size > MOST_TIMES:
            continue
        own[s], cross[s] = np.zeros((size, size)), np.zeros((size, coef.shape[1]))
        for begin in range(0, n_units, CLUSTERS):
            end = min(begin + CLUSTERS, n_units)
            parts = [
                move * increment_influence(x.data.shard, x.state, x.data.buckets, s, u, begin, end)
                for x, u, move in zip(looks, units, moves, strict=True)
            ]
            influence = np.hstack(parts)
            own[s] += influence.T @ influence
            cross[s] += influence.T @ coef[begin:end]
    return {"own": own, "cross": cross, "coef": coef.T @ coef}


def baselines_of(model: CauseSpecificCox, stratum: int, steps: Floats) -> Baselines:
    """Give the baselines of one stratum on the common steps."""
    parts = model.variance_parts_
    refuse_saved_without(parts)
    widths = [len(m.coef_) for m in model.models_.values()]
    of_cause = np.repeat(np.arange(len(widths)), widths)
    cause, step, hazard, slope, variance = [], [], [], [], []
    for c, piece in enumerate(parts["increments"]):
        mine = piece["stratum"] == stratum
        cause.append(np.full(int(mine.sum()), c))
        step.append(steps_until(steps, piece["time"][mine]) - 1)
        hazard.append(piece["hazard"][mine])
        slope.append(piece["slope"][mine])
        variance.append(piece["variance"][mine])
    if "own" in parts and stratum not in parts["own"]:
        raise DataError(
            f"With clusters, bounds need the covariances of {counted(sum(map(len, cause)), 'event time')}, more than "
            f"{MOST_TIMES:,}. Round the times (to months), or predict without level=."
        )
    own, cross = (
        (parts["own"][stratum], parts["cross"][stratum]) if "own" in parts else (np.concatenate(variance), None)
    )
    return Baselines(
        np.concatenate(cause), np.concatenate(step), np.concatenate(hazard), block_diag(*slope), of_cause, own, cross,
        parts["coef"],
    )  # fmt: skip


def prediction_parts(
    model: CauseSpecificCox, rows: pd.DataFrame, given: dict[str, Any], hazards: Floats
) -> tuple[Floats, Floats, NDArray[np.int64], Floats]:
    """Give what :func:`state_variance` takes of rows: total increments, hazard ratios, strata, covariates less their centre.

    `hazards` (n, K, U) of the rows at all steps.
    """
    models = list(model.models_.values())
    total = np.minimum(np.diff(hazards, axis=2, prepend=0.0).sum(axis=1), 1.0)
    away = [m.encoder_.design(rows) - m.center_.to_numpy() for m in models]
    log_ratio = np.column_stack([x @ m.coef_.to_numpy() for x, m in zip(away, models, strict=True)])
    offset = offset_argument(models[0].remembered("offset", given["offset"], rows), rows)
    if offset is not None:
        log_ratio += offset[:, None] - np.array([m.offset_center_ for m in models])
    # beyond e^±300 a probability is at 0 or 1 anyhow; squares must stay numbers
    ratio = np.exp(np.clip(log_ratio, -300, 300))
    stratum = np.zeros(len(rows), dtype=np.int64)
    if models[0].strata_ is not None:
        stratum = known_codes(models[0].remembered("strata", given["strata"], rows), rows, models[0].strata_, "strata")
    return total, ratio, stratum, np.hstack(away)


def state_bounds(
    model: CauseSpecificCox,
    rows: pd.DataFrame,
    given: dict[str, Any],
    since: NDArray[np.int64],
    steps: Floats,
    hazards: Floats,
    probability: Floats,
    until: NDArray[np.int64],
    level: float,
) -> tuple[Floats, Floats]:
    """Give bounds (n, 1 + K, T) on the log(−log) scale of each probability; 0 and 1 before anything can happen.

    `hazards` (n, K, U) and `probability` (n, 1 + K, 1 + U) of the rows at all steps; `since` as in :func:`state_variance`.
    """
    total, ratio, stratum, away = prediction_parts(model, rows, given, hazards)
    estimate = probability[:, :, until]
    variance = np.empty(estimate.shape)
    for code in np.unique(stratum):
        mine = np.flatnonzero(stratum == code)
        base = baselines_of(model, int(code), steps)
        variance[mine] = state_variance(
            base, probability[mine], total[mine], ratio[mine], away[mine], since[mine], until
        )
    # an error too large for the scale gives bounds 0 and 1
    with np.errstate(over="ignore"):
        lower, upper = interval(estimate, np.sqrt(variance), level, "log-log")
    sure = ((estimate == 0) | (estimate == 1)) & (variance == 0)
    return np.where(sure, estimate, lower), np.where(sure, estimate, upper)

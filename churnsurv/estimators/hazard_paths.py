"""Hazards of all causes along paths of covariates, by fitted Cox models: what scenarios and curves along paths are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.estimators.cause_specific_bounds import baselines_of
from churnsurv.estimators.cox_curves import hazard_steps, placed_rows
from churnsurv.estimators.cox_variance import refuse_saved_without
from churnsurv.estimators.inputs import RowArgument, requested_start, row_values
from churnsurv.estimators.path_rows import PathRows
from churnsurv.exceptions import DataError
from churnsurv.kernels.absolute_risk import Baselines
from churnsurv.kernels.path_states import Layout, layout, path_states, state_derivatives, summed_gradients
from churnsurv.kernels.times import steps_until
from churnsurv.messages import first_of

if TYPE_CHECKING:
    from churnsurv.estimators.cause_specific import CauseSpecificCox
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]


class HazardPaths(NamedTuple):
    """Hazards of K causes along n paths.

    steps (U,): event times of all causes; ratio, increment (n, K, J) at the steps of `place`; away: per cause covariates of
    the pieces less their centre; stratum (n,) code; origin, last (n,) begin and end of the support; product: survival as the
    product of 1 − dΛ.
    """

    steps: Floats
    place: Layout
    ratio: Floats
    increment: Floats
    away: list[Floats]
    stratum: NDArray[np.int64]
    origin: Floats
    last: Floats
    product: bool

    def states(self) -> tuple[Floats, Floats]:
        """Give the state probabilities (n, 1 + K, 1 + J) and the total increments (n, J)."""
        return path_states(self.increment, self.product)

    def until(self, times: Floats) -> NDArray[np.int64]:
        """Count the steps of each path up to times (n, T)."""
        passed = steps_until(self.steps, times) - steps_until(self.steps, self.origin)[:, None]
        return np.asarray(np.clip(passed, 0, self.place.valid.sum(axis=1)[:, None]))


def cause_models(model: CauseSpecificCox | CoxPH) -> list[CoxPH]:
    """Give the models of the causes."""
    return list(getattr(model, "models_", {"": model}).values())


def hazard_paths(
    model: CauseSpecificCox | CoxPH, frame: pd.DataFrame, paths: PathRows, *, strata: RowArgument, offset: RowArgument
) -> HazardPaths:
    """Lay the predicted hazards of all causes out along paths; the rows of `frame` are their pieces, in any order."""
    models = cause_models(model)
    given = {"strata": row_values(strata, frame, "strata"), "offset": row_values(offset, frame, "offset")}
    cut: dict[str, Any] = {k: None if v is None else v.iloc[paths.order] for k, v in given.items()}
    rows = [placed_rows(m, frame.iloc[paths.order], **cut) for m in models]
    code = rows[0].stratum
    stratum = code[paths.first[:-1]]
    moved = code != np.repeat(stratum, np.diff(paths.first))
    if moved.any():
        who = np.repeat(np.arange(len(stratum)), np.diff(paths.first))[moved]
        raise DataError(
            f"The stratum changes along the path of subject {first_of(paths.labels[np.unique(who)])}: with several causes a "
            "path stays in one stratum."
        )
    first_known, last_known = (np.asarray(getattr(models[0], name)) for name in ("first_", "last_"))
    requested_start(paths.start, len(code), first_known[code])
    steps = np.unique(np.concatenate([m.event_times_ for m in models]))
    place = layout(paths.first, steps_until(steps, paths.start), steps_until(steps, paths.stop), len(steps))
    baseline = np.zeros((int(stratum.max()) + 1, len(models), len(steps)))
    for s in np.unique(stratum):
        for k, m in enumerate(models):
            times, hazard = hazard_steps(m, int(s))
            baseline[s, k, steps_until(steps, times) - 1] = np.diff(hazard, prepend=0.0)
    ratio = np.stack([np.where(place.valid, r.ratio[place.piece], 0.0) for r in rows], axis=1)
    increment = ratio * baseline[stratum[:, None, None], np.arange(len(models))[None, :, None], place.step[:, None, :]]
    last = paths.last(last_known[code])
    return HazardPaths(
        steps, place, ratio, increment, [r.z for r in rows], stratum, paths.origin, last, hasattr(model, "models_")
    )


def baselines(model: CauseSpecificCox | CoxPH, stratum: int, steps: Floats) -> Baselines:
    """Give the baselines of all causes in one stratum with their uncertainty."""
    if hasattr(model, "models_"):
        return baselines_of(model, stratum, steps)
    refuse_saved_without(getattr(model, "hazard_gradient_", None))
    frame, labels = model.centred_hazard_, model.strata_
    mine = np.ones(len(frame), bool) if labels is None else (frame["stratum"] == labels[stratum]).to_numpy()
    # what the fit keeps is cumulated within strata
    increments = [np.diff(frame["hazard"][mine], prepend=0.0), np.diff(model.hazard_variance_[mine], prepend=0.0)]
    slope = -np.diff(model.hazard_gradient_[mine], axis=0, prepend=np.zeros((1, len(model.coef_))))
    at = steps_until(steps, frame["time"].to_numpy()[mine]) - 1
    none = np.zeros(len(at), dtype=np.int64)
    of_cause = np.zeros(len(model.coef_), dtype=np.int64)
    return Baselines(
        none, at, increments[0], slope, of_cause, increments[1], None, model.covariance_.to_numpy()
    )  # fmt: skip


def derivatives(found: HazardPaths, probability: Floats, total: Floats, times: Floats) -> Floats:
    """Give the derivatives of the states at times (n, T) by the paths' increments, (n, 1 + K, T, K, J)."""
    return state_derivatives(probability, total, found.until(times), found.product)


def gradients(
    found: HazardPaths, derivative: Floats, rows: NDArray[np.int64], base: Baselines
) -> tuple[Floats, Floats]:
    """Sum derivatives (rows, R, K, J) of quantities over the paths `rows`, all of one stratum, see :func:`summed_gradients`."""
    place = found.place.of(rows)
    return summed_gradients(derivative, place, found.ratio[rows], found.away, base)


def influences(known: dict[int, Baselines], on_steps: dict[int, Floats], on_coef: dict[int, Floats]) -> Floats:
    """Give influences (R, r) of R quantities whose gradients by stratum are given: products of their rows are covariances.

    Coefficients are common to the strata. What a baseline adds to them is taken as uncorrelated between strata, which it is
    for independent subjects; with clusters, a cluster's loans in several strata are correlated through the coefficients alone.
    """
    first = known[min(known)]
    values, vectors = np.linalg.eigh(first.coef)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    through = np.sum([on_coef[s] for s in known], axis=0)
    parts = []
    for s in sorted(known):
        base = known[s]
        if base.own.ndim == 1:
            parts.append(on_steps[s] * np.sqrt(base.own))
            continue
        own = base.own
        if base.cross is not None and base.cross.shape[1]:
            # increments = their regression on the coefficients + a rest
            slope = base.cross @ np.linalg.pinv(base.coef, hermitian=True)
            through = through + on_steps[s] @ slope
            own = own - slope @ base.cross.T
        rest, directions = np.linalg.eigh((own + own.T) / 2)
        parts.append(on_steps[s] @ (directions * np.sqrt(np.maximum(rest, 0.0))))
    return np.hstack([*parts, through @ root])

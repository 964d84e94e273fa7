r"""The variance of weighted effects with the estimation of the propensity accounted for, without resampling.

Effect and logistic regression solve estimating equations together (Lunceford and Davidian 2004; for survival Mao, Li, Yang and
Shen 2018, Zeng, Li, Hu and Li 2023). A customer c moves the effect θ by

.. math:: \sum_{r \in c} w_r \frac{\partial\theta}{\partial w_r}
   + \Big(\sum_r \frac{\partial\theta}{\partial w_r} \frac{\partial w_r}{\partial\gamma}\Big)' I(\gamma)^{-1}
   \sum_{r \in c} \{1(A_r = \cdot) - p(x_r)\} \otimes x_r,

the first part what he does under known weights in either arm, the second what he does to the coefficients γ. The variance is
the sum of the squares over the G customers times G/(G − 1).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from churnsurv.effects.arms import FEW_CLUSTERS
from churnsurv.effects.propensity import Propensity
from churnsurv.effects.propensity_fit import Candidates
from churnsurv.effects.weighted_values import Asked, weighted_cox
from churnsurv.effects.weights import Weighting, arm_weights, log_weight_slopes
from churnsurv.exceptions import NotIdentifiedError, SmallSampleWarning
from churnsurv.kernels.incidence_influence import incidence_influence
from churnsurv.kernels.nonparametric import before, kaplan_meier, risk_table
from churnsurv.kernels.times import steps_until
from churnsurv.messages import counted
from churnsurv.rows import refuse_one_cluster

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: rows of the design that are standardised at a time
BLOCK = 100_000


def refuse_other_models(candidates: Candidates) -> None:
    """Refuse probabilities that are not those of one logistic regression: their estimation has no known influence."""
    model = candidates.classifier
    if model is not None or candidates.n_folds > 1:
        what = f"model={type(model).__name__}" if model is not None else f"folds={candidates.n_folds}"
        raise NotIdentifiedError(
            f"variance='sandwich' accounts for the estimation of the propensity by its own logistic regression, fitted once to "
            f"all customers; for {what} the part of the estimation is not known. Use variance='bootstrap'."
        )


def sandwich_error(
    asked: Asked, ps: Propensity, design: Floats, weighting: Weighting, weight: Floats, stacklevel: int
) -> float:
    """Give the standard error of the effect (of its logarithm for ratios) under the weights of subjects, (m,)."""
    arms = asked.assigned.arms
    if not arms.unit.any():  # codes from 0: np.unique is slow for many
        refuse_one_cluster(arms.unit)
    _warn_of_few(asked, weight, stacklevel + 1)
    moved = subject_influence(asked, weight)
    free = np.where(_at_the_cut(asked, ps, weighting, weight), 0.0, moved)
    slope = free[:, None] * log_weight_slopes(ps.probability, ps.code, weighting.estimand, asked.assigned.target)
    total = moved + coefficient_influence(ps, design, slope)
    if weighting.stabilised:
        total += _share_influence(free, arms.code, weight > 0)
    sums = np.bincount(arms.unit, weights=total)
    return float(np.sqrt(np.sum(sums**2) * len(sums) / (len(sums) - 1)))


def subject_influence(asked: Asked, weight: Floats) -> Floats:
    """Give what each subject does to the effect (to its logarithm for ratios) under known weights, (m,): Σ w ∂θ/∂w."""
    assigned = asked.assigned
    of_row = weight[assigned.subject]
    rows = np.flatnonzero((of_row > 0) & np.isin(assigned.code, (0, assigned.target)))
    if asked.effect == "hazard_ratio":
        moved = _hazard_influence(asked, rows, of_row[rows])
    else:
        moved = np.empty(len(rows))
        for k, sign in ((0, -1.0), (assigned.target, 1.0)):
            mine = assigned.code[rows] == k
            moved[mine] = sign * _curve_influence(asked, rows[mine], of_row[rows[mine]], k)
    sums = np.bincount(assigned.subject[rows], weights=moved * of_row[rows], minlength=len(assigned.first))
    return sums.astype(np.float64, copy=False)


def _curve_influence(asked: Asked, rows: Ints, weight: Floats, arm: int) -> Floats:
    """Give the derivative of one arm's number (for a ratio of its logarithm) by the weight of each of its rows."""
    y, cause = asked.assigned.y, 1 if asked.cause is None else asked.assigned.y.cause_code(asked.cause)
    event = y.event[rows] if asked.cause is not None else (y.event[rows] > 0).astype(np.int64)
    n_causes = 1 if asked.cause is None else len(y.causes)
    table = risk_table(y.entry[rows], y.stop[rows], event, weight, n_causes, np.zeros(len(rows), dtype=bool))
    survival = kaplan_meier(table).survival
    until = np.arange(len(table.times)) < steps_until(table.times, np.array([asked.end]))[0]
    is_area = asked.effect in ("rmst_difference", "rmtl_difference")
    risk = float(np.sum((before(survival, 1.0) * table.n_event[cause - 1] / table.n_risk)[until]))
    if not is_area and risk > 1 - 1e-12:
        raise NotIdentifiedError(
            f"Everybody of arm {asked.assigned.arms.labels[arm]!r} has left by the horizon: a risk of 1 has no variance of its "
            "own. Ask for a shorter horizon, or for effect='rmtl_difference'."
        )
    value_at = until * (np.maximum(asked.end - table.times, 0.0) if is_area else 1.0)
    moved = incidence_influence(table, survival, event, cause, value_at)
    if asked.effect == "risk_ratio":
        return moved / risk
    return -moved if asked.effect == "rmst_difference" else moved


def _hazard_influence(asked: Asked, rows: Ints, weight: Floats) -> Floats:
    """Give the derivative of the log hazard ratio by the weight of each row: its score residual over the information."""
    assigned = asked.assigned
    treated = (assigned.code[rows] > 0).astype(np.int64)
    model, design, outcome, kept = weighted_cox(asked, assigned.y[rows], treated, weight)
    moved = np.zeros(len(rows))
    score = model.residuals(design, outcome, "score", sample_weight=weight[kept]).to_numpy()[:, 0]
    moved[kept] = score * model.naive_covariance_.to_numpy()[0, 0]
    return moved


def coefficient_influence(ps: Propensity, design: Floats, slope: Floats) -> Floats:
    """Give what each row does to the effect through the coefficients of the logistic regression, (n,).

    Parameters
    ----------
    design : (n, p)
    slope : (n, K − 1) derivative of the effect by the row's linear predictor of each arm but the reference's
    """
    size = slope.shape[1]
    information, gradient = np.zeros((1, 1)), np.zeros((1, 1))
    for rows, x in _blocks(ps, design):
        p = ps.probability[rows, 1:]
        # second derivatives by the predictors of arms j and k: p_j (1(j = k) − p_k)
        pairs = [[p[:, j] * ((j == k) - p[:, k]) for k in range(size)] for j in range(size)]
        information = information + np.block([[x.T @ (x * pair[:, None]) for pair in line] for line in pairs])
        gradient = gradient + slope[rows].T @ x
    direction = np.linalg.solve(information, np.ravel(gradient)).reshape(size, -1)
    found = np.empty(len(design))
    for rows, x in _blocks(ps, design):
        residual = (ps.code[rows, None] == np.arange(1, size + 1)) - ps.probability[rows, 1:]
        found[rows] = np.sum(residual * (x @ direction.T), axis=1)
    return found


def _blocks(ps: Propensity, design: Floats) -> Iterator[tuple[slice, Floats]]:
    """Give 1 and the standardised columns that have a coefficient, some rows at a time."""
    assert ps.coefficients is not None
    kept = np.flatnonzero(ps.coefficients.iloc[1:].notna().all(axis=1))
    centre, scale = design.mean(axis=0)[kept], design.std(axis=0)[kept]
    for begin in range(0, len(design), BLOCK):
        rows = slice(begin, begin + BLOCK)
        part = (design[rows][:, kept] - centre) / scale
        yield rows, np.column_stack((np.ones(len(part)), part))


def _at_the_cut(asked: Asked, ps: Propensity, weighting: Weighting, weight: Floats) -> NDArray[np.bool_]:
    """Give which subjects' weights were set to a bound, which does not move with the coefficients (it is taken as known)."""
    if weighting.truncate is None:
        return np.zeros(len(weight), dtype=bool)
    whole = weighting._replace(truncate=None)
    return np.asarray(weight != arm_weights(ps.probability, ps.code, target=asked.assigned.target, **whole._asdict()))


def _share_influence(moved: Floats, code: Ints, kept: NDArray[np.bool_]) -> Floats:
    """Give what each subject does to the effect through the arms' shares in stabilised weights, (m,)."""
    of_arm = np.bincount(code, weights=moved)
    count = np.bincount(code, weights=kept)
    return np.asarray(np.where(kept, (of_arm / count)[code] - of_arm.sum() / count.sum(), 0.0))


def _warn_of_few(asked: Asked, weight: Floats, stacklevel: int) -> None:
    arms = asked.assigned.arms
    for k in (0, asked.assigned.target):
        n = int(np.count_nonzero(np.bincount(arms.unit[(arms.code == k) & (weight > 0)])))
        if n < FEW_CLUSTERS:
            warnings.warn(
                f"Arm {arms.labels[k]!r} has {counted(n, 'customer')}: with fewer than {FEW_CLUSTERS} the interval is too "
                "short.",
                SmallSampleWarning,
                stacklevel=stacklevel,
            )

"""Maximisation of Cox's partial likelihood from any start, for likelihoods that may be saturated there or have no maximum.

Newton's steps are right near a maximum; where risk sets are dominated by single rows the information is all but zero and a
step says nothing of the distance. Measured by the change of η between two rows, steps are therefore held to
:data:`LONGEST` (the likelihood is concave, so that short steps arrive too), with a slight ridge (Levenberg 1944).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from churnsurv.kernels.cox import gradient
from churnsurv.kernels.newton import Problem, State, evaluate, information_at

Floats = NDArray[np.float64]
#: change of η between two rows that one step may make
LONGEST = 4.0
#: gain of the log likelihood that is expected (also as a share of it), or made by a step of full length, at the top
LEAST_GAIN = 1e-12
ROUNDING = 1e-14
FLAT_GAIN = 1e-9
RIDGE = 1e-12
MOST_STEPS = 500


def climb(problem: Problem, start: Floats) -> tuple[float, Floats]:
    """Give the maximum of the log likelihood and where it is, or where it has levelled off; −∞ when nothing is finite.

    `start` (p,); each step costs O(n p²) as in :func:`churnsurv.kernels.newton.maximise`.
    """
    state = _finite_state(problem, start) or _finite_state(problem, np.zeros(len(start)))
    if state is None:
        return -np.inf, start
    # a column without range moves nothing
    width = np.where(problem.ranges > 0, problem.ranges, 1.0)
    for _ in range(MOST_STEPS if len(start) else 0):
        score = gradient(state.sums, state.terms) / width
        matrix = information_at(problem, state) / np.outer(width, width)
        if not np.isfinite(matrix).all():
            break
        step = np.linalg.lstsq(matrix + RIDGE * np.eye(len(start)), score, rcond=None)[0]
        if score @ step < max(LEAST_GAIN, ROUNDING * abs(state.log_likelihood)):
            break
        longest = float(np.abs(step).max())
        moved = _uphill(problem, state, step * min(1.0, LONGEST / longest) / width)
        if moved is None:
            break
        gain, state = moved.log_likelihood - state.log_likelihood, moved
        if gain < FLAT_GAIN and longest > LONGEST:
            break
    return state.log_likelihood, state.beta


def _uphill(problem: Problem, state: State, step: Floats) -> State | None:
    for halving in range(30):
        moved = _finite_state(problem, state.beta + step / 2**halving)
        if moved is not None and moved.log_likelihood > state.log_likelihood:
            return moved
    return None


def _finite_state(problem: Problem, beta: Floats) -> State | None:
    """Give the likelihood at β; None where η is so far apart that no double holds its risk sets."""
    try:
        state = evaluate(problem, beta)
    except ZeroDivisionError:  # every exp(η) of a risk set is 0
        return None
    return state if np.isfinite(state.log_likelihood) else None

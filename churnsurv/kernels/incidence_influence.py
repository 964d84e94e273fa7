"""How each row moves a cumulative incidence at one time, or the area under it: one number per row."""

from __future__ import annotations

import numpy as np

from churnsurv.kernels.nonparametric import RiskTable, before
from churnsurv.kernels.times import Floats, Ints


def incidence_influence(table: RiskTable, survival: Floats, event: Ints, cause: int, value_at: Floats) -> Floats:
    r"""Give the derivative of :math:`\sum_t g(t)\,\Delta F_k(t)` with respect to the weight of each row, (n,).

    With g = 1 up to a horizon τ and 0 after it the sum is the incidence F_k(τ); with g(t) = (τ − t)₊ it is the time lost to
    the cause, ∫₀^τ F_k. The hazard of cause k at s moves it by S(s−) g(s), that of any cause by −R(s)/(1 − h(s)), R(s) being
    the part of the sum after s; a row of the risk set moves the hazards by (dN − h)/n (Aalen, Borgan and Gjessing 2008, ch. 3).

    Parameters
    ----------
    table : RiskTable of n rows at T times, of which none is continued
    survival : (T,) Kaplan–Meier's
    event : (n,) 0 censored, 1…K
    cause : k
    value_at : (T,) g

    Returns
    -------
    (n,); O(n + T)
    """
    n, own, any_cause = table.n_risk, table.n_event[cause - 1], table.n_event.sum(axis=0)
    gain = before(survival, 1.0) * value_at
    steps = gain * own / n
    after = np.cumsum(steps[::-1])[::-1] - steps
    # after a risk set that is emptied nothing is left to lose
    stay = np.where(table.emptied, 1.0, 1 - any_cause / n)
    loss = np.where(table.emptied, 0.0, after / stay)
    exposed = np.concatenate(([0.0], np.cumsum((gain * own - loss * any_cause) / n**2)))
    at = table.exit_at
    exits = np.where(event > 0, np.where(event == cause, gain[at], 0.0) - loss[at], 0.0) / n[at]
    return np.asarray(exits - exposed[at + 1] + exposed[table.entry_at + 1])

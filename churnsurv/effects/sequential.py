"""Looking at a running comparison several times without more false alarms: group-sequential boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from math import e, log, sqrt
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from churnsurv.effects.sample_size import critical_value
from churnsurv.exceptions import DataError
from churnsurv.messages import one_number

Floats = NDArray[np.float64]

#: nodes of the Gauss–Legendre rule on the region of continuation; boundaries keep 8 digits down to looks 1 % apart
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)


@dataclass(frozen=True)
class SequentialPlan:
    r"""Boundaries of a comparison that is looked at several times.

    Parameters
    ----------
    table : DataFrame
        One row per look: look, information (share of the events), boundary (stop where \|z\|, or z when one-sided,
        reaches it), nominal_p (the p-value at the boundary), alpha_spent (so far), stop_null and stop_alternative (the
        probability of stopping at this look, without effect and with the one planned for).
    inflation : float
        Events needed in all, as a multiple of those of one look at the end (:func:`churnsurv.effects.required_events`).
    expected_information : float
        Mean share of the planned events that is used when the effect is as planned.
    spending, alpha, power, two_sided
        As given.

    Notes
    -----
    After a look at which more or fewer events had come in than planned, call :func:`group_sequential` again with the
    shares of the looks as they were: earlier boundaries do not depend on later looks.
    """

    table: pd.DataFrame
    inflation: float
    expected_information: float
    spending: str
    alpha: float
    power: float
    two_sided: bool

    def to_frame(self) -> pd.DataFrame:
        """Give the table of looks."""
        return self.table.copy()


def group_sequential(
    information: list[float] | tuple[float, ...] = (0.5, 1.0),
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    two_sided: bool = True,
    spending: Literal["obrien-fleming", "pocock"] = "obrien-fleming",
) -> SequentialPlan:
    """Give the boundaries at which a comparison may be stopped early for an effect.

    The level is spent as the events come in (Lan & DeMets 1983): ``"obrien-fleming"`` little at first,
    2 (1 − Φ(z / √t)) (each side with half of alpha when two-sided), ``"pocock"`` nearly evenly, α log(1 + (e − 1) t).
    The statistics are taken as normal with independent increments in the number of events, as log-rank and Cox statistics
    are (Tsiatis 1981); boundaries by recursive integration (Armitage, McPherson & Rowe 1969).

    Parameters
    ----------
    information : sequence of float
        Shares of the planned events at each look, increasing, the last at most 1.
    alpha, power : float
        Overall level, and the power with the planned effect.
    two_sided : bool
        Symmetric boundaries for both directions, or one for the upper.
    spending : {"obrien-fleming", "pocock"}
        See above.

    Raises
    ------
    DataError
        Shares that do not increase or lie outside (0, 1]; level or power outside (0, 1); another kind of spending.

    Examples
    --------
    >>> from churnsurv.effects import group_sequential
    >>> plan = group_sequential([0.2, 0.4, 0.6, 0.8, 1.0])
    >>> [round(z, 3) for z in plan.table["boundary"]]
    [4.877, 3.357, 2.68, 2.29, 2.031]
    >>> round(plan.inflation, 3)
    1.025
    """
    times = _looks(information)
    fixed = critical_value(alpha, two_sided)
    if not alpha < one_number(power, "power") < 1:
        raise DataError(f"power={power!r} must lie between alpha and 1.")
    spent = _spending(times, alpha, two_sided, spending)
    boundary = _boundaries(times, np.diff(spent, prepend=0.0), two_sided)
    # the drift at which the boundaries, met at any look, reach the power
    drift = _drift(times, boundary, power, two_sided)
    stop = _crossings(times, boundary, drift, two_sided)
    going_on = 1.0 - np.concatenate(([0.0], np.cumsum(stop)[:-1]))
    table = pd.DataFrame(
        {
            "look": np.arange(1, len(times) + 1),
            "information": times,
            "boundary": boundary,
            "nominal_p": (2.0 if two_sided else 1.0) * ndtr(-boundary),
            "alpha_spent": spent,
            "stop_null": _crossings(times, boundary, 0.0, two_sided),
            "stop_alternative": stop,
        }
    )
    return SequentialPlan(
        table=table,
        inflation=(drift / _drift(np.ones(1), np.array([fixed]), power, two_sided)) ** 2,
        expected_information=float(going_on @ np.diff(times, prepend=0.0)),
        spending=spending,
        alpha=alpha,
        power=power,
        two_sided=two_sided,
    )


def _looks(information: list[float] | tuple[float, ...]) -> Floats:
    try:
        times = np.atleast_1d(np.asarray(information, dtype=np.float64))
    except (TypeError, ValueError):
        times = np.empty(0)  # words, or looks of different lengths
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all():
        raise DataError(f"information={information!r}: give the share of the events at each look, such as [0.5, 1].")
    if times[0] <= 0 or times[-1] > 1 or (np.diff(times) < 1e-4).any():
        raise DataError(f"information={information!r} must increase within (0, 1]: each look sees more events.")
    return times


def _spending(times: Floats, alpha: float, two_sided: bool, kind: str) -> Floats:
    if kind == "obrien-fleming":
        sides = 2.0 if two_sided else 1.0
        # each side spends its own half of the level
        return np.asarray(sides * 2.0 * ndtr(ndtri(alpha / sides / 2.0) / np.sqrt(times)))
    if kind == "pocock":
        return np.asarray(alpha * np.log1p((e - 1.0) * times))
    raise DataError(f"spending={kind!r} is not known: use 'obrien-fleming' or 'pocock'.")


def _boundaries(times: Floats, spend: Floats, two_sided: bool) -> Floats:
    boundary = np.empty(len(times))
    density = _Density(two_sided)
    for k, (t, level) in enumerate(zip(times.tolist(), spend.tolist(), strict=True)):
        boundary[k] = density.boundary(t, level)
        density = density.onwards(t, float(boundary[k]), 0.0)
    return boundary


def _drift(times: Floats, boundary: Floats, power: float, two_sided: bool) -> float:
    return float(brentq(lambda d: _crossings(times, boundary, d, two_sided).sum() - power, 0.0, 40.0))


def _crossings(times: Floats, boundary: Floats, drift: float, two_sided: bool) -> Floats:
    density, chance = _Density(two_sided), np.empty(len(times))
    for k, (t, z) in enumerate(zip(times.tolist(), boundary.tolist(), strict=True)):
        chance[k] = density.crossing(t, z, drift)
        density = density.onwards(t, z, drift)
    return chance


class _Density:
    """Density of the score process B(t) = z √t on the paths that have not crossed yet, at the nodes of a rule."""

    def __init__(
        self, two_sided: bool, at: float = 0.0, nodes: Floats | None = None, mass: Floats | None = None
    ) -> None:
        self.two_sided, self.at = two_sided, at
        self.nodes = np.zeros(1) if nodes is None else nodes
        self.mass = np.ones(1) if mass is None else mass  # density times weight of the node

    def crossing(self, t: float, z: float, drift: float) -> float:
        step = t - self.at
        ahead = (self.nodes + drift * step - z * sqrt(t)) / sqrt(step)
        chance = ndtr(ahead)
        if self.two_sided:
            chance = chance + ndtr((-self.nodes - drift * step - z * sqrt(t)) / sqrt(step))
        return float(self.mass @ chance)

    def boundary(self, t: float, level: float) -> float:
        return float(brentq(lambda z: self.crossing(t, z, 0.0) - level, -8.0, 38.0, xtol=1e-12))

    def onwards(self, t: float, z: float, drift: float) -> _Density:
        step, high = t - self.at, z * sqrt(t)
        # the paths lie within 9 standard deviations of their mean
        low = -high if self.two_sided else min(high, drift * t) - 9.0 * sqrt(t)
        middle, half = (low + high) / 2.0, (high - low) / 2.0
        nodes = middle + half * _NODES
        gap = (nodes[:, None] - self.nodes[None, :] - drift * step) / sqrt(step)
        density = np.exp(-0.5 * gap**2 - 0.5 * log(2.0 * np.pi * step)) @ self.mass
        return _Density(self.two_sided, t, nodes, density * half * _WEIGHTS)

"""True effects of the interventions, by forcing every arm on everybody.

At its time zero the world is doubled for each arm. In one copy everyone eligible gets the intervention, in the other nobody
ever does; people draw the same random numbers in both, and what else the lender does goes on as it would have. The hazards of
every eligible loan are then integrated over the horizon, so that no chance of exits is left in the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from churnsurv.data.synthetic.hazards import CAUSES, COEFFICIENTS
from churnsurv.data.synthetic.interventions import HORIZON, Intervention
from churnsurv.data.synthetic.programmes import Programme
from churnsurv.data.synthetic.states import Floats, Ints
from churnsurv.data.synthetic.world import World, exit_probabilities

_DESIGNS = {
    "randomised": "randomised 1:1 by {unit} at one date, permanent hold-out",
    "encouraged": "invitation randomised 1:1 by {unit} at one date; of the invited those take part who are inclined to, the "
    "others cannot",
    "dated": "given by {unit} month after month, with a probability by observed covariates, for good",
    "staggered": "staggered by {unit} in random order, some never",
}


@dataclass(frozen=True)
class Path:
    """What becomes of loans when an arm is forced.

    ``stays`` of shape (n, horizon + 1) is the probability of still being there after each month, ``leaves`` of shape (causes,
    n, horizon) that of leaving in each month by each cause.
    """

    stays: Floats
    leaves: Floats

    def risk(self, weight: Floats) -> dict[str, float]:
        """Give the mean risk of leaving within the horizon, by cause."""
        return {
            cause: float(np.average(self.leaves[code].sum(axis=1), weights=weight)) for code, cause in enumerate(CAUSES)
        }

    def months(self, weight: Floats) -> float:
        """Give the mean number of months stayed within the horizon, exits counted at the end of their month."""
        return float(np.average(self.stays[:, :-1].sum(axis=1), weights=weight))


def forced_path(world: World, name: str, treated: bool, loans: Ints) -> tuple[Path, Programme]:
    """Follow loans in a twin of the world where the arm of an intervention is forced from now, its time zero, on."""
    twin = world.fork()
    programme = twin.programmes[name]
    programme.forced = treated
    twin.assign(programme.zero)
    stays = np.ones((len(loans), HORIZON + 1))
    leaves = np.zeros((len(CAUSES), len(loans), HORIZON))
    for step in range(HORIZON):
        month = programme.zero + step + 1
        probability = exit_probabilities(twin.hazards(loans, month))
        for code, of_cause in enumerate(probability.values()):
            leaves[code, :, step] = stays[:, step] * of_cause
        stays[:, step + 1] = stays[:, step] - leaves[:, :, step].sum(axis=0)
        twin.move(loans, month)
        twin.assign(month)
    return Path(stays, leaves), programme


def true_effect(world: World, spec: Intervention) -> dict[str, Any]:
    """Give the effects of an intervention at its time zero, before anyone has got it."""
    sight = world.sight(world.programmes[spec.name], world.programmes[spec.name].zero)
    loans = sight.loans
    control, _ = forced_path(world, spec.name, False, loans)
    treated, programme = forced_path(world, spec.name, True, loans)
    unit = world.unit(spec.unit, loans)
    weights: dict[str, NDArray[Any]] = {"eligible": np.ones(len(loans))}
    if spec.design == "encouraged":
        weights["compliers"] = programme.takes[unit].astype(float)
    if spec.design == "dated" and spec.inclined:
        weights["treated"] = programme.propensity[unit]
    record: dict[str, Any] = {"n_eligible": len(loans), "n_units": len(np.unique(unit)), "horizon": HORIZON}
    if spec.design == "encouraged":
        record["uptake"] = round(float(weights["compliers"].mean()), 6)
    effects = {
        group: {"who": _who(spec, group)} | _contrast(treated, control, weight) for group, weight in weights.items()
    }
    return record | {"effects": effects}


def described(spec: Intervention, time_zero: str) -> dict[str, Any]:
    """Give what an intervention is, in words and coefficients."""
    unit = spec.unit
    eligible = f"open at time zero, at least {HORIZON} months to the scheduled end"
    if spec.least_age:
        eligible += f", at least {spec.least_age} months old"
    return {
        "reference": spec.reference,
        "design": _DESIGNS[spec.design].format(unit=unit),
        "unit": unit,
        "time_zero": time_zero,
        "eligible": eligible,
        "arms": dict(zip(("treated", "control"), spec.arms or (spec.name, ""), strict=True)),
        "inclined_by": {name: {"centre": c, "log_odds_ratio": slope} for name, (c, slope) in spec.inclined.items()},
        "conditional_log_hazard_ratio": {cause: COEFFICIENTS[cause][spec.name] for cause in CAUSES},
        "moves": [
            {"column": t.column, "factor": t.factor, "shift": t.shift, "chance": t.chance, "within_months": t.months}
            for t in spec.through
        ],
    }


def _who(spec: Intervention, group: str) -> str:
    """Say whose effect is given, and what is compared."""
    if group == "compliers":
        return "the eligible loans whose customer takes part when invited; counted from the invitation"
    if group == "treated":
        return "the eligible loans, weighted by the probability of getting it at time zero"
    compared = {
        "randomised": "everyone treated against nobody",
        "encouraged": "everyone invited against nobody (intention to treat)",
        "dated": "everyone treated at time zero against nobody ever",
        "staggered": f"every {spec.unit} switching at time zero against none",
    }
    return f"all eligible loans: {compared[spec.design]}"


def _contrast(treated: Path, control: Path, weight: Floats) -> dict[str, Any]:
    risks = {"treated": treated.risk(weight), "control": control.risk(weight)}
    months = {"treated": treated.months(weight), "control": control.months(weight)}
    difference = {cause: risks["treated"][cause] - risks["control"][cause] for cause in CAUSES}
    return {
        "risk": {arm: _rounded(risk) for arm, risk in risks.items()},
        "risk_difference": _rounded(difference),
        "months_retained": _rounded(months),
        "rmst_difference": round(months["treated"] - months["control"], 6),
        "marginal_log_hazard_ratio": _rounded(
            {cause: marginal_log_ratio(treated, control, weight, code) for code, cause in enumerate(CAUSES)}
        ),
    }


def marginal_log_ratio(treated: Path, control: Path, weight: Floats, cause: int) -> float:
    """Give what a Cox model of the arm alone converges to: its score solved on expected exits.

    Arms of equal size, everybody followed to the horizon, exits dated to the end of their month, Efron's rule: within a month
    the risk set loses the exits of the cause one by one, and the other exits at its end.
    """
    share = weight / weight.sum()
    n = [share @ path.stays[:, :-1] for path in (treated, control)]
    d = [share @ path.leaves[cause] for path in (treated, control)]
    points, widths = np.polynomial.legendre.leggauss(8)
    left, widths = (points[:, None] + 1) / 2, widths[:, None] / 2

    def score(log_ratio: float) -> float:
        there = np.exp(log_ratio) * (n[0] - left * d[0])
        expected = (widths * there / (there + n[1] - left * d[1])).sum(axis=0)
        return float(np.sum(d[0] - (d[0] + d[1]) * expected))

    return float(brentq(score, -10, 10))


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}

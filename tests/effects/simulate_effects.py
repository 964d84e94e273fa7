"""Does each interval cover? Two arms with late entry and a competing default, of known truth.

``python -m tests.effects.simulate_effects`` writes the rows of each effect to a file of ``tests/effects/simulated``, for
docs/validation.md; names of effects after it write these only. Tests run the same functions anew and read no file. Bands are
three Monte-Carlo errors.

Attrition has hazards 1/20 (reference) and 1/30, default 1/60 and 1/50, per month; 30 % enter after time zero (up to 6 months,
when still there), and are lost 8 to 40 months after entry. 400 customers by arm would be there at time zero.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import churnsurv as cs
from churnsurv import effects
from churnsurv.exceptions import SmallSampleWarning

FOLDER = Path(__file__).parent / "simulated"
HORIZON = 12.0
#: stays shorter than this are not seen: rounding would make them empty
NOTICED = 1e-6
ATTRITION, DEFAULT = np.array([1 / 20, 1 / 30]), np.array([1 / 60, 1 / 50])
ARMS = np.array(["none", "offer"])
CAUSES = ("attrition", "default")
#: the log subdistribution hazard ratio of the Fine–Gray scenario, and the share that leaves by attrition in the end
BETA, SHARE = -0.5, 0.6

INTERACTION = "interaction by Cochran's Q, risk difference"
#: a simulated data set: outcome, arm, options of the effect
Drawn = tuple[cs.Outcome, np.ndarray, dict[str, Any]]


def observed(
    rng: np.random.Generator, leave: np.ndarray, cause: np.ndarray, *, since_entry: bool = True
) -> tuple[np.ndarray, ...]:
    """Give entry, stop, event and who is seen at all, of those who leave at `leave`.

    Customers are lost some time after entry, or else after time zero: Fine and Gray's weights need times of entry and of loss
    that are independent of each other.
    """
    n = len(leave)
    entry = np.where(rng.random(n) < 0.3, rng.uniform(0, 6, n), 0.0)
    lost = rng.uniform(8, 40, n) + (entry if since_entry else 0.0)
    stop = np.minimum(leave, lost)
    return entry, stop, np.where(leave <= lost, cause, 0), leave > entry + NOTICED


def outcome(parts: tuple[np.ndarray, ...]) -> cs.Outcome:
    """Give the outcome of those seen."""
    entry, stop, event, seen = parts
    return cs.Outcome(stop[seen], event[seen], entry[seen], causes=CAUSES)


def causes_of(rng: np.random.Generator, arm: np.ndarray, factor: Any = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Give time and cause of leaving, the attrition hazard being multiplied by `factor`."""
    first = rng.exponential(1 / (factor * ATTRITION[arm]))
    second = rng.exponential(1 / DEFAULT[arm])
    return np.minimum(first, second), np.where(first < second, 1, 2)


def plain(rng: np.random.Generator) -> Drawn:
    """Independent customers."""
    arm = np.repeat([0, 1], 400)
    parts = observed(rng, *causes_of(rng, arm))
    return outcome(parts), ARMS[arm[parts[3]]], {}


def fine_gray(rng: np.random.Generator) -> Drawn:
    """Proportional subdistribution hazards of attrition."""
    arm = np.repeat([0, 1], 400)
    ratio = np.exp(BETA * arm)
    by_attrition = 1 - (1 - SHARE) ** ratio
    u = rng.random(800)
    first = u < by_attrition
    # F(t) = 1 − (1 − p (1 − e^{−t/15}))^ratio, inverted at u
    inner = np.clip((1 - (1 - u) ** (1 / ratio)) / SHARE, 0, 1 - 1e-12)
    leave = np.where(first, -15 * np.log1p(-inner), rng.exponential(25, 800))
    parts = observed(rng, leave, np.where(first, 1, 2), since_entry=False)
    return outcome(parts), ARMS[arm[parts[3]]], {}


def stratified(rng: np.random.Generator) -> Drawn:
    """Two strata, of which one is treated more often and leaves sooner."""
    n = 800
    fast = rng.random(n) < 0.4
    arm = (rng.random(n) < np.where(fast, 0.65, 0.4)).astype(int)
    parts = observed(rng, *causes_of(rng, arm, np.where(fast, 1.6, 0.8)))
    seen = parts[3]
    return outcome(parts), ARMS[arm[seen]], {"strata": np.where(fast, "fast", "slow")[seen]}


def sampled(rng: np.random.Generator) -> Drawn:
    """Customers of the fast kind (40 %) are drawn three times as often, and weighted back."""
    n = 900
    fast = rng.random(n) < 0.4 * 3 / (0.4 * 3 + 0.6)
    arm = rng.integers(0, 2, n)
    parts = observed(rng, *causes_of(rng, arm, np.where(fast, 1.6, 0.8)))
    seen = parts[3]
    return outcome(parts), ARMS[arm[seen]], {"sample_weight": np.where(fast, 1 / 3, 1.0)[seen]}


def clustered(rng: np.random.Generator) -> Drawn:
    """Eighty branches by arm, of 6 customers with a common frailty (gamma, mean 1, variance 0.5)."""
    branch = np.repeat(np.arange(160), 6)
    arm = branch % 2
    frailty = rng.gamma(2, 0.5, 160)[branch]
    parts = observed(rng, *causes_of(rng, arm, frailty))
    return outcome(parts), ARMS[arm[parts[3]]], {"cluster": branch[parts[3]]}


def balances(rng: np.random.Generator) -> Drawn:
    """Balances of 1 and 3 (thousand); the large ones leave more often."""
    arm = np.repeat([0, 1], 400)
    large = rng.random(800) < 0.5
    parts = observed(rng, *causes_of(rng, arm, np.where(large, 1.6, 0.8)))
    return outcome(parts), ARMS[arm[parts[3]]], {"balance": np.where(large, 3.0, 1.0)[parts[3]]}


def lost_leavers(rng: np.random.Generator) -> Drawn:
    """Customers drop out at 1/30 a month; attrition is then 1.5 (reference) and 3 times as likely, where nobody looks."""
    n, arm = 1000, np.repeat([0, 1], 500)
    leave, cause = causes_of(rng, arm)
    drop = rng.exponential(30, n)
    entry = np.where(rng.random(n) < 0.3, rng.uniform(0, 6, n), 0.0)
    stop = np.minimum(np.minimum(leave, drop), entry + rng.uniform(8, 40, n))
    event = np.where(stop == leave, cause, 0)
    seen = np.minimum(leave, drop) > entry + NOTICED
    y = cs.Outcome(stop[seen], event[seen], entry[seen], causes=CAUSES)
    return y, ARMS[arm[seen]], {"informative": (stop == drop)[seen], "delta": {"none": 1.5, "offer": 3.0}}


# ---- truths ----


def risk(arm: int, cause: int | None, factor: float = 1.0, at: Any = HORIZON) -> Any:
    """Cumulative incidence at a time."""
    own, other = factor * ATTRITION[arm], DEFAULT[arm]
    part = {None: own + other, 0: own, 1: other}[cause] / (own + other)
    return part * -np.expm1(-(own + other) * at)


def lost_time(arm: int, cause: int | None) -> float:
    """Restricted mean time lost."""
    total = ATTRITION[arm] + DEFAULT[arm]
    part = {None: total, 0: ATTRITION[arm], 1: DEFAULT[arm]}[cause] / total
    return float(part * (HORIZON + np.expm1(-total * HORIZON) / total))


def mixed(arm: int, cause: int | None, shares: dict[float, float]) -> float:
    """Risk among kinds of customers: factor → share."""
    return float(sum(share * risk(arm, cause, factor) for factor, share in shares.items()))


def frail(arm: int) -> float:
    """Risk of attrition with gamma frailties of mean 1 and variance 0.5, by quadrature."""
    from scipy.stats import gamma

    return float(gamma.expect(lambda z: risk(arm, 0, max(z, 1e-9)), (2,), scale=0.5))


def after_loss(arm: int, factor: float) -> float:
    """Risk of attrition where it is `factor` times as likely after a drop-out, by small steps."""
    own, other, drop = ATTRITION[arm], DEFAULT[arm], 1 / 30
    at = np.linspace(0, HORIZON, 20_001)
    watched = np.exp(-(own + other + drop) * at)
    gone = factor * own + other
    # density of dropping out at s, times the risk within what remains
    later = drop * watched * factor * own / gone * -np.expm1(-gone * (HORIZON - at))
    return float(np.trapezoid(own * watched + later, at))


DIFFERENT = {1.6: 0.4, 0.8: 0.6}
_MEANS = [HORIZON - lost_time(a, None) for a in (0, 1)]


def _gap(of: Callable[..., float], *arguments: Any) -> float:
    return of(1, *arguments) - of(0, *arguments)


#: name → effect, its options, scenario, truth, repetitions
SCENARIOS: dict[str, tuple[Callable[..., cs.Estimate], dict[str, Any], Callable[..., Drawn], float, int]] = {
    "risk difference, any cause": (
        effects.risk_difference, {"horizon": HORIZON}, plain, _gap(risk, None), 2000),
    "risk difference, attrition": (
        effects.risk_difference, {"horizon": HORIZON, "cause": "attrition"}, plain, _gap(risk, 0), 2000),
    "risk ratio, attrition": (
        effects.risk_ratio, {"horizon": HORIZON, "cause": "attrition"}, plain, risk(1, 0) / risk(0, 0), 2000),
    "risk ratio, default": (
        effects.risk_ratio, {"horizon": HORIZON, "cause": "default"}, plain, risk(1, 1) / risk(0, 1), 2000),
    "number needed to treat, attrition": (
        effects.number_needed_to_treat, {"horizon": HORIZON, "cause": "attrition"}, plain, -1 / _gap(risk, 0), 2000),
    "RMST difference": (effects.rmst_difference, {"horizon": HORIZON}, plain, _MEANS[1] - _MEANS[0], 2000),
    "RMST ratio": (effects.rmst_ratio, {"horizon": HORIZON}, plain, _MEANS[1] / _MEANS[0], 2000),
    "RMTL difference, attrition": (
        effects.rmtl_difference, {"horizon": HORIZON, "cause": "attrition"}, plain, _gap(lost_time, 0), 2000),
    "RMTL ratio, default": (
        effects.rmtl_ratio, {"horizon": HORIZON, "cause": "default"}, plain, lost_time(1, 1) / lost_time(0, 1), 2000),
    "retained months, attrition, of 1000": (
        effects.retained_months, {"horizon": HORIZON, "cause": "attrition", "customers": 1000}, plain,
        -1000 * _gap(lost_time, 0), 2000),
    "median difference": (
        effects.median_difference, {}, plain,
        float(np.log(2) / (ATTRITION[1] + DEFAULT[1]) - np.log(2) / (ATTRITION[0] + DEFAULT[0])), 2000),
    "hazard ratio, attrition": (
        effects.hazard_ratio, {"cause": "attrition"}, plain, float(ATTRITION[1] / ATTRITION[0]), 1000),
    "subdistribution hazard ratio": (
        effects.subdistribution_hazard_ratio, {"cause": "attrition"}, fine_gray, float(np.exp(BETA)), 4000),
    "risk difference, strata": (
        effects.risk_difference, {"horizon": HORIZON, "cause": "attrition"}, stratified, _gap(mixed, 0, DIFFERENT), 2000),
    "risk difference, sampling weights": (
        effects.risk_difference, {"horizon": HORIZON, "cause": "attrition"}, sampled, _gap(mixed, 0, DIFFERENT), 2000),
    "risk difference, clusters": (
        effects.risk_difference, {"horizon": HORIZON, "cause": "attrition"}, clustered, _gap(frail), 2000),
    "retained balance, attrition": (
        effects.retained_balance, {"horizon": HORIZON, "cause": "attrition"}, balances,
        -float(sum(0.5 * b * _gap(risk, 0, f) for b, f in ((1.0, 0.8), (3.0, 1.6)))), 2000),
    "delta-adjusted risk difference": (
        effects.delta_adjusted, {"horizon": HORIZON, "cause": "attrition"}, lost_leavers,
        after_loss(1, 3.0) - after_loss(0, 1.5), 1000),
}  # fmt: skip


def simulated(name: str, repetitions: int | None = None) -> list[dict[str, Any]]:
    """Give the rows of one effect: coverage of its 95 % interval and its mean."""
    effect, options, draw, truth, times = SCENARIOS[name]
    times = repetitions or times
    rng = np.random.default_rng(sorted(SCENARIOS).index(name))
    covered, values = np.empty(times), np.empty(times)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        for i in range(times):
            y, arm, more = draw(rng)
            found = effect(y, arm, **options, **more)
            values[i], covered[i] = found.value, found.lower <= truth <= found.upper
    rows = [
        _row(name, "coverage of the 95% interval", 0.95, float(covered.mean()), (0.95 * 0.05 / times) ** 0.5, times)
    ]
    if name.startswith("number"):  # the mean of an inverse that may be infinite says nothing
        return rows
    if "ratio" in name:  # of ratios the logarithms are centred
        mean = float(np.exp(np.log(values).mean()))
        error = float(mean * np.log(values).std() / times**0.5)
        return [*rows, _row(name, "geometric mean of the estimates", truth, mean, error, times)]
    error = float(values.std() / times**0.5)
    return [*rows, _row(name, "mean of the estimates", truth, float(values.mean()), error, times)]


def interaction_level(repetitions: int = 1000) -> dict[str, Any]:
    """Give how often the interaction test rejects at 5 % where the effect is the same in three regions."""
    rng = np.random.default_rng(99)
    rejected = np.empty(repetitions)
    for i in range(repetitions):
        y, arm, _ = plain(rng)
        region = rng.choice(["north", "south", "west"], len(y))
        found = effects.effect_by_subgroup(y, arm, region, effect="risk_difference", horizon=HORIZON, cause="attrition")
        rejected[i] = found.interaction["p_value"].iloc[0] < 0.05
    return _row(
        INTERACTION, "type I error at 5%", 0.05, float(rejected.mean()),
        (0.05 * 0.95 / repetitions) ** 0.5, repetitions,
    )  # fmt: skip


def _row(name: str, quantity: str, truth: float, estimate: float, error: float, repetitions: int) -> dict[str, Any]:
    return {
        "name": name,
        "quantity": quantity,
        "truth": truth,
        "estimate": estimate,
        "monte_carlo_error": error,
        "repetitions": repetitions,
    }


def main(names: list[str]) -> None:
    """Simulate all (or the named) effects and write their rows."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or [*SCENARIOS, INTERACTION]:
        rows = [interaction_level()] if name == INTERACTION else simulated(name)
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower())
        (FOLDER / f"{slug}.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

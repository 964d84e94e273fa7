"""The record of scenarios: expected exits per period with two kinds of intervals, and differences to the base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtri
from scipy.stats import binom, nbinom

from churnsurv.evaluation.scenario_engine import Run
from churnsurv.evaluation.scenario_totals import MATURED, OPEN, QUANTITIES
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of

Floats = NDArray[np.float64]
Interval = Literal["mean", "prediction"]


@dataclass(frozen=True, repr=False, eq=False)
class ScenarioResult:
    """What a portfolio does under each scenario.

    Attributes
    ----------
    causes : tuple of str
        Causes of leaving, in the model's order.
    runs : mapping of scenario to Run
        The sums and their influences; the first scenario is the base. Read them by :meth:`to_frame`.
    date : Timestamp
        The landmark.
    unit : {"month", "quarter"}
    n_loans, n_customers : int
        Open at the landmark, not past their term.
    followed, frozen : tuple of str
        Covariates of the model that follow the paths, and those that stay as they were at the landmark.
    extrapolation : DataFrame
        Share of loan-periods outside the range of development, by scenario and variable; empty if no range was given.
    notes : tuple of str
        What was assumed of maturity, balance and series without a path.
    level : float
    """

    causes: tuple[str, ...]
    runs: Mapping[str, Run]
    date: pd.Timestamp
    unit: str
    n_loans: int
    n_customers: int
    followed: tuple[str, ...]
    frozen: tuple[str, ...]
    extrapolation: pd.DataFrame
    notes: tuple[str, ...]
    level: float

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Names of the scenarios, the base first."""
        return tuple(self.runs)

    def to_frame(self, *, interval: Interval = "mean", cumulative: bool = False) -> pd.DataFrame:
        """Give the expected numbers per period.

        Parameters
        ----------
        interval : {"mean", "prediction"}
            "mean": of the expected number, the uncertainty of the model's parameters alone, on the log scale. "prediction":
            of the number that will be counted, with the chance of single exits besides: quantiles of a negative binomial (or
            binomial) distribution for counts, of a gamma distribution for balances, of the same mean and variance. Of a
            model without intervals of the mean it holds the chance of exits alone.
        cumulative : bool
            Sums up to the end of each period. What is open is a stock at its end either way.

        Returns
        -------
        DataFrame
            scenario, month (or quarter; 1 is the first after the landmark), cause (the model's causes, "open", "matured"),
            quantity (loans, customers, balance), value, se (of the mean), lower, upper.
        """
        if interval not in get_args(Interval):
            raise DataError(f"interval={interval!r} is not known: give 'mean' or 'prediction'.")
        frames = []
        for name, run in self.runs.items():
            value, se = _cumulated(run.totals.value, cumulative), self._se(run.influence, run.totals.value, cumulative)
            if interval == "mean":
                lower, upper = _log_bounds(value, se, self.level)
            else:
                noise = run.totals.noise_so_far if cumulative else run.totals.noise
                lower, upper = _prediction_bounds(value, np.nan_to_num(se) ** 2 + noise, self.level)
            frames.append(self._tidy(name, {"value": value, "se": se, "lower": lower, "upper": upper}))
        return pd.concat(frames, ignore_index=True)

    def difference(self, base: str | None = None, *, cumulative: bool = False) -> pd.DataFrame:
        """Give each scenario minus the base (default: the first), with intervals of the difference of the means.

        The two rest on the same parameters, whose errors largely cancel. The interval takes their covariance and is much
        narrower than two intervals side by side: quantiles of the difference of two log-normal variables with the joint
        covariance of the means' logarithms, as the interval of each mean is symmetric on the log scale. It has no part for
        the chance of single exits, since only one of the two worlds will be seen.
        """
        name = self.scenarios[0] if base is None else base
        if name not in self.runs:
            raise DataError(f"There is no scenario {name!r}; the result has {first_of(self.scenarios, 20)}.")
        if len(self.runs) < 2:
            raise DataError("There is one scenario only: nothing to compare with.")
        against, frames = self.runs[name], []
        for other, run in self.runs.items():
            if other == name:
                continue
            first, second = (_cumulated(each.totals.value, cumulative) for each in (run, against))
            if run.influence is None or against.influence is None:
                se = lower = upper = np.full(first.shape, np.nan)
            else:
                se = self._se(run.influence - against.influence, first, cumulative)
                of_first, of_second = _cumulated(run.influence, cumulative), _cumulated(against.influence, cumulative)
                lower, upper = _difference_bounds(first, second, of_first, of_second, self.level)
            frames.append(self._tidy(other, {"value": first - second, "se": se, "lower": lower, "upper": upper}))
        return pd.concat(frames, ignore_index=True)

    def _se(self, influence: Floats | None, value: Floats, cumulative: bool) -> Floats:
        if influence is None:
            return np.full(value.shape, np.nan)
        found = np.sqrt(np.square(_cumulated(influence, cumulative)).sum(axis=-1))
        return np.where(np.isnan(value), np.nan, found)

    def _tidy(self, scenario: str, columns: dict[str, Floats]) -> pd.DataFrame:
        horizon = len(columns["value"])
        index = pd.MultiIndex.from_product(
            [[scenario], range(1, horizon + 1), [*self.causes, OPEN, MATURED], QUANTITIES],
            names=["scenario", self.unit, "cause", "quantity"],
        )
        frame = pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)
        return frame[frame["value"].notna()].reset_index()

    def __repr__(self) -> str:
        total = self.to_frame(cumulative=True)
        last = total[(total[self.unit] == total[self.unit].max()) & (total["quantity"] == "loans")]
        lines = [
            f"Scenarios of {counted(self.n_loans, 'loan')} of {counted(self.n_customers, 'customer')} open on "
            f"{self.date.date()}, {counted(int(total[self.unit].max()), self.unit)} ahead",
            "  expected loans (intervals of the mean):",
        ]
        for name in self.scenarios:
            rows = last[(last["scenario"] == name) & last["cause"].isin(self.causes)]
            cells = [
                f"{r['cause']} {r['value']:,.1f}"
                + ("" if np.isnan(r["lower"]) else f" ({r['lower']:,.1f} to {r['upper']:,.1f})")
                for r in rows.to_dict("records")
            ]
            lines.append(f"    {name}: {'; '.join(cells)}")
        lines.append(f"  follow the path: {first_of(self.followed, 30) or 'none'}")
        lines.append(f"  frozen at the landmark: {first_of(self.frozen, 30) or 'none'}")
        outside = self.extrapolation[self.extrapolation["share_outside"] > 0]
        if self.extrapolation.empty:
            lines.append("  range of development: not given, so extrapolation was not checked")
        for row in outside.to_dict("records"):
            lines.append(
                f"  extrapolation in {row['scenario']!r}: {row['variable']} outside {row['lowest']:g} to {row['highest']:g} in "
                f"{row['share_outside']:.1%} of the loan-{self.unit}s"
            )
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def _cumulated(values: Any, cumulative: bool) -> Floats:
    """Sum up to each period, but for what is open."""
    if not cumulative:
        return np.asarray(values)
    summed = np.cumsum(values, axis=0)
    summed[:, -2] = values[:, -2]
    return np.asarray(summed)


def _log_bounds(value: Floats, se: Floats, level: float) -> tuple[Floats, Floats]:
    """Give bounds symmetric on the log scale; a sum that is 0 and cannot be otherwise has bounds 0."""
    z = float(ndtri((1 + level) / 2))
    with np.errstate(over="ignore"):
        spread = np.exp(z * np.divide(se, value, out=np.zeros(value.shape), where=value > 0))
    spread = np.where(np.isnan(se), np.nan, spread)
    return np.where(value > 0, value / spread, value), np.where(value > 0, value * spread, value)


def _difference_bounds(
    first: Floats, second: Floats, of_first: Floats, of_second: Floats, level: float
) -> tuple[Floats, Floats]:
    """Give quantiles of first − second, whose logarithms are jointly normal with the given influences on the two."""
    low, high = np.full(first.shape, np.nan), np.full(first.shape, np.nan)
    # an even deterministic spread of the plane (Kronecker's sequence of the golden ratio) in place of random draws
    i = np.arange(4096)
    z1, z2 = ndtri((i + 0.5) / len(i)), ndtri((0.5 + i * (np.sqrt(5) - 1) / 2) % 1.0)
    for index in np.ndindex(first.shape):
        a, b = float(first[index]), float(second[index])
        if np.isnan(a) or a <= 0 or b <= 0:
            low[index] = high[index] = a - b
            continue
        base, moved = of_second[index] / b, of_first[index] / a - of_second[index] / b
        s, t = float(np.sqrt(base @ base)), float(np.sqrt(moved @ moved))
        r = float(np.clip(base @ moved / (s * t), -1, 1)) if s * t > 0 else 0.0
        level_of_base = b * np.exp(s * z1)
        change = np.expm1(np.log(a / b) + t * (r * z1 + np.sqrt(1 - r**2) * z2))
        low[index], high[index] = np.quantile(level_of_base * change, [(1 - level) / 2, (1 + level) / 2])
    return low, high


def _prediction_bounds(value: Floats, variance: Floats, level: float) -> tuple[Floats, Floats]:
    """Give quantiles of distributions of the same mean and variance: counts (the first two quantities), then balances."""
    lower, upper = np.full(value.shape, np.nan), np.full(value.shape, np.nan)
    low, high = (1 - level) / 2, (1 + level) / 2
    for index in np.ndindex(value.shape):
        mean, spread = float(value[index]), float(variance[index])
        if np.isnan(mean):
            continue
        if mean <= 0 or spread <= 0:
            lower[index] = upper[index] = mean
        elif index[-1] == len(QUANTITIES) - 1:
            shape = mean**2 / spread
            lower[index], upper[index] = (float(gammaincinv(shape, q)) * spread / mean for q in (low, high))
        else:
            lower[index], upper[index] = (_count_quantile(mean, spread, q) for q in (low, high))
    return lower, upper


def _count_quantile(mean: float, variance: float, share: float) -> float:
    if variance > mean:
        return float(nbinom.ppf(share, mean**2 / (variance - mean), mean / variance))
    trials = max(int(np.ceil(mean**2 / max(mean - variance, 1e-12 * mean))), int(np.ceil(mean)))
    return float(binom.ppf(share, trials, mean / trials))

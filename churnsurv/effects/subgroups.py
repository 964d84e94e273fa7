"""Effects in subgroups of the customers, with tests of whether they differ."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from churnsurv.effects.arms import read_two_arms, units_that_vary
from churnsurv.effects.multiplicity import adjusted_p_values
from churnsurv.effects.named import checked_options, effect_named, is_ratio, normal_scale, options_of
from churnsurv.exceptions import ChurnSurvError, ChurnSurvWarning, DataError
from churnsurv.messages import counted, first_of, one_number
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, row_labels

#: columns of the table of subgroups
_COLUMNS = ("variable", "subgroup", "n", "n_events", "value", "se", "lower", "upper", "note")


@dataclass(frozen=True, repr=False, eq=False)
class SubgroupEffects:
    """An effect in subgroups, and the tests of interaction.

    Attributes
    ----------
    effect : str
        Name of the effect.
    overall : Estimate
        The effect among all customers.
    table : DataFrame
        variable, subgroup, n, n_events, value, se, lower, upper, note; NaN and a note where a subgroup is too small.
    interaction : DataFrame
        variable, statistic, df, p_value, p_holm, note: Cochran's test that the effect is the same in all subgroups
        of the variable.
    level : float
        Level of the intervals, of each subgroup by itself.
    method : str
        Estimator, test and what was done about multiplicity.
    """

    effect: str
    overall: Estimate
    table: pd.DataFrame
    interaction: pd.DataFrame
    level: float
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Give the table of subgroups with the tests of their variable beside."""
        tests = self.interaction[["variable", "p_value", "p_holm"]].rename(
            columns={"p_value": "interaction_p_value", "p_holm": "interaction_p_holm"}
        )
        return self.table.merge(tests, on="variable", how="left")

    def __repr__(self) -> str:
        parts = (self.overall.name, self.table.to_string(index=False), self.interaction.to_string(index=False))
        return "\n\n".join((*parts, self.method))

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False)) + str(self.interaction.to_html(index=False))


def effect_by_subgroup(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    subgroups: pd.DataFrame | ArrayLike,
    *,
    effect: str = "risk_difference",
    min_events: int = 5,
    reference: Any = None,
    level: float = 0.95,
    **options: Any,
) -> SubgroupEffects:
    """Estimate an effect in each subgroup, and test whether it differs between the subgroups of a variable.

    A subgroup whose own interval excludes no effect is no finding: what counts is whether the effects differ. For each variable
    Cochran's Q = Σ w (θ − θ̄)², w = 1/se², θ̄ the w-weighted mean, is compared with χ² on one less than the number of subgroups
    estimated (ratios on the log scale); subgroups of a variable are disjoint, so their estimates are independent. The p-values
    are adjusted over variables by Holm (1979); intervals are of each subgroup by itself and not adjusted.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, of n rows
    arm : (n,)
        Two arms.
    subgroups : frame of n rows or (n,)
        One column per variable, known at time zero. Numbers are taken as labels: cut them first (``pd.cut``).
    effect : str
        "risk_difference", "risk_ratio", "rmst_difference", "rmst_ratio", "rmtl_difference", "rmtl_ratio", "hazard_ratio",
        "subdistribution_hazard_ratio", "retained_months" or "retained_balance".
    min_events : int
        A subgroup in which an arm has fewer events (of the cause) is listed with its counts and not estimated.
    reference, level
        As of :func:`risk_difference`.
    **options
        Options of the effect: horizon, cause, cluster, sample_weight, strata, … (those of rows with n values).

    Returns
    -------
    SubgroupEffects

    Raises
    ------
    DataError
        Subgroups missing or of another length, more than 20 in a variable, or fixed to no value known at time zero (a
        subject in several); an unknown effect; what the effect itself refuses among all customers.

    References
    ----------
    Cochran (1954), Biometrics 10; Wang et al. (2007), N. Engl. J. Med. 357, on reporting subgroups.

    Examples
    --------
    >>> import numpy as np, pandas as pd, churnsurv as cs
    >>> rng = np.random.default_rng(1)
    >>> arm, region = rng.integers(0, 2, 800), rng.choice(["north", "south"], 800)
    >>> leave = rng.exponential(np.where(arm == 1, 40, 20))
    >>> y = cs.Outcome(np.minimum(leave, 24), leave <= 24)
    >>> found = cs.effects.effect_by_subgroup(y, arm, pd.DataFrame({"region": region}), effect="hazard_ratio")
    >>> found.table["subgroup"].tolist(), found.interaction["df"].tolist()
    (['north', 'south'], [1])
    """
    y = as_outcome(y)
    estimator = effect_named(effect)
    least = one_number(min_events, "min_events")
    codes, labels = read_two_arms(y, arm, reference)
    options = {**options, "reference": labels[0], "level": level}
    arms = labels[codes].to_numpy()
    checked_options(estimator, options, effect)
    overall = estimator(y, arms, **options)
    cause = options.get("cause")
    event = y.event > 0 if cause is None else y.event == y.cause_code(cause)
    frame = _variables(subgroups, len(y))
    parts, tests = [], []
    for variable in frame:
        group, names = row_labels(frame[variable], len(y), str(variable))
        _refuse_odd_variable(y, variable, group, names)
        rows = []
        for code, name in enumerate(names):
            mine = np.flatnonzero(group == code)
            events = np.bincount(codes[mine][event[mine]], minlength=2)
            row = _estimated(y[mine], arms[mine], estimator, options_of(options, mine, len(y)), events, labels, least)
            rows.append({"variable": variable, "subgroup": name, **row})
        part = pd.DataFrame(rows, columns=_COLUMNS)
        parts.append(part)
        tests.append({"variable": variable, **_interaction(effect, part, _shared(options.get("cluster"), group))})
    interaction = pd.DataFrame(tests)
    interaction.insert(4, "p_holm", adjusted_p_values(interaction["p_value"].to_numpy(dtype=float), "holm"))
    method = (
        f"{overall.method}; interaction by Cochran's Q{' of log ratios' if is_ratio(effect) else ''}; interaction p-values "
        f"adjusted by Holm over {len(tests)} variable(s), intervals not adjusted; at least {least:g} events per arm"
    )
    return SubgroupEffects(effect, overall, pd.concat(parts, ignore_index=True), interaction, overall.level, method)


def _variables(subgroups: pd.DataFrame | ArrayLike, n: int) -> pd.DataFrame:
    if isinstance(subgroups, pd.DataFrame):
        frame = subgroups.reset_index(drop=True)
    else:
        row_labels(subgroups, n, "subgroups")  # its length and missing values
        frame = pd.Series(subgroups).reset_index(drop=True).to_frame(getattr(subgroups, "name", None) or "subgroup")
    if frame.shape[1] == 0 or frame.columns.duplicated().any():
        raise DataError("subgroups has no column, or two of one name: give one column per variable.")
    return frame


def _refuse_odd_variable(y: Outcome, variable: Hashable, group: NDArray[np.int64], names: pd.Index) -> None:
    if len(names) > 20:
        raise DataError(
            f"{variable!r} has {len(names)} values ({first_of(names)}): cut it into subgroups first (pd.cut)."
        )
    moving = units_that_vary(group, pd.factorize(y.subject)[0])
    if len(moving):
        raise DataError(
            f"{variable!r} changes within {counted(len(moving), 'subject')}: a subgroup formed by what happened after "
            "time zero may be formed by the arm. Give each subject its value at time zero."
        )


def _estimated(
    y: Outcome,
    arm: NDArray[Any],
    estimator: Any,
    options: dict[str, Any],
    events: NDArray[np.int64],
    labels: pd.Index,
    least: float,
) -> dict[str, Any]:
    """Give one row of the table; what is refused for want of data gets a note."""
    row = {"n": y.n_subjects, "n_events": int(events.sum()), **dict.fromkeys(("value", "se", "lower", "upper"), np.nan)}
    if events.min() < least:
        counts = ", ".join(f"{label}: {count}" for label, count in zip(labels, events, strict=True))
        return {**row, "note": f"not estimated: too few events ({counts})"}
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = estimator(y, arm, **options)
    except ChurnSurvError as error:
        return {**row, "note": f"not estimated: {error}"}
    note = "; ".join(str(w.message) for w in caught if issubclass(w.category, ChurnSurvWarning))
    return {
        "n": found.n,
        "n_events": found.n_events,
        "value": found.value,
        "se": found.se,
        "lower": found.lower,
        "upper": found.upper,
        "note": note,
    }


def _shared(cluster: Any, group: NDArray[np.int64]) -> bool:
    """Whether a cluster has rows in several subgroups: their estimates are then not independent."""
    if cluster is None:
        return False
    units = row_labels(cluster, len(group), "cluster")[0]
    return len(units_that_vary(group, units)) > 0


def _interaction(effect: str, part: pd.DataFrame, shared: bool) -> dict[str, Any]:
    known = part[np.isfinite(part["se"].to_numpy(dtype=float)) & (part["se"] > 0)]
    df = len(known) - 1
    if shared or df < 1:
        why = "clusters lie in several subgroups" if shared else "fewer than two subgroups could be estimated"
        return {"statistic": np.nan, "df": max(df, 0), "p_value": np.nan, "note": f"not tested: {why}"}
    scaled = [normal_scale(effect, row) for row in known.itertuples()]
    theta, se = (np.array(values) for values in zip(*scaled, strict=True))
    weight = 1 / se**2
    statistic = float(np.sum(weight * (theta - np.average(theta, weights=weight)) ** 2))
    left_out = len(part) - len(known)
    note = f"without {left_out} subgroup(s) that could not be estimated" if left_out else ""
    return {"statistic": statistic, "df": df, "p_value": float(chdtrc(df, statistic)), "note": note}

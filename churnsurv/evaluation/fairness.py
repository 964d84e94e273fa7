"""How a model, and the offers made by it, serve groups of customers: figures with intervals, no verdict."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves
from churnsurv.evaluation.fairness_inputs import ALL, REST, ratio_limit, read_groups, read_rows, smallest_count
from churnsurv.evaluation.group_measures import MEASURES, Measured, Rows, difference, measures_of, rate_ratio
from churnsurv.evaluation.presented import Presented, Shown
from churnsurv.exceptions import DataError
from churnsurv.kernels.multiplicity import Adjustment, adjusted_p_values, check_adjustment
from churnsurv.messages import confidence_level, counted, first_of, one_number
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome
from churnsurv.small_counts import hidden_rows


@dataclass(frozen=True, repr=False, eq=False)
class Fairness(Presented):
    """Figures of each group, and how they differ.

    Attributes
    ----------
    table : DataFrame
        group ("all" first), measure, value, se, lower, upper. Suppressed groups have no rows here.
    groups : DataFrame
        group, n, n_events, n_offered (missing where suppressed), suppressed ("", "small": the group itself, "complementary":
        so that a small one cannot be computed from the total).
    differences : DataFrame
        group, against, measure, value, se, lower, upper, p_value, p_adjusted: group minus what it is compared with.
    ratios : DataFrame
        group, against, value, lower, upper of the offer rates; empty without offers.
    flags : DataFrame
        group, measure, value, lower, upper, threshold, says: observed / predicted whose interval excludes 1, offer ratios
        beyond `ratio_threshold`, adjusted differences other than of the risk itself.
    horizon, level, smallest_cell : numbers
    cause, adjust : str
    notes : tuple of str
        What the figures rest on, and what cannot be concluded from them.
    """

    table: pd.DataFrame
    groups: pd.DataFrame
    differences: pd.DataFrame
    ratios: pd.DataFrame
    flags: pd.DataFrame
    horizon: float
    cause: str
    level: float
    adjust: str
    smallest_cell: int
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Give the figures by group with the group's numbers, one row per group and measure."""
        return self.groups.merge(self.table, on="group", how="left")

    def _shown(self) -> Shown:
        values = self.table.pivot(index="group", columns="measure", values="value")  # noqa: PD010
        values = values.reindex(columns=self._measures()).round(3)
        table = self.groups[["group", "n", "n_events"]].join(values, on="group")
        head = f"Fairness by group: {self.cause} within {self.horizon:g}"
        missing = "not shown" if self.groups["n"].isna().any() else ""
        return Shown(head, table, (counted(len(self.flags), "flag"), *(f"- {note}" for note in self.notes)), missing)

    def _measures(self) -> list[str]:
        return list(dict.fromkeys(self.table["measure"]))


def fairness(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    groups: ArrayLike,
    horizon: float,
    *,
    cause: str | None = None,
    offered: ArrayLike | None = None,
    threshold: float | None = None,
    reference: Hashable | None = None,
    cluster: ArrayLike | None = None,
    smallest_cell: int = 5,
    adjust: Adjustment = "holm",
    ratio_threshold: float = 0.8,
    level: float = 0.95,
) -> Fairness:
    r"""Measure discrimination, calibration, errors and offers by group of customers, with intervals.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, n rows
        A landmark cohort: one row per loan, time counted from the moment of prediction.
    curves_or_risk : Curves of n rows, or array (n,)
        Predicted probability of having left by the cause within the horizon.
    groups : (n,) labels
        Age band, region, … ; missing values are a group of their own, "(missing)".
    horizon : float
        On the scale of ``y.stop``.
    cause : str, optional
        Cause to be predicted; needed when there are several.
    offered : (n,) of 0/1 or bool, optional
        Who gets the offer. Default: with a threshold who reaches it, else offers are not looked at.
    threshold : float, optional
        Predicted risk from which on a customer is flagged: true and false positive rates are given (the difference of the
        former is that of equal opportunity; Hardt, Price & Srebro 2016).
    reference : label, optional
        Group that the others are compared with. Default: each with all others together.
    cluster : (n,) labels, optional
        Independent units of the variance, e.g. customers; default: the subjects of y.
    smallest_cell : int
        Groups with fewer rows, or with 1 to one less events, rows without event, offers or rows without offer, are
        suppressed, with as many others as it takes that they cannot be computed from the totals. 0 or 1: none is.
    adjust : {"holm", "benjamini-hochberg", "bonferroni"}
        Correction of the p-values for all groups and measures compared.
    ratio_threshold : float
        A ratio of offer rates below it, or above its inverse, is flagged (0.8: the four-fifths rule).
    level : float

    Returns
    -------
    Fairness

    Raises
    ------
    DataError
        One group only, groups that are all suppressed, an unknown or suppressed reference, predictions or offers that are
        missing, a horizon past the follow-up, a threshold outside 0 to 1.
    NotIdentifiedError
        Rows that begin after time 0; recurrent events.
    NoEventsError
        No event of the cause by the horizon.

    Notes
    -----
    Measures: concordance (up to the horizon), AUC, Brier score; observed (Aalen–Johansen) and mean predicted risk, their
    difference (calibration_error) and ratio (observed_expected); with curves also observed over expected events while
    watched, with exact Poisson interval (observed_expected_events); true and false positive rate; offer rate (Wilson's
    interval). The standard errors of calibration_error and observed_expected know that who is predicted more leaves more
    often (as in :func:`churnsurv.metrics.calibration`). Censoring is weighted for within each group. Groups are separate
    customers, so that the variance of a difference is the sum of two; a cluster in several groups makes it smaller or
    larger than that.

    Of calibration within groups, and equal error rates, not all can hold at once where groups leave at different rates
    (Chouldechova 2017; Kleinberg, Mullainathan & Raghavan 2017): no figure here says that a model is fair.

    Examples
    --------
    >>> import numpy as np, churnsurv as cs
    >>> rng = np.random.default_rng(1)
    >>> risk, region = rng.uniform(0.1, 0.6, 600), rng.choice(["north", "south"], 600)
    >>> time = np.ceil(12 * rng.exponential(size=600) / -np.log1p(-risk))
    >>> y = cs.Outcome(np.minimum(time, 24), time <= 24)
    >>> found = cs.evaluation.fairness(y, risk, region, 12, threshold=0.4)
    >>> found.table.query("measure == 'auc'")["group"].tolist()
    ['all', 'north', 'south']
    """
    level, y = confidence_level(level), as_outcome(y)
    check_adjustment(adjust)
    rows = read_rows(y, curves_or_risk, one_number(horizon, "horizon"), cause, offered, threshold, cluster, level)
    codes, labels = read_groups(groups, len(y))
    counts = _counts(rows, codes, len(labels))
    small, protecting = hidden_rows(counts, smallest_count(smallest_cell))
    hidden = {*small, *protecting}
    shown = [code for code in range(len(labels)) if code not in hidden]
    if not shown:
        raise DataError(
            f"Every group is too small to be shown ({counted(len(small), 'group')} with a count below {smallest_cell}, "
            f"{len(protecting)} to protect them). Merge groups, or take a longer horizon."
        )
    against = _reference(reference, labels, shown)
    found = {ALL: measures_of(rows)} | {labels[code]: measures_of(rows.of(codes == code)) for code in shown}
    differences, ratios = _compared(rows, codes, labels, shown, against, found)
    differences["p_adjusted"] = adjusted_p_values(differences["p_value"], adjust)
    return Fairness(
        table=_table(found),
        groups=_group_frame(labels, counts, small, protecting, rows.offered is not None),
        differences=differences,
        ratios=ratios,
        flags=_flags(found, differences, ratios, level, ratio_limit(ratio_threshold)),
        horizon=rows.horizon,
        cause=rows.cause,
        level=level,
        adjust=adjust,
        smallest_cell=smallest_cell,
        notes=_notes(rows, found, codes, hidden, smallest_cell),
    )


def _counts(rows: Rows, codes: NDArray[np.int64], n_groups: int) -> NDArray[np.int64]:
    """Give rows, events by the horizon, rows without, offers and rows without, (groups, 3 or 5)."""
    event = (rows.y.event == rows.y.cause_code(rows.cause)) & (rows.y.stop <= rows.horizon)
    columns = [np.ones(len(codes), dtype=bool), event, ~event]
    if rows.offered is not None:
        columns += [rows.offered, ~rows.offered]
    return np.column_stack([np.bincount(codes[c], minlength=n_groups) for c in columns])


def _reference(reference: Hashable | None, labels: list[Any], shown: list[int]) -> int | None:
    if reference is None:
        return None
    if reference not in labels:
        raise DataError(f"reference={reference!r} is no group; there are {first_of(labels, 20)}.")
    code = labels.index(reference)
    if code not in shown:
        raise DataError(f"reference={reference!r} is suppressed for its small counts: choose a larger group.")
    return code


def _compared(
    rows: Rows,
    codes: NDArray[np.int64],
    labels: list[Any],
    shown: list[int],
    against: int | None,
    found: dict[Any, dict[str, Measured]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give differences of all measures, and ratios of the offer rates."""
    differences, ratios = [], []
    for code in shown:
        if code == against:
            continue
        mine = found[labels[code]]
        other, name = (
            (measures_of(rows.of(codes != code)), REST)
            if against is None
            else (found[labels[against]], labels[against])
        )
        for measure in MEASURES:
            if measure in mine:
                differences.append(
                    (labels[code], name, measure, *difference(mine[measure], other[measure], rows.level))
                )
        if rows.offered is not None:
            ratio = rate_ratio(mine["offer_rate"], other["offer_rate"], rows.level)
            ratios.append((labels[code], name, ratio.value, ratio.lower, ratio.upper))
    columns = ["group", "against", "measure", "value", "se", "lower", "upper", "p_value"]
    return (
        pd.DataFrame(differences, columns=columns),
        pd.DataFrame(ratios, columns=["group", "against", "value", "lower", "upper"]),
    )


def _table(found: dict[Any, dict[str, Measured]]) -> pd.DataFrame:
    rows = [(group, name, *m[:4]) for group, measures in found.items() for name, m in measures.items()]
    return pd.DataFrame(rows, columns=["group", "measure", "value", "se", "lower", "upper"])


def _group_frame(
    labels: list[Any], counts: NDArray[np.int64], small: list[int], protecting: list[int], offers: bool
) -> pd.DataFrame:
    reason = dict.fromkeys(small, "small") | dict.fromkeys(protecting, "complementary")
    total = counts.sum(axis=0)
    rows = [(ALL, *total[:2], total[3] if offers else pd.NA, "")]
    for code, label in enumerate(labels):
        numbers = (pd.NA,) * 3 if code in reason else (*counts[code, :2], counts[code, 3] if offers else pd.NA)
        rows.append((label, *numbers, reason.get(code, "")))
    frame = pd.DataFrame(rows, columns=["group", "n", "n_events", "n_offered", "suppressed"])
    return frame.astype({"n": "Int64", "n_events": "Int64", "n_offered": "Int64"})


def _flags(
    found: dict[Any, dict[str, Measured]],
    differences: pd.DataFrame,
    ratios: pd.DataFrame,
    level: float,
    ratio_threshold: float,
) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for group, measures in found.items():
        m = measures["observed_expected"]
        if group != ALL and (m.lower > 1 or m.upper < 1):
            side = "more" if m.value > 1 else "fewer"
            rows.append((group, "observed_expected", m.value, m.lower, m.upper, 1.0, f"{side} leave than predicted"))
    for row in ratios.to_dict("records"):
        if not ratio_threshold <= row["value"] <= 1 / ratio_threshold and not np.isnan(row["value"]):
            sure = row["upper"] < ratio_threshold or row["lower"] > 1 / ratio_threshold
            says = f"offer rate against {row['against']} beyond the threshold" + (
                "" if sure else ", interval reaches it"
            )
            rows.append((row["group"], "offer_ratio", row["value"], row["lower"], row["upper"], ratio_threshold, says))
    # that groups leave at different rates is no fault of the model
    judged = ~differences["measure"].isin(["observed", "predicted"])
    for row in differences[judged & (differences["p_adjusted"] < 1 - level)].to_dict("records"):
        says = f"differs from {row['against']} (adjusted p {row['p_adjusted']:.2g})"
        rows.append((row["group"], row["measure"], row["value"], row["lower"], row["upper"], 0.0, says))
    return pd.DataFrame(rows, columns=["group", "measure", "value", "lower", "upper", "threshold", "says"])


def _notes(
    rows: Rows, found: dict[Any, dict[str, Measured]], codes: NDArray[np.int64], hidden: set[int], smallest: int
) -> tuple[str, ...]:
    notes = [
        "Figures and flags, no verdict: differences may be the groups' different risks, chance, or the model; calibration and "
        "equal error rates cannot all hold where groups leave at different rates.",
        "That no difference is flagged does not show that there is none: look at the width of the intervals.",
    ]
    if hidden:
        notes.append(
            f"{counted(len(hidden), 'group')} not shown: a count below {smallest}, or needed so that it cannot be computed."
        )
    if rows.cluster is not None and len(np.unique(rows.cluster)) < len(
        np.unique(np.stack([rows.cluster, codes]), axis=1).T
    ):
        notes.append("Some clusters have rows in several groups; differences take groups as independent.")
    for group, measures in found.items():
        lacking = [name for name, m in measures.items() if m.why_not]
        if lacking and group != ALL:
            notes.append(f"{group}: {first_of(lacking, 12)} not estimated ({measures[lacking[0]].why_not})")
    return tuple(notes)

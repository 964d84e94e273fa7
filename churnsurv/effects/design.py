"""The aligned cohort that every design builds: who was at risk from when, in which arm, until when, and who was left out.

A *design* is a small frozen specification (:class:`~churnsurv.effects.Randomised` and its kin). Its ``cohort`` method lines up
eligibility, time zero and arms before anything is estimated (a target trial, Hernán and Robins 2016) and refuses what cannot
be lined up; its ``estimate`` method gives the default analysis. The clock is the time since time zero in periods of the
spells, loan age at time zero is a covariate (``X["age"]``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate, TestResult

Floats = NDArray[np.float64]
#: levels of a text column up to which a baseline table gives a share of each
MOST_LEVELS = 12


@dataclass(frozen=True, repr=False, eq=False)
class StudyCohort:
    """Rows of a study, lined up at time zero: what tests and effects take.

    No identifier of a loan or a customer is kept: subjects and clusters are numbers (the clusters of a rollout, which are
    branches, keep their names).

    Attributes
    ----------
    y : Outcome
        On the clock that ``estimand`` names; one row per loan and time zero, or start–stop rows where the arm changes.
    arm : (n,) labels
        ``treated`` or ``control``.
    X : DataFrame
        Covariates as known at the beginning of the row, with loan age there (``age``).
    strata : (n,) labels
        The end of the last period complete at time zero, with the band of loan age where treatments are dated; of a rollout the
        branch.
    cluster : (n,)
        Rows that may depend on each other: the customer's, or the branch's.
    calendar : (n,) int
        Calendar period in which the row begins, as a number of periods since 1970.
    treated, control : str
        Labels of the arms.
    estimand : str
        What is compared, on which clock, and what happens to those who change arm.
    counts : dict
        Reason → number of loans: those given, those left out by reason, those kept; see :meth:`flow`.
    uptake : (n,), optional
        Of an encouragement: periods from time zero to the end of that in which it was taken up, infinite where it was not.
    design : optional
        The design that built it, the only one to estimate from it; None: rows lined up by hand, for any.
    """

    y: Outcome
    arm: NDArray[Any]
    X: pd.DataFrame
    strata: NDArray[Any]
    cluster: NDArray[Any]
    calendar: NDArray[np.int64]
    treated: str
    control: str
    estimand: str
    counts: Mapping[str, int]
    uptake: Floats | None = None
    design: Any = None

    def __post_init__(self) -> None:
        for name in ("arm", "strata", "cluster", "calendar", "uptake"):
            values = getattr(self, name)
            if values is not None:
                values = np.asarray(values).view()
                values.flags.writeable = False
                object.__setattr__(self, name, values)
        names = list(self.counts)
        left_out = sum(self.counts[name] for name in names[1:-1])
        if self.counts[names[0]] != left_out + self.counts[names[-1]]:
            raise DataError(f"The counts of the cohort do not balance: {dict(self.counts)}.")
        if self.uptake is not None and self.uptake.dtype.kind not in "iuf":
            raise DataError(
                f"uptake is {self.uptake.dtype}: give the periods from time zero until the loan took part, infinite where it "
                "did not."
            )
        check_arms(self.arm, self.y.subject, self.treated, self.control)

    @property
    def is_treated(self) -> Floats:
        """Indicator of the treated arm (n,), 0.0 or 1.0."""
        return np.asarray(self.arm == self.treated, dtype=np.float64)

    def flow(self) -> pd.DataFrame:
        """Give what became of the loans on the way into the cohort: step, loans; the first is the sum of the others."""
        return pd.DataFrame({"step": list(self.counts), "loans": list(self.counts.values())})

    def baseline_table(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Compare the arms at time zero, by the first row of each subject in each arm.

        Parameters
        ----------
        columns : sequence of str, optional
            Of X; default: all.

        Returns
        -------
        DataFrame
            Index variable (of a text column: variable and level); per arm the mean (share), the standard deviation; and the
            standardised difference (treated − control over the root of the mean variance), where 0.1 is a customary border.
        """
        named = list(self.X.columns) if columns is None else list(columns)
        require_columns_of(self.X, named)
        order = np.lexsort((self.y.start, self.y.subject))
        keys = pd.DataFrame({"subject": self.y.subject[order], "arm": self.arm[order]})
        first = order[~keys.duplicated().to_numpy()]
        frame, arm = _numbers(self.X.iloc[first][named]), self.arm[first]
        rows = {}
        for name, values in frame.items():
            x, z = (values.to_numpy()[arm == label] for label in (self.treated, self.control))
            spread = np.sqrt((np.nanvar(x) + np.nanvar(z)) / 2)
            difference = np.nanmean(x) - np.nanmean(z)
            # a column of one value has a mean and a spread that are right to rounding only
            none = 1e-12 * max(np.nanmax(np.abs(x)), np.nanmax(np.abs(z)))
            apart = difference / spread if spread > none else (0.0 if abs(difference) <= none else np.nan)
            rows[name] = (np.nanmean(x), np.nanstd(x), np.nanmean(z), np.nanstd(z), apart)
        labels = [f"{what}_{label}" for label in (self.treated, self.control) for what in ("mean", "sd")]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=[*labels, "standardised_difference"])
        return table.rename_axis("variable")

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        n = {label: len(np.unique(self.y.subject[self.arm == label])) for label in (self.treated, self.control)}
        arms = ", ".join(f"{label}: {counted(count, 'subject')}" for label, count in n.items())
        return f"StudyCohort ({arms}); {self.y!r}\n  {self.estimand}"


@dataclass(frozen=True, repr=False, eq=False)
class DesignEstimate:
    """Effects of an intervention by its design.

    Attributes
    ----------
    effects : dict
        (measure, cause) → :class:`~churnsurv.Estimate`, such as ``("hazard_ratio", "attrition")``.
    tests : dict
        (test, cause) → :class:`~churnsurv.TestResult`.
    assumptions : str
        What the effects rest on beside the data.
    """

    effects: Mapping[tuple[str, str], Estimate]
    tests: Mapping[tuple[str, str], TestResult]
    assumptions: str

    def __getitem__(self, key: tuple[str, str]) -> Estimate:
        if key not in self.effects:
            raise DataError(f"No effect {key!r}; there are {first_of(map(repr, self.effects), 12)}.")
        return self.effects[key]

    def to_frame(self) -> pd.DataFrame:
        """Give the effects: measure, cause, and the columns of an Estimate."""
        parts = [
            pd.concat([pd.DataFrame({"measure": [measure], "cause": [cause]}), estimate.to_frame()], axis=1)
            for (measure, cause), estimate in self.effects.items()
        ]
        return pd.concat(parts, ignore_index=True)

    def _repr_html_(self) -> str:
        shown = self.to_frame().drop(columns=["name", "method"])
        return f"{shown.to_html(index=False, float_format='{:.4g}'.format)}<p>{escape(self.assumptions)}</p>"

    def __repr__(self) -> str:
        records = [*self.effects.values(), *self.tests.values()]
        return "\n".join([type(self).__name__, *map(repr, records), f"assumes: {self.assumptions}"])


def check_design(cohort: StudyCohort, design: Any) -> None:
    """Refuse a cohort that another design, or this one for other arms, has lined up: its clock and its rows are not these."""
    if not isinstance(cohort, StudyCohort):
        raise DataError(f"The cohort is a {type(cohort).__name__}: build it by the cohort method of the design.")
    made = cohort.design
    if made is None:
        return
    kinds = [type(one).__name__ for one in (made, design)]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"The cohort was lined up by {kinds[0]} and is to be estimated by {kinds[1]}: build it by the cohort method of "
            f"the {kinds[1]}."
        )
    for name in ("intervention", "treated", "control", "unit"):
        one, other = getattr(made, name, None), getattr(design, name, None)
        if one != other:
            raise DataError(
                f"The cohort was lined up with {name}={one!r} and is to be estimated with {name}={other!r}: build it by the "
                "cohort method of the same design."
            )


def check_arms(arm: NDArray[Any], subject: NDArray[Any], treated: str, control: str) -> None:
    """Refuse an arm without customers, or with one: nothing can be said about its variability."""
    for label, other in ((treated, control), (control, treated)):
        n = len(np.unique(subject[arm == label]))
        if n == 0:
            raise DataError(
                f"No loan is in arm {label!r}: all that are left are {other!r}, so that there is nothing to compare. Look "
                "at eligibility and dates, or at the names of the arms."
            )
        if n == 1:
            raise DataError(
                f"Arm {label!r} has one customer only: nothing can be said about its variability. Widen the eligibility or "
                "wait for more."
            )


def require_columns_of(X: pd.DataFrame, names: Iterable[str]) -> None:
    """Refuse names that are no columns of the cohort's covariates."""
    absent = [name for name in names if name not in X.columns]
    if absent:
        raise DataError(f"No column {absent[0]!r} among the cohort's covariates: {first_of(X.columns, 40)}.")


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Give the columns as numbers: text of few levels as indicators, text of many is left out."""
    parts: dict[str, pd.Series] = {}
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_numeric_dtype(values.dtype):
            parts[str(name)] = values.astype(float)
        elif values.nunique() <= MOST_LEVELS:
            parts |= {f"{name}={level}": (values == level).astype(float) for level in sorted(values.dropna().unique())}
    return pd.DataFrame(parts)

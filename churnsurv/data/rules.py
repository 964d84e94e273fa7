"""Rules that turn a lender's tables into spells: which column plays which role, and how an exit is read.

They are written as one TOML table, so that the same rules serve ``check``, the report and a notebook.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import pandas as pd
from pydantic import Field, field_validator, model_validator

from churnsurv.data.config import ConfigTable, read_toml
from churnsurv.exceptions import ConfigError

#: how the last spell of a loan ends without an event
OPEN, MATURED = "open", "matured"

#: columns that the frame of spells has of its own
SPELL_COLUMNS = ("loan_id", "customer_id", "period", "vintage", "entry", "start", "stop", "cause")

Names = tuple[str, ...]
StatusValues = tuple[str | int | float | bool, ...]


class Covariates(ConfigTable):
    """Columns that become covariates, by the table they come from."""

    table: ClassVar[str] = "spells.covariates"

    loans: Names = ()
    performance: Names = ()
    macro: Names = ()


class MacroKeys(ConfigTable):
    """Columns by which the macro table is joined: its period, and a region that the loans also have."""

    table: ClassVar[str] = "spells.macro"

    period: str
    region: str | None = None


class RateIncentive(ConfigTable):
    """Columns whose difference is the rate incentive: the loan's own rate, and the market rate of the macro table."""

    table: ClassVar[str] = "spells.rate_incentive"

    own: str
    market: str


class SpellRules(ConfigTable):
    """Roles of the columns of a portfolio, and how its rows become spells.

    Parameters
    ----------
    period : {"month", "quarter"}
        Length of an observation period: the unit of loan age.
    period_one : str, optional
        The calendar period that the number 1 stands for, such as "2000Q1", where periods are numbered.
    loan_id, customer_id : str
        Identifiers; without ``customer_id`` every loan is a customer of its own.
    origination : str
        Date (or number) of the period of origination. In that period the loan is of age 0 to 1.
    term, maturity : str, optional
        Number of periods until the scheduled end, or the period in which the loan is no longer scheduled to exist.
        At most one of them.
    observed : str
        Period of a row of the performance table; its status is the one at the end of the period.
    status : str
        Column that tells exits.
    open, matured : list
        Its values for loans under observation at the end of the period, and for loans that reached their scheduled end.
    causes : table
        Name of the cause → values of ``status``.
    paid_at_term : list of str
        Causes whose exits in the last scheduled period are the scheduled end, not a loss.
    covariates : table
        Columns of the tables ``loans`` (static), ``performance`` and ``macro`` (both lagged).
    lag : int
        Periods by which the columns of ``performance`` and ``macro`` are lagged; the default 1 uses what was known at
        the end of the period before.
    at_origination : table
        Column of ``performance`` → column of ``loans`` that holds its value at origination; used for the periods whose
        lagged value lies before origination.
    macro : table, optional
        Columns by which the macro table is joined.
    rate_incentive : table, optional
        Adds the covariate ``rate_incentive``: own rate minus market rate of the same (lagged) period.
    zero_is_missing : list of str
        Columns in which 0 means missing.
    plausible : table
        Column → [lowest, highest] value that can be true; values outside are made missing.
    keep : list of str
        Columns of ``loans`` carried along without being covariates: segments, branches.

    Raises
    ------
    ConfigError
        Unknown keys, wrong kinds of values, contradictions between them.

    Examples
    --------
    >>> from churnsurv.data import SpellRules
    >>> rules = SpellRules(origination="opened", observed="month", status="status", open=["open"],
    ...                    causes={"attrition": ["prepaid"], "default": ["charged off"]},
    ...                    covariates={"performance": ["credit_score"]})
    >>> rules.cause_names
    ('attrition', 'default')
    """

    table: ClassVar[str] = "spells"

    period: Literal["month", "quarter"] = "month"
    period_one: str | None = None
    loan_id: str = "loan_id"
    customer_id: str | None = None
    origination: str
    term: str | None = None
    maturity: str | None = None
    observed: str
    status: str
    open: StatusValues
    matured: StatusValues = ()
    causes: dict[str, StatusValues]
    paid_at_term: Names = ()
    covariates: Covariates = Covariates()
    lag: int = Field(default=1, ge=1)
    at_origination: dict[str, str] = Field(default_factory=dict)
    macro: MacroKeys | None = None
    rate_incentive: RateIncentive | None = None
    zero_is_missing: Names = ()
    plausible: dict[str, tuple[float, float]] = Field(default_factory=dict)
    keep: Names = ()

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read the rules from a file: its table ``[spells]``, or the whole file when it has no such table."""
        document = read_toml(path)
        return cls(**document.get("spells", document))

    @field_validator("period_one")
    @classmethod
    def _is_a_period(cls, value: str | None) -> str | None:
        try:
            pd.Period(value, freq="M")
        except (ValueError, TypeError):
            raise ConfigError(
                f"[spells] period_one = {value!r} is not a period such as '2000Q1' or '2000-01'."
            ) from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for fault in self._faults():
            raise ConfigError(f"[spells] {fault}")
        return self

    def _faults(self) -> list[str]:
        """Give what contradicts itself."""
        faults = []
        if not self.causes:
            faults.append("causes is empty: name at least one cause, e.g. causes = { attrition = ['prepaid'] }.")
        for name in (OPEN, MATURED):
            if name in self.causes:
                faults.append(f"causes.{name}: the name is taken; list these values in {name} = [...].")
        twice = _repeated([*self.open, *self.matured, *(v for values in self.causes.values() for v in values)])
        if twice:
            faults.append(f"the status {twice[0]!r} has two meanings in open, matured and causes.")
        if self.term is not None and self.maturity is not None:
            faults.append("term and maturity both say when a loan ends: give one.")
        unknown = [name for name in self.paid_at_term if name not in self.causes]
        if unknown:
            faults.append(f"paid_at_term names {unknown[0]!r}, which is not among the causes {list(self.causes)}.")
        twice = _repeated(list(self.covariate_names))
        if twice:
            faults.append(f"covariates names {twice[0]!r} twice.")
        taken = [name for name in (*self.covariate_names, *self.keep) if name in SPELL_COLUMNS]
        if taken:
            faults.append(f"the name {taken[0]!r} is taken by a column of the spells: rename the column of the table.")
        for name, (lowest, highest) in self.plausible.items():
            if not lowest <= highest:
                faults.append(f"plausible.{name} = [{lowest:g}, {highest:g}]: give [lowest, highest].")
        for key, names in (("plausible", self.plausible), ("zero_is_missing", self.zero_is_missing)):
            taken = [name for name in names if name in self.covariates.macro]
            if taken:
                faults.append(f"{key} names {taken[0]!r}, a column of the macro table: correct it there.")
        if self.needs_macro and self.macro is None:
            faults.append("macro columns are used: say by which column they join, e.g. macro = { period = 'month' }.")
        return faults

    @property
    def cause_names(self) -> Names:
        """Names of the causes, in the order of their codes 1…K."""
        return tuple(self.causes)

    @property
    def covariate_names(self) -> Names:
        """Names of the covariates of the spells, in order."""
        incentive = ("rate_incentive",) if self.rate_incentive else ()
        return (*incentive, *self.covariates.loans, *self.covariates.performance, *self.covariates.macro)

    @property
    def needs_macro(self) -> bool:
        """Whether a column of the macro table is used."""
        return bool(self.covariates.macro) or self.rate_incentive is not None


def _repeated(values: list[Any]) -> list[Any]:
    return [value for value, n in Counter(values).items() if n > 1]

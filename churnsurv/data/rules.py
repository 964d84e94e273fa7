"""Rules that turn a lender's tables into spells: which column plays which role, and how an exit is read.

They are written as one TOML table, so that the same rules serve ``check``, the report and a notebook.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import pandas as pd
from pydantic import Field, field_validator, model_validator

from churnsurv.data.config import ConfigTable, did_you_mean, read_toml
from churnsurv.data.reasons import REASONS
from churnsurv.data.rule_tables import (
    Covariates,
    ExitRule,
    Lag,
    MacroKeys,
    Name,
    Names,
    RateIncentive,
    Text,
    Values,
    Window,
)
from churnsurv.exceptions import ConfigError

#: how the last spell of a loan ends without an event
OPEN, MATURED = "open", "matured"

#: columns that the frame of spells has of its own
SPELL_COLUMNS = ("loan_id", "customer_id", "period", "vintage", "entry", "start", "stop", "cause")
#: those that landmark cohorts have besides
COHORT_COLUMNS = ("landmark", "age")


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
    rows : {"period", "loan"}
        "period": one row per loan and period. "loan": one row per loan, its last; the loan was then observed in every
        period from its origination (or ``acquired``) to that row.
    acquired : str, optional
        Column of ``loans``: the date since which the loan has been observed (a purchase, the start of the records);
        earlier periods are not at risk. Missing values mean from the first row.
    status : str, optional
        Column that tells exits; needed unless ``exits`` are given.
    open, matured : list
        Its values for loans under observation at the end of the period, and for loans that reached their scheduled end.
    causes : table
        Name of the cause → values of ``status``.
    censored : table
        Name of a stated end of observation that is no event (a sale, a transfer) → values of ``status``.
    exits : list of tables
        Exits by conditions on several columns: zero-balance codes, charge-off dates, a balance run down to 0. ``cause``
        is a cause, a name of ``censored``, "matured" or "open". Looked up before the status.
    paid_at_term : list of str
        Causes whose exits in the last scheduled period are the scheduled end, not a loss.
    covariates : table
        Columns of the tables ``loans`` (static), ``performance`` and ``macro`` (both lagged).
    lag : int
        Periods by which the columns of ``performance`` and ``macro`` are lagged; the default 1 uses what was known at
        the end of the period before.
    lags : table
        Column → its own lag, e.g. the publication lag of a macro series. 0 takes the value of the spell's own period: a
        :class:`~churnsurv.exceptions.LeakageWarning`, unless ``known_ahead`` lists the column.
    known_ahead : list of str
        Columns whose value is known before the period begins (a schedule, a contract), so that lag 0 is honest.
    at_origination : table
        Column of ``performance`` → column of ``loans`` that holds its value at origination; used for the periods whose
        lagged value lies before origination.
    macro : table, optional
        Columns by which the macro table is joined.
    rate_incentive : table, optional
        Adds the covariate ``rate_incentive``: own rate minus market rate of the same (lagged) period.
    burnout : bool
        Adds the covariate ``burnout``: the positive rate incentives of the earlier periods of the loan, summed, in percentage
        points times periods: the incentive not acted on. Since origination where the own rate is a column of the loans,
        else since the loan was first seen. Needs ``rate_incentive``.
    season : bool
        Adds the covariate ``season``: the calendar month (or quarter) of the spell, a category.
    windows : table
        Name of the covariate → :class:`~churnsurv.data.rule_tables.Window` over the past of a performance column.
    dates : table
        Column → the form of its text or numbers where it is not ISO: "%Y%m", "%d.%m.%Y", "%b-%Y" (Dec-2015); known are %Y,
        %m, %b, %d, %q.
    numbers : list of str
        Text columns that hold a number with a unit (" 36 months", "13.5 %"); the number is read.
    exclude : table
        Column of ``loans`` → values; the loans that have them are left out, and counted.
    conflicts : {"raise", "leave out"}
        Rows that contradict each other (one loan and period, or one loan of the loan table, told differently): an
        error, or all of them are left out and counted.
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
    loan_id: Name = "loan_id"
    customer_id: Name | None = None
    origination: Name
    term: Name | None = None
    maturity: Name | None = None
    observed: Name
    rows: Literal["period", "loan"] = "period"
    acquired: Name | None = None
    status: Name | None = None
    open: Values = ()
    matured: Values = ()
    causes: dict[Name, Values] = Field(default_factory=dict)
    censored: dict[Name, Values] = Field(default_factory=dict)
    exits: tuple[ExitRule, ...] = ()
    paid_at_term: Names = ()
    covariates: Covariates = Covariates()
    lag: Annotated[Lag, Field(ge=1)] = 1
    lags: dict[Name, Lag] = Field(default_factory=dict)
    known_ahead: Names = ()
    at_origination: dict[Name, Name] = Field(default_factory=dict)
    macro: MacroKeys | None = None
    rate_incentive: RateIncentive | None = None
    burnout: bool = False
    season: bool = False
    windows: dict[Name, Window] = Field(default_factory=dict)
    dates: dict[Name, Text] = Field(default_factory=dict)
    numbers: Names = ()
    exclude: dict[Name, Values] = Field(default_factory=dict)
    conflicts: Literal["raise", "leave out"] = "raise"
    zero_is_missing: Names = ()
    plausible: dict[Name, tuple[float, float]] = Field(default_factory=dict)
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
            known = value is None or isinstance(pd.Period(value, freq="M"), pd.Period)
        except (ValueError, TypeError):
            known = False
        if not known:
            raise ConfigError(f"[spells] period_one = {value!r} is not a period such as '2000Q1' or '2000-01'.")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for fault in self._faults():
            raise ConfigError(f"[spells] {fault}")
        return self

    def _faults(self) -> list[str]:
        """Give what contradicts itself."""
        return [*self._faults_of_exits(), *self._faults_of_covariates(), *self._faults_of_rows()]

    def _faults_of_exits(self) -> list[str]:
        faults = []
        if not self.cause_names:
            faults.append("causes is empty: name at least one cause, e.g. causes = { attrition = ['prepaid'] }.")
        if self.status is None and not self.exits:
            faults.append("nothing tells exits: give status and its values, or exits.")
        if self.status is None and (self.open or self.matured or any(self.causes.values())):
            faults.append("open, matured and causes list values of status, which is not given.")
        if self.status is not None and not self.open:
            faults.append("open is empty: list the values of status of loans under observation, e.g. open = ['open'].")
        for key, names in (("causes", self.cause_names), ("censored", tuple(self.censored))):
            for name in names:
                if name in (OPEN, MATURED):
                    faults.append(f"{key}.{name}: the name is taken; list these values in {name} = [...].")
                if name in REASONS:
                    faults.append(f"{key}: the reconciliation has a line {name!r} of its own; choose another name.")
        both = [name for name in self.censored if name in self.cause_names]
        if both:
            faults.append(f"{both[0]!r} is a cause and in censored: it is one of them.")
        every = [*self.causes.values(), *self.censored.values()]
        twice = _repeated([*self.open, *self.matured, *(v for values in every for v in values)])
        if twice:
            faults.append(f"the status {twice[0]!r} has two meanings in open, matured, causes and censored.")
        if self.term is not None and self.maturity is not None:
            faults.append("term and maturity both say when a loan ends: give one.")
        unknown = [name for name in self.paid_at_term if name not in self.cause_names]
        if unknown:
            faults.append(f"paid_at_term names {unknown[0]!r}, which is not among the causes {list(self.cause_names)}.")
        return faults

    def _faults_of_covariates(self) -> list[str]:
        faults = []
        twice = _repeated([name.casefold() for name in self.covariate_names])
        if twice:
            faults.append(f"covariates names {twice[0]!r} twice (names that differ by case alone are one).")
        kept = [name for name in self.keep if name not in self.covariate_names]
        own = {name.casefold() for name in (*SPELL_COLUMNS, *COHORT_COLUMNS)}
        taken = [name for name in (*self.covariate_names, *kept) if name.casefold() in own]
        taken += [name for name in kept if name.casefold() in {other.casefold() for other in self.covariate_names}]
        if taken:
            faults.append(f"the name {taken[0]!r} is taken by a column of the spells: rename the column of the table.")
        for name, (lowest, highest) in self.plausible.items():
            if not lowest <= highest:
                faults.append(f"plausible.{name} = [{lowest:g}, {highest:g}]: give [lowest, highest].")
        for key, names in (("plausible", self.plausible), ("zero_is_missing", self.zero_is_missing)):
            taken = [name for name in names if name in self.covariates.macro]
            if taken:
                faults.append(f"{key} names {taken[0]!r}, a column of the macro table: correct it there.")
        lagged = [*self.covariates.performance, *self.covariates.macro, *(w.column for w in self.windows.values())]
        if self.rate_incentive is not None:
            lagged += [self.rate_incentive.own, self.rate_incentive.market]
        for name in self.lags:
            if name not in lagged:
                faults.append(f"lags names {name!r}, which is no lagged covariate. {did_you_mean(name, lagged)}")
        for name in self.known_ahead:
            if name not in lagged:
                faults.append(f"known_ahead names {name!r}, which is no lagged covariate. {did_you_mean(name, lagged)}")
        for name, window in self.windows.items():
            if window.least > window.width:
                faults.append(f"windows.{name}: least = {window.least} is more than width = {window.width}.")
        if self.burnout and self.rate_incentive is None:
            faults.append("burnout is the past rate incentive: give rate_incentive = { own = ..., market = ... }.")
        if self.needs_macro and self.macro is None:
            faults.append("macro columns are used: say by which column they join, e.g. macro = { period = 'month' }.")
        return faults

    def _faults_of_rows(self) -> list[str]:
        faults = []
        for name, form in self.dates.items():
            if "%Y" not in form or not any(part in form for part in ("%m", "%b", "%q")):
                faults.append(
                    f"dates.{name} = {form!r}: give a form with a year and a month (quarter), such as '%Y%m'."
                )
        used = {"covariates.performance": self.covariates.performance, "windows": self.windows}
        used["at_origination"] = self.at_origination
        for key, names in used.items():
            if self.rows == "loan" and names:
                faults.append(
                    f"{key} names {next(iter(names))!r}, but with rows = 'loan' a table tells only how loans ended, not what "
                    "was known before: take columns of loans."
                )
        return faults

    @property
    def cause_names(self) -> Names:
        """Names of the causes, in the order of their codes 1…K."""
        by_rule = (rule.cause for rule in self.exits if rule.cause not in (OPEN, MATURED, *self.censored))
        return tuple(dict.fromkeys([*self.causes, *by_rule]))

    @property
    def endings(self) -> Names:
        """How a last spell may end: "open", "matured", the stated censorings, the causes; in the order of their codes."""
        return (OPEN, MATURED, *self.censored, *self.cause_names)

    def lag_of(self, column: str) -> int:
        """Give the lag of a column, in periods."""
        return self.lags.get(column, self.lag)

    @property
    def unlagged(self) -> Names:
        """Columns taken from the spell's own period though nothing says that they are known before it."""
        own = [self.rate_incentive.own, self.rate_incentive.market] if self.rate_incentive else []
        used = [*self.covariates.performance, *self.covariates.macro, *(w.column for w in self.windows.values()), *own]
        return tuple(name for name in dict.fromkeys(used) if self.lag_of(name) == 0 and name not in self.known_ahead)

    @property
    def covariate_names(self) -> Names:
        """Names of the covariates of the spells, in order."""
        derived = {"rate_incentive": self.rate_incentive is not None, "burnout": self.burnout, "season": self.season}
        return (
            *(name for name, used in derived.items() if used),
            *self.covariates.loans,
            *self.covariates.performance,
            *self.windows,
            *self.covariates.macro,
        )

    @property
    def needs_macro(self) -> bool:
        """Whether a column of the macro table is used."""
        return bool(self.covariates.macro) or self.rate_incentive is not None


def _repeated(values: list[Any]) -> list[Any]:
    return [value for value, n in Counter(values).items() if n > 1]

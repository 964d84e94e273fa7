"""The catalogue: columns that may make a loan customer leave, what lenders do about it, what the process must do.

The content is data (``catalogue.toml``), read once and checked: a misspelt key, sign or column name is an error, not a row
that silently says nothing. Signs are stated before fitting, so that a table of hazard ratios can say which are contrary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypedDict

import pandas as pd
from pydantic import Field, model_validator

from churnsurv.data.config import ConfigTable, did_you_mean, read_toml
from churnsurv.exceptions import ConfigError, DataError
from churnsurv.messages import first_of

SHIPPED = Path(__file__).with_name("catalogue.toml")

#: causes that signs are stated for
CAUSES = ("attrition", "default", "renewed")

Sign = Literal["+", "-"]
Kind = Literal["static", "varying", "macro", "external", "derived"]
Design = Literal[
    "Randomised",
    "StaggeredRollout",
    "TimeVaryingTreatment",
    "Landmark",
    "Encouragement",
    "observational with weighting",
]
Text = Annotated[str, Field(min_length=1)]
Names = tuple[Text, ...]

_LETTERS = {"static": "S", "varying": "T", "macro": "M", "external": "X"}
#: tables whose values are known only when their period is over
_LAGGED = ("performance", "macro")
_INDICATOR, _CATEGORY = "0/1", "category"


class TableWords(TypedDict):
    """Keywords of :func:`churnsurv.report.hazard_ratio_table`."""

    labels: dict[str, str]
    units: dict[str, str | tuple[float, str]]
    groups: dict[str, str]
    expected_signs: dict[str, dict[str, str]]


class Signs(ConfigTable):
    """Expected sign of a coefficient by cause; none where no direction could be stated before fitting."""

    table: ClassVar[str] = "covariates.expected"

    attrition: Sign | None = None
    default: Sign | None = None
    renewed: Sign | None = None


class Covariate(ConfigTable):
    """A column of a portfolio: what it measures, and why customers leave by it."""

    table: ClassVar[str] = "covariates"

    reference: str = Field(default="", pattern=r"^(C[1-9]\d*)?$")
    family: Text
    column: Text
    label: Text
    unit: str = ""
    kind: Kind
    letter: Literal["S", "T", "M", "X"] | None = None
    role: Literal["covariate", "identifier", "cluster", "stratum", "time"] = "covariate"
    source: Literal["loans", "performance", "macro", "interventions", "spells"]
    per: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    per_unit: str = ""
    lag: int | None = Field(default=None, ge=1)
    lag_note: str = ""
    expected: Signs = Signs()
    description: Text

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "derived") != (self.letter is not None):
            raise ConfigError("[covariates] letter is given for derived columns and for no others.")
        if self.unit == _INDICATOR and (self.per != 1 or self.per_unit):
            raise ConfigError(
                "[covariates] an indicator (0/1) has a ratio of yes against no: leave per and per_unit out."
            )
        return self

    @property
    def has_step(self) -> bool:
        """Whether a hazard ratio refers to a step of it: no identifier, no time scale, no category."""
        return self.role == "covariate" and self.unit != _CATEGORY

    @property
    def step_name(self) -> str:
        """Name of the unit in which the step is counted."""
        if not self.has_step:
            return ""
        return self.per_unit or ("yes vs no" if self.unit == _INDICATOR else self.unit)

    @property
    def step(self) -> str | tuple[float, str]:
        """The step as tables of hazard ratios take it."""
        return self.step_name if self.unit == _INDICATOR else (self.per, self.step_name)

    def record(self) -> dict[str, Any]:
        """Give the row of :func:`covariates`."""
        row = self.model_dump(exclude={"source", "expected"}) | {"table": self.source}
        row["letter"] = self.letter or _LETTERS[self.kind]
        row["per"] = self.per if self.has_step else None
        row["per_unit"] = self.step_name
        row["lag"] = self.lag or (1 if self.source in _LAGGED else None)
        return row | {f"expected_{cause}": getattr(self.expected, cause) or "" for cause in CAUSES}


class Intervention(ConfigTable):
    """What lenders do to keep customers, and how its effect is told from what would have happened anyway."""

    table: ClassVar[str] = "interventions"

    reference: str = Field(pattern=r"^I[1-9]\d*$")
    name: Text
    description: Text
    lever: Text
    covariates: Names = Field(min_length=1)
    designs: tuple[Design, ...] = Field(min_length=1)
    identification: Text
    estimand: Text
    outcome: Text
    safety: Text
    wrong: Text


class Requirement(ConfigTable):
    """What a lender's process against attrition must do, and what meets it."""

    table: ClassVar[str] = "requirements"

    reference: str = Field(pattern=r"^P[1-9]\d*$")
    asked: Text
    met_by: Text
    covariates: Names = ()


class Catalogue(ConfigTable):
    """The three tables together; names are unique and known."""

    table: ClassVar[str] = "catalogue"

    covariates: tuple[Covariate, ...]
    interventions: tuple[Intervention, ...]
    requirements: tuple[Requirement, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        columns = [entry.column for entry in self.covariates]
        referring: list[Intervention | Requirement] = [*self.interventions, *self.requirements]
        named = {
            "column": columns,
            "label": [entry.label for entry in self.covariates],
            "reference": [entry.reference for entry in referring],
        }
        for key, values in named.items():
            twice = [value for value, n in Counter(values).items() if n > 1]
            if twice:
                raise ConfigError(f"The catalogue has the {key} {twice[0]!r} twice.")
        for entry in referring:
            for name in entry.covariates:
                if name not in columns:
                    raise ConfigError(
                        f"{entry.reference} names {name!r}, no column here. {did_you_mean(name, columns)}"
                    )
        return self


def read_catalogue(path: str | Path = SHIPPED) -> Catalogue:
    """Read and check a catalogue.

    Raises
    ------
    ConfigError
        An unknown key, a value of the wrong kind, a name that is there twice or not at all; the message names the entry.
    """
    document = read_toml(path)
    kinds: dict[str, type[ConfigTable]] = {
        "covariates": Covariate,
        "interventions": Intervention,
        "requirements": Requirement,
    }
    tables = {name: [_entry(kind, entry) for entry in document.pop(name, ())] for name, kind in kinds.items()}
    return Catalogue.model_validate(tables | document)


def _entry(kind: type[ConfigTable], entry: Mapping[str, Any]) -> ConfigTable:
    try:
        return kind(**entry)
    except ConfigError as error:
        name = entry.get("column") or entry.get("reference") or "an entry without a name"
        raise ConfigError(f"{name}: {error}") from None


@cache
def _shipped() -> Catalogue:
    return read_catalogue()


def covariates() -> pd.DataFrame:
    """Give the columns that may explain why customers leave, and the roles that every portfolio has.

    Returns
    -------
    DataFrame
        One row per column: ``reference`` (C1 to C18; empty for derived columns and roles), ``family``, ``column``,
        ``label``, ``unit`` (of its values), ``kind`` with its ``letter`` (S static, T varying, M macro, X external), ``role``
        ("covariate", or what else the column is for), ``table`` it belongs to ("spells": derived by ``build_spells``), ``per``
        and ``per_unit`` (step that a hazard ratio refers to), ``lag`` (months after which a value is known) with a
        ``lag_note``, ``expected_attrition``, ``expected_default``, ``expected_renewed`` ("+" raises the hazard, "-" lowers
        it, "" no sign stated), ``description``.

    Examples
    --------
    >>> import churnsurv as cs
    >>> columns = cs.data.covariates().set_index("column")
    >>> columns.loc["response_hours", ["reference", "label", "unit", "expected_attrition"]].tolist()
    ['C6', 'Response time', 'hours', '+']
    """
    frame = pd.DataFrame([entry.record() for entry in _shipped().covariates])
    last = ["lag", "lag_note", *(f"expected_{cause}" for cause in CAUSES), "description"]
    first = ["reference", "family", "column", "label", "unit", "kind", "letter", "role", "table", "per", "per_unit"]
    return frame[[*first, *last]].astype({"lag": "Int64"})


def interventions() -> pd.DataFrame:
    """Give what lenders do to keep customers, and how the effect of each is identified.

    Returns
    -------
    DataFrame
        One row per intervention: ``reference`` (I1 to I11), ``name``, ``description``, ``lever``, ``covariates`` (tuple of
        columns that it works through), ``designs`` (tuple, the best first), ``identification``, ``estimand``, ``outcome``,
        ``safety`` (endpoint that must not get worse), ``wrong`` (comparisons that mislead).

    Examples
    --------
    >>> import churnsurv as cs
    >>> known = cs.data.interventions().set_index("reference")
    >>> known.loc["I1", ["name", "lever", "designs"]].tolist()
    ['Rate or fee offer', 'rate incentive', ('Randomised',)]
    """
    return pd.DataFrame([entry.model_dump() for entry in _shipped().interventions])


def requirements() -> pd.DataFrame:
    """Give what a lender's process against attrition must do: reference (P1 to P9), asked, met_by, covariates.

    Examples
    --------
    >>> import churnsurv as cs
    >>> cs.data.requirements().set_index("reference").loc["P8", "covariates"]
    ('csat', 'nps', 'complaints_12m')
    """
    return pd.DataFrame([entry.model_dump() for entry in _shipped().requirements])


def catalogue_words(columns: Iterable[str], *, causes: Sequence[str] | Mapping[str, str] = ()) -> TableWords:
    """Give labels, units, groups and expected signs of columns, ready for a table of hazard ratios.

    Parameters
    ----------
    columns : iterable of str
        Columns of a model, such as ``X.columns`` or X itself; those that the catalogue does not have keep their names.
    causes : sequence or mapping, optional
        Models to give expected signs for: names of the causes "attrition", "default", "renewed", or name of the model →
        one of them.

    Raises
    ------
    DataError
        A cause that no sign is stated for.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3], "csat": [4, 3, 5, 2, 4, 3]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1], causes=["attrition"])
    >>> words = cs.data.catalogue_words(X.columns, causes=["attrition"])
    >>> table = cs.report.hazard_ratio_table(cs.CoxPH(cause="attrition").fit(X, y), **words)
    >>> table.to_frame()[["group", "label", "per", "expected"]].values.tolist()
    [['Terms', 'Rate incentive', 'per +1 pp', '+'], ['Service', 'Satisfaction (1 to 5)', 'per +1 point', '-']]
    """
    known = {entry.column: entry for entry in _shipped().covariates}
    entries = [known[str(name)] for name in columns if str(name) in known]
    meant = dict(causes) if isinstance(causes, Mapping) else {cause: cause for cause in causes}
    for name, cause in meant.items():
        if cause not in CAUSES:
            raise DataError(
                f"No sign is stated for the cause {cause!r}, only for {first_of(CAUSES)}. Say which of them it is, e.g. "
                f"causes={{{name!r}: 'attrition'}}."
            )
    units = {entry.column: entry.step for entry in entries if entry.has_step}
    return TableWords(
        labels={entry.column: entry.label for entry in entries},
        units=units,
        groups={entry.column: entry.family.capitalize() for entry in entries},
        expected_signs={
            name: {entry.column: sign for entry in entries if (sign := getattr(entry.expected, cause))}
            for name, cause in meant.items()
        },
    )

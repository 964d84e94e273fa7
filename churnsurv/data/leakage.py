"""A linter of spells: leaks, and columns whose effects are not identified, found before a model is fitted.

:func:`lint` looks and tells, and raises nothing about the data: it is for reading, and for ``check``. :func:`check_leakage`
is the gate in front of a fit: the same look, but errors are raised and warnings are warned of. They are two functions
because a report must show all signs at once, while a pipeline must stop at them; both rest on the rules of
:mod:`churnsurv.data.linting`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral

import pandas as pd

from churnsurv.data.assignments import read_assignments
from churnsurv.data.config import did_you_mean
from churnsurv.data.ids import check_same_type
from churnsurv.data.linting import columns as of_columns
from churnsurv.data.linting import dependence, immortal, lifetime, outcome, timing
from churnsurv.data.linting.material import Material, material_of
from churnsurv.data.linting.signs import ERROR, OK, WARNING, Sign
from churnsurv.data.rules import SpellRules
from churnsurv.data.spells import Spells
from churnsurv.exceptions import DataError, LeakageError, LeakageWarning
from churnsurv.messages import counted, first_of

#: rules in the order of the report
RULES = (
    outcome.POST_OUTCOME,
    outcome.AT_EXIT,
    timing.UNLAGGED,
    timing.FUTURE_MACRO,
    immortal.IMMORTAL,
    lifetime.LIFETIME,
    outcome.SUSPICIOUS,
    dependence.COLLINEAR,
    dependence.CALENDAR,
    of_columns.IDENTIFIER,
    of_columns.CONSTANT,
)

#: what any leak may bring about
_SYMPTOMS = (immortal.IMMORTAL, lifetime.LIFETIME, outcome.SUSPICIOUS, of_columns.CONSTANT)

_COLUMNS = ["level", "rule", "column", "evidence", "remedy", "examples"]


def lint(
    spells: Spells,
    *,
    interventions: pd.DataFrame | None = None,
    strata: str | Sequence[str] = (),
    columns: Sequence[str] | None = None,
    published_after: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Look for leaks in spells, and for columns whose effects are not identified.

    Parameters
    ----------
    spells : Spells
        From :func:`churnsurv.data.build_spells`; whole rather than complete, as a column that is filled only for loans
        that left is seen by what is missing.
    interventions : DataFrame, optional
        Assignments of loans to arms, see :func:`churnsurv.data.assignments.read_assignments`: flags that are on before
        are immortal time.
    strata : str or sequence of str
        Columns of ``spells.frame`` that a model will be stratified by.
    columns : sequence of str, optional
        Columns of ``spells.frame`` to look at; the covariates of the rules by default.
    published_after : mapping, optional
        Macro column → periods from the end of its period to its publication (0: at once, so that lag 1 is honest).

    Returns
    -------
    DataFrame
        Columns ``level`` (error, warning, ok; in this order), ``rule``, ``column`` (several, separated by commas, where
        the sign lies between them), ``evidence``, ``remedy``, ``examples`` (loan ids). A rule without signs has one line,
        ok.

    Raises
    ------
    DataError
        Columns or strata that the spells do not have, a table of interventions that cannot be read.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> set(cs.data.lint(spells, interventions=portfolio.interventions)["level"])
    {'ok'}
    """
    return _report(*_looked_for(spells, interventions, strata, columns, published_after))


def check_leakage(
    spells: Spells,
    *,
    interventions: pd.DataFrame | None = None,
    strata: str | Sequence[str] = (),
    columns: Sequence[str] | None = None,
    published_after: Mapping[str, int] | None = None,
    accepted: Mapping[str, Iterable[str]] | None = None,
) -> pd.DataFrame:
    """Stop at leaks in spells: call it after :func:`churnsurv.data.build_spells` and before a fit.

    Parameters
    ----------
    spells, interventions, strata, columns, published_after
        As in :func:`lint`.
    accepted : mapping, optional
        Rule → columns that were judged and found honest, such as ``{"changes at exit": ["payoff_quote"]}``: their signs
        are neither raised nor warned of.

    Returns
    -------
    DataFrame
        What :func:`lint` gives, without the accepted signs.

    Raises
    ------
    LeakageError
        Signs of level error, all of them in one message: rule, column, evidence, remedy.

    Warns
    -----
    LeakageWarning
        Without errors, one for each sign of level warning.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> checked = cs.data.check_leakage(spells, interventions=portfolio.interventions)
    >>> spells.frame["closed_after"] = spells.frame.groupby("loan_id")["stop"].transform("max")
    >>> cs.data.check_leakage(spells, columns=["credit_score", "closed_after"])
    Traceback (most recent call last):
    churnsurv.exceptions.LeakageError: 1 sign of leakage:
    - lifetime aggregate, 'closed_after': equals the age at exit in 1,851 of 1,851 (100.0%) loans that left...
    """
    signs, material = _looked_for(spells, interventions, strata, columns, published_after)
    honest = _accepted(accepted or {})
    signs = [sign for sign in signs if not set(sign.columns) <= honest.get(sign.rule, set())]
    errors, doubts = ([sign for sign in signs if sign.level == level] for level in (ERROR, WARNING))
    if errors:
        listed = "\n".join(f"- {_words(sign)}" for sign in errors)
        more = f"\nBesides, lint() tells {counted(len(doubts), 'warning')}." if doubts else ""
        raise LeakageError(f"{counted(len(errors), 'sign')} of leakage:\n{listed}{more}")
    for sign in doubts:
        warnings.warn(LeakageWarning(_words(sign)), stacklevel=2)
    return _report(signs, material)


def _accepted(accepted: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    for rule in accepted:
        if rule not in RULES:
            raise DataError(f"accepted names {rule!r}, which is no rule. {did_you_mean(str(rule), list(RULES))}")
    return {rule: {names} if isinstance(names, str) else set(names) for rule, names in accepted.items()}


def _words(sign: Sign) -> str:
    examples = f" (e.g. loans {first_of(sign.examples)})" if sign.examples else ""
    return f"{sign.rule}, {', '.join(map(repr, sign.columns))}: {sign.evidence}{examples}. Remedy: {sign.remedy}."


def _columns(spells: Spells, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(spells.rules.covariate_names)
    if isinstance(columns, str):
        raise DataError(f"columns={columns!r} is one name; give a list, [{columns!r}].")
    return list(dict.fromkeys(_known(spells, list(columns), "columns")))


def _known(spells: Spells, names: list[str], argument: str) -> list[str]:
    known = [str(name) for name in spells.frame.columns]
    for name in names:
        if name not in known:
            raise DataError(
                f"{argument} names {name!r}, which is no column of the spells. {did_you_mean(str(name), known)}"
            )
    return names


def _looked_for(
    spells: Spells,
    interventions: pd.DataFrame | None,
    strata: str | Sequence[str],
    columns: Sequence[str] | None,
    published_after: Mapping[str, int] | None,
) -> tuple[list[Sign], Material]:
    if not isinstance(spells, Spells):
        raise DataError(f"spells is a {type(spells).__name__}; give what churnsurv.data.build_spells returns.")
    names = _columns(spells, columns)
    by = _known(spells, [strata] if isinstance(strata, str) else list(strata), "strata")
    assigned = None
    if interventions is not None:
        assigned = read_assignments(interventions, spells.rules)
        check_same_type(assigned["loan_id"], spells.frame["loan_id"], "interventions", "spells")
    delays = _delays(published_after or {}, spells.rules)
    material = material_of(spells.frame, spells.ahead, spells.rules, names, by)
    return _signs(material, assigned, delays), material


def _delays(published_after: Mapping[str, int], rules: SpellRules) -> Mapping[str, int]:
    incentive = rules.rate_incentive
    known = [*rules.covariates.macro, *([incentive.market] if incentive else [])]
    for name, periods in published_after.items():
        if name not in known:
            raise DataError(
                f"published_after names {name!r}, which is no macro column of the rules. {did_you_mean(str(name), known)}"
            )
        if isinstance(periods, bool) or not isinstance(periods, Integral) or periods < 0:
            raise DataError(f"published_after[{name!r}] is {periods!r}; give a whole number of periods from 0.")
    return published_after


def _signs(m: Material, assigned: pd.DataFrame | None, published_after: Mapping[str, int]) -> list[Sign]:
    signs = [
        *outcome.post_outcome_columns(m),
        *outcome.changes_at_exit(m),
        *timing.unlagged_columns(m),
        *timing.future_macro_values(m, published_after),
        *immortal.immortal_time(m, assigned),
        *lifetime.lifetime_aggregates(m),
        *outcome.suspicious_discrimination(m),
        *dependence.collinear_columns(m),
        *dependence.calendar_only_columns(m),
        *of_columns.identifiers(m),
        *of_columns.constant_columns(m),
    ]
    explained = {sign.column: sign.rule for sign in reversed(signs) if sign.level == ERROR}
    return [sign for sign in signs if not _symptom(sign) or explained.get(sign.column, sign.rule) == sign.rule]


def _symptom(sign: Sign) -> bool:
    """Tell whether a sign is no news of a column in which another rule has found an error."""
    by_name_alone = sign.rule == outcome.POST_OUTCOME and sign.level == WARNING
    return by_name_alone or sign.rule in _SYMPTOMS


def _report(signs: list[Sign], m: Material) -> pd.DataFrame:
    found = {sign.rule for sign in signs}
    examined = f"{counted(len(m.columns), 'column')} of {counted(len(m.loan), 'spell')}{m.sample}"
    lines = [*signs, *(Sign(OK, rule, "", examined, "") for rule in RULES if rule not in found)]
    levels = [ERROR, WARNING, OK]
    lines.sort(key=lambda sign: (levels.index(sign.level), RULES.index(sign.rule)))
    rows = [
        (sign.level, sign.rule, ", ".join(sign.columns), sign.evidence, sign.remedy, sign.examples) for sign in lines
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)

"""A register of interventions: what was tried, what was to be estimated, what came out, what was decided.

One TOML file, kept by the lender beside the configuration of its reports. Effects are only worth what was written down before
they were looked at, and many tests of one quarter find something by chance: the register knows both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from churnsurv.data.config import ConfigTable, read_toml
from churnsurv.effects.multiplicity import adjusted_p_values
from churnsurv.effects.register_entries import Decision, Entry, Result
from churnsurv.exceptions import ConfigError
from churnsurv.messages import counted, first_of
from churnsurv.results import Estimate, TestResult

Floats = NDArray[np.float64]
#: first line of the file
HEAD = "# Register of interventions: see churnsurv.effects.InterventionRegister"
#: TOML's four kinds of text, in which a # is no comment; or a comment
_TEXT_OR_COMMENT = re.compile(
    r'''"""(?:\\.|[^\\])*?"""|\'{3}.*?\'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|(\#[^\n]*)''', re.DOTALL
)


class _File(ConfigTable):
    """The file of a register."""

    table: ClassVar[str] = "register"

    interventions: tuple[Entry, ...] = Field(default=(), description="see [[interventions]]")


@dataclass(frozen=True, repr=False)
class InterventionRegister:
    """What was tried to lower attrition, with what effect, and what was decided.

    Parameters
    ----------
    entries : tuple of Entry

    Raises
    ------
    ConfigError
        Two entries of one name in one quarter.

    Examples
    --------
    >>> from datetime import date
    >>> from churnsurv.effects import InterventionRegister, RegisterEntry
    >>> register = InterventionRegister().add(RegisterEntry(
    ...     name="Retention discount", reference="I1", quarter="2026 Q3", what="0.5 points off", design="randomised",
    ...     estimand="eligible loans, offer against hold-out: risk difference of attrition at 12 months",
    ...     specified_on=date(2025, 9, 1), analysed_from=date(2026, 9, 30)))
    >>> register.to_frame()[["name", "design", "prespecified", "decision"]]
                     name      design  prespecified decision
    0  Retention discount  randomised          True     open
    """

    entries: tuple[Entry, ...] = ()

    def __post_init__(self) -> None:
        keys = [(entry.quarter, entry.name) for entry in self.entries]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise ConfigError(
                f"{twice[0][1]!r} stands twice in the quarter {twice[0][0]}: give it another name, or revise the entry."
            )

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a register from its TOML file.

        Raises
        ------
        ConfigError
            No such file, no TOML, unknown keys, wrong values.
        """
        return cls(_File(**read_toml(path)).interventions)

    def add(self, entry: Entry | Mapping[str, Any]) -> InterventionRegister:
        """Give the register with one entry more; one that is there already is not replaced.

        Raises
        ------
        ConfigError
            The quarter has an entry of this name.
        """
        return InterventionRegister((*self.entries, _as_entry(entry)))

    def record(
        self,
        name: str,
        quarter: str,
        *,
        estimate: Estimate,
        test: TestResult,
        estimated_on: date,
        decision: Decision = "open",
        reason: str = "",
    ) -> InterventionRegister:
        """Give the register with the result (and the decision) of an entry; a result that is there is not replaced.

        Parameters
        ----------
        name, quarter : str
            Of the entry.
        estimate : Estimate
        test : TestResult
            The primary test.
        estimated_on : date
        decision, reason : str

        Raises
        ------
        ConfigError
            No such entry, or it has a result; an estimate or a test of another kind.
        """
        for argument, given, kind in (("estimate", estimate, Estimate), ("test", test, TestResult)):
            if not isinstance(given, kind):
                raise ConfigError(f"{argument} is a {type(given).__name__}; give the {kind.__name__} of the analysis.")
        entry = self._entry(name, quarter)
        if entry.result is not None:
            raise ConfigError(
                f"{name!r} has a result of {entry.result.estimated_on} already; nothing was changed. Add the new analysis "
                "under another name, as not primary, so that both stay on record."
            )
        result = Result(
            estimated_on=estimated_on,
            estimate=estimate.value,
            lower=estimate.lower,
            upper=estimate.upper,
            level=estimate.level,
            p_value=test.p_value,
            method=f"{estimate.name}: {estimate.method}. {test.name}: {test.method}",
        )
        return self._with(entry, result=result, decision=decision, reason=reason)

    def decide(self, name: str, quarter: str, decision: Decision, reason: str) -> InterventionRegister:
        """Give the register with the decision on an entry that is open.

        Raises
        ------
        ConfigError
            No such entry, it has no result, it is decided already, or the reason is empty.
        """
        entry = self._entry(name, quarter)
        if entry.decision != "open":
            raise ConfigError(
                f"{name!r} of {quarter} is decided already ({entry.decision!r}: {entry.reason}); nothing was changed."
            )
        return self._with(entry, decision=decision, reason=reason)

    def multiplicity(self, quarter: str, method: Literal["holm", "benjamini-hochberg"] = "holm") -> pd.DataFrame:
        """Adjust the primary, pre-specified tests of a quarter for their number.

        Holm (1979) bounds the probability of any false finding; Benjamini and Hochberg (1995) the expected share of false
        ones among the findings, for independent or positively dependent tests. The family is what was planned: tests of the
        quarter without a result yet count too, with p = 1. Tests that were not pre-specified or are not primary are shown
        without an adjusted p-value: no adjustment makes them confirmatory.

        Returns
        -------
        DataFrame
            name, primary, prespecified, p_value, adjusted_p_value, family (size of it).

        Raises
        ------
        ConfigError
            No entry of the quarter, or an unknown method.
        """
        if method not in ("holm", "benjamini-hochberg"):
            raise ConfigError(f"method={method!r} is not known: use 'holm' or 'benjamini-hochberg'.")
        entries = [entry for entry in self.entries if entry.quarter == quarter]
        if not entries:
            raise ConfigError(
                f"The register has no entry of {quarter!r}; its quarters are "
                f"{first_of(sorted({e.quarter for e in self.entries}))}."
            )
        p = np.array([np.nan if e.result is None else e.result.p_value for e in entries])
        family = np.array([e.primary and e.is_prespecified for e in entries])
        adjusted = np.full(len(p), np.nan)
        adjusted[family] = adjusted_p_values(np.nan_to_num(p[family], nan=1.0), method)
        return pd.DataFrame(
            {
                "name": [e.name for e in entries],
                "primary": [e.primary for e in entries],
                "prespecified": [e.is_prespecified for e in entries],
                "p_value": p,
                "adjusted_p_value": np.where(np.isnan(p), np.nan, adjusted),
                "family": int(family.sum()),
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per entry: its keys (dates as days), whether it was pre-specified, and the columns of its result."""
        rows = []
        for entry in self.entries:
            of_entry = entry.model_dump(exclude={"result"}) | {"prespecified": entry.is_prespecified}
            result = dict.fromkeys(Result.model_fields) if entry.result is None else entry.result.model_dump()
            rows.append(of_entry | result)
        columns = [name for name in Entry.model_fields if name != "result"]
        return pd.DataFrame(rows, columns=[*columns, "prespecified", *Result.model_fields])

    def write(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the register to a TOML file.

        Parameters
        ----------
        path : str or Path
        overwrite : bool
            Replace an existing file. Without it a file is replaced only where nothing is lost: every entry in it is among
            these, unchanged but for a result and a decision that it did not have, and it has no comments of its own.

        Raises
        ------
        ConfigError
            Something in the file would be lost, or there is no such folder; nothing is written then.
        """
        target = Path(path)
        if not target.parent.is_dir():
            raise ConfigError(f"There is no folder {str(target.parent)!r} to write {target.name!r} to: make it first.")
        if target.is_dir():
            raise ConfigError(f"{str(target)!r} is a folder: give the name of a file, such as register.toml.")
        if target.exists() and not overwrite:
            self._refuse_losses(target)
        text = HEAD + "\n"
        text += "".join(_toml(entry) for entry in self.entries)
        target.write_text(text, encoding="utf-8")
        return target

    def _refuse_losses(self, target: Path) -> None:
        before = type(self).read(target).entries
        comments = _comments(target.read_text(encoding="utf-8"))
        if comments:
            raise ConfigError(
                f"{str(target)!r} has {counted(len(comments), 'comment')} ({first_of(comments, 1)}), which would be lost; "
                "nothing was written. Move them into the entries, or pass overwrite=True to lose them."
            )
        now = {(entry.quarter, entry.name): entry for entry in self.entries}
        for entry in before:
            here = now.get((entry.quarter, entry.name))
            missing = None if here is None else _first_change(entry, here)
            if here is None or missing:
                what = "is not in this register" if here is None else f"has another {missing} there"
                raise ConfigError(
                    f"{str(target)!r}: {entry.name!r} of {entry.quarter} {what}; nothing was written. Read the file and "
                    "add to it, or pass overwrite=True to lose it."
                )

    def _entry(self, name: str, quarter: str) -> Entry:
        for entry in self.entries:
            if (entry.name, entry.quarter) == (name, quarter):
                return entry
        there = first_of((repr(e.name) for e in self.entries if e.quarter == quarter), 12) or "nothing"
        raise ConfigError(f"The register has no {name!r} in {quarter}; it has {there}.")

    def _with(self, entry: Entry, **changes: Any) -> InterventionRegister:
        changed = Entry(**({key: getattr(entry, key) for key in Entry.model_fields} | changes))
        return InterventionRegister(tuple(changed if e is entry else e for e in self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        n = {d: sum(e.decision == d for e in self.entries) for d in ("open", "keep", "change", "stop")}
        return f"InterventionRegister of {len(self)} interventions: {', '.join(f'{k} {v}' for k, v in n.items() if v)}"


def _as_entry(entry: Entry | Mapping[str, Any]) -> Entry:
    if isinstance(entry, Entry):
        return entry
    if not isinstance(entry, Mapping):
        raise ConfigError(f"An entry is a {type(entry).__name__}; give a RegisterEntry, or a mapping of its keys.")
    return Entry(**entry)


def _first_change(before: Entry, after: Entry) -> str | None:
    """Name the first key that differs; a result or a decision that was open may be added."""
    free = {"result"} if before.result is None else set()
    free |= {"decision", "reason"} if before.decision == "open" else set()
    for key in Entry.model_fields:
        if key not in free and getattr(before, key) != getattr(after, key):
            return key
    return None


def _comments(text: str) -> list[str]:
    """Give the comments of a TOML text but the head that the register writes itself."""
    found = [match[1].strip() for match in _TEXT_OR_COMMENT.finditer(text) if match[1]]
    return [comment for comment in found if comment != HEAD]


def _toml(entry: Entry) -> str:
    """Write an entry as TOML; keys that are None are left out."""
    lines = ["", "[[interventions]]"]
    lines += [f"{key} = {_value(value)}" for key, value in _given(entry, {"result"})]
    if entry.result is not None:
        lines += [
            "",
            "[interventions.result]",
            *(f"{key} = {_value(value)}" for key, value in _given(entry.result, set())),
        ]
    return "\n".join(lines) + "\n"


def _given(table: ConfigTable, without: set[str]) -> list[tuple[str, Any]]:
    pairs = ((key, getattr(table, key)) for key in type(table).model_fields if key not in without)
    return [(key, value) for key, value in pairs if value is not None]


def _value(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)  # TOML writes inf and nan as Python does
    # JSON's strings, numbers, true and false are TOML's; DEL alone must be escaped beside what JSON escapes
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

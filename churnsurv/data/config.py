"""Tables of a configuration file: unknown keys and wrong values are refused with the key and the nearest known one."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator

from churnsurv.exceptions import ConfigError
from churnsurv.messages import first_of


def did_you_mean(name: str, known: list[str]) -> str:
    """Give "Did you mean 'status'?", or the list of what is known when nothing is near."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else f"Known are {first_of(known, 30)}."


class ConfigTable(BaseModel):
    """A table of a configuration file; its subclasses say which keys there are.

    Every fault is a :class:`~churnsurv.exceptions.ConfigError` that names the table and the key, wherever the model is
    made: from a file, by its constructor, or nested in another table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: how the table is called in the file
    table: ClassVar[str] = ""

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, Mapping):
            unknown = [str(key) for key in data if key not in cls.model_fields]
            if unknown:
                hint = did_you_mean(unknown[0], list(cls.model_fields))
                raise ConfigError(f"[{cls.table}] has no key {unknown[0]!r}. {hint}")
        try:
            # errors of our own (ConfigError is no ValueError) pass through pydantic untouched
            return handler(data)
        except ValidationError as error:
            faults = "; ".join(_words(fault) for fault in error.errors())
            raise ConfigError(f"[{cls.table}] {faults}.") from None


def _words(fault: Mapping[str, Any]) -> str:
    """Give a fault of pydantic in the words of a configuration file: the key, and what is wrong with it."""
    message, given = fault["msg"], fault["input"]
    if fault["type"] == "tuple_type":
        message = "give a list"
        if isinstance(given, str | int | float):
            message = f"{given!r} stands alone; give a list, e.g. [{json.dumps(given)}]"
    return f"{'.'.join(str(part) for part in fault['loc']) or 'the table'}: {message}"


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file, with an error that says which file and what is wrong with it."""
    file = Path(path)
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        beside = sorted(other.name for other in file.parent.glob("*.toml")) if file.parent.is_dir() else []
        there = f" In its folder are: {first_of(beside, 10)}." if beside else ""
        raise ConfigError(f"There is no file {str(file)!r}.{there}") from None
    except OSError as error:
        raise ConfigError(f"{str(file)!r} cannot be read: {error.strerror}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{str(file)!r} is not TOML: {error}.") from None

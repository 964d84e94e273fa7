"""Readers of public loan-level formats: lazy tables, the rules that read them, and what each format cannot tell.

Lives here: one module per format, and what they share. May not: build spells (:func:`churnsurv.data.build_spells` does).
Every reader gives :class:`LenderTables` of Ibis tables on one DuckDB connection; no file is loaded into memory.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

#: public name → module it lives in
_HOME = {
    "LenderTables": "tables",
    "abs_ee_auto": "abs_ee",
    "fannie_mae": "fannie",
    "freddie_mac": "freddie",
    "lending_club": "lendingclub",
}

__all__ = ["LenderTables", "abs_ee_auto", "fannie_mae", "freddie_mac", "lending_club"]

if TYPE_CHECKING:
    from churnsurv.data.adapters.abs_ee import abs_ee_auto
    from churnsurv.data.adapters.fannie import fannie_mae
    from churnsurv.data.adapters.freddie import freddie_mac
    from churnsurv.data.adapters.lendingclub import lending_club
    from churnsurv.data.adapters.tables import LenderTables


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'churnsurv.data.adapters' has no attribute {name!r}")
    value = getattr(import_module(f"churnsurv.data.adapters.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

"""Identifiers of loans: comparable between tables, and never rounded."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of

#: whole numbers beyond this are not all there among doubles (2⁵³): different identifiers may have become one
LARGEST_EXACT = 2.0**53

_KINDS = {
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "string": "text",
}


def check_labels(values: pd.Series, table: str) -> None:
    """Refuse a column of identifiers, statuses or regions that holds lists or other containers."""
    if values.dtype != np.dtype(object) or pd.api.types.infer_dtype(values, skipna=True) in _KINDS:
        return
    for value in values:
        try:
            hash(value)
        except TypeError:
            raise DataError(
                f"Column {values.name!r} of the {table} table holds a {type(value).__name__} (e.g. {value!r}), which names "
                "nothing. Give numbers or text."
            ) from None


def check_ids(ids: pd.Series, table: str) -> None:
    """Refuse identifiers that cannot be told apart: containers, doubles beyond 2⁵³."""
    check_labels(ids, table)
    if not pd.api.types.is_float_dtype(ids.dtype):
        return
    rows = np.flatnonzero((ids.abs() > LARGEST_EXACT).to_numpy(dtype=bool, na_value=False))
    if len(rows):
        raise DataError(inexact_words(str(ids.name), table, str(ids.dtype), len(rows), f"row {first_of(rows)}"))


def inexact_words(name: str, table: str, kind: str, n: int, where: str) -> str:
    """Say that doubles cannot tell identifiers apart."""
    return (
        f"Column {name!r} of the {table} table is {kind} and holds {counted(n, 'identifier')} above 2**53 ({where}), where "
        "neighbouring numbers are one: the last digits are lost. Read the column as text or as integers."
    )


def check_same_type(ids: pd.Series, known: pd.Series, table: str, known_table: str = "loans") -> None:
    """Refuse numbers in one table where the other has text: no loan would be found."""
    kind, other = _kind(ids), _kind(known)
    if kind and other and kind != other:
        types = (f"{ids.dtype}, e.g. {_example(ids)}", f"{known.dtype}, e.g. {_example(known)}")
        raise DataError(different_kinds_words(str(ids.name), (table, known_table), (kind, other), types))


def different_kinds_words(name: str, tables: tuple[str, str], kinds: tuple[str, str], types: tuple[str, str]) -> str:
    """Say that identifiers are numbers in one table and text in the other."""
    column = f"{tables[0]}[{name!r}]"
    how = {"text": f", e.g. {column} = {column}.astype(str)", "number": f", e.g. {column} = {column}.astype(int)"}
    return (
        f"Column {name!r} is {kinds[0]} in the {tables[0]} table ({types[0]}) and {kinds[1]} in the {tables[1]} table "
        f"({types[1]}): nothing can be joined. Give both the same type{how.get(kinds[1], '')}."
    )


def _kind(ids: pd.Series) -> str:
    values = ids.astype(ids.cat.categories.dtype) if isinstance(ids.dtype, pd.CategoricalDtype) else ids
    return _KINDS.get(pd.api.types.infer_dtype(values, skipna=True), "")


def _example(ids: pd.Series) -> str:
    values = ids.dropna()
    return repr(values.to_numpy()[:1].tolist()[0]) if len(values) else "none"

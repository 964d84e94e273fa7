"""R's functions of vectors and lists that the oracle cases use, as far as they decide what is fitted to what."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tests.oracle_r.evaluator import apply
from tests.oracle_r.values import Builtin, Frame, Later, Outside, Pack, settled, vector


def _text(values: Any) -> np.ndarray:
    def one(value: Any) -> str:
        if isinstance(value, str | bool | np.bool_):
            return str(value) if isinstance(value, str) else str(bool(value)).upper()
        return "NA" if value != value else f"{value:.15g}"

    values = values if isinstance(values, list | tuple) else np.asarray(values).ravel()
    return np.array([one(v) for v in values], dtype=object)


def _aligned(*vectors: Any) -> list[np.ndarray]:
    """Recycle vectors to a common length; matrices stay as they are."""
    arrays = [np.asarray(v) for v in vectors]
    if any(a.ndim > 1 for a in arrays):
        return arrays
    length = 0 if any(len(a) == 0 for a in arrays) else max(len(a) for a in arrays)
    return [np.resize(a, length) if len(a) != length else a for a in arrays]


def _binary(function: Callable[..., Any], numeric: bool = True) -> Builtin:
    def call(a: Any, b: Any = None) -> Any:
        if b is None:
            return function(np.zeros(1), np.asarray(a, dtype=float))
        a, b = _aligned(a, b)
        if numeric:
            with np.errstate(invalid="ignore", divide="ignore"):  # as R: NaN and infinities without a word
                return function(a.astype(float), b.astype(float))
        if (a.dtype == object) != (b.dtype == object):
            a, b = (v if v.dtype == object else _text(v) for v in (a, b))
        return np.asarray(function(a, b), dtype=bool)

    return Builtin(call)


def _elementwise(function: Callable[..., Any]) -> Builtin:
    return Builtin(lambda x: function(np.asarray(x, dtype=float)))


def _summary(function: Callable[..., Any]) -> Builtin:
    def call(*values: Any, na_rm: Any = None) -> Any:
        return np.array([function(np.concatenate([np.asarray(v, dtype=float).ravel() for v in values]))])

    return Builtin(call)


def _combine(*values: Any, **named: Any) -> Any:
    """``c()``: a list when one part is a list, else a vector."""
    parts = [*((None, v) for v in values), *named.items()]
    for _, value in parts:
        if isinstance(value, Outside):
            return value
    packs = [value.kind for value in values if isinstance(value, Pack)]
    if any(isinstance(value, dict | list) for _, value in parts):
        made: dict[str, Any] = {}
        for name, value in parts:
            if isinstance(value, Later):
                return Later(lambda: _combine(*[settled(v) for v in values], **settled(named)))
            if value is not None:
                made |= value if isinstance(value, dict) else {name or str(len(made) + 1): value}
        return Pack(packs[0], made) if packs else made
    if any(isinstance(value, Later) for _, value in parts):
        return Later(lambda: _combine(*[settled(v) for v in values], **settled(named)))
    arrays = [(name, np.asarray(value).ravel()) for name, value in parts if value is not None]
    if not arrays:
        return None
    flat = np.concatenate([_text(a) if _mixed(arrays) else a for _, a in arrays])
    if named and all(len(a) == 1 for _, a in arrays):
        return pd.Series(flat, index=[name or "" for name, _ in arrays])
    return flat


def _mixed(arrays: list[tuple[Any, np.ndarray]]) -> bool:
    return any(a.dtype == object for _, a in arrays)


def _list(*values: Any, **named: Any) -> Any:
    if not named:
        return list(values) if values else {}
    return {**{str(i + 1): v for i, v in enumerate(values)}, **named}


def _rep(x: Any, times: Any = None, each: Any = None, length_out: Any = None) -> Any:
    x = np.asarray(x)
    if each is not None:
        x = np.repeat(x, int(each[0]))
    if length_out is not None:
        return np.resize(x, int(length_out[0]))
    times = np.asarray([1] if times is None else times, dtype=int)
    return np.repeat(x, times) if len(times) == len(x) else np.tile(x, times[0])


def _data_frame(*frames: Any, stringsAsFactors: Any = None, check_names: Any = None, **columns: Any) -> Any:
    if len(frames) == 1 and isinstance(frames[0], Pack):
        return frames[0]  # what is listed together stays together
    frame = Frame()
    for part in frames:
        if isinstance(part, Outside):
            return part
        frame.update(part)
    frame.update(columns)
    length = max((len(v) for v in frame.values() if not isinstance(v, Outside | Later)), default=0)
    return Frame(
        {k: v if isinstance(v, Outside | Later) else np.resize(np.asarray(v), length) for k, v in frame.items()}
    )


def _factor(x: Any, levels: Any = None, labels: Any = None) -> Any:
    x = np.asarray(x)
    known = pd.Series(x).dropna()
    levels = np.array(sorted(pd.unique(known)), dtype=x.dtype) if levels is None else np.asarray(levels)
    codes = pd.Index(levels).get_indexer(x)
    return pd.Categorical.from_codes(codes, _text(levels if labels is None else labels))


def _names(x: Any) -> Any:
    if isinstance(x, dict):
        return np.array(list(x), dtype=object)
    if isinstance(x, Later):
        return Later(lambda: _names(settled(x)))
    if isinstance(x, Outside | list):
        return x if isinstance(x, Outside) else Outside("names of this are not translated")
    return np.array(list(x.index), dtype=object) if isinstance(x, pd.Series) else None


def _set_names(x: Any, names: Any) -> Any:
    if isinstance(x, list | dict):
        return dict(zip(names, x.values() if isinstance(x, dict) else x, strict=True))
    return pd.Series(np.asarray(x), index=list(_text(names)))


def _as_list(x: Any) -> Any:
    if isinstance(x, pd.Series):
        return {name: vector(value) for name, value in x.items()}
    return x if isinstance(x, dict | list) else [vector(value) for value in x]


def _apply_each(x: Any, function: Any, *more: Any, **named: Any) -> Any:
    """``lapply()``."""
    if isinstance(x, Outside):
        return x
    if isinstance(x, Later):
        return Later(lambda: _apply_each(settled(x), function, *more, **named))
    if not isinstance(x, dict | list):
        x = _as_list(x)
    if isinstance(x, dict):
        made = {name: apply(function, [value, *more], named) for name, value in x.items()}
        return Pack(x.kind, made) if isinstance(x, Pack) else made
    return [apply(function, [value, *more], named) for value in x]


def _simplified(x: Any, function: Any, *more: Any, **named: Any) -> Any:
    """``sapply()``: a vector when every result is one number."""
    made = _apply_each(x, function, *more, **named)
    if isinstance(x, np.ndarray) and x.dtype == object and isinstance(made, list):
        made = dict(zip(x, made, strict=True))
    return apply(Builtin(_simplify), [made])


def _simplify(made: Any) -> Any:
    parts = list(made.values()) if isinstance(made, dict) else made
    for part in parts:
        if isinstance(part, Outside):
            return part
    if not all(np.size(part) == 1 for part in parts):
        return np.column_stack(parts)
    flat = np.array([np.asarray(part).ravel()[0] for part in parts])
    return pd.Series(flat, index=list(made)) if isinstance(made, dict) else flat


def _unlist(x: Any) -> Any:
    flat: list[Any] = []

    def walk(part: Any) -> None:
        if isinstance(part, dict | list):
            for inner in part.values() if isinstance(part, dict) else part:
                walk(inner)
        else:
            flat.append(part)

    walk(x)
    return next((v for v in flat if isinstance(v, Outside)), None) or _combine(*flat)


def _split(x: Any, by: Any) -> Any:
    by = np.asarray(by)
    levels = sorted(pd.unique(by))
    rows = x.rows if isinstance(x, Frame) else x.__getitem__
    return {str(_text([level])[0]): rows(np.flatnonzero(by == level)) for level in levels}


def _paste(*values: Any, sep: Any = None, collapse: Any = None) -> Any:
    between = " " if sep is None else sep[0]
    vectors = _aligned(*[_text(v) for v in values])
    made = np.array([between.join(parts) for parts in zip(*vectors, strict=True)], dtype=object)
    return made if collapse is None else np.array([collapse[0].join(made)], dtype=object)


def _gsub(pattern: Any, replacement: Any, x: Any, fixed: Any = None) -> Any:
    expression = re.escape(pattern[0]) if fixed is not None else pattern[0]
    return np.array([re.sub(expression, replacement[0], text) for text in _text(x)], dtype=object)


def _ifelse(test: Any, yes: Any, no: Any) -> Any:
    test, yes, no = _aligned(test, yes, no)
    return np.where(test.astype(bool), yes, no)


def _is_missing(x: Any) -> Any:
    if isinstance(x, Frame):
        return np.column_stack([pd.isna(column) for column in x.values()])
    return np.asarray(pd.isna(np.asarray(x)))


def _sequence(start: Any, stop: Any = None, by: Any = None, length_out: Any = None) -> Any:
    if length_out is not None:
        return np.linspace(start[0], stop[0], int(length_out[0]))
    step = 1.0 if by is None else float(by[0])
    return np.arange(start[0], stop[0] + step * 1e-9, step)


def _colon(start: Any, stop: Any) -> Any:
    step = 1 if stop[0] >= start[0] else -1
    return np.arange(start[0], stop[0] + step / 2, step, dtype=float)


def _length(x: Any) -> Any:
    return np.array([0 if x is None else len(x)])


def _number_of_rows(x: Any) -> Any:
    later = getattr(x, "later_rows", None)
    return later or np.array([x.n_rows if isinstance(x, Frame) else len(x)])


def _group_apply(x: Any, by: Any, function: Any) -> Any:
    return _simplified(_split(np.asarray(x), by), function)


def _column_bind(*parts: Any, **named: Any) -> Any:
    if any(isinstance(part, Frame) for part in parts):
        return _data_frame(*parts, **named)
    return Outside("cbind of vectors is not translated")


def _row_bind(*parts: Any) -> Any:
    if all(isinstance(part, Frame) for part in parts):
        return Frame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    width = max(np.shape(part)[-1] for part in parts)
    return np.vstack([part if np.ndim(part) == 2 else np.resize(np.asarray(part), width) for part in parts])


def _round(x: Any, digits: Any = None) -> Any:
    return np.round(np.asarray(x, dtype=float), 0 if digits is None else int(digits[0]))


def _order(x: Any) -> Any:
    return np.argsort(np.asarray(x), kind="stable") + 1


def _upper_chisq(q: Any, df: Any, lower_tail: Any = None) -> Any:
    tail = stats.chi2.cdf if lower_tail is None or lower_tail[0] else stats.chi2.sf
    return tail(np.asarray(q, dtype=float), np.asarray(df, dtype=float))


def _quantile(x: Any, probs: Any) -> Any:
    return np.quantile(np.asarray(x, dtype=float), np.asarray(probs, dtype=float))


def _pairs(x: Any, m: Any) -> Any:
    """``combn(x, 2)``: one pair per column."""
    return np.array(list(itertools.combinations(np.asarray(x), int(m[0]))), dtype=object).T


def _do_call(function: Any, arguments: Any) -> Any:
    positional = arguments if isinstance(arguments, list) else []
    return apply(function, positional, arguments if isinstance(arguments, dict) else {})


def _plain(x: Any) -> Any:
    return np.asarray(x)


def _numeric(x: Any) -> Any:
    if isinstance(x, pd.Categorical):
        return x.codes + 1.0
    return pd.to_numeric(pd.Series(np.asarray(x).ravel())).to_numpy(dtype=float)


def _unnamed(x: Any) -> Any:
    if isinstance(x, Outside | Later):
        return x if isinstance(x, Outside) else Later(lambda: _unnamed(settled(x)))
    return list(x.values()) if type(x) is dict else x if isinstance(x, list) else np.asarray(x)


FUNCTIONS: dict[str, Builtin] = {
    "+": _binary(operator.add),
    "-": _binary(operator.sub),
    "*": _binary(operator.mul),
    "/": _binary(operator.truediv),
    "^": _binary(np.power),
    "%%": _binary(np.mod),
    "%/%": _binary(np.floor_divide),
    ":": Builtin(_colon),
    "==": _binary(operator.eq, False),
    "!=": _binary(operator.ne, False),
    "<": _binary(operator.lt, False),
    ">": _binary(operator.gt, False),
    "<=": _binary(operator.le, False),
    ">=": _binary(operator.ge, False),
    "&": _binary(np.logical_and, False),
    "|": _binary(np.logical_or, False),
    "!": Builtin(lambda x: ~np.asarray(x, dtype=bool)),
    "%in%": Builtin(lambda x, table: np.isin(np.asarray(x), np.asarray(table))),
    "exp": _elementwise(np.exp),
    "log": _elementwise(np.log),
    "sqrt": _elementwise(np.sqrt),
    "abs": _elementwise(np.abs),
    "floor": _elementwise(np.floor),
    "ceiling": _elementwise(np.ceil),
    "log10": _elementwise(np.log10),
    "log2": _elementwise(np.log2),
    "log1p": _elementwise(np.log1p),
    "cos": _elementwise(np.cos),
    "acos": _elementwise(np.arccos),
    "cumsum": _elementwise(np.cumsum),
    "cumprod": _elementwise(np.cumprod),
    "diff": _elementwise(np.diff),
    "sum": _summary(np.sum),
    "mean": _summary(np.mean),
    "max": _summary(np.max),
    "min": _summary(np.min),
    "median": _summary(np.median),
    "sd": _summary(lambda x: np.std(x, ddof=1)),
    "var": _summary(lambda x: np.var(x, ddof=1)),
    "range": Builtin(lambda x: np.array([np.min(x), np.max(x)])),
    "pmin": _binary(np.minimum),
    "pmax": _binary(np.maximum),
    "round": Builtin(_round),
    "order": Builtin(_order),
    "c": Builtin(_combine, structural=True),
    "list": Builtin(_list, structural=True),
    "rep": Builtin(_rep),
    "data.frame": Builtin(_data_frame, structural=True),
    "as.data.frame": Builtin(_data_frame, structural=True),
    "cbind": Builtin(_column_bind),
    "rbind": Builtin(_row_bind),
    "factor": Builtin(_factor),
    "as.factor": Builtin(_factor),
    "names": Builtin(_names, structural=True),
    "colnames": Builtin(_names),
    "levels": Builtin(lambda x: np.asarray(x.categories)),
    "setNames": Builtin(_set_names),
    "as.list": Builtin(_as_list),
    "nv": Builtin(_as_list),
    "unname": Builtin(_unnamed, structural=True),
    "lapply": Builtin(_apply_each, structural=True),
    "sapply": Builtin(_simplified, structural=True),
    "vapply": Builtin(lambda x, f, *_: _simplified(x, f), structural=True),
    "unlist": Builtin(_unlist),
    "split": Builtin(_split),
    "tapply": Builtin(_group_apply),
    "paste": Builtin(_paste),
    "gsub": Builtin(_gsub),
    "sub": Builtin(_gsub),
    "paste0": Builtin(lambda *values, collapse=None: _paste(*values, sep=[""], collapse=collapse)),
    "ifelse": Builtin(_ifelse),
    "is.na": Builtin(_is_missing),
    "complete.cases": Builtin(lambda x: ~_is_missing(x).reshape(len(_is_missing(x)), -1).any(axis=1)),
    "which": Builtin(lambda x: np.flatnonzero(x) + 1),
    "any": Builtin(lambda x: np.array([np.any(x)])),
    "all": Builtin(lambda x: np.array([np.all(x)])),
    "seq_len": Builtin(lambda n: np.arange(1.0, float(np.asarray(n).ravel()[0]) + 1)),
    "seq_along": Builtin(lambda x: np.arange(1.0, len(x) + 1)),
    "seq": Builtin(_sequence),
    "length": Builtin(_length),
    "nrow": Builtin(_number_of_rows),
    "ncol": Builtin(lambda x: np.array([len(x) if isinstance(x, Frame) else x.shape[1]])),
    "unique": Builtin(lambda x: pd.unique(np.asarray(x))),
    "sort": Builtin(lambda x: np.sort(np.asarray(x))),
    "rev": Builtin(lambda x: np.asarray(x)[::-1]),
    "duplicated": Builtin(lambda x: pd.Series(np.asarray(x)).duplicated().to_numpy()),
    "head": Builtin(lambda x, n=(6,): x[: int(n[0])]),
    "tail": Builtin(lambda x, n=(6,): x[-int(n[0]) :]),
    "as.numeric": Builtin(_numeric),
    "as.integer": Builtin(lambda x: np.trunc(_numeric(x))),
    "vec": Builtin(_plain),
    "mat": Builtin(lambda x: np.asarray(x) if np.ndim(x) == 2 else np.asarray(x)[:, None]),
    "as.character": Builtin(_text),
    "is.factor": Builtin(lambda x: np.array([isinstance(x, pd.Categorical)])),
    "as.vector": Builtin(_plain),
    "as.matrix": Builtin(lambda x: np.column_stack(list(x.values())) if isinstance(x, Frame) else np.atleast_2d(x)),
    "matrix": Builtin(lambda x, nrow=(1,): np.reshape(np.asarray(x), (int(nrow[0]), -1), order="F")),
    "na.pass": Builtin(_plain),
    "I": Builtin(_plain),
    "diag": Builtin(np.diag),
    "solve": Builtin(lambda *x: np.linalg.solve(*x) if len(x) == 2 else np.linalg.inv(*x)),
    "crossprod": Builtin(lambda x: x.T @ x),
    "%*%": Builtin(lambda a, b: np.atleast_1d(np.asarray(a) @ np.asarray(b))),
    "quantile": Builtin(_quantile),
    "weighted.mean": Builtin(lambda x, w: np.array([np.average(x, weights=w)])),
    "combn": Builtin(_pairs),
    "pchisq": Builtin(_upper_chisq),
    "pnorm": Builtin(lambda x: stats.norm.cdf(np.asarray(x, dtype=float))),
    "qnorm": Builtin(lambda p: stats.norm.ppf(np.asarray(p, dtype=float))),
    "do.call": Builtin(_do_call),
    "inherits": Builtin(lambda *_: np.array([False]), structural=True),
    "match": Builtin(lambda x, table: pd.Index(table).get_indexer(x) + 1.0),
    "substr": Builtin(lambda x, start, stop: np.array([t[int(start[0]) - 1 : int(stop[0])] for t in x], dtype=object)),
    "is.null": Builtin(lambda x: np.array([x is None])),
    "nlevels": Builtin(lambda x: np.array([len(x.categories)])),
}

"""Saving and loading fitted models without pickle: a JSON header and an archive of arrays in one file.

A file is a zip archive (NumPy's npz) of the arrays and a header; the header holds the class, the parameters, everything
else of the fit, the versions it was made with, and a SHA-256 of all of it. Loading runs no code from the file. (A formula
is evaluated when the loaded model predicts: load models from sources whose formulas you would run.)
"""

from __future__ import annotations

import copy
import datetime
import decimal
import hashlib
import io
import json
import sys
import zipfile
import zlib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.data.encoder import DesignEncoder
from churnsurv.exceptions import DataError

#: classes that may be saved, and where they live
_CLASSES = {
    "CoxPH": "churnsurv.estimators.cox",
    "CauseSpecificCox": "churnsurv.estimators.cause_specific",
    "FineGray": "churnsurv.estimators.fine_gray",
    "RandomSurvivalForest": "churnsurv.estimators.forest",
    "NullModel": "churnsurv.estimators.null",
    "DiscreteHazard": "churnsurv.estimators.discrete",
    "Recalibrated": "churnsurv.estimators.recalibrated",
    "KaplanMeier": "churnsurv.nonparametric",
    "NelsonAalen": "churnsurv.nonparametric",
    "AalenJohansen": "churnsurv.nonparametric",
    "CensoringModel": "churnsurv.nonparametric",
}
#: fitted attributes with one row per customer of the training data; they stay out of the file
_ROWS_OF_CUSTOMERS = ("oob_curves_", "bound_")
#: fitted attributes that tell the mean covariates of risk sets
_OF_RISK_SETS = ("hazard_variance_", "hazard_gradient_", "curve_parts_", "variance_parts_")
#: records that fitted models hold, and where they live
_RECORDS = {
    "Curves": "churnsurv.curves",
    "Estimate": "churnsurv.results",
    "GroupFit": "churnsurv.nonparametric.base",
    "CauseFit": "churnsurv.estimators.discrete_fit",
}
#: values that are levels of a category at times, written as text and read again
_TEXT_OF: dict[type, Any] = {
    datetime.date: datetime.date.isoformat,
    decimal.Decimal: str,
    pd.Timedelta: lambda value: f"{value.value} {value.unit}",
    pd.Period: lambda value: f"{value.ordinal} {value.freqstr}",
}
_OF_TEXT: dict[str, Any] = {
    "date": datetime.date.fromisoformat,
    "Decimal": decimal.Decimal,
    "Timedelta": lambda text: pd.Timedelta(np.timedelta64(int(text.split()[0]), text.split()[1])),
    "Period": lambda text: pd.Period(ordinal=int(text.split()[0]), freq=text.split()[1]),
}
_FORMAT = 1
#: one date for every member of the archive, so that saving the same model twice gives the same bytes
_DATE = (1980, 1, 1, 0, 0, 0)


def save(model: Any, path: str | Path, *, overwrite: bool = False, intervals: bool = True) -> Path:
    """Save a fitted churnsurv model to one file, without anything that has a row per customer (out-of-bag curves).

    Parameters
    ----------
    model : fitted estimator
    path : str or Path
        Customarily ending in ``.churnsurv``.
    overwrite : bool
        Replace an existing file.
    intervals : bool
        False: leave out of Cox models what the standard errors of predictions need. These are the mean covariates of every
        risk set, which say much about the few customers of a thin one: leave them out of files that go to others.

    Raises
    ------
    DataError
        The model is not one of churnsurv's, not fitted, or the file exists.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd, tempfile, pathlib
    >>> model = cs.CoxPH().fit(pd.DataFrame({"x": [0.0, 1.0, 0.5, 0.2]}), cs.Outcome([3, 1, 2, 4], [1, 1, 0, 1]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = cs.load(cs.save(model, pathlib.Path(folder) / "model.churnsurv"))
    >>> bool((again.coef_ == model.coef_).all())
    True
    """
    name = type(model).__name__
    if name == "AdaptedModel":
        raise DataError(
            "An adapted model holds another library's object, which only a pickle could keep, and loading a pickle runs code: "
            "save the data and the code that fits it, or pickle it yourself where you trust the file."
        )
    if name not in _CLASSES or not type(model).__module__.startswith("churnsurv."):
        raise DataError(f"{name} cannot be saved; churnsurv saves {sorted(_CLASSES)}.")
    if not any(key.endswith("_") and not key.startswith("_") for key in vars(model)):
        raise DataError(f"This {name} is not fitted: call fit before saving it.")
    target = Path(path)
    if not target.parent.is_dir():
        raise DataError(f"There is no folder {target.parent} to save the model in; make it first.")
    if target.exists() and not overwrite:
        raise DataError(f"{target} exists. Choose another name, or pass overwrite=True.")
    arrays: dict[str, np.ndarray] = {}
    content = {
        "format": _FORMAT,
        "model": _encoded(model if intervals else _without_intervals(model), arrays),
        "versions": {"churnsurv": version("churnsurv"), "python": sys.version.split()[0]}
        | {package: version(package) for package in ("numpy", "pandas", "formulaic", "scikit-learn")},
    }
    members = {f"{key}.npy": _npy(array) for key, array in arrays.items()}
    header = content | {"sha256": _digest(content, members)}
    buffer = io.BytesIO()
    # of the counts in a forest's leaves bzip2 makes a quarter less than deflate, in the same time
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr(zipfile.ZipInfo("header.json", _DATE), json.dumps(header, indent=1))
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member, _DATE), data, zipfile.ZIP_BZIP2)
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(buffer.getvalue())
    partial.replace(target)
    return target


def load(path: str | Path) -> Any:
    """Load a model saved by :func:`save`; its hash is checked first.

    Raises
    ------
    DataError
        The file is missing, no model of churnsurv, altered or damaged, or of a later format.
    """
    source = Path(path)
    if not source.is_file():
        raise DataError(f"There is no file {source}.")
    try:
        with zipfile.ZipFile(source) as archive:
            header = json.loads(archive.read("header.json"))
            members = {name: archive.read(name) for name in archive.namelist() if name != "header.json"}
        expected = header.pop("sha256")
    except (zipfile.BadZipFile, zlib.error, OSError, KeyError, ValueError, EOFError, NotImplementedError) as error:
        raise DataError(f"{source} is not a model saved by churnsurv ({error}).") from error
    if header.get("format") != _FORMAT:
        raise DataError(
            f"{source} has format {header.get('format')}; this churnsurv reads {_FORMAT}. Update churnsurv."
        )
    if _digest(header, members) != expected:
        raise DataError(f"{source} was altered or damaged: its content does not match its SHA-256. Use a good copy.")
    arrays = {
        name.removesuffix(".npy"): np.load(io.BytesIO(data), allow_pickle=False) for name, data in members.items()
    }
    return _decoded(header["model"], arrays)


def _without_intervals(model: Any) -> Any:
    """Give a copy of a model whose predictions have no standard errors."""
    made = copy.copy(model)
    if hasattr(made, "models_"):
        made.models_ = {cause: _without_intervals(of_cause) for cause, of_cause in made.models_.items()}
    for name in _OF_RISK_SETS:
        if hasattr(made, name):
            setattr(made, name, None)
    return made


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _digest(content: dict[str, Any], members: dict[str, bytes]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(members):
        digest.update(name.encode() + members[name])
    return digest.hexdigest()


def _encoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Turn a value into JSON, arrays put aside under a key. Kinds: see :func:`_decoded`."""

    def inner(part: Any) -> Any:
        return _encoded(part, arrays)

    if value is None or isinstance(value, bool | int | str):
        return value
    if type(value) in _TEXT_OF:
        return {"kind": type(value).__name__, "value": _TEXT_OF[type(value)](value)}
    if isinstance(value, pd.Interval):
        return {"kind": "Interval", "ends": [inner(value.left), inner(value.right)], "closed": value.closed}
    if isinstance(value, datetime.date):
        return {"kind": "time", "value": pd.Timestamp(value).isoformat()}
    if isinstance(value, float):
        return value if np.isfinite(value) else {"kind": "float", "value": repr(value)}
    if isinstance(value, np.generic):
        return {"kind": "scalar", "dtype": value.dtype.str, "value": inner(value.item())}
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return {"kind": "objects", "values": [inner(v) for v in value.tolist()]}
        key = f"a{len(arrays)}"
        arrays[key] = value
        return {"kind": "array", "key": key}
    if isinstance(value, pd.Index):
        return {"kind": "index", "names": list(value.names), "values": inner(value.to_numpy())}
    if isinstance(value, pd.Series):
        return {"kind": "series", "name": value.name, "index": inner(value.index), "values": inner(value.to_numpy())}
    if isinstance(value, pd.DataFrame):
        columns = [[inner(name), inner(value[name].to_numpy())] for name in value.columns]
        return {"kind": "frame", "columns": columns, "index": inner(value.index)}
    if isinstance(value, list | tuple):
        return {
            "kind": type(value).__name__ if type(value) in (list, tuple) else "tuple",
            "values": [inner(v) for v in value],
        }
    if isinstance(value, dict):
        items = []
        for k, v in value.items():
            try:
                items.append([inner(k), inner(v)])
            except _NotSavedError as error:
                # such as the levels of a column, by its name
                raise _NotSavedError(f"Of {k!r}: {error}") from None
        return {"kind": "dict", "items": items}
    if isinstance(value, DesignEncoder):
        return {"kind": "encoder", "state": inner(value.state())}
    if type(value).__name__ in _RECORDS:
        fields = {name: inner(getattr(value, name)) for name in value.__dataclass_fields__}
        return {"kind": "record", "class": type(value).__name__, "fields": fields}
    if type(value).__name__ in _CLASSES:
        left_out = {*value.get_params(deep=False), *_ROWS_OF_CUSTOMERS}
        fitted = {k: inner(v) for k, v in vars(value).items() if k not in left_out}
        params = {k: inner(v) for k, v in value.get_params(deep=False).items()}
        return {"kind": "model", "class": type(value).__name__, "params": params, "fitted": fitted}
    if isinstance(value, np.random.RandomState):
        raise DataError(
            "random_state is a generator, whose state is not saved: fit with a whole number as random_state."
        )
    raise _NotSavedError(
        f"a value of type {type(value).__name__} ({value!r}) cannot be saved. Make text of such values (e.g. "
        "X[column].astype(str)) and fit again."
    )


class _NotSavedError(DataError):
    """A value that has no form in a file; the names of what holds it are added on the way up."""


def _decoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    def inner(part: Any) -> Any:
        return _decoded(part, arrays)

    if not isinstance(value, dict):
        return value
    kind = value["kind"]
    if kind == "float":
        return float(value["value"])
    if kind in _OF_TEXT:
        return _OF_TEXT[kind](value["value"])
    if kind == "Interval":
        return pd.Interval(inner(value["ends"][0]), inner(value["ends"][1]), closed=value["closed"])
    if kind == "time":
        return pd.Timestamp(value["value"])
    if kind == "scalar":
        return np.dtype(value["dtype"]).type(inner(value["value"]))
    if kind == "array":
        return arrays[value["key"]]
    if kind == "objects":
        objects = np.empty(len(value["values"]), dtype=object)
        objects[:] = [inner(v) for v in value["values"]]
        return objects
    if kind == "index":
        return pd.Index(inner(value["values"]), name=value["names"][0])
    if kind == "series":
        return pd.Series(inner(value["values"]), index=inner(value["index"]), name=value["name"])
    if kind == "frame":
        return pd.DataFrame({inner(n): inner(v) for n, v in value["columns"]}, index=inner(value["index"]))
    if kind in ("list", "tuple"):
        values = [inner(v) for v in value["values"]]
        return values if kind == "list" else tuple(values)
    if kind == "dict":
        return {inner(k): inner(v) for k, v in value["items"]}
    if kind == "encoder":
        return DesignEncoder.from_state(inner(value["state"]))
    if kind == "record" and value["class"] in _RECORDS:
        record_class = getattr(import_module(_RECORDS[value["class"]]), value["class"])
        return record_class(**{name: inner(part) for name, part in value["fields"].items()})
    if kind == "model" and value["class"] in _CLASSES:
        model_class = getattr(import_module(_CLASSES[value["class"]]), value["class"])
        model = model_class(**{k: inner(v) for k, v in value["params"].items()})
        for name, part in value["fitted"].items():
            setattr(model, name, inner(part))
        return model
    raise DataError(f"The file holds a part of unknown kind {kind!r}; it was made by a later churnsurv.")

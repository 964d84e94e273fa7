"""What stands beside a model of many terms: each term in a model of its own, and how many customers have each level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from churnsurv.data.features import feature_frame
from churnsurv.estimators.inputs import as_outcome
from churnsurv.exceptions import DataError
from churnsurv.outcome import Outcome


def univariable_fits(
    model: Any, X: pd.DataFrame | ArrayLike, y: Outcome | NDArray[Any], **arguments: Any
) -> dict[str, Any]:
    """Fit each term of a model by itself: the same class and options, rows, strata, weights, clusters and offset.

    The hazard ratio of such a fit is not adjusted for the other terms. Rows that the model left out for a missing covariate
    are left out of every fit, so that both columns of a table are about the same customers.

    Parameters
    ----------
    model : CoxPH or FineGray
        Fitted.
    X, y : frame or array, Outcome
        The rows of the fit.
    **arguments : row arguments
        Of its ``fit``; columns named there are remembered, arrays are passed again.

    Returns
    -------
    dict
        Term of the formula (without one: column) → fitted model. Interactions have none: alone they mean nothing.

    Raises
    ------
    DataError
        Other rows than those of the fit; an argument of the fit that is not passed.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> from churnsurv.estimators.univariable import univariable_fits
    >>> X = pd.DataFrame({"rate": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3], "age": [3, 1, 2, 5, 4, 6]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1])
    >>> list(univariable_fits(cs.CoxPH().fit(X, y), X, y))
    ['rate', 'age']
    """
    frame, outcome, given = _rows_of_fit(model, X, y, arguments)
    fits = {}
    for term in model.encoder_.columns_by_term():
        formula = _alone(model, term)
        if formula is not None:
            fits[term] = clone(model).set_params(formula=formula).fit(frame, outcome, **given)
    return fits


def level_counts(model: Any, X: pd.DataFrame | ArrayLike, y: Outcome | NDArray[Any]) -> pd.DataFrame:
    """Count subjects, rows and events of the model's cause: of all rows used, and by level of each category.

    Returns
    -------
    DataFrame
        Columns column and level ("" for all rows), subjects (with at least one row there, so that one whose level changes
        counts in each), rows, events.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> from churnsurv.estimators.univariable import level_counts
    >>> X = pd.DataFrame({"rate": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3], "grade": list("ABABAB")})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1])
    >>> level_counts(cs.CoxPH().fit(X, y), X, y).to_numpy().tolist()
    [['', '', 6, 6, 4], ['grade', 'A', 3, 3, 1], ['grade', 'B', 3, 3, 3]]
    """
    frame, outcome, _ = _rows_of_fit(model, X, y, None)
    events = outcome.only(model.cause_).event > 0
    subject = pd.factorize(outcome.subject)[0]

    def counted(column: str, level: str, rows: NDArray[np.bool_]) -> dict[str, Any]:
        n = {"subjects": len(np.unique(subject[rows])), "rows": int(rows.sum()), "events": int(events[rows].sum())}
        return {"column": column, "level": level, **n}

    table = [counted("", "", np.ones(len(frame), dtype=bool))]
    for column, levels in model.encoder_.levels_.items():
        values = frame[column].to_numpy()
        table += [counted(column, str(level), np.asarray(values == level)) for level in levels]
    return pd.DataFrame(table)


def _rows_of_fit(
    model: Any, X: pd.DataFrame | ArrayLike, y: Outcome | NDArray[Any], arguments: Mapping[str, Any] | None
) -> tuple[pd.DataFrame, Outcome, dict[str, Any]]:
    """Give the rows that the fit used, and its row arguments; those that it remembers by the names of their columns."""
    frame, outcome = feature_frame(X, model.feature_names_in_), as_outcome(y)
    expected = model.n_observations_ + model.n_dropped_
    if len(frame) != len(outcome) or len(outcome) != expected:
        raise DataError(
            f"X has {len(frame):,} rows and y {len(outcome):,}, but the fit had {expected:,}: pass the rows of the fit."
        )
    remembered = {name: columns for name, columns in model.argument_columns_.items() if columns}
    given = {**remembered, **{name: value for name, value in (arguments or {}).items() if value is not None}}
    absent = [name for name in model.argument_columns_ if name not in given]
    if absent and arguments is not None:
        raise DataError(f"The model was fitted with {absent[0]}: pass {absent[0]} for these rows too.")
    if model.n_dropped_:
        kept = np.isfinite(model.encoder_.design(frame)).all(axis=1)
        given = {name: value if _is_name(value) else _taken(value, kept) for name, value in given.items()}
        frame, outcome = frame[kept], outcome[kept]
    n_events = int((outcome.only(model.cause_).event > 0).sum())
    # events of weight 0 are none of the fit's
    if n_events != model.n_events_ and "sample_weight" not in model.argument_columns_:
        raise DataError(
            f"These rows have {n_events:,} events of {model.cause_!r}, the fit had {model.n_events_:,}: pass its rows."
        )
    return frame, outcome, given


def _is_name(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value))


def _taken(value: Any, kept: NDArray[np.bool_]) -> Any:
    return value.loc[kept] if isinstance(value, pd.DataFrame | pd.Series) else np.asarray(value)[kept]


def _alone(model: Any, term: str) -> str | None:
    """Give the formula of a term by itself; None for an interaction."""
    encoder = model.encoder_
    if encoder.formula_ is None:
        return term if term.isidentifier() else f"`{term}`"
    degree = next(len(t.factors) for t in encoder.spec_.term_indices if str(t) == term)
    return term if degree == 1 else None

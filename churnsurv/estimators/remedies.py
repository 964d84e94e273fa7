"""Code to paste for what :func:`churnsurv.diagnose` finds: the same model, fitted again with one thing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

#: rows of an outcome cut in two at a time; everything that has one value per row is then taken at [rows]
_CUT = """across = (y.start < {time}) & (y.stop > {time})  # rows to be cut in two
rows = np.r_[np.arange(len(y)), np.flatnonzero(across)]
start = np.r_[y.start, np.full(across.sum(), {time})]
stop = np.r_[np.where(across, {time}, y.stop), y.stop[across]]
event = np.r_[np.where(across, 0, y.event), y.event[across]]
y2 = cs.Outcome(stop, event, start=start, subject=y.subject[rows], causes=y.causes, recurrent=y.recurrent)
X2 = X.iloc[rows].reset_index(drop=True)
X2["later"] = X2[{column!r}] * (start >= {time})
"""


def stratified(model: CoxPH, column: str) -> str | None:
    """Give the fit with a column as a stratum instead of a covariate; None when nothing else is left to estimate."""
    rest = _terms_without(model, column)
    return _fit(model, "X", "y", formula=rest, strata=column) if rest else None


def banded(model: CoxPH, column: str) -> str | None:
    """Give the fit with quarters of a column as strata."""
    rest = _terms_without(model, column)
    x = f'X.assign(band=pd.qcut(X[{column!r}], 4, duplicates="drop").astype(str))'
    return _fit(model, x, "y", formula=rest, strata="band") if rest else None


def changing(model: CoxPH, column: str, time: float) -> str:
    """Give the fit in which the effect of a column differs before and after a time."""
    cut = _CUT.format(time=f"{time:.6g}" if time != int(time) else f"{time:.1f}", column=column)
    names = [*_names(model, list(model.encoder_.columns_by_term())), "later"]
    return cut + _fit(model, "X2", "y2", formula=names, rows="[rows]")


def curved(model: CoxPH, column: str) -> str:
    """Give the fit with a natural spline of a column."""
    others = [name for name in model.encoder_.columns_by_term() if name != column]
    names = [*_names(model, others), f"cs({_quoted(column)}, df=4)"]
    return _fit(model, "X", "y", formula=names)


def _terms_without(model: CoxPH, column: str) -> list[str]:
    made_of = model.encoder_.sources_by_term()
    return _names(model, [name for name in model.encoder_.columns_by_term() if column not in made_of[name]])


def _names(model: CoxPH, terms: list[str]) -> list[str]:
    return [_quoted(name) if name in model.encoder_.columns_ else name for name in terms]


def _quoted(column: str) -> str:
    return column if column.isidentifier() else f"`{column}`"


def _fit(model: CoxPH, x: str, y: str, *, formula: list[str], strata: str | None = None, rows: str = "") -> str:
    arguments = []
    for name, columns in model.argument_columns_.items():
        if name == "strata" and strata is not None:
            continue
        # arrays are called what their argument is called, as in the call of diagnose
        value = (
            repr(columns[0] if len(columns) == 1 else columns)
            if columns
            else f"np.asarray({name}){rows}"
            if rows
            else name
        )
        arguments.append(f"{name}={value}")
    if strata is not None:
        before = model.argument_columns_.get("strata")
        if before == []:
            arguments.append(f"strata={x}[[{strata!r}]].assign(given=np.asarray(strata))")
        else:
            arguments.append(f"strata={[*before, strata] if before else strata!r}")
    text = " + ".join(formula)
    return f"clone(model).set_params(formula={text!r}).fit({', '.join([x, y, *arguments])})"

"""Cox models fitted by lifelines and scikit-survival, for comparison with ours: only what the two compute rightly.

Both get standardised covariates, so that their iterations suit any unit, and answer on the scale of the covariates.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: lifelines stops at coefficients good to six digits unless told otherwise
_PRECISE = {"precision": 1e-12, "r_precision": 1e-15, "max_steps": 500}


class CoxRows(NamedTuple):
    """Rows of a Cox fit: design (n, p), (start, stop] (start None: from the origin), event, weight, code of the stratum."""

    design: Floats
    start: Floats | None
    stop: Floats
    event: NDArray[np.bool_]
    weight: Floats | None
    strata: Ints | None


class CoxAnswer(NamedTuple):
    """What a peer found; None where it has no such thing or computes it wrongly. Hazard: at the means of the design."""

    coef: Floats
    covariance: Floats | None = None
    log_likelihood: float | None = None
    likelihood_ratio: float | None = None
    hazard: pd.Series | None = None
    warnings: tuple[str, ...] = ()


class PeerFailedError(Exception):
    """The peer is absent or did not converge; holds the reason."""


def peer_module(name: str) -> Any:
    """Import a module of a peer."""
    try:
        return import_module(name)
    except ImportError as error:
        library = "scikit-survival" if name.startswith("sksurv") else "lifelines"
        why = " (it has no release for Python 3.13 and later)" if library == "scikit-survival" else ""
        raise PeerFailedError(f"{library} is not installed{why}") from error


def installed_versions() -> dict[str, str]:
    """Give the versions of the libraries involved; absent ones say so."""
    found = {}
    for name in ("churnsurv", "lifelines", "scikit-survival", "numpy", "pandas"):
        try:
            found[name] = version(name)
        except ImportError:
            found[name] = "not installed"
    return found


def by_lifelines(rows: CoxRows) -> CoxAnswer:
    """Fit with Efron's ties: strata, case weights, delayed entry and start-stop rows (CoxTimeVaryingFitter)."""
    lifelines = peer_module("lifelines")
    center, scale = _moments(rows.design)
    names = [f"x{j}" for j in range(rows.design.shape[1])]
    frame = pd.DataFrame((rows.design - center) / scale, columns=names)
    frame["stop"], frame["event"] = rows.stop, rows.event.astype(np.int64)
    given: dict[str, Any] = {"fit_options": _PRECISE}
    if rows.weight is not None:
        frame["weight"], given["weights_col"] = rows.weight, "weight"
    if rows.strata is not None:
        frame["stratum"], given["strata"] = rows.strata, ["stratum"]

    def fit() -> Any:
        if rows.start is None:
            return lifelines.CoxPHFitter().fit(frame, "stop", "event", **given)
        counted = frame.assign(start=rows.start)
        return lifelines.CoxTimeVaryingFitter().fit(counted, "event", start_col="start", stop_col="stop", **given)

    fitted, said = guarded(fit, "lifelines")
    return CoxAnswer(
        fitted.params_.to_numpy() / scale,
        fitted.variance_matrix_.to_numpy() / np.outer(scale, scale),
        float(fitted.log_likelihood_),
        float(fitted.log_likelihood_ratio_test().test_statistic),
        warnings=said,
    )


def by_sksurv(rows: CoxRows, efron: bool) -> CoxAnswer:
    """Fit right-censored rows without weights and strata; the baseline is right where it follows the ties of the fit."""
    linear_model = peer_module("sksurv.linear_model")
    center, scale = _moments(rows.design)
    y = np.empty(len(rows.stop), dtype=[("event", np.bool_), ("time", np.float64)])
    y["event"], y["time"] = rows.event, rows.stop
    model = linear_model.CoxPHSurvivalAnalysis(ties="efron" if efron else "breslow", tol=1e-12, n_iter=500)
    fitted, said = guarded(lambda: model.fit((rows.design - center) / scale, y), "scikit-survival")
    has_ties = len(np.unique(rows.stop[rows.event])) < np.count_nonzero(rows.event)
    hazard = None
    if not (efron and has_ties):
        steps = fitted.cum_baseline_hazard_
        hazard = pd.Series(np.asarray(steps.y, np.float64), index=np.asarray(steps.x, np.float64))
    return CoxAnswer(np.asarray(fitted.coef_) / scale, hazard=hazard, warnings=said)


def _moments(design: Floats) -> tuple[Floats, Floats]:
    return design.mean(axis=0), design.std(axis=0)


def guarded(fit: Callable[[], Any], library: str) -> tuple[Any, tuple[str, ...]]:
    """Fit, and give what the peer warned of; its errors are reasons, not ours to raise."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitted = fit()
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise PeerFailedError(f"{library} failed: {_first_sentence(error)}") from error
    # its warning that weights look like sampling weights is about a variance that is not compared
    said = {f"{library}: {_first_sentence(w.message)}" for w in caught if w.category.__name__ == "ConvergenceWarning"}
    return fitted, tuple(sorted(said))


def _first_sentence(what: Any) -> str:
    return " ".join(str(what).split()).split(". ")[0][:200]

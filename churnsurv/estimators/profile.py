r"""Profile-likelihood intervals and likelihood-ratio tests of single coefficients.

The profile of coefficient j is :math:`\ell_p(\theta) = \max_{\beta: \beta_j = \theta} \ell(\beta)`; the interval holds every θ
with :math:`2 (\hat\ell - \ell_p(\theta)) \le \chi^2_{1, level}` (Venzon and Moolgavkar 1988). Fixing a coefficient is an
offset, so that each point of the profile is a fit of the other columns, warm from the last one. Where the likelihood is
monotone in a column (separation) the profile levels off and that end is infinite, while the other one is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import chi2

from churnsurv.data.config import did_you_mean
from churnsurv.estimators.cox_rows import Prepared
from churnsurv.estimators.cox_state import require_cox, seen
from churnsurv.estimators.inputs import RowArgument
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.climb import climb
from churnsurv.kernels.cox import one_shard
from churnsurv.messages import confidence_level
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]
#: an end is infinite when the profile falls by less than this while θ doubles its distance from the estimate …
LEVEL_GAIN = 1e-7
#: … and η already differs by this much between rows
LEVEL_RANGE = 40.0
#: root of the profile where no double holds the likelihood: far below the maximum
FAR = 1e6
#: no finite end lies further out: e^700 is no double
LARGEST_RANGE = 1400.0


def profile_intervals(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    terms: str | Iterable[str] | None = None,
    level: float = 0.95,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    offset: RowArgument = None,
) -> pd.DataFrame:
    """Give profile-likelihood intervals and likelihood-ratio tests of coefficients of a fitted Cox model.

    Rows are taken for independent. With few events, or coefficients that are large or infinite, these intervals are right
    where Wald's ± 1.96 standard errors are not.

    Parameters
    ----------
    model : CoxPH
        Fitted.
    X, y
        The rows of the fit (the model keeps none).
    terms : str or list of str, optional
        Coefficients; default all. Each costs about ten fits.
    level : float
        Confidence level.
    strata, sample_weight, offset
        Arrays as in the fit; columns of X named in the fit are remembered.

    Returns
    -------
    DataFrame
        Index term; columns coef, lower, upper, hazard_ratio, hr_lower, hr_upper, and the likelihood-ratio statistic and
        p_value (df 1) of the coefficient being zero. Infinite ends where the likelihood has no maximum.

    Raises
    ------
    DataError
        X and y are not those of the fit; a term is unknown.
    NotIdentifiedError
        The fit is robust (clusters, sampling weights) or penalised: its likelihood has no such distribution.

    References
    ----------
    Venzon and Moolgavkar (1988), Appl. Stat. 37; Heinze and Schemper (2001), Biometrics 57.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.7]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5, 7], event=[1, 1, 0, 1, 0, 1, 1])
    >>> intervals = cs.profile_intervals(cs.CoxPH().fit(X, y), X, y)
    >>> bool(intervals.loc["rate", "lower"] < intervals.loc["rate", "coef"] < intervals.loc["rate", "upper"])
    True
    """
    require_cox(model)
    if model.is_robust_ or getattr(model, "penalty", None):
        raise NotIdentifiedError(
            "Profile intervals rest on a likelihood of independent rows, which a robust (cluster, sampling weights) or "
            "penalised fit has not. Use summary() there."
        )
    at = seen(model, X, y, strata=strata, sample_weight=sample_weight, offset=offset)
    data, top = at.data, at.state.log_likelihood
    constant = data.factor * np.log(data.factor) * float(at.state.sums.death_weight.sum())
    if abs(data.factor * top - constant - model.log_likelihood_) > 1e-7 * abs(model.log_likelihood_):
        raise DataError(
            "These rows are not those of the fit: the model's coefficients have another likelihood on them. Pass the X, y, "
            "strata, sample_weight and offset of fit()."
        )
    names = [str(term) for term in model.coef_.index]
    asked = names if terms is None else [terms] if isinstance(terms, str) else list(terms)
    bound = float(chi2.ppf(confidence_level(level), 1)) ** 0.5
    se = np.sqrt(np.diag(model.naive_covariance_))
    rows = {}
    for term in asked:
        if term not in names:
            raise DataError(f"terms names {term!r}, which is no term of the model. {did_you_mean(str(term), names)}")
        j = names.index(term)
        root = signed_root(data, at.state.beta, top, j)
        step = min(bound * float(se[j] * data.scale[j]), 5.0 / data.problem.ranges[j])
        ends = [end_of(root, at.state.beta[j], bound, sign * step, data.problem.ranges[j]) for sign in (-1.0, 1.0)]
        rows[term] = _row(float(model.coef_.iloc[j]), ends[0] / data.scale[j], ends[1] / data.scale[j], root(0.0) ** 2)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("term")


def signed_root(data: Prepared, beta: Floats, top: float, j: int) -> Callable[[float], float]:
    """Give the function θ → √(2 (ℓ̂ − ℓ_p(θ))) of standardised coefficient j; fits start where the last one ended."""
    others = np.arange(len(beta)) != j
    x_j, last = data.shard.x[:, j], beta[others]
    shard = data.shard._replace(x=np.ascontiguousarray(data.shard.x[:, others]))
    problem = data.problem._replace(n_columns=len(last), ranges=data.problem.ranges[others])

    def root(theta: float) -> float:
        nonlocal last
        offset = data.shard.offset + theta * x_j
        rows = one_shard(shard._replace(offset=offset))
        value, last = climb(problem._replace(mr=rows, offset_bound=float(np.abs(offset).max())), last)
        return float(np.sqrt(max(2 * data.factor * (top - value), 0.0))) if np.isfinite(value) else FAR

    return root


def end_of(root: Callable[[float], float], center: float, bound: float, step: float, width: float) -> float:
    """Give the end of the interval in the direction of `step`, ±inf where the profile levels off below `bound`."""
    inner, inner_root = center, 0.0
    distance = step
    while True:
        value = root(center + distance)
        if value >= bound:
            break
        reach = abs(distance) * width
        level = (value**2 - inner_root**2) / 2 < LEVEL_GAIN and reach > LEVEL_RANGE
        if level or reach > LARGEST_RANGE:
            return float(np.copysign(np.inf, step))
        inner, inner_root = center + distance, value
        distance *= 2.0
    outer = center + distance
    return float(brentq(lambda theta: root(theta) - bound, inner, outer, xtol=1e-9 * abs(step), rtol=1e-12))


def _row(coef: float, lower: float, upper: float, statistic: float) -> dict[str, float]:
    with np.errstate(over="ignore"):
        ratios = np.exp([coef, lower, upper])
    return {
        "coef": coef,
        "lower": lower,
        "upper": upper,
        "hazard_ratio": float(ratios[0]),
        "hr_lower": float(ratios[1]),
        "hr_upper": float(ratios[2]),
        "statistic": statistic,
        "p_value": float(chi2.sf(statistic, 1)),
    }

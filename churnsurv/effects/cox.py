"""Tests of an arm in Cox's model, adjusted for covariates: likelihood ratio, score and Wald, robust with clusters."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from churnsurv.data.features import feature_frame
from churnsurv.effects.comparison import Comparison, read_comparison
from churnsurv.estimators.contrasts import wald
from churnsurv.estimators.cox import CoxPH
from churnsurv.estimators.cox_checks import refuse_unidentified
from churnsurv.estimators.cox_rows import prepared, read_rows
from churnsurv.exceptions import DataError, NotIdentifiedError, SeparationWarning, TooFewEventsError
from churnsurv.kernels.cox import ScoreArg, cluster_scores, gradient
from churnsurv.kernels.logrank import quadratic_form
from churnsurv.kernels.newton import evaluate, information_at
from churnsurv.kernels.times import Floats
from churnsurv.messages import first_of
from churnsurv.outcome import Outcome
from churnsurv.results import TestResult

KINDS = {"likelihood-ratio": "Cox likelihood-ratio", "score": "Cox score", "wald": "Cox Wald"}


class _Models(NamedTuple):
    """What the tests are made of: covariates with and without the arm, arguments of a fit, its cause and tie rule."""

    rows: Comparison
    full: pd.DataFrame
    without: pd.DataFrame
    added: list[str]
    arguments: dict[str, Any]
    settings: dict[str, Any]

    def fit(self, frame: pd.DataFrame) -> CoxPH:
        """Fit the Cox model; an arm without events has been warned of already."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SeparationWarning)
            return CoxPH(**self.settings).fit(frame, self.rows.y, **self.arguments)


def cox_test(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    kind: Literal["likelihood-ratio", "score", "wald"] = "likelihood-ratio",
    X: pd.DataFrame | ArrayLike | None = None,
    strata: ArrayLike | pd.DataFrame | None = None,
    cause: str | None = None,
    ties: Literal["efron", "breslow"] = "efron",
    sample_weight: ArrayLike | None = None,
    weight_type: Literal["sampling", "case"] = "sampling",
    cluster: ArrayLike | None = None,
) -> TestResult:
    """Test whether the hazard ratios between arms are all 1, given covariates.

    The arms' K − 1 coefficients of :class:`CoxPH` are zero, with one baseline hazard per stratum. Without covariates the
    score test with Breslow's ties is the log-rank test but for its variance at ties. Covariates that predict leaving make the
    test of a randomised arm stronger, and its hazard ratio a conditional one. Valid under the hypothesis whatever the shape
    of the effect; best against proportional hazards.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, of n rows
        On time since assignment for interventions.
    arm : (n,)
        Two or more arms.
    kind : {"likelihood-ratio", "score", "wald"}
        Score and Wald are robust with clusters or sampling weights: the sandwich of Lin & Wei (1989), and the generalised
        score test (Boos 1992).
    X : frame or array (n, p), optional
        Covariates, as :class:`CoxPH` takes them; from before the assignment, or they take away part of the effect.
    strata : (n,) or frame of n rows, optional
    cause : str, optional
        Compare this cause's hazard; leaving by the others is censoring. Default: leaving by any cause.
    ties : {"efron", "breslow"}
    sample_weight, weight_type, cluster
        As in :func:`logrank_test`. ``cluster=y.subject`` makes a test robust to a misspecified model.

    Returns
    -------
    TestResult
        χ² statistic, K − 1 degrees of freedom.

    Raises
    ------
    NotIdentifiedError
        A likelihood ratio with clusters or sampling weights (it has no χ² distribution then); an arm never at risk together
        with the others.
    TooFewEventsError
        Wald's test with an arm without events, whose coefficient is infinite.
    DataError, NoEventsError
        As in :func:`logrank_test` and :class:`CoxPH`.

    Warns
    -----
    SmallSampleWarning
        An arm has no event; fewer than 40 clusters.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> result = cs.effects.cox_test(y, ["offer"] * 4 + ["none"] * 4)
    >>> result.df, round(result.statistic, 3), round(result.p_value, 3)
    (1, 1.581, 0.209)
    """
    if kind not in list(KINDS):
        raise DataError(f"kind={kind!r} is not known: use one of {list(KINDS)}.")
    rows = read_comparison(
        y, arm, "A Cox test of arms", strata=strata, cause=cause, sample_weight=sample_weight, weight_type=weight_type,
        cluster=cluster,
    )  # fmt: skip
    _refuse_apart(rows)
    models = _models(rows, X, ties, weight_type)
    statistic = {"likelihood-ratio": _likelihood_ratio, "score": _score, "wald": _wald}[kind](models)
    df = len(models.added)
    words = ["adjusted for " + first_of(models.without.columns, 12)] if len(models.without.columns) else []
    return TestResult(
        name=("Robust " if rows.cluster is not None else "") + KINDS[kind] + " test of the arm",
        statistic=statistic,
        df=df,
        p_value=float(chdtrc(df, statistic)),
        method=rows.method(
            f"{ties.capitalize()} ties",
            *words,
            variance="log likelihoods" if kind == "likelihood-ratio" else "inverse observed information",
        ),
        estimand=f"hazard ratios of leaving by {cause or 'any cause'} of 1 between the arms {first_of(rows.labels, 12)}",
        n=rows.y.n_subjects,
        n_events=rows.n_events,
    )


def _refuse_apart(rows: Comparison) -> None:
    """Refuse arms that are connected to the others by no risk set."""
    unweighted = rows._replace(weight=None, cluster=None)
    counts = unweighted.counts()
    parts = unweighted.log_rank(counts, np.ones(len(counts.stratum)))
    if quadratic_form(parts.observed - parts.expected, parts.covariance)[1] < len(rows.labels) - 1:
        alone = rows.labels[np.diag(parts.covariance) <= 1e-10 * np.trace(parts.covariance)]
        named = f" (such as {first_of([repr(v) for v in alone])})" if len(alone) else ""
        raise NotIdentifiedError(
            f"Some arms{named} are never at risk together with the others{' of a stratum' if rows.stratified else ''} when "
            "somebody leaves: their hazard ratios are not identified. Leave these arms out, or use fewer strata."
        )


def _models(
    rows: Comparison,
    X: pd.DataFrame | ArrayLike | None,
    ties: str,
    weight_type: str,
) -> _Models:
    y = rows.y
    if rows.cause is not None:
        y = y.only(rows.cause)
    elif len(y.causes) > 1:
        y = Outcome(y.stop, rows.event, None if y.from_origin else y.start, y.subject, ("any cause",))
    without = pd.DataFrame(index=range(len(y))) if X is None else feature_frame(X).reset_index(drop=True)
    if len(without) != len(y):
        raise DataError(f"X has {len(without):,} rows, y has {len(y):,}; they must match row for row.")
    added = [f"arm={label}" for label in rows.labels[1:]]
    taken = [name for name in added if name in without.columns]
    if taken:
        raise DataError(f"X has a column {taken[0]!r}, the name of the arm's own column: rename it.")
    arms = pd.DataFrame({name: (rows.arm == k + 1).astype(np.float64) for k, name in enumerate(added)})
    arguments = {
        "strata": rows.stratum if rows.stratified else None,
        "sample_weight": rows.weight,
        "cluster": rows.cluster,
    }
    settings = {"ties": ties, "weight_type": weight_type if rows.weight is not None else "case"}
    return _Models(rows._replace(y=y), pd.concat([arms, without], axis=1), without, added, arguments, settings)


def _likelihood_ratio(models: _Models) -> float:
    if models.rows.cluster is not None:
        raise NotIdentifiedError(
            "With clusters or sampling weights twice the difference of log likelihoods has no χ² distribution: use "
            "kind='score' or kind='wald', which are robust."
        )
    full = models.fit(models.full)
    without = models.fit(models.without).log_likelihood_ if len(models.without.columns) else full.null_log_likelihood_
    return max(2 * (full.log_likelihood_ - without), 0.0)


def _wald(models: _Models) -> float:
    events = np.bincount(models.rows.arm, models.rows.event, len(models.rows.labels))
    if np.any(events == 0):
        raise TooFewEventsError(
            f"Arm {first_of([repr(v) for v in models.rows.labels[events == 0]])} has no event: its log hazard ratio is "
            "infinite and Wald's test means nothing. Use kind='score' or kind='likelihood-ratio'."
        )
    model = models.fit(models.full)
    matrix = np.eye(len(model.coef_))[model.coef_.index.get_indexer(pd.Index(models.added))]
    statistic = wald(model, matrix, np.zeros(len(matrix)))
    if np.isnan(statistic):
        raise NotIdentifiedError(
            "There are fewer clusters than coefficients: the sandwich has too low a rank. Use fewer covariates or more, "
            "smaller clusters."
        )
    return statistic


def _score(models: _Models) -> float:
    """Give the score test at the estimate without the arm: of its coefficients 0 and the covariates' estimates.

    With U the score, I the information and u the score residuals summed by cluster, a the arm and x the covariates:
    U_a' (I_aa − I_ax I_xx⁻¹ I_xa)⁻¹ U_a, or the squares of u_a − I_ax I_xx⁻¹ u_x in the place of the information (Boos 1992).
    """
    arguments: Mapping[str, Any] = {**models.arguments, "offset": None}
    laid = read_rows(models.full, models.rows.y, arguments, None, "raise", models.rows.y.causes[0])
    data = prepared(laid, models.settings["ties"] == "efron")
    terms = list(laid.encoder.terms_)
    at_null = pd.Series(0.0, index=terms)
    if len(models.without.columns):
        coef = models.fit(models.without).coef_
        at_null[coef.index] = coef
    state = evaluate(data.problem, at_null.to_numpy() * data.scale)
    information = information_at(data.problem, state)
    refuse_unidentified(information, state, terms)
    arm = np.isin(terms, models.added)
    share = np.linalg.solve(information[np.ix_(~arm, ~arm)], information[np.ix_(~arm, arm)])

    def projected(scores: Floats) -> Floats:
        return np.asarray(scores[..., arm] - scores[..., ~arm] @ share)

    score = projected(gradient(state.sums, state.terms))
    cluster = models.rows.cluster
    if cluster is None:
        variance = (information[np.ix_(arm, arm)] - information[np.ix_(arm, ~arm)] @ share) / data.factor
    else:
        arg = ScoreArg(state.beta, state.shift, data.buckets, state.sums, state.terms, cluster, int(cluster.max()) + 1)
        u = projected(data.problem.mr(cluster_scores, arg)[0])
        variance = u.T @ u
    return float(score @ np.linalg.solve(variance, score))

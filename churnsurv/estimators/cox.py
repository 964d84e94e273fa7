r"""Cox's proportional hazards model.

The hazard of leaving at age t is :math:`h(t|x) = h_{0s}(t) \exp(x'\beta)` with a free baseline :math:`h_{0s}` in each
stratum s (Cox 1972). β maximises the partial likelihood with Efron's or Breslow's treatment of ties; the kernel is
:mod:`churnsurv.kernels.cox`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from churnsurv.data.encoder import DesignEncoder
from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_diagnostics import CoxDiagnostics
from churnsurv.estimators.cox_fit import Fit, fit_rows
from churnsurv.estimators.cox_forecasts import CoxForecasts
from churnsurv.estimators.cox_inference import CoxInference
from churnsurv.estimators.cox_rows import read_rows
from churnsurv.estimators.cox_stream import Passes, Settings, fit_batches, read_roles
from churnsurv.estimators.firth import fit_firth
from churnsurv.estimators.inputs import (
    RowArgument,
    as_outcome,
    columns_named,
)
from churnsurv.exceptions import DataError
from churnsurv.outcome import Missing, Outcome

Floats = NDArray[np.float64]


class CoxPH(CoxInference, CoxForecasts, CoxDiagnostics, BaseEstimator):  # type: ignore[misc]
    """Cox proportional hazards regression of the time to one kind of exit.

    Delayed entry, (start, stop] rows with time-varying covariates, strata, case and sampling weights and clusters are
    supported. With several causes the named one is modelled and the others are censored (cause-specific hazard); their
    covariate effects are rates among those still customers, not effects on the probability of leaving.

    Parameters
    ----------
    formula : str, optional
        Right-hand side in formulaic's grammar, e.g. ``"rate_incentive + C(term) + bs(age, df=4)"``. Default: every column
        of X, text and categories by indicators against their first level.
    ties : {"efron", "breslow"}
        Treatment of tied exits; months tie heavily, and Breslow's rule then biases coefficients towards zero.
    cause : str, optional
        The cause to model; required when the outcome has several.
    weight_type : {"case", "sampling"}
        ``"case"``: a row stands for `weight` customers. ``"sampling"``: weights correct for how rows were chosen; the
        covariance is then the sandwich by subject (or `cluster`).
    penalty : {0.0, "firth"}
        ``"firth"``: half the log determinant of the information is added to the log likelihood (Firth 1993), which keeps
        estimates finite where a column separates those who leave, and reduces bias with few events. `summary` and `tests` are
        then those of the penalised likelihood, and cost some hundred passes over the rows per coefficient.
    missing : {"raise", "drop"}
        Rows with missing covariates are an error, or left out with a counted :class:`MissingDataWarning`.
    max_iter, tol : int, float
        Limit of Newton iterations; they stop when the next step is below `tol` standard errors.

    Attributes
    ----------
    coef_ : Series
        Log hazard ratios by term.
    covariance_, naive_covariance_ : DataFrame
        Covariance of the coefficients, and the inverse observed information; they differ when a `cluster` is given or
        weights are sampling weights: then `covariance_` is the sandwich of Lin and Wei (1989), summed by cluster.
    log_likelihood_, null_log_likelihood_ : float
        Log partial likelihood (with ``penalty="firth"``: penalised) at the estimate and at zero.
    baseline_cumulative_hazard_ : DataFrame
        Columns stratum, time, hazard: the cumulative hazard at all covariates zero, by the tie rule of the fit.
    hazard_variance_, hazard_gradient_ : array (B,), (B, p)
        By stratum and event time, cumulated: variance of the hazard at the centre and mean covariates of the risk sets times
        its steps, which standard errors of predictions need. They say much of the few customers of thin risk sets:
        ``cs.save(model, path, intervals=False)`` leaves them out.
    n_observations_, n_subjects_, n_events_, n_iter_ : int
        Rows and subjects used, events of the cause, Newton steps.

    Raises
    ------
    NoEventsError, TooFewEventsError
        No event of the cause; fewer events than coefficients.
    CollinearityError, DataError
        Columns that are combinations of others, or constant within every risk set, or not finite; they are named.

    References
    ----------
    Cox (1972), J. R. Stat. Soc. B 34; Efron (1977), J. Am. Stat. Assoc. 72; Lin and Wei (1989), J. Am. Stat. Assoc. 84;
    Heinze and Schemper (2001), Biometrics 57, for Firth's penalty.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1])
    >>> model = cs.CoxPH().fit(X, y)
    >>> bool(model.summary().loc["rate_incentive", "hazard_ratio"] > 1)
    True
    """

    def __init__(
        self,
        formula: str | None = None,
        *,
        ties: Literal["efron", "breslow"] = "efron",
        cause: str | None = None,
        weight_type: Literal["case", "sampling"] = "case",
        penalty: float | Literal["firth"] = 0.0,
        missing: Missing = "raise",
        max_iter: int = 50,
        tol: float = 1e-9,
    ) -> None:
        self.formula = formula
        self.ties = ties
        self.cause = cause
        self.weight_type = weight_type
        self.penalty = penalty
        self.missing = missing
        self.max_iter = max_iter
        self.tol = tol

    def fit(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        *,
        strata: RowArgument = None,
        sample_weight: RowArgument = None,
        cluster: RowArgument = None,
        offset: RowArgument = None,
    ) -> Self:
        """Estimate the coefficients and the baseline hazard.

        Parameters
        ----------
        X : frame or array (n, p)
            Covariates, one row per row of `y`.
        y : Outcome
            (Or scikit-survival's structured array.)
        strata, sample_weight, cluster, offset : array of n, or name(s) of column(s) of X
            A column so named is no covariate. Strata have baselines of their own; rows of a cluster (a customer's loans)
            may depend on each other; the offset is added to the linear predictor.
        """
        self._check_parameters()
        frame, outcome = feature_frame(X), as_outcome(y)
        self.cause_ = self._modelled_cause(outcome)
        arguments = {"strata": strata, "sample_weight": sample_weight, "cluster": cluster, "offset": offset}
        self.argument_columns_ = {k: list(columns_named(v, frame)) for k, v in arguments.items() if v is not None}
        rows = read_rows(frame, outcome, arguments, self.formula, self.missing, self.cause_)
        is_sampling = self.weight_type == "sampling"
        is_robust = is_sampling or outcome.recurrent
        self.firth_profile_: pd.DataFrame | None = None
        if self.penalty == "firth":
            fit, self.firth_profile_ = fit_firth(
                rows, self.ties == "efron", self.max_iter, self.tol, is_robust, stacklevel=3
            )
        else:
            fit = fit_rows(rows, self.ties == "efron", self.max_iter, self.tol, is_robust, 3, is_sampling)
        self._remember(fit, rows.encoder, rows.strata_labels, outcome.causes, outcome.recurrent)
        self.n_features_in_, self.feature_names_in_ = frame.shape[1], np.asarray(frame.columns, dtype=object)
        self.n_observations_, self.n_subjects_ = len(rows.outcome), rows.outcome.n_subjects
        self.n_dropped_ = len(outcome) - len(rows.outcome)
        return self

    def fit_stream(
        self,
        source: Any,
        *,
        stop: str | None = None,
        event: str | None = None,
        start: str | None = None,
        subject: str | None = None,
        causes: Mapping[Any, str] | Sequence[str] | None = None,
        censored: Any = 0,
        columns: Sequence[str] | None = None,
        strata: str | Sequence[str] | None = None,
        sample_weight: str | None = None,
        cluster: str | Sequence[str] | None = None,
        offset: str | None = None,
        batch_size: int = 131_072,
        n_jobs: int | None = None,
        progress: bool = False,
    ) -> Self:
        """Fit to rows that do not fit into memory, read in batches several times; the result is that of :meth:`fit`.

        Parameters
        ----------
        source : path(s), folder, pyarrow Table or Dataset, DuckDB relation or query, Ibis table, SpellFile, or function
            Parquet files and tables that give the same rows each time they are read. A function gives a new
            ``pyarrow.RecordBatchReader`` at each call. Of a ``SpellFile`` the columns of the outcome are known.
        stop, event, start, subject, causes, censored
            As in :meth:`Outcome.from_frame`. Intervals of a subject are checked within a batch, and where the end of a
            batch cuts a subject: all of them when the rows of a subject follow each other.
        columns : sequence of str, optional
            Covariates. Default: those of the formula, else all columns without another role.
        strata, sample_weight, cluster, offset : name(s) of columns
            As in :meth:`fit`.
        batch_size : int
            Rows of a batch; memory grows with it, hardly speed.
        n_jobs : int, optional
            Threads that work on batches; -1: all processors. The result does not depend on it.
        progress : bool
            Show each pass.

        Notes
        -----
        Transforms that learn from all rows (splines by ``df``, ``center``, ``scale``, ``poly``) are refused: give ``bs`` its
        knots and bounds. Subjects and clusters may be spread over batches.

        Examples
        --------
        >>> import churnsurv as cs, pandas as pd, pyarrow as pa
        >>> loans = pd.DataFrame({"rate": [0.2, 1.5, 0.1, 0.5, 0.9], "age": [9, 2, 12, 4, 6], "left": [1, 1, 0, 1, 0]})
        >>> model = cs.CoxPH().fit_stream(pa.Table.from_pandas(loans), stop="age", event="left")
        >>> again = cs.CoxPH().fit(loans[["rate"]], cs.Outcome(loans["age"], loans["left"]))
        >>> round(float(model.coef_["rate"] - again.coef_["rate"]), 10)
        0.0
        """
        self._check_parameters()
        if self.penalty == "firth":
            raise DataError(
                "penalty='firth' is for few events, and its intervals take hundreds of passes: fit in memory, with fit(X, y)."
            )
        self.firth_profile_ = None
        readable, roles = read_roles(
            source, self.formula, stop, event, start, subject, causes, censored, columns, strata, sample_weight, cluster, offset
        )  # fmt: skip
        passes = Passes(readable, roles, batch_size, n_jobs, progress)
        settings = Settings(
            self.formula,
            self.ties == "efron",
            self.cause,
            self.missing,
            self.weight_type == "sampling",
            self.max_iter,
            self.tol,
        )
        fit, encoder, layout = fit_batches(passes, roles, settings, stacklevel=3)
        named = {
            "strata": roles.strata,
            "sample_weight": [sample_weight] if sample_weight else [],
            "cluster": roles.cluster,
            "offset": [offset] if offset else [],
        }
        self.argument_columns_ = {name: value for name, value in named.items() if value}
        self.cause_ = self.cause or layout.causes[0]
        self._remember(fit, encoder, layout.strata_labels, layout.causes, recurrent=False)
        of_arguments = [c for value in self.argument_columns_.values() for c in value]
        names = list(dict.fromkeys([*roles.covariates, *of_arguments]))
        self.n_features_in_, self.feature_names_in_ = len(names), np.asarray(names, dtype=object)
        self.n_observations_, self.n_subjects_, self.n_dropped_ = layout.n_rows, layout.n_subjects, layout.n_dropped
        return self

    def _remember(
        self, fit: Fit, encoder: DesignEncoder, strata: list[Any] | None, causes: Sequence[str], recurrent: bool
    ) -> None:
        self.is_recurrent_ = recurrent
        self.encoder_: DesignEncoder = encoder
        self.causes_ = list(causes)
        self.strata_ = strata
        terms = encoder.terms_
        self.coef_ = pd.Series(fit.coef, index=pd.Index(terms, name="term"), name="coef")
        self.naive_covariance_ = pd.DataFrame(fit.naive_covariance, index=terms, columns=terms)
        self.covariance_ = pd.DataFrame(fit.covariance, index=terms, columns=terms)
        self.is_robust_ = fit.is_robust
        self.log_likelihood_, self.null_log_likelihood_ = fit.log_likelihood, fit.null_log_likelihood
        self.score_statistic_, self.robust_score_statistic_ = fit.score_statistic, fit.robust_score_statistic
        self.center_ = pd.Series(fit.center, index=terms)
        self.centred_hazard_, self.event_times_ = fit.centred_hazard, np.unique(fit.centred_hazard["time"].to_numpy())
        self.hazard_variance_, self.hazard_gradient_ = fit.hazard_variance, fit.hazard_gradient
        self.offset_center_, self.first_, self.last_ = fit.offset_center, fit.first, fit.last
        self.covariance_rank_ = fit.covariance_rank
        self.n_iter_, self.n_events_ = fit.n_iter, fit.n_events

    def _modelled_cause(self, y: Outcome) -> str:
        if self.cause is not None:
            y.cause_code(self.cause)
            return self.cause
        if len(y.causes) > 1:
            raise DataError(
                f"The outcome has {len(y.causes)} causes {list(y.causes)}: name the one to model, e.g. "
                f"CoxPH(cause={y.causes[0]!r}), or fit all of them with CauseSpecificCox()."
            )
        return y.causes[0]

    def _check_parameters(self) -> None:
        allowed = {"ties": ("efron", "breslow"), "weight_type": ("case", "sampling"), "missing": ("raise", "drop")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise DataError(f"{name}={getattr(self, name)!r} is not known: use one of {list(values)}.")
        if isinstance(self.max_iter, bool) or not isinstance(self.max_iter, int | np.integer) or self.max_iter < 1:
            raise DataError(f"max_iter={self.max_iter!r} is no number of iterations: give 1 or more.")
        if not isinstance(self.tol, int | float) or not self.tol > 0:
            raise DataError(f"tol={self.tol!r} is no number of standard errors above 0.")
        if isinstance(self.penalty, bool) or self.penalty not in (0, "firth"):
            raise DataError(f"penalty={self.penalty!r} is not known: use 0.0 (none) or 'firth'.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")

"""Replication: the champion fitted again by other libraries, and how far their numbers are from ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from churnsurv.data.features import feature_frame
from churnsurv.estimators.cause_specific import CauseSpecificCox
from churnsurv.estimators.cox import CoxPH
from churnsurv.estimators.cox_rows import Rows, read_rows
from churnsurv.estimators.fine_gray import FineGray
from churnsurv.estimators.forest import RandomSurvivalForest
from churnsurv.estimators.inputs import RowArgument, as_outcome, check_rows
from churnsurv.evaluation.replication_forest import METHOD as FOREST_METHOD
from churnsurv.evaluation.replication_forest import forest_refusal, forest_rows
from churnsurv.evaluation.replication_peers import (
    CoxAnswer,
    CoxRows,
    PeerFailedError,
    by_lifelines,
    by_sksurv,
    installed_versions,
)
from churnsurv.evaluation.replication_scope import flat_terms, lifelines_lacks, no_peer_fits, sksurv_lacks
from churnsurv.evaluation.replication_weights import geskus_rows
from churnsurv.exceptions import DataError
from churnsurv.kernels.times import step_values
from churnsurv.messages import first_of, one_number
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]

_COLUMNS = ["cause", "peer", "quantity", "term", "ours", "theirs", "difference", "tolerance", "verdict"]
_SHARED = "Shared with our fit: reading and encoding the rows. Not shared: the likelihood, its maximum, variance and baseline."


@dataclass(frozen=True, repr=False, eq=False)
class Replication:
    """What other libraries found on the champion's rows, beside what it found.

    Parameters
    ----------
    model : str
        Class of the champion.
    verdict : str
        ``"replicated"``, ``"not replicated"``, or ``"not applicable"``.
    reason : str
        Which numbers differ, or why nothing can be compared.
    table : DataFrame
        Columns cause, peer, quantity, term, ours, theirs, difference (ours − theirs), tolerance and verdict ("same",
        "different").
    left_out : tuple of str
        What was not compared, and why.
    versions : dict
        Versions of the libraries.
    method : str
        What was fitted by whom, and what they share with our fit.
    """

    model: str
    verdict: str
    reason: str
    table: pd.DataFrame
    left_out: tuple[str, ...]
    versions: dict[str, str]
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Give the table of the numbers compared."""
        return self.table.copy()

    def __repr__(self) -> str:
        lines = [f"Replication of {self.model}: {self.verdict}", f"  {self.reason}"]
        if len(self.table):
            lines += ["", self.table.to_string(index=False, float_format=lambda v: f"{v:.6g}"), ""]
        lines += [f"  not compared: {text}" for text in self.left_out]
        lines += [f"  {self.method}", "  " + ", ".join(f"{name} {number}" for name, number in self.versions.items())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left_out = "".join(f"<li>not compared: {escape(text)}</li>" for text in self.left_out)
        return (
            f"<p><b>Replication of {escape(self.model)}: {escape(self.verdict)}</b>. {escape(self.reason)}</p>"
            f"{self.table.to_html(index=False)}<ul>{left_out}</ul><p>{escape(self.method)}</p>"
        )


def replicate(
    model: Any,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    tolerance: float = 1e-5,
) -> Replication:
    """Fit the champion again with lifelines and scikit-survival, where they are right, and compare the numbers.

    Parameters
    ----------
    model : fitted CoxPH, CauseSpecificCox, FineGray or RandomSurvivalForest
    X, y : frame or array (n, p), Outcome
        The rows of the fit.
    strata, sample_weight, cluster
        As in the fit; names of columns are remembered from there.
    tolerance : float
        Differences that are allowed: of coefficients in their standard errors, of standard errors and the baseline hazard as
        a share, of log likelihoods as they are.

    Returns
    -------
    Replication

    Notes
    -----
    lifelines: coefficients, model variance and log likelihood under Efron's ties, with strata, weights, delayed entry and
    start-stop rows. scikit-survival: coefficients of right-censored rows without weights and strata under either rule, and
    the baseline where there are no ties or the rule is Breslow's. Both compute the rest in another way than stated, or not
    at all: the sandwich, the baseline under Efron's ties and under entry; ``left_out`` says so. Fine and Gray's model is
    fitted by lifelines as a weighted Cox model of start-stop rows (Geskus 2011). A forest is compared in its out-of-bag
    concordance with scikit-survival's, within Monte-Carlo error, and grown again from its own seed.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> from churnsurv.evaluation import replicate
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1])
    >>> replicate(cs.CoxPH().fit(X, y), X, y).verdict
    'replicated'
    """
    if one_number(tolerance, "tolerance") <= 0:
        raise DataError(f"tolerance={tolerance!r}: give a positive number, such as 1e-5.")
    if not isinstance(model, CoxPH | CauseSpecificCox | FineGray | RandomSurvivalForest):
        raise DataError(
            f"A {type(model).__name__} cannot be replicated: pass a fitted CoxPH, CauseSpecificCox, FineGray or "
            "RandomSurvivalForest."
        )
    check_is_fitted(model)
    frame, outcome = feature_frame(X, model.feature_names_in_), as_outcome(y)
    check_rows(frame, outcome)
    given = {"strata": strata, "sample_weight": sample_weight, "cluster": cluster, "offset": None}
    found = _Comparison(float(tolerance))
    if isinstance(model, RandomSurvivalForest):
        if strata is not None or cluster is not None:
            raise DataError("A forest has neither strata nor clusters: leave strata= and cluster= out.")
        found.forest(model, frame, outcome, sample_weight is not None)
        return found.record(type(model).__name__, FOREST_METHOD)
    for one in model.models_.values() if isinstance(model, CauseSpecificCox) else [model]:
        found.cox(one, frame, outcome, given)
    return found.record(type(model).__name__, _SHARED)


class _Comparison:
    """Gathers rows of the table, what was left out, and why something cannot be compared."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.rows: list[dict[str, Any]] = []
        self.left_out: list[str] = []
        self.obstacles: list[str] = []

    def cox(self, model: Any, frame: pd.DataFrame, y: Outcome, given: dict[str, RowArgument]) -> None:
        """Compare one Cox or Fine–Gray model."""
        cause = model.cause_
        obstacle = no_peer_fits(model, y)
        if obstacle is not None:
            self.obstacles.append(f"{cause}: {obstacle}" if len(y.causes) > 1 else obstacle)
            return
        rows, data = cox_rows(model, frame, y, given)
        n_events = int(np.count_nonzero(data.event))
        self.add(cause, "count", "rows", "", model.n_observations_, len(rows.outcome), 0.0)
        self.add(cause, "count", "events", "", model.n_events_, n_events, 0.0)
        if isinstance(model, FineGray):
            expanded = geskus_rows(data, (rows.outcome.event > 0)[_used(rows)], model.tied_censoring == "after")
            if expanded is None:
                self.obstacles.append("the weighted start-stop rows of a Fine-Gray model would be too many")
                return
            data = expanded
        self._peer(model, data, by_lifelines, "lifelines", lifelines_lacks(model))
        self._peer(
            model, data, lambda r: by_sksurv(r, model.ties == "efron"), "scikit-survival", sksurv_lacks(model, data)
        )
        if model.is_robust_:
            self._leave(
                "robust covariance: lifelines' sandwich depends on the order of tied rows, scikit-survival has none"
            )

    def _peer(
        self, model: Any, data: CoxRows, fit: Callable[[CoxRows], CoxAnswer], library: str, obstacle: str | None
    ) -> None:
        if obstacle is None:
            try:
                answer = fit(data)
            except PeerFailedError as error:
                several = len(getattr(model, "causes_", ())) > 1
                obstacle = str(error) + (f" (cause {model.cause_!r})" if several else "")
        if obstacle is not None:
            self._leave(f"{library}: {obstacle}" if not obstacle.startswith(library) else obstacle)
            return
        for text in answer.warnings:
            self._leave(f"warning of {text}")
        flat = flat_terms(model, data, answer)
        if flat:
            self.obstacles.append(
                f"the likelihood has no maximum in {first_of([repr(t) for t in flat])}: their coefficients are infinite, and "
                "where an algorithm stops is no number to compare"
            )
        self._coefficients(model, answer, library, flat)
        if answer.hazard is None:
            self._leave("baseline hazard: the libraries' is Breslow's under Efron's ties, and ignores delayed entry")
        elif not flat:
            self._baseline(model, data, answer.hazard, library)

    def _coefficients(self, model: Any, answer: CoxAnswer, library: str, flat: list[str]) -> None:
        """Compare coefficients, their model variance and the likelihood."""
        cause, tol = model.cause_, self.tolerance
        naive = model.naive_covariance_.to_numpy()
        ours = np.sqrt(np.diag(naive))
        unit = ours if answer.covariance is None else np.sqrt(np.diag(answer.covariance))
        for j, term in enumerate(model.coef_.index):
            if term not in flat:
                self.add(cause, library, "coefficient", term, model.coef_.iloc[j], answer.coef[j], tol * unit[j])
        if answer.covariance is not None and not flat:
            for j, term in enumerate(model.coef_.index):
                self.add(cause, library, "standard error (model)", term, ours[j], unit[j], tol * unit[j])
            mine, theirs = _wald(model.coef_.to_numpy(), naive), _wald(answer.coef, answer.covariance)
            self.add(cause, library, "Wald statistic (model)", "", mine, theirs, tol * max(1.0, theirs))
        if answer.log_likelihood is not None and answer.likelihood_ratio is not None:
            ratio = 2 * (model.log_likelihood_ - model.null_log_likelihood_)
            self.add(cause, library, "log likelihood", "", model.log_likelihood_, answer.log_likelihood, tol)
            self.add(cause, library, "likelihood-ratio statistic", "", ratio, answer.likelihood_ratio, 2 * tol)

    def _baseline(self, model: Any, data: CoxRows, hazard: pd.Series, library: str) -> None:
        """Compare the cumulative hazard at the means of the design, at three event times."""
        shift = (data.design.mean(axis=0) - model.center_.to_numpy()) @ model.coef_.to_numpy()
        ours = model.centred_hazard_["hazard"].to_numpy() * np.exp(shift)
        theirs = step_values(hazard.index.to_numpy(), hazard.to_numpy(), model.event_times_, before=0.0)
        for name, at in (("first", 0), ("middle", len(ours) // 2), ("last", -1)):
            term = f"{name} event time"
            allowed = self.tolerance * theirs[at]
            self.add(model.cause_, library, "baseline cumulative hazard", term, ours[at], theirs[at], allowed)

    def forest(self, model: RandomSurvivalForest, frame: pd.DataFrame, y: Outcome, weighted: bool) -> None:
        """Compare a forest."""
        refusal = forest_refusal(model, frame, y, weighted)
        if refusal is not None:
            self.obstacles.append(refusal)
            return
        try:
            for row in forest_rows(model, frame, y):
                self.add(y.causes[0], row["peer"], row["quantity"], "", row["ours"], row["theirs"], row["tolerance"])
        except PeerFailedError as error:
            self.obstacles.append(str(error))

    def add(self, cause: str, peer: str, quantity: str, term: str, ours: float, theirs: float, allowed: float) -> None:
        """Add a row of the table; what is no number is no agreement."""
        difference = float(ours) - float(theirs)
        verdict = "same" if abs(difference) <= allowed else "different"
        values = [cause, peer, quantity, term, float(ours), float(theirs), difference, float(allowed), verdict]
        self.rows.append(dict(zip(_COLUMNS, values, strict=True)))

    def record(self, model: str, method: str) -> Replication:
        """Give the record with its verdict."""
        table = pd.DataFrame(self.rows, columns=_COLUMNS)
        compared = table[table["peer"] != "count"]
        off = table[table["verdict"] == "different"]
        if len(off):
            verdict = "not replicated"
            parts = [
                f"{row.quantity} {row.term} ({row.peer}): {row.ours:.8g}, not {row.theirs:.8g}"
                for row in off.itertuples()
            ]
            reason = f"{len(off)} of {len(table)} numbers differ: " + first_of([" ".join(p.split()) for p in parts], 3)
        elif self.obstacles or compared.empty:
            verdict, reason = "not applicable", "; ".join(dict.fromkeys(self.obstacles or self.left_out))
        else:
            verdict, reason = "replicated", f"All {len(table)} numbers agree within their tolerances."
        return Replication(
            model, verdict, reason, table, tuple(dict.fromkeys(self.left_out)), installed_versions(), method
        )

    def _leave(self, text: str) -> None:
        self.left_out.append(text)


def cox_rows(model: Any, frame: pd.DataFrame, y: Outcome, given: dict[str, RowArgument]) -> tuple[Rows, CoxRows]:
    """Read rows as the fit did (its encoder, its remembered columns); those of weight 0 take no part."""
    arguments = {name: model.remembered(name, value, frame) for name, value in given.items()}
    for name in ("strata", "sample_weight"):
        if arguments[name] is None and name in model.argument_columns_:
            raise DataError(f"The model was fitted with {name}: pass {name}= too.")
    rows = read_rows(frame, y, arguments, model.encoder_, model.missing, model.cause_, stacklevel=5)
    used = _used(rows)
    start = None if rows.outcome.from_origin else rows.outcome.start[used]
    weight = None if rows.weight is None else rows.weight[used]
    strata = None if rows.strata is None else rows.strata[used]
    return rows, CoxRows(rows.design[used], start, rows.outcome.stop[used], rows.event[used], weight, strata)


def _used(rows: Rows) -> NDArray[np.bool_]:
    return np.ones(len(rows.design), dtype=np.bool_) if rows.weight is None else rows.weight > 0


def _wald(coef: Floats, covariance: Floats) -> float:
    """Give the statistic of all coefficients being zero, in which the covariances between them count."""
    return float(coef @ np.linalg.solve(covariance, coef))

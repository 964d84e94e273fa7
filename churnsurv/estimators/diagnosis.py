"""A check of the assumptions of a fitted Cox model, with the remedy for what is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.features import feature_frame
from churnsurv.estimators import remedies
from churnsurv.estimators.cox_state import Seen, seen
from churnsurv.estimators.diagnostics import events_per_parameter, influence_table, variance_inflation
from churnsurv.estimators.inputs import RowArgument
from churnsurv.estimators.linearity import linearity_tests
from churnsurv.estimators.ph_test import ph_table, require_clusters
from churnsurv.estimators.residuals import groups_of
from churnsurv.estimators.smooths import coefficient_over_time
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]
#: a hazard ratio (between groups, or per standard deviation) that changes by less over time matters to no decision
MATTERS = 1.25
#: variance inflation per coefficient, events per coefficient, |dfbetas|: noted from the first, serious from the second
INFLATION, EVENTS, MOVED = (5.0, 10.0), (20.0, 10.0), (0.5, 1.0)
Severity = Literal["note", "serious"]


@dataclass(frozen=True)
class Finding:
    """One thing found: which check and term, how severe, the test where there is one, words, and code to paste."""

    check: str
    term: str
    severity: Severity
    statistic: float
    df: float
    p_value: float
    finding: str
    remedy: str
    code: str


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What :func:`diagnose` found; ``findings`` is empty when nothing was, ``tables`` holds all results by check."""

    findings: tuple[Finding, ...]
    tables: dict[str, pd.DataFrame]

    def to_frame(self) -> pd.DataFrame:
        """Give the findings as a frame, one row each."""
        return pd.DataFrame([asdict(f) for f in self.findings], columns=list(Finding.__dataclass_fields__))

    def __repr__(self) -> str:
        if not self.findings:
            return f"Nothing found in {counted(len(self.tables), 'check')}: {', '.join(self.tables)}."
        lines = []
        for number, f in enumerate(self.findings, 1):
            lines += [
                f"{number}. [{f.severity}] {f.finding}",
                f"   {f.remedy}",
                *[f"       {c}" for c in f.code.split("\n")],
            ]
        return "\n".join(lines)


def diagnose(
    model: CoxPH,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    alpha: float = 0.01,
    strata: RowArgument = None,
    sample_weight: RowArgument = None,
    cluster: RowArgument = None,
    offset: RowArgument = None,
) -> Diagnosis:
    """Check what a Cox model assumes, and say what to do about what does not hold.

    Proportional hazards of each term (score test over the Kaplan-Meier scale of time); linearity of each numeric column that
    enters as it is (score test of adding a natural spline to the model); customers that move a coefficient by half of its
    standard error; variance inflation; events per coefficient. Tests are robust where the fit is. With many customers a
    test finds departures that matter to no decision: those that change a hazard ratio (between two groups, or per standard
    deviation) by less than a quarter are notes.

    Parameters
    ----------
    model : CoxPH
    X, y : frame or array, Outcome
        The rows of the fit.
    alpha : float
        Tests are findings when their p-value is at most this divided by the number of terms tested (Bonferroni).
    strata, sample_weight, cluster, offset
        As in :meth:`CoxPH.fit`.

    Returns
    -------
    Diagnosis
        ``findings`` (serious ones first), ``tables`` of all results, ``to_frame()``; printed, it is a list with remedies and
        code, for which ``from sklearn.base import clone`` and np, pd, cs are taken for granted. Labels of customers appear
        as the caller passed them, in words and in the table "influence" (20 groups).

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"rate_incentive": rng.normal(size=300)})
    >>> y = cs.Outcome(stop=rng.exponential(np.exp(-X["rate_incentive"] ** 2)), event=np.ones(300))
    >>> [f.check for f in cs.diagnose(cs.CoxPH().fit(X, y), X, y).findings]
    ['linearity']
    """
    if isinstance(alpha, bool) or not isinstance(alpha, float) or not 0 < alpha < 1:
        raise DataError(f"alpha={alpha!r} is no significance level; give a number between 0 and 1, such as 0.01.")
    at = seen(model, X, y, strata=strata, sample_weight=sample_weight, cluster=cluster, offset=offset)
    require_clusters(model, at)
    frame = feature_frame(X, model.feature_names_in_)
    has_clusters = at.rows.cluster is not None
    groups = groups_of(model, at, frame, "cluster" if has_clusters else "subject", cluster)
    tables = {
        "proportional_hazards": ph_table(model, at, "km"),
        "linearity": linearity_tests(model, at, frame),
        "influence": influence_table(model, at, *groups).head(20),
        "variance_inflation": variance_inflation(model),
    }
    findings = [
        *_changing(model, at, tables["proportional_hazards"], alpha),
        *_curved(model, tables["linearity"], alpha),
        *_influential(model, tables["influence"], "cluster" if has_clusters else "subject"),
        *_inflated(tables["variance_inflation"]),
        *_few_events(model),
    ]
    return Diagnosis(tuple(sorted(findings, key=lambda f: f.severity != "serious")), tables)


def _tested(table: pd.DataFrame, alpha: float) -> Iterator[tuple[str, float, float, float]]:
    """Give term, statistic, df and p-value of what a table of tests rejects, robust where it has that."""
    prefix = "robust_" if "robust_p_value" in table.columns else ""
    table = table.drop(index="GLOBAL", errors="ignore")
    for term, row in table.iterrows():
        p_value = float(row[f"{prefix}p_value"])
        if p_value <= alpha / len(table):
            yield str(term), float(row[f"{prefix}statistic"]), float(row["df"]), p_value


def _changing(model: CoxPH, at: Seen, table: pd.DataFrame, alpha: float) -> Iterator[Finding]:
    columns, made_of = model.encoder_.columns_by_term(), model.encoder_.sources_by_term()
    times, deaths = at.data.buckets.time, at.state.sums.deaths.astype(np.int64)
    middle = float(np.median(np.repeat(times, deaths)))
    for term, statistic, df, p_value in _tested(table, alpha):
        early, late, unit = max(
            (_change(model, at, j) for j in columns[term]), key=lambda change: abs(np.log(change[1] / change[0]))
        )
        category = sorted(made_of[term] & set(model.encoder_.levels_))
        column = (category or sorted(made_of[term]))[0]
        if category:
            remedy = f"Give each {column} a baseline hazard of its own; it then has no coefficient, and needs none to adjust."
            code = remedies.stratified(model, column) or f"cs.NelsonAalen().fit(y, by=X[{column!r}])"
        else:
            remedy = f"Let the effect differ before and after a time, here {middle:g}"
            code = remedies.changing(model, column, middle)
            if (bands := remedies.banded(model, column)) is not None:
                remedy += "; or, where it is only adjusted for, stratify by bands of it"
                code += f"\n{bands}"
            remedy += "."
        yield Finding(
            "proportional_hazards", term, _severity(max(early, late) / min(early, late), (0.0, MATTERS)),
            statistic, df, p_value,
            f"The effect of {term} changes with time (p = {p_value:.2g}): its hazard ratio goes from {early:.2f} at early to "
            f"{late:.2f} at late events{unit}.",
            remedy, code,
        )  # fmt: skip


def _severity(value: float, limits: tuple[float, float]) -> Severity:
    return "serious" if value >= limits[1] else "note"


def _change(model: CoxPH, at: Seen, j: int) -> tuple[float, float, str]:
    """Give the hazard ratio of a coefficient at the earliest and latest tenth of events, per standard deviation if numeric."""
    line = coefficient_over_time(model, at, str(model.coef_.index[j]), "km", 2, 0.95)["coef"].to_numpy()
    # the line is straight on the scale of the test, and given at even steps of it
    early, late = np.quantile(line, [0.1, 0.9]) if line[-1] >= line[0] else np.quantile(line, [0.9, 0.1])
    values = at.rows.design[:, j]
    indicator = bool(np.isin(values, (0.0, 1.0)).all())
    unit = 1.0 if indicator else float(at.data.scale[j])
    with np.errstate(over="ignore"):
        return float(np.exp(early * unit)), float(np.exp(late * unit)), "" if indicator else " (per standard deviation)"


def _curved(model: CoxPH, table: pd.DataFrame, alpha: float) -> Iterator[Finding]:
    for column, statistic, df, p_value in _tested(table, alpha):
        yield Finding(
            "linearity", column, "serious", statistic, df, p_value,
            f"The log hazard is not linear in {column} (p = {p_value:.2g}).",
            "Look at its shape, and enter it as a natural spline, or as bands that mean something.",
            f"cs.functional_form(model, X, y, {column!r}{_arguments(model)})\n{remedies.curved(model, column)}",
        )  # fmt: skip


def _arguments(model: CoxPH) -> str:
    """Give the arguments of a call that have to be passed again: those that were arrays."""
    return "".join(f", {name}={name}" for name, columns in model.argument_columns_.items() if not columns)


def _influential(model: CoxPH, table: pd.DataFrame, by: str) -> Iterator[Finding]:
    size = table["dfbetas"].abs()
    strong = table[size >= MOVED[0]]
    if len(strong):
        worst = strong.loc[[strong["dfbetas"].abs().idxmax()]].iloc[0]
        yield Finding(
            "influence", str(worst["term"]), _severity(abs(worst["dfbetas"]), MOVED),
            float(abs(worst["dfbetas"])), np.nan, np.nan,
            f"{counted(len(strong), by)} (the first: {first_of(strong.index, 3)}) move a coefficient by half of its standard "
            f"error or more; the most, {worst['term']} by {worst['dfbetas']:+.2f}.",
            "Look for errors in their data; report the model with and without them if they are right.",
            f"cs.influence(model, X, y, by={by!r}{_arguments(model)})",
        )  # fmt: skip


def _inflated(table: pd.DataFrame) -> Iterator[Finding]:
    for term, row in table[table["factor"] >= INFLATION[0]].iterrows():
        yield Finding(
            "variance_inflation", str(term), _severity(row["factor"], INFLATION),
            float(row["factor"]), float(row["df"]), np.nan,
            f"The variance of {term} is {row['factor']:.1f} times what it were if it did not go along with other terms.",
            "Keep one of the columns that tell the same, or combine them; predictions need no change.",
            "cs.variance_inflation(model)",
        )  # fmt: skip


def _few_events(model: CoxPH) -> Iterator[Finding]:
    per = events_per_parameter(model)
    if per < EVENTS[0]:
        yield Finding(
            "events_per_parameter", "", "serious" if per < EVENTS[1] else "note", per, np.nan, np.nan,
            f"{counted(model.n_events_, 'event')} for {counted(len(model.coef_), 'coefficient')}: {per:.1f} each.",
            "Use fewer columns, chosen before looking at the outcome, or merge rare levels of categories.",
            "cs.events_per_parameter(model)",
        )  # fmt: skip

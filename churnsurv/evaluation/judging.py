"""Predictions of all models for all folds, judged: the tables of an :class:`~churnsurv.evaluation.Evaluation`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from churnsurv.evaluation.measures import Metric
from churnsurv.evaluation.pooling import (
    Cell,
    cells,
    difference,
    judged_positions,
    measured,
    pooled,
    row_of_table,
    rows_of_folds,
)
from churnsurv.evaluation.records import Evaluation
from churnsurv.evaluation.trials import Asked, Failure, Predicted, Rows
from churnsurv.exceptions import ChurnSurvError, DataError, LeakageWarning
from churnsurv.kernels.multiplicity import adjusted_p_values
from churnsurv.nonparametric import CensoringModel

Floats = NDArray[np.float64]

#: a concordance above it is suspicious, as in the linter of spells
SUSPICIOUS = 0.97

_KEY = ["metric", "cause", "horizon"]


class Setting(NamedTuple):
    """What is judged: models, folds and measures."""

    models: tuple[str, ...]
    labels: tuple[Any, ...]  #: of the folds
    tests: tuple[Rows, ...]  #: held-out rows of the folds
    rows: tuple[NDArray[np.int64], ...]  #: their positions
    repeats: float  #: how often a row was held out, on average
    metrics: Sequence[Metric]
    asked: Asked
    reference: str | None
    level: float
    method: str
    censoring: CensoringModel | None = None  #: unfitted

    @property
    def n_units(self) -> int:
        """Number of codes of units."""
        return 1 + max(int(test.unit.max()) for test in self.tests)


def judge(setting: Setting, found: Sequence[Predicted | Failure], stacklevel: int = 3) -> Evaluation:
    """Judge predictions given fold by fold, in each for all models."""
    of_model = {name: found[i :: len(setting.models)] for i, name in enumerate(setting.models)}
    censoring = _fitted_censoring(setting)
    table: list[dict[str, Any]] = []
    folds: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    for cell in cells(setting.metrics, setting.asked.causes, setting.asked.horizons):
        of_cell = {}
        for name in setting.models:
            each = _by_fold(cell, setting, of_model[name], censoring)
            of_cell[name] = pooled(each, setting.tests, setting.repeats)
            table.append(row_of_table(name, cell, of_cell[name], setting.level))
            folds += rows_of_folds(name, cell, each, setting.tests, setting.labels, setting.level)
        if setting.reference is None or cell.metric.better == "near 1":
            continue
        differences += [
            difference(name, setting.reference, cell, of_cell[name], of_cell[setting.reference], setting.level)
            for name in setting.models
            if name != setting.reference
        ]
    by_model = pd.DataFrame(table)
    _refuse_nothing(by_model)
    _warn_of_suspicious(by_model, stacklevel)
    return Evaluation(
        table=_sorted(by_model, setting.models),
        differences=_adjusted(differences, setting.models),
        folds=_sorted(pd.DataFrame(folds), setting.models),
        predictions_=_predictions(setting, of_model),
        reference=setting.reference,
        level=setting.level,
        method=setting.method,
        models_={
            (name, label): each.fitted
            for name in setting.models
            for label, each in zip(setting.labels, of_model[name], strict=True)
            if isinstance(each, Predicted) and each.fitted is not None
        },
    )


def _by_fold(
    cell: Cell,
    setting: Setting,
    given: Sequence[Predicted | Failure],
    censoring: Sequence[CensoringModel | None],
) -> list[Any]:
    horizons, n_units = setting.asked.horizons, setting.n_units
    return [
        measured(cell, test, each, horizons, n_units, model)
        for test, each, model in zip(setting.tests, given, censoring, strict=True)
    ]


def _fitted_censoring(setting: Setting) -> list[CensoringModel | None]:
    """Fit the censoring to the rows that each fold is judged by: those of weight above 0, as in :func:`measured`."""
    if setting.censoring is None:
        return [None] * len(setting.tests)
    fitted: list[CensoringModel | None] = []
    for label, test in zip(setting.labels, setting.tests, strict=True):
        rows = judged_positions(test)
        X = None if setting.censoring.model is None else test.X.iloc[rows]
        weight = None if test.weight is None else test.weight[rows]
        try:
            fitted.append(clone(setting.censoring).fit(test.y[rows], X, sample_weight=weight))
        except ChurnSurvError as error:
            raise type(error)(f"The censoring of the rows held out in {label} was not fitted: {error}") from error
        except Exception as error:
            raise DataError(
                f"The censoring of the rows held out in {label} was not fitted: {type(error).__name__}: {error}"
            ) from error
    return fitted


def _sorted(table: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    position = table["model"].map({name: i for i, name in enumerate(models)})
    return table.iloc[np.argsort(position.to_numpy(), kind="stable")].reset_index(drop=True)


def _adjusted(rows: list[dict[str, Any]], models: Sequence[str]) -> pd.DataFrame:
    columns = ["model", "reference", *_KEY, "better", "difference", "se", "lower", "upper", "p_value", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(columns.index("reason"), "p_holm", adjusted_p_values(table["p_value"], "holm"))
    return _sorted(table, models)


def _refuse_nothing(table: pd.DataFrame) -> None:
    if table["value"].isna().all():
        raise DataError(f"Nothing could be measured. {table['reason'].iloc[0]}")


def _warn_of_suspicious(table: pd.DataFrame, stacklevel: int) -> None:
    ranks = table[table["metric"].isin(["concordance", "uno", "auc"]) & (table["value"] > SUSPICIOUS)]
    for model, rows in ranks.groupby("model", sort=False):
        worst = rows.loc[rows["value"].idxmax()]
        warnings.warn(
            f"{model} has a {worst['metric']} of {worst['value']:.3f} for {worst['cause']!r}, above {SUSPICIOUS}: no honest "
            "model of leaving is that good. Does a covariate know the outcome? See churnsurv.data.lint, and the permutation "
            "importance of the columns.",
            LeakageWarning,
            stacklevel=stacklevel,
        )


def _predictions(setting: Setting, of_model: dict[str, Sequence[Predicted | Failure]]) -> pd.DataFrame:
    parts = []
    names = [f"risk_{t:g}" for t in setting.asked.horizons]
    for model, given in of_model.items():
        for label, rows, each in zip(setting.labels, setting.rows, given, strict=True):
            if isinstance(each, Failure):
                continue
            for cause in setting.asked.causes:
                score, risk = each.score[cause], each.risk[cause]
                part = pd.DataFrame({"model": model, "fold": label, "row": rows, "cause": cause})
                part["score"] = np.nan if isinstance(score, str) else score
                part[names] = np.nan if isinstance(risk, str) else risk
                parts.append(part)
    columns = ["model", "fold", "row", "cause", "score", *names]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

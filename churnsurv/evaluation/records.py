"""What an evaluation found: estimates pooled over folds or dates, by fold, and paired differences of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.evaluation.measures import METRICS
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.results import Estimate


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation:
    """How well models predict rows that they were not fitted to.

    Parameters
    ----------
    table : DataFrame
        One row per model, metric, cause and horizon: ``model, metric, cause, horizon, value, se, lower, upper, n, n_events,
        folds, reason``. What a model does not offer is NaN, with the reason. ``n`` are subjects held out, ``folds`` those that
        had an event to tell by.
    differences : DataFrame
        One row per model, metric, cause and horizon beside the reference: ``model, reference, metric, cause, horizon, better,
        difference, se, lower, upper, p_value, p_holm, reason``; empty for one model. ``difference`` is the model's value minus
        the reference's on the same rows, ``better`` tells which way is good, ``p_holm`` is adjusted for all rows of this table.
    folds : DataFrame
        The estimates of each fold (or date), with ``fold``.
    predictions_ : DataFrame
        What was judged: ``model, fold, row`` (position among the rows given; of a backtest in its cohort), ``cause, score`` and
        ``risk_6``, ``risk_12`` … by horizon.
    reference : str or None
        The model that others are compared with.
    level : float
        Confidence level of the intervals.
    method : str
        What was estimated, and how its standard error was.
    models_ : mapping of (model, fold) to estimator
        The fitted models that :func:`churnsurv.evaluation.backtest` was asked to keep.
    """

    table: pd.DataFrame
    differences: pd.DataFrame
    folds: pd.DataFrame
    predictions_: pd.DataFrame
    reference: str | None
    level: float
    method: str
    models_: Mapping[tuple[str, Any], Any] = field(default_factory=dict)

    def to_frame(self, wide: bool = False) -> pd.DataFrame:
        """Give the table; ``wide=True``: one row per model and cause, of text as it stands in a document.

        The wide table has a column per metric and horizon, "0.712 (0.690 to 0.734)", and with a reference a second one of the
        differences from it with Holm's p-value.
        """
        if not wide:
            return self.table.copy()
        several = len(self.table["cause"].unique()) > 1
        index = ["model", "cause"] if several else ["model"]
        parts = [_texts(self.table, index, "value", "", None)]
        if len(self.differences):
            parts.append(_texts(self.differences, index, "difference", f" − {self.reference}", "p_holm"))
        wide_table = pd.concat(parts, axis=1)
        names = [name for part in zip(*(p.columns for p in parts), strict=False) for name in part]
        rest = [name for name in wide_table.columns if name not in names]
        order = list(dict.fromkeys(zip(self.table["model"], self.table["cause"], strict=True)))
        wanted = pd.MultiIndex.from_tuples(order, names=index) if several else list(dict.fromkeys(m for m, _ in order))
        return wide_table[[*names, *rest]].reindex(wanted).fillna("")

    def estimate(
        self, metric: str, *, model: str | None = None, cause: str | None = None, horizon: float | None = None
    ) -> Estimate:
        """Give one pooled estimate; what is left out must be the only one.

        Raises
        ------
        DataError
            None or several rows of the table fit, or the one that does was not estimated.
        """
        rows = self.table[self.table["metric"] == metric]
        for name, value in (("model", model), ("cause", cause), ("horizon", horizon)):
            rows = rows if value is None else rows[rows[name] == value]
        if len(rows) != 1:
            seen = first_of([repr(m) for m in self.table["metric"].unique()], 12)
            raise DataError(
                f"{len(rows)} rows of the table fit metric={metric!r}, model={model!r}, cause={cause!r}, horizon={horizon!r}: "
                f"name one of the metrics {seen}, and the model, cause and horizon where there are several."
            )
        row = rows.iloc[0]
        if row["reason"]:
            raise DataError(f"{metric} of {row['model']} was not estimated: {row['reason']}")
        numbers = {name: float(row[name]) for name in ("value", "se", "lower", "upper")}
        name = _title(row) + f", {row['model']}"
        return Estimate(
            name, **numbers, level=self.level, n=int(row["n"]), n_events=int(row["n_events"]), method=self.method
        )

    def __repr__(self) -> str:
        return f"Evaluation, {self.level:.0%} intervals\n{self._tall().to_string(index=False)}\n{self.method}"

    def _repr_html_(self) -> str:
        return self._tall().to_html(border=0, index=False) + f"<p>{self.level:.0%} intervals. {self.method}</p>"

    def _tall(self) -> pd.DataFrame:
        """Give one row per measure and model, of text: what fits on a screen however many measures there are."""
        tall = pd.DataFrame(
            {
                "measure": [_title(row) for _, row in self.table.iterrows()],
                "cause": self.table["cause"],
                "model": self.table["model"],
                "estimate": [_text(row, "value", None) for _, row in self.table.iterrows()],
            }
        )
        if len(self.differences):
            key = ["model", "metric", "cause", "horizon"]
            texts = self.differences[key].assign(
                text=[_text(row, "difference", "p_holm") for _, row in self.differences.iterrows()]
            )
            tall[f"difference from {self.reference}"] = (
                self.table[key].merge(texts, how="left", on=key)["text"].fillna("")
            )
        rank = pd.factorize(tall["measure"] + tall["cause"])[0]
        return tall.iloc[np.argsort(rank, kind="stable")].reset_index(drop=True)


def _title(row: Any) -> str:
    metric = METRICS.get(row["metric"])
    label = row["metric"] if metric is None else metric.label
    if np.isnan(row["horizon"]):
        return str(label)
    return f"{label} {'to' if metric is not None and metric.at == 'span' else 'at'} {row['horizon']:g}"


def _texts(table: pd.DataFrame, index: list[str], column: str, suffix: str, p: str | None) -> pd.DataFrame:
    """Give one row per model and one column per metric and horizon, of "value (lower to upper)"."""
    shown = table.assign(
        title=[_title(row) + suffix for _, row in table.iterrows()],
        text=[_text(row, column, p) for _, row in table.iterrows()],
    )
    order = list(dict.fromkeys(shown["title"]))
    wide = shown.pivot_table(index=index, columns="title", values="text", aggfunc="first", sort=False)
    wide.columns.name = None
    return wide[order]


def _text(row: Any, column: str, p: str | None) -> str:
    if np.isnan(row[column]):
        return "not available"
    digits = 4 if "brier" in row["metric"] else 3
    # + 0.0: no "−0.000"
    numbers = [round(row[name], digits) + 0.0 for name in (column, "lower", "upper")]
    value, lower, upper = (f"{number:.{digits}f}".replace("-", "−") for number in numbers)
    interval = "" if np.isnan(row["lower"]) else f" ({lower} to {upper})"
    if p is None or np.isnan(row[p]):
        return value + interval
    return value + interval + (", p < 0.001" if row[p] < 0.001 else f", p = {row[p]:.3f}")

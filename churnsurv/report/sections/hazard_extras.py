"""What may stand beside the hazard ratios: univariable ones, subdistribution ratios, curves, the baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.estimators.cox import CoxPH
from churnsurv.estimators.fine_gray import FineGray
from churnsurv.plot import functional_form, predicted_incidence
from churnsurv.report.analysis import Analysis, named, ratios
from churnsurv.report.content import Block, Figure, Table, Text
from churnsurv.report.figures import drawn
from churnsurv.report.hazard_ratios import HazardRatioTable
from churnsurv.report.term_labels import factors_of, plain_name
from churnsurv.report.words import level_words, listed, percent, periods, share_words

#: points at which a curve is drawn, between these shares of the rows
POINTS, ENDS = 60, (0.02, 0.98)


def beside(analysis: Analysis, cause: str) -> list[Block]:
    """Give, in one table, what the configuration asks for beside the ratios: univariable ones, subdistribution ratios."""
    settings = analysis.config.model
    alone = univariable(analysis, cause) if settings.univariable else []
    other = fine_gray(analysis, cause) if settings.fine_gray else []
    tables = [block for block in (*alone, *other) if isinstance(block, Table)]
    if len(tables) < 2 or [row[0] for row in tables[0].rows] != [row[0] for row in tables[1].rows]:
        return [*alone, *other]
    # the multivariable ratio is that of the summary: once more to compare with, without its interval
    first = ("label", "uni_hazard_ratio", "uni_interval", "uni_p_value", "hazard_ratio")
    second = tuple(column.name for column in tables[1].columns if column.name.startswith("1."))
    chosen = [
        [i for i, column in enumerate(table.columns) if column.name in wanted]
        for table, wanted in zip(tables, (first, second), strict=True)
    ]
    pairs = list(zip(tables, chosen, strict=True))
    rows = zip(tables[0].rows, tables[1].rows, strict=True)
    key = f"beside-{cause}"
    texts = [
        replace(block, text=block.text.replace(f"{{ref:univariable-{cause}}}", f"{{ref:{key}}}"))
        for block in (*alone, *other)
        if isinstance(block, Text)
    ]
    joined = replace(
        tables[0],
        key=key,
        title=f"Hazard ratios of {cause}: univariable, multivariable and subdistribution",
        columns=tuple(table.columns[i] for table, columns in pairs for i in columns),
        rows=tuple(tuple(row[i] for row, columns in zip(both, chosen, strict=True) for i in columns) for both in rows),
        notes=(
            f"Units, intervals and p-values of the multivariable ratios: {{ref:ratios-{cause}}}.",
            "SHR: subdistribution hazard ratio, of all terms together.",
        ),
    )
    return [*texts, joined]


def univariable(analysis: Analysis, cause: str) -> list[Block]:
    """Give each ratio beside that of a model with the term alone."""
    model = analysis.model.models_[cause]
    with named(f"[model] univariable = true, {cause}"):
        table = ratios({cause: model}, analysis.config, data=analysis.rows, univariable=True, signs=False)
    frame = table.frame
    alone = (frame["uni_hr_lower"] > 1) | (frame["uni_hr_upper"] < 1)
    moved = frame[(alone != ((frame["hr_lower"] > 1) | (frame["hr_upper"] < 1))) & ~frame["curve"]]
    text = (
        f"{{ref:univariable-{cause}}} compares each ratio with that of a model in which the term stands alone. "
        "Where the two differ, "
        "the other covariates explain a part of what the term alone shows, or hide it."
    )
    if len(moved):
        names = [str(label) for label in moved["label"]]
        text += f" The interval includes 1 in one of the models and not in the other for {listed(names)}."
    title = f"Hazard ratios of {cause}, univariable and multivariable"
    return [Text(text), _kept(table, f"univariable-{cause}", title, analysis)]


def fine_gray(analysis: Analysis, cause: str) -> list[Block]:
    """Give the cause-specific ratios (why) beside the subdistribution ratios (how many)."""
    config, cox = analysis.config, analysis.model.models_[cause]
    X, y, arguments = analysis.rows
    with named(f"[model] fine_gray = true, {cause}"):
        model = FineGray(cause, formula=cox.formula, ties=cox.ties).fit(X, y, **arguments)
    names = ("Cause-specific", "Subdistribution")
    table = ratios(dict(zip(names, (cox, model), strict=True)), config, layout="beside", signs=False)
    one, other = (table.of(name).frame.set_index("term") for name in names)
    clear = [(f["hr_lower"] > 1) | (f["hr_upper"] < 1) for f in (one, other)]
    apart = one.index[clear[0] & clear[1] & ((one["hazard_ratio"] > 1) != (other["hazard_ratio"] > 1))]
    text = (
        f"A cause-specific ratio says why loans leave by {cause}: how the rate changes among those still with us. A "
        "subdistribution ratio (Fine and Gray) says how many do: it also counts that who leaves by another cause can no "
        "longer leave by this one. They answer different questions, and neither corrects the other. "
    )
    which = f": {listed([str(label) for label in one['label'][apart]])}" if len(apart) else ""
    text += f"{share_words(len(apart), len(one), 'term').capitalize()} clearly above 1 in one and below 1 in the other{which}."
    title = f"Cause-specific and subdistribution hazard ratios of {cause}"
    return [Text(text), _kept(table, f"subdistribution-{cause}", title, analysis)]


def _kept(table: HazardRatioTable, key: str, title: str, analysis: Analysis) -> Table:
    # counts stand in the table of the ratios already
    frame, references = (f.drop(columns=["n", "events"], errors="ignore") for f in (table.frame, table.references))
    table = replace(table, frame=frame, references=references, title=title)
    notes = (
        ()
        if key.startswith("univariable")
        else ("HR: cause-specific hazard ratio; SHR: subdistribution hazard ratio.",)
    )
    return replace(table.to_table(key, smallest=analysis.config.smallest_cell), notes=notes)


def curves(analysis: Analysis, cause: str) -> list[Figure]:
    """Draw the terms that are curves, whose coefficients say nothing one by one."""
    model: CoxPH = analysis.model.models_[cause]
    X = analysis.rows[0]
    made = []
    for term, columns in model.encoder_.columns_by_term().items():
        factors = factors_of(str(model.coef_.index[columns[0]]))
        if len(factors) > 1 or factors[0].curve is None:
            continue
        column = factors[0].column
        words = analysis.config.terms.get(column)
        label = (words.label if words else None) or plain_name(column)
        low, high = (float(X[column].quantile(end)) for end in ENDS)
        values = np.unique(np.linspace(low, high, POINTS))
        at = pd.concat([X.iloc[[0]]] * len(values), ignore_index=True).assign(**{column: values})
        middle = X.iloc[[0]].assign(**{column: float(X[column].median())})
        table = model.hazard_ratio(at, middle, level=analysis.config.level).assign(value=values)
        lowest, highest = (table.loc[i] for i in (table["hazard_ratio"].idxmin(), table["hazard_ratio"].idxmax()))
        made.append(
            drawn(
                f"curve-{cause}-{column}",
                f"Hazard of {cause} over {label}",
                lambda ax, table=table, label=label: functional_form(  # type: ignore[misc]
                    table, ax=ax, xlabel=label, ylabel="Hazard ratio to the median"
                ),
                alt=(
                    f"Curve of the hazard ratio of {cause} over {label}, term {term}: lowest "
                    f"{lowest['hazard_ratio']:.2f} at "
                    f"{lowest['value']:.4g}, highest {highest['hazard_ratio']:.2f} at {highest['value']:.4g}."
                ),
                caption=(
                    f"Hazard ratio to a loan at the median of {label}, all else equal, with the pointwise "
                    f"{level_words(analysis.config.level)} interval, between the 2nd and 98th percentile."
                ),
            )
        )
    return made


def baseline(analysis: Analysis) -> list[Block]:
    """Draw the probability of having left by each cause of a typical loan: the baseline hazards, made readable."""
    config = analysis.config
    row, words = typical_loan(analysis)
    with named("The baseline of the models"):
        predicted = analysis.model.predict_curves(row, level=config.level)
    unit, origin = config.unit, float(predicted.origin[0])
    said = []
    for position, cause in enumerate(predicted.causes):
        value = predicted.probability[0, position + 1]
        value = value[np.isfinite(value)]
        said.append(f"{cause} {percent(float(value[-1]))}")
    last = float(predicted.times[np.isfinite(predicted.probability[0, 1])][-1])
    return [
        drawn(
            "baseline",
            "Baseline: probability of having left by each cause, of a typical loan",
            lambda ax: predicted_incidence(predicted, ax=ax, xlabel=f"{unit.capitalize()}s since origination"),
            alt=f"Step curves of the predicted incidence by cause. At the age of {periods(last, unit)}: {listed(said)}.",
            caption=(
                f"Predicted by the models for {words}, followed from the age of {periods(origin, unit)}; covariates stay as "
                "they are. "
                f"Bands: pointwise {level_words(config.level)} intervals. The hazard ratios raise or lower the "
                "hazards of these curves."
            ),
        )
    ]


def typical_loan(analysis: Analysis) -> tuple[pd.DataFrame, str]:
    """Give one row with numeric covariates at their means over the spells and categories at their most frequent level."""
    X: pd.DataFrame = analysis.rows[0]
    strata = list(analysis.config.model.strata)
    row: dict[str, Any] = {}
    for column in X.columns:
        numeric = pd.api.types.is_numeric_dtype(X[column]) and column not in strata
        row[column] = float(X[column].mean()) if numeric else X[column].mode().iloc[0]
    made = pd.DataFrame([row])
    for column in X.columns:
        if isinstance(X[column].dtype, pd.CategoricalDtype):
            made[column] = made[column].astype(X[column].dtype)
    in_strata = f" ({listed([f'{name} {row[name]}' for name in strata])})" if strata else ""
    return made, f"a loan with numeric covariates at their means and categories at their most frequent level{in_strata}"

"""A made table of hazard ratios: as a frame, as documents, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.report.content import Table
from churnsurv.report.ratio_layout import content_table
from churnsurv.report.words import level_words, p_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATIOS = ("hazard_ratio", "hr_lower", "hr_upper")
#: in notebooks, whose own style sets tables narrow and to the right
_STYLE = (
    "<style>.churnsurv-ratios table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}"
    ".churnsurv-ratios caption{{text-align:left;font-weight:600;padding:.3em 0}}"
    ".churnsurv-ratios th,.churnsurv-ratios td{{text-align:left;padding:.25em .7em;white-space:nowrap;border:0}}"
    ".churnsurv-ratios .number{{text-align:right}}.churnsurv-ratios tbody th{{font-weight:normal}}"
    ".churnsurv-ratios .group th,.churnsurv-ratios .strong>*{{font-weight:600}}"
    ".churnsurv-ratios thead th.over{{text-align:center;border-bottom:1px solid}}"
    ".churnsurv-ratios thead{{border-top:1.5px solid;border-bottom:1.5px solid}}"
    ".churnsurv-ratios tbody{{border-bottom:1.5px solid}}.churnsurv-ratios .note{{font-size:.85em}}</style>"
    '<div class="churnsurv-ratios">{table}</div>'
)


@dataclass(frozen=True, eq=False)
class HazardRatioTable:
    """Hazard ratios of one or several models, ready for a page.

    Attributes
    ----------
    frame : DataFrame
        One row per model and coefficient: model, group, term, label, per, hazard_ratio, hr_lower, hr_upper, p_value,
        expected ("+", "-" or ""), verdict; column and level (of a category), factor_label, curve (whether it is one column
        of a spline), p_term (joint Wald test of the term's coefficients); with data n and events (subjects and events, of
        the level for a category), with univariable fits uni_hazard_ratio, uni_hr_lower, uni_hr_upper, uni_p_value and
        uni_p_term, with ``vif=True`` vif.
    level : float
        Confidence level of the intervals.
    title : str
        Heading of the table.
    references : DataFrame
        The rows of reference levels, hazard_ratio 1, in the columns of `frame`.
    layout : {"below", "beside"}
        Where several models stand.
    notes : tuple of str
        What each model rests on: events, ties, variance.
    symbols, ratio_names : dict
        Model → "HR", or "SHR" of a Fine–Gray model, and the ratio's name.
    emphasise : float or None
        Rows with a p-value below are bold.
    """

    frame: pd.DataFrame
    level: float = 0.95
    title: str = "Hazard ratios"
    references: pd.DataFrame = field(default_factory=pd.DataFrame)
    layout: Literal["below", "beside"] = "below"
    notes: tuple[str, ...] = ()
    symbols: Mapping[str, str] = field(default_factory=dict)
    ratio_names: Mapping[str, str] = field(default_factory=dict)
    emphasise: float | None = None

    def to_frame(self, *, references: bool = False) -> pd.DataFrame:
        """Give the table as a tidy frame; with the reference levels, in their place, and a column is_reference."""
        if not references:
            return self.frame.copy()
        own = self.frame.assign(is_reference=False)
        if self.references.empty:
            return own
        whole = pd.concat([own, self.references.assign(is_reference=True)], ignore_index=True)
        return whole.sort_values("position", kind="stable").reset_index(drop=True)

    def of(self, model: str) -> HazardRatioTable:
        """Give the rows of one model."""
        rows = self.frame[self.frame["model"] == model]
        if rows.empty:
            raise DataError(f"No model {model!r} in the table; there are {first_of(self.frame['model'].unique())}.")
        kept = self.references[self.references["model"] == model] if len(self.references) else self.references
        index = list(dict.fromkeys(self.frame["model"])).index(model)
        return replace(
            self, frame=rows.reset_index(drop=True), references=kept.reset_index(drop=True), notes=self.notes[index : index + 1]
        )  # fmt: skip

    def inline(
        self, term: str, model: str | None = None, *, level: str | None = None, univariable: bool = False
    ) -> str:
        """Give one ratio for a sentence, e.g. "HR 1.34 per +1 pp (95% CI 1.30 to 1.39, p <0.001)".

        Parameters
        ----------
        term : str
            Term; or column of a category, with its `level`.
        model : str, optional
            Where the table has several.
        level : str, optional
            Level of the category.
        univariable : bool
            The ratio that is not adjusted for the other terms.
        """
        row = self.row(term, model, level=level)
        start = "uni_" if univariable else ""
        if f"{start}hazard_ratio" not in row:
            raise DataError("The table has no univariable ratios: make it with data=(X, y) and univariable=True.")
        symbol = self.symbols.get(row["model"], "HR")
        if row["is_reference"]:
            return f"{symbol} 1 (reference)"
        ratio, lower, upper = (float(row[start + name]) for name in RATIOS)
        if not np.isfinite([ratio, lower, upper]).all():
            return f"{symbol} not estimable"
        per = f" {row['per']}" if row["per"] else ""
        interval = f"{level_words(self.level)} CI {lower:.2f} to {upper:.2f}"
        return f"{symbol} {ratio:.2f}{per} ({interval}, {p_words(float(row[start + 'p_value']))})"

    def row(self, term: str, model: str | None = None, *, level: str | None = None) -> dict[str, Any]:
        """Give the row of a term as a dict; with several models name the model."""
        frame = self.to_frame(references=True)
        rows = (
            frame[frame["term"] == term]
            if level is None
            else frame[(frame["column"] == term) & (frame["level"] == level)]
        )
        if model is not None:
            rows = rows[rows["model"] == model]
        if rows.empty:
            levels = frame.loc[frame["column"] == term, "level"].unique()
            if any(levels):
                raise DataError(f"{term!r} is a category: name one of its levels {first_of(levels, 30)} with level=.")
            raise DataError(
                f"No term {term!r} in the table; its terms are {first_of(self.frame['term'].unique(), 30)}."
            )
        if len(rows) > 1:
            raise DataError(f"Term {term!r} is in the models {first_of(rows['model'])}: name one with model=.")
        return {str(key): value for key, value in rows.iloc[0].items()}

    def to_table(self, key: str = "hazard-ratios", *, smallest: int = 0) -> Table:
        """Give the table as content of a report; counts from 1 to `smallest` - 1 are suppressed."""
        return content_table(self, key, smallest)

    def to_html(self) -> str:
        """Give the table as HTML; text is escaped."""
        from churnsurv.report.render.html import render_table

        return render_table(self._plain())

    def to_latex(self) -> str:
        """Give the table as LaTeX (package booktabs); text is escaped."""
        from churnsurv.report.render.latex import render_table

        return render_table(self._plain())

    def to_markdown(self) -> str:
        """Give the table as Markdown (GitHub's); text is escaped."""
        from churnsurv.report.render.markdown import render_table

        return render_table(self._plain())

    def to_docx(self) -> Any:
        """Give a Word document (python-docx) that holds the table; save it with ``.save(path)``."""
        from churnsurv.report.render.word import table_document

        return table_document(self._plain())

    def to_great_tables(self) -> Any:
        """Give a ``great_tables.GT``, for further styling; text is escaped."""
        from churnsurv.report.render.great import render_table

        return render_table(self._plain())

    def forest(self, *, ax: Axes | None = None) -> Axes:
        """Draw the ratios of one model, see :func:`churnsurv.plot.forest`."""
        from churnsurv.plot import forest

        names = self.frame["model"].unique()
        if len(names) > 1:
            raise DataError(f"A forest plot shows one model: choose with .of(...) among {first_of(names)}.")
        return forest(self, ax=ax)

    def _plain(self) -> Any:
        from churnsurv.report.canonical import plain

        return plain(asdict(self.to_table()))

    def _repr_html_(self) -> str:
        return _STYLE.format(table=self.to_html())

    def __repr__(self) -> str:
        shown = ["model", "label", "per", "hazard_ratio", "hr_lower", "hr_upper", "p_value", "verdict"]
        return self.frame[shown].to_string(index=False, float_format=lambda v: f"{v:.3g}")

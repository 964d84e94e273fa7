"""Which coefficients belong together: those of one category, of one spline, of one term of the formula."""

from __future__ import annotations

from churnsurv.data.encoder import DesignEncoder


def term_groups(encoder: DesignEncoder) -> dict[str, list[int]]:
    """Give the terms as the formula (or the columns of X) names them, and the positions of their coefficients."""
    position = {name: at for at, name in enumerate(encoder.terms_)}
    if encoder.formula_ is not None:
        names = encoder.spec_.column_names
        found = {
            str(term): [position[names[i]] for i in columns if names[i] in position]
            for term, columns in encoder.spec_.term_indices.items()
        }
    else:
        levels = encoder.levels_
        found = {
            c: [position[f"{c}[T.{v}]"] for v in levels[c][1:]] if c in levels else [position[c]]
            for c in encoder.columns_
        }
    return {name: columns for name, columns in found.items() if columns}


def term_columns(encoder: DesignEncoder) -> dict[str, set[str]]:
    """Give the columns of X of which each term is made."""
    if encoder.formula_ is None:
        return {column: {column} for column in encoder.columns_}
    return {
        str(term): {str(v) for v in variables if v.source == "data"}
        for term, variables in encoder.spec_.term_variables.items()
    }

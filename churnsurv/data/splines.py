"""Spline bases of formulas, formulaic's with two rules of a regression without intercept.

A basis never contains the constant (it would cancel), so the natural and cyclic ones are centred unless told otherwise and
``df`` is their number of columns, as it is of ``bs``. Beyond the boundary knots of the fit a B-spline is refused, because
its polynomials run away there; a natural spline goes on as the straight line that it is by definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from formulaic.transforms import basis_spline, stateful_transform
from formulaic.transforms.cubic_spline import cubic_spline
from numpy.typing import ArrayLike, NDArray


class OutsideKnots(ValueError):  # noqa: N818
    """Values beyond the boundary knots of the fit: `rows` (positions), and the range from `lower` to `upper`."""

    def __init__(self, rows: NDArray[np.int64], lower: float, upper: float) -> None:
        super().__init__(f"{len(rows)} values lie beyond the range of the fit, {lower:g} to {upper:g}")
        self.rows, self.lower, self.upper = rows, lower, upper


@stateful_transform  # type: ignore[untyped-decorator]
def _b_spline(x: ArrayLike, *args: Any, extrapolation: str = "raise", _state: dict[str, Any], **kwargs: Any) -> Any:
    """Give the B-spline basis; values beyond the knots of the fit are an :class:`OutsideKnots` with their rows."""
    if extrapolation == "raise" and "knots" in _state:
        lower, upper = float(_state["lower_bound"]), float(_state["upper_bound"])
        values = np.asarray(x)
        rows = np.flatnonzero((values < lower) | (values > upper))
        if len(rows):
            raise OutsideKnots(rows, lower, upper)
    return basis_spline(x, *args, extrapolation=extrapolation, _state=_state, **kwargs)


_natural = stateful_transform(partial(cubic_spline, cyclic=False, constraints="center"))
_cyclic = stateful_transform(partial(cubic_spline, cyclic=True, constraints="center"))

#: names in formulas → transforms
SPLINES: Mapping[str, Any] = {"bs": _b_spline, "cs": _natural, "cr": _natural, "cc": _cyclic}


def _held(transform: Any) -> Any:
    """Give a transform that holds its ends, whatever a formula says of values beyond its knots."""

    @stateful_transform  # type: ignore[untyped-decorator]
    def held(x: ArrayLike, *args: Any, extrapolation: str = "clip", _state: dict[str, Any], **kwargs: Any) -> Any:
        return transform(x, *args, extrapolation="clip", _state=_state, **kwargs)

    return held


#: the same for rows that stand in for those of the fit, and need not lie within the knots
HELD_SPLINES: Mapping[str, Any] = {name: _held(transform) for name, transform in SPLINES.items()}

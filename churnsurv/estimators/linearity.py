"""The score test of linearity: of a spline of a column, added to a fitted Cox model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.estimators.cox_state import Seen, refuse_other_rows
from churnsurv.estimators.ph_test import added_test, cluster_codes, table_of
from churnsurv.kernels.cox import gradient, one_shard
from churnsurv.kernels.cox_rows import row_bounds
from churnsurv.kernels.newton import Problem, evaluate
from churnsurv.kernels.residuals import ResidualArg, group_scores, weighted_information
from churnsurv.kernels.splines import natural_basis, spline_knots
from churnsurv.messages import numeric_column

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH

Floats = NDArray[np.float64]
#: columns of the spline tested, constant and line included; columns with fewer different values are bands already
DF, FEWEST_VALUES = 4, 6


def linearity_tests(model: CoxPH, at: Seen, frame: pd.DataFrame) -> pd.DataFrame:
    """Test each numeric column that enters as it is against a natural spline of it, all others as they are.

    The score test of the spline's further columns at coefficient 0 (Therneau and Grambsch 2000, ch. 5), by the tie rule of
    the fit; columns as of :func:`proportional_hazards_test`. One pass over the rows with the splines of all columns.
    """
    curves, groups = _curves(model, at, frame)
    if not curves:
        return pd.DataFrame(columns=["statistic", "df", "p_value"], index=pd.Index([], name="term"), dtype=np.float64)
    p = len(model.coef_)
    shard = at.data.shard._replace(x=np.ascontiguousarray(np.column_stack((at.data.shard.x, *curves))))
    problem = Problem(one_shard(shard), at.data.buckets, at.data.problem.efron, shard.x.shape[1], *row_bounds(shard))
    state = evaluate(problem, np.concatenate((at.state.beta, np.zeros(shard.x.shape[1] - p))))
    unit = ResidualArg(state, at.data.buckets, np.ones(len(at.data.buckets.time)))
    (information,) = weighted_information(shard, state, at.data.buckets, unit.multiplier[None])
    i11, i12, i22 = information[:p, :p], information[:p, p:], information[p:, p:]
    refuse_other_rows(model, at)
    test = added_test(at, gradient(state.sums, state.terms)[p:], i11, i12, i22)
    parts = None
    if model.is_robust_:
        scores = group_scores(shard, unit, *cluster_codes(at))
        parts = scores[:, p:] - scores[:, :p] @ test.regression
    return table_of(at, test, groups, parts)


def _curves(model: CoxPH, at: Seen, frame: pd.DataFrame) -> tuple[list[Floats], dict[str, list[int]]]:
    """Give the further columns of the splines, standardised, and their positions by column of X."""
    curves: list[Floats] = []
    groups: dict[str, list[int]] = {}
    for name, columns in model.encoder_.columns_by_term().items():
        if name not in frame.columns or name in model.encoder_.levels_ or len(columns) != 1:
            continue
        values = numeric_column(frame[name], name)
        values = values if at.rows.kept is None else values[at.rows.kept]
        if len(np.unique(values)) < FEWEST_VALUES:
            continue
        at_events = values[at.rows.event]
        further = natural_basis(values, spline_knots(at_events, values.min(), values.max(), DF))[:, 2:]
        spread = further.std(axis=0)
        further = (further[:, spread > 0] - further[:, spread > 0].mean(axis=0)) / spread[spread > 0]
        if further.shape[1]:
            groups[name] = [sum(c.shape[1] for c in curves) + j for j in range(further.shape[1])]
            curves.append(further)
    return curves, groups

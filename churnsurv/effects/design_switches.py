"""From an indicator column to the dates at which units switched."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churnsurv.data.spells import Spells
from churnsurv.effects.design import require_columns_of
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of


def switch_dates(spells: Spells, indicator: str, unit: str) -> dict[object, pd.Timestamp | None]:
    """Give for each unit the last day before its switch, as :class:`StaggeredRollout` takes it; None: never switched.

    Parameters
    ----------
    spells : Spells
        Complete ones: the indicator must be known.
    indicator : str
        Column that is 0 before and 1 since the change.
    unit : str
        Column of the units that change as a whole.

    Raises
    ------
    DataError
        Other values than 0 and 1, no change at all, a unit that goes back or is reached in parts.

    Examples
    --------
    >>> import churnsurv as cs
    >>> p = cs.data.load_example()
    >>> spells = cs.data.build_spells(p.loans, p.performance, p.rules, macro=p.macro).complete()
    >>> dates = cs.effects.switch_dates(spells, "faster_service", "branch")
    >>> min(day for day in dates.values() if day is not None)
    Timestamp('2024-06-30 00:00:00')
    """
    frame = spells.frame
    require_columns_of(frame, [indicator, unit])
    try:
        values = frame[indicator].astype(float)
    except (TypeError, ValueError):
        values = pd.Series(np.nan, frame.index)
    others = frame.loc[~values.isin((0.0, 1.0)), indicator].drop_duplicates()
    if len(others):
        raise DataError(
            f"the indicator {indicator!r} must be 0 before and 1 since the change; it also holds {first_of(others.tolist())}."
        )
    if values.nunique() < 2:
        raise DataError(f"{indicator!r} is {values.iloc[0]:g} throughout: there is nothing to compare.")
    by_unit = (
        pd.DataFrame({unit: frame[unit], "period": frame["period"], "value": values})
        .groupby([unit, "period"], observed=True)["value"]
        .agg(["min", "max"])
    )
    before = by_unit.groupby(level=0)["max"].cummax()
    back = by_unit.index.get_level_values(0)[(by_unit["min"] < before).to_numpy()].unique()
    if len(back):
        raise DataError(
            f"{indicator!r} is 0 again, or for some loans only, after it was 1 in {counted(len(back), 'unit')} ({unit} "
            f"{first_of(back)}): a rollout reaches a unit as a whole and stays. Give the column of the units that change, or "
            "an indicator that stays 1."
        )
    first = by_unit[by_unit["max"] == 1].reset_index().groupby(unit, observed=True)["period"].min()
    units = by_unit.index.get_level_values(0).unique()
    return {name: first[name] - pd.Timedelta(days=1) if name in first.index else None for name in units}

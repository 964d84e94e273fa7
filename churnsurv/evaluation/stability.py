"""Records of stability: one index with its alarm, and those of a family of characteristics."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pandas as pd

#: the rule of the trade: below the first no change, above the second a large one, whatever the sample sizes
FIXED_RULE = (0.10, 0.25)


@dataclass(frozen=True, eq=False)
class Stability:
    r"""The stability index of one score or characteristic, :math:`\sum_b (q_b - p_b)\log(q_b/p_b)` over its bins.

    Parameters
    ----------
    name : str
    value : float
        Index of the two samples. It is above 0 without drift, on average by ``expected``.
    se, lower, upper, level : float
        Standard error and interval of the index of the two populations (noncentral chi-square).
    threshold : float
        Alarm above it; of a family of characteristics after the adjustment for their number.
    false_alarm_rate : float
        Probability of an alarm without drift; of a family: see :class:`CharacteristicStability`.
    p_value, p_adjusted : float
        Probability of such an index without drift; adjusted for the number of characteristics.
    alarm : bool
    expected : float
        Mean of the index without drift at these sample sizes.
    fixed_rule : str
        What the rule of 0.10 and 0.25 says: "stable", "moderate shift", "large shift".
    fixed_rule_false_alarms, fixed_rule_false_large : float
        How often an index without drift exceeds 0.10 and 0.25 at these sample sizes.
    design_effect : float
        Expected index over that of as many independent rows: above 1 with several rows of a customer, below 1 where the same
        customers are in both samples.
    n_reference, n_current : int
        Rows.
    bins : DataFrame
        bin, n_reference, n_current, share_reference, share_current, contribution; the bin that moved most first.
    method : str
    """

    name: str
    value: float
    se: float
    lower: float
    upper: float
    level: float
    threshold: float
    false_alarm_rate: float
    p_value: float
    p_adjusted: float
    alarm: bool
    expected: float
    fixed_rule: str
    fixed_rule_false_alarms: float
    fixed_rule_false_large: float
    design_effect: float
    n_reference: int
    n_current: int
    bins: pd.DataFrame
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Give the record as a frame of one row, without the bins."""
        return pd.DataFrame([{key: value for key, value in asdict(self).items() if key != "bins"}])


@dataclass(frozen=True, eq=False)
class CharacteristicStability:
    """Stability indices of a family of characteristics with alarms adjusted for their number.

    Parameters
    ----------
    characteristics : tuple of Stability
        In the order of the columns.
    adjust : str
        "holm" or "bonferroni": ``false_alarm_rate`` bounds the probability of any false alarm; "benjamini-hochberg": the
        expected share of false ones among the alarms.
    false_alarm_rate : float
    """

    characteristics: tuple[Stability, ...]
    adjust: str
    false_alarm_rate: float

    def to_frame(self) -> pd.DataFrame:
        """Give one row per characteristic, the largest index over its threshold first."""
        table = pd.concat([one.to_frame() for one in self.characteristics], ignore_index=True)
        return table.sort_values(["p_value", "name"], kind="stable", ignore_index=True)

    @property
    def alarms(self) -> tuple[Stability, ...]:
        """The characteristics with an alarm."""
        return tuple(one for one in self.characteristics if one.alarm)

    @property
    def bins(self) -> pd.DataFrame:
        """The bins of all characteristics, with a column ``name`` in front."""
        tables = [one.bins.assign(name=one.name) for one in self.characteristics]
        table = pd.concat(tables, ignore_index=True)
        return table[["name", *(column for column in table.columns if column != "name")]]

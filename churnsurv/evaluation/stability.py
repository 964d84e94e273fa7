"""Records of stability: one index with its alarm, and those of a family of characteristics."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pandas as pd

from churnsurv.evaluation.presented import Presented, Shown, alarms_in_words

#: the rule of the trade: below the first no change, above the second a large one, whatever the sample sizes
FIXED_RULE = (0.10, 0.25)


@dataclass(frozen=True, repr=False, eq=False)
class Stability(Presented):
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

    def _shown(self) -> Shown:
        head = (
            f"Stability of {self.name}: {self.value:.4g} ({self.lower:.4g} to {self.upper:.4g}), "
            f"{'ALARM' if self.alarm else 'no alarm'} (threshold {self.threshold:.4g}, "
            f"false alarms {self.false_alarm_rate:.3g})"
        )
        samples = f"{self.n_reference:,} rows of the reference, {self.n_current:,} current; {self.level:.0%} interval."
        return Shown(head, self.bins, (samples, self.method))


@dataclass(frozen=True, repr=False, eq=False)
class CharacteristicStability(Presented):
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

    def _shown(self) -> Shown:
        columns = ["name", "value", "threshold", "p_value", "p_adjusted", "alarm", "fixed_rule", "design_effect"]
        names = [one.name for one in self.alarms]
        head = f"Stability of {len(self.characteristics)} characteristics: {alarms_in_words(names)}"
        return Shown(
            head, self.to_frame()[columns], (f"False alarms {self.false_alarm_rate:.3g}, adjusted by {self.adjust}.",)
        )

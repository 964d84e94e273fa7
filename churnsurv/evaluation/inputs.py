"""Reading of options that several alarms share."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from churnsurv.exceptions import DataError


def seed_of(seed: Any) -> int:
    """Give a seed, a whole number of 0 or more."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or int(seed) < 0:
        raise DataError(f"seed={seed!r}: give a whole number of 0 or more.")
    return int(seed)


def rate_of(rate: Any) -> float:
    """Give a false-alarm rate, a number between 0 and 1."""
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 < float(rate) < 1:
        raise DataError(f"false_alarm_rate={rate!r}: give a probability between 0 and 1, such as 0.05.")
    return float(rate)

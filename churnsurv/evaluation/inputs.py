"""Reading of options that several alarms share."""

from __future__ import annotations

from numbers import Real
from typing import Any

from churnsurv.exceptions import DataError


def rate_of(rate: Any) -> float:
    """Give a false-alarm rate, a number between 0 and 1."""
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 < float(rate) < 1:
        raise DataError(f"false_alarm_rate={rate!r}: give a probability between 0 and 1, such as 0.05.")
    return float(rate)

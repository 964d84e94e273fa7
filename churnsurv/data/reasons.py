"""Lines of the reconciliation, besides the causes and the other endings of the rules."""

from __future__ import annotations

LOANS_IN = "loans in"
OPEN_AT_END, OPEN_EARLIER = "open at the end of observation", "open when last observed, earlier"
CONTRADICTING = "contradicting rows in the loan table"
NO_ORIGINATION = "origination unknown"
NOT_OBSERVED = "not in the performance table"
NO_ROW = "no usable row"
LEFT_BEFORE = "left before its acquisition"

REASONS = (
    LOANS_IN, OPEN_AT_END, OPEN_EARLIER, CONTRADICTING, NO_ORIGINATION, NOT_OBSERVED, NO_ROW, LEFT_BEFORE,
)  # fmt: skip


def excluded_by(column: str) -> str:
    """Give the reason for loans that the rules exclude by a column."""
    return f"excluded by {column}"

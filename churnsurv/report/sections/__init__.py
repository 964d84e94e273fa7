"""The sections of the quarterly report: each a function from the analysis to a part (section and headlines)."""

"""Judging models: replication by other libraries.

Lives here: what fits or refits models to judge them. May not: plotting, printing, reading files.
"""

from churnsurv.evaluation.replication import Replication, replicate

__all__ = ["Replication", "replicate"]

"""Reports: sections of tables, figures, findings and text, built from results and written as documents.

Lives here: the content model, the hazard-ratio table, the quarterly report with its configuration, and the renderers,
which read only the content in its JSON form. Nothing is estimated here beyond calling the layers below.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import churnsurv.report.quarterly as quarterly
    from churnsurv.report.config import ReportConfig, read_config
    from churnsurv.report.content import Figure, Finding, Report, Section, Table, Text
    from churnsurv.report.hazard_ratios import HazardRatioTable, hazard_ratio_table
    from churnsurv.report.identifiers import hashed_ids

__all__ = [
    "Figure",
    "Finding",
    "HazardRatioTable",
    "Report",
    "ReportConfig",
    "Section",
    "Table",
    "Text",
    "hashed_ids",
    "hazard_ratio_table",
    "quarterly",
    "read_config",
]

_HOME = {
    "HazardRatioTable": "hazard_ratios",
    "hashed_ids": "identifiers",
    "hazard_ratio_table": "hazard_ratios",
    "ReportConfig": "config",
    "read_config": "config",
} | dict.fromkeys(("Figure", "Finding", "Report", "Section", "Table", "Text"), "content")


def __getattr__(name: str) -> Any:
    if name == "quarterly":
        return import_module("churnsurv.report.quarterly")
    if name in _HOME:
        return getattr(import_module(f"churnsurv.report.{_HOME[name]}"), name)
    raise AttributeError(f"module 'churnsurv.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

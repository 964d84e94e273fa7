"""A configuration without the long sections, for tests that make several reports."""

from __future__ import annotations

import re

from churnsurv.report import ReportConfig
from churnsurv.report.contents import CHAPTERS
from churnsurv.report.settings import Sections
from tests.conftest import small_configuration


def only(config: ReportConfig, *keys: str) -> Sections:
    """Give switches that leave these sections."""
    others = [chapter.key.replace("-", "_") for chapter in CHAPTERS if chapter.key not in keys]
    return config.sections.model_copy(update=dict.fromkeys(others, False))


def quick_configuration(**replacements: str) -> str:
    """Give the small configuration without evaluation and interventions, with two covariates and one segment."""
    text = small_configuration()
    start, end = text.index("[evaluation]"), text.index("[thresholds]")
    first, last = text.index("[[interventions]]"), text.index("# how covariates are shown")
    text = text[:start] + text[end:first] + text[last:]
    text = re.sub(
        r"^covariates = .*$", 'covariates = ["rate_incentive", "credit_score"]', text, count=1, flags=re.MULTILINE
    )
    text = re.sub(r"^segments = .*$", 'segments = ["segment"]', text, count=1, flags=re.MULTILINE)
    for old, new in replacements.items():
        assert old in text, f"{old!r} is not in the configuration"
        text = text.replace(old, new, 1)
    return text


def brief_configuration() -> str:
    """Give the quick configuration with few sections, for tests of what is done with a report."""
    kept = ("attrition", "hazard_ratios", "provenance")
    off = "".join(f"{switch} = false\n" for switch in Sections.model_fields if switch not in kept)
    return f"{quick_configuration()}\n[sections]\n{off}"

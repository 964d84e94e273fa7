"""Which sections a report has."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from churnsurv.data.config import ConfigTable


class Sections(ConfigTable):
    """Sections switched on or off; one that is not named is there when the configuration has what it needs."""

    table: ClassVar[str] = "sections"

    changes: bool | None = Field(default=None, description="changes since last quarter; needs previous")
    sign_off: bool | None = Field(default=None, description="sign-off and change log; needs [governance]")
    definitions: bool | None = Field(default=None, description="purpose, use, events, censoring, time scale, words")
    portfolio: bool | None = Field(default=None, description="loans in and out, the clean-up, exits by quarter")
    attrition: bool | None = Field(default=None, description="probability of leaving by cause, vintage and segment")
    hazard_ratios: bool | None = Field(default=None, description="specification and hazard ratios of the Cox models")
    assumptions: bool | None = Field(
        default=None, description="whether what the Cox models assume holds, and how far not"
    )
    evaluation: bool | None = Field(default=None, description="prediction on a later period; needs [evaluation]")
    calibration: bool | None = Field(default=None, description="whether as many leave as predicted; needs [evaluation]")
    stability: bool | None = Field(
        default=None, description="drift of customers, performance and exits; needs [evaluation]"
    )
    backtest: bool | None = Field(default=None, description="prediction at several dates; needs [evaluation]")
    challengers: bool | None = Field(default=None, description="other models and other programs; needs [evaluation]")
    scenarios: bool | None = Field(default=None, description="exits under paths of rates; needs [scenarios]")
    fairness: bool | None = Field(default=None, description="prediction by group of customers; needs [fairness]")
    interventions: bool | None = Field(default=None, description="effects; needs [[interventions]]")
    early_warning: bool | None = Field(default=None, description="the loans most at risk; needs [early_warning]")
    overrides: bool | None = Field(default=None, description="what people changed of the results; needs [overrides]")
    limitations: bool | None = Field(
        default=None, description="limitations, stated and found; which sections end with notices"
    )
    provenance: bool | None = Field(default=None, description="hashes, versions, configuration as used")

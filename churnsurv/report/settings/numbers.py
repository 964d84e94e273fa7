"""Numbers that settings are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

#: a number of periods, loans or trees: 1 or more
Periods = Annotated[int, Field(ge=1)]

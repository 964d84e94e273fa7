"""The shipped portfolio and its spells, made once per process for the many tests and examples that begin with them."""

from dataclasses import replace
from functools import cache

import pytest

import churnsurv as cs

_build = cs.data.build_spells


@cache
def shipped():
    """Give the portfolio and its spells; neither may be changed."""
    portfolio = cs.data.load_example()
    spells = _build(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    return portfolio, spells


def build_once(loans, performance, rules, **options):
    """Build spells; those of the shipped portfolio are copies of what was built before."""
    portfolio, spells = shipped()
    given = {"loans": loans, "performance": performance, "macro": options.get("macro")}
    same = rules is portfolio.rules and set(options) == {"macro"}
    if not (same and all(getattr(portfolio, name).equals(table) for name, table in given.items())):
        return _build(loans, performance, rules, **options)
    return replace(spells, frame=spells.frame.copy(), ahead=spells.ahead.copy())


@pytest.fixture(scope="module", autouse=True)
def shipped_spells_built_once():
    """Let examples build the spells of the shipped portfolio once; imported by the modules that run examples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cs.data, "build_spells", build_once)
        yield

"""The examples in the docstrings run as printed."""

import doctest
import importlib
import pkgutil
import sys

import pytest

import churnsurv
from tests.shipped import shipped_spells_built_once  # noqa: F401 (a fixture)

MODULES = [m.name for m in pkgutil.walk_packages(churnsurv.__path__, "churnsurv.")]


@pytest.mark.parametrize("name", ["churnsurv", *MODULES])
def test_examples_of(name):
    module = importlib.import_module(name)
    failures, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    if "matplotlib.pyplot" in sys.modules:  # which warns of figures left open by the examples before
        sys.modules["matplotlib.pyplot"].close("all")
    assert failures == 0

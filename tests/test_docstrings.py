"""The examples in the docstrings run as printed."""

import doctest
import importlib
import pkgutil

import pytest

import churnsurv

MODULES = [m.name for m in pkgutil.walk_packages(churnsurv.__path__, "churnsurv.")]


@pytest.mark.parametrize("name", ["churnsurv", *MODULES])
def test_examples_of(name):
    module = importlib.import_module(name)
    failures, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failures == 0

"""The page on validation counts what is compared, and names nothing that is not there."""

import re

import churnsurv as cs
from tests.validation_page import PAGE, with_counts


def test_the_counts_of_the_page_are_those_of_the_oracle_cases():
    # after new comparisons: python -m tests.validation_page
    text = PAGE.read_text(encoding="utf-8")
    assert with_counts(text) == text


def test_tests_that_the_page_names_are_there():
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (PAGE.parents[1] / name).exists(), name


def test_functions_of_the_data_package_that_the_page_names_are_there():
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"`(?:cs\.)?data\.(\w+)", text):
        assert hasattr(cs.data, name), name

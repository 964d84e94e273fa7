"""The interpreter that reads make.R: the language as R defines it, and values that are outside or computed later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracle_r.evaluator import LANGUAGE, evaluate
from tests.oracle_r.formula import deparse
from tests.oracle_r.functions import FUNCTIONS
from tests.oracle_r.parser import parse
from tests.oracle_r.values import Later, Outside, Scope


def run(text: str, **names: Any) -> Any:
    scope = Scope(names, Scope(LANGUAGE | FUNCTIONS))
    value = None
    for statement in parse(text):
        value = evaluate(statement, scope)
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2^2", [-4]),
        ("2 * 3:5", [6, 8, 10]),
        ("!1 == 2", [True]),
        ("x <- c(5, 6, 7); x[-1]", [6, 7]),
        ("x <- c(5, 6, 7); x[x > 5 & x < 7]", [6]),
        ("d <- data.frame(a = 1:4, b = 0); d[d$a > 2, ]$a", [3, 4]),
        ("d <- data.frame(a = 1:2); d$b <- d$a * 10; transform(d, c = a + b)$c", [11, 22]),
        ("l <- list(); l[['k']]$m <- 3; l$k$m", [3]),
        ("f <- function(x, y = x + 1) x * y; f(2) + f(y = 5, 2)", [16]),
        ("rep <- 1; rep(2, 3)", [2, 2, 2]),
        ("s <- 0; for (i in 1:3) { s <- s + i }; s", [6]),
        ("if (1 > 2) 3 else 4", [4]),
        ("sapply(split(c(1, 2, 3), c('b', 'a', 'b')), sum)", [2, 4]),
        ("ifelse(c(1, 2) == 1, 'one', 'more')", ["one", "more"]),
        ("sapply(1:2, function(i) i^2)", [1, 4]),
    ],
)
def test_expression_has_the_value_it_has_in_r(text: str, value: list[Any]) -> None:
    assert list(np.asarray(run(text))) == value


def test_what_is_made_from_an_unknown_function_is_outside_with_its_name() -> None:
    value = run("x <- list(a = unheard_of(1) + 1, b = 2); x")
    assert value["a"] == Outside("R's unheard_of is not translated")
    assert list(value["b"]) == [2]


def test_what_is_made_from_a_later_value_is_computed_when_asked_for_and_once() -> None:
    asked = []

    def compute() -> np.ndarray:
        asked.append(1)
        return np.array([4.0])

    value = run("y <- sqrt(x) + x; y", x=Later(compute))
    assert asked == []
    assert list(value.value()) == [6]
    assert asked == [1]


@pytest.mark.parametrize("text", ["log(bili)", "I(age^2)", "a:b", "strata(x, y)", "(a + b) * c"])
def test_terms_are_named_as_r_names_them(text: str) -> None:
    assert deparse(parse(text)[0]) == text

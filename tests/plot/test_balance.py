"""The love plot draws what the balance table holds."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError
from churnsurv.plot import theme

TABLE = pd.DataFrame({"arm": 1, "term": ["a", "b$", "c"], "smd": [0.1, -0.7, 0.3], "weighted_smd": [0.02, 0.05, -0.2]})


def axes():
    return theme.figure()[1]


def test_differences_are_drawn_absolute_the_largest_on_top():
    ax = axes()
    assert cs.plot.love_plot(TABLE, ax=ax) is ax
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "c", "b$"]
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["before weighting"].get_xdata(), [0.1, 0.3, 0.7])
    np.testing.assert_allclose(lines["after weighting"].get_xdata(), [0.02, 0.2, 0.05])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["before weighting", "after weighting"]


def test_without_weights_there_is_one_series_and_few_terms_may_be_shown():
    ax = cs.plot.love_plot(TABLE.drop(columns="weighted_smd"), ax=axes(), most=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c", "b$"]
    assert "after weighting" not in [line.get_label() for line in ax.lines]


def test_tables_that_cannot_be_drawn_are_refused():
    with pytest.raises(DataError, match="no column 'smd'"):
        cs.plot.love_plot(TABLE.drop(columns="smd"))
    with pytest.raises(DataError, match="no rows"):
        cs.plot.love_plot(TABLE.iloc[:0])
    with pytest.raises(DataError, match="more than once"):
        cs.plot.love_plot(pd.concat([TABLE, TABLE]))

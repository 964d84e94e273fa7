"""How many examples of a property are tried where one takes half a second, as tables that a database reads do."""

from hypothesis import settings

#: name of the profile of hypothesis that `make slow` runs with, see conftest.py
DEEP = "deep"


def examples(few: int, many: int) -> settings:
    """Give the settings of a test of properties: `few` examples in the normal suite, `many` with the slow tests."""
    deep = settings.get_current_profile_name() == DEEP
    return settings(max_examples=many if deep else few, deadline=None)

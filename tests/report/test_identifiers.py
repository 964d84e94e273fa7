import hashlib
import hmac

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnsurv.exceptions import DataError
from churnsurv.report import hashed_ids

SALT = "0123456789abcdef"


@given(st.lists(st.one_of(st.text(), st.integers()), max_size=20))
def test_hashes_are_the_head_of_the_keyed_hash_in_order(ids):
    expected = [hmac.new(SALT.encode(), str(i).encode("utf-8"), hashlib.sha256).hexdigest()[:16] for i in ids]
    assert hashed_ids(ids, SALT) == expected


def test_a_number_is_the_same_however_it_is_stored():
    forms = [[7], ["7"], [7.0], np.array([7], dtype="int32"), pd.Series([7], dtype="Int64"), np.array([7.0])]
    assert len({hashed_ids(form, SALT)[0] for form in forms}) == 1


def test_another_secret_gives_other_hashes():
    assert hashed_ids([1, 2], SALT) != hashed_ids([1, 2], SALT + "0")


@pytest.mark.parametrize("salt", ["", "short", None])
def test_a_weak_secret_is_refused_with_a_way_to_make_one(salt):
    with pytest.raises(DataError, match=r"16 characters or more.*token_hex"):
        hashed_ids([1], salt)


@pytest.mark.parametrize("ids", [[None], [float("nan")], [1.5], [pd.NA], [float("inf")]])
def test_a_missing_or_broken_id_is_refused(ids):
    with pytest.raises(DataError, match="1 identifier missing or no whole number"):
        hashed_ids([1, *ids], SALT)

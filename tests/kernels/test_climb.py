"""The climb from any start arrives where Newton's method from zero does, and levels off where there is no maximum."""

import numpy as np
import pytest

from churnsurv.kernels.buckets import lay_buckets
from churnsurv.kernels.climb import climb
from churnsurv.kernels.cox import Shard, one_shard
from churnsurv.kernels.cox_rows import row_bounds
from churnsurv.kernels.newton import Problem, maximise


def problem(seed=0, n=200, separated=False, ties=True):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    start = rng.integers(0, 3, n).astype(float)
    stop = start + np.ceil(rng.exponential(6 * np.exp(-0.5 * x[:, 0])))
    event = rng.integers(0, 2, n).astype(bool)
    if separated:
        x[:, 2] = np.where(event, 0.0, rng.integers(0, 2, n))
    buckets, first, last, death = lay_buckets(start, stop, event, None, 1)
    shard = Shard(np.ascontiguousarray(x), first, last, death, np.ones(n), np.zeros(n))
    return Problem(one_shard(shard), buckets, ties, 3, *row_bounds(shard))


@pytest.mark.parametrize("efron", [True, False])
@pytest.mark.parametrize("far", [0.0, 1.0, 10.0, 60.0])
def test_every_start_leads_to_the_maximum(efron, far):
    asked = problem(ties=efron)
    top = maximise(asked, 50, 1e-9).state
    value, beta = climb(asked, far * np.array([1.0, -1.0, 0.5]))
    assert value == pytest.approx(top.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(beta, top.beta, atol=1e-5)


def test_where_every_risk_set_underflows_it_starts_again_from_zero():
    asked = problem()
    top = maximise(asked, 50, 1e-9).state
    assert climb(asked, np.full(3, 1e5))[0] == pytest.approx(top.log_likelihood, rel=1e-12)


@pytest.mark.parametrize("start", [-30.0, 0.0, 30.0])
def test_without_a_maximum_it_levels_off_at_the_supremum(start):
    asked = problem(separated=True)
    value, beta = climb(asked, np.array([0.0, 0.0, start]))
    # the supremum: the column is gone with its customers, who are out of the risk sets
    far = climb(asked, np.array([0.0, 0.0, -50.0]))[0]
    assert value == pytest.approx(far, abs=1e-6)
    assert beta[2] < -10


def test_without_columns_the_likelihood_is_evaluated():
    asked = problem()
    null = maximise(asked, 50, 1e-9).null.log_likelihood
    none = asked._replace(
        mr=one_shard(asked.mr(lambda shard, _: (shard,), None)[0]._replace(x=np.zeros((200, 0)))),
        n_columns=0,
        ranges=np.zeros(0),
    )
    assert climb(none, np.zeros(0))[0] == pytest.approx(null, rel=1e-13)

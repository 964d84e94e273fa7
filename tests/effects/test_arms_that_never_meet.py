"""Arms that are never at risk together are refused, whatever the rounding of sums over them."""

import numpy as np
import pytest

import churnsurv as cs
from churnsurv import effects
from churnsurv.exceptions import NotIdentifiedError

N = 60
ARM = np.repeat(["x", "y"], N // 2)


def drawn(seed):
    rng = np.random.default_rng(seed)
    return rng, cs.Outcome(rng.integers(1, 12, N), rng.integers(0, 2, N))


@pytest.mark.parametrize(
    "options", [{}, {"gamma": 1}, {"trend": True}, {"weighting": "gehan"}, {"sample_weight": True}, {"cluster": True}]
)
@pytest.mark.parametrize("apart", ["strata", "entry"])
@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
def test_the_log_rank_test_of_arms_that_never_meet_is_refused(options, apart):
    for seed in range(20):
        rng, y = drawn(seed)
        options = dict(options)
        if "sample_weight" in options:
            options["sample_weight"] = rng.uniform(0.5, 2, N)
        if "cluster" in options:
            options["cluster"] = np.arange(N) // 2
        if apart == "strata":
            options["strata"] = ARM
        else:
            late = np.where(ARM == "x", 0.0, 20.0)
            y = cs.Outcome(y.stop + late, y.event, late)
        with pytest.raises(NotIdentifiedError, match="two arms at risk together"):
            effects.logrank_test(y, ARM, **options)


@pytest.mark.parametrize("test", [effects.cox_test, effects.hazard_ratio, effects.maxcombo_test])
@pytest.mark.parametrize("apart", ["strata", "entry"])
def test_cox_models_and_maxcombo_refuse_them_alike(test, apart):
    _, y = drawn(0)
    options = {"strata": ARM} if apart == "strata" else {}
    if apart == "entry":
        late = np.where(ARM == "x", 0.0, 20.0)
        y = cs.Outcome(y.stop + late, y.event, late)
    with pytest.raises(NotIdentifiedError, match="at risk together"):
        test(y, ARM, **options)


def test_the_subdistribution_hazard_ratio_refuses_arms_in_strata_of_their_own():
    rng = np.random.default_rng(0)
    y = cs.Outcome(rng.integers(1, 12, N), rng.integers(0, 3, N), causes=("attrition", "default"))
    with pytest.raises(NotIdentifiedError, match="at risk together in one stratum"):
        effects.subdistribution_hazard_ratio(y, ARM, cause="attrition", strata=ARM)


def test_a_third_arm_apart_changes_nothing_for_the_other_two():
    rng = np.random.default_rng(1)
    arm = np.repeat(["x", "y", "z"], 30)
    y = cs.Outcome(rng.integers(1, 12, 90), rng.integers(0, 2, 90))
    both = np.flatnonzero(arm != "z")
    with pytest.warns(cs.exceptions.SmallSampleWarning, match="tell nothing"):
        three = effects.logrank_test(y, arm, strata=np.where(arm == "z", "lone", "rest"))
    two = effects.logrank_test(y[both], arm[both])
    assert (three.df, three.statistic) == (1, pytest.approx(two.statistic))

"""Two real randomised experiments: the effects that are known of them."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError
from tests.oracle_cases import input_of

FOLDERS = [
    Path(os.environ.get("CHURNSURV_DATA") or "no folder"),
    Path(__file__).resolve().parents[3] / "shared" / "data",
]
BONUS = next((f / "penn_bonus.parquet" for f in FOLDERS if (f / "penn_bonus.parquet").is_file()), None)
needs_bonus = pytest.mark.skipif(
    BONUS is None, reason="penn_bonus.parquet is neither in CHURNSURV_DATA nor in ../shared/data"
)


def test_financial_aid_delays_rearrest():
    # Rossi, Berk & Lenihan 1980: 216 of 432 with aid; unadjusted hazard ratio 0.69
    d = input_of("cox_rossi")
    y, arm = cs.Outcome(d["week"], d["arrest"]), np.where(d["fin"] == 1, "aid", "none")
    ratio = cs.effects.hazard_ratio(y, arm, reference="none")
    assert ratio.value == pytest.approx(0.691, abs=5e-4)
    assert (ratio.n, ratio.n_events) == (432, 114)
    # nobody is censored before week 52: shares, and means of min(week, 52)
    arrested = d.groupby(arm)["arrest"].mean()
    less = cs.effects.risk_difference(y, arm, horizon=52, reference="none")
    assert less.value == pytest.approx(arrested["aid"] - arrested["none"])
    longer = cs.effects.rmst_difference(y, arm, horizon=52, reference="none")
    assert longer.value == pytest.approx(d["week"][arm == "aid"].mean() - d["week"][arm == "none"].mean())
    assert cs.effects.e_value(ratio, measure="hazard ratio").method.endswith("more than 15 % leave")


@needs_bonus
def test_the_sixth_bonus_brings_claimants_back_to_work_sooner():
    d = pd.read_parquet(BONUS)
    d = d[d["tg"].isin([0, 6])]
    y = cs.Outcome(np.minimum(d["inuidur1"], 27), d["inuidur1"] < 27)
    quarter = d[[f"q{i}" for i in range(1, 7)]].to_numpy().argmax(axis=1)
    plain, by_quarter = (cs.effects.hazard_ratio(y, d["tg"], strata=s) for s in (None, quarter))
    for ratio in (plain, by_quarter):
        assert np.log(ratio.value) == pytest.approx(0.119, abs=0.01)
        assert ratio.lower > 1
    # nobody was offered it in the last two quarters of enrolment: no risk of its own there to average
    with pytest.raises(DataError, match="fewer than two customers of arm 6 in stratum 4, arm 6 in stratum 5"):
        cs.effects.rmst_difference(y, d["tg"], horizon=26, strata=quarter)
    early = quarter < 4
    found = cs.effects.rmst_difference(y[early], d["tg"][early], horizon=26, strata=quarter[early])
    assert found.upper < 0
    assert found.value == pytest.approx(cs.effects.rmst_difference(y[early], d["tg"][early], horizon=26).value, abs=0.1)

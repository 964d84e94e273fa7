"""R's predictions from a Cox fit: survival of new rows, linear predictors."""

from __future__ import annotations

from typing import Any

import numpy as np

from churnsurv.kernels.times import step_values
from tests.oracle_r.cox import CoxFit, baseline_pack, cox_pack
from tests.oracle_r.evaluator import within
from tests.oracle_r.formula import model_frame, stratum_labels, terms_of
from tests.oracle_r.parser import Call, Node
from tests.oracle_r.residuals import FORMER, residual_pack, zph_pack
from tests.oracle_r.values import Builtin, Frame, Later, Outside, Pack, Record, Scope


def _curves_pack(fit: Any, newdata: Any, times: Any, ctypes: Any = None) -> Any:
    """Predicted survival of new rows; the intervals of these curves are not part of this."""
    if not isinstance(fit, CoxFit):
        return Outside("this is not a Cox fit")
    if fit.frame.strata is not None:
        return Outside("outside the scope: predictions by stratum")

    def survival() -> np.ndarray:
        return fit.model.predict_curves(fit.new_design(newdata), times).survival.T

    interval = Outside("outside the scope: intervals of predicted curves")
    names = [f"{end}_{kind}" for end in ("lower", "upper") for kind in ("log", "log-log", "plain")]
    return Pack(
        "prediction",
        {
            "surv": Later(survival),
            "cumhaz": Later(lambda: -np.log(survival())),
            **dict.fromkeys(("se_surv", *names, "lp_centered", "lp_se", "median", "rmst_1000"), interval),
        },
    )


class CoxCurves(Record):
    """R's survfit of a Cox fit for new rows, which name their stratum when the fit has strata."""

    def __init__(self, fit: CoxFit, newdata: Frame, times: np.ndarray | None = None) -> None:
        self.fit, self.newdata = fit, newdata
        self.times = np.unique(fit.frame.response.stop) if times is None else np.asarray(times, dtype=float)

    def survival(self) -> np.ndarray:
        """Give the survival: times by rows, or a vector for one row."""
        strata = None
        if self.fit.frame.strata is not None:
            node = next(t[0] for t in terms_of(self.fit.formula.right, self.newdata, None) if _head(t[0]) == "strata")
            strata = stratum_labels(node, within(self.newdata, self.fit.formula.scope))
        curves = self.fit.model.predict_curves(self.fit.new_design(self.newdata), strata=strata)
        # R carries the last value on past the end of a stratum; here nothing is predicted there
        rows = [
            step_values(curves.times, survival, np.minimum(self.times, last), before=1.0)
            for survival, last in zip(curves.survival, curves.last, strict=True)
        ]
        return rows[0] if self.newdata.n_rows == 1 else np.array(rows).T

    def component(self, name: str) -> Any:
        """Give the times, survival or cumulative hazard."""
        if name == "time":
            return self.times
        if name == "surv":
            return Later(self.survival)
        if name == "cumhaz":
            return Later(lambda: -np.log(self.survival()))
        return Outside("outside the scope: standard errors and tables of predicted curves")


def _head(node: Node) -> str | None:
    return node.head if isinstance(node, Call) else None


def _predict(fit: Any, newdata: Any = None, type: Any = None, reference: Any = None, **_: Any) -> Any:
    if not isinstance(fit, CoxFit) or type is None or type[0] != "lp" or reference is None or reference[0] != "zero":
        return Outside("outside the scope: capability prediction")
    return Later(lambda: fit.model.predict(fit.design if newdata is None else fit.new_design(newdata)))


def _cox_full(formula: Any, data: Any, newdata: Any = None, times: Any = None, **options: Any) -> Any:
    """Give everything about a plain Cox model under both rules for ties."""
    made: dict[str, Any] = {}
    for ties in ("efron", "breslow"):
        frame = model_frame(formula, data, {}, Scope())
        fit = frame if isinstance(frame, Outside) else CoxFit(formula, data, frame, ties, False)
        block: dict[str, Any] = {
            "fit": fit if isinstance(fit, Outside) else cox_pack(fit),
            "basehaz_x0": fit if isinstance(fit, Outside) else baseline_pack(fit),
        }
        if options.get("resid") is None or options["resid"][0]:
            first = None if options.get("nres") is None else int(options["nres"][0])
            block["residuals"] = residual_pack(fit, first=first)
        if options.get("zph") is None or options["zph"][0]:
            event_times = frame.response.stop[np.asarray(frame.response.event) == 1]
            transforms = ("km", "identity", "rank", "log") if min(event_times) > 0 else ("km", "identity", "rank")
            block["zph"] = zph_pack(fit, transforms)
            block["zph_old_approx"] = Outside(FORMER)
        if newdata is not None and isinstance(fit, CoxFit):
            block["newdata"] = newdata
            block["pred"] = _curves_pack(fit, newdata, times)
            block["pred"]["lp_uncentered"] = _predict(fit, newdata, ["lp"], ["zero"])
        made[ties] = block
    return made


PREDICTIONS: dict[str, Any] = {
    "pred_surv": Builtin(_curves_pack),
    "predict": Builtin(_predict),
    "cox_full": Builtin(_cox_full),
}

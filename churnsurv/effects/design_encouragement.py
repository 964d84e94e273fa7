"""An invitation that is drawn at random and that some take up: its effect, and by instrument that of taking part."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import ndtri

from churnsurv.data.assignments import ASSIGNED_ON
from churnsurv.data.periods import period_numbers
from churnsurv.data.spells import Spells
from churnsurv.effects import design_estimates as of
from churnsurv.effects.design import DesignEstimate, StudyCohort, check_design
from churnsurv.effects.design_randomised import ByCoin, coin_assumptions, coin_effects
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning
from churnsurv.messages import confidence_level, counted, first_of
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate

#: F statistic of the first stage below which an instrument counts as weak (Staiger and Stock 1997)
WEAK = 10.0


@dataclass(frozen=True, kw_only=True)
class Encouragement(ByCoin):
    """An invitation assigned at random that some take up: its effect, and that of taking part on those who do as invited.

    The effect of the invitation (intention to treat) rests on the draw alone. The effect of taking part is that on *compliers*,
    who take part if and only if invited (Imbens and Angrist 1994): the difference of risks divided by the difference of the
    shares that take part, with the draw as instrument. It assumes that the invitation acts through taking part only, and that
    nobody stays away because of it. It is given on the risk scale: hazard ratios of compliers are not identified by a ratio.

    Parameters
    ----------
    intervention, treated, control, follow_up, unit, eligible, time_zero
        As of :class:`Randomised`; `treated` is the invited arm. The interventions table also has ``uptake_on``, the date of
        taking part, empty for those who did not.

    Examples
    --------
    >>> import churnsurv as cs
    >>> p = cs.data.load_example()
    >>> spells = cs.data.build_spells(p.loans, p.performance, p.rules, macro=p.macro)
    >>> design = cs.effects.Encouragement(
    ...     intervention="fee_advice", treated="invited", control="not_invited", follow_up=12, unit="customer")
    >>> result = design.estimate(design.cohort(spells, p.interventions))
    >>> 0.4 < result["first_stage", "uptake"].value < 0.5
    True
    """

    unit: Literal["loan", "customer"] = "customer"

    def cohort(self, spells: Spells, interventions: Any) -> StudyCohort:
        """Line the loans up at their invitation; see :meth:`Randomised.cohort`.

        Raises
        ------
        DataError, ImmortalTimeError
            As of :meth:`Randomised.cohort`; no ``uptake_on``; taking part before the invitation.
        """
        frame, counts = self.followed(spells, interventions, uptake=True)
        joined = pd.DatetimeIndex(frame["uptake_on"])
        early = np.flatnonzero(joined < pd.DatetimeIndex(frame[ASSIGNED_ON]))
        if len(early):
            raise DataError(
                f"{counted(len(early), 'loan')} of {self.intervention!r} took part before the invitation (loan "
                f"{first_of(frame['loan_id'].iloc[early])}): who had joined already cannot be invited. Make them ineligible."
            )
        month = period_numbers(pd.DatetimeIndex(joined.fillna(pd.Timestamp("1970-01-01"))), spells.rules)
        # by the end of the period; who joins at once has joined by the end of the first
        after = np.maximum(month - frame["zero"].to_numpy(), 1).astype(np.float64)
        uptake = np.where(joined.notna(), after, np.inf)
        what = f"everyone {self.treated} against everyone {self.control} (intention to treat)"
        return self.record(spells, frame, counts, what, uptake)

    def estimate(
        self,
        cohort: StudyCohort,
        *,
        cause: str = "attrition",
        safety: str | None = "default",
        horizon: float | None = None,
        level: float = 0.95,
        adjust: Sequence[str] = (),
    ) -> DesignEstimate:
        """Give the effects of the invitation, the first stage, and the risk differences of compliers.

        Parameters
        ----------
        cohort, cause, safety, horizon, level, adjust
            As of :meth:`Randomised.estimate`.

        Returns
        -------
        DesignEstimate
            Beside hazard ratios and risk differences of the invitation: ``("first_stage", "uptake")``, the difference of the
            shares that take part within the horizon (by Aalen and Johansen, as uptake that the data do not reach is censored;
            its F statistic in ``method``), and ``("complier_risk_difference", cause)``, with the
            interval of Anderson and Rubin (Fieller's), which holds for weak first stages too, and the standard error by the
            delta method.

        Raises
        ------
        NotIdentifiedError
            No first stage: the invitation does not clearly move taking part.
        TooFewEventsError, DataError
            As of :meth:`Randomised.estimate`.

        Warns
        -----
        SmallSampleWarning
            A weak first stage (F below 10): the ratio is biased towards the naive comparison.
        """
        check_design(cohort, self)
        at = self.follow_up if horizon is None else horizon
        effects, tests = coin_effects(cohort, cause, safety, at, level, adjust)
        stage, contrast = _first_stage(cohort, at, level)
        effects["first_stage", "uptake"] = stage
        if stage.value**2 < WEAK * stage.se**2:
            warnings.warn(
                f"The first stage is weak ({stage.method.split('; ')[-1]}): few more take part when invited, so the "
                "effect on compliers is biased towards the naive comparison; read its interval, not the estimate.",
                SmallSampleWarning,
                stacklevel=2,
            )
        for name in of.causes_asked(cohort, cause, safety):
            effects["complier_risk_difference", name] = _complier(cohort, name, at, level, contrast)
        compliers = (
            " Of compliers also: the invitation acts through taking part only (exclusion), and nobody takes part only if "
            "not invited (monotonicity)."
        )
        return DesignEstimate(effects, tests, coin_assumptions(self.unit) + compliers)


def _first_stage(cohort: StudyCohort, horizon: float, level: float) -> tuple[Estimate, of.Contrast]:
    """Give the difference of the shares that take part within the horizon, and its influences; refuse none.

    A share is the cumulative incidence of taking part before leaving: loans that the data lose sight of are censored there.
    """
    if cohort.uptake is None:
        raise DataError("The cohort knows of no uptake: build it by the cohort method of this design.")
    y, takes = cohort.y, cohort.uptake <= cohort.y.stop
    first = Outcome(
        np.minimum(y.stop, cohort.uptake),
        np.where(takes, 1, np.where(y.event > 0, 2, 0)),
        subject=y.subject,
        causes=("uptake", "left"),
    )
    # shares and risks weight the controls to the strata of the invited alike: their ratio is that of one population
    weight = of.stratum_weights(cohort, np.ones(len(y)))
    share, influence = {}, np.zeros(len(y))
    for arm in (True, False):
        rows = np.flatnonzero((cohort.arm == cohort.treated) == arm)
        share[arm], part = of.incidence_influence(first[rows], 1, horizon, weight[rows])
        influence[rows] = part if arm else -part
    contrast = of.Contrast(share[True] - share[False], influence, int(np.sum(takes & (cohort.uptake <= horizon))))
    se, z = contrast.se(cohort.cluster), float(ndtri((1 + confidence_level(level)) / 2))
    if contrast.value == 0 or abs(contrast.value) <= z * se:
        raise NotIdentifiedError(
            f"There is no first stage: {share[True]:.1%} of arm {cohort.treated!r} and {share[False]:.1%} of arm "
            f"{cohort.control!r} took part, which chance explains. The effect of taking part is not identified; that of "
            "the invitation is (Randomised)."
        )
    strength = (contrast.value / se) ** 2 if se > 0 else np.inf
    estimate = Estimate(
        name=f"Difference of the share taking part within {horizon:g}, {cohort.treated} - {cohort.control}",
        value=contrast.value,
        se=se,
        lower=contrast.value - z * se,
        upper=contrast.value + z * se,
        level=level,
        n=cohort.y.n_subjects,
        n_events=contrast.n_events,
        method=f"Aalen-Johansen by arm ({share[True]:.3f}, {share[False]:.3f}); variance by cluster; F = {strength:.1f}",
    )
    return estimate, contrast


def _complier(cohort: StudyCohort, cause: str, horizon: float, level: float, stage: of.Contrast) -> Estimate:
    """Give the ratio of the differences (Wald) with the interval of Anderson and Rubin."""
    effect = of.risk_contrast(cohort, cause, horizon)
    a, b = effect.cluster_sums(cohort.cluster), stage.cluster_sums(cohort.cluster)
    ratio = effect.value / stage.value
    se = float(np.linalg.norm(a - ratio * b) / abs(stage.value))
    lower, upper = fieller(
        effect.value, stage.value, float(a @ a), float(a @ b), float(b @ b), float(ndtri((1 + level) / 2))
    )
    return Estimate(
        name=f"Difference of the risk of {cause} within {horizon:g} of compliers",
        value=ratio,
        se=se,
        lower=lower,
        upper=upper,
        level=level,
        n=cohort.y.n_subjects,
        n_events=effect.n_events,
        method="ratio of the differences of risk and of taking part (Wald); variance by cluster (delta method); interval of "
        "Anderson and Rubin",
    )


def fieller(
    top: float, bottom: float, v_top: float, covariance: float, v_bottom: float, z: float
) -> tuple[float, float]:
    """Give the ratios θ for which top − θ bottom is within z standard errors of 0 (Fieller 1954).

    Needs a `bottom` more than z standard errors from 0; the set is then an interval.
    """
    a = bottom**2 - z**2 * v_bottom
    b = top * bottom - z**2 * covariance
    c = top**2 - z**2 * v_top
    root = float(np.sqrt(max(b**2 - a * c, 0.0)))
    return (b - root) / a, (b + root) / a

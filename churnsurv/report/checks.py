"""What the sections on prediction need of the data, checked before the models are fitted."""

from __future__ import annotations

from churnsurv.data.config import did_you_mean
from churnsurv.evaluation.scenario_paths import series_of
from churnsurv.exceptions import ConfigError
from churnsurv.report.analysis import Analysis
from churnsurv.report.trial import backtest_dates, checked_date

#: different values from which on a column makes no groups
MOST_GROUPS = 20


def check_evaluation(analysis: Analysis) -> None:
    """Refuse dates, shocks and groups that the data do not allow.

    Raises
    ------
    ConfigError
        A date without data before or after it, a series that the spells do not use, a column of too many or too few values.
    """
    config = analysis.config
    if config.evaluation is not None and config.sections.evaluation is not False:
        checked_date(analysis, config.evaluation)
        backtest_dates(analysis)
    if config.scenarios is not None:
        _check_scenarios(analysis)
    for name in config.fairness.groups if config.fairness else ():
        n = int(analysis.spells.frame[name].nunique(dropna=False))
        if not 2 <= n <= MOST_GROUPS:
            raise ConfigError(
                f"[fairness] groups names {name!r}, which has {n:,} different values: give a column of 2 to {MOST_GROUPS} "
                "groups, such as bands of age."
            )


def _check_scenarios(analysis: Analysis) -> None:
    settings, rules = analysis.config.scenarios, analysis.config.spells
    assert settings is not None
    if rules.macro is None or "macro" not in analysis.tables:
        raise ConfigError("[scenarios] moves series of the macro table, but [data] and [spells.macro] name none.")
    known = series_of(rules)
    if not settings.shocks and not {"market_rate", "policy_rate", "unemployment_rate"} & set(known):
        raise ConfigError(
            "[scenarios] has no shocks, and the standard ones move market_rate, policy_rate and unemployment_rate, which the "
            f"spells do not use: give [scenarios.shocks] of some of {known}."
        )
    for scenario, changes in settings.shocks.items():
        for series in changes:
            if series not in known:
                raise ConfigError(
                    f"[scenarios.shocks] {scenario!r} moves {series!r}, which is no series that the spells use. "
                    f"{did_you_mean(series, known)}"
                )

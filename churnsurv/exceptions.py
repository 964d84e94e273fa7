"""Errors and warnings of churnsurv: what was wrong, where (column, rows, ids), and what to do about it."""

from __future__ import annotations


class ChurnSurvError(Exception):
    """Root of every error that churnsurv raises on purpose."""


class DataError(ChurnSurvError, ValueError):
    """The data given cannot be used as they are; the message names the column, the rows and the remedy."""


class UnseenCategoryError(DataError):
    """A category or stratum at prediction that the fit did not see."""


class NoEventsError(DataError):
    """There is no event of the cause asked for."""


class TooFewEventsError(DataError):
    """There are too few events for what is to be estimated."""


class CollinearityError(DataError):
    """A column is an exact linear combination of others within the risk sets."""


class LeakageError(DataError):
    """A covariate knows the outcome, or what came after the time at which it is used."""


class ConvergenceError(ChurnSurvError):
    """The iterations did not reach a maximum."""


class NotIdentifiedError(ChurnSurvError):
    """The data or the model do not identify the quantity asked for."""


class ImmortalTimeError(ChurnSurvError):
    """Arms are defined by information from after time zero."""


class ConfigError(ChurnSurvError):
    """A configuration file is missing, has an unknown key or a value of the wrong kind."""


class ChurnSurvWarning(UserWarning):
    """Root of the warnings; a warning accompanies an answer that is still valid."""


class SeparationWarning(ChurnSurvWarning):
    """The likelihood is monotone in a covariate: its estimate is infinite."""


class LeakageWarning(ChurnSurvWarning):
    """A covariate looks as if it knew the outcome."""


class SmallSampleWarning(ChurnSurvWarning):
    """The answer rests on few events, clusters or subjects."""


class MissingDataWarning(ChurnSurvWarning):
    """Rows were left out, as asked for, because values are missing."""


class SupportWarning(ChurnSurvWarning):
    """A time beyond what the data support was asked for; the answer there is NaN."""


class ZeroDurationWarning(ChurnSurvWarning):
    """An event happened at time 0; the row is kept, at risk at that time."""


class PositivityWarning(ChurnSurvWarning):
    """Some customers could hardly have been in another arm: the comparison rests on few of them."""

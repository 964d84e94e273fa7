"""Challengers from other libraries by name, such as "lifelines.WeibullAFTFitter"."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from churnsurv.exceptions import ConfigError

#: modules in which a model is looked for; nothing else is imported on a configuration's word
_MODULES = {
    "lifelines": ("lifelines",),
    "sksurv": ("sksurv.ensemble", "sksurv.linear_model", "sksurv.tree", "sksurv.svm"),
}


def peer(name: str, parameters: Mapping[str, Any]) -> Any:
    """Make an estimator of lifelines or scikit-survival.

    Raises
    ------
    ConfigError
        No such model, or it takes no such parameter.
    """
    library, _, model = name.partition(".")
    if library not in _MODULES or not model.isidentifier() or model.startswith("_"):
        raise ConfigError(
            f'[challengers] peers names {name!r}: give a model of lifelines or scikit-survival, such as "lifelines.'
            'WeibullAFTFitter" or "sksurv.GradientBoostingSurvivalAnalysis".'
        )
    try:
        modules = [importlib.import_module(module) for module in _MODULES[library]]
    except ImportError as error:
        raise ConfigError(f"[challengers] peers names {name!r}, but {library} is not installed here: {error}") from None
    made = next((getattr(module, model) for module in modules if hasattr(module, model)), None)
    if not isinstance(made, type):
        raise ConfigError(f"[challengers] peers names {name!r}: {library} has no model {model!r}.")
    try:
        return made(**parameters)
    except TypeError as error:
        raise ConfigError(f"[challengers] peers.{name}: {error}") from None

"""Reference companion to Win & Yao, "Calibrated Transfer Learning for Multi-Class Medical Image
Classification".

The names below are loaded on first use, so that ``from acrlls import calibration`` needs NumPy and
scikit-learn alone.
"""

from importlib import import_module

__version__ = "0.1.0"

_EXPORTS = {
    "config": "Config UserError configure configure_from",
    "data": "load_data",
    "method": "AdaptiveConfidenceRegularizer LearnableLogitScaler VARIANTS build_model",
    "runs": "run run_all tune",
}
_HOME = {name: room for room, names in _EXPORTS.items() for name in names.split()}
_ROOMS = {"book", "calibration", "config", "data", "figures", "ledger", "method", "paper"}
_ROOMS |= {"phantom", "runs", "store", "tables", "training"}

__all__ = [*_HOME, *sorted(_ROOMS)]


def __getattr__(name):
    home = _HOME.get(name, name)
    if home not in _ROOMS:
        raise AttributeError(f"module 'acrlls' has no attribute {name!r}")
    module = import_module(f"acrlls.{home}")
    return getattr(module, name) if name in _HOME else module


def __dir__():
    return sorted(__all__)

"""Reference companion to Win & Yao, "Calibrated Transfer Learning for Multi-Class Medical Image
Classification".

The names below are loaded on first use, so that ``from acrlls import calibration`` needs NumPy and
scikit-learn alone.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "Config": "config",
    "UserError": "config",
    "configure": "config",
    "configure_from": "config",
    "load_data": "data",
    "AdaptiveConfidenceRegularizer": "method",
    "LearnableLogitScaler": "method",
    "VARIANTS": "method",
    "build_model": "method",
    "run": "runs",
    "run_all": "runs",
    "tune": "runs",
}
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

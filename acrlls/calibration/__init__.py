"""How far predicted probabilities can be trusted: metrics, noise floor, intervals, post-hoc methods.

Imports nothing of the rest of the package, and no Keras.
"""

from acrlls.calibration.posthoc import METHODS, MatrixScaling, PriorCorrection, TemperatureScaling
from acrlls.calibration.registry import *  # noqa: F403
from acrlls.calibration.registry import __all__ as _registry

__all__ = [*_registry, "METHODS", "MatrixScaling", "PriorCorrection", "TemperatureScaling"]


def mcnemar(won, differ):
    from scipy.stats import binomtest

    return float(binomtest(won, differ).pvalue) if differ else 1.0

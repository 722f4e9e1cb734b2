"""How far to trust predicted probabilities: metrics, noise floor, intervals, post-hoc methods.

Everything takes probabilities ``p`` of shape ``(n, classes)`` whose rows sum to one and labels
``y`` of shape ``(n,)`` from 0. What ``of`` and ``strategy`` may be, :func:`ece` says.

Imports nothing of the rest of the package, and no Keras. Names with years in brackets, such as
[Guo 2017], are entries of ``book/references.bib``.
"""

from acrlls.calibration import populations
from acrlls.calibration.difference import calibration_difference
from acrlls.calibration.errors import (
    classwise_ece,
    debiased_ece,
    ece,
    mce,
    smooth_ece,
    true_calibration_error,
)
from acrlls.calibration.floor import NoiseFloor, noise_floor
from acrlls.calibration.intervals import ece_interval
from acrlls.calibration.metrics import METRICS, bootstrap, evaluate
from acrlls.calibration.posthoc import METHODS
from acrlls.calibration.reliability import Reliability, prepare_reliability
from acrlls.calibration.resampling import Interval, holm, image_counts, mcnemar
from acrlls.calibration.scaling import (
    MatrixScaling,
    PriorCorrection,
    TemperatureScaling,
    VectorScaling,
)
from acrlls.calibration.scores import (
    accuracy,
    brier_score,
    classwise_auc,
    classwise_brier,
    classwise_f1,
    classwise_precision,
    classwise_recall,
    confusion,
    f1,
    nll,
    report,
)

__all__ = [name for name, value in vars().items() if name.isupper() or callable(value)]
__all__ += ["populations"]

"""An exact interval for the maximum calibration error.

Imported through ``acrlls.calibration.registry``, which says what ``p``, ``y`` and the bins are.

References:
    - [1] C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
      Biometrika 26, 1934.
    - [2] R. L. Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, 1982.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from acrlls.calibration.checks import binned, check, check_level
from acrlls.calibration.intervals import check_of
from acrlls.calibration.resampling import Interval


def mce_interval(
    p, y, bins: int = 15, strategy: str = "uniform", *, of: str = "classes", level: float = 0.95
) -> Interval:
    """Interval for the true maximum calibration error of the bins that hold any of these images.

    From the exact limits of the frequency in each of the m full bins [1], without any drawing.  That one gap at least is
    above ``low`` takes a limit for all bins together, each at the level α'/m; that none is above ``high`` takes one for
    each at the level α' alone, for to be too high it would have to miss the bin with the largest gap (an
    intersection-union test [2]).  α' is (1 - level) · m / (m + 1), so that both together miss no more than 1 - level.
    They mostly miss less, since the bin whose gap is largest is not known.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``.
        of: ``"classes"`` for each class against the rest, ``"top_label"`` for the predicted class.
        level: coverage, in (0, 1), that is had at least.

    Returns:
        ``low``, ``high`` and ``estimate``, ``(classes,)`` or floats.  The estimate is the :func:`mce` itself, far above the
        true one where a bin has few images.

    Raises:
        ValueError: bad probabilities or labels (the message names the row), bins, strategy, ``of`` or level.
    """
    p, y = check(p, y)
    check_level(level)
    check_of(of, ("classes", "top_label"))
    held = binned(p, y, bins, strategy, of == "top_label")
    full, n = held.count > 0, np.maximum(held.count, 1)
    m, mean = full.sum(axis=1, keepdims=True), held.total / n
    alpha = (1 - level) * m / (m + 1)
    (low, high), (one_low, one_high) = (
        _clopper_pearson(held.hits, n, a) for a in (alpha / (2 * m), alpha)
    )
    gaps = (
        np.abs(held.hits / n - mean),
        np.maximum(low - mean, mean - high),
        np.maximum(one_high - mean, mean - one_low),
    )
    found = [np.where(full, gap, 0).max(axis=1).clip(0, 1) for gap in gaps]
    return Interval(*(found if of == "classes" else (float(f[0]) for f in found)))


def _clopper_pearson(hits, n, alpha):
    """Exact limits of a binomial share, each missed with a probability of alpha at the most."""
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), n - hits + 1, alpha), 0)
    return low, np.where(hits < n, betaincinv(hits + 1, np.maximum(n - hits, 1), 1 - alpha), 1)

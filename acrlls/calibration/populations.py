"""Populations: tables of probabilities ``p`` and true probabilities ``eta``, both
``(images, classes)``, so that their :func:`acrlls.calibration.true_calibration_error` is exact.
"""

import numpy as np
from scipy.special import softmax

from acrlls.calibration.binning import labels_from
from acrlls.calibration.checks import random, whole_number

OFFSETS = np.array([0.5, 1.0, 1.7, -1.6])  # of logits: the classes' shares are near the paper's


def synthetic(images: int = 100_000, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Populations with four classes, the last of them rare, by name: ``(p, eta)``.

    ``none`` is calibrated exactly; ``slight`` and ``strong`` are overconfident, with true
    temperatures of 1.1 and 1.8; ``timid`` is so underconfident, with a true temperature of 0.4,
    that its error varies within each of the few bins that it fills.
    """
    z = OFFSETS + 2.5 * random(seed).normal(size=(whole_number("images", images), 4))
    p = softmax(z, axis=1)
    return {
        "none": (p, p),
        "slight": (p, softmax(z / 1.1, axis=1)),
        "strong": (p, softmax(z / 1.8, axis=1)),
        "timid": (softmax(0.4 * z, axis=1), p),
    }


def draw(p, eta, n: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """A test set: probabilities ``(n, classes)``, and labels ``(n,)`` drawn from their ``eta``."""
    p, eta, rng = np.asarray(p), np.asarray(eta), random(rng)
    rows = rng.integers(len(p), size=whole_number("n", n))
    return p[rows], labels_from(eta[rows], rng.random(len(rows)))

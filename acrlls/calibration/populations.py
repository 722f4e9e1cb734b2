"""Populations whose true calibration error is known, and test sets drawn from them.

A population is a table of probabilities ``p`` and true probabilities ``eta``, both
``(images, classes)``. Test sets are drawn from it with replacement and labels from ``eta``, so that
:func:`acrlls.calibration.true_calibration_error` of the whole table is the true value exactly.
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from acrlls.calibration.binning import labels_from
from acrlls.calibration.checks import random, whole_number
from acrlls.calibration.posthoc import METHODS

OFFSETS = np.array([0.5, 1.0, 1.7, -1.6])  # of logits: the classes' shares are near the paper's
WEIGHTS = np.array([1.44, 0.88, 0.52, 3.94])  # class weights that go with these shares


def synthetic(images: int = 100_000, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Populations with four classes, the last of them rare, by name: ``(p, eta)``.

    ``none`` is calibrated exactly; ``slight`` and ``strong`` are overconfident, with true
    temperatures of 1.1 and 1.8; ``weighted`` is shifted as class-weighted training does, half as
    far; ``local`` is calibrated except where the confidence is between 0.6 and 0.8, which is 0.1 to
    0.2 too high; and ``timid`` is so underconfident, with a true temperature of 0.4, that its error
    varies within each of the few bins that it fills. ``isotonic`` and ``histogram`` are
    ``weighted`` after these post-hoc methods, fitted to 2,000 images: few scores, and some of them
    exactly 0 or 1.
    """
    rng = random(seed)
    z = OFFSETS + 2.5 * rng.normal(size=(whole_number("images", images), 4))
    p = softmax(z, axis=1)
    top = p.max(axis=1, keepdims=True)
    moved = np.where(p == top, 0.6 - 0.5 * (0.8 - top), p * (0.4 + 0.5 * (0.8 - top)) / (1 - top))
    eta = softmax(z - 0.5 * np.log(WEIGHTS), axis=1)
    fitted = z[:2000], labels_from(eta[:2000], rng.random(len(z[:2000])))
    after = {m: METHODS[m].make(None).fit(*fitted) for m in ("isotonic", "histogram")}
    return {
        "none": (p, p),
        "slight": (p, softmax(z / 1.1, axis=1)),
        "strong": (p, softmax(z / 1.8, axis=1)),
        "weighted": (p, eta),
        "local": (p, np.where((top > 0.6) & (top < 0.8), moved, p)),
        "timid": (softmax(0.4 * z, axis=1), p),
        **{name: (method.predict_proba(z), eta) for name, method in after.items()},
    }


def draw(p, eta, n: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """A test set: probabilities ``(n, classes)``, and labels ``(n,)`` drawn from their ``eta``."""
    rows = rng.integers(len(p), size=whole_number("n", n))
    return p[rows], labels_from(eta[rows], rng.random(len(rows)))

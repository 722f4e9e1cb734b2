"""Intervals for the calibration measures that have no bins: smooth ECE, and the reliability part of the Brier score.

Imported through ``acrlls.calibration``, which says what ``p`` and ``y`` are.

Both are biased upwards as the ECE is, and their intervals are those of inverted tests as in :mod:`acrlls.intervals`, from
the same possible populations: the observed gaps of 15 bins, shrunk or widened.  What such a population shows has no
formula here, so samples are drawn from it: images with replacement, and each label from its probability.
"""

from __future__ import annotations

import numpy as np

from acrlls._scores import bin_edges, check, places, whole_number
from acrlls.intervals import Bins, accepted_errors, by_columns, candidates, populations
from acrlls.resampling import Interval
from acrlls.reliability import WITHOUT_BINS

BINS = 15  # of equal width; of the possible populations alone
MESH = 1 << 8  # cells of the smooth ECE; with 16 times as many, as estimates have, values are the same to 1e-3 of them
_AT_ONCE = 2_000_000  # scores drawn


def smooth_ece_interval(
    p, y, *, of: str = "classes", level: float = 0.95, resamples: int = 200, seed: int = 0
) -> Interval:
    """Interval for the true smooth ECE of each class or of the top label, which :func:`classwise_smooth_ece` estimates.

    The true value is the smooth ECE of the population which the images come from, with its true probabilities in place
    of labels.  A few seconds for 3,000 images.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``.
        of: ``"classes"`` for each class against the rest, ``"top_label"`` for the predicted class.
        level: coverage aimed at, in (0, 1).
        resamples: samples drawn from each of up to 19 possible populations.

    Returns:
        ``low``, ``high`` and ``estimate`` as of :func:`ece_interval`: the estimate is freed of its bias, and so below the
        smooth ECE.

    Raises:
        ValueError: bad probabilities or labels (the message names the row), ``of`` or level.
    """
    return _simulated(lambda s, t: WITHOUT_BINS["smooth_ece"](s, t, MESH), p, y, of, level, resamples, seed)


def brier_reliability_interval(
    p, y, *, of: str = "classes", level: float = 0.95, resamples: int = 200, seed: int = 0
) -> Interval:
    """Interval for the true reliability part of the Brier score, which :func:`brier_reliability` estimates.

    The true value is what the best non-decreasing recalibration would gain on the population which the images come
    from.  Arguments and result are those of :func:`smooth_ece_interval`.
    """
    return _simulated(WITHOUT_BINS["brier_reliability"], p, y, of, level, resamples, seed)


def _simulated(measure, p, y, of, level, resamples, seed):
    """Interval of ``measure``, a function of scores and targets ``(n, columns)`` that gives ``(columns,)``."""
    p, y = check(p, y)
    resamples = whole_number("resamples", resamples)

    def invert(about):
        scores = np.take_along_axis(p, about, axis=1)
        hits = (about == y[:, None]).astype(float)
        observed = measure(scores, hits)[0]
        held = Bins.of(p, y, about, BINS, "width")
        noise, _, errors = candidates(held)
        if not noise.any():  # every score is 0 or 1 and right
            return observed, observed, observed
        gaps = populations(held, noise, np.unique([0, errors[0] / 2, *errors[::2]]))
        step = np.zeros((len(gaps), BINS))
        step[:, held.kept] = gaps / held.share
        where = places(scores, bin_edges(scores, BINS, "width"))[:, 0]
        possible = [np.clip(scores + s[where, None], 0, 1) for s in step]
        errors = np.array([measure(scores, eta)[0] for eta in possible])
        drawn = np.array([_drawn(measure, scores[:, 0], eta[:, 0], resamples, seed) for eta in possible])
        return accepted_errors(errors, drawn, observed, 1 - level)

    return by_columns(invert, p, of, ("classes", "top_label"), level)


def _drawn(measure, scores, eta, resamples, seed):
    """The measure of samples from a population, ``(resamples,)``; the same luck for the same seed."""
    rng, found, n = np.random.default_rng(seed), [], len(scores)
    while len(found) < resamples:
        size = n, min(resamples - len(found), max(1, _AT_ONCE // n))
        rows = rng.integers(n, size=size)
        found.extend(measure(scores[rows], (rng.random(size) < eta[rows]).astype(float)))
    return np.array(found)

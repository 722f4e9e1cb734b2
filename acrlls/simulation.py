"""Intervals for the calibration measures that have no bins: smooth ECE, and the reliability part of the Brier score.

Imported through ``acrlls.calibration``, which says what ``p`` and ``y`` are.

Both are biased upwards as the ECE is, and their intervals are those of inverted tests as in :mod:`acrlls.intervals`, from
the same possible populations: the observed gaps of bins, shrunk or widened.  What such a population shows has no formula
here, so samples are drawn from it: images with replacement, and each label from its probability.  A score that no other
image has is moved at random, halfway to its neighbours at the most: isotonic regression pools ties, which drawn images
would have and new ones have not.

The bins have the ends of 15 of equal width and of 15 of equal mass: the former alone do not see what errs differently
within a narrow range of scores, as in a coarse model, nor the latter what errs on few images.  An error that alternates
within all of them is in none of the populations; where the images show more than any of these would, the interval is the
whole range from 0 to 1.  On a few hundred images the intervals hold the truth a little too seldom (:mod:`acrlls.coverage`).
"""

from __future__ import annotations

import numpy as np

from acrlls._scores import STRATEGIES, bin_edges, check, places, whole_number
from acrlls.intervals import Bins, accepted_errors, by_columns, candidates, populations
from acrlls.resampling import Interval
from acrlls.reliability import WITHOUT_BINS

BINS = 15  # of each kind; of the possible populations alone
MESH = 1 << 8  # cells of the smooth ECE; the 16 times as many of the estimate change it by 1 to 3 % where it is 0.005
_AT_ONCE = 2_000_000  # scores drawn


def smooth_ece_interval(
    p, y, *, of: str = "classes", level: float = 0.95, resamples: int = 200, seed: int = 0
) -> Interval:
    """Interval for the true smooth ECE of each class or of the top label, which :func:`classwise_smooth_ece` estimates.

    The true value is the smooth ECE of the population which the images come from, with its true probabilities in place
    of labels.  A few seconds for 3,000 images; the time grows with images, classes and ``resamples``.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``.
        of: ``"classes"`` for each class against the rest, ``"top_label"`` for the predicted class.
        level: coverage aimed at, in (0, 1).
        resamples: samples drawn from each of up to 19 possible populations.

    Returns:
        ``low``, ``high`` and ``estimate`` as of :func:`ece_interval`: the estimate is freed of its bias, and so mostly below
        the smooth ECE.

    Raises:
        ValueError: bad probabilities or labels (the message names the row), ``of`` or level, or too few ``resamples`` for it.
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
        order = scores[:, 0].argsort()
        scores, hits = scores[order], (about == y[:, None]).astype(float)[order]
        observed = measure(scores, hits)[0]
        edges = np.unique([bin_edges(scores, BINS, strategy) for strategy in STRATEGIES])[None]
        held = Bins.within(p, y, about, edges)
        noise, _, errors = candidates(held)
        if not noise.any():  # every score is 0 or 1 and right
            return observed, observed, observed
        gaps = populations(held, noise, np.unique([0, errors[0] / 2, *errors[::2]]))
        step = np.zeros((len(gaps), len(held.kept)))
        step[:, held.kept] = gaps / held.share
        steps = step[:, places(scores, edges)[:, 0]]
        errors = np.array([measure(scores, np.clip(scores + s[:, None], 0, 1))[0] for s in steps])
        errors[0] = 0  # not what rounding leaves
        drawn = np.array([_drawn(measure, scores[:, 0], s, resamples, seed) for s in steps])
        if (drawn >= observed).mean(axis=1).max() <= (1 - level) / 2:
            return observed, 0.0, 1.0
        return accepted_errors(errors, drawn, observed, 1 - level)

    return by_columns(invert, p, of, ("classes", "top_label"), level, resamples)


def _drawn(measure, scores, step, resamples, seed):
    """The measure of samples from a population, ``(resamples,)``; the same luck for the same seed.

    Args:
        scores: rising, ``(n,)``.
        step: true probability minus score, ``(n,)``.
    """
    rng, found, n = np.random.default_rng(seed), [], len(scores)
    gap = np.diff(scores)
    alone = np.append(True, gap > 0) & np.append(gap > 0, True)
    down, up = (np.where(alone, room / 2, 0) for room in (np.append(0, gap), np.append(gap, 0)))
    while len(found) < resamples:
        size = n, min(resamples - len(found), max(1, _AT_ONCE // n))
        rows, moved = rng.integers(n, size=size), rng.uniform(-1, 1, size)
        drawn = scores[rows] + moved * np.where(moved < 0, down[rows], up[rows])
        found.extend(measure(drawn, (rng.random(size) < drawn + step[rows]).astype(float)))
    return np.array(found)

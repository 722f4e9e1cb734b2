"""Is one model calibrated worse than another? Difference of their squared l2 errors, paired.

The mean of the debiased square (:func:`debiased_ece` with ``squared``) is the true squared error of
the bins, also near zero, so that a population with a given error is easy to choose. The interval is
an inverted test as in :mod:`acrlls.calibration.intervals`, with populations that follow from the
data [1]. Intervals of the same kind for the difference of two ECEs held the truth in 77 to 88 % of
samples where one of the models was nearly calibrated, and were left out.

References:
    - [1] C.-S. Chuang, T. L. Lai, "Hybrid resampling methods for confidence intervals", Statistica
      Sinica 10, 2000.
    - [2] A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", NeurIPS 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from acrlls.calibration.binning import columns_of, in_bins
from acrlls.calibration.checks import check, check_choice, check_pair, one_hot
from acrlls.calibration.intervals import GRID, accepted, check_draws
from acrlls.calibration.resampling import Interval, image_counts

EVEN = 0.2  # share of a possible squared error that is spread over the bins as their noise is


def calibration_difference(
    p,
    y,
    p2,
    bins: int = 15,
    strategy: str = "uniform",
    *,
    of: str = "classes",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """How much worse calibrated one model is than another on the same images.

    The difference of their squared l2 errors; summed over the classes it is on the scale of
    :func:`brier_score`, of which it is the part that the bins see as miscalibration. Both models
    see the same resampled images. Copies of an image make the interval too narrow.

    Args:
        p: probabilities of the one model, ``(n, classes)``.
        y: labels, ``(n,)``.
        p2: probabilities of the other, for the same images.
        of: ``"classes"`` for the sum over the classes, or ``"top_label"``.

    Returns:
        Floats; positive where ``p`` is calibrated worse. The estimate is the difference of the
        debiased squares.

    Raises:
        ValueError: bad probabilities or labels (the message names the row) or settings, or so few
            images that no bin holds two.
    """
    p2, (p, y) = check_pair(p, p2), check(p, y)
    resamples = check_draws(level, resamples)
    check_choice("of", of, ("classes", "top_label"))
    first, second = (_Square.of(q, y, bins, strategy, of, resamples, seed) for q in (p, p2))
    observed = first.value - second.value
    spread = np.std(first.drawn(max(first.value, 0)) - second.drawn(max(second.value, 0)))
    if spread == 0:
        return Interval(*[float(observed)] * 3)
    possible, p_value = observed + np.linspace(-6, 6, GRID) * spread, []
    for difference in possible:
        mine = (first.value + second.value + difference) / 2
        mine = max(mine, difference, 0)  # neither error is negative
        drawn = first.drawn(mine) - second.drawn(mine - difference)
        above, below = (drawn >= observed).sum(), (drawn <= observed).sum()
        p_value.append(2 * (1 + min(above, below)) / (1 + len(drawn)))
    low, high = accepted(possible, np.array(p_value), 1 - level)
    return Interval(float(observed), float(min(low, observed)), float(max(high, observed)))


@dataclass(frozen=True)
class _Square:
    """The debiased square of a model, and what resampled images make of a true one.

    A resample with the true differences s · d, where s is the root of the true square and d their
    direction, shows ``alone + s · mixed + s² · grown``; arrays ``(resamples,)``.
    """

    value: float
    alone: np.ndarray
    mixed: np.ndarray
    grown: np.ndarray

    @classmethod
    def of(cls, p, y, bins, strategy, of, resamples, seed):
        (count, hits, total), drawn = _sums(p, y, bins, strategy, of, resamples, seed)
        n = len(y)
        share, gap, mean = count / n, (hits - total) / n, total / count
        frequency = (hits + mean) / (count + 1)
        noise = share * frequency * (1 - frequency) / n
        value = _debiased(share, (hits - total) / count, hits / count, count).sum()
        if not noise.any():
            return cls(value, *np.zeros((3, len(drawn[0]))))
        way = _direction(gap, share, noise) / share
        full = np.maximum(drawn[0], 1)
        stray = np.where(drawn[0] > 0, (drawn[1] - drawn[2]) / full - gap / share, 0)
        weight = drawn[0] / n
        alone = _debiased(weight, stray, (frequency + stray).clip(0, 1), drawn[0]).sum(axis=1)
        return cls(value, alone - alone.mean(), 2 * (weight * stray) @ way, weight @ way**2)

    def drawn(self, square: float) -> np.ndarray:
        """Debiased squares of the resamples if this is the true one."""
        return self.alone + np.sqrt(square) * self.mixed + square * self.grown


def _sums(p, y, bins, strategy, of, resamples, seed):
    """Count, hits and total score of the full bins, of the images and of resampled ones."""
    scores, targets = columns_of(p, one_hot(y, p.shape[1]), of)
    (n, columns), (where, bins) = scores.shape, in_bins(scores, bins, strategy)
    at = np.arange(n).repeat(columns), (where + bins * np.arange(columns)).ravel()
    values = (np.ones_like(scores), targets, scores)
    held = [csr_array((v.ravel(), at), shape=(n, bins * columns)) for v in values]
    sums = np.array([h.sum(axis=0) for h in held])
    kept = sums[0] > 0
    if sums[0].max() < 2:
        raise ValueError(f"no bin holds two of the {n} images, so that nothing shows the noise")
    # of all images alike, not within classes
    parts = ([c @ h for h in held] for c in image_counts(np.zeros(n), resamples, seed))
    drawn = [np.concatenate(part)[:, kept] for part in zip(*parts, strict=True)]
    return sums[:, kept], drawn


def _direction(gap, share, noise):
    """Gaps whose squares, each over its share, sum to one.

    Spread over the bins as what the noise leaves of the observed squares, and a fifth as the noise.
    """
    left, even = np.maximum(gap**2 - noise, 0) / share, noise / share
    even = even / even.sum()
    parts = (1 - EVEN) * left / left.sum() + EVEN * even if left.any() else even
    return np.where(gap < 0, -1, 1) * np.sqrt(parts * share)


def _debiased(share, difference, frequency, count):
    """Terms of the debiased square [2], a bin each; those of fewer than two images count as 0."""
    noise = frequency * (1 - frequency) / np.maximum(count - 1, 1)
    return np.where(count > 1.5, share * (difference**2 - noise), 0)

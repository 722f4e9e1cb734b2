"""Intervals for the l2 calibration error of a model, and for the difference of two models' squared ones.

Imported through ``acrlls.calibration.registry``, which says what ``p``, ``y`` and the bins are.

The mean of the debiased square (:func:`debiased_ece` with ``squared``) is the true square of the bins' error, however that
is spread over the bins and wherever it is near zero.  So a population with a given error is easy to choose: how its
error is spread moves the variance of the estimate alone.  The intervals are those of inverted tests as in
:mod:`acrlls.calibration.intervals`, with the populations that follow from the data [1].

References:
    - [1] C.-S. Chuang, T. L. Lai, "Hybrid resampling methods for confidence intervals", Statistica Sinica 10, 2000.
    - [2] A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", NeurIPS 2019.
    - [3] Y. Sun, P. Chaudhari, I. J. Barnett, E. Dobriban, "A confidence interval for the l2 expected calibration error",
      arXiv:2408.08998, 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from acrlls.calibration.checks import bin_edges, check, one_hot, places, top_label_of, whole_number
from acrlls.calibration.intervals import GRID, Bins, accepted, by_inversion, check_settings, ends
from acrlls.calibration.resampling import Interval, image_counts

EVEN = 0.2  # share of a possible squared error that is spread over the bins as their noise is


def debiased_ece_interval(
    p,
    y,
    bins: int = 15,
    strategy: str = "uniform",
    *,
    of: str = "classes",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Interval for the true l2 calibration error of each class or of the top label, which :func:`debiased_ece` estimates.

    The true value is that of :func:`true_calibration_error` with ``norm="l2"``, the root of sum over bins of
    ``P(bin) · E[frequency - probability | bin]²``.  As with [3], the debiased square decides, and the interval reaches 0
    where the images show no error; unlike there, its ends are those of an inverted test.

    Args:
        of: ``"classes"`` or ``"top_label"``; the rest is that of :func:`ece_interval`.

    Returns:
        ``low``, ``high`` and ``estimate``, ``(classes,)`` for the classes and floats for the top label.  The
        estimate is the debiased ECE.

    Raises:
        ValueError: bad probabilities or labels (the message names the row), bins, strategy, ``of`` or level.
    """
    return by_inversion(
        _root, p, y, bins, strategy, of, ("classes", "top_label"), level, resamples, seed
    )


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
    """How much worse calibrated one model is than another: difference of their squared l2 errors on the same images.

    Summed over the classes it is on the scale of :func:`brier_score`, of which it is the part that the bins see as
    miscalibration.  For each possible difference, the two errors are the nearest to the observed ones that have
    it, none of them negative; the luck of both models is that of the images drawn again, the same for both.

    Args:
        p: probabilities of the one model, ``(n, classes)``.
        p2: of the other, on the same images.
        of: ``"classes"`` for the sum over the classes, ``"top_label"`` for the predicted class of each model.

    Returns:
        Floats; positive where ``p`` is calibrated worse.  The estimate is the difference of the debiased squares.

    Raises:
        ValueError: bad probabilities or labels (the message names the row), bins, strategy, ``of`` or level.
    """
    p, y = check(p, y)
    p2, _ = check(p2, y, name="p2")
    if p.shape != p2.shape:
        raise ValueError(f"p has shape {p.shape} and p2 {p2.shape}; they must be equal")
    check_settings(of, ("classes", "top_label"), level, whole_number("resamples", resamples))
    first, second = (_Luck.of(q, y, bins, strategy, of, resamples, seed) for q in (p, p2))
    observed = first.square - second.square
    spread = np.std(first.of_square(max(first.square, 0)) - second.of_square(max(second.square, 0)))
    if spread == 0:
        return Interval(*[float(observed)] * 3)
    possible = observed + np.linspace(-6, 6, GRID) * spread
    p_value = []
    for difference in possible:
        mine = (first.square + second.square + difference) / 2
        mine = max(mine, difference, 0)  # neither error is negative
        drawn = first.of_square(mine) - second.of_square(mine - difference)
        above, below = (drawn >= observed).sum(), (drawn <= observed).sum()
        p_value.append(2 * (1 + min(above, below)) / (1 + len(drawn)))
    p_value, alpha = np.array(p_value), 1 - level
    low, high = ends(possible, p_value, alpha)
    return Interval(float(observed), float(min(low, observed)), float(max(high, observed)))


# --- One model ----------------------------------------------------------------------------------------------


def _root(held: Bins, label, count, alpha):
    """Estimate, low and high of the root of the sum of the squared gaps, each over the share of its bin."""
    noise = held.variance(held.frequency)
    step = held.gap / held.share
    observed = _squares(held.share, step, held.mean + step, held.share * held.n).sum()
    estimate = np.sqrt(max(observed, 0.0))
    if not noise.any():  # every score is 0 or 1 and right
        return estimate, estimate, estimate
    each = (
        noise / held.share
    )  # of the standard error of the root: at most the first where it is large, the second at 0
    reach = 5 * np.sqrt(each.max()) + 3 * (2 * (each**2).sum()) ** 0.25
    errors = np.linspace(max(estimate - reach, 0), estimate + reach, GRID)
    gaps = _populations(held, noise, np.append(0, errors))  # the first is the noise floor
    errors = np.sqrt((gaps**2 / held.share).sum(axis=1))
    return estimate, *accepted(
        errors, _debiased_under(held, gaps, label, count), observed, estimate, alpha
    )


def _populations(held, noise, errors):
    """Gaps of the bins whose squares, each over its share, sum to the square of each error, ``(errors, bins)``."""
    gaps = errors[:, None] * _direction(held.gap, held.share, noise)
    return np.clip(gaps, -held.share * held.mean, held.share * (1 - held.mean))


def _direction(gap, share, noise):
    """Gaps whose squares, each over its share, sum to one: spread over the bins as what is left of the observed squares
    without the noise, where anything is, and a fifth as the noise."""
    left, even = np.maximum(gap**2 - noise, 0) / share, noise / share
    even = even / even.sum()
    parts = (1 - EVEN) * left / left.sum() + EVEN * even if left.any() else even
    return np.where(gap < 0, -1, 1) * np.sqrt(parts * share)


def _debiased_under(held, gaps, label, count):
    """Debiased squares of samples from each population, ``(populations, resamples)``.

    Drawn as for the ECE.  Of a square, the share of a bin that varies weighs the true error but not the luck, which is
    the smaller the more images there are.
    """
    grown = np.sqrt(np.maximum(1 + count / np.sqrt(held.share * held.n), 0))
    drawn = []
    for step in gaps / held.share:
        frequency = np.clip(held.mean + step, 0, 1)
        sd = np.sqrt(held.variance(frequency))
        skewness = np.divide(
            1 - 2 * frequency, sd * held.n, out=np.zeros_like(sd), where=sd > 0
        ).clip(-2, 2)
        luck = sd / held.share * (label + skewness * (label**2 - 1) / 6)
        shown = (held.mean + step + luck).clip(0, 1)
        drawn.append(
            _squares(held.share, step * grown + luck, shown, held.share * held.n).sum(axis=1)
        )
    return np.array(drawn)


def _squares(share, difference, frequency, count):
    """The terms of the debiased square [2], a bin each; those of fewer than two images count as 0."""
    noise = frequency * (1 - frequency) / np.maximum(count - 1, 1)
    return np.where(count > 1.5, share * (difference**2 - noise), 0)


# --- Two models ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Luck:
    """The debiased square of a model, and what resampled images make of a true one.

    A resample with the true differences s · d, where s is the root of the true square and d their direction, shows
    the square ``alone + s · mixed + s² · grown``; arrays ``(resamples,)``.
    """

    square: float
    alone: np.ndarray
    mixed: np.ndarray
    grown: np.ndarray

    @classmethod
    def of(cls, p, y, bins, strategy, of, resamples, seed):
        scores, targets = p, one_hot(y, p.shape[1])
        if of == "top_label":
            scores, targets = top_label_of(scores, targets)
        n, size = len(y), whole_number("bins", bins) * scores.shape[1]
        where = (
            places(scores, bin_edges(scores, bins, strategy)) + bins * np.arange(scores.shape[1])
        ).ravel()
        rows = np.arange(n).repeat(scores.shape[1])
        held = [
            csr_array((v.ravel(), (rows, where)), shape=(n, size))
            for v in (np.ones_like(scores), targets, scores)
        ]
        count, hits, total = (h.sum(axis=0) for h in held)
        kept = count > 0
        # of all images alike, not within classes; drawn again for each model, for they would fill the memory
        counts = image_counts(np.zeros(n), resamples, seed)
        drawn = [
            np.concatenate(part)[:, kept]
            for part in zip(*([c @ h for h in held] for c in counts), strict=True)
        ]
        count, hits, total = count[kept], hits[kept], total[kept]
        share, gap, mean = count / n, (hits - total) / n, total / count
        frequency = (hits + mean) / (count + 1)
        noise = share * frequency * (1 - frequency) / n
        square = _squares(share, (hits - total) / count, hits / count, count).sum()
        if not noise.any():
            return cls(square, *np.zeros((3, len(drawn[0]))))
        way = _direction(gap, share, noise) / share
        full = np.maximum(drawn[0], 1)
        stray = np.where(drawn[0] > 0, (drawn[1] - drawn[2]) / full - gap / share, 0)
        weight = drawn[0] / n
        alone = _squares(weight, stray, (frequency + stray).clip(0, 1), drawn[0]).sum(axis=1)
        return cls(square, alone - alone.mean(), 2 * (weight * stray) @ way, weight @ way**2)

    def of_square(self, square: float) -> np.ndarray:
        """Debiased squares of the resamples if this is the true one."""
        return self.alone + np.sqrt(square) * self.mixed + square * self.grown

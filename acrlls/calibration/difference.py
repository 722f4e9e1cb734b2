"""Is one model calibrated worse than another on the same images? A permutation test [Good 2005]."""

from typing import NamedTuple

import numpy as np

from acrlls.calibration.binning import binned, pieces
from acrlls.calibration.checks import check, check_pair, check_weights, numbers, one_hot, random


class Difference(NamedTuple):
    """``gaps``, class-wise ECE of the first model minus that of the second by pair of runs,
    ``(runs, classes + 1)``, the mean over the classes last; ``p_values`` of their means over the
    runs, ``(classes + 1,)``, not adjusted for several classes; ``least`` that such a p can be."""

    gaps: np.ndarray
    p_values: np.ndarray
    least: float


def calibration_difference(
    p, y, p2, bins=15, strategy="uniform", *, sample_weight=None, resamples=1000, seed=0
) -> Difference:
    """Difference in class-wise ECE of two models on the same images, with two-sided p-values.

    Takes probabilities ``p`` and ``p2``, ``(n, classes)`` or several runs of each ``(runs, n,
    classes)``, and labels ``y``, ``(n,)``, each image by its weight ``(n,)``. If the models were
    alike, their probabilities for an image could be exchanged: p is the share of ``resamples``
    random exchanges, image by image and the same in every run, after which the mean difference is
    as large. It is over images alone: other runs may differ by more. Models that are not alike,
    such as an overconfident and an underconfident one, get a small p too often for equal errors.

    Bad probabilities, labels or settings, and models of different shapes, are a ``ValueError``.
    """
    shape, other = numbers(p, "p").shape, numbers(p2, "p2").shape
    if len(shape) == 3 and (shape != other or not shape[0]):
        shapes = f"p has shape {shape} and p2 {other}"
        raise ValueError(f"{shapes}; they must be equal, with one run at least")
    pairs = zip(p, p2, strict=True) if len(shape) == 3 else [(p, p2)]
    pairs = [_residuals(*pair, y, bins, strategy) for pair in pairs]
    (n, *_), rng = pairs[0][0].shape, random(seed)
    weight = check_weights(sample_weight, n, y, p, p2)
    weight = weight / weight.sum()
    gaps = np.array([_gap(a, b, weight[None], 0 * weight[None])[0] for a, b in pairs])
    drawn = []
    for r in pieces(resamples, n):
        swapped = (rng.random((r, n)) < 0.5) * weight
        drawn.append(np.mean([_gap(a, b, weight, swapped) for a, b in pairs], axis=0))
    drawn = np.concatenate(drawn)
    as_large = np.abs(drawn) >= np.abs(gaps.mean(axis=0)) - 1e-12
    return Difference(gaps, (1 + as_large.sum(axis=0)) / (1 + len(drawn)), 1 / (1 + len(drawn)))


def _residuals(p, p2, y, bins, strategy):
    """Label minus score where the class and bin of an image are, ``(n, classes, bins)`` a model."""
    (p, p2), (_, y) = check_pair(p, p2, "p2", y), check(p, y)
    found, targets = [], one_hot(y, p.shape[1])
    for scores in (p, p2):
        held = binned(scores, targets, bins, strategy)
        residuals = np.zeros((*scores.shape, held.count.shape[1]))
        np.put_along_axis(residuals, held.where[..., None], (targets - scores)[..., None], axis=2)
        found.append(residuals)
    return found


def _gap(first, second, weight, swapped):
    """Difference in ECE ``(r, classes + 1)`` after images are exchanged: those of which
    ``swapped``, ``(r, n)``, is not 0 but their weight."""
    moved = np.tensordot(swapped, second - first, 1)
    sums = (np.tensordot(weight, first, 1) + moved, np.tensordot(weight, second, 1) - moved)
    one, two = (np.abs(s).sum(axis=-1) for s in sums)
    return np.column_stack([one - two, (one - two).mean(axis=-1)])

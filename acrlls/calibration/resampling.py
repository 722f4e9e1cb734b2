"""Resampled images: the stratified bootstrap of scores that are no calibration errors, and Holm's correction.

Imported through ``acrlls.calibration.registry``.  A resample is a count for each image, so that 1,000 of them are a matrix
and a score under all of them is a product or a sum; nothing is computed image by image in Python.

References:
    - [1] B. Efron, R. J. Tibshirani, "An introduction to the bootstrap", Chapman & Hall, 1993.
    - [2] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6,
      1979.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from acrlls.calibration import scores as scoring
from acrlls.calibration.checks import one_hot, whole_number


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its interval; floats, or arrays ``(classes,)`` for a class-wise metric."""

    estimate: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray


def image_counts(y, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is drawn, in chunks ``(r, n)`` that bound the memory.

    Drawn with replacement within each class, so that the class counts stay as they are [1].
    """
    rng, left = np.random.default_rng(seed), whole_number("resamples", resamples)
    members = [np.flatnonzero(y == k) for k in np.unique(y)]
    while left:
        r = min(left, max(1, 2_000_000 // len(y)))
        left -= r
        counts = np.empty((r, len(y)))
        for rows in members:
            m = len(rows)
            drawn = rng.integers(m, size=(r, m))
            drawn += np.arange(r)[:, None] * m
            counts[:, rows] = np.bincount(drawn.ravel(), minlength=r * m).reshape(r, m)
        yield counts


def bootstrap_means(values, y, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Means of values known image by image, over images resampled within each class.

    Every row sees the same images in the same resample, so that the difference of two rows is paired.

    Args:
        values: one row a quantity, ``(rows, n)``, such as the loss of each of several models.
        y: labels, ``(n,)``.

    Returns:
        ``(rows, resamples)``.

    Raises:
        ValueError: values of another shape or not finite.
    """
    values, y = np.asarray(values, float), np.asarray(y)
    if values.ndim != 2 or y.shape != values.shape[1:] or not values.size:
        raise ValueError(
            f"values have shape {values.shape} and y {y.shape}; they must be (rows, n) and (n,)"
        )
    if not np.isfinite(values).all():
        raise ValueError("values must be finite; leave out the images where they are not known")
    # row by row: a product with several rows at once may round equal rows differently
    drawn = [[counts @ row for row in values] for counts in image_counts(y, resamples, seed)]
    return np.concatenate(drawn, axis=1) / len(y)


def holm(p_values):
    """Holm's adjusted p-values [2]: those at most a are, of all together, rejected at family-wise level a.

    The smallest of m is multiplied by m, the next by m - 1, …; none becomes smaller than one before it, nor larger
    than one.  Valid however the tests depend on each other.  NaN stays NaN and does not count.

    Args:
        p_values: array or DataFrame of any shape, all of it one family.

    Returns:
        The same kind and shape.
    """
    given = np.asarray(p_values, float)
    known = given[~np.isnan(given)]
    if ((known < 0) | (known > 1)).any():
        raise ValueError("p-values must lie between 0 and 1")
    order = known.argsort(kind="stable")
    adjusted = np.empty_like(known)
    adjusted[order] = np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1)).clip(max=1)
    result = np.full(given.shape, np.nan)
    result[~np.isnan(given)] = adjusted
    if hasattr(p_values, "to_numpy"):
        result_like = p_values.copy().astype(float)
        result_like[:] = result
        return result_like
    return result


# Scores under image counts: ``f(p, y)`` prepares what does not change, and gives a function of counts ``(r, n)``
# that returns ``(r,)`` or ``(r, classes)``.


def mean_of(contributions: Callable) -> Callable:
    """For a score that is the mean of ``contributions(p, y)``, ``(n,)`` or ``(n, classes)``."""

    def prepare(p, y):
        each = contributions(p, y)
        return lambda counts: counts @ each / len(y)

    return prepare


def of_confusion(function: Callable) -> Callable:
    """For a score that is a ``function`` of confusion matrices ``(r, classes, classes)``."""

    def prepare(p, y):
        predicted = one_hot(p.argmax(axis=1), p.shape[1])
        members = [np.flatnonzero(y == k) for k in range(p.shape[1])]

        def score(counts):
            return function(
                np.stack([counts[:, rows] @ predicted[rows] for rows in members], axis=1)
            )

        return score

    return prepare


def squares(p, y):
    """Contribution of each image to the Brier score of each class, ``(n, classes)``."""
    return (p - one_hot(y, p.shape[1])) ** 2


def auc(p, y):
    """Area under the ROC curve of each class: the weighted share of pairs in the right order, a tie one half."""
    plans = []
    for k, score in enumerate(p.T):
        own, rest = np.flatnonzero(y == k), np.flatnonzero(y != k)
        rest = rest[score[rest].argsort()]
        ends = [np.searchsorted(score[rest], score[own], side) for side in ("left", "right")]
        plans.append((own, rest, *ends))

    def score(counts):
        values = np.full((len(counts), len(plans)), np.nan)
        below = np.zeros((len(counts), counts.shape[1] + 1))
        for k, (own, rest, left, right) in enumerate(plans):
            if not (len(own) and len(rest)):
                continue
            np.cumsum(counts[:, rest], axis=1, out=below[:, 1 : len(rest) + 1])
            wins = np.einsum("ij,ij->i", counts[:, own], below[:, left] + below[:, right]) / 2
            values[:, k] = wins / (len(own) * len(rest))
        return values

    return score


WEIGHTED = {
    scoring.accuracy: of_confusion(scoring.accuracy_of),
    scoring.f1: of_confusion(lambda c: scoring.f1_of(c).mean(axis=-1)),
    scoring.nll: mean_of(scoring.losses),
    scoring.brier_score: mean_of(lambda p, y: squares(p, y).sum(axis=1)),
    scoring.classwise_precision: of_confusion(scoring.precision_of),
    scoring.classwise_recall: of_confusion(scoring.recall_of),
    scoring.classwise_f1: of_confusion(scoring.f1_of),
    scoring.classwise_auc: auc,
    scoring.classwise_brier: mean_of(squares),
}


def replicates(function: Callable, models, y, resamples: int, seed: int) -> np.ndarray:
    """Values of ``function(p, y)`` under resampled images, or of its difference where there are two models.

    Args:
        models: one or two arrays ``(n, classes)``; both see the same images in each resample.

    Returns:
        ``(resamples,)`` or ``(resamples, classes)``.
    """
    if function in WEIGHTED:
        scores = [WEIGHTED[function](p, y) for p in models]
        parts = [[score(counts) for score in scores] for counts in image_counts(y, resamples, seed)]
        values = [np.concatenate(of_model) for of_model in zip(*parts, strict=True)]
    else:
        rows = (
            np.repeat(np.arange(len(y)), c.astype(int))
            for w in image_counts(y, resamples, seed)
            for c in w
        )
        drawn = [[function(p[r], y[r]) for p in models] for r in rows]
        values = [np.array(of_model) for of_model in zip(*drawn, strict=True)]
    return values[0] - values[1] if len(values) == 2 else values[0]

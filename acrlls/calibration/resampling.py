"""Resampled images, and tests: the stratified bootstrap, Holm's correction, McNemar's exact test.

A resample is a count for each image, so that 1,000 of them are a matrix and a score under all of
them is a product or a sum.

References:
    - [1] B. Efron, R. J. Tibshirani, "An introduction to the bootstrap", Chapman & Hall, 1993.
    - [2] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
      of Statistics 6, 1979.
    - [3] Q. McNemar, "Note on the sampling error of the difference between correlated proportions
      or percentages", Psychometrika 12, 1947.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr

from acrlls.calibration import scores
from acrlls.calibration.binning import pieces
from acrlls.calibration.checks import one_hot


class Interval(NamedTuple):
    """An estimate with the ends of its interval; floats, or arrays ``(classes,)``."""

    estimate: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray


def image_counts(y, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is drawn, in pieces ``(r, n)``.

    Drawn with replacement within each class, so that the class counts stay as they are [1].
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(y == k) for k in np.unique(y)]
    if max(map(len, members)) == 1:
        raise ValueError("no class has two images, so that resampling within classes says nothing")
    for r in pieces(resamples, len(y)):
        counts = np.empty((r, len(y)))
        for rows in members:
            m = len(rows)
            drawn = rng.integers(m, size=(r, m)) + np.arange(r)[:, None] * m
            counts[:, rows] = np.bincount(drawn.ravel(), minlength=r * m).reshape(r, m)
        yield counts


def bootstrap_means(values, y, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Means of values known image by image, over images resampled within each class.

    Every row sees the same images in the same resample, so that a difference of rows is paired.
    Copies of an image count as more images than there are and narrow what is seen.

    Args:
        values: one row a quantity, ``(rows, n)``, such as the loss of each of several models.
        y: labels, ``(n,)``.

    Returns:
        ``(rows, resamples)``.

    Raises:
        ValueError: values of another shape or not finite, or no class with two images.
    """
    values, y = np.asarray(values, float), np.asarray(y)
    if values.ndim != 2 or y.shape != values.shape[1:] or not values.size:
        shapes = f"values have shape {values.shape} and y {y.shape}"
        raise ValueError(f"{shapes}; they must be (rows, n) and (n,)")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite; leave out the images where they are not known")
    # row by row: a product with several rows at once may round equal rows differently
    drawn = [[counts @ row for row in values] for counts in image_counts(y, resamples, seed)]
    return np.concatenate(drawn, axis=1) / len(y)


def holm(p_values):
    """Holm's adjusted p-values [2], valid however the tests depend on each other.

    Those at most a are rejected at family-wise level a. NaN stays NaN and does not count.

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
        like = p_values.astype(float)
        like[:] = result
        return like
    return result


def mcnemar(won, differ):
    """Exact two-sided p-value of McNemar's test [3] that two models are equally accurate.

    Args:
        won: images that only the one model gets right; a number or an array.
        differ: images that exactly one of the two models gets right, likewise.

    Returns:
        As they are given: p-values in (0, 1]; 1 where the models differ nowhere.
    """
    won, differ = np.asarray(won), np.asarray(differ)
    if ((won < 0) | (won > differ)).any():
        raise ValueError("won must lie between 0 and differ")
    p = np.minimum(2 * bdtr(np.minimum(won, differ - won), differ, 0.5), 1)
    return float(p) if p.ndim == 0 else p


def replicates(function: Callable, models, y, resamples: int, seed: int) -> np.ndarray:
    """Values of ``function(p, y)`` under resampled images, or its difference for two models.

    Args:
        models: one or two arrays ``(n, classes)``; both see the same images in each resample.

    Returns:
        ``(resamples,)`` or ``(resamples, classes)``.
    """
    counts = image_counts(y, resamples, seed)
    if function in WEIGHTED:
        under = [WEIGHTED[function](p, y) for p in models]
        parts = [[score(c) for score in under] for c in counts]
        values = [np.concatenate(of_model) for of_model in zip(*parts, strict=True)]
    else:
        rows = (np.repeat(np.arange(len(y)), c.astype(int)) for chunk in counts for c in chunk)
        drawn = [[function(p[r], y[r]) for p in models] for r in rows]
        values = [np.array(of_model) for of_model in zip(*drawn, strict=True)]
    return values[0] - values[1] if len(values) == 2 else values[0]


def _mean_of(contributions: Callable) -> Callable:
    def prepare(p, y):
        each = contributions(p, y)
        return lambda counts: counts @ each / len(y)

    return prepare


def _of_confusion(function: Callable) -> Callable:
    def prepare(p, y):
        predicted = one_hot(p.argmax(axis=1), p.shape[1])
        members = [np.flatnonzero(y == k) for k in range(p.shape[1])]
        return lambda counts: function(
            np.stack([counts[:, rows] @ predicted[rows] for rows in members], axis=1)
        )

    return prepare


def _squares(p, y):
    return (p - one_hot(y, p.shape[1])) ** 2


# ``f(p, y)`` prepares what does not change and gives a function of counts ``(r, n)`` that returns
# ``(r,)`` or ``(r, classes)``
WEIGHTED = {
    scores.accuracy: _of_confusion(scores.accuracy_of),
    scores.f1: _of_confusion(lambda c: scores.f1_of(c).mean(axis=-1)),
    scores.nll: _mean_of(scores.losses),
    scores.brier_score: _mean_of(lambda p, y: _squares(p, y).sum(axis=1)),
    scores.classwise_precision: _of_confusion(scores.precision_of),
    scores.classwise_recall: _of_confusion(scores.recall_of),
    scores.classwise_f1: _of_confusion(scores.f1_of),
    scores.classwise_auc: scores.auc_under,
    scores.classwise_brier: _mean_of(_squares),
}

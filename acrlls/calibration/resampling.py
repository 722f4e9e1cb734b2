"""Resampled images, and tests: stratified bootstrap, Holm's correction, McNemar's exact test."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr

from acrlls.calibration.binning import pieces
from acrlls.calibration.checks import numbers, random


class Interval(NamedTuple):
    """An estimate with the ends of its interval; floats, or arrays ``(classes,)``."""

    estimate: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray


def image_counts(y, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is drawn, in pieces ``(r, n)``.

    Drawn with replacement within each class [Efron 1993], so that class counts stay as they are.
    """
    rng = random(seed)
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

    ``values`` has one row a quantity, ``(rows, n)``, such as the loss of each of several models,
    ``y`` the labels, ``(n,)``; the result is ``(rows, resamples)``. Every row sees the same images
    in the same resample, so that a difference of rows is paired. Copies of an image count as more
    images than there are and narrow what is seen. Values of another shape or not finite, and no
    class with two images, are a ``ValueError``.
    """
    values, y = numbers(values, "values"), numbers(y, "y")
    if values.ndim != 2 or y.shape != values.shape[1:] or not values.size:
        shapes = f"values have shape {values.shape} and y {y.shape}"
        raise ValueError(f"{shapes}; they must be (rows, n) and (n,)")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite; leave out the images where they are not known")
    if not np.isfinite(y).all():
        raise ValueError("y must be finite; leave out the images whose label is not known")
    # row by row: a product with several rows at once may round equal rows differently
    drawn = [[counts @ row for row in values] for counts in image_counts(y, resamples, seed)]
    return np.concatenate(drawn, axis=1) / len(y)


def holm(p_values):
    """Holm's adjusted p-values [Holm 1979], valid however the tests depend on each other.

    Takes an array, Series or DataFrame of any shape, all of it one family, and gives the same kind.
    Those at most a are rejected at family-wise level a. NaN stays NaN and does not count.
    """
    try:
        result = np.array(np.ma.array(p_values, float).filled(np.nan))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"p_values must be numbers between 0 and 1: {error}") from None
    known = result[~np.isnan(result)]
    if ((known < 0) | (known > 1)).any():
        raise ValueError("p_values must lie between 0 and 1")
    order = known.argsort(kind="stable")
    times = np.arange(len(known), 0, -1)
    known[order] = np.maximum.accumulate(known[order] * times).clip(max=1)
    result[~np.isnan(result)] = known
    if hasattr(p_values, "iloc"):
        like = p_values.astype(float)
        like[:] = result
        return like
    return result


def mcnemar(won, differ):
    """Exact two-sided p of McNemar's test [McNemar 1947] that two models are equally accurate.

    ``won`` images only the one model gets right, ``differ`` images exactly one of the two; numbers
    or arrays, as is the result, in (0, 1]; it is 1 where the models differ nowhere.
    """
    won, differ = numbers(won, "won"), numbers(differ, "differ")
    try:
        won, differ = np.broadcast_arrays(won, differ)
    except ValueError:
        shapes = f"won has shape {won.shape} and differ {differ.shape}"
        raise ValueError(f"{shapes}; they must be equal, or one a number") from None
    whole = (won % 1 == 0) & (differ % 1 == 0) & (differ < 2**31)  # of which SciPy's bdtr is NaN
    if not (whole & (won >= 0) & (won <= differ)).all():
        raise ValueError("won and differ must be whole numbers, won between 0 and differ < 2**31")
    p = np.minimum(2 * bdtr(np.minimum(won, differ - won), differ, 0.5), 1)
    return float(p) if p.ndim == 0 else p

"""Resampled images, and tests: stratified bootstrap, Holm's correction, McNemar's exact test."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr

from acrlls.calibration.binning import pieces
from acrlls.calibration.checks import numbers, random, same_index


class Interval(NamedTuple):
    """An estimate with the ends of its interval; floats, or arrays ``(classes,)``."""

    estimate: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray


def image_counts(y, resamples: int = 1000, seed: int = 0, sizes=None) -> Iterator[np.ndarray]:
    """How often each image is drawn, in pieces ``(r, n)``: what is known image by image has the
    means ``counts @ values / n``, and rows of values see the same images, so that they are paired.

    Drawn with replacement within each class [Efron 1993] of the labels ``y``, ``(n,)``, as many as
    there are, or of class k ``sizes[k]``. Copies of an image count as more images than there are
    and narrow what is seen. A label that is not known, and no class with two images unless there
    are ``sizes``, are a ``ValueError``.
    """
    y, rng = numbers(y, "y"), random(seed)
    if y.ndim != 1 or not y.size or not np.isfinite(y).all():
        raise ValueError("y must be finite labels (n,); leave out images whose label is not known")
    classes = np.unique(y) if sizes is None else np.flatnonzero(sizes)
    members = [np.flatnonzero(y == k) for k in classes]
    if sizes is None and max(map(len, members)) == 1:
        raise ValueError("no class has two images, so that resampling within classes says nothing")
    sizes = [*map(len, members)] if sizes is None else np.array(sizes, int)[classes]
    for r in pieces(resamples, len(y)):
        counts = np.zeros((r, len(y)))
        for rows, size in zip(members, sizes, strict=True):
            m = len(rows)
            drawn = rng.integers(m, size=(r, size)) + np.arange(r)[:, None] * m
            counts[:, rows] = np.bincount(drawn.ravel(), minlength=r * m).reshape(r, m)
        yield counts


def holm(p_values):
    """Holm's adjusted p-values [Holm 1979], valid however the tests depend on each other.

    Takes numbers of any shape, all of them one family, and gives an array of it. Those at most a
    are rejected at family-wise level a. NaN stays NaN and does not count.
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
    return result


def mcnemar(won, differ):
    """Exact two-sided p of McNemar's test [McNemar 1947] that two models are equally accurate.

    ``won`` images only the one model gets right, ``differ`` images exactly one of the two; numbers
    or arrays, as is the result, in (0, 1]; it is 1 where the models differ nowhere.
    """
    same_index(won, differ, "won", "differ")
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

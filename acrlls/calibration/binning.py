"""Bins of scores, what they hold, and labels drawn from probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acrlls.calibration.checks import CHUNK, OF, check_bins, check_choice, one_hot, whole_number


def columns_of(p, targets, of):
    """Scores and targets ``(n, columns)``: those of all classes, or of the predicted one alone."""
    check_choice("of", of, OF)
    if of != "top_label":
        return p, targets
    top = p.argmax(axis=1)[:, None]
    return np.take_along_axis(p, top, axis=1), np.take_along_axis(targets, top, axis=1)


def bin_edges(scores, bins, strategy):
    """Edges of the bins of each column of scores, ``(columns, bins + 1)``.

    Bins of equal width run from 0 to 1, bins of equal count from the least to the greatest score.
    """
    bins = check_bins(bins, strategy)
    if strategy == "quantile":  # whole numbers: a rounded quantile would move images
        last = -(-np.arange(bins + 1) * len(scores) // bins) - 1
        return np.sort(scores, axis=0)[last.clip(0)].T
    return np.tile(np.linspace(0, 1, bins + 1), (scores.shape[1], 1))


def places(scores, edges):
    """Index of the bin (a, b] of each score, ``(n, columns)``; the least score is in the first."""
    bins = edges.shape[1] - 1
    if not (edges == np.linspace(0, 1, bins + 1)).all():
        pairs = zip(scores.T, edges, strict=True)
        return np.column_stack([np.searchsorted(own[1:-1], column) for column, own in pairs])
    # a product is rounded: where one slightly too small and one slightly too large differ, the
    # edges decide
    factors = bins * (1 - 1e-9), bins * (1 + 1e-9)
    found, above = (np.multiply(scores, by, order="C").astype(np.intp) for by in factors)
    near = np.flatnonzero(found != above)
    if len(near):
        found.ravel()[near] = np.searchsorted(edges[0, 1:-1], scores.ravel()[near])
    return found


def in_bins(scores, bins, strategy):
    """:func:`places` with the edges, and the checked number of bins."""
    edges = bin_edges(scores, bins, strategy)
    return places(scores, edges), edges.shape[1] - 1


def bin_sums(values, where, bins):
    """Sum of each column of values in its bins: ``(columns, bins)`` from two ``(n, columns)``."""
    columns = zip(values.T, where.T, strict=True)
    return np.array([np.bincount(w, v, minlength=bins) for v, w in columns])


@dataclass(frozen=True)
class Binned:
    """What the bins hold; arrays ``(columns, bins)``, ``hits`` with any axes before these.

    ``n`` images; ``count`` of them in each bin, ``total`` the sum of their scores, and ``hits`` the
    number whose label is the class.
    """

    n: int
    count: np.ndarray
    total: np.ndarray
    hits: np.ndarray

    @property
    def gaps(self):
        """Share of images times (frequency - mean score): what the calibration errors sum."""
        return (self.hits - self.total) / self.n


def binned(p, y, bins, strategy, top_label=False, counts=True) -> Binned:
    """Bins of the probability of each class, or of the confidence alone, from checked input.

    In chunks of rows, all columns of a chunk at once. Counts are zeros where not asked for.
    """
    scores = p.max(axis=1)[:, None] if top_label else p
    edges = bin_edges(scores, bins, strategy)
    columns, bins = len(edges), edges.shape[1] - 1
    size = columns * bins
    shift = np.tile(np.arange(columns) * bins, (min(CHUNK, len(p)), 1))
    count, total, hits = np.zeros(size, np.intp), np.zeros(size), np.zeros(size, np.intp)
    for start in range(0, len(p), CHUNK):
        part, labels = scores[start : start + CHUNK], y[start : start + CHUNK]
        where = places(part, edges)
        where += shift[: len(part)]
        if top_label:
            true = where[p[start : start + CHUNK].argmax(axis=1) == labels, 0]
        else:  # only the labelled class comes true, so that no indicator of each is needed
            true = where[np.arange(len(labels)), labels]
        hits += np.bincount(true, minlength=size)
        total += np.bincount(where.ravel(), part.ravel(), minlength=size)
        if counts:
            count += np.bincount(where.ravel(), minlength=size)
    return Binned(len(p), *(a.reshape(columns, bins) for a in (count, total, hits)))


def hits_of(p, y):
    """Is each image of each class and, last, is its predicted class right: ``(n, classes + 1)``."""
    return np.column_stack([one_hot(y, p.shape[1]), p.argmax(axis=1) == y])


def labels_from(p, u):
    """Labels drawn from ``p``, ``(n, classes)``, by uniform numbers ``(…, n)``."""
    ladder = p.cumsum(axis=1)[:, :-1] / p.sum(axis=1, keepdims=True)
    return sum((u >= rung).astype(np.intp) for rung in ladder.T)


def pieces(resamples, n) -> list[int]:
    """Sizes of the pieces in which so many resamples of n images are made, to bound the memory."""
    most = max(1, 2_000_000 // n)
    whole, rest = divmod(whole_number("resamples", resamples), most)
    return [most] * whole + [rest] * (rest > 0)


def drawn_labels(p, resamples, seed):
    """Labels drawn from ``p``, in pieces ``(r, n)``."""
    rng = np.random.default_rng(seed)
    for r in pieces(resamples, len(p)):
        yield labels_from(p, rng.random((r, len(p))))


def drawn_hits(p, where, bins, resamples, seed):
    """Hits of each bin for labels drawn from ``p``, in pieces ``(r, classes + 1, bins)``.

    ``where`` holds the bins of the classes and, last, of the top label: ``(n, classes + 1)``.
    """
    n, classes = p.shape
    top = p.argmax(axis=1)
    for labels in drawn_labels(p, resamples, seed):
        r = len(labels)
        start = np.arange(r)[:, None] * (classes + 1) * bins
        own = start + labels * bins + where[np.arange(n), labels]
        right = (start + classes * bins + where[:, -1])[labels == top]
        size = r * (classes + 1) * bins
        hits = np.bincount(own.ravel(), minlength=size) + np.bincount(right, minlength=size)
        yield hits.reshape(r, classes + 1, bins)

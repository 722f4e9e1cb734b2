"""Bins of scores, what they hold, and labels drawn from probabilities."""

from dataclasses import dataclass

import numpy as np

from acrlls.calibration.checks import OF, check_choice, one_hot, random, whole_number


def columns_of(p, targets, of):
    """Scores and targets ``(n, columns)``: those of all classes, or of the predicted one alone."""
    check_choice("of", of, OF)
    if of != "top_label":
        return p, targets
    top = p.argmax(axis=1)[:, None]
    return np.take_along_axis(p, top, axis=1), np.take_along_axis(targets, top, axis=1)


def with_top_label(p, y):
    """Scores of all classes and, last, of the predicted one, and which of them came true."""
    hits = np.column_stack([one_hot(y, p.shape[1]), p.argmax(axis=1) == y])
    return np.column_stack([p, p.max(axis=1)]), hits


def bin_edges(scores, bins, strategy):
    """Edges of the bins of each column of scores, ``(columns, bins + 1)``."""
    check_choice("strategy", strategy, ("uniform", "quantile"))
    bins = whole_number("bins", bins)
    if strategy == "quantile":  # whole numbers: a rounded quantile would move images
        last = -(-np.arange(bins + 1) * len(scores) // bins) - 1
        return np.sort(scores, axis=0)[last.clip(0)].T
    return np.tile(np.linspace(0, 1, bins + 1), (scores.shape[1], 1))


def places(scores, edges):
    """Index of the bin (a, b] of each score, ``(n, columns)``; the least score is in the first."""
    pairs = zip(scores.T, edges, strict=True)
    return np.column_stack([np.searchsorted(own[1:-1], column) for column, own in pairs])


def bin_sums(values, where, bins):
    """Sum of each column of values in its bins: ``(columns, bins)`` from two ``(n, columns)``."""
    columns = zip(values.T, where.T, strict=True)
    return np.array([np.bincount(w, v, minlength=bins) for v, w in columns])


@dataclass(frozen=True)
class Binned:
    """What the bins hold; arrays ``(columns, bins)`` unless another shape is given."""

    edges: np.ndarray  # (columns, bins + 1)
    where: np.ndarray  # (n, columns): the bin of each score
    count: np.ndarray  # of images
    total: np.ndarray  # sum of their scores
    hits: np.ndarray  # sum of their targets; may have further axes before these

    @property
    def gaps(self):
        """Share of images times (frequency - mean score): what the calibration errors sum."""
        return (self.hits - self.total) / len(self.where)


def binned(scores, targets, bins, strategy) -> Binned:
    """Bins of each column of scores and targets, two arrays ``(n, columns)``."""
    edges = bin_edges(scores, bins, strategy)
    where, size = places(scores, edges), edges.shape[1] - 1
    sums = (bin_sums(values, where, size) for values in (np.ones_like(scores), scores, targets))
    return Binned(edges, where, *sums)


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
    rng = random(seed)
    for r in pieces(resamples, len(p)):
        yield labels_from(p, rng.random((r, len(p))))


def drawn_hits(p, held: Binned, resamples, seed):
    """Hits of drawn labels, ``(resamples, classes + 1, bins)``, in bins of ``with_top_label``."""
    where, (columns, bins) = held.where, held.count.shape
    drawn = []
    for labels in drawn_labels(p, resamples, seed):
        # each drawing has its own row of bins for every column, and one count finds all of them
        start = np.arange(len(labels))[:, None] * columns * bins
        own = start + labels * bins + where[np.arange(len(p)), labels]
        right = (start + (columns - 1) * bins + where[:, -1])[labels == p.argmax(axis=1)]
        hits = np.bincount(np.append(own, right), minlength=len(labels) * columns * bins)
        drawn.append(hits.reshape(-1, columns, bins))
    return np.concatenate(drawn)

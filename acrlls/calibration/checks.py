"""Scores, labels and bins: what every calibration measure needs.  Internal to ``calibration``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STRATEGIES = ("uniform", "quantile")
CHUNK = 1 << 14  # rows that are binned together: what fits a processor's cache


def check(p, y=None, name: str = "p"):
    """Probabilities as float64 in [0, 1] and, where given, labels as integers; an error names the first bad
    row.

    Rows may miss one by up to 1e-3 (float32 softmax, rounded tables); they are not normalised.

    Returns:
        ``p``, or ``(p, y)``.
    """
    p = np.asarray(p)
    if p.ndim != 2 or p.shape[1] < 2 or not len(p):
        raise ValueError(
            f"{name} has shape {p.shape}; it must be (n, classes) with n >= 1 and classes >= 2"
        )
    if not np.issubdtype(p.dtype, np.number) or np.iscomplexobj(p):
        raise ValueError(f"{name} holds {p.dtype}; it must hold real numbers")
    p = p.astype(np.float64, copy=False)
    low, high, off = _extremes(p)
    # one comparison finds NaN too; which row is at fault is asked only when there is one
    if not (low >= -1e-6 and high <= 1 + 1e-3 and off <= 1e-3):
        _refuse_rows(~np.isfinite(p).all(axis=1), p, name, "holds a value that is not finite")
        _refuse_rows(
            ((p < -1e-6) | (p > 1 + 1e-3)).any(axis=1), p, name, "holds a value outside [0, 1]"
        )
        _refuse_rows(np.abs(p.sum(axis=1) - 1) > 1e-3, p, name, "does not sum to one")
    if low < 0 or high > 1:
        p = p.clip(0, 1)
    if y is None:
        return p
    y = np.asarray(y)
    if y.shape != (len(p),):
        raise ValueError(
            f"y has shape {y.shape}; it must be ({len(p)},), one label a row of {name}"
        )
    if not (np.issubdtype(y.dtype, np.number) or y.dtype == bool) or np.iscomplexobj(y):
        raise ValueError(
            f"y holds {y.dtype}; it must hold whole numbers from 0 to {p.shape[1] - 1}"
        )
    if not (
        y.min() >= 0
        and y.max() < p.shape[1]
        and (y.dtype.kind in "iub" or (y == np.floor(y)).all())
    ):
        with np.errstate(invalid="ignore"):
            row = int((~((y >= 0) & (y < p.shape[1]) & (y == np.floor(y)))).argmax())
        raise ValueError(
            f"y: row {row} is {y[row]}; labels are whole numbers from 0 to {p.shape[1] - 1}"
        )
    return p, y.astype(np.intp, copy=False)


def _extremes(p):
    """Least and greatest value, and how far a row's sum is from one at most; NaN where there is one.

    In chunks that stay in the processor's cache, and without a matrix product, whose threads take longer to start
    where the processor is busy.
    """
    found = []
    for start in range(0, len(p), CHUNK):
        part = p[start : start + CHUNK]
        sums = np.einsum("ij->i", part)
        found.append((part.min(), part.max(), max(sums.max() - 1, 1 - sums.min())))
    low, high, off = np.array(found).T
    return low.min(), high.max(), off.max()


def _refuse_rows(bad, p, name, what):
    if bad.any():
        row = int(bad.argmax())
        more = f" ({int(bad.sum())} such rows)" if bad.sum() > 1 else ""
        raise ValueError(f"{name}: row {row} {what}: {np.array2string(p[row], precision=6)}{more}")


def whole_number(name, value) -> int:
    if isinstance(value, bool) or value != int(value) or value < 1:
        raise ValueError(f"{name} is {value!r}; it must be a whole number from 1")
    return int(value)


def check_level(level) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}; it must lie between 0 and 1")


def one_hot(y, classes):
    return np.eye(classes)[y]


def top_label_of(p, targets):
    """Confidence and target of the predicted class, both ``(n, 1)``."""
    top = p.argmax(axis=1)[:, None]
    return np.take_along_axis(p, top, axis=1), np.take_along_axis(targets, top, axis=1)


def bin_edges(scores, bins, strategy):
    """Ends of the bins of each column of scores, ``(columns, bins + 1)``.

    Equal width runs from 0 to 1, equal mass from the least to the greatest score.
    """
    bins = whole_number("bins", bins)
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy is {strategy!r}; choose one of: {', '.join(STRATEGIES)}")
    if strategy == "quantile":
        last = (
            -(-np.arange(bins + 1) * len(scores) // bins) - 1
        )  # whole numbers: a rounded quantile moves images
        return np.sort(scores, axis=0)[last.clip(0)].T
    return np.tile(np.linspace(0, 1, bins + 1), (scores.shape[1], 1))


def places(scores, edges):
    """Index of the bin (a, b] of each score, ``(n, columns)``; the least score falls into the first bin."""
    bins = edges.shape[1] - 1
    if not (edges == np.linspace(0, 1, bins + 1)).all():
        pairs = zip(scores.T, edges, strict=True)
        return np.column_stack(
            [np.searchsorted(own[1:-1], column, side="left") for column, own in pairs]
        )
    # a product is rounded: where one a little too small and one a little too large part, the edges decide
    found, above = (
        np.multiply(scores, bins * by, order="C").astype(np.intp) for by in (1 - 1e-9, 1 + 1e-9)
    )
    near = np.flatnonzero(found != above)
    if len(near):
        found.ravel()[near] = np.searchsorted(edges[0, 1:-1], scores.ravel()[near], side="left")
    return found


def bin_sums(values, where, bins):
    """Sum of each column of values within its bins: ``(columns, bins)`` from two arrays ``(n, columns)``."""
    columns = zip(values.T, where.T, strict=True)
    return np.array([np.bincount(w, v, minlength=bins) for v, w in columns])


@dataclass(frozen=True)
class Binned:
    """What the bins hold, a row a column of scores: all arrays ``(columns, bins)``.

    Attributes:
        n: number of images.
        count: images in each bin; zeros where they were not asked for.
        total: sum of the scores.
        hits: how many of them came true.
    """

    n: int
    count: np.ndarray
    total: np.ndarray
    hits: np.ndarray

    @property
    def gaps(self):
        """Share of images times (frequency - mean score): what the calibration errors sum."""
        return (self.hits - self.total) / self.n


PARTS = {
    "all": 0,
    "over": -1,
    "under": 1,
}  # of a calibration error, and the sign of the gaps that each counts


def sign_of(part) -> int:
    """Sign of the gaps (frequency - score) that belong to a part of the calibration error; 0 for either sign."""
    if part not in PARTS:
        raise ValueError(f"part is {part!r}; choose one of: {', '.join(PARTS)}")
    return PARTS[part]


def counted_gaps(gaps, sign):
    """Sizes of the gaps of a sign, 0 where they have the other; of all gaps for the sign 0."""
    return np.maximum(sign * gaps, 0) if sign else np.abs(gaps)


def binned(p, y, bins, strategy, top_label=False, counts=True) -> Binned:
    """Bin the probability of each class, or the confidence alone, from checked ``p`` and ``y``.

    In chunks of rows that stay in the processor's cache, all columns of a chunk at once.
    """
    columns = 1 if top_label else p.shape[1]
    scores = p.max(axis=1)[:, None] if top_label else p
    edges = bin_edges(scores, bins, strategy)
    size = columns * bins
    shift = np.tile(np.arange(columns) * bins, (min(CHUNK, len(p)), 1))
    count, total, hits = np.zeros(size, np.intp), np.zeros(size), np.zeros(size, np.intp)
    for start in range(0, len(p), CHUNK):
        part, labels = scores[start : start + CHUNK], y[start : start + CHUNK]
        where = places(part, edges)
        where += shift[: len(part)]
        if top_label:
            true = where[p[start : start + CHUNK].argmax(axis=1) == labels, 0]
        else:  # of the classes the labelled one alone comes true, so that no indicator of each is needed
            true = where[np.arange(len(labels)), labels]
        hits += np.bincount(true, minlength=size)
        total += np.bincount(where.ravel(), part.ravel(), minlength=size)
        if counts:
            count += np.bincount(where.ravel(), minlength=size)
    return Binned(len(p), *(a.reshape(columns, bins) for a in (count, total, hits)))


def binned_errors(scores, targets, bins, strategy):
    """Expected calibration error of each column, ``(columns,)``, from two arrays ``(n, columns)``.

    Targets need not be 0 or 1: true probabilities serve as well.
    """
    where = places(scores, bin_edges(scores, bins, strategy))
    return np.abs(bin_sums(targets - scores, where, bins)).sum(axis=1) / len(scores)


def drawn_labels(p, resamples, seed):
    """Labels drawn from p, in chunks ``(r, n)`` that bound the memory."""
    rng, left = np.random.default_rng(seed), whole_number("resamples", resamples)
    ladder = p.cumsum(axis=1)[:, :-1] / p.sum(axis=1, keepdims=True)
    while left:
        r = min(left, max(1, 2_000_000 // len(p)))
        left -= r
        u = rng.random((r, len(p)))
        yield sum((u >= rung).astype(np.intp) for rung in ladder.T)


def drawn_hits(p, where, bins, resamples, seed):
    """Hits a bin when labels are drawn from p, in chunks ``(r, classes + 1, bins)`` that bound the memory.

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

"""Scores of a classifier: proper scores with the parts of the Brier score, accuracy, F1 and AUC.

References:
    - [1] G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly
      Weather Review 78, 1950.
    - [2] A. H. Murphy, "A new vector partition of the probability score", Journal of Applied
      Meteorology 12, 1973.
    - [3] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic
      classifiers", PNAS 118, 2021 (CORP).
    - [4] J. A. Hanley, B. J. McNeil, "The meaning and use of the area under a ROC curve",
      Radiology 143, 1982.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from acrlls.calibration.checks import check, check_names, one_hot


def brier_score(p, y) -> float:
    """Multi-class Brier score in its first form [1]: mean of sum_k (p_k - [y = k])², in [0, 2]."""
    return float(classwise_brier(p, y).sum())


def classwise_brier(p, y) -> np.ndarray:
    """Brier score of each class against the rest, mean of (p_k - [y = k])², ``(classes,)``."""
    p, y = check(p, y)
    gap = p.copy()
    gap[np.arange(len(y)), y] -= 1
    return np.einsum("ij,ij->j", gap, gap) / len(y)


class BrierParts(NamedTuple):
    """``brier = reliability - resolution + uncertainty``; arrays ``(classes,)``.

    ``reliability`` is what recalibration would gain (0 is best), ``resolution`` how much better the
    recalibrated probabilities are than the class frequency (more is better), and ``uncertainty``
    the score of the class frequency itself, which belongs to the data.
    """

    reliability: np.ndarray
    resolution: np.ndarray
    uncertainty: np.ndarray


def brier_parts(p, y) -> BrierParts:
    """Reliability, resolution and uncertainty of the Brier score of each class [2], as in CORP [3].

    The recalibrated probabilities come from isotonic regression. So there are no bins to choose,
    the identity is exact, and no part is negative. Fitted to the images that it is measured on, the
    reliability is above zero for perfectly calibrated probabilities too.
    """
    p, y = check(p, y)
    return BrierParts(*isotonic_parts(p, one_hot(y, p.shape[1])), brier_uncertainty(p, y))


def brier_uncertainty(p, y) -> np.ndarray:
    """Uncertainty of the Brier score of each class, frequency · (1 - frequency), ``(classes,)``."""
    p, y = check(p, y)
    share = np.bincount(y, minlength=p.shape[1]) / len(y)
    return share * (1 - share)


def isotonic_parts(scores, targets) -> tuple[np.ndarray, np.ndarray]:
    """Reliability and resolution [3] of each column, two ``(…, columns)``.

    Scores are ``(n, columns)``, targets ``(…, n, columns)``: labels or true probabilities. Those of
    equal scores are taken together, for they are recalibrated alike.
    """
    from scipy.optimize import isotonic_regression  # not above: it loads slowly

    n, columns = scores.shape
    shape = *targets.shape[:-2], columns
    targets, scores = np.swapaxes(targets, -1, -2).reshape(-1, columns * n), scores.T
    order = scores.argsort(axis=1, kind="stable") + n * np.arange(columns)[:, None]
    scores, targets = scores.ravel()[order.ravel()], targets[:, order.ravel()]
    start = np.flatnonzero((np.diff(scores, prepend=-1) != 0) | (np.arange(columns * n) % n == 0))
    count, value, column = np.diff(start, append=columns * n), scores[start], start // n
    share = np.add.reduceat(targets, start, axis=1) / count
    # one call for all: a step of 2 between columns keeps them from being pooled with each other
    step = 2.0 * (column + columns * np.arange(len(share))[:, None])
    weights = np.tile(count, len(share))
    fitted = isotonic_regression((share + step).ravel(), weights=weights).x.reshape(step.shape)
    fitted -= step
    first = np.searchsorted(column, np.arange(columns))

    def mean(values):
        return np.add.reduceat(values * count, first, axis=1) / n

    square = mean(fitted**2)  # equal to mean(fitted * share), for fitted averages what it pools
    reliability = mean(value * (value - 2 * share)) + square
    resolution = square - mean(share) ** 2
    return reliability.clip(0).reshape(shape), resolution.clip(0).reshape(shape)


def losses(p, y) -> np.ndarray:
    """Negative log-likelihood of each image in nats, ``(n,)``; 0 counts as the machine epsilon."""
    p, y = check(p, y)
    return -np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(float).eps))


def nll(p, y) -> float:
    """Mean negative log-likelihood in nats; a probability of 0 counts as the machine epsilon."""
    return float(losses(p, y).mean())


def accuracy(p, y) -> float:
    """Share of images whose most probable class is the label; the lower class wins a tie."""
    return float(accuracy_of(confusion(p, y)))


def confusion(p, y) -> np.ndarray:
    """Counts, ``(classes, classes)``: row the label, column the predicted class."""
    p, y = check(p, y)
    k = p.shape[1]
    return np.bincount(y * k + p.argmax(axis=1), minlength=k**2).reshape(k, k)


def classwise_precision(p, y) -> np.ndarray:
    """Share of the images predicted as a class that are of it, ``(classes,)``; 0 without any."""
    return precision_of(confusion(p, y))


def classwise_recall(p, y) -> np.ndarray:
    """Share of the images of a class that are predicted as it, ``(classes,)``; 0 without any."""
    return recall_of(confusion(p, y))


def classwise_f1(p, y) -> np.ndarray:
    """Harmonic mean of precision and recall, ``(classes,)``; 0 if neither present nor predicted."""
    return f1_of(confusion(p, y))


def f1(p, y) -> float:
    """Macro F1: the mean of :func:`classwise_f1` over all classes."""
    return float(classwise_f1(p, y).mean())


def accuracy_of(c):
    """Accuracy from confusion matrices ``(…, classes, classes)``; the three below likewise."""
    return _hits(c).sum(axis=-1) / c.sum(axis=(-2, -1))


def precision_of(c):
    return _ratio(_hits(c), c.sum(axis=-2))


def recall_of(c):
    return _ratio(_hits(c), c.sum(axis=-1))


def f1_of(c):
    return _ratio(2 * _hits(c), c.sum(axis=-2) + c.sum(axis=-1))


def classwise_auc(p, y) -> np.ndarray:
    """Area under the ROC curve of each class against the rest, ``(classes,)`` [4].

    Ties count one half; NaN where all images or none are of the class.
    """
    p, y = check(p, y)
    return auc_under(p, y)(np.ones((1, len(y))))[0]


def auc_under(p, y):
    """A function of image counts ``(r, n)``, as many in each class as in y, that gives the AUCs.

    The weighted share of pairs of images in the right order, ``(r, classes)``.
    """
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
            if len(own) and len(rest):
                np.cumsum(counts[:, rest], axis=1, out=below[:, 1 : len(rest) + 1])
                wins = np.einsum("ij,ij->i", counts[:, own], below[:, left] + below[:, right]) / 2
                values[:, k] = wins / (len(own) * len(rest))
        return values

    return score


def report(p, y, class_names: Sequence[str]):
    """Classification report in the form of Table III.

    Returns:
        DataFrame: a row a class, then ``"Accuracy"``, ``"Macro Avg"`` and ``"Weighted Avg"`` (by
        support); columns Precision, Recall, F1, Support and Share. Cells that the paper leaves
        empty are NaN.
    """
    import pandas as pd

    c = confusion(p, y)
    support = c.sum(axis=1)
    table = pd.DataFrame(
        {"Precision": precision_of(c), "Recall": recall_of(c), "F1": f1_of(c)},
        index=check_names(class_names, len(c), p),
    )
    averages = {
        "Accuracy": {"F1": accuracy_of(c)},
        "Macro Avg": table.mean(),
        "Weighted Avg": table.mul(support, axis=0).sum() / c.sum(),
    }
    table = table.assign(Support=support, Share=support / c.sum())
    return table.reindex([*table.index, *averages]).fillna(pd.DataFrame(averages).T)


def _hits(c):
    return np.diagonal(c, axis1=-2, axis2=-1)


def _ratio(part, whole):
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)

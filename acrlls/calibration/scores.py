"""Scores of a classifier: proper scores with the parts of the Brier score, and accuracy, F1 and AUC.

Imported through ``acrlls.calibration.registry``, which says what ``p`` and ``y`` are.

References:
    - [1] G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78,
      1950.
    - [2] A. H. Murphy, "A new vector partition of the probability score", Journal of Applied Meteorology 12, 1973.
    - [3] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers",
      PNAS 118, 2021 (CORP).
    - [4] J. A. Hanley, B. J. McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

from acrlls.calibration.checks import check, one_hot


def brier_score(p, y) -> float:
    """Multi-class Brier score in its first form [1]: mean of sum_k (p_k - [y = k])², in [0, 2]."""
    return float(classwise_brier(p, y).sum())


def classwise_brier(p, y) -> np.ndarray:
    """Brier score of each class against the rest, mean of (p_k - [y = k])², ``(classes,)``.

    Their sum is :func:`brier_score`.
    """
    p, y = check(p, y)
    gap = p.copy()
    gap[np.arange(len(y)), y] -= 1
    return np.einsum("ij,ij->j", gap, gap) / len(y)


@dataclass(frozen=True)
class BrierParts:
    """Parts of the Brier score, ``brier = reliability - resolution + uncertainty``; arrays ``(classes,)``.

    Summed over the classes they are the parts of the multi-class score.

    Attributes:
        reliability: what recalibrating the probabilities would gain; 0 is best.
        resolution: how much better the recalibrated probabilities are than the class frequency; more is better.
        uncertainty: the score of the class frequency itself, which belongs to the data.
    """

    reliability: np.ndarray
    resolution: np.ndarray
    uncertainty: np.ndarray


def brier_parts(p, y) -> BrierParts:
    """Reliability, resolution and uncertainty of the Brier score of each class [2], in the CORP form [3].

    The recalibrated probabilities come from isotonic regression (pool adjacent violators).  So there are no bins
    to choose, the identity is exact, and neither reliability nor resolution is ever negative; with Murphy's bins
    it holds only up to terms for the spread within a bin.  Fitted to the images that it is measured on, the
    reliability is above zero for perfectly calibrated probabilities too.
    """
    p, y = check(p, y)
    reliability, resolution = isotonic_parts(p, one_hot(y, p.shape[1]))
    return BrierParts(reliability, resolution, brier_uncertainty(p, y))


def isotonic_parts(scores, targets) -> tuple[np.ndarray, np.ndarray]:
    """Reliability and resolution [3] of each column of scores ``(n, columns)`` for targets ``(…, n, columns)``.

    Targets are labels or true probabilities; those of equal scores are taken together, for they are recalibrated alike.
    Two arrays ``(…, columns)``.
    """
    n, columns = scores.shape
    shape = *targets.shape[:-2], columns
    targets, scores = np.swapaxes(targets, -1, -2).reshape(-1, columns * n), scores.T
    order = scores.argsort(axis=1, kind="stable") + n * np.arange(columns)[:, None]
    scores, targets = scores.ravel()[order.ravel()], targets[:, order.ravel()]
    start = np.flatnonzero((np.diff(scores, prepend=-1) != 0) | (np.arange(columns * n) % n == 0))
    count, value, column = np.diff(start, append=columns * n), scores[start], start // n
    share = np.add.reduceat(targets, start, axis=1) / count
    # one call for all: shares are at most 1, so that a step of 2 keeps a column from being pooled with the next
    step = 2.0 * (column + columns * np.arange(len(share))[:, None])
    fitted = (
        isotonic_regression((share + step).ravel(), weights=np.tile(count, len(share))).x.reshape(
            step.shape
        )
        - step
    )
    first = np.searchsorted(column, np.arange(columns))

    def mean(values):
        return np.add.reduceat(values * count, first, axis=1) / n

    # fitted averages what it pools, so that E[fitted · share] = E[fitted²]
    square = mean(fitted**2)
    reliability = mean(value * (value - 2 * share)) + square
    resolution = square - mean(share) ** 2
    return reliability.clip(0).reshape(shape), resolution.clip(0).reshape(shape)


def brier_reliability(p, y) -> np.ndarray:
    """Reliability of the Brier score of each class, ``(classes,)``: see :func:`brier_parts`."""
    return brier_parts(p, y).reliability


def brier_resolution(p, y) -> np.ndarray:
    """Resolution of the Brier score of each class, ``(classes,)``: see :func:`brier_parts`."""
    return brier_parts(p, y).resolution


def brier_uncertainty(p, y) -> np.ndarray:
    """Uncertainty of the Brier score of each class, frequency · (1 - frequency), ``(classes,)``."""
    p, y = check(p, y)
    share = np.bincount(y, minlength=p.shape[1]) / len(y)
    return share * (1 - share)


def losses(p, y) -> np.ndarray:
    """Negative log-likelihood of each image in nats, ``(n,)``; a probability of 0 counts as the machine epsilon."""
    p, y = check(p, y)
    return -np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(float).eps))


def nll(p, y) -> float:
    """Negative log-likelihood in nats an image; a probability of 0 counts as the machine epsilon."""
    return float(losses(p, y).mean())


def accuracy(p, y) -> float:
    """Share of images whose most probable class is the label; the lower class wins a tie."""
    p, y = check(p, y)
    return float((p.argmax(axis=1) == y).mean())


def confusion(p, y) -> np.ndarray:
    """Counts, ``(classes, classes)``: row the label, column the predicted class."""
    p, y = check(p, y)
    classes = p.shape[1]
    return np.bincount(y * classes + p.argmax(axis=1), minlength=classes**2).reshape(
        classes, classes
    )


def classwise_precision(p, y) -> np.ndarray:
    """Share of the images predicted as a class that are of it, ``(classes,)``; 0 where none is predicted."""
    return precision_of(confusion(p, y))


def classwise_recall(p, y) -> np.ndarray:
    """Share of the images of a class that are predicted as it, ``(classes,)``; 0 where there are none."""
    return recall_of(confusion(p, y))


def classwise_f1(p, y) -> np.ndarray:
    """Harmonic mean of precision and recall, ``(classes,)``; 0 for a class neither present nor predicted."""
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
    """Area under the ROC curve of each class against the rest, ``(classes,)``, by ranks [4].

    Ties count one half; NaN where all images or none are of the class.
    """
    p, y = check(p, y)
    hits = one_hot(y, p.shape[1]).astype(bool)
    positive = hits.sum(axis=0)
    negative = len(y) - positive
    rank_sum = (rankdata(p, axis=0) * hits).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (rank_sum - positive * (positive + 1) / 2) / (positive * negative)


def report(p, y, class_names: Sequence[str]):
    """Classification report in the form of Table III.

    Returns:
        DataFrame: a row a class, then ``"Accuracy"``, ``"Macro Avg"`` and ``"Weighted Avg"`` (by support);
        columns Precision, Recall, F1, Support and Share.  Cells that the paper leaves empty are NaN.
    """
    import pandas as pd

    p, y = check(p, y)
    support = confusion(p, y).sum(axis=1)
    scores = {
        "Precision": classwise_precision(p, y),
        "Recall": classwise_recall(p, y),
        "F1": classwise_f1(p, y),
    }
    table = pd.DataFrame(
        {**scores, "Support": support, "Share": support / len(y)}, index=list(class_names)
    )
    averages = {
        "Accuracy": {"F1": accuracy(p, y)},
        "Macro Avg": {name: values.mean() for name, values in scores.items()},
        "Weighted Avg": {
            name: np.average(values, weights=support) for name, values in scores.items()
        },
    }
    return pd.concat([table, pd.DataFrame.from_dict(averages, orient="index")])[table.columns]


def _hits(c):
    return np.diagonal(c, axis1=-2, axis2=-1)


def _ratio(part, whole):
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)

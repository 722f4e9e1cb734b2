"""Scores of a classifier: proper scores with the parts of the Brier score, accuracy, F1 and AUC."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from acrlls.calibration.checks import check, check_names, one_hot


def brier_score(p, y) -> float:
    """Brier score in its first form [Brier 1950]: mean of sum_k (p_k - [y = k])², in [0, 2]."""
    return float(classwise_brier(p, y).sum())


def classwise_brier(p, y) -> np.ndarray:
    """Brier score of each class against the rest, mean of (p_k - [y = k])², ``(classes,)``."""
    p, y = check(p, y)
    return ((p - one_hot(y, p.shape[1])) ** 2).mean(axis=0)


def isotonic_parts(scores, targets) -> np.ndarray:
    """Reliability and resolution [Murphy 1973] of the Brier score of each column, ``(2, columns)``,
    by isotonic regression as in CORP [Dimitriadis 2021], from scores and targets ``(n, columns)``.

    ``brier = reliability - resolution + share * (1 - share)`` exactly, with the targets' share.
    """
    from scipy.optimize import isotonic_regression  # not above: it loads slowly

    parts = []
    for score, target in zip(scores.T, targets.T, strict=True):
        value, at, count = np.unique(score, return_inverse=True, return_counts=True)
        share = np.bincount(at, target) / count  # equal scores are recalibrated alike
        mean = partial(np.average, weights=count)
        left = mean((share - isotonic_regression(share, weights=count).x) ** 2)
        parts.append([mean((share - value) ** 2) - left, mean((share - mean(share)) ** 2) - left])
    return np.transpose(parts).clip(0)


def losses(p, y) -> np.ndarray:
    """Negative log-likelihood of each image in nats, ``(n,)``; 0 counts as the machine epsilon."""
    p, y = check(p, y)
    return -np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(float).eps))


def nll(p, y) -> float:
    """Mean negative log-likelihood in nats; a probability of 0 counts as the machine epsilon."""
    return float(losses(p, y).mean())


def accuracy(p, y) -> float:
    """Share of images whose most probable class is the label; the lower class wins a tie."""
    p, y = check(p, y)
    return float((p.argmax(axis=1) == y).mean())


def confusion(p, y) -> np.ndarray:
    """Counts, ``(classes, classes)``: row the label, column the predicted class."""
    p, y = check(p, y)
    k = p.shape[1]
    return np.bincount(y * k + p.argmax(axis=1), minlength=k**2).reshape(k, k)


def classwise_precision(p, y) -> np.ndarray:
    """Share of the images predicted as a class that are of it, ``(classes,)``; 0 without any."""
    counts = confusion(p, y)
    return np.diag(counts) / counts.sum(axis=0).clip(1)


def classwise_recall(p, y) -> np.ndarray:
    """Share of the images of a class that are predicted as it, ``(classes,)``; 0 without any."""
    counts = confusion(p, y)
    return np.diag(counts) / counts.sum(axis=1).clip(1)


def classwise_f1(p, y) -> np.ndarray:
    """Harmonic mean of precision and recall, ``(classes,)``; 0 if neither present nor predicted."""
    counts = confusion(p, y)
    return 2 * np.diag(counts) / (counts.sum(axis=0) + counts.sum(axis=1)).clip(1)


def f1(p, y) -> float:
    """Macro F1: the mean of :func:`classwise_f1` over all classes."""
    return float(classwise_f1(p, y).mean())


def report(p, y, class_names: Sequence[str]):
    """Table III of a model: scikit-learn's classification report as a DataFrame, a row a class,
    then ``"accuracy"``, ``"macro avg"`` and ``"weighted avg"``.
    """
    import pandas as pd
    from sklearn.metrics import classification_report  # not above: both load slowly

    given, (p, y) = p, check(p, y)
    for last in ("accuracy", "macro avg", "weighted avg"):
        class_names = check_names(class_names, p.shape[1], given, last)
    names = [str(name) for name in class_names]
    told = {"labels": range(len(names)), "target_names": names, "zero_division": 0}
    return pd.DataFrame(classification_report(y, p.argmax(axis=1), output_dict=True, **told)).T


def classwise_auc(p, y) -> np.ndarray:
    """Area under the ROC curve of each class against the rest, ``(classes,)`` [Hanley 1982].

    Ties count one half; NaN where all images or none are of the class.
    """
    from scipy.stats import rankdata  # not above: it loads slowly

    p, y = check(p, y)
    hits = one_hot(y, p.shape[1])
    own = hits.sum(axis=0)
    won = (rankdata(p, axis=0) * hits).sum(axis=0) - own * (own + 1) / 2
    pairs = own * (len(y) - own)
    return np.divide(won, pairs, out=np.full(len(own), np.nan), where=pairs > 0)

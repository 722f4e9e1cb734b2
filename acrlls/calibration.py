"""How far predicted probabilities can be trusted: metrics, noise floor, intervals, reliability.

Everything takes probabilities ``p`` of shape ``(n, classes)`` whose rows sum to one and labels ``y`` of shape
``(n,)`` in ``0 … classes - 1``, and needs NumPy and scikit-learn's own requirements alone (pandas for
tables).  A class-wise quantity treats one class against the rest **over all n images**; a top-label quantity
looks at the predicted class.

Bins are closed on the right, ``(a, b]``, as in Guo et al. [1] and in scikit-learn's ``calibration_curve``; a
confidence of exactly 0 belongs to the first bin and of exactly 1 to the last.  The paper gives neither the
number of bins nor their kind: 15 of equal width is our choice.

References:
    - [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017.
    - [2] M. Kull et al., "Beyond temperature scaling: obtaining well-calibrated multi-class probabilities with
      Dirichlet calibration", NeurIPS 2019 (class-wise ECE).
    - [3] G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78,
      1950.
    - [4] J. A. Hanley, B. J. McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from acrlls._scores import binned_errors, check, one_hot, top_label_of, whole_number
from acrlls.reliability import (
    NoiseFloor, Reliability, floor_table, matched_floor, noise_floor, prepare_reliability,
)  # fmt: skip

__all__ = [
    "METRICS", "Interval", "Metric", "NoiseFloor", "Reliability", "accuracy", "bootstrap", "bootstrap_means",
    "brier_score", "check", "classwise_auc", "classwise_brier", "classwise_ece", "classwise_f1", "classwise_precision",
    "classwise_recall", "confusion", "ece", "evaluate", "f1", "floor_table", "matched_floor", "nll", "noise_floor",
    "prepare_reliability", "report", "true_calibration_error",
]  # fmt: skip


def ece(p, y, bins: int = 15, strategy: str = "width") -> float:
    """Top-label expected calibration error: sum over bins of count/n · ``|accuracy - mean confidence|`` [1].

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``.
        bins: number of bins, at least 1.
        strategy: ``"width"`` for bins of equal width on [0, 1], ``"mass"`` for bins of about equal count
            (ties stay together, so that some bins may be empty).

    Returns:
        A number in [0, 1].  Perfect calibration does not give 0 on a finite sample: see :func:`noise_floor`.

    Raises:
        ValueError: bad probabilities or labels (the message names the row), bins or strategy.
    """
    p, y = check(p, y)
    return float(binned_errors(*top_label_of(p, one_hot(y, p.shape[1])), bins, strategy)[0])


def classwise_ece(p, y, bins: int = 15, strategy: str = "width") -> np.ndarray:
    """Calibration error of each class against the rest [2], ``(classes,)``; arguments as in :func:`ece`.

    For class k it compares ``p[:, k]`` with the share of label k, over all images and not only over those of
    class k.
    """
    p, y = check(p, y)
    return binned_errors(p, one_hot(y, p.shape[1]), bins, strategy)


def true_calibration_error(p, eta, bins: int = 15, strategy: str = "width", *, top_label: bool = False):
    """Calibration error with the true probabilities in place of labels.

    Estimates E|E[eta_k | bin of p_k] - E[p_k | bin of p_k]| from draws whose true probabilities are known
    (the phantom).  No label is drawn, so what is left of the sampling noise falls with the spread of ``eta``
    inside a bin; use 100,000 draws or more.  It is not E|eta - p|, which is large for a perfectly calibrated
    model that simply does not see all that eta depends on.

    Args:
        p: probabilities of the model, ``(n, classes)``.
        eta: true probabilities given everything that the label depends on, ``(n, classes)``.
        top_label: of the predicted class in place of each class.

    Returns:
        ``(classes,)``, or a float for the top label.
    """
    p, eta = check(p), check(eta, name="eta")
    if p.shape != eta.shape:
        raise ValueError(f"p has shape {p.shape} and eta {eta.shape}; they must be equal")
    if top_label:
        return float(binned_errors(*top_label_of(p, eta), bins, strategy)[0])
    return binned_errors(p, eta, bins, strategy)


def brier_score(p, y) -> float:
    """Multi-class Brier score in its first form [3]: mean of sum_k (p_k - [y = k])², in [0, 2]."""
    return float(classwise_brier(p, y).sum())


def classwise_brier(p, y) -> np.ndarray:
    """Brier score of each class against the rest, mean of (p_k - [y = k])², ``(classes,)``.

    Their sum is :func:`brier_score`.
    """
    p, y = check(p, y)
    return ((p - one_hot(y, p.shape[1])) ** 2).mean(axis=0)


def nll(p, y) -> float:
    """Negative log-likelihood in nats an image; a probability of 0 counts as the machine epsilon."""
    p, y = check(p, y)
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(float).eps)).mean())


def accuracy(p, y) -> float:
    """Share of images whose most probable class is the label; the lower class wins a tie."""
    p, y = check(p, y)
    return float((p.argmax(axis=1) == y).mean())


def confusion(p, y) -> np.ndarray:
    """Counts, ``(classes, classes)``: row the label, column the predicted class."""
    p, y = check(p, y)
    classes = p.shape[1]
    return np.bincount(y * classes + p.argmax(axis=1), minlength=classes**2).reshape(classes, classes)


def classwise_precision(p, y) -> np.ndarray:
    """Share of the images predicted as a class that are of it, ``(classes,)``; 0 where none is predicted."""
    c = confusion(p, y)
    return _ratio(np.diag(c), c.sum(axis=0))


def classwise_recall(p, y) -> np.ndarray:
    """Share of the images of a class that are predicted as it, ``(classes,)``; 0 where there are none."""
    c = confusion(p, y)
    return _ratio(np.diag(c), c.sum(axis=1))


def classwise_f1(p, y) -> np.ndarray:
    """Harmonic mean of precision and recall, ``(classes,)``; 0 for a class neither present nor predicted."""
    c = confusion(p, y)
    return _ratio(2 * np.diag(c), c.sum(axis=0) + c.sum(axis=1))


def f1(p, y) -> float:
    """Macro F1: the mean of :func:`classwise_f1` over all classes."""
    return float(classwise_f1(p, y).mean())


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


@dataclass(frozen=True)
class Metric:
    """One metric of the registry.

    Attributes:
        title: heading of its column.
        function: ``function(p, y)``, or ``function(p, y, bins)`` where ``binned``.
        per_class: whether it returns ``(classes,)`` rather than one number.
        lower_is_better: direction of improvement.
        binned: whether it depends on bins; its bootstrap is biased (see :func:`bootstrap`).
    """

    title: str
    function: Callable
    per_class: bool
    lower_is_better: bool
    binned: bool = False

    def __call__(self, p, y, bins: int = 15):
        return self.function(p, y, bins) if self.binned else self.function(p, y)


METRICS: dict[str, Metric] = {
    "accuracy": Metric("Accuracy", accuracy, False, False),
    "f1": Metric("Macro F1", f1, False, False),
    "nll": Metric("NLL", nll, False, True),
    "brier": Metric("Brier (sum)", brier_score, False, True),
    "ece": Metric("Top-label ECE", ece, False, True, binned=True),
    "classwise_precision": Metric("Precision", classwise_precision, True, False),
    "classwise_recall": Metric("Recall", classwise_recall, True, False),
    "classwise_f1": Metric("F1", classwise_f1, True, False),
    "classwise_auc": Metric("AUC", classwise_auc, True, False),
    "classwise_brier": Metric("Brier", classwise_brier, True, True),
    "classwise_ece": Metric("ECE", classwise_ece, True, True, binned=True),
}


def evaluate(p, y, class_names: Sequence[str], metrics: Sequence[str] | None = None, bins: int = 15):
    """Table of metrics, a row a class and a last row ``"All"``, a column a metric under its title.

    A class-wise metric fills the rows of its classes and has their mean in ``"All"``; any other metric fills
    ``"All"`` alone and is NaN above.

    Args:
        class_names: one name a class.
        metrics: names in :data:`METRICS`; None takes all.
    """
    import pandas as pd

    p, y = check(p, y)
    if len(class_names) != p.shape[1]:
        raise ValueError(f"{len(class_names)} class names for {p.shape[1]} columns of probabilities")
    table = pd.DataFrame(index=[*class_names, "All"])
    for name in METRICS if metrics is None else metrics:
        metric = _metric(name)
        value = np.atleast_1d(metric(p, y, bins))
        known = value[~np.isnan(value)]
        above = value if metric.per_class else [np.nan] * len(class_names)
        table[metric.title] = [*above, known.mean() if len(known) else np.nan]
    return table


def report(p, y, class_names: Sequence[str]):
    """Classification report in the form of Table III.

    Returns:
        DataFrame: a row a class, then ``"Accuracy"``, ``"Macro Avg"`` and ``"Weighted Avg"`` (by support);
        columns Precision, Recall, F1, Support and Share.  Cells that the paper leaves empty are NaN.
    """
    import pandas as pd

    p, y = check(p, y)
    support = confusion(p, y).sum(axis=1)
    scores = {"Precision": classwise_precision(p, y), "Recall": classwise_recall(p, y), "F1": classwise_f1(p, y)}
    table = pd.DataFrame({**scores, "Support": support, "Share": support / len(y)}, index=list(class_names))
    averages = {
        "Accuracy": {"F1": accuracy(p, y)},
        "Macro Avg": {name: values.mean() for name, values in scores.items()},
        "Weighted Avg": {name: np.average(values, weights=support) for name, values in scores.items()},
    }
    return pd.concat([table, pd.DataFrame.from_dict(averages, orient="index")])[table.columns]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its interval; floats, or arrays ``(classes,)`` for a class-wise metric."""

    estimate: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray


def bootstrap(
    p, y, metric: str | Callable, resamples: int = 1000, seed: int = 0, p2=None, level: float = 0.95
) -> Interval:
    """Percentile bootstrap interval of a metric, or of a paired difference of two models.

    Images are resampled within each class, so that the class counts stay as they are.

    **Not for the ECE family.**  Resampling adds binning noise of its own, so the replicates lie above the
    estimate, and near zero the interval misses the truth; a name of that family is refused.  Show
    :func:`noise_floor` instead.

    Args:
        metric: a name in :data:`METRICS`, or ``function(p, y)`` returning a number or an array.
        p2: probabilities of a second model on the same images; the metric is then ``metric(p) - metric(p2)``.
        level: coverage aimed at, in (0, 1).

    Raises:
        ValueError: a metric of the ECE family by name, an unknown name, or bad input.
    """
    p, y = check(p, y)
    if isinstance(metric, str):
        if _metric(metric).binned:
            raise ValueError(f"a bootstrap interval of {metric!r} is biased upwards; use noise_floor(p, y)")
        metric = _metric(metric)
    if p2 is not None and (p2 := check(p2, y, name="p2")[0]).shape != p.shape:
        raise ValueError(f"p has shape {p.shape} and p2 {p2.shape}; they must be equal")

    def value(rows):
        difference = 0 if p2 is None else metric(p2[rows], y[rows])
        return metric(p[rows], y[rows]) - difference

    def resample():
        return np.concatenate([rows[rng.integers(len(rows), size=len(rows))] for rows in members])

    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(y == k) for k in np.unique(y)]
    replicates = [value(resample()) for _ in range(whole_number("resamples", resamples))]
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Interval(value(slice(None)), low, high)


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
        raise ValueError(f"values have shape {values.shape} and y {y.shape}; they must be (rows, n) and (n,)")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite; leave out the images where they are not known")
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(y == k) for k in np.unique(y)]
    means = np.empty((len(values), whole_number("resamples", resamples)))
    for column in means.T:
        drawn = [rows[rng.integers(len(rows), size=len(rows))] for rows in members]
        column[:] = values[:, np.concatenate(drawn)].mean(axis=1)
    return means


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise ValueError(f"there is no metric {name!r}; choose from: {', '.join(METRICS)}")
    return METRICS[name]


def _ratio(part, whole):
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)

"""How far predicted probabilities can be trusted: metrics, noise floor, intervals, reliability.

Everything takes probabilities ``p`` of shape ``(n, classes)`` whose rows sum to one and labels ``y`` of shape
``(n,)`` in ``0 … classes - 1``, and needs NumPy and scikit-learn's own requirements alone (pandas for
tables).  A class-wise quantity treats one class against the rest **over all n images**; a top-label quantity
looks at the predicted class.

Bins are closed on the right, ``(a, b]``, as in Guo et al. (2017) and in scikit-learn's ``calibration_curve``; a
confidence of exactly 0 belongs to the first bin and of exactly 1 to the last.  The paper gives neither the
number of bins nor their kind: 15 of equal width is our choice.

The functions live in modules of their own, by what they do: :mod:`acrlls.calibration.errors`, :mod:`acrlls.calibration.scores`,
:mod:`acrlls.calibration.resampling`, :mod:`acrlls.calibration.floor`, :mod:`acrlls.calibration.intervals`, :mod:`acrlls.calibration.difference`,
:mod:`acrlls.calibration.simulation` and :mod:`acrlls.calibration.maximum`.  This one has the registry from which tables are built, and is what
callers import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from acrlls.calibration.checks import check, check_level
from acrlls.calibration.difference import calibration_difference, debiased_ece_interval
from acrlls.calibration.errors import (
    classwise_debiased_ece,
    classwise_ece,
    classwise_mce,
    classwise_overconfidence,
    classwise_smooth_ece,
    classwise_underconfidence,
    debiased_ece,
    ece,
    mce,
    overconfidence,
    smooth_ece,
    true_calibration_error,
    underconfidence,
)
from acrlls.calibration.floor import (
    NoiseFloor,
    Reliability,
    floor_table,
    matched_floor,
    noise_floor,
    prepare_reliability,
)
from acrlls.calibration.intervals import ece_interval
from acrlls.calibration.maximum import mce_interval
from acrlls.calibration.resampling import Interval, bootstrap_means, holm, replicates
from acrlls.calibration.scores import (
    BrierParts,
    accuracy,
    brier_parts,
    brier_reliability,
    brier_resolution,
    brier_score,
    brier_uncertainty,
    classwise_auc,
    classwise_brier,
    classwise_f1,
    classwise_precision,
    classwise_recall,
    confusion,
    f1,
    nll,
    report,
)
from acrlls.calibration.simulation import (
    brier_reliability_interval,
    brier_resolution_interval,
    smooth_ece_interval,
)

__all__ = [
    "METRICS",
    "BrierParts",
    "Interval",
    "Metric",
    "NoiseFloor",
    "Reliability",
    "accuracy",
    "bootstrap",
    "bootstrap_means",
    "brier_parts",
    "brier_reliability",
    "brier_reliability_interval",
    "brier_resolution",
    "brier_resolution_interval",
    "brier_score",
    "brier_uncertainty",
    "calibration_difference",
    "check",
    "classwise_auc",
    "classwise_brier",
    "classwise_debiased_ece",
    "classwise_ece",
    "classwise_f1",
    "classwise_mce",
    "classwise_overconfidence",
    "classwise_precision",
    "classwise_recall",
    "classwise_smooth_ece",
    "classwise_underconfidence",
    "confusion",
    "debiased_ece",
    "debiased_ece_interval",
    "ece",
    "ece_interval",
    "evaluate",
    "f1",
    "floor_table",
    "holm",
    "interval",
    "matched_floor",
    "mce",
    "mce_interval",
    "nll",
    "noise_floor",
    "overconfidence",
    "prepare_reliability",
    "report",
    "smooth_ece",
    "smooth_ece_interval",
    "true_calibration_error",
    "underconfidence",
]


@dataclass(frozen=True)
class Metric:
    """One metric of the registry.

    Attributes:
        title: heading of its column.
        function: ``function(p, y)``, or ``function(p, y, bins)`` where ``binned``.
        per_class: whether it returns ``(classes,)`` rather than one number.
        lower_is_better: direction of improvement.
        binned: whether it depends on bins.
        biased: whether a resample is further from perfection than the images themselves, so that its bootstrap is
            biased (see :func:`bootstrap`).  True of all that measure calibration by itself.
    """

    title: str
    function: Callable
    per_class: bool
    lower_is_better: bool
    binned: bool = False
    biased: bool = False

    def __call__(self, p, y, bins: int = 15):
        return self.function(p, y, bins) if self.binned else self.function(p, y)


def _calibration(title, function, per_class, strategy="uniform"):
    function = function if strategy == "uniform" else partial(function, strategy=strategy)
    return Metric(title, function, per_class, True, binned=True, biased=True)


METRICS: dict[str, Metric] = {
    "accuracy": Metric("Accuracy", accuracy, False, False),
    "f1": Metric("Macro F1", f1, False, False),
    "nll": Metric("NLL", nll, False, True),
    "brier": Metric("Brier (sum)", brier_score, False, True),
    "ece": _calibration("Top-label ECE", ece, False),
    "ece_quantile": _calibration("Top-label ECE, equal mass", ece, False, "quantile"),
    "overconfidence": _calibration("Top-label overconfidence", overconfidence, False),
    "underconfidence": _calibration("Top-label underconfidence", underconfidence, False),
    "mce": _calibration("Top-label MCE", mce, False),
    "debiased_ece": _calibration("Top-label debiased ECE", debiased_ece, False),
    "smooth_ece": Metric("Top-label smooth ECE", smooth_ece, False, True, biased=True),
    "classwise_precision": Metric("Precision", classwise_precision, True, False),
    "classwise_recall": Metric("Recall", classwise_recall, True, False),
    "classwise_f1": Metric("F1", classwise_f1, True, False),
    "classwise_auc": Metric("AUC", classwise_auc, True, False),
    "classwise_brier": Metric("Brier", classwise_brier, True, True),
    "brier_reliability": Metric("Brier reliability", brier_reliability, True, True, biased=True),
    "brier_resolution": Metric("Brier resolution", brier_resolution, True, False, biased=True),
    "brier_uncertainty": Metric("Brier uncertainty", brier_uncertainty, True, True),
    "classwise_ece": _calibration("ECE", classwise_ece, True),
    "classwise_ece_quantile": _calibration("ECE, equal mass", classwise_ece, True, "quantile"),
    "classwise_overconfidence": _calibration("Overconfidence", classwise_overconfidence, True),
    "classwise_underconfidence": _calibration("Underconfidence", classwise_underconfidence, True),
    "classwise_mce": _calibration("MCE", classwise_mce, True),
    "classwise_debiased_ece": _calibration("Debiased ECE", classwise_debiased_ece, True),
    "classwise_smooth_ece": Metric("Smooth ECE", classwise_smooth_ece, True, True, biased=True),
}


def evaluate(
    p, y, class_names: Sequence[str], metrics: Sequence[str] | None = None, bins: int = 15
):
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
        raise ValueError(
            f"{len(class_names)} class names for {p.shape[1]} columns of probabilities"
        )
    table = pd.DataFrame(index=[*class_names, "All"])
    for name in METRICS if metrics is None else metrics:
        metric = _metric(name)
        value = np.atleast_1d(metric(p, y, bins))
        known = value[~np.isnan(value)]
        above = value if metric.per_class else [np.nan] * len(class_names)
        table[metric.title] = [*above, known.mean() if len(known) else np.nan]
    return table


def bootstrap(
    p, y, metric: str | Callable, resamples: int = 1000, seed: int = 0, p2=None, level: float = 0.95
) -> Interval:
    """Percentile bootstrap interval of a metric, or of a paired difference of two models.

    Images are resampled within each class, so that the class counts stay as they are.

    **Not for the ECE family**, nor for other measures of calibration by itself.  Resampling adds noise of its own,
    so the replicates lie above the estimate, and near zero the interval misses the truth; a name of that family is
    refused.  Take :func:`interval` and :func:`noise_floor` instead.

    Args:
        metric: a name in :data:`METRICS`, or ``function(p, y)`` returning a number or an array, which is called once a
            resample and so is slow.
        p2: probabilities of a second model on the same images; the metric is then ``metric(p) - metric(p2)``.
        level: coverage aimed at, in (0, 1).

    Raises:
        ValueError: a metric of the ECE family by name, an unknown name, or bad input.
    """
    p, y = check(p, y)
    check_level(level)
    if isinstance(metric, str):
        if _metric(metric).biased:
            floor = f"noise_floor(p, y, metric={_plain(metric)!r})"
            raise ValueError(
                f"a bootstrap interval of {metric!r} is biased upwards; use interval(p, y, {metric!r}) or {floor}"
            )
        metric = _metric(metric).function
    models = [p]
    if p2 is not None:
        models.append(check(p2, y, name="p2")[0])
        if models[1].shape != p.shape:
            raise ValueError(f"p has shape {p.shape} and p2 {models[1].shape}; they must be equal")
    estimate = metric(p, y) if p2 is None else metric(p, y) - metric(models[1], y)
    low, high = np.quantile(
        replicates(metric, models, y, resamples, seed), [(1 - level) / 2, (1 + level) / 2], axis=0
    )
    return Interval(estimate, low, high)


_INTERVALS = {  # of what is biased, by the names of noise_floor
    "ece": ece_interval,
    "ece_quantile": partial(ece_interval, strategy="quantile"),
    "overconfidence": partial(ece_interval, part="over"),
    "underconfidence": partial(ece_interval, part="under"),
    "debiased_ece": debiased_ece_interval,
    "mce": mce_interval,
    "smooth_ece": smooth_ece_interval,
    "brier_reliability": brier_reliability_interval,
    "brier_resolution": brier_resolution_interval,
}


def interval(
    p,
    y,
    metric: str,
    bins: int = 15,
    *,
    level: float = 0.95,
    resamples: int | None = None,
    seed: int = 0,
) -> Interval:
    """Interval for the true value of a metric of the registry, of the kind that it needs.

    :func:`bootstrap` where that is not biased; it keeps the class counts as they are, so that of ``brier_uncertainty``,
    which follows from them, a point is left.  Otherwise an inverted test, in which they vary, and whose estimate is freed of
    its bias: :func:`ece_interval`, :func:`debiased_ece_interval`, :func:`smooth_ece_interval`,
    :func:`brier_reliability_interval` or :func:`brier_resolution_interval`; of the maximum error the exact, wide
    :func:`mce_interval`.

    Args:
        metric: a name in :data:`METRICS`.
        bins: of the metrics that have any.
        level: coverage aimed at, in (0, 1).
        resamples: None for the number of each kind's own; :func:`mce_interval` draws nothing.

    Raises:
        ValueError: an unknown metric, or bad input.
    """
    known = _metric(metric)
    how = {"level": level, "seed": seed} | ({} if resamples is None else {"resamples": resamples})
    if not known.biased:
        return bootstrap(p, y, metric, **how)
    name = _plain(metric)
    if name == "mce":
        how = {"level": level}
    how["of"] = "classes" if known.per_class else "top_label"
    return _INTERVALS[name](p, y, bins, **how) if known.binned else _INTERVALS[name](p, y, **how)


def _plain(metric: str) -> str:
    return metric.removeprefix("classwise_")


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise ValueError(f"there is no metric {name!r}; choose from: {', '.join(METRICS)}")
    return METRICS[name]

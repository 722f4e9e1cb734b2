"""The registry of metrics, from which tables are built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from acrlls.calibration import scores
from acrlls.calibration.checks import check, check_level, check_names, check_pair
from acrlls.calibration.errors import binned_error, smooth_ece
from acrlls.calibration.resampling import Interval, replicates


@dataclass(frozen=True)
class Metric:
    """One metric of the registry; call it as ``metric(p, y, bins)``.

    Attributes:
        title: heading of its column.
        function: ``function(p, y)``, or ``function(p, y, bins)`` where ``binned``.
        per_class: whether it returns ``(classes,)`` rather than one number.
        lower_is_better: direction of improvement.
        binned: whether it depends on bins.
        biased: whether sampling noise alone moves it away from perfection, so that a bootstrap
            misleads; true of everything that measures calibration by itself.
    """

    title: str
    function: Callable
    per_class: bool
    lower_is_better: bool
    binned: bool = False
    biased: bool = False

    def __call__(self, p, y, bins: int = 15):
        return self.function(p, y, bins) if self.binned else self.function(p, y)


def _part(name):
    return lambda p, y: getattr(scores.brier_parts(p, y), name)


def _errors(of: str, prefix: str) -> dict[str, Metric]:
    """The calibration errors of each class or of the top label, by name."""
    titles = {
        "ece": "ECE",
        "ece_quantile": "ECE, equal mass",
        "overconfidence": "overconfidence",
        "underconfidence": "underconfidence",
        "mce": "MCE",
        "debiased_ece": "debiased ECE",
        "smooth_ece": "smooth ECE",
    }
    found = {}
    for name, title in titles.items():
        title = title[0].upper() + title[1:] if of == "classes" else f"Top-label {title}"
        kind, binned = name.removesuffix("_quantile"), name != "smooth_ece"
        strategy = "uniform" if kind == name else "quantile"
        function = partial(binned_error, kind, strategy=strategy, of=of)
        function = function if binned else partial(smooth_ece, of=of)
        found[prefix + name] = Metric(title, function, of == "classes", True, binned, True)
    return found


ERRORS = {"ece", "classwise_ece", "mce", "debiased_ece", "smooth_ece"}  # functions
METRICS: dict[str, Metric] = {
    "accuracy": Metric("Accuracy", scores.accuracy, False, False),
    "f1": Metric("Macro F1", scores.f1, False, False),
    "nll": Metric("NLL", scores.nll, False, True),
    "brier": Metric("Brier (sum)", scores.brier_score, False, True),
    **_errors("top_label", ""),
    "classwise_precision": Metric("Precision", scores.classwise_precision, True, False),
    "classwise_recall": Metric("Recall", scores.classwise_recall, True, False),
    "classwise_f1": Metric("F1", scores.classwise_f1, True, False),
    "classwise_auc": Metric("AUC", scores.classwise_auc, True, False),
    "classwise_brier": Metric("Brier", scores.classwise_brier, True, True),
    "brier_reliability": Metric("Brier reliability", _part("reliability"), True, True, biased=True),
    "brier_resolution": Metric("Brier resolution", _part("resolution"), True, False, biased=True),
    "brier_uncertainty": Metric("Brier uncertainty", scores.brier_uncertainty, True, True),
    **_errors("classes", "classwise_"),
}


def evaluate(
    p, y, class_names: Sequence[str], metrics: Sequence[str] | None = None, bins: int = 15
):
    """Table of metrics, a row a class and a last row ``"All"``, a column a metric under its title.

    A class-wise metric fills the rows of its classes and has their mean in ``"All"``; any other
    metric fills ``"All"`` alone and is NaN above.

    Args:
        class_names: one name a class.
        metrics: names in :data:`METRICS`; None takes all.
    """
    import pandas as pd

    given = p
    p, y = check(p, y)
    names = check_names(class_names, p.shape[1], given)
    table = pd.DataFrame(index=[*names, "All"])
    for name in METRICS if metrics is None else metrics:
        metric = _metric(name)
        value = np.atleast_1d(metric(p, y, bins))
        known = value[~np.isnan(value)]
        above = value if metric.per_class else [np.nan] * len(names)
        table[metric.title] = [*above, known.mean() if len(known) else np.nan]
    return table


def bootstrap(
    p, y, metric: str | Callable, resamples: int = 1000, seed: int = 0, p2=None, level: float = 0.95
) -> Interval:
    """Percentile bootstrap interval of a metric, or of a paired difference of two models.

    Images are resampled within each class, so that the class counts stay as they are.

    **Not for calibration errors**, which are refused: resampling adds sampling noise of its own,
    and near zero the interval misses the truth. See :func:`ece_interval`, :func:`noise_floor`.
    Copies of an image count as more images than there are and make the interval too narrow. Where
    all images of a class agree, such as a recall of 1, it has no width and says nothing.

    Args:
        metric: a name in :data:`METRICS`, or ``function(p, y)`` returning a number or an array,
            which is called once a resample and so is slow.
        p2: probabilities of a second model for the same images; the metric is then
            ``metric(p) - metric(p2)``.
        level: coverage aimed at, in (0, 1).

    Raises:
        ValueError: a calibration error, an unknown name, no class with two images, or bad input.
    """
    p2 = None if p2 is None else check_pair(p, p2)
    p, y = check(p, y)
    check_level(level)
    metric = _metric(metric) if isinstance(metric, str) else metric
    if biased := _biased(metric):
        raise ValueError(
            f"a bootstrap interval of {biased!r} is biased upwards; use ece_interval or "
            f"noise_floor(p, y, metric={biased.removeprefix('classwise_')!r})"
        )
    metric = getattr(metric, "function", metric)
    models = [p] if p2 is None else [p, p2]
    values = [metric(model, y) for model in models]
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(replicates(metric, models, y, resamples, seed), ends, axis=0)
    return Interval(values[0] if p2 is None else values[0] - values[1], low, high)


def _biased(metric) -> str | None:
    """Name of the calibration error that a metric is or that a function calls, if any."""
    for name, one in METRICS.items():
        if one.biased and (metric is one or metric is one.function):
            return name
    function = getattr(metric, "func", metric)  # of a partial one
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    return next((n for n in (getattr(function, "__name__", ""), *names) if n in ERRORS), None)


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise ValueError(f"there is no metric {name!r}; choose from: {', '.join(METRICS)}")
    return METRICS[name]

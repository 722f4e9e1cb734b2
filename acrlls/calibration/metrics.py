"""The registry of metrics, from which tables are built, and their bootstrap intervals."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from acrlls.calibration import errors, scores
from acrlls.calibration.checks import check, check_level, check_names, check_pair, numbers
from acrlls.calibration.resampling import Interval, image_counts


@dataclass(frozen=True)
class Metric:
    """One metric of the registry; call it as ``metric(p, y, bins)``.

    Its ``function(p, y)``, or of a ``biased`` one, a calibration error, ``function(p, y, bins)``,
    gives one number or ``(classes,)``.
    """

    title: str
    function: Callable
    biased: bool = False

    def __call__(self, p, y, bins: int = 15):
        return self.function(p, y, bins) if self.biased else self.function(p, y)


def _error(title: str, name: str, of: str) -> Metric:
    title = title[0].upper() + title[1:] if of == "classes" else f"Top-label {title}"
    kind, strategy = errors.kind_and_strategy(name)
    return Metric(title, partial(errors.named_error, kind, strategy=strategy, of=of), biased=True)


_ERRORS = {
    "ece": "ECE",
    "ece_quantile": "ECE, equal mass",
    "overconfidence": "overconfidence",
    "underconfidence": "underconfidence",
    "mce": "MCE",
    "debiased_ece": "debiased ECE",
    "smooth_ece": "smooth ECE",
}
METRICS: dict[str, Metric] = {
    "accuracy": Metric("Accuracy", scores.accuracy),
    "f1": Metric("Macro F1", scores.f1),
    "nll": Metric("NLL", scores.nll),
    "brier": Metric("Brier (sum)", scores.brier_score),
    **{name: _error(title, name, "top_label") for name, title in _ERRORS.items()},
    "classwise_precision": Metric("Precision", scores.classwise_precision),
    "classwise_recall": Metric("Recall", scores.classwise_recall),
    "classwise_f1": Metric("F1", scores.classwise_f1),
    "classwise_auc": Metric("AUC", scores.classwise_auc),
    "classwise_brier": Metric("Brier", scores.classwise_brier),
    "brier_reliability": _error("Brier reliability", "brier_reliability", "classes"),
    "brier_resolution": _error("Brier resolution", "brier_resolution", "classes"),
    **{f"classwise_{name}": _error(title, name, "classes") for name, title in _ERRORS.items()},
}


def evaluate(
    p, y, class_names: Sequence[str], metrics: Sequence[str] | None = None, bins: int = 15
):
    """Table of metrics, a row a class and a last row ``"All"``, a column a metric under its title.

    ``class_names`` has one name a class, ``metrics`` names in :data:`METRICS`; None takes all. A
    class-wise metric fills the rows of its classes and has their mean in ``"All"``, without those
    that are NaN, such as the AUC of a class that no label names; any other metric fills ``"All"``
    alone and is NaN above.
    """
    import pandas as pd

    given = p
    p, y = check(p, y)
    names = check_names(class_names, p.shape[1], given, last="All")
    if metrics is None or not isinstance(metrics, Iterable) or isinstance(metrics, str):
        metrics = METRICS if metrics is None else [metrics]
    table = pd.DataFrame(index=[*names, "All"])
    for metric in map(_metric, metrics):
        value = metric(p, y, bins)
        above = value if np.ndim(value) else [np.nan] * len(names)
        table[metric.title] = [*above, pd.Series(value).mean()]  # but of those that are NaN
    return table


def bootstrap(
    p, y, metric: str | Callable, resamples: int = 1000, seed: int = 0, p2=None, level: float = 0.95
) -> Interval:
    """Percentile bootstrap interval of a metric, or of a paired difference of two models.

    ``metric`` is a name in :data:`METRICS`, or ``function(p, y)`` returning a number or an array;
    with ``p2``, the probabilities of a second model for the same images, the interval is that of
    ``metric(p) - metric(p2)``. Images are resampled within each class, so that the class counts
    stay as they are. ``level`` is the coverage aimed at, in (0, 1).

    **Not for calibration errors**, which are refused: resampling adds sampling noise of its own,
    and near zero the interval misses the truth. See :func:`ece_interval`, :func:`noise_floor`.
    Copies of an image count as more images than there are and make the interval too narrow. Where
    all images of a class agree, such as a recall of 1, it has no width and says nothing. A
    calibration error, an unknown name, no class with two images, too few ``resamples`` for the
    level, or bad input is a ``ValueError``.
    """
    p2 = None if p2 is None else check_pair(p, p2, "p2", y)[1]
    p, y = check(p, y)
    level = check_level(level, resamples)
    function = metric if callable(metric) else _metric(metric)
    where = getattr(getattr(function, "func", function), "__module__", None)
    if getattr(function, "biased", where == errors.__name__):
        what = repr(metric) if isinstance(metric, str) else "this calibration error"
        instead = "use ece_interval or noise_floor, which takes the name of a metric"
        raise ValueError(f"a bootstrap interval of {what} is biased upwards; {instead}")

    def value(rows=slice(None)):
        both = [p] if p2 is None else [p, p2]
        one, *two = (numbers(function(q[rows], y[rows]), "what metric gives") for q in both)
        return one - two[0] if two else one

    images, ends = np.arange(len(y)), [(1 - level) / 2, (1 + level) / 2]
    counts = (one.astype(int) for piece in image_counts(y, resamples, seed) for one in piece)
    drawn = numbers([value(images.repeat(times)) for times in counts], "what metric gives")
    if not np.isfinite(drawn).any():
        raise ValueError("what metric gives is never finite; it must hold real numbers")
    return Interval(value()[()], *np.quantile(drawn, ends, axis=0))


def _metric(name: str) -> Metric:
    if not (isinstance(name, str) and name in METRICS):
        raise ValueError(f"there is no metric {name!r}; choose from: {', '.join(METRICS)}")
    return METRICS[name]

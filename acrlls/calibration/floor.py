"""The noise floor: what sampling noise alone makes of a calibration error."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from acrlls.calibration.binning import binned, drawn_hits, drawn_labels, with_top_label
from acrlls.calibration.checks import check, check_names
from acrlls.calibration.errors import OF_BINS, WITHOUT_BINS, kind_and_strategy


@dataclass(frozen=True)
class NoiseFloor:
    """What a perfectly calibrated model with these very probabilities would show.

    ``classwise`` is the class-wise ECE (or another metric) of each drawing, ``(resamples,
    classes)``, ``top_label`` that of the top label, ``(resamples,)``; ``observed`` that with the
    real labels, ``(classes + 1,)`` with the top label last, or None.
    """

    classwise: np.ndarray
    top_label: np.ndarray
    observed: np.ndarray | None = None
    columns: Sequence[str] | None = None  # of the probabilities, if a DataFrame

    @property
    def mean(self) -> np.ndarray:
        """Mean under perfect calibration, ``(classes,)``."""
        return self.classwise.mean(axis=0)

    def table(self, class_names: Sequence[str]):
        """Summary, with the p-values of what was observed: a row a class and a last row ``"Top
        label"``.

        The columns are ``mean``, ``q05`` and ``q95`` of the drawings and, where something was
        observed, ``observed``, ``p_above`` (small where it is larger than perfect calibration would
        give) and ``p_below``, each (1 + number of drawings as extreme) / (1 + resamples).
        """
        import pandas as pd

        names = check_names(class_names, self.classwise.shape[1], self, last="Top label")
        draws, seen = np.column_stack([self.classwise, self.top_label]), self.observed
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        columns = {"mean": draws.mean(axis=0), "q05": low, "q95": high}
        table = pd.DataFrame(columns, index=[*names, "Top label"])
        if seen is not None:
            table["observed"] = seen
            table["p_above"] = (1 + (draws >= seen).sum(axis=0)) / (1 + len(draws))
            table["p_below"] = (1 + (draws <= seen).sum(axis=0)) / (1 + len(draws))
        return table


def noise_floor(
    p, y=None, bins=15, resamples=1000, seed=0, strategy="uniform", metric="ece"
) -> NoiseFloor:
    """A calibration error when labels are drawn from the probabilities themselves [Bröcker 2007].

    The floor depends on the class, on how sharp the probabilities ``p``, ``(n, classes)``, are, on
    n, and on the bins; an error within it is no evidence of miscalibration. Labels ``y``, ``(n,)``,
    serve only to report the observed error too. ``metric`` is the name of a calibration error of
    the registry, of which the classes and the top label are computed in one: ``"smooth_ece"`` and
    the parts of the Brier score take seconds, the others milliseconds. The drawings of a seed are
    the same for every metric.

    Bad probabilities, labels or bins, or a metric without a noise floor, are a ``ValueError``.
    """
    columns = getattr(p, "columns", None)
    p, y = (check(p), None) if y is None else check(p, y)
    name, strategy = kind_and_strategy(str(metric), strategy)
    if name not in (known := [*OF_BINS, *WITHOUT_BINS]) or not isinstance(metric, str):
        raise ValueError(f"{metric!r} has no noise floor; choose from: {', '.join(known)}")
    scores, targets = with_top_label(p, p.argmax(axis=1) if y is None else y)
    if name in OF_BINS:
        held = binned(scores, targets, bins, strategy)
        observed, error = OF_BINS[name](held), OF_BINS[name]
        draws = error(replace(held, hits=drawn_hits(p, held, resamples, seed)))
    else:
        error = WITHOUT_BINS[name]
        observed, labels = error(scores, targets), drawn_labels(p, resamples, seed)
        draws = np.array([error(*with_top_label(p, one)) for piece in labels for one in piece])
    return NoiseFloor(draws[:, :-1], draws[:, -1], None if y is None else observed, columns)

"""The noise floor: what sampling noise alone makes of a calibration error.

References:
    - [1] J. Bröcker, L. A. Smith, "Increasing the reliability of reliability diagrams", Weather and
      Forecasting 22, 2007 (labels drawn from the probabilities).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acrlls.calibration.binning import Binned, bin_sums, drawn_hits, drawn_labels, hits_of, in_bins
from acrlls.calibration.checks import check, check_names, whole_number
from acrlls.calibration.errors import OF_BINS, smooth_error
from acrlls.calibration.scores import isotonic_parts

WITHOUT_BINS = {
    "smooth_ece": smooth_error,
    "brier_reliability": lambda scores, targets: isotonic_parts(scores, targets)[0],
    "brier_resolution": lambda scores, targets: isotonic_parts(scores, targets)[1],
}
KNOWN = [*(name for name in OF_BINS if name != "squared"), *WITHOUT_BINS]


@dataclass(frozen=True)
class NoiseFloor:
    """What a perfectly calibrated model with these very probabilities would show.

    Attributes:
        classwise: class-wise ECE (or another metric) of each drawing, ``(resamples, classes)``.
        top_label: that of the top label of each drawing, ``(resamples,)``.
        observed: that with the real labels, ``(classes + 1,)`` with the top label last, or None.
        columns: names of the columns of the probabilities if they came as a DataFrame.
    """

    classwise: np.ndarray
    top_label: np.ndarray
    observed: np.ndarray | None = None
    columns: Sequence[str] | None = None

    @property
    def mean(self) -> np.ndarray:
        """Mean under perfect calibration, ``(classes,)``."""
        return self.classwise.mean(axis=0)

    def quantile(self, q: float = 0.95) -> np.ndarray:
        """Quantile under perfect calibration, ``(classes,)``."""
        return np.quantile(self.classwise, q, axis=0)

    def table(self, class_names: Sequence[str]):
        """:func:`floor_table` with a row a class and a last row ``"Top label"``."""
        names = check_names(class_names, self.classwise.shape[1], self)
        draws = np.column_stack([self.classwise, self.top_label])
        return floor_table(draws, self.observed, [*names, "Top label"])


def floor_table(draws, observed, names: Sequence[str]):
    """Summary of drawings under perfect calibration, with the p-values of what was observed.

    Args:
        draws: errors under perfect calibration, ``(resamples, columns)``.
        observed: the errors to be judged, ``(columns,)``, or None.
        names: of the columns; they become the rows of the table.

    Returns:
        DataFrame: ``mean``, ``q05`` and ``q95`` of the drawings and, where something was observed,
        ``observed``, ``p_above`` (small where it is larger than perfect calibration would give) and
        ``p_below``, each (1 + number of drawings as extreme) / (1 + resamples).
    """
    import pandas as pd

    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    columns = {"mean": np.mean(draws, axis=0), "q05": low, "q95": high}
    table = pd.DataFrame(columns, index=list(names))
    if observed is not None:
        seen = table["observed"] = np.asarray(observed, float)
        table["p_above"] = (1 + (draws >= seen).sum(axis=0)) / (1 + len(draws))
        table["p_below"] = (1 + (draws <= seen).sum(axis=0)) / (1 + len(draws))
    return table


def matched_floor(
    prevalence, brier, n: int, bins: int = 15, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Class-wise ECE of perfectly calibrated scores of which only two summaries are known.

    For published numbers, whose scores nobody has. The scores of each class are drawn from the Beta
    distribution whose mean is the prevalence and whose E[p(1 - p)] is the Brier score, which is
    what perfect calibration makes it; then labels are drawn. The form of the distribution is an
    assumption: scores of another form with the same summaries have another floor.

    Args:
        prevalence: share of each class, ``(classes,)``, between 0 and 1.
        brier: Brier score of each class against the rest, ``(classes,)``.
        n: number of images.

    Returns:
        ``(resamples, classes)``.

    Raises:
        ValueError: a Brier score outside 0 … prevalence · (1 - prevalence), which no calibrated
            scores of that prevalence have.
    """
    size = whole_number("n", n), whole_number("resamples", resamples)
    rng, columns = np.random.default_rng(seed), []
    for share, score in zip(np.asarray(prevalence, float), np.asarray(brier, float), strict=True):
        most = share * (1 - share)
        if not 0 < score < most:
            given = f"a Brier score of {score:g} at a share of {share:g}"
            raise ValueError(f"{given} must lie between 0 and {most:g}")
        strength = score / (most - score)  # a + b: E[p(1-p)] = most * (a + b) / (a + b + 1)
        p = rng.beta(share * strength, (1 - share) * strength, size)
        residuals = (rng.random(size) < p) - p
        sums = bin_sums(residuals, *in_bins(p, bins, "uniform"))
        columns.append(np.abs(sums).sum(axis=1) / n)
    return np.column_stack(columns)


def noise_floor(
    p,
    y=None,
    bins: int = 15,
    resamples: int = 1000,
    seed: int = 0,
    strategy: str = "uniform",
    metric: str = "ece",
) -> NoiseFloor:
    """A calibration error when each label is drawn from the probabilities themselves [1].

    The floor depends on the class, on how sharp the probabilities are, on n, and on the bins; an
    error within it is no evidence of miscalibration.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``, only to report the observed error too.
        resamples: number of drawings of all labels.
        seed: seed of the drawings, which are the same for every metric.
        metric: the name of a calibration error of the registry, of which the classes and the top
            label are computed in one. ``"smooth_ece"``, ``"brier_reliability"`` and
            ``"brier_resolution"`` take seconds, the others milliseconds.

    Raises:
        ValueError: bad probabilities, labels or bins, or a metric without a noise floor.
    """
    columns = getattr(p, "columns", None)
    p, y = (check(p), None) if y is None else check(p, y)
    name = metric.removeprefix("classwise_")
    if name.endswith("_quantile"):
        name, strategy = name.removesuffix("_quantile"), "quantile"
    if name not in KNOWN:
        raise ValueError(f"{metric!r} has no noise floor; choose from: {', '.join(KNOWN)}")
    scores = np.column_stack([p, p.max(axis=1)])
    if name in OF_BINS:
        where, bins = in_bins(scores, bins, strategy)
        count, total = (bin_sums(v, where, bins) for v in (np.ones_like(scores), scores))

        def errors(hits):
            return OF_BINS[name](Binned(len(p), count, total, hits))

        drawn = map(errors, drawn_hits(p, where, bins, resamples, seed))
        observed = None if y is None else errors(bin_sums(hits_of(p, y), where, bins))
    else:
        function = WITHOUT_BINS[name]
        chunks = drawn_labels(p, resamples, seed)
        drawn = ([function(scores, hits_of(p, one)) for one in labels] for labels in chunks)
        observed = None if y is None else function(scores, hits_of(p, y))
    draws = np.concatenate(list(drawn))
    return NoiseFloor(draws[:, :-1], draws[:, -1], observed, columns)

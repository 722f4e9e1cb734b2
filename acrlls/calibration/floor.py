"""Noise floor and reliability diagrams: what the sampling of labels alone does to a calibration measure.

Imported through ``acrlls.calibration.registry``, which says what ``p``, ``y`` and the bins are.

References:
    - [1] J. Bröcker, L. A. Smith, "Increasing the reliability of reliability diagrams", Weather and Forecasting
      22, 2007 (consistency bands).
    - [2] E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.special import ndtri

from acrlls.calibration.checks import (
    Binned,
    bin_edges,
    bin_sums,
    binned_errors,
    check,
    drawn_hits,
    drawn_labels,
    one_hot,
    places,
    whole_number,
)
from acrlls.calibration.errors import OF_BINS, _smooth
from acrlls.calibration.scores import isotonic_parts


@dataclass(frozen=True)
class NoiseFloor:
    """What a perfectly calibrated model with these very scores would show.

    Attributes:
        classwise: class-wise ECE (or another metric) of each drawing of the labels, ``(resamples, classes)``.
        top_label: that of the top label of each drawing, ``(resamples,)``.
        observed: that with the real labels, ``(classes + 1,)`` with the top label last, or None.
    """

    classwise: np.ndarray
    top_label: np.ndarray
    observed: np.ndarray | None = None

    @property
    def mean(self) -> np.ndarray:
        """Mean class-wise ECE under perfect calibration, ``(classes,)``."""
        return self.classwise.mean(axis=0)

    def quantile(self, q: float = 0.95) -> np.ndarray:
        """Quantile of the class-wise ECE under perfect calibration, ``(classes,)``."""
        return np.quantile(self.classwise, q, axis=0)

    def table(self, class_names: Sequence[str]):
        """A row a class and ``"Top label"``; columns mean, q05, q95 and, with labels, observed and p-values.

        ``p_above`` is small where the observed ECE is larger than perfect calibration would give, ``p_below``
        where it is smaller; each is (1 + number of drawings as extreme) / (1 + resamples).
        """
        draws = np.column_stack([self.classwise, self.top_label])
        return floor_table(draws, self.observed, [*class_names, "Top label"])


def floor_table(draws, observed, names: Sequence[str]):
    """The table of :meth:`NoiseFloor.table` from any drawings.

    Args:
        draws: ECE under perfect calibration, ``(resamples, columns)``.
        observed: the ECE to be judged, ``(columns,)``, or None.
        names: of the columns; they become the rows of the table.
    """
    import pandas as pd

    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    table = pd.DataFrame(
        {"mean": np.mean(draws, axis=0), "q05": low, "q95": high}, index=list(names)
    )
    if observed is not None:
        table["observed"] = np.asarray(observed, float)
        table["p_above"] = (1 + (draws >= table["observed"].to_numpy()).sum(axis=0)) / (
            1 + len(draws)
        )
        table["p_below"] = (1 + (draws <= table["observed"].to_numpy()).sum(axis=0)) / (
            1 + len(draws)
        )
    return table


def matched_floor(
    prevalence, brier, n: int, bins: int = 15, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Class-wise ECE of perfectly calibrated scores of which only two summaries are known.

    For published numbers, whose scores nobody has.  The scores of each class are drawn from the Beta
    distribution whose mean is the prevalence and whose E[p(1 - p)] is the Brier score, which is what perfect
    calibration makes the Brier score; then labels are drawn from the scores.  The form of the distribution is
    an assumption: scores of another form with the same summaries have another floor.

    Args:
        prevalence: share of each class, ``(classes,)``, between 0 and 1.
        brier: Brier score of each class against the rest, ``(classes,)``, between 0 and
            prevalence · (1 - prevalence).
        n: number of images.

    Returns:
        ``(resamples, classes)``.

    Raises:
        ValueError: a Brier score that no calibrated scores of that prevalence have.
    """
    rng, resamples = np.random.default_rng(seed), whole_number("resamples", resamples)
    columns = []
    for share, score in zip(np.asarray(prevalence, float), np.asarray(brier, float), strict=True):
        most = share * (1 - share)
        if not 0 < score < most:
            raise ValueError(
                f"a Brier score of {score:g} at a share of {share:g} must lie between 0 and {most:g}"
            )
        strength = score / (most - score)  # a + b: E[p(1-p)] = most * (a + b) / (a + b + 1)
        p = rng.beta(share * strength, (1 - share) * strength, (whole_number("n", n), resamples))
        columns.append(binned_errors(p, rng.random(p.shape) < p, bins, "uniform"))
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
    """A calibration error when each label is drawn from the probabilities themselves: under perfect calibration.

    The floor depends on the class, on how sharp the scores are, on n, and on the bins; an error within it shows
    nothing.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``, only to report the observed error beside the floor.
        resamples: number of drawings of all labels.
        seed: seed of the drawings, the same for every metric.
        metric: a name of the registry, of a measure that is ``biased``: ``"ece"``, ``"ece_quantile"`` (the same as
            ``strategy="quantile"``), ``"overconfidence"``, ``"underconfidence"``, ``"mce"``, ``"debiased_ece"``,
            ``"smooth_ece"``, ``"brier_reliability"`` or ``"brier_resolution"``.  Of each class and of the top label
            in one, so that ``"classwise_ece"`` is ``"ece"``.  The last three, which have no bins, are fitted to every
            drawing anew: seconds in place of milliseconds.

    Raises:
        ValueError: bad probabilities, labels or bins, or a metric without a noise floor.
    """
    p, y = (check(p), None) if y is None else check(p, y)
    name = metric.removeprefix("classwise_")
    if name.endswith("_quantile"):
        name, strategy = name.removesuffix("_quantile"), "quantile"
    scores = np.column_stack([p, p.max(axis=1)])
    where = places(scores, bin_edges(scores, bins, strategy))
    if name in OF_BINS:
        count, total = (bin_sums(v, where, bins) for v in (np.ones_like(scores), scores))

        def errors(hits):
            return OF_BINS[name](Binned(len(p), count, total, hits))

        drawn = map(errors, drawn_hits(p, where, bins, resamples, seed))
        observed = None if y is None else errors(bin_sums(_hits(p, y), where, bins))
    elif name in WITHOUT_BINS:
        function = WITHOUT_BINS[name]
        drawn = (
            [function(scores, _hits(p, one)) for one in labels]
            for labels in drawn_labels(p, resamples, seed)
        )
        observed = None if y is None else function(scores, _hits(p, y))
    else:
        raise ValueError(
            f"{metric!r} has no noise floor; choose from: {', '.join([*OF_BINS, *WITHOUT_BINS])}"
        )
    draws = np.concatenate(list(drawn))
    return NoiseFloor(draws[:, :-1], draws[:, -1], observed)


def _brier(part):
    return lambda scores, targets: isotonic_parts(scores, targets)[part]


WITHOUT_BINS = {
    "smooth_ece": _smooth,
    "brier_reliability": _brier(0),
    "brier_resolution": _brier(1),
}


@dataclass(frozen=True)
class Reliability:
    """Arrays of a reliability diagram, a row a panel: the classes, or the top label alone.

    Attributes:
        titles: name of each panel.
        edges: ends of the bins, ``(panels, bins + 1)``.
        count: images in each bin, ``(panels, bins)``; where it is 0 the arrays below are NaN.
        confidence: mean confidence in each bin.
        frequency: share of images of the class (top label: predicted rightly).
        low, high: Wilson interval [2] of the frequency.
        band_low, band_high: where the frequency would lie under perfect calibration (consistency band [1]).
        ece: calibration error of each panel, ``(panels,)``.
        level: coverage of the intervals and of the band.
    """

    titles: tuple[str, ...]
    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    frequency: np.ndarray
    low: np.ndarray
    high: np.ndarray
    band_low: np.ndarray
    band_high: np.ndarray
    ece: np.ndarray
    level: float

    def panel(self, title: str) -> Reliability:
        """The panel of one title alone.

        Raises:
            ValueError: there is no such panel.
        """
        if title not in self.titles:
            raise ValueError(f"there is no panel {title!r}; choose from: {', '.join(self.titles)}")
        k = self.titles.index(title)
        arrays = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("titles", "level")
        }
        return replace(
            self, titles=(title,), **{name: values[k : k + 1] for name, values in arrays.items()}
        )


def prepare_reliability(
    p,
    y,
    bins: int = 15,
    class_names: Sequence[str] | None = None,
    *,
    of: str = "classes",
    strategy: str = "uniform",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Reliability:
    """Bin counts, mean confidences, frequencies, their intervals and the consistency band, for plotting.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``.
        class_names: titles of the panels; None numbers the classes.
        of: ``"classes"``, a panel each, or ``"top_label"``, one panel for the predicted class.
        resamples: drawings of the labels behind the consistency band.
    """
    p, y = check(p, y)
    scores = np.column_stack([p, p.max(axis=1)])
    edges = bin_edges(scores, bins, strategy)
    where = places(scores, edges)
    count = bin_sums(np.ones_like(scores), where, bins)
    drawn = np.concatenate(list(drawn_hits(p, where, bins, resamples, seed)))
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        confidence = bin_sums(scores, where, bins) / count
        frequency = bin_sums(_hits(p, y), where, bins) / count
        band_low, band_high = ends / count
        low, high = _wilson(frequency, count, level)
    top_label = _of(of) == "top_label"
    panels = slice(-1, None) if top_label else slice(0, -1)
    names = tuple(class_names or (f"Class {k}" for k in range(p.shape[1])))
    gaps = np.nansum(count * np.abs(frequency - confidence), axis=1) / len(p)
    arrays = [edges, count.astype(int), confidence, frequency, low, high, band_low, band_high, gaps]
    return Reliability(("Top label",) if top_label else names, *(a[panels] for a in arrays), level)


def _of(of: str) -> str:
    if of not in ("classes", "top_label"):
        raise ValueError(f"of is {of!r}; choose one of: classes, top_label")
    return of


def _hits(p, y):
    """Is each image of each class and, last, is its predicted class right: ``(n, classes + 1)``."""
    return np.column_stack([one_hot(y, p.shape[1]), p.argmax(axis=1) == y])


def _wilson(frequency, count, level):
    """Wilson score interval of a binomial share [2]."""
    z2 = ndtri((1 + level) / 2) ** 2
    centre = (frequency + z2 / (2 * count)) / (1 + z2 / count)
    half = np.sqrt(z2 * (frequency * (1 - frequency) / count + z2 / (4 * count**2))) / (
        1 + z2 / count
    )
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)

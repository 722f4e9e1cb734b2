"""Reliability diagrams, prepared for plotting.

References:
    - [1] J. Bröcker, L. A. Smith, "Increasing the reliability of reliability diagrams", Weather and
      Forecasting 22, 2007 (consistency band).
    - [2] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
      JASA 22, 1927.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from acrlls.calibration.binning import bin_edges, bin_sums, drawn_hits, hits_of, places
from acrlls.calibration.checks import check, check_bins, check_choice, check_level, check_names


@dataclass(frozen=True)
class Reliability:
    """Arrays of a reliability diagram, a row a panel: the classes, or the top label alone.

    Attributes:
        titles: name of each panel.
        edges: edges of the bins, ``(panels, bins + 1)``.
        count: images in each bin, ``(panels, bins)``; where it is 0 the arrays below are NaN.
        confidence: mean confidence in each bin.
        frequency: share of images of the class (top label: predicted rightly).
        low, high: Wilson interval [2] of the frequency.
        band_low, band_high: where the frequency would lie under perfect calibration [1].
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
    """Bin counts, mean confidences, frequencies, their intervals and the consistency band.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``.
        class_names: titles of the panels; None numbers the classes.
        of: ``"classes"``, a panel each, or ``"top_label"``, one panel for the predicted class.
        resamples: drawings of the labels behind the consistency band.
    """
    given = p
    p, y = check(p, y)
    check_level(level)
    check_choice("of", of, ("classes", "top_label"))
    if class_names is None:
        class_names = [f"Class {k}" for k in range(p.shape[1])]
    names = check_names(class_names, p.shape[1], given)
    scores = np.column_stack([p, p.max(axis=1)])
    bins = check_bins(bins, strategy)
    edges = bin_edges(scores, bins, strategy)
    where = places(scores, edges)
    count = bin_sums(np.ones_like(scores), where, bins)
    drawn = np.concatenate(list(drawn_hits(p, where, bins, resamples, seed)))
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        confidence = bin_sums(scores, where, bins) / count
        frequency = bin_sums(hits_of(p, y), where, bins) / count
        band_low, band_high = ends / count
        low, high = _wilson(frequency, count, level)
    gaps = np.nansum(count * np.abs(frequency - confidence), axis=1) / len(p)
    arrays = [edges, count.astype(int), confidence, frequency, low, high, band_low, band_high, gaps]
    titles, panels = tuple(names), slice(0, -1)
    if of == "top_label":
        titles, panels = ("Top label",), slice(-1, None)
    return Reliability(titles, *(a[panels] for a in arrays), level)


def _wilson(frequency, count, level):
    """Wilson score interval of a binomial share [2]."""
    z2 = ndtri((1 + level) / 2) ** 2
    centre = (frequency + z2 / (2 * count)) / (1 + z2 / count)
    half = np.sqrt(z2 * (frequency * (1 - frequency) / count + z2 / (4 * count**2)))
    half /= 1 + z2 / count
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)

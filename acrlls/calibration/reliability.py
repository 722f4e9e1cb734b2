"""Reliability diagrams, prepared for plotting."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from acrlls.calibration.binning import binned, drawn_hits, with_top_label
from acrlls.calibration.checks import check, check_choice, check_level, check_names
from acrlls.calibration.errors import OF_BINS


@dataclass(frozen=True)
class Reliability:
    """Arrays of a reliability diagram, a row a panel: the classes, or the top label alone.

    ``titles`` name the panels; ``edges`` of the bins, ``(panels, bins + 1)``. The other arrays are
    ``(panels, bins)``, NaN in a bin whose ``count`` of images is 0: mean ``confidence``;
    ``frequency``, the share of images of the class (top label: predicted rightly), with ``low`` and
    ``high`` its Wilson interval [Wilson 1927]; ``band_low`` and ``band_high``, where it would lie
    under perfect calibration [Bröcker 2007]. ``ece`` is the error of each panel, ``(panels,)``;
    ``level`` the coverage of the intervals and of the band.
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

    ``of`` is ``"classes"``, a panel each under its name (None numbers them), or ``"top_label"``,
    one panel for the predicted class. ``resamples`` drawings of the labels make the band.
    """
    given = p
    p, y = check(p, y)
    level = check_level(level)
    check_choice("of", of, ("classes", "top_label"))
    if class_names is None:
        class_names = [f"Class {k}" for k in range(p.shape[1])]
    titles = tuple(check_names(class_names, p.shape[1], given))
    held = binned(*with_top_label(p, y), bins, strategy)
    ends = [(1 - level) / 2, (1 + level) / 2]
    band = np.quantile(drawn_hits(p, held, resamples, seed), ends, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [sums / held.count for sums in (held.total, held.hits)]
        arrays = [*shares, *_wilson(shares[1], held.count, level), *(band / held.count)]
    arrays = [held.edges, held.count.astype(int), *arrays, OF_BINS["ece"](held)]
    titles, panels = (titles, slice(-1)) if of == "classes" else (("Top label",), slice(-1, None))
    return Reliability(titles, *(array[panels] for array in arrays), level)


def _wilson(frequency, count, level):
    """Wilson score interval of a binomial share [Wilson 1927]."""
    z2 = ndtri((1 + level) / 2) ** 2
    centre = (frequency + z2 / (2 * count)) / (1 + z2 / count)
    half = np.sqrt(z2 * (frequency * (1 - frequency) / count + z2 / (4 * count**2)))
    half /= 1 + z2 / count
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)

"""An interval for the calibration error that holds the true value as often as it says, near zero too.

Imported through ``acrlls.calibration``, which says what ``p``, ``y`` and the bins are.

The ECE of a sample is biased upwards, most of all where the true error is small, because the luck of the labels
makes every bin stray and the absolute value keeps it from cancelling.  Resampling the images adds the same bias once
more, so a percentile bootstrap misses the truth.  Instead, for each possible true error t, ask whether the observed
ECE is one that a population with the error t would give; the interval is the set of all t where the answer is yes.
For that, a population has to be chosen among the many with the error t: as in hybrid resampling [1], the one that
follows from the data, the observed gaps of the bins shrunk (as the adaptive lasso does [2]) or widened until they
sum to t.  At t = 0 no choice is left, and the test is that of the noise floor.  Which ECEs are "given" by t is
decided by the likelihood-ratio order of Feldman and Cousins [3], which turns a two-sided interval into an upper
limit as t nears zero: the interval is never empty, and its coverage at exactly zero is the nominal one.

How often it holds the truth is measured by :mod:`acrlls.coverage` and recorded in ``results/coverage``.

References:
    - [1] C.-S. Chuang, T. L. Lai, "Hybrid resampling methods for confidence intervals", Statistica Sinica 10, 2000.
    - [2] H. Zou, "The adaptive lasso and its oracle properties", JASA 101, 2006 (with the exponent 1/2).
    - [3] G. J. Feldman, R. D. Cousins, "Unified approach to the classical statistical analysis of small signals",
      Physical Review D 57, 1998.
    - [4] P. Hall, "Inverting an Edgeworth expansion", Annals of Statistics 11, 1983.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acrlls._scores import bin_edges, bin_sums, check, one_hot, places, top_label_of, whole_number
from acrlls.resampling import Interval

GRID = 33  # candidate true errors


def ece_interval(
    p, y, bins: int = 15, strategy: str = "width", *, top_label: bool = False,
    level: float = 0.95, resamples: int = 1000, seed: int = 0,
) -> Interval:  # fmt: skip
    """Interval for the true class-wise calibration error, or for that of the top label.

    The true value is that of :func:`true_calibration_error`: the expected calibration error with these bins of the
    population which the images come from, sum over bins of ``P(bin) · |E[frequency - probability | bin]|``.
    With bins of equal mass, the bins are those of the population's quantiles.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``.
        top_label: of the predicted class in place of each class.
        level: coverage aimed at, in (0, 1).
        resamples: drawings behind each of the tests that are inverted.

    Returns:
        ``low``, ``high`` and ``estimate``, floats for the top label and ``(classes,)`` otherwise.  The estimate is
        the ECE freed of its bias: the true error whose expected ECE is the observed one, or 0 where the observed
        one lies below the mean of the noise floor.  So it is *below* the ECE, and the ECE may lie above ``high``.
        A ``low`` of 0 says that the images do not show any miscalibration at this level.

    Raises:
        ValueError: bad probabilities or labels (the message names the row), bins, strategy or level.
    """
    p, y = check(p, y)
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}; it must lie between 0 and 1")
    scores, targets = p, one_hot(y, p.shape[1])
    if top_label:
        scores, targets = top_label_of(p, targets)
    where = places(scores, bin_edges(scores, bins, strategy))
    sums = [bin_sums(v, where, bins) for v in (np.ones_like(scores), scores, targets, scores * (1 - scores))]
    draw = np.random.default_rng(seed).standard_normal((2, whole_number("resamples", resamples), bins))
    ends = np.array([_invert(Bins.of(*column), draw, 1 - level) for column in zip(*sums, strict=True)])
    return Interval(*(float(e[0]) if top_label else e for e in ends.T))


@dataclass(frozen=True)
class Bins:
    """What the full bins of one column hold; arrays ``(bins,)``.

    Attributes:
        kept: which of all bins hold anything.
        n: images in all of them.
        share: of the images in each bin.
        mean: mean score.
        gap: share · (frequency - mean score), whose absolute values sum to the ECE.
        spread: what the scores' own spread within a bin takes off the variance of a frequency, a factor.
        frequency: shrunk towards the mean score by one image's weight, so that none is 0 or 1.
    """

    kept: np.ndarray
    n: float
    share: np.ndarray
    mean: np.ndarray
    gap: np.ndarray
    spread: np.ndarray
    frequency: np.ndarray

    @classmethod
    def of(cls, count, total, hits, variance):
        """From sums over each bin: images, scores, targets and score · (1 - score)."""
        kept = count > 0
        count, total, hits, variance = (a[kept] for a in (count, total, hits, variance))
        n, mean = count.sum(), total / count
        most = mean * (1 - mean)
        spread = np.divide(variance / count, most, out=np.ones_like(most), where=most > 0)
        return cls(kept, n, count / n, mean, (hits - total) / n, spread.clip(0, 1), (hits + mean) / (count + 1))

    def variance(self, frequency):
        """Of the gap, given the scores, where the labels come true with these frequencies."""
        return self.share * frequency * (1 - frequency) * self.spread / self.n


def _invert(held: Bins, draw, alpha):
    """Estimate, low and high of one column."""
    noise = held.variance(held.frequency) + held.gap**2 / (held.share * held.n)
    observed, reach = np.abs(held.gap).sum(), 5 * np.sqrt(noise.sum())
    start = max(observed - np.sqrt(noise).sum() - reach, 0)  # no bias is larger than the sum of standard errors
    errors = np.append(0, np.linspace(start, observed + reach, GRID))  # the first is the noise floor
    if reach == 0:  # every score is 0 or 1 and right
        return observed, observed, observed
    gaps = _populations(held, noise, errors)
    errors = np.abs(gaps).sum(axis=1)
    drawn = _ece_under(held, gaps, draw)
    mean, sd = drawn.mean(axis=1)[:, None], np.maximum(drawn.std(axis=1), 1e-12)[:, None]

    def order(value):  # minus twice the log likelihood ratio of normal ECEs: small where the error t explains it best
        return ((value - mean) / sd) ** 2 - np.minimum((value - mean[0]) / sd[0], 0) ** 2

    p_value = (1 + (order(drawn) >= order(observed)).sum(axis=1)) / (1 + drawn.shape[1])
    estimate = np.interp(observed, np.maximum.accumulate(mean[:, 0]), errors) if observed > mean[0] else 0.0
    inside = np.flatnonzero(p_value > alpha)
    first, last = (inside[0], inside[-1]) if len(inside) else (p_value.argmax(),) * 2
    low = errors[0] if first == 0 else _crossing(errors, p_value, first - 1, alpha)
    high = errors[-1] if last == len(errors) - 1 else _crossing(errors, p_value, last, alpha)
    return estimate, min(low, estimate), max(high, estimate)


def _crossing(errors, p_value, i, alpha):
    """Where the p-value passes alpha between the candidates i and i + 1."""
    a, b = p_value[i : i + 2]
    return errors[i] + (errors[i + 1] - errors[i]) * (alpha - a) / (b - a)


def _populations(held, noise, errors):
    """Gaps of the bins whose absolute values sum to each error, ``(errors, bins)``.

    Below the observed ECE by the adaptive lasso [2]: a gap d with variance v becomes |d| - c v / |d|^(1/2), or 0.
    With a plain lasso, intervals missed populations whose error sits in few bins; with the exponent 1, they held
    those whose error is spread over all bins too often.
    """
    size = np.maximum(np.abs(held.gap), 1e-300)
    ratio = noise / np.sqrt(size)
    low, high = np.zeros(len(errors)), np.full(len(errors), (size / np.maximum(ratio, 1e-300)).max())
    for _ in range(50):  # the sum falls as the shrinkage grows
        middle = (low + high) / 2
        more = np.maximum(size - middle[:, None] * ratio, 0).sum(axis=1) > errors
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    shrunk = np.maximum(size - high[:, None] * ratio, 0)
    widened = size + np.maximum(errors - size.sum(), 0)[:, None] * noise / noise.sum()
    gaps = np.where(held.gap < 0, -1, 1) * np.where((errors < size.sum())[:, None], shrunk, widened)
    gaps[0] = 0
    return np.clip(gaps, -held.share * held.mean, held.share * (1 - held.mean))


def _ece_under(held, gaps, draw):
    """ECEs of samples from each population, ``(populations, resamples)``.

    The gap of a bin is drawn from a normal distribution with the first Cornish-Fisher term for its skewness [4]:
    hits are few where a class is rare.  The counts of the bins vary as well, as a multinomial does.
    """
    label, count = (d[:, held.kept] for d in draw)
    root = np.sqrt(held.share)
    moved = root * (count - np.outer(count @ root, root)) / np.sqrt(held.n)
    step = gaps / held.share
    frequency = np.clip(held.mean + step, 0, 1)
    sd = np.sqrt(held.variance(frequency))
    skewness = np.divide(1 - 2 * frequency, sd * held.n, out=np.zeros_like(sd), where=sd > 0).clip(-2, 2)
    # a gap is a sum of four products, of what depends on the population and what depends on the draw
    of_population = np.stack([gaps, sd, sd * skewness, step]).transpose(2, 1, 0)
    of_draw = np.stack([np.ones_like(label), label, (label**2 - 1) / 6, moved]).transpose(2, 0, 1)
    total = np.zeros((len(gaps), len(label)))
    for left, right in zip(of_population, of_draw, strict=True):
        total += np.abs(left @ right)
    return total

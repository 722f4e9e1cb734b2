"""An interval for the calibration error that holds the true value as often as it says.

A percentile bootstrap adds the bias of the ECE once more and misses the truth. Instead, for each
possible true error t, ask whether a population with the error t would show the observed ECE; the
interval is the set of all t where it would. Of the many populations with the error t, the one
that follows from the data is taken, as in hybrid resampling [Chuang 2000]. Two thirds of t are the
observed gaps of the bins, shrunk as the adaptive lasso does [Zou 2006] or widened, which suits
errors that sit in few bins; one third is what the best non-decreasing recalibration of the bins
would mend, scaled, which suits errors that run through all of them. For the mean over the classes
the bins of all classes are taken together, with the sampling noise that they share. Which ECEs are
"shown" by t is decided by the likelihood-ratio order of Feldman and Cousins [Feldman 1998].
``results/coverage/coverage.py`` measures the coverage, which is recorded beside it.
"""

import numpy as np

from acrlls.calibration.binning import bin_sums, binned
from acrlls.calibration.checks import OF, check, check_choice, check_level, random, whole_number
from acrlls.calibration.resampling import Interval

GRID = 33  # candidate true errors
SPARSE = 2 / 3  # share of a possible error that sits where the images show one
CERTAIN = 1e-6  # distance from 0 or 1 within which a mean score counts as that
SOFT = 1e-13  # what a score of 0 counts as where bins are compared
# share of a possible error of several columns that is spread over all bins by their standard
# errors; without it the interval for the mean held small errors too seldom
EVEN = 0.1


def ece_interval(
    p, y, bins=15, strategy="uniform", *, of="classes", level=0.95, resamples=1000, seed=0
) -> Interval:
    """Interval for the true calibration error of scores ``(n, classes)`` and labels ``(n,)``.

    The true value is :func:`true_calibration_error` with these bins, or with
    ``strategy="quantile"`` those of the population's quantiles. Copies of an image count as more
    images than there are and make the interval too narrow. Scores may be exactly 0 or 1.

    ``of`` is ``"classes"`` for each class against the rest, ``"mean"`` for the mean of these
    errors, ``"top_label"`` for the predicted class; ``level`` the coverage aimed at, in (0, 1);
    ``resamples`` the drawings behind each of the tests that are inverted. The ends and the estimate
    are ``(classes,)`` for the classes and floats otherwise. Bad probabilities or labels (the
    message names the row), settings, or too few ``resamples`` for the level are a ``ValueError``.

    The estimate is the true error whose expected ECE is the observed one, or 0 where that lies
    below the mean of the noise floor; so it is *below* the ECE, which may lie above ``high``. A
    ``low`` of 0 says that the images do not show any miscalibration at this level.
    """
    p, y = check(p, y)
    resamples = whole_number("resamples", resamples)
    level = check_level(level, resamples)
    found = []
    for about in _columns(p, of):
        held = Bins(p, y, about, bins, strategy)
        ends = _inverted(held, *held.noise(resamples, seed), 1 - level)
        found.append(np.array(ends) / about.shape[1])
    return Interval(*(np.transpose(found) if of == "classes" else found[0].tolist()))


def _columns(p, of) -> list[np.ndarray]:
    """The class that each column of scores is about, ``(n, columns)``, an array an interval."""
    check_choice("of", of, OF)
    if of == "top_label":
        return [p.argmax(axis=1)[:, None]]
    classes = np.tile(np.arange(p.shape[1]), (len(p), 1))
    return [classes] if of == "mean" else [classes[:, [k]] for k in range(p.shape[1])]


class Bins:
    """What the full bins of one or several ``columns`` of scores, one after another, hold; arrays
    ``(bins,)``, of which the absolute values of ``gap`` sum to the ECE."""

    def __init__(self, p, y, about, bins, strategy):
        scores, n = np.take_along_axis(p, about, axis=1), len(y)
        held = binned(scores, about == y[:, None], bins, strategy)
        self.n, self.columns, self.kept = n, about.shape[1], held.count.ravel() > 0
        sums = held.count, held.total, held.hits
        count, total, hits = (values.ravel()[self.kept] for values in sums)
        self.share, self.mean, self.gap = count / n, total / count, (hits - total) / n
        variance = bin_sums(scores * (1 - scores), held.where, held.count.shape[1])
        most = self.mean * (1 - self.mean)
        spread = variance.ravel()[self.kept] / count
        # the factor by which the spread of the scores in a bin lowers the frequency's variance
        self.spread = np.divide(spread, most, out=np.ones_like(most), where=spread > 0).clip(0, 1)
        self.certain = most < CERTAIN  # a gap has one direction only
        # shrunk by one image's weight, so that none is 0 or 1
        self.frequency = (hits + np.where(self.certain, 0.5, self.mean)) / (count + 1)
        # scores of 0 and 1 would leave no noise between bins: all a little towards each class alike
        soft = scores * (1 - SOFT * p.shape[1]) + SOFT
        both = np.ix_(self.kept, self.kept)
        together = _together(soft, about, held.where, held.count.shape[1])
        labels, counts = (m[both] for m in together)
        # correlation of the gaps as sampled labels move them; covariance of the counts, scaled
        self.labels = _scaled(labels, labels.diagonal())
        self.counts = _scaled(counts - n * np.outer(self.share, self.share), count)

    def noise(self, resamples, seed):
        """Correlated normal noise of the labels and of the counts, each ``(resamples, bins)``."""
        draw = random(seed).standard_normal((2, resamples, len(self.kept)))
        draw = draw[:, :, self.kept]
        return draw[0] @ _root(self.labels), draw[1] @ _root(self.counts)

    def recalibration(self):
        """Gaps that the best rising recalibration of each column would mend, ``(bins,)``."""
        from scipy.optimize import isotonic_regression  # not above: it loads slowly

        frequency = (self.mean + self.gap / self.share).clip(0, 1)
        # apart, so that no column is pooled with the next
        apart = 2.0 * (np.flatnonzero(self.kept) * self.columns // len(self.kept))
        fitted = isotonic_regression(frequency + apart, weights=self.share).x - apart
        return self.share * (fitted - self.mean)

    def variance(self, frequency):
        """Of the gap, given the scores, where the labels come true with these frequencies."""
        return self.share * frequency * (1 - frequency) * self.spread / self.n


def _together(scores, about, where, bins):
    """Covariance of the hits of any two bins if the scores are right, and the images in both."""
    columns = about.shape[1]
    found = np.zeros((2, columns, bins, columns, bins))
    for a, b in np.ndindex(columns, columns):
        both = where[:, a] * bins + where[:, b]
        # labels of one image have the covariance -p_k p_l, and that of k the variance p_k - p_k²
        same = np.where(about[:, a] == about[:, b], scores[:, a], 0)
        for k, weight in enumerate((same - scores[:, a] * scores[:, b], None)):
            sums = np.bincount(both, weight, minlength=bins * bins)
            found[k, a, :, b] = sums.reshape(bins, bins)
    return found.reshape(2, columns * bins, columns * bins)


def _scaled(covariance, scale):
    by = np.sqrt(np.where(scale > 0, scale, 1))
    return covariance / np.outer(by, by)


def _root(covariance):
    """Symmetric square root."""
    value, vector = np.linalg.eigh(covariance)
    return (vector * np.sqrt(np.where(value > 1e-12, value, 0))) @ vector.T


def _inverted(held: Bins, label, count, alpha):
    """Estimate, low and high of the sum of the sizes of the gaps."""
    observed = np.abs(held.gap).sum()
    noise = held.variance(held.frequency) + held.gap**2 / (held.share * held.n)
    sd = np.sqrt(noise)
    reach = 5 * np.sqrt(sd @ np.abs(held.labels) @ sd)
    start = max(observed - sd.sum() - reach, 0)  # no bias exceeds the sum of standard errors
    p_value = [1]
    while p_value[-1] > alpha and reach < 4 * held.columns:  # until the largest error is refused
        errors = np.append(0, np.linspace(start, observed + reach, GRID))  # 0 is the noise floor
        gaps = populations(held, noise, errors)
        errors, drawn = np.abs(gaps).sum(axis=1), _ece_under(held, gaps, label, count)
        mean, sd = drawn.mean(axis=1)[:, None], np.maximum(drawn.std(axis=1), 1e-12)[:, None]

        def order(value, mean=mean, sd=sd):  # minus twice the log likelihood ratio of normals
            return ((value - mean) / sd) ** 2 - np.minimum((value - mean[0]) / sd[0], 0) ** 2

        p_value = (1 + (order(drawn) >= order(observed)).sum(axis=1)) / (1 + drawn.shape[1])
        reach *= 2
    rising = np.maximum.accumulate(mean[:, 0])
    estimate = np.interp(observed, rising, errors) if observed > mean[0, 0] else 0.0
    low, high = _accepted(errors, p_value, alpha)
    return estimate, min(low, estimate), max(high, estimate)


def _accepted(errors, p_value, alpha):
    """Ends of the range whose p-values are above alpha; the likeliest error where none is."""
    inside = np.flatnonzero(p_value > alpha)
    if not len(inside):
        return (errors[p_value.argmax()],) * 2

    def crossing(i):
        a, b = p_value[i : i + 2]
        return errors[i] + (errors[i + 1] - errors[i]) * (alpha - a) / (b - a)

    first, last = inside[0], inside[-1]
    low = errors[0] if first == 0 else crossing(first - 1)
    return low, errors[-1] if last == len(errors) - 1 else crossing(last)


def populations(held, noise, errors):
    """Gaps of the bins whose sizes sum to each error, ``(errors, bins)``."""
    observed, mended = np.abs(held.gap), held.recalibration()
    # [Zou 2006] makes of a gap d with variance v the gap |d| - c v / |d|^(1/2), or 0
    ratio = np.where(observed > 0, noise / np.sqrt(np.maximum(observed, 1e-300)), 0)
    low = np.zeros(len(errors))
    high = np.full(len(errors), (observed / np.maximum(ratio, 1e-300)).max())
    for _ in range(50):  # the sum falls as the shrinkage grows
        middle = (low + high) / 2
        more = np.maximum(observed - middle[:, None] * ratio, 0).sum(axis=1) > errors
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    shrunk = np.maximum(observed - high[:, None] * ratio, 0)
    beyond = np.maximum(errors - observed.sum(), 0)[:, None]
    widened = observed + beyond * noise / noise.sum()
    sparse = np.where((errors < observed.sum())[:, None], shrunk, widened)
    evenly = np.sqrt(noise) / np.sqrt(noise).sum()
    total = np.abs(mended).sum()
    steady = errors[:, None] * (np.abs(mended) / total if total > 0 else evenly)
    even = EVEN if held.columns > 1 else 0
    size = (1 - even) * (SPARSE * sparse + (1 - SPARSE) * steady) + even * errors[:, None] * evenly
    size[errors == 0] = 0
    larger = np.where((1 - SPARSE) * steady > SPARSE * sparse, mended, held.gap)
    falls = np.where(held.certain, held.mean > 0.5, larger < 0)
    gaps = np.where(falls, -1, 1) * size
    return np.clip(gaps, -held.share * held.mean, held.share * (1 - held.mean))


def _ece_under(held, gaps, label, count):
    """ECEs of samples from each population, ``(populations, resamples)``: gaps from a normal
    distribution with the first Cornish-Fisher term for its skewness [Hall 1983]; hits may be few.
    """
    moved = np.sqrt(held.share / held.n) * count
    step = gaps / held.share
    frequency = np.clip(held.mean + step, 0, 1)
    sd = np.sqrt(held.variance(frequency))
    skewness = np.divide(1 - 2 * frequency, sd * held.n, out=np.zeros_like(sd), where=sd > 0)
    skewness = skewness.clip(-2, 2)
    # a gap is a sum of four products, of what the population and what the draw decides
    of_population = np.stack([gaps, sd, sd * skewness, step]).transpose(2, 1, 0)
    of_draw = np.stack([np.ones_like(label), label, (label**2 - 1) / 6, moved]).transpose(2, 0, 1)
    total = np.zeros((len(gaps), len(label)))
    for k, (left, right) in enumerate(zip(of_population, of_draw, strict=True)):
        drawn = left @ right
        if held.certain[k]:
            drawn = drawn.clip(max=0) if held.mean[k] > 0.5 else drawn.clip(0)
        total += np.abs(drawn)
    return total

"""Intervals for the calibration measures that have no bins: smooth ECE, and reliability and resolution of the Brier score.

Imported through ``acrlls.calibration.registry``, which says what ``p`` and ``y`` are.

All are biased upwards as the ECE is, and their intervals are those of inverted tests as in :mod:`acrlls.calibration.intervals`.  What a
possible population shows has no formula here, so samples are drawn from it: images with replacement, and each label from
its probability.  A score that no other image has is moved at random, halfway to its neighbours at the most: isotonic
regression pools ties, which drawn images would have and new ones have not.

Of the smooth ECE the populations are those of the ECE.  Their bins have the ends of 15 of equal width and of 15 of equal
mass: the former alone do not see what errs differently within a narrow range of scores, as in a coarse model, nor the latter
what errs on few images.  An error that alternates within all of them is in none of the populations; where the images show
more than any of these would, the interval is the whole range from 0 to 1.  Of the reliability, which compares with a
non-decreasing recalibration, they have that of the images, less of it or more; with gaps of bins in its place the intervals
held the truth in .92 of samples of 300 images, in single cells in .77.  Of the resolution they are the recalibrated
probabilities, brought nearer to the frequency of the class or away from it.

On a few hundred images the intervals hold the truth a little too seldom (:mod:`acrlls.calibration.coverage`).
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.optimize import isotonic_regression

from acrlls.calibration.checks import STRATEGIES, bin_edges, check, places, whole_number
from acrlls.calibration.floor import WITHOUT_BINS
from acrlls.calibration.intervals import Bins, accepted_errors, by_columns, candidates, populations
from acrlls.calibration.resampling import Interval

POSSIBLE = 9  # populations from which samples are drawn, beside that without error
FINE = 4  # as many are taken as possible, by interpolation
BINS = 15  # of each kind; of the possible populations of the smooth ECE alone
MESH = (
    1 << 8
)  # cells of the smooth ECE; the 16 times as many of the estimate change it by 1 to 3 % where it is 0.005
ALONE = np.zeros(1), None, None  # where there is no noise
_AT_ONCE = 50_000  # labels drawn together: what fits a processor's cache


def smooth_ece_interval(
    p, y, *, of: str = "classes", level: float = 0.95, resamples: int = 200, seed: int = 0
) -> Interval:
    """Interval for the true smooth ECE of each class or of the top label, which :func:`classwise_smooth_ece` estimates.

    The true value is the smooth ECE of the population which the images come from, with its true probabilities in place
    of labels.  A few seconds for 3,000 images; the time grows with images, classes and ``resamples``.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``.
        of: ``"classes"`` for each class against the rest, ``"top_label"`` for the predicted class.
        level: coverage aimed at, in (0, 1).
        resamples: samples drawn from each of about a dozen possible populations.

    Returns:
        ``low``, ``high`` and ``estimate`` as of :func:`ece_interval`: the estimate is freed of its bias, and so mostly below
        the smooth ECE.

    Raises:
        ValueError: bad probabilities or labels (the message names the row), ``of`` or level, or too few ``resamples`` for it.
    """
    return _simulated(
        lambda s, t: WITHOUT_BINS["smooth_ece"](s, t, MESH),
        _in_bins,
        p,
        y,
        of,
        level,
        resamples,
        seed,
    )


def brier_reliability_interval(
    p, y, *, of: str = "classes", level: float = 0.95, resamples: int = 200, seed: int = 0
) -> Interval:
    """Interval for the true reliability part of the Brier score, which :func:`brier_reliability` estimates.

    The true value is what the best non-decreasing recalibration would gain on the population which the images come
    from.  Arguments and result are those of :func:`smooth_ece_interval`.
    """
    return _simulated(
        WITHOUT_BINS["brier_reliability"], _recalibrated, p, y, of, level, resamples, seed
    )


def brier_resolution_interval(
    p, y, *, of: str = "classes", level: float = 0.95, resamples: int = 200, seed: int = 0
) -> Interval:
    """Interval for the true resolution part of the Brier score, which :func:`brier_resolution` estimates.

    The true value is the variance, in the population which the images come from, of what the best non-decreasing
    recalibration would say.  Arguments and result are those of :func:`smooth_ece_interval`.
    """
    return _simulated(
        WITHOUT_BINS["brier_resolution"], _told_apart, p, y, of, level, resamples, seed
    )


def _simulated(measure, family, p, y, of, level, resamples, seed):
    """Interval of ``measure``, a function of scores ``(n, columns)`` and targets ``(…, n, columns)`` that gives ``(…, columns)``.

    ``family(measure, scores, hits)`` gives possible populations of rising scores ``(n,)``: the measure of each, that of the
    first being 0; by how much its true probabilities exceed the scores, ``(populations, n)``; and how often it has each
    image, alike, or None where that is the same for all.  One population alone says that there is no noise.
    """
    p, y = check(p, y)
    resamples = whole_number("resamples", resamples)

    def invert(about):
        scores, hits = np.take_along_axis(p, about, axis=1)[:, 0], (about[:, 0] == y).astype(float)
        order = scores.argsort(kind="stable")
        scores, hits = scores[order], hits[order]
        observed = measure(scores[:, None], hits[:, None])[0]
        values, steps, often = family(measure, scores, hits)
        values, first = np.unique(values, return_index=True)
        if len(values) == 1:
            return observed, observed, observed
        drawn = _drawn(
            measure, scores, steps[first], resamples, seed, None if often is None else often[first]
        )
        if (drawn >= observed).mean(axis=1).max() <= (1 - level) / 2:
            return observed, 0.0, 1.0
        # of the same luck, samples of populations in between show what is in between
        fine = np.interp(
            np.linspace(0, 1, FINE * len(values)), np.linspace(0, 1, len(values)), values
        )
        return accepted_errors(
            fine, make_interp_spline(values, drawn, k=1)(fine), observed, 1 - level
        )

    return by_columns(invert, p, of, ("classes", "top_label"), level, resamples)


def _in_bins(measure, scores, hits):
    """Populations that err as the images show, less or more."""
    edges = np.unique([bin_edges(scores[:, None], BINS, strategy) for strategy in STRATEGIES])[None]
    column = np.ones((len(scores), 1), int)
    held = Bins.within(np.column_stack([1 - scores, scores]), hits.astype(int), column, edges)
    noise, _, errors = candidates(held)
    if not noise.any():  # every score is 0 or 1 and right
        return ALONE
    gaps = populations(held, noise, np.unique([0, errors[0] / 2, *errors[::4]]))
    step = np.zeros((len(gaps), len(held.kept)))
    step[:, held.kept] = gaps / held.share
    steps = step[:, places(scores[:, None], edges)[:, 0]]
    return _of(measure, scores, steps), steps, None


def _of(measure, scores, steps):
    """The measure of each population, whose true probabilities are taken as targets."""
    return measure(scores[:, None], np.clip(scores + steps, 0, 1)[:, :, None])[:, 0]


def _isotonic(scores, hits):
    """The best non-decreasing recalibration of each score."""
    _, group, count = np.unique(scores, return_inverse=True, return_counts=True)
    return isotonic_regression(np.bincount(group, hits) / count, weights=count).x[group]


def _recalibrated(measure, scores, hits):
    """Populations in which the best recalibration is that of the images, but less of it or more."""
    most = scores * (1 - scores)
    right = _isotonic(scores, hits)
    away = right - scores
    if not away.any():
        away = most
    if not away.any():  # every score is 0 or 1 and right
        return ALONE
    n, now = len(scores), (away**2).mean()
    sd = np.std(away**2 + 2 * away * (hits - right)) / np.sqrt(n)
    bias = most.mean() * (2 + np.log(n)) / n  # about the noise floor
    observed = measure(scores[:, None], hits[:, None])[0]
    aim = np.linspace(
        max(now - 3 * bias - 6 * sd, 0), max(now, observed) + 2 * bias + 6 * sd, POSSIBLE
    )
    aim = np.unique([0, aim[0] / 2, *aim])
    steps = np.clip(np.sqrt(aim / now)[:, None] * away, -scores, 1 - scores)
    return _of(measure, scores, steps), steps, None


def _told_apart(measure, scores, hits):
    """Populations whose classes are told apart as the images show, less well or better.

    A resolution is higher also where the class is more frequent, as luck may have made it in the images.  So a population
    has the frequency that goes best with its resolution, up to three standard errors from that of the images; these are in
    it the more often or seldom for it.  The rest is up to its probabilities, which are nearer to the frequency or further
    away.
    """
    right, base, n = _isotonic(scores, hits), hits.mean(), len(hits)
    if scores[0] == scores[-1] or base in (0, 1):
        return ALONE
    if right[0] == right[-1]:  # nothing is told apart, or the wrong way round
        right = base + (scores - scores.mean()) * base * (1 - base)
    now = np.var(right)
    influence = (1 - 2 * base) * hits - (hits - right) ** 2
    sd, slope = (
        influence.std() / np.sqrt(n),
        np.cov(influence, hits, bias=True)[0, 1] / max(influence.var(), 1e-300),
    )
    bias = base * (1 - base) * (1 + np.log(n)) / n  # at least that of scores that tell nothing
    aim = np.linspace(max(now - bias - 6 * sd, 0), now + 2 * bias + 6 * sd, POSSIBLE)
    aim = np.unique([0, *aim])[:, None]
    reach = min(3 * np.sqrt(base * (1 - base) / n), base / 2, (1 - base) / 2)
    frequency = base + ((aim - now) * slope).clip(-reach, reach)
    of_class, of_rest = frequency / base * right, (1 - frequency) / (1 - base) * (1 - right)
    often = (of_class + of_rest) / n
    away = of_class / (of_class + of_rest) - frequency
    stretch = np.sqrt(aim / (often * away**2).sum(axis=1, keepdims=True))
    eta = np.clip(frequency + stretch * away, 0, 1)
    spread = (eta - (often * eta).sum(axis=1, keepdims=True)) ** 2
    values = (often * spread).sum(axis=1)
    values[0] = 0  # not what rounding leaves
    return values, eta - scores, often


def _drawn(measure, scores, steps, resamples, seed, often=None):
    """The measure of samples from populations, ``(populations, resamples)``, of the same luck for all.

    Args:
        scores: rising, ``(n,)``.
        steps: true probabilities minus scores, ``(populations, n)``.
        often: share of each image in each population, ``(populations, n)``; None for 1/n, and so the same images for all.
    """
    rng, found, n = np.random.default_rng(seed), [], len(scores)
    gap = np.diff(scores)
    alone = np.append(True, gap > 0) & np.append(gap > 0, True)
    down, up = (np.where(alone, room / 2, 0) for room in (np.append(0, gap), np.append(gap, 0)))
    at_once = max(1, _AT_ONCE // (n if often is not None else steps.size))
    for left in range(resamples, 0, -at_once):
        size = min(left, at_once), n
        wait = rng.standard_exponential((size[0], n + 1)).cumsum(axis=1)
        which = (
            wait[:, :-1] / wait[:, -1:]
        )  # sorted uniform numbers, so that the rows are sorted and the scores nearly so
        moved, luck = rng.uniform(-1, 1, size), rng.random(size)

        def shown(rows, steps, moved=moved, luck=luck):
            drawn = scores[rows] + moved * np.where(moved < 0, down[rows], up[rows])
            labels = luck < drawn + steps[:, rows]
            return measure(drawn.T, labels.swapaxes(-1, -2).astype(float))

        if often is None:
            found.append(shown((which * n).astype(np.intp).clip(max=n - 1), steps))
        else:
            ends = often.cumsum(axis=1)[:, :-1]
            each = [np.searchsorted(end, which, side="right") for end in ends]
            found.append(np.concatenate([shown(rows, steps[[i]]) for i, rows in enumerate(each)]))
    return np.concatenate(found, axis=1)

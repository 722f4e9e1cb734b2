"""What sampling noise alone would show, for published numbers whose scores nobody has.

Would perfect calibration show such an ECE, and would two calibrated models differ by as much on the
same images (:func:`simulate`)? Would two equally good models (:func:`mcnemar_curve`)? The first two
are asked of several *shapes*: arrays of :data:`POOL` scores of a class in ascending order, each as
likely as the next."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import beta, norm, rankdata

from acrlls.calibration import mcnemar

# Scores of a shape; with the label as last bit a place fits 16 bits, which NumPy sorts in one pass.
POOL = 2**15

BINNINGS = tuple(product(("uniform", "quantile"), (5, 10, 15, 20, 30, 50)))
ALIKE = 4  # models that are simulated on the same images; every two of them are a draw of a pair


# --- Shapes of calibrated scores ---------------------------------------------------------------


def beta_shape(prevalence: float, brier: float) -> np.ndarray:
    """Beta-distributed scores with mean ``prevalence`` and E[p(1 - p)] = ``brier``, which is what
    calibration makes the Brier score."""
    strength = brier / (prevalence * (1 - prevalence) - brier)
    return beta.ppf(_middles(POOL), prevalence * strength, (1 - prevalence) * strength)


def two_group_shape(prevalence: float, brier: float, auc: float, errors: float, n) -> np.ndarray:
    """Easy images, on which the model is certain and right, and hard ones, on which its evidence is
    normal with the same variance for both labels (binormal [Hanley 1982]). The Brier score is met
    exactly, and AUC and number of ``errors`` (of all ``n`` images, those of the class called
    another and the reverse) as closely as can be, each in standard errors."""
    x, candidates = np.linspace(-15, 15, 3001), []
    # the variance of an AUC by Hanley and McNeil [Hanley 1982]
    positive, negative = prevalence * n, (1 - prevalence) * n
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positive - 1) * (q1 - auc**2) + (negative - 1) * (q2 - auc**2)
    variance /= positive * negative
    for distance in np.arange(0.02, 8, 0.02):
        weight = prevalence * norm.pdf(x - distance / 2)
        weight += (1 - prevalence) * norm.pdf(x + distance / 2)
        weight /= weight.sum()
        p = expit(logit(prevalence) + distance * x)
        hard = brier / (weight @ (p * (1 - p)))
        if hard > 1:
            break
        area = 1 - hard**2 * norm.cdf(-distance / np.sqrt(2))
        wrong = n * hard * (weight @ np.minimum(p, 1 - p))
        misfit = (area - auc) ** 2 / variance + (wrong - errors) ** 2 / max(errors, 1)
        candidates.append((misfit, hard, p, weight.cumsum()))
    _, hard, p, below = min(candidates, key=lambda candidate: candidate[0])
    size, sure = round(hard * POOL), round((1 - hard) * prevalence * POOL)
    middle = np.interp(_middles(size), below, p)
    return np.concatenate([np.zeros(POOL - size - sure), middle, np.ones(sure)])


def _middles(size: int) -> np.ndarray:
    return (np.arange(size) + 0.5) / size


# --- What perfect calibration would show -------------------------------------------------------


def binned_gaps(shape, places, labels, binnings=BINNINGS) -> np.ndarray:
    """ECE of one class for many test sets and several binnings at once, ``(resamples, binnings)``:
    scores ``shape`` in ascending order, the index ``places`` into it and the label of every image
    of every test set, both ``(resamples, n)``, and kind and number of bins of each binning."""
    key = np.sort(places.astype(np.uint16) * np.uint16(2) + labels, axis=1, kind="stable")
    places, labels = key >> 1, key & 1
    resamples, n = key.shape
    # With sorted scores, the residuals of a bin sum to the difference of a running sum at its ends.
    running = np.zeros((resamples, n + 1))
    np.cumsum(labels - shape[places], axis=1, out=running[:, 1:])
    start = np.arange(resamples)[:, None]
    # Ascending as a whole, so that one search finds the ends of all rows.
    line = (places + start * POOL).ravel()
    errors = []
    for kind, bins in binnings:
        if kind == "uniform":
            last = np.searchsorted(shape, np.linspace(0, 1, bins + 1)[1:-1], side="right") - 1
            last = np.broadcast_to(last, (resamples, bins - 1))
        else:  # equal scores stay together
            last = places[:, -(-np.arange(1, bins) * n // bins) - 1]
            last = np.searchsorted(shape, shape[last].ravel(), side="right").reshape(last.shape) - 1
        cut = np.searchsorted(line, last + start * POOL, side="right") - start * n
        ends = np.take_along_axis(running, np.hstack([0 * start, cut, n + 0 * start]), axis=1)
        errors.append(np.abs(np.diff(ends, axis=1)).sum(axis=1) / n)
    return np.column_stack(errors)


def simulate(
    shapes: Mapping[str, np.ndarray], alike, n: int, draws: int, seed=0, binnings=BINNINGS
) -> dict[str, np.ndarray]:
    """ECE of several perfectly calibrated models on the same ``n`` images, by the shape of their
    scores; each ``(models, draws, binnings)``. Labels are drawn first, then each model's score
    given the label, which makes all calibrated; the scores of an image hang together by a normal
    copula, whose correlation ``alike`` is that of :func:`score_correlations` for the label 0 and 1.
    The shapes must have the same mean."""
    rng = np.random.default_rng(seed)
    prevalence = np.mean([shape.mean() for shape in shapes.values()])
    labels = rng.random((draws, n), dtype=np.float32) < prevalence
    rho = np.asarray(alike, np.float32)[labels.astype(np.uint8)]
    common, alone = np.sqrt(rho) * rng.standard_normal((draws, n), np.float32), np.sqrt(1 - rho)
    cells, given, found = 2**16, {}, {name: [] for name in shapes}
    for name, shape in shapes.items():
        # Quantiles of the scores given the label: a score p goes with a label 1 in proportion to p.
        each = [np.searchsorted(w.cumsum() / w.sum(), _middles(cells)) for w in (1 - shape, shape)]
        given[name] = np.concatenate(each).clip(max=len(shape) - 1).astype(np.uint16)
    for _ in range(ALIKE):
        rank = cells * ndtr(common + alone * rng.standard_normal((draws, n), np.float32))
        rank = rank.clip(max=cells - 1).astype(np.uint32) + labels * np.uint32(cells)
        for name, shape in shapes.items():
            found[name].append(binned_gaps(shape, given[name][rank], labels, binnings))
    return {name: np.array(errors) for name, errors in found.items()}


def score_correlations(first, second, hits) -> tuple[float, float]:
    """Correlation of the normal scores of two models' scores of one class within the label 0 and
    the label 1, which ``hits`` tell, all ``(n,)``; negative ones as 0."""
    found = []
    for label in (False, True):
        rows = np.asarray(hits, bool) == label
        ranks = [ndtri(rankdata(np.asarray(p)[rows]) / (rows.sum() + 1)) for p in (first, second)]
        found.append(max(0.0, float(np.corrcoef(*ranks)[0, 1])))
    return tuple(found)


# --- Tests -------------------------------------------------------------------------------------


def tails(draws, value: float) -> tuple[float, float]:
    """p-values of a value against draws of the null, of being as small and of being as large:
    (1 + number as extreme) / (1 + number of draws) [North 2002]."""
    near = 1e-12  # a printed number may equal a draw but for the last bit
    counts = (draws <= value + near).sum(), (draws >= value - near).sum()
    return tuple(float((1 + k) / (1 + len(draws))) for k in counts)


def mcnemar_curve(wrong_first: int, wrong_second: int) -> pd.Series:
    """Exact two-sided McNemar p-value [McNemar 1947] by the number of images that exactly one of
    two models gets right, over all its possible values in order. That number, ``discordant``,
    decides and is seldom published. It is at least the difference of the two models' mistakes, at
    most their sum, and differs from both by an even number."""
    gap = abs(wrong_first - wrong_second)
    discordant = np.arange(gap, wrong_first + wrong_second + 1, 2)
    p = mcnemar((discordant + gap) // 2, discordant)
    return pd.Series(p, pd.Index(discordant, name="discordant"), name="p")

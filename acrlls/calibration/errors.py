"""Calibration errors: binned, debiased and smooth.

Bins are closed on the right, ``(a, b]``, as in [Guo 2017] and scikit-learn's ``calibration_curve``;
a score of 0 is in the first bin and of 1 in the last. The paper gives neither the number of bins
nor their kind; 15 of equal width is our choice.
"""

import numpy as np

from acrlls.calibration.binning import binned, columns_of
from acrlls.calibration.checks import check, check_choice, check_pair, one_hot
from acrlls.calibration.scores import isotonic_parts

MESH = 1 << 12  # cells of [0, 1] on which the smooth ECE is computed


def ece(p, y, bins: int = 15, strategy: str = "uniform", *, of: str = "top_label"):
    """Expected calibration error [Guo 2017]: sum of count/n · ``|frequency - mean score|`` of bins.

    Of probabilities ``p``, ``(n, classes)``, and labels ``y``, ``(n,)``. ``strategy`` is
    ``"uniform"`` for bins of equal width on [0, 1], ``"quantile"`` for bins of about equal count
    (ties stay together, so that some may be empty). ``of`` is ``"top_label"`` for the predicted
    class, ``"classes"`` for each class against the rest over all images [Kull 2019], ``"mean"`` for
    the mean over the classes. Gives a float in [0, 1], or ``(classes,)`` for the classes; bad
    probabilities or labels (the message names the row) and settings are a ``ValueError``.

    Perfect calibration does not give 0 on a finite sample: see :func:`noise_floor`.
    """
    return named_error("ece", p, y, bins, strategy, of)


def classwise_ece(p, y, bins: int = 15, strategy: str = "uniform") -> np.ndarray:
    """:func:`ece` of each class against the rest, ``(classes,)``: the ECE of Table V."""
    return ece(p, y, bins, strategy, of="classes")


def mce(p, y, bins: int = 15, strategy: str = "uniform", *, of: str = "top_label"):
    """Maximum calibration error: the largest ``|frequency - mean score|`` of a bin [Naeini 2015].

    A bin of one image counts as much as any other, so that it is mostly sampling noise where bins
    hold few images. Arguments and result as in :func:`ece`.
    """
    return named_error("mce", p, y, bins, strategy, of)


def debiased_ece(p, y, bins: int = 15, strategy: str = "uniform", *, of: str = "top_label"):
    """Debiased l2 calibration error [Kumar 2019]; arguments and result as in :func:`ece`.

    With c_b the mean score, a_b the frequency and n_b the count of bin b, it is the root of

        sum_b n_b/n · [(c_b - a_b)² - a_b (1 - a_b) / (n_b - 1)]

    or 0 where the sum is negative. The second term is what sampling noise adds to the first on
    average. Bins of fewer than two images count as 0. Not to be compared with the ECE, an l1 error.
    """
    return named_error("debiased_ece", p, y, bins, strategy, of)


def smooth_ece(p, y, *, of: str = "top_label"):
    """Smooth ECE [Błasiok 2024]: no bins, a bandwidth from the data; ``of`` as in :func:`ece`.

    The residuals (label - score), each at its score, are smoothed over [0, 1] by a Gaussian kernel
    of width s, reflected at both ends. The integral of the absolute value falls as s grows; the
    smooth ECE is the value at which both are equal. Its mesh makes it exact to about 0.0003.
    """
    return named_error("smooth_ece", p, y, of=of)


def true_calibration_error(
    p, eta, bins: int = 15, strategy: str = "uniform", *, of: str = "classes", norm: str = "l1"
):
    """Calibration error with true probabilities ``eta``, ``(n, classes)``, in place of labels.

    Estimates E|E[eta_k | bin of p_k] - E[p_k | bin of p_k]| where the true probabilities are known
    (the phantom). No label is drawn, so that only the spread of ``eta`` within a bin leaves
    sampling noise; use 100,000 images or more. It is not E|eta - p|, which is large for a
    calibrated model that does not see all that ``eta`` depends on.

    ``norm`` is ``"l1"``, which :func:`ece` estimates, ``"l2"``, which :func:`debiased_ece` does, or
    ``"smooth"``, which :func:`smooth_ece` does and which has no bins; the rest as in :func:`ece`.
    """
    p, eta = check_pair(p, eta, "eta")
    check_choice("norm", norm, ("l1", "l2", "smooth"))
    scores, targets = columns_of(p, eta, of)
    if norm == "smooth":
        return _of(smooth_error(scores, targets), of)
    held = binned(scores, targets, bins, strategy)
    if norm == "l1":
        return _of(OF_BINS["ece"](held), of)
    squares = held.gaps**2 * len(p) / np.maximum(held.count, 1)
    return _of(np.sqrt(squares.sum(axis=1)), of)


def named_error(name, p, y, bins=15, strategy="uniform", of="top_label"):
    """A calibration error by its name in the two tables below; the rest as in :func:`ece`."""
    p, y = check(p, y)
    scores, targets = columns_of(p, one_hot(y, p.shape[1]), of)
    if name in WITHOUT_BINS:
        return _of(WITHOUT_BINS[name](scores, targets), of)
    return _of(OF_BINS[name](binned(scores, targets, bins, strategy)), of)


def kind_and_strategy(name: str, strategy: str = "uniform") -> tuple[str, str]:
    """An error's name in those tables, and its bins, from its name in the registry."""
    kind = name.removeprefix("classwise_").removesuffix("_quantile")
    return kind, "quantile" if name.endswith("_quantile") else strategy


def _of(values, of):
    return values if of == "classes" else float(values.mean())


def _debiased(held):
    enough = np.maximum(held.count, 2)
    share, gap = held.hits / enough, (held.hits - held.total) / enough
    noise = share * (1 - share) / (enough - 1)
    terms = np.where(held.count > 1, held.count * (gap**2 - noise), 0)
    return np.sqrt(terms.sum(axis=-1).clip(0) / len(held.where))


OF_BINS = {  # error of each column, from what its bins hold
    "ece": lambda held: np.abs(held.gaps).sum(axis=-1),
    "overconfidence": lambda held: (-held.gaps).clip(0).sum(axis=-1),
    "underconfidence": lambda held: held.gaps.clip(0).sum(axis=-1),
    "mce": lambda held: (np.abs(held.hits - held.total) / np.maximum(held.count, 1)).max(axis=-1),
    "debiased_ece": _debiased,
}


def smooth_error(scores, targets):
    """Smooth ECE of each column of scores and targets ``(n, columns)``."""
    from scipy.fft import dct, idct  # not above: SciPy's larger parts load slowly

    # a Gaussian reflected at both ends is diagonal in the cosine basis: one transform for any width

    pairs = zip(scores.T, (targets - scores).T, strict=True)
    spectra = dct(np.array([_on_mesh(*pair) for pair in pairs]), type=1)
    frequency = np.pi * np.arange(MESH + 1)
    low, high = np.zeros(len(spectra)), np.ones(len(spectra))
    for _ in range(20):  # the integral falls as the width grows: to within one in a million
        width = (low + high) / 2
        kernel = np.exp(-((width[:, None] * frequency) ** 2) / 2)
        smoothed = np.abs(idct(spectra * kernel, type=1))
        integral = smoothed.sum(axis=1) - smoothed[:, [0, -1]].sum(axis=1) / 2
        low, high = np.where(integral > width, [width, high], [low, width])
    return low


def _on_mesh(at, residuals):
    """Residuals over n, each shared between the two nearest knots of the mesh."""
    left = np.minimum((at * MESH).astype(np.intp), MESH - 1)
    right_share = at * MESH - left
    sides = (left, 1 - right_share), (left + 1, right_share)
    knots = sum(np.bincount(k, residuals * s, minlength=MESH + 1) for k, s in sides)
    knots[[0, -1]] *= 2  # an end knot stands for half a cell
    return knots / len(at)


WITHOUT_BINS = {  # error of each column, from its scores and targets
    "smooth_ece": smooth_error,
    "brier_reliability": lambda scores, targets: isotonic_parts(scores, targets)[0],
    "brier_resolution": lambda scores, targets: isotonic_parts(scores, targets)[1],
}

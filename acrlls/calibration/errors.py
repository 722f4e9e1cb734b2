"""Calibration errors: binned, debiased and smooth.

Bins are closed on the right, ``(a, b]``, as in [1] and scikit-learn's ``calibration_curve``; a
score of 0 is in the first bin and of 1 in the last. The paper gives neither the number of bins nor
their kind; 15 of equal width is our choice.

References:
    - [1] C. Guo et al., "On calibration of modern neural networks", ICML 2017.
    - [2] M. Kull et al., "Beyond temperature scaling", NeurIPS 2019 (class-wise ECE).
    - [3] M. P. Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning",
      AAAI 2015 (maximum calibration error).
    - [4] A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", NeurIPS 2019.
    - [5] J. Błasiok, P. Nakkiran, "Smooth ECE", ICLR 2024.
"""

from __future__ import annotations

import numpy as np

from acrlls.calibration.binning import bin_sums, binned, columns_of, in_bins
from acrlls.calibration.checks import OF, check, check_choice, check_pair, one_hot

MESH = 1 << 12  # cells of [0, 1] on which the smooth ECE is computed


def ece(p, y, bins: int = 15, strategy: str = "uniform", *, of: str = "top_label"):
    """Expected calibration error: sum over bins of count/n · ``|frequency - mean score|`` [1].

    Perfect calibration does not give 0 on a finite sample: see :func:`noise_floor`.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``.
        bins: number of bins, at least 1.
        strategy: ``"uniform"`` for bins of equal width on [0, 1], ``"quantile"`` for bins of about
            equal count (ties stay together, so that some bins may be empty).
        of: ``"top_label"`` for the predicted class, ``"classes"`` for each class against the rest
            over all images [2], ``"mean"`` for the mean over the classes.

    Returns:
        A float in [0, 1], or ``(classes,)`` for the classes.

    Raises:
        ValueError: bad probabilities or labels (the message names the row), bins, strategy or of.
    """
    return binned_error("ece", p, y, bins, strategy, of)


def classwise_ece(p, y, bins: int = 15, strategy: str = "uniform") -> np.ndarray:
    """:func:`ece` of each class against the rest, ``(classes,)``: the ECE of Table V."""
    return ece(p, y, bins, strategy, of="classes")


def mce(p, y, bins: int = 15, strategy: str = "uniform", *, of: str = "top_label"):
    """Maximum calibration error: the largest ``|frequency - mean score|`` of a bin [3].

    A bin of one image counts as much as any other, so that it is mostly sampling noise where bins
    hold few images. Arguments and result as in :func:`ece`.
    """
    return binned_error("mce", p, y, bins, strategy, of)


def debiased_ece(p, y, bins: int = 15, strategy: str = "uniform", *, of="top_label", squared=False):
    """Debiased l2 calibration error [4]; arguments and result as in :func:`ece`.

    With c_b the mean score, a_b the frequency and n_b the count of bin b, it is the root of

        sum_b n_b/n · [(c_b - a_b)² - a_b (1 - a_b) / (n_b - 1)]

    or 0 where the sum is negative. The second term is what sampling noise adds to the first on
    average. Bins of fewer than two images count as 0. Not to be compared with the ECE, an l1 error.

    Args:
        squared: return the sum itself: unbiased, and often negative under perfect calibration.
    """
    return binned_error("squared" if squared else "debiased_ece", p, y, bins, strategy, of)


def smooth_ece(p, y, *, of: str = "top_label"):
    """Smooth ECE [5]: no bins, and a bandwidth that the data choose; ``of`` as in :func:`ece`.

    The residuals (label - score), each at its score, are smoothed over [0, 1] by a Gaussian kernel
    of width s, reflected at both ends. The integral of the absolute value falls as s grows; the
    smooth ECE is the value at which both are equal. Its mesh makes it exact to about 0.0003.
    """
    p, y = check(p, y)
    return _of(smooth_error(*columns_of(p, one_hot(y, p.shape[1]), of)), of)


def true_calibration_error(
    p, eta, bins: int = 15, strategy: str = "uniform", *, of: str = "classes", norm: str = "l1"
):
    """Calibration error with true probabilities in place of labels.

    Estimates E|E[eta_k | bin of p_k] - E[p_k | bin of p_k]| where the true probabilities are known
    (the phantom). No label is drawn, so that only the spread of ``eta`` within a bin leaves
    sampling noise; use 100,000 images or more. It is not E|eta - p|, which is large for a
    calibrated model that does not see all that ``eta`` depends on.

    Args:
        p: probabilities of the model, ``(n, classes)``.
        eta: true probabilities, ``(n, classes)``.
        of: as in :func:`ece`.
        norm: ``"l1"``, which :func:`ece` estimates, ``"l2"``, which :func:`debiased_ece` does, or
            ``"smooth"``, which :func:`smooth_ece` does and which has no bins.

    Returns:
        ``(classes,)`` for the classes, or a float.

    Raises:
        ValueError: bad probabilities, bins, strategy, of or norm.
    """
    eta, p = check_pair(p, eta, "eta"), check(p)
    check_choice("norm", norm, ("l1", "l2", "smooth"))
    scores, targets = columns_of(p, eta, of)
    if norm == "smooth":
        return _of(smooth_error(scores, targets), of)
    where, bins = in_bins(scores, bins, strategy)
    gaps = bin_sums(targets - scores, where, bins)
    if norm == "l1":
        return _of(np.abs(gaps).sum(axis=1) / len(p), of)
    count = bin_sums(np.ones_like(scores), where, bins)
    return _of(np.sqrt((gaps**2 / np.maximum(count, 1)).sum(axis=1) / len(p)), of)


def binned_error(kind, p, y, bins=15, strategy="uniform", of="top_label"):
    """A calibration error by its name in :data:`OF_BINS`; the rest as in :func:`ece`."""
    check_choice("of", of, OF)
    counts = kind not in ("ece", "overconfidence", "underconfidence")
    return _of(OF_BINS[kind](binned(*check(p, y), bins, strategy, of == "top_label", counts)), of)


def _of(values, of):
    return values if of == "classes" else float(values.mean())


def _debiased_square(found):
    enough = np.maximum(found.count, 2)
    share = found.hits / enough
    gap2 = ((found.hits - found.total) / enough) ** 2
    terms = np.where(found.count > 1, found.count * (gap2 - share * (1 - share) / (enough - 1)), 0)
    return terms.sum(axis=-1) / found.n


OF_BINS = {  # error of each column, from what its bins hold
    "ece": lambda b: np.abs(b.gaps).sum(axis=-1),
    "overconfidence": lambda b: np.maximum(-b.gaps, 0).sum(axis=-1),
    "underconfidence": lambda b: np.maximum(b.gaps, 0).sum(axis=-1),
    "mce": lambda b: (b.n * np.abs(b.gaps) / np.maximum(b.count, 1)).max(axis=-1),
    "debiased_ece": lambda b: np.sqrt(np.maximum(_debiased_square(b), 0)),
    "squared": _debiased_square,
}


def smooth_error(scores, targets):
    """Smooth ECE of each column, ``(…, columns)``, for targets ``(…, n, columns)``.

    A Gaussian reflected at both ends is diagonal in the cosine basis: one transform for any width.
    """
    from scipy.fft import dct  # here and below, not above: SciPy's larger parts load slowly

    residuals = np.moveaxis(targets - scores, -1, 0)
    pairs = zip(scores.T, residuals, strict=True)
    knots = np.concatenate([_on_mesh(s, r.reshape(-1, len(s))) for s, r in pairs])
    found = _fixed_width(dct(knots, type=1))
    return np.moveaxis(found.reshape(len(residuals), *residuals.shape[1:-1]), 0, -1)


def _on_mesh(at, weights):
    """Weights ``(rows, n)`` over n, each shared between the two nearest knots of the mesh."""
    left = np.minimum((at * MESH).astype(np.intp), MESH - 1)
    right_share = at * MESH - left
    sides = (left, 1 - right_share), (left + 1, right_share)
    knots = [sum(np.bincount(k, w * s, minlength=MESH + 1) for k, s in sides) for w in weights]
    knots = np.array(knots)
    knots[:, [0, -1]] *= 2  # an end knot stands for half a cell
    return knots / len(at)


def _fixed_width(spectra):
    """The width at which the integral equals it, for each row of cosine coefficients."""
    from scipy.fft import idct
    from scipy.optimize.elementwise import find_root

    frequency = np.pi * np.arange(MESH + 1)

    def excess(width, row):
        smoothed = spectra[row.astype(int)] * np.exp(-((width[:, None] * frequency) ** 2) / 2)
        smoothed = np.abs(idct(smoothed, type=1))
        return smoothed.sum(axis=1) - smoothed[:, [0, -1]].sum(axis=1) / 2 - width

    rows, narrowest = np.arange(len(spectra)), 1 / MESH
    found = excess(np.full(len(rows), narrowest), rows) + narrowest
    wide = found > narrowest  # below one cell there is nothing to tell apart
    if wide.any():  # the integral falls: no root is above its value here
        bracket = np.full(wide.sum(), narrowest), found[wide] * (1 + 1e-6) + 1e-9
        found[wide] = find_root(excess, bracket, args=(rows[wide],), tolerances={"xatol": 1e-6}).x
    if not wide.all():
        found[~wide] = excess(np.zeros((~wide).sum()), rows[~wide])
    return found

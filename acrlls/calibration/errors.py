"""Calibration errors: binned, debiased and smooth; of the predicted class, or of each class against the rest.

Imported through ``acrlls.calibration.registry``, which says what ``p``, ``y`` and the bins are.  Each measure has two
functions: the plain name looks at the top label and gives a float, ``classwise_…`` gives ``(classes,)``.

References:
    - [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017.
    - [2] M. Kull et al., "Beyond temperature scaling: obtaining well-calibrated multi-class probabilities with
      Dirichlet calibration", NeurIPS 2019 (class-wise ECE).
    - [3] M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
      binning", AAAI 2015 (maximum calibration error).
    - [4] A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", NeurIPS 2019.
    - [5] J. Błasiok, P. Nakkiran, "Smooth ECE: principled reliability diagrams via kernel smoothing", ICLR 2024.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.fft import dct, idct
from scipy.optimize.elementwise import find_root

from acrlls.calibration.checks import (
    bin_edges,
    bin_sums,
    binned,
    check,
    counted_gaps,
    one_hot,
    places,
    sign_of,
    top_label_of,
)

MESH = 1 << 12  # cells of [0, 1] on which the smooth ECE is computed


def ece(p, y, bins: int = 15, strategy: str = "uniform") -> float:
    """Top-label expected calibration error: sum over bins of count/n · ``|accuracy - mean confidence|`` [1].

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``.
        bins: number of bins, at least 1.
        strategy: ``"uniform"`` for bins of equal width on [0, 1], ``"quantile"`` for bins of about equal count
            (ties stay together, so that some bins may be empty).

    Returns:
        A number in [0, 1].  Perfect calibration does not give 0 on a finite sample: see :func:`noise_floor`.

    Raises:
        ValueError: bad probabilities or labels (the message names the row), bins or strategy.
    """
    return float(_absolute(_found(p, y, bins, strategy, True))[0])


def classwise_ece(p, y, bins: int = 15, strategy: str = "uniform") -> np.ndarray:
    """Calibration error of each class against the rest [2], ``(classes,)``; arguments as in :func:`ece`.

    For class k it compares ``p[:, k]`` with the share of label k, over all images and not only over those of
    class k.
    """
    return _absolute(_found(p, y, bins, strategy))


def overconfidence(p, y, bins: int = 15, strategy: str = "uniform") -> float:
    """The part of :func:`ece` from bins whose confidence is above their accuracy.

    With :func:`underconfidence` it sums to the ECE.
    """
    return float(_over(_found(p, y, bins, strategy, True))[0])


def underconfidence(p, y, bins: int = 15, strategy: str = "uniform") -> float:
    """The part of :func:`ece` from bins whose confidence is below their accuracy."""
    return float(_under(_found(p, y, bins, strategy, True))[0])


def classwise_overconfidence(p, y, bins: int = 15, strategy: str = "uniform") -> np.ndarray:
    """The part of :func:`classwise_ece` from bins whose mean probability is above the frequency of the class."""
    return _over(_found(p, y, bins, strategy))


def classwise_underconfidence(p, y, bins: int = 15, strategy: str = "uniform") -> np.ndarray:
    """The part of :func:`classwise_ece` from bins whose mean probability is below the frequency of the class."""
    return _under(_found(p, y, bins, strategy))


def mce(p, y, bins: int = 15, strategy: str = "uniform") -> float:
    """Top-label maximum calibration error: the largest ``|accuracy - mean confidence|`` of a bin [3].

    A bin of one image counts as much as any other, so that this is mostly noise where bins hold few.
    """
    return float(_largest(binned(*check(p, y), bins, strategy, top_label=True))[0])


def classwise_mce(p, y, bins: int = 15, strategy: str = "uniform") -> np.ndarray:
    """Maximum calibration error of each class against the rest, ``(classes,)``; see :func:`mce`."""
    return _largest(binned(*check(p, y), bins, strategy))


def debiased_ece(
    p, y, bins: int = 15, strategy: str = "uniform", *, squared: bool = False
) -> float:
    """Debiased l2 calibration error of the top label [4].

    With c_b the mean confidence, a_b the accuracy and n_b the count of bin b, it is the root of

        sum_b n_b/n · [(c_b - a_b)² - a_b (1 - a_b) / (n_b - 1)]

    where the sum is positive, and 0 elsewhere.  The second term is an unbiased estimate of what the luck of
    the labels adds to the first.  Bins of fewer than two images, where it has no value, count as 0.  An l2
    error: not to be compared with :func:`ece`, which it is never below but for sampling.

    Args:
        squared: the sum itself in place of its root: unbiased, and negative about half the time under perfect
            calibration.
    """
    return float(_debiased(binned(*check(p, y), bins, strategy, top_label=True), squared)[0])


def classwise_debiased_ece(
    p, y, bins: int = 15, strategy: str = "uniform", *, squared: bool = False
) -> np.ndarray:
    """Debiased l2 calibration error of each class against the rest, ``(classes,)``; see :func:`debiased_ece`."""
    return _debiased(binned(*check(p, y), bins, strategy), squared)


def smooth_ece(p, y) -> float:
    """Smooth ECE of the top label [5]: no bins, and a bandwidth that the data choose.

    The residuals (accuracy - confidence), each at its confidence, are smoothed over [0, 1] by a Gaussian kernel
    of width s that is reflected at both ends; the integral of the absolute value falls as s grows, and the
    smooth ECE is the value at which the two are equal.  Computed on a mesh of 4,096 cells, so to about 0.0003.
    """
    p, y = check(p, y)
    return float(_smooth(*top_label_of(p, one_hot(y, p.shape[1])))[0])


def classwise_smooth_ece(p, y) -> np.ndarray:
    """Smooth ECE of each class against the rest, ``(classes,)``; see :func:`smooth_ece`."""
    p, y = check(p, y)
    return _smooth(p, one_hot(y, p.shape[1]))


def true_calibration_error(
    p,
    eta,
    bins: int = 15,
    strategy: str = "uniform",
    *,
    of: str = "classes",
    norm: str = "l1",
    part: str = "all",
):
    """Calibration error with the true probabilities in place of labels.

    Estimates E|E[eta_k | bin of p_k] - E[p_k | bin of p_k]| from draws whose true probabilities are known
    (the phantom).  No label is drawn, so what is left of the sampling noise falls with the spread of ``eta``
    inside a bin; use 100,000 draws or more.  It is not E|eta - p|, which is large for a perfectly calibrated
    model that simply does not see all that eta depends on.

    Args:
        p: probabilities of the model, ``(n, classes)``.
        eta: true probabilities given everything that the label depends on, ``(n, classes)``.
        of: ``"classes"``, or ``"top_label"`` for the predicted class in place of each.
        norm: ``"l1"`` for the mean over the images of the absolute difference in their bin, which :func:`ece` estimates,
            ``"l2"`` for the root of the mean square, which :func:`debiased_ece` estimates, ``"max"`` for the largest of a bin
            that holds any image, which :func:`mce` estimates.
        part: of the l1 error: ``"all"``, ``"over"`` for bins whose probability is above the truth, or ``"under"``.

    Returns:
        ``(classes,)``, or a float for the top label.

    Raises:
        ValueError: bad probabilities, bins, strategy, norm or part, or a part of another than the l1 error.
    """
    p, eta = check(p), check(eta, name="eta")
    if p.shape != eta.shape:
        raise ValueError(f"p has shape {p.shape} and eta {eta.shape}; they must be equal")
    if norm not in ("l1", "l2", "max"):
        raise ValueError(f"norm is {norm!r}; choose one of: l1, l2, max")
    if norm != "l1" and part != "all":
        raise ValueError(f"part is {part!r}; the {norm} error has no parts")
    scores, targets = top_label_of(p, eta) if of == "top_label" else (p, eta)
    where = places(scores, bin_edges(scores, bins, strategy))
    count, gap = (bin_sums(v, where, bins) for v in (np.ones_like(scores), targets - scores))
    if norm == "l1":
        errors = counted_gaps(gap, sign_of(part)).sum(axis=1) / len(p)
    elif norm == "l2":
        errors = np.sqrt((gap**2 / np.maximum(count, 1)).sum(axis=1) / len(p))
    else:
        errors = (np.abs(gap) / np.maximum(count, 1)).max(axis=1)
    return float(errors[0]) if of == "top_label" else errors


def _found(p, y, bins, strategy, top_label=False):
    return binned(*check(p, y), bins, strategy, top_label, counts=False)


# Errors of each column from what its bins hold; the arrays may have axes before (columns, bins).


def _absolute(found, part="all"):
    return counted_gaps(found.gaps, sign_of(part)).sum(axis=-1)


_over, _under = partial(_absolute, part="over"), partial(_absolute, part="under")


def _largest(found):
    return (found.n * np.abs(found.gaps) / np.maximum(found.count, 1)).max(axis=-1)


def _debiased(found, squared=False):
    enough = np.maximum(found.count, 2)
    share = found.hits / enough
    gap2 = ((found.hits - found.total) / enough) ** 2
    terms = np.where(found.count > 1, found.count * (gap2 - share * (1 - share) / (enough - 1)), 0)
    value = terms.sum(axis=-1) / found.n
    return value if squared else np.sqrt(np.maximum(value, 0))


OF_BINS = {
    "ece": _absolute,
    "overconfidence": _over,
    "underconfidence": _under,
    "mce": _largest,
    "debiased_ece": _debiased,
}


def _smooth(scores, targets, mesh=MESH):
    """Smooth ECE of each column of scores ``(n, columns)`` for targets ``(…, n, columns)``: ``(…, columns)``.

    A Gaussian reflected at both ends is diagonal in the cosine basis, so that one transform serves every width.
    """
    residuals = np.moveaxis(targets - scores, -1, 0)
    knots = [
        _on_mesh(s, r.reshape(-1, len(s)), mesh) for s, r in zip(scores.T, residuals, strict=True)
    ]
    found = _fixed_width(dct(np.concatenate(knots), type=1)).reshape(
        len(residuals), *residuals.shape[1:-1]
    )
    return np.moveaxis(found, 0, -1)


def _on_mesh(at, weights, mesh):
    """Weights ``(rows, n)`` a share of n shared between the two nearest knots; an end knot stands for half a cell, so
    it doubles."""
    left = np.minimum((at * mesh).astype(np.intp), mesh - 1)
    right_share = at * mesh - left
    right, left_share = left + 1, 1 - right_share
    knots = [
        np.bincount(left, w * left_share, minlength=mesh + 1)
        + np.bincount(right, w * right_share, minlength=mesh + 1)
        for w in weights
    ]
    knots = np.array(knots)
    knots[:, [0, -1]] *= 2
    return knots / len(at)


def _fixed_width(spectra):
    """The width at which the integral equals it, for each row of cosine coefficients."""
    mesh = spectra.shape[1] - 1
    frequency = np.pi * np.arange(mesh + 1)

    def excess(width, row):
        smoothed = spectra[row.astype(int)] * np.exp(-((width[:, None] * frequency) ** 2) / 2)
        smoothed = np.abs(idct(smoothed, type=1))
        return smoothed.sum(axis=1) - smoothed[:, [0, -1]].sum(axis=1) / 2 - width

    rows, narrowest = np.arange(len(spectra)), 1 / mesh
    found = excess(np.full(len(rows), narrowest), rows) + narrowest
    wide = found > narrowest  # below one cell there is nothing to tell apart
    if wide.any():
        # no root is above that integral, for it falls; where all residuals have one sign it is the root itself
        bracket = np.full(wide.sum(), narrowest), found[wide] * (1 + 1e-6) + 1e-9
        found[wide] = find_root(excess, bracket, args=(rows[wide],), tolerances={"xatol": 1e-6}).x
    if not wide.all():
        found[~wide] = excess(np.zeros((~wide).sum()), rows[~wide])
    return found

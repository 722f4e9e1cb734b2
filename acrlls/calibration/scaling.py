"""Post-hoc methods that map logits to logits, and what every post-hoc method has."""

import warnings
from collections.abc import Sequence
from typing import Self

import numpy as np
from scipy.special import log_softmax, softmax

from acrlls.calibration.checks import check_logits, check_weights, numbers, one_hot
from acrlls.calibration.scores import losses

LIMITS = (0.01, 100.0)  # of a temperature


class Recalibrator:
    """What every method has; its own are ``_fit(z, y, weight)`` and ``_transform(z)``."""

    classes: int | None = None  # before fit
    columns: Sequence[str] | None = None  # of a DataFrame that it was fitted on

    def fit(self, logits, labels=None, sample_weight=None) -> Self:
        """Fit on images that the model was not trained on.

        Takes logits ``(n, classes)`` with their labels ``(n,)``, or the predictions of a run for
        its validation part, which bring their labels. An image of ``sample_weight`` 2, ``(n,)`` and
        at least 0, counts as two images; with the share that a class has elsewhere over its share
        here, the fit is for that class mix. Predictions of the test part, or bad input (the message
        names the row), are a ``ValueError``; logits that look like probabilities raise a warning.
        """
        if hasattr(logits, "logits") and not hasattr(logits, "columns"):  # of a DataFrame, a column
            if logits.part == "test":
                raise ValueError("predictions for the test part; fit on the validation part")
            logits, labels = logits.logits, logits.labels
        z, y = check_logits(logits, labels)
        weight = check_weights(sample_weight, len(y), logits, labels)
        seen = weight > 0
        self._fit(z[seen], y[seen], weight[seen])
        self.classes, self.columns = z.shape[1], getattr(logits, "columns", None)
        return self

    def transform(self, logits) -> np.ndarray:
        """Recalibrated logits, ``(n, classes)``; -inf where a probability is 0. Columns of a
        DataFrame that stood in another order at the fit are a ``ValueError``."""
        if self.classes is None:
            raise ValueError("not fitted: call fit(logits, labels) on the validation part first")
        given = logits if hasattr(logits, "columns") else getattr(logits, "logits", logits)
        z = check_logits(given, method=self)
        if z.shape[1] != self.classes:
            raise ValueError(f"logits have {z.shape[1]} classes; the method has {self.classes}")
        return self._transform(z)

    def predict_proba(self, logits) -> np.ndarray:
        """Recalibrated probabilities, ``(n, classes)``, rows summing to one."""
        return softmax(self.transform(logits), axis=1)

    @staticmethod
    def _refuse_absent(z, y):
        missing = np.flatnonzero(np.bincount(y, minlength=z.shape[1]) == 0)
        if len(missing):
            raise ValueError(f"class {missing[0]} does not occur; every class needs images here")


class PriorCorrection(Recalibrator):
    """Undoes class weights [Saerens 2002]: divides probabilities by them and normalises.

    Cross-entropy weighted by w is least at q_k proportional to w_k · p_k, with p the true
    probability; so the logits become z_k - log w_k. Nothing is estimated: ``fit`` may be left out.
    The ``weights`` of the training, ``(classes,)``, are all above 0, on any scale; what looks like
    numbers of images raises a warning. The index of a Series must count the classes from 0.
    """

    def __init__(self, weights):
        index = list(weights.index) if hasattr(weights, "iloc") else []
        if index != list(range(len(index))):
            how = "sort_index() orders classes by number, an array goes by position"
            raise ValueError(f"weights have the index {index}; {how}")
        self.weights = numbers(weights, "weights").astype(float)
        if self.weights.ndim != 1 or not (np.isfinite(self.weights) & (self.weights > 0)).all():
            raise ValueError(f"weights are {weights!r}; they must be (classes,) positive numbers")
        if (self.weights >= 10).all() and (self.weights % 1 == 0).all():
            what = f"the weights {weights} look like numbers of images"
            warnings.warn(f"{what}; a rare class has the greater weight", stacklevel=2)
        self.classes = len(self.weights)

    def _fit(self, z, y, weight):
        self.transform(z)

    def _transform(self, z):
        return z - np.log(self.weights)


class TemperatureScaling(Recalibrator):
    """Divides all logits by the temperature of least negative log-likelihood [Guo 2017].

    Where it lies outside 0.01 to 100 (labels separated without error, or unrelated to the logits)
    the nearer limit is taken, with a warning unless the labels are separated. The predicted classes
    do not change. ``temperature``, None before ``fit``, is above 1 where the model was
    overconfident.
    """

    temperature: float | None = None

    def _fit(self, z, y, weight):
        from scipy.optimize import brentq  # here and below, not above: it loads slowly

        aim = z[np.arange(len(y)), y]

        def slope(log_inverse):  # monotone, since the loss is convex in 1/T
            mean = (softmax(z * np.exp(log_inverse), axis=1) * z).sum(axis=1)
            return float(np.average(mean - aim, weights=weight))

        cold, hot = -np.log(LIMITS)
        if slope(hot) >= 0:
            self.temperature = LIMITS[1]
        elif slope(cold) <= 0:
            self.temperature = LIMITS[0]
        else:
            self.temperature = float(np.exp(-brentq(slope, hot, cold, xtol=1e-10)))
        if self.temperature in LIMITS and (z.argmax(axis=1) != y).any():
            why = "the logits are on another scale, or say nothing of the labels"
            warnings.warn(f"the temperature stops at {self.temperature:g}: {why}", stacklevel=3)

    def _transform(self, z):
        return z / self.temperature


class EntropyTemperatureScaling(Recalibrator):
    """Divides an image's logits by a temperature that depends on its entropy, HTS [Balanya 2024].

    T(z) = softplus(w · log(H(z) / log K) + b), with H the entropy of softmax(z) in nats and K
    classes, within the limits of :class:`TemperatureScaling`, which is the case w = 0. The search
    for the ``w`` and ``b`` of least negative log-likelihood, which is not convex, starts there and
    cannot end above it. The predicted classes do not change.
    """

    def _fit(self, z, y, weight):
        from scipy.optimize import minimize

        def loss(theta):
            self.w, self.b = theta
            log_p = log_softmax(self._transform(z), axis=1)
            return -np.average(log_p[np.arange(len(y)), y], weights=weight)

        start = TemperatureScaling().fit(z, y, weight).temperature
        b = start + np.log(-np.expm1(-start))  # the inverse of softplus: T = log(1 + e^b)
        self.w, self.b = minimize(loss, [0.0, b], method="Nelder-Mead", tol=1e-9).x.tolist()

    def _transform(self, z):
        log_p = log_softmax(z, axis=1)
        entropy = -(np.exp(log_p) * log_p).sum(axis=1)
        x = np.log(entropy.clip(np.finfo(float).tiny) / np.log(log_p.shape[1]))
        return z / np.logaddexp(0, self.w * x + self.b).clip(*LIMITS)[:, None]


class MatrixScaling(Recalibrator):
    """Multiplies the logits by a matrix and adds a vector, W z + b [Guo 2017].

    W and b, in ``matrix``, ``(classes, classes)``, and ``shift``, ``(classes,)``, have the least
    negative log-likelihood, a convex problem. With a ``penalty`` of at least 0 it is MS-ODIR of
    [Kull 2019]: ``penalty`` times the mean square of W off its diagonal and of b are added to the
    loss. Of several, a stratified cross-validation on the validation images takes the one of least
    loss, and the greatest where a class has one image; it is ``chosen``.
    """

    def __init__(self, penalty: float | tuple[float, ...] = 0.0):
        self.penalties = np.atleast_1d(numbers(penalty, "penalty").astype(float))
        good = self.penalties.ndim == 1 and self.penalties.size
        if not good or not (np.isfinite(self.penalties) & (self.penalties >= 0)).all():
            raise ValueError(f"penalty is {penalty!r}; it must be a number from 0, or several")

    def _free(self, classes):
        """Which entries of W are fitted; the others are 0."""
        return np.ones((classes, classes), bool)

    def _fit(self, z, y, weight):
        self._refuse_absent(z, y)
        several = len(self.penalties) > 1
        self.chosen = float(self._best_penalty(z, y, weight) if several else self.penalties[0])
        self.matrix, self.shift = self._solve(z, y, weight, self.chosen)

    def _best_penalty(self, z, y, weight):
        from sklearn.model_selection import StratifiedKFold  # not above: it loads pandas

        parts = min(5, np.bincount(y).min())
        if parts < 2:
            return self.penalties.max()
        folds = list(StratifiedKFold(parts, shuffle=True, random_state=0).split(z, y))

        def loss(penalty):
            total = 0.0
            for rows, out in folds:
                w, b = self._solve(z[rows], y[rows], weight[rows], penalty)
                total += weight[out] @ losses(softmax(z[out] @ w.T + b, axis=1), y[out])
            return total

        return min(self.penalties, key=loss)

    def _solve(self, z, y, weight, penalty):
        from scipy.optimize import minimize

        n, k = z.shape
        x, share = np.column_stack([z, np.ones(n)]), weight[:, None] / weight.sum()
        hits = one_hot(y, k) * share
        fitted = np.column_stack([self._free(k), np.ones(k, bool)])  # of (W, b)
        # the penalty is the sum of these times the squares of the entries
        scale = penalty * np.column_stack([(1 - np.eye(k)) / (k * (k - 1)), np.ones(k) / k])

        def full(theta):
            whole = np.zeros(fitted.shape)
            whole[fitted] = theta
            return whole

        def loss(theta):
            m = full(theta)
            log_p = log_softmax(x @ m.T, axis=1)
            slope = (np.exp(log_p) * share - hits).T @ x + 2 * scale * m
            return -(log_p * hits).sum() + (scale * m**2).sum(), slope[fitted]

        start = np.eye(k, k + 1)[fitted]
        found = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-8})
        if np.abs(found.jac).max() > 1e-3 * np.abs(x).max():  # success is False of rounding too
            what = f"the loss is not at its least; logits go up to {np.abs(z).max():g}"
            warnings.warn(f"{what}: divide them by a number before fit and transform", stacklevel=4)
        m = full(found.x)
        return m[:, :k], m[:, k]

    def _transform(self, z):
        return z @ self.matrix.T + self.shift


class VectorScaling(MatrixScaling):
    """:class:`MatrixScaling` with a diagonal matrix: a factor and a shift a class [Guo 2017]."""

    def __init__(self):
        super().__init__()

    def _free(self, classes):
        return np.eye(classes, dtype=bool)

"""Post-hoc recalibration: maps of the logits that leave the network alone.

Each method has ``transform(logits)``, ``predict_proba(logits)`` and, so that all are used alike,
``fit(logits, labels)``. Fit on the validation part, never on the test part.  Logits are what enters the
softmax, shape ``(n, classes)``.

References:
    - [1] M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a priori
      probabilities: a simple procedure", Neural Computation 14, 2002.
    - [2] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax


class PriorCorrection:
    """Undoes class weights: divides each probability by the weight of its class and normalises [1].

    Cross-entropy weighted by w is least at q_k proportional to w_k · p_k, with p the true probability, so
    p_k is proportional to q_k / w_k; on the logits that is z_k - log w_k.  Nothing is estimated.

    Args:
        weights: class weights of the training, ``(classes,)``, all above 0; their common scale does not
            matter.
    """

    def __init__(self, weights):
        self.weights = np.asarray(weights, float)
        if self.weights.ndim != 1 or not (np.isfinite(self.weights) & (self.weights > 0)).all():
            raise ValueError(f"weights are {weights!r}; they must be (classes,) positive numbers")

    def fit(self, logits=None, labels=None) -> PriorCorrection:
        """Does nothing: the weights are known."""
        return self

    def transform(self, logits) -> np.ndarray:
        """Corrected logits, ``(n, classes)``."""
        logits = _checked_logits(logits)
        if logits.shape[1] != len(self.weights):
            raise ValueError(f"logits have {logits.shape[1]} classes and weights {len(self.weights)}")
        return logits - np.log(self.weights)

    def predict_proba(self, logits) -> np.ndarray:
        """Corrected probabilities, ``(n, classes)``, rows summing to one."""
        return softmax(self.transform(logits), axis=1)


class TemperatureScaling:
    """Divides all logits by one temperature, the one of least negative log-likelihood [2].

    The loss is convex in 1/T, and its slope there, mean(sum_k p_k z_k - z_label), is monotone: the root is
    bracketed and found.  Where it lies outside ``limits`` (labels separated without error, or unrelated to
    the logits) the nearer limit is taken.

    Attributes:
        temperature: T, above 1 where the model was overconfident; None before ``fit``.
        limits: smallest and largest temperature.
    """

    limits = (0.01, 100.0)

    def __init__(self):
        self.temperature: float | None = None

    def fit(self, logits, labels) -> TemperatureScaling:
        """Finds the temperature on logits ``(n, classes)`` and labels ``(n,)`` that the model was not trained
        on."""
        z = _checked_logits(logits)
        y = _checked_labels(labels, z)
        aim = z[np.arange(len(y)), y]

        def slope(log_inverse):
            return float(((softmax(z * np.exp(log_inverse), axis=1) * z).sum(axis=1) - aim).mean())

        cold, hot = -np.log(self.limits)
        if slope(hot) >= 0:
            self.temperature = self.limits[1]
        elif slope(cold) <= 0:
            self.temperature = self.limits[0]
        else:
            self.temperature = float(np.exp(-brentq(slope, hot, cold, xtol=1e-10)))
        return self

    def transform(self, logits) -> np.ndarray:
        """Logits divided by the temperature, ``(n, classes)``."""
        if self.temperature is None:
            raise ValueError("no temperature yet: call fit(logits, labels) on the validation part first")
        return _checked_logits(logits) / self.temperature

    def predict_proba(self, logits) -> np.ndarray:
        """Recalibrated probabilities, ``(n, classes)``; the predicted classes stay as they were."""
        return softmax(self.transform(logits), axis=1)


def nll_of_logits(logits, labels) -> float:
    """Negative log-likelihood in nats an image, from logits; exact where a probability would round to 0."""
    z = _checked_logits(logits)
    y = _checked_labels(labels, z)
    return float(-log_softmax(z, axis=1)[np.arange(len(y)), y].mean())


def _checked_logits(logits) -> np.ndarray:
    z = np.asarray(logits, float)
    if z.ndim != 2 or z.shape[1] < 2 or not len(z):
        raise ValueError(f"logits have shape {z.shape}; they must be (n, classes), n >= 1 and classes >= 2")
    bad = ~np.isfinite(z).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"logits: row {row} is not finite: {z[row]}")
    return z


def _checked_labels(labels, z) -> np.ndarray:
    y = np.asarray(labels)
    if y.shape != (len(z),):
        raise ValueError(f"labels have shape {y.shape}; they must be ({len(z)},), one a row of logits")
    bad = ~np.isin(y, np.arange(z.shape[1]))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"labels: row {row} is {y[row]}; they go from 0 to {z.shape[1] - 1}")
    return y.astype(np.intp)

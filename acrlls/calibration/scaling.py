"""Post-hoc methods that map logits to logits, and what every post-hoc method has.

Imported through ``acrlls.calibration.posthoc``.

References:
    - [1] M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a priori
      probabilities: a simple procedure", Neural Computation 14, 2002.
    - [2] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017.
    - [3] S. A. Balanya, J. Maroñas, D. Ramos, "Adaptive temperature scaling for robust calibration of deep neural
      networks", Neural Computing and Applications 36, 2024.
    - [4] M. Kull et al., "Beyond temperature scaling: obtaining well-calibrated multi-class probabilities with
      Dirichlet calibration", NeurIPS 2019 (ODIR).
"""

from __future__ import annotations

import abc

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit, log_softmax, softmax

from acrlls.calibration.checks import one_hot, whole_number


class Recalibrator(abc.ABC):
    """What every method has.

    Attributes:
        classes: number of classes that it was fitted on; None before ``fit``.
    """

    classes: int | None = None

    def fit(self, logits, labels=None) -> Recalibrator:
        """Fit on images that the model was not trained on.

        Args:
            logits: ``(n, classes)``, or the predictions of a run for its validation part, with labels of their own.
            labels: ``(n,)``, whole numbers from 0.

        Raises:
            ValueError: predictions of the test part, or bad input (the message names the row).
        """
        if hasattr(logits, "logits"):
            if logits.part == "test":
                raise ValueError(
                    "these are predictions for the test part; fit on those for the validation part"
                )
            logits, labels = logits.logits, logits.labels
        z = _checked_logits(logits)
        self._fit(z, _checked_labels(labels, z))
        self.classes = z.shape[1]
        return self

    @abc.abstractmethod
    def _fit(self, z, y): ...

    @abc.abstractmethod
    def predict_proba(self, logits) -> np.ndarray:
        """Recalibrated probabilities, ``(n, classes)``, rows summing to one."""

    def _ready(self, logits) -> np.ndarray:
        if self.classes is None:
            raise ValueError(
                "not fitted yet: call fit(logits, labels) on the validation part first"
            )
        z = _checked_logits(logits)
        if z.shape[1] != self.classes:
            raise ValueError(f"logits have {z.shape[1]} classes; fitted on {self.classes}")
        return z


class LogitMap(Recalibrator):
    """A method that gives logits again, so that another can follow it."""

    def transform(self, logits) -> np.ndarray:
        """Recalibrated logits, ``(n, classes)``."""
        return self._transform(self._ready(logits))

    def predict_proba(self, logits) -> np.ndarray:
        return softmax(self.transform(logits), axis=1)

    @abc.abstractmethod
    def _transform(self, z): ...


class PriorCorrection(LogitMap):
    """Undoes class weights: divides each probability by the weight of its class and normalises [1].

    Cross-entropy weighted by w is least at q_k proportional to w_k · p_k, with p the true probability, so
    p_k is proportional to q_k / w_k; on the logits that is z_k - log w_k.  Nothing is estimated, so it need not be
    fitted.

    Args:
        weights: class weights of the training, ``(classes,)``, all above 0; their common scale does not
            matter.
    """

    def __init__(self, weights):
        self.weights = np.asarray(weights, float)
        if self.weights.ndim != 1 or not (np.isfinite(self.weights) & (self.weights > 0)).all():
            raise ValueError(f"weights are {weights!r}; they must be (classes,) positive numbers")
        self.classes = len(self.weights)

    def _fit(self, z, y):
        self._ready(z)

    def _ready(self, logits):
        z = _checked_logits(logits)
        if z.shape[1] != len(self.weights):
            raise ValueError(f"logits have {z.shape[1]} classes and weights {len(self.weights)}")
        return z

    def _transform(self, z):
        return z - np.log(self.weights)


class TemperatureScaling(LogitMap):
    """Divides all logits by one temperature, the one of least negative log-likelihood [2].

    The loss is convex in 1/T, and its slope there, mean(sum_k p_k z_k - z_label), is monotone: the root is
    bracketed and found.  Where it lies outside ``limits`` (labels separated without error, or unrelated to
    the logits) the nearer limit is taken.  The predicted classes stay as they were.

    Attributes:
        temperature: T, above 1 where the model was overconfident; None before ``fit``.
        limits: smallest and largest temperature.
    """

    limits = (0.01, 100.0)
    temperature: float | None = None

    def _fit(self, z, y):
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

    def _transform(self, z):
        return z / self.temperature


class EntropyTemperatureScaling(LogitMap):
    """Divides the logits of an image by a temperature that depends on the entropy of its prediction (HTS of [3]).

    T(z) = softplus(w · log(H(z) / log K) + b), with H the entropy of softmax(z) in nats and K classes, kept within the
    limits of :class:`TemperatureScaling`, which is the case w = 0.  w and b are those of least negative
    log-likelihood; that is not convex, so the search goes down from the best single temperature and cannot end above
    it.  The predicted classes stay as they were.

    Attributes:
        w, b: slope and intercept; None before ``fit``.
    """

    w: float | None = None
    b: float | None = None

    def _fit(self, z, y):
        start = TemperatureScaling()
        start._fit(z, y)
        x = _log_entropy(z)
        aim = z[np.arange(len(y)), y]

        def loss(theta):
            t, slope = self._softplus(theta[0] * x + theta[1])
            log_p = log_softmax(z / t[:, None], axis=1)
            # d(-log p_label)/dT = (z_label - sum_k p_k z_k) / T²
            by_t = (aim - (np.exp(log_p) * z).sum(axis=1)) / t**2 * slope
            return -log_p[np.arange(len(y)), y].mean(), np.array([(by_t * x).mean(), by_t.mean()])

        # softplus turned round: T = log(1 + e^b)
        b = start.temperature + np.log(-np.expm1(-start.temperature))
        found = minimize(loss, [0.0, b], jac=True, method="BFGS", options={"gtol": 1e-9})
        self.w, self.b = (float(v) for v in found.x)

    def temperatures(self, logits) -> np.ndarray:
        """The temperature of each image, ``(n,)``."""
        return self._softplus(self.w * _log_entropy(self._ready(logits)) + self.b)[0]

    def _transform(self, z):
        return z / self.temperatures(z)[:, None]

    @staticmethod
    def _softplus(x):
        """Temperature and its slope; the slope is 0 where a limit holds it."""
        low, high = TemperatureScaling.limits
        t = np.logaddexp(0, x)
        return t.clip(low, high), expit(x) * ((t > low) & (t < high))


class MatrixScaling(LogitMap):
    """Multiplies the logits by a matrix and adds a vector, W z + b [2].

    W and b are those of least negative log-likelihood, a convex problem, found by Newton steps within a trust region
    from W = 1, b = 0.  Labels separated without error have no such W; then the steps end where the loss is all but 0.
    With ``penalty`` it is MS-ODIR of [4]: ``penalty`` times the mean square of W off its diagonal, plus ``penalty``
    times the mean square of b, are added to the loss.

    Args:
        penalty: at least 0; or several, of which the one of least loss in a stratified cross-validation on the
            validation images is taken.
        folds: parts of that cross-validation; no more than the rarest class has images, and where that is one, the
            greatest penalty is taken.

    Attributes:
        matrix: W, ``(classes, classes)``; None before ``fit``.
        shift: b, ``(classes,)``.
        chosen: the penalty that was used.
    """

    matrix: np.ndarray | None = None
    shift: np.ndarray | None = None
    chosen: float | None = None

    def __init__(self, penalty: float | tuple[float, ...] = 0.0, folds: int = 5):
        self.penalties = np.atleast_1d(np.asarray(penalty, float))
        if (
            self.penalties.ndim != 1
            or not (np.isfinite(self.penalties) & (self.penalties >= 0)).all()
        ):
            raise ValueError(f"penalty is {penalty!r}; it must be a number from 0, or several")
        self.folds = whole_number("folds", folds)

    def _free(self, classes):
        """Which entries of W are fitted; the others are 0."""
        return np.ones((classes, classes), bool)

    def _fit(self, z, y):
        refuse_absent(z, y)
        self.chosen = float(
            self.penalties[0] if len(self.penalties) == 1 else self._best_penalty(z, y)
        )
        self.matrix, self.shift = self._solve(z, y, self.chosen)

    def _best_penalty(self, z, y):
        from sklearn.model_selection import StratifiedKFold  # here and not above: it loads pandas

        parts = min(self.folds, np.bincount(y).min())
        if parts < 2:
            return self.penalties.max()
        folds = list(StratifiedKFold(parts, shuffle=True, random_state=0).split(z, y))

        def loss(penalty):
            total = 0.0
            for rows, out in folds:
                w, b = self._solve(z[rows], y[rows], penalty)
                total += len(out) * nll_of_logits(z[out] @ w.T + b, y[out])
            return total

        return min(self.penalties, key=loss)

    def _solve(self, z, y, penalty):
        n, k = z.shape
        x, hits = np.column_stack([z, np.ones(n)]), one_hot(y, k)
        fitted = np.column_stack(
            [self._free(k), np.ones(k, bool)]
        )  # of (W, b), like everything below
        # The penalty is the sum of these times the squares of the entries.
        weights = penalty * np.column_stack([(1 - np.eye(k)) / (k * (k - 1)), np.ones(k) / k])
        whole = np.eye(k, k + 1)

        def full(theta):
            whole[fitted] = theta
            return whole

        def loss(theta):
            m = full(theta)
            log_p = log_softmax(x @ m.T, axis=1)
            slope = (np.exp(log_p) - hits).T @ x / n + 2 * weights * m
            return -(log_p * hits).sum() / n + (weights * m**2).sum(), slope[fitted]

        def curvature(theta):
            p = softmax(x @ full(theta).T, axis=1)
            spread = p[:, :, None] * (np.eye(k) - p[:, None, :]) / n
            h = np.einsum("nij,na,nb->iajb", spread, x, x, optimize=True).reshape(fitted.size, -1)
            return (h + np.diag(2 * weights.ravel()))[np.ix_(fitted.ravel(), fitted.ravel())]

        found = minimize(
            loss,
            whole[fitted],
            jac=True,
            hess=curvature,
            method="trust-exact",
            options={"gtol": 1e-8, "maxiter": 1000},
        )
        m = full(found.x)
        return m[:, :k], m[:, k]

    def _transform(self, z):
        return z @ self.matrix.T + self.shift


class VectorScaling(MatrixScaling):
    """:class:`MatrixScaling` with a diagonal matrix: a factor and a shift for each class [2]."""

    def __init__(self):
        super().__init__()

    def _free(self, classes):
        return np.eye(classes, dtype=bool)


def nll_of_logits(logits, labels) -> float:
    """Negative log-likelihood in nats an image, from logits; exact where a probability would round to 0."""
    z = _checked_logits(logits)
    y = _checked_labels(labels, z)
    return float(-log_softmax(z, axis=1)[np.arange(len(y)), y].mean())


def _log_entropy(z):
    """log(H / log K) of each row; H below the smallest number counts as that."""
    log_p = log_softmax(z, axis=1)
    entropy = -(np.exp(log_p) * log_p).sum(axis=1)
    return np.log(entropy.clip(np.finfo(float).tiny) / np.log(z.shape[1]))


def _checked_logits(logits) -> np.ndarray:
    z = np.asarray(getattr(logits, "logits", logits), float)
    if z.ndim != 2 or z.shape[1] < 2 or not len(z):
        raise ValueError(
            f"logits have shape {z.shape}; they must be (n, classes), n >= 1 and classes >= 2"
        )
    bad = ~np.isfinite(z).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"logits: row {row} is not finite: {z[row]}")
    return z


def _checked_labels(labels, z) -> np.ndarray:
    y = np.asarray(labels)
    if y.shape != (len(z),):
        raise ValueError(
            f"labels have shape {y.shape}; they must be ({len(z)},), one a row of logits"
        )
    bad = ~np.isin(y, np.arange(z.shape[1]))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"labels: row {row} is {y[row]}; they go from 0 to {z.shape[1] - 1}")
    return y.astype(np.intp)


def refuse_absent(z, y):
    missing = np.flatnonzero(np.bincount(y, minlength=z.shape[1]) == 0)
    if len(missing):
        raise ValueError(
            f"labels: class {missing[0]} does not occur; this method needs images of every class"
        )

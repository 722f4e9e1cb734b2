"""Losses that rival ACR and LLS: regularised, smoothed or focused cross-entropy.

Each takes the cross-entropy of each image ``(n,)``, log-probabilities and logits ``(n, classes)``,
and a strength, and returns the loss of each image ``(n,)``, which class weights multiply, and a
penalty ``(n,)``, which they do not, as they do not multiply ACR's.

References:
    - C. Szegedy et al., "Rethinking the Inception architecture", CVPR 2016 (label smoothing).
    - T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017.
    - J. Mukhoti et al., "Calibrating deep neural networks using focal loss", NeurIPS 2020.
    - G. Pereyra et al., "Regularizing neural networks by penalizing confident output
      distributions", ICLR workshop 2017.
    - B. Liu et al., "The devil is in the margin: margin-based label smoothing for network
      calibration", CVPR 2022.
    - J. Moon et al., "Confidence-aware learning for deep neural networks", ICML 2020 (correctness
      ranking loss).
    - S. Thulasidasan et al., "On mixup training: improved calibration and predictive uncertainty
      for deep neural networks", NeurIPS 2019.
"""

from numbers import Real

import keras
import numpy as np
from keras import ops

MARGIN = 10.0  # of margin-based label smoothing, as published
SWITCH = 0.2  # probability of the true class below which FLSD-53 takes gamma 5 in place of 3


def cross_entropy(loss, log_p, z, strength):
    """Minus the log-probability of the true class."""
    return loss, 0.0


def label_smoothing(loss, log_p, z, strength):
    """Cross-entropy against ``(1 - strength) · truth + strength / classes``."""
    return (1 - strength) * loss - strength * ops.mean(log_p, axis=-1), 0.0


def focal(loss, log_p, z, strength):
    """``(1 - p)^strength`` times cross-entropy, p that of the true class."""
    # from -log p, exact near zero and kept from it: there its power has no slope
    return ops.maximum(-ops.expm1(-loss), 1e-12) ** strength * loss, 0.0


def flsd53(loss, log_p, z, strength):
    """Focal loss with an exponent of 5 where the true class has less than 0.2, and else of 3."""
    exponent = ops.stop_gradient(ops.where(ops.exp(-loss) < SWITCH, 5.0, 3.0))
    return focal(loss, log_p, z, ops.cast(exponent, loss.dtype))


def entropy_penalty(loss, log_p, z, strength):
    """Cross-entropy minus ``strength`` times the entropy of the prediction."""
    return loss, strength * ops.sum(ops.exp(log_p) * log_p, axis=-1)


def mbls(loss, log_p, z, strength, margin=MARGIN):
    """Cross-entropy plus ``strength`` times the mean over the classes c of
    ``max(0, max(z) - z_c - margin)``."""
    excess = ops.relu(ops.max(z, axis=-1, keepdims=True) - z - margin)
    return loss, strength * ops.mean(excess, axis=-1)


def correctness_ranking(loss, log_p, z, strength, correctness):
    """Cross-entropy plus ``strength`` times the correctness ranking loss of each image and the next
    one of its batch: ``max(0, |c_i - c_j| - sign(c_i - c_j) · (p_i - p_j))``, with the largest
    probability p and ``correctness`` c ``(n,)``, how often the image was classified rightly in the
    epochs before, as a share."""
    confidence = ops.exp(ops.max(log_p, axis=-1))
    gap = correctness - ops.roll(correctness, -1)
    ahead = ops.sign(gap) * (confidence - ops.roll(confidence, -1))
    return loss, strength * ops.relu(ops.abs(gap) - ahead)


# by name: the function, and the published strength
LOSSES = {
    "cross_entropy": (cross_entropy, 0.0),
    "label_smoothing": (label_smoothing, 0.05),
    "focal": (focal, 3.0),
    "flsd53": (flsd53, 0.0),
    "entropy_penalty": (entropy_penalty, 0.1),
    "mbls": (mbls, 0.1),
    "correctness_ranking": (correctness_ranking, 1.0),
    "mixup": (cross_entropy, 0.3),  # of images that were mixed before they came here
}


@keras.saving.register_keras_serializable(package="acrlls")
class TrainingLoss(keras.losses.Loss):
    """One of the ``LOSSES``: ``weight of the true class · loss + penalty``, of logits.

    It is computed in float32 at least, whatever the dtype of the loss.

    Args:
        name: Name of the loss, a key of ``LOSSES``; also the name of the object.
        strength: Float, its strength, at least 0 and finite; `None` for the published one.
        class_weights: The weights of the classes, `(classes,)`.
        **kwargs: Base loss keyword arguments, `reduction` and `dtype`.

    Call arguments:
        y_true: Tensor of shape `(batch_size, classes)`, 1 for the true class and 0 elsewhere; with
            `"mixup"` the shares of the classes, each of which has its own weight. With
            `"correctness_ranking"` a further column holds ``correctness``.
        y_pred: Tensor of shape `(batch_size, classes)`, the logits.
    """

    def __init__(self, name: str, strength: float | None, class_weights, **kwargs):
        super().__init__(name=name, **kwargs)
        if name not in LOSSES:
            raise ValueError(f"`name` must be one of {', '.join(LOSSES)}. Received: name={name!r}")
        self.function, published = LOSSES[name]
        self.strength = published if strength is None else strength
        known = isinstance(self.strength, Real) and 0 <= self.strength < 3e38  # of float32
        if not known or (not published and self.strength):
            must = "be a finite number from 0" if published else f"be None: {name} takes none"
            raise ValueError(f"`strength` must {must}. Received: strength={strength!r}")
        self.class_weights = np.asarray(class_weights, "float32")

    def call(self, y_true, y_pred):
        precise = keras.backend.result_type(y_pred.dtype, "float32")
        z, y_true = ops.cast(y_pred, precise), ops.cast(y_true, precise)
        log_p, classes = ops.log_softmax(z, axis=-1), len(self.class_weights)
        truth = y_true[:, :classes]
        weighted = ops.multiply(self.class_weights, truth)
        if self.name == "mixup":
            return -ops.sum(weighted * log_p, axis=-1)
        more = [y_true[:, classes]] if self.name == "correctness_ranking" else []
        loss = -ops.sum(truth * log_p, axis=-1)
        loss, penalty = self.function(loss, log_p, z, self.strength, *more)
        return ops.sum(weighted, axis=-1) * loss + penalty

    def get_config(self):
        own = {"strength": self.strength, "class_weights": self.class_weights.tolist()}
        return {**super().get_config(), **own}

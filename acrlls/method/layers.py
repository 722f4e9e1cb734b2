"""The two layers that the paper adds to a classification head."""

from contextlib import suppress
from numbers import Real

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="acrlls")
class AdaptiveConfidenceRegularizer(keras.layers.Layer):
    """Adds a penalty on the distance of the confidence margin from a target.

    The *margin* of a sample is the difference between the two largest softmax probabilities of its
    logits.  The layer returns its input unchanged, adds the penalty to the loss in training, and
    computes nothing at prediction.

    Formula (equations 1 to 3 of Win & Yao, Section II-B)::

        margin = p_1 - p_2
        loss += alpha * mean(max(0, tau - margin) + 0.5 * max(0, margin - tau))

    The penalty is a mean over the batch, and 0 for an empty batch.  It ignores sample weights and
    class weights.  It is computed in float32 at least and added in `keras.config.floatx()`, the
    dtype of losses. Before `call`, Keras casts the logits to this layer's compute dtype: under a
    policy of mixed precision, `dtype="float32"` here and for the layers that make and take the
    logits keeps them from being rounded.

    >>> layer = AdaptiveConfidenceRegularizer(alpha=1.0, tau=0.25)
    >>> logits = keras.ops.zeros((1, 4))  # two equal probabilities: a margin of 0
    >>> _ = layer(logits, training=True)
    >>> float(layer.losses[0])
    0.25

    Args:
        alpha: Float, at least 0 and finite. Strength of the penalty.
        tau: Float in `[0, 1]`. The margin that costs nothing.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        logits: Tensor of shape `(batch_size, classes)`, at least two classes; other ranks are
            refused. The output is the same.
        training: Boolean. Whether to add the penalty.
    """

    def __init__(self, alpha=0.08, tau=0.25, **kwargs):
        super().__init__(**kwargs)
        # 3e38: finite in float32
        if isinstance(alpha, bool) or not (isinstance(alpha, Real) and 0 <= alpha < 3e38):
            raise ValueError(f"`alpha` must be a finite number from 0. Received: alpha={alpha!r}")
        if isinstance(tau, bool) or not (isinstance(tau, Real) and 0 <= tau <= 1):
            raise ValueError(f"`tau` must be a number in [0, 1]. Received: tau={tau!r}")
        self.alpha = float(alpha)
        self.tau = float(tau)
        self.supports_masking = True
        self.input_spec = keras.InputSpec(ndim=2)

    def build(self, input_shape):
        _refuse_one_class(input_shape)

    def call(self, logits, training=False):
        _refuse_one_class(logits.shape)
        if training:
            self.add_loss(self.penalty(logits))
        return logits

    def penalty(self, logits):
        """The penalty, a scalar, of logits `(batch_size, classes)`."""
        precise = keras.backend.result_type(logits.dtype, "float32")
        largest, _ = ops.top_k(ops.softmax(ops.cast(logits, precise)), k=2)
        margin = largest[:, 0] - largest[:, 1]
        uncertainty = ops.relu(self.tau - margin)
        overconfidence = ops.relu(margin - self.tau)
        mean = ops.mean(uncertainty + 0.5 * overconfidence)
        penalty = self.alpha * ops.where(ops.sum(ops.ones_like(margin)) > 0, mean, 0.0)
        return ops.cast(penalty, keras.config.floatx())

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "tau": self.tau}


@keras.saving.register_keras_serializable(package="acrlls")
class LearnableLogitScaler(keras.layers.Layer):
    """Multiplies each logit by a trainable weight of its class: ``logits * scale`` (equation 4 of
    Win & Yao, Section II-C).

    All weights are one at the start, so that a new layer changes nothing.

    >>> layer = LearnableLogitScaler()
    >>> layer(keras.ops.ones((2, 4))).shape
    (2, 4)

    Args:
        scale_initializer: Keras initializer of the scales, its name or its config; `None` is
            `"ones"`, the default. Scales that differ by class are assigned to `scale` after
            `build`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        logits: Tensor of shape `(batch_size, classes)`, as many classes as in the first call;
            other shapes are refused. The output has the same shape.
    """

    def __init__(self, scale_initializer="ones", **kwargs):
        super().__init__(**kwargs)
        given, found = scale_initializer, None
        with suppress(TypeError, ValueError):  # which say nothing of this argument
            found = keras.initializers.get("ones" if given is None else given)
        value = getattr(found, "value", 1.0)
        known = isinstance(found, keras.initializers.Initializer)
        if not (known and isinstance(value, Real) and np.isfinite(value)):
            raise ValueError(
                "`scale_initializer` must be a Keras initializer, its name or its config, such as "
                f"`keras.initializers.Constant(2.0)`, of a finite number. Received: {given!r}"
            )
        self.scale_initializer = found
        self.supports_masking = True
        self.input_spec = keras.InputSpec(ndim=2)

    def build(self, input_shape):
        if len(input_shape) != 2 or not input_shape[-1]:
            raise ValueError(
                "Logits must have the shape `(batch_size, classes)`, of a known number of classes."
                f" Received: input_shape={input_shape}"
            )
        self.input_spec = keras.InputSpec(ndim=2, axes={-1: input_shape[-1]})
        self.scale = self.add_weight(
            name="scale", shape=(input_shape[-1],), initializer=self.scale_initializer
        )

    def call(self, logits):
        return logits * self.scale

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        scale_initializer = keras.initializers.serialize(self.scale_initializer)
        return {**super().get_config(), "scale_initializer": scale_initializer}


def _refuse_one_class(shape):
    if shape[-1] is not None and shape[-1] < 2:
        raise ValueError(f"A margin needs at least two classes. Received: logits.shape={shape}")

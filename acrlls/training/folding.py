"""A network rewritten to multiply and to pass over memory in fewer operations: the same in less time on a CPU.

Measured at 224 px with batches of 32, four fifths of a training step of Phase 2 are convolutions of single pixels (1 × 1),
gradients included; the input pipeline costs two percent and the depthwise convolutions' gradients run well.  Taken is:

- A convolution of single pixels is a product of matrices, and so are its two gradients.  TensorFlow's convolution copies
  its input first, most of all for the gradient of the kernel.
- BatchNormalization Keras writes as separate passes over the activations.  In inference mode, behind a convolution, it is
  a scale and an offset a channel.  The scale goes into the convolution's kernel, the offset becomes its bias (Jacob et al.
  2018, Section 3.2, do it for inference).  The gradient of the kernel itself follows through ``kernel * scale``, which is
  as small as the kernel.
- BatchNormalization that follows its batches (Ioffe & Szegedy 2015) is one operation of TensorFlow, and its gradient one.

All are exact algebra: in float64 losses and gradients are those of the plain network.  In float32 they differ by
rounding, and where rounding puts an activation on the other side of a corner of ReLU6 the gradient jumps, so any two
orders of adding give gradients that differ by about 1e-3 of their norm, the plain network's from the exact ones included.
"""

from __future__ import annotations

import keras
from keras import ops


def lean(network: keras.Model, momenta: tuple[float, ...] = ()) -> keras.Model:
    """A model equal to ``network``, a flat functional one, that shares its variables; ``network`` itself if nothing can
    be won.

    Uses the layers' current ``trainable`` flags: call it again after layers were frozen or unfrozen.

    Args:
        momenta: of moving averages to keep beside each updating BatchNormalization's own.
    """
    norms = _foldable(network)
    convolutions = {
        layer.name for layer in network.layers if layer.name in norms or _is_product(layer)
    }
    fused = _fusible(network, always=bool(momenta))
    if not convolutions and not fused:
        return network

    def replace(layer):
        if layer.name in convolutions:
            return LeanConvolution(layer, norms.get(layer.name), name=f"{layer.name}_lean")
        if layer in norms.values():
            return keras.layers.Identity(name=f"{layer.name}_in_kernel")
        if layer.name in fused:
            return FusedBatchNormalization(layer, momenta, name=f"{layer.name}_fused")
        return layer

    def call(
        layer, *inputs, **_
    ):  # without the keyword arguments of the replaced layer, a mask of None
        return layer(*inputs)

    return keras.models.clone_model(network, clone_function=replace, call_function=call)


def _is_convolution(layer: keras.Layer) -> bool:
    """Whether it is a convolution alone: no bias, no activation."""
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return (
        type(layer) in kinds and not layer.use_bias and layer.activation is keras.activations.linear
    )


def _is_product(layer: keras.Layer) -> bool:
    """Whether it is a convolution of single pixels, none left out: a product of its input and a matrix."""
    plain = (
        type(layer) is keras.layers.Conv2D
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )
    return plain and _is_convolution(layer) and layer.kernel_size == layer.strides == (1, 1)


def _foldable(network: keras.Model) -> dict[str, keras.Layer]:
    """Names of convolutions, each with the frozen BatchNormalization that alone reads it."""
    inside, readers = set(network.layers), {layer.name: set() for layer in network.layers}
    for layer in network.layers:
        for node in layer._inbound_nodes:
            for parent in node.parent_nodes:
                if parent.operation in inside:
                    readers[parent.operation.name].add(layer)
    found = {}
    for layer in filter(_is_convolution, network.layers):
        if len(readers[layer.name]) == 1:
            (norm,) = readers[layer.name]
            if isinstance(norm, keras.layers.BatchNormalization) and not norm.trainable:
                found[layer.name] = norm
    return found


def _fusible(network: keras.Model, always: bool) -> set[str]:
    """Names of the BatchNormalization layers that follow their batches: ``always``, or else those that TensorFlow's
    operation makes faster.  Other backends' compilers fuse, or their operation is one already."""
    return {
        layer.name
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
        and (always or _has_operation(layer))
    }


def _has_operation(layer: keras.Layer) -> bool:
    return keras.backend.backend() == "tensorflow" and layer.compute_dtype == "float32"


class LeanConvolution(keras.layers.Layer):
    """A convolution and, where one is given, the frozen BatchNormalization behind it, as one convolution with a bias.

    Args:
        convolution: a ``Conv2D`` or ``DepthwiseConv2D`` without bias and activation.
        norm: the BatchNormalization, over the last axis.
    """

    def __init__(self, convolution, norm=None, **kwargs):
        super().__init__(**kwargs)
        self.convolution, self.norm = convolution, norm
        self.built = True

    def call(self, x):
        kernel, norm = self.convolution.kernel, self.norm
        if norm is None:
            return self._convolve(x, kernel)
        scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
        by_channel = (
            scale[:, None] if isinstance(self.convolution, keras.layers.DepthwiseConv2D) else scale
        )
        return self._convolve(x, kernel * by_channel) + (norm.beta - norm.moving_mean * scale)

    def _convolve(self, x, kernel):
        convolution = self.convolution
        if _is_product(convolution):
            pixels = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), kernel[0, 0])
            return ops.reshape(pixels, (*ops.shape(x)[:-1], kernel.shape[-1]))
        convolve = (
            ops.depthwise_conv
            if isinstance(convolution, keras.layers.DepthwiseConv2D)
            else ops.conv
        )
        options = ("strides", "padding", "data_format", "dilation_rate")
        return convolve(x, kernel, **{name: getattr(convolution, name) for name in options})

    def compute_output_shape(self, input_shape):
        return self.convolution.compute_output_shape(input_shape)


class FusedBatchNormalization(keras.layers.Layer):
    """A BatchNormalization that follows its batches, on TensorFlow in float32 by its one operation for it.

    The only place of the package that names a backend to compute: ``keras.ops`` has no such operation, and written in it
    with a gradient of its own it saved half as much.

    Args:
        norm: the BatchNormalization, over the last axis.
        momenta: of moving averages kept beside its own, in ``means`` and ``variances``, `(len(momenta), channels)`.
    """

    def __init__(self, norm, momenta=(), **kwargs):
        super().__init__(**kwargs)
        self.norm = norm
        self.built = True
        self._kept = (
            ops.reshape(ops.convert_to_tensor(momenta, "float32"), (-1, 1)) if momenta else None
        )
        if momenta:
            for name, moving in (("means", norm.moving_mean), ("variances", norm.moving_variance)):
                variable = self.add_weight(
                    name=name, shape=(len(momenta), *moving.shape), trainable=False
                )
                variable.assign(ops.broadcast_to(moving, variable.shape))
                setattr(self, name, variable)

    def call(self, x, training=False):
        norm = self.norm
        if not training:
            return norm(x, training=False)
        y, mean, variance = self._normalize(x)
        mean, variance = ops.stop_gradient(mean), ops.stop_gradient(variance)
        for moving, value in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
            moving.assign(moving * norm.momentum + value * (1 - norm.momentum))
        if self._kept is not None:
            self.means.assign(self.means * self._kept + mean * (1 - self._kept))
            self.variances.assign(self.variances * self._kept + variance * (1 - self._kept))
        return y

    def _normalize(self, x):
        """The normalized batch, its mean and its mean squared deviation."""
        norm = self.norm
        if not _has_operation(norm):
            mean, variance = ops.moments(x, tuple(range(len(x.shape) - 1)))
            y = ops.batch_normalization(x, mean, variance, -1, norm.beta, norm.gamma, norm.epsilon)
            return y, mean, variance
        from tensorflow import raw_ops

        nothing = ops.zeros((0,))
        y, mean, unbiased, *_ = raw_ops.FusedBatchNormV3(
            x=x,
            scale=norm.gamma * 1,
            offset=norm.beta * 1,
            mean=nothing,
            variance=nothing,
            epsilon=norm.epsilon,
        )
        n = ops.cast(ops.prod(ops.shape(x)[:-1]), x.dtype)
        return y, mean, unbiased * (n - 1) / n  # the operation divides by n - 1

    def compute_output_shape(self, input_shape):
        return input_shape

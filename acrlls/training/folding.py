"""A network rewritten into fewer operations, in exact algebra: the same in less time on a CPU.

A convolution of single pixels becomes a product of matrices, BatchNormalization in inference mode
goes into the kernel and bias of the convolution before it (Jacob et al. 2018, Section 3.2), and one
that follows its batches (Ioffe & Szegedy 2015) is one operation.  In float64 losses and gradients
are those of the plain network; in float32 any two orders of adding give gradients that differ by
about 1e-3 of their norm, because rounding moves activations across the corners of ReLU6.
"""

import keras
from keras import ops
from keras.activations import linear
from keras.layers import BatchNormalization, Conv2D, DepthwiseConv2D

from acrlls.method import consumers


def lean(network: keras.Model, momenta: tuple[float, ...] = ()) -> keras.Model:
    """A model equal to ``network``, a flat functional one, that shares its variables; ``network``
    itself if nothing can be saved.  As in MobileNetV2, maps have their channels last, and every
    BatchNormalization is one of maps, with scale and centre.

    Uses the layers' current ``trainable`` flags.  Beside each updating BatchNormalization's own
    moving averages, those of further ``momenta`` are kept.  The model is for training here: its
    layers have no config of their own, so that it can be neither saved nor cloned.
    """
    norms = _foldable(network)
    folded = {norm.name for norm in norms.values()}
    convolutions = {n.name for n in network.layers if n.name in norms or _is_product(n)}
    updating = [n for n in network.layers if isinstance(n, BatchNormalization) and n.trainable]
    fused = {n.name for n in updating if momenta or _has_op(n)}
    if not convolutions and not fused:
        return network

    def replace(layer):
        if layer.name in convolutions:
            return LeanConvolution(layer, norms.get(layer.name), name=f"{layer.name}_lean")
        if layer.name in folded:
            return keras.layers.Identity(name=f"{layer.name}_in_kernel")
        if layer.name in fused:
            return FusedBatchNormalization(layer, momenta, name=f"{layer.name}_fused")
        return layer

    def call(layer, *inputs, **_):  # without what the replaced layer was called with: a mask, None
        return layer(*inputs)

    return keras.models.clone_model(network, clone_function=replace, call_function=call)


def _is_product(layer: keras.Layer) -> bool:
    """Whether it is a convolution of single pixels alone: a product of its input and a matrix."""
    if type(layer) is not Conv2D or layer.use_bias or layer.groups > 1:
        return False
    return layer.activation is linear and layer.kernel_size == layer.strides == (1, 1)


def _foldable(network: keras.Model) -> dict[str, keras.Layer]:
    """Names of convolutions, each with the frozen BatchNormalization that alone reads it."""
    found, readers = {}, consumers(network)
    for layer in network.layers:
        if type(layer) in (Conv2D, DepthwiseConv2D) and not layer.use_bias:
            reader, *others = set(readers[layer.name]) or {None}
            frozen = isinstance(reader, BatchNormalization) and not reader.trainable
            if frozen and not others and layer.activation is linear:
                found[layer.name] = reader
    return found


def _has_op(norm: keras.Layer) -> bool:
    """Whether TensorFlow's operation makes it faster; the other backends' compilers fuse."""
    return keras.backend.backend() == "tensorflow" and norm.compute_dtype == "float32"


class LeanConvolution(keras.layers.Layer):
    """A ``Conv2D`` or ``DepthwiseConv2D`` without bias and activation and, where given, the frozen
    BatchNormalization behind it, as one with a bias.
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
        by_channel = scale[:, None] if type(self.convolution) is DepthwiseConv2D else scale
        return self._convolve(x, kernel * by_channel) + (norm.beta - norm.moving_mean * scale)

    def _convolve(self, x, kernel):
        convolution = self.convolution
        if _is_product(convolution):
            pixels = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), kernel[0, 0])
            return ops.reshape(pixels, (*ops.shape(x)[:-1], kernel.shape[-1]))
        convolve = ops.depthwise_conv if type(convolution) is DepthwiseConv2D else ops.conv
        options = ("strides", "padding", "data_format", "dilation_rate")
        return convolve(x, kernel, **{name: getattr(convolution, name) for name in options})

    def compute_output_shape(self, input_shape):
        return self.convolution.compute_output_shape(input_shape)


class FusedBatchNormalization(keras.layers.Layer):
    """A BatchNormalization that follows its batches, by one operation of TensorFlow in float32.

    The only place of the package that names a backend to compute: ``keras.ops`` has no such
    operation, and written in it with a gradient of its own it saved half as much.  Moving averages
    of further ``momenta`` are in ``means`` and ``variances``, `(len(momenta), channels)`.
    """

    def __init__(self, norm, momenta=(), **kwargs):
        super().__init__(**kwargs)
        self.norm = norm
        self.built = True
        self._kept = None
        if momenta:
            self._kept = ops.reshape(ops.convert_to_tensor(momenta, "float32"), (-1, 1))
            for name, moving in (("means", norm.moving_mean), ("variances", norm.moving_variance)):
                shape = (len(momenta), *moving.shape)
                how = {"trainable": False, "autocast": False}  # as the layer's own averages
                variable = self.add_weight(name=name, shape=shape, **how)
                variable.assign(ops.broadcast_to(moving, shape))
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
        if not _has_op(norm):
            return normalized(norm, x)
        from tensorflow import raw_ops

        none = ops.zeros((0,), x.dtype)
        # multiplied by one: as tensors, not variables
        how = {"scale": norm.gamma * 1, "offset": norm.beta * 1, "epsilon": norm.epsilon}
        y, mean, unbiased, *_ = raw_ops.FusedBatchNormV3(x=x, mean=none, variance=none, **how)
        n = ops.cast(ops.prod(ops.shape(x)[:-1]), x.dtype)
        return y, mean, unbiased * (n - 1) / n  # the operation divides by n - 1

    def compute_output_shape(self, input_shape):
        return input_shape


def normalized(norm: keras.Layer, x) -> tuple:
    """A batch as a BatchNormalization in training gives it, and its mean and variance, which are
    computed in float32 at least, as Keras does."""
    precise = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
    mean, variance = ops.moments(precise, tuple(range(len(x.shape) - 1)))
    how = norm.beta, norm.gamma, norm.epsilon
    y = ops.batch_normalization(precise, mean, variance, -1, *how)
    return ops.cast(y, x.dtype), mean, variance

"""Which statistics BatchNormalization uses at prediction, several on one training (Section II-D).

Training normalizes by the statistics of the batch, so moving averages of any momentum can be kept
beside it, and others be re-estimated from training images ("precise" ones: Wu & Johnson, Rethinking
"Batch" in BatchNorm, 2021, Section 3).
"""

import contextlib
import functools
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from acrlls.training.folding import FusedBatchNormalization, lean, normalized

REESTIMATED = "reestimated"
_IMAGES = 4096  # from which statistics are re-estimated; Wu & Johnson need a thousand


class Readings:
    """Several readings of the statistics of one training, each a momentum or ``"reestimated"``.

    Attributes:
        stage: the network in its lean form, which is to be trained.
        own: the first name, the run's reading: it decides which epoch is kept; a momentum becomes
            that of the network's own layers.
        others: the other names; none if no BatchNormalization of the network follows its batches.
    """

    def __init__(self, network: keras.Model, names: tuple[float | str, ...]):
        self._tracked = tuple(name for name in names[1:] if name != REESTIMATED)
        self.stage = lean(network, self._tracked)
        self._layers = [n for n in self.stage.layers if isinstance(n, FusedBatchNormalization)]
        self.own, self.others = names[0], names[1:] if self._layers else ()
        if self.own != REESTIMATED:
            for layer in self._layers:
                layer.norm.momentum = self.own
        norms = [layer.norm for layer in self._layers]
        # of each layer in turn; all statistics here are in this order
        self._moving = [v for norm in norms for v in (norm.moving_mean, norm.moving_variance)]
        self._afresh: list[np.ndarray] = []

    def end_epoch(self, batches) -> None:
        """Re-estimate statistics from the images of an epoch, if some reading asks for them."""
        if self._layers and REESTIMATED in (self.own, *self.others):
            self._afresh = self._statistics_of(batches)
            if self.own == REESTIMATED:
                self._assign(self._afresh)

    @contextlib.contextmanager
    def applied(self, name: float | str) -> Iterator[None]:
        """Let the network predict with another reading for a while."""
        own = [ops.convert_to_numpy(v).copy() for v in self._moving]
        read = self._afresh
        if name != REESTIMATED:
            kept = [v for layer in self._layers for v in (layer.means, layer.variances)]
            read = [ops.convert_to_numpy(v)[self._tracked.index(name)] for v in kept]
        self._assign(read)
        try:
            yield
        finally:
            self._assign(own)

    def _assign(self, statistics: list[np.ndarray]) -> None:
        for variable, value in zip(self._moving, statistics, strict=True):
            variable.assign(value)

    def _statistics_of(self, batches) -> list[np.ndarray]:
        """Mean and variance of every BatchNormalization's input, all normalizing by their batch."""
        found, sizes = [], []
        for k in range(len(batches)):
            x, _ = batches[k]
            found.append([np.asarray(v, np.float64) for v in self._exposed.predict_on_batch(x)])
            sizes.append(len(x))
            if sum(sizes) >= _IMAGES:
                break
        found = [np.average(each, axis=0, weights=sizes) for each in zip(*found, strict=True)]
        pairs = zip(found[::2], found[1::2], strict=True)
        return [v for mean, square in pairs for v in (mean, square - np.square(mean))]

    @functools.cached_property
    def _exposed(self) -> keras.Model:
        """A network from the stage's input to mean and mean square of what each norm takes in."""
        moments = []

        def replace(layer):
            fused = isinstance(layer, FusedBatchNormalization)
            return _ByBatch(layer.norm, name=f"{layer.name}_by_batch") if fused else layer

        def call(layer, *inputs, **_):
            outputs = layer(*inputs)
            if not isinstance(layer, _ByBatch):
                return outputs
            moments.extend(outputs[1:])
            return outputs[0]

        twin = keras.models.clone_model(self.stage, clone_function=replace, call_function=call)
        exposed = keras.Model(twin.input, moments)
        exposed.compile(jit_compile=self.stage.jit_compile)
        return exposed


class _ByBatch(keras.layers.Layer):
    """BatchNormalization by its batch even at prediction; gives mean and mean square as well."""

    def __init__(self, norm, **kwargs):
        super().__init__(**kwargs)
        self.norm = norm
        self.built = True

    def call(self, x):
        y, mean, variance = normalized(self.norm, x)
        return y, mean, variance + ops.square(mean)

    def compute_output_shape(self, input_shape):
        return input_shape, input_shape[-1:], input_shape[-1:]

"""MobileNetV2 with the paper's head, its variants, what is frozen when (Sections II-A, II-D)."""

import functools
import math
import warnings
from pathlib import Path

import keras
import numpy as np

from acrlls.config import Config, UserError
from acrlls.method.layers import AdaptiveConfidenceRegularizer, LearnableLogitScaler
from acrlls.method.variants import VARIANTS
from acrlls.method.weights import weights_digest, weights_file

POOL = "pool"  # first layer of the head


def build_model(config: Config, classes: int, base: keras.Model | None = None) -> keras.Model:
    """The whole network, images `(n, size, size, 3)` to probabilities `(n, classes)`, flat, on the
    backbone ``base`` or one of its own.

    Logits pass ACR, then LLS, then softmax (Fig. 1).  Weights of the head follow from
    ``config.seed`` alone, so that variants of one seed start from the same values in every layer
    that they share.  A ``UserError`` says where the backbone's weights were looked for.
    """
    variant = VARIANTS[config.variant]
    base = build_backbone(config) if base is None else base
    x = keras.layers.GlobalAveragePooling2D(name=POOL)(base.output)

    def dense(i: int, units: int, name: str, activation=None):
        start = keras.initializers.GlorotUniform(seed=config.seed * 10 + i)
        return keras.layers.Dense(units, activation, kernel_initializer=start, name=name)

    for i, (units, rate) in enumerate(zip(variant.dense, variant.dropout, strict=True), start=1):
        x = dense(i, units, f"dense_{i}", "relu")(x)
        x = keras.layers.Dropout(rate, seed=config.seed * 10 + i, name=f"dropout_{i}")(x)
    x = dense(0, classes, "logits")(x)
    if variant.acr:
        x = AdaptiveConfidenceRegularizer(config.alpha, config.tau, name="acr")(x)
    if variant.lls:
        x = LearnableLogitScaler(name="lls")(x)
    x = keras.layers.Softmax(name="softmax")(x)
    return keras.Model(base.input, x, name=config.variant)


def build_backbone(config: Config) -> keras.Model:
    """MobileNetV2 without its top, with the weights that ``config.backbone`` names.

    Random ones are drawn after :func:`keras.utils.set_random_seed` by ``config.seed``, which sets
    the generators of Python, NumPy and the backend for all that follows.
    """
    base = _network(config.image_size, config.backbone_width)  # under the dtype policy of now
    base.set_weights(frozen_backbone(config).get_weights())
    return base


def frozen_backbone(config: Config) -> keras.Model:
    """:func:`build_backbone`, made once for all that leave it as it is."""
    seed = config.seed if config.backbone == "random" else None
    how = config.image_size, config.backbone_width, seed
    return _frozen_backbone(weights_file(config), weights_digest(config), *how)


@functools.lru_cache(maxsize=2)
def _frozen_backbone(file: Path | None, weights: str, size: int, width: float, seed: int | None):
    if file is None:
        keras.utils.set_random_seed(seed)
        return _network(size, width)
    try:
        base = _network(size, width)
        with warnings.catch_warnings():
            # Keras says this a hundred times before it fails on a file that does not fit
            warnings.filterwarnings("ignore", "Skipping nested container")
            base.load_weights(file)
        if not all(np.isfinite(array).all() for array in base.get_weights()):
            raise ValueError("some of them are no numbers")
    except Exception as error:  # whatever the file makes its reader meet
        raise UserError(
            f"the weights {file} do not fit MobileNetV2 of width {width:g} at {size} px: {error}"
        ) from error
    return base


def _network(size: int, width: float) -> keras.Model:
    return keras.applications.MobileNetV2((size, size, 3), width, include_top=False, weights=None)


def backbone_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers before the head, in the model's own order: those of the "last 50 layers"."""
    return model.layers[: model.layers.index(model.get_layer(POOL))]


def unfreeze_top(model: keras.Model, n: int, batchnorm: str = "update") -> None:
    """Let the last ``n`` backbone layers learn and freeze those before; the head stays as it is.

    With ``batchnorm="update"`` the BatchNormalization layers among them learn and normalize by the
    batch (the literal reading); with ``"frozen"`` every one of the backbone is frozen, and so runs
    in inference mode.
    """
    still = keras.layers.BatchNormalization if batchnorm == "frozen" else ()
    for left, layer in enumerate(reversed(backbone_layers(model))):
        layer.trainable = left < n and not isinstance(layer, still)


def between(model: keras.Model, first: str | None, last: str) -> keras.Model:
    """The part of a model after layer ``first``, or from the images, to ``last``; shares layers."""
    start = model.input if first is None else model.get_layer(first).output
    name = f"after_{first or 'images'}_to_{last}"
    return keras.Model(start, model.get_layer(last).output, name=name)


def consumers(model: keras.Model) -> dict[str, list[keras.layers.Layer]]:
    """The layers of a flat model that take in each layer's output, by its name."""
    calls = {
        layer.name: [node.operation for node in layer._outbound_nodes] for layer in model.layers
    }
    return {name: [op for op in ops if op in model.layers] for name, ops in calls.items()}


def frozen_cut(model: keras.Model) -> str | None:
    """Name of the layer whose output is stored, because all that learns is computed from it alone;
    ``None`` if there is no such layer.

    A layer qualifies if it and all before it are frozen and no connection jumps over it.  The
    pooled vector is taken where it qualifies.  Of maps the last is taken that is at most twice as
    large as the smallest: one block less to compute is worth a somewhat larger map, but not the
    sixfold one to which an inverted residual block expands its input.  So at 224 px the published
    last 50 layers are fed from the 14 x 14 x 96 after block 10.
    """
    order = {layer.name: i for i, layer in enumerate(model.layers)}
    readers = consumers(model)
    learning = [i for i, layer in enumerate(model.layers) if layer.trainable_weights]
    shapes, furthest = {}, 0
    for i, layer in enumerate(model.layers[: min(learning, default=len(order))]):
        if i and furthest <= i:  # no connection from before it to beyond it
            shapes[layer.name] = layer.output.shape[1:]
        furthest = max([furthest, *(order[reader.name] for reader in readers[layer.name])])
    if not shapes:
        return None
    smallest = min(map(math.prod, shapes.values()))
    vectors = [name for name, shape in shapes.items() if len(shape) == 1]
    return (vectors or [n for n, s in shapes.items() if math.prod(s) <= 2 * smallest])[-1]

"""MobileNetV2 with the paper's head, its variants, and what is frozen when (Sections II-A and II-D)."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import keras
import numpy as np

from acrlls.config import Config, UserError
from acrlls.method.layers import AdaptiveConfidenceRegularizer, LearnableLogitScaler
from acrlls.store import digest

POOL = "pool"  # first layer of the head
SHIPPED_WEIGHTS = "phantom_mobilenet_v2_0.35_96.weights.h5"


@dataclass(frozen=True)
class Variant:
    """A head: which calibration layers it has, its dense widths and the dropout rate after each."""

    title: str
    acr: bool
    lls: bool
    dense: tuple[int, ...] = (256, 128)
    dropout: tuple[float, ...] = (0.4, 0.3)


# Baseline, Single Dense and Proposed are the paper's (Section IV-D); the rest is what its ablation leaves out.
VARIANTS = {
    "baseline": Variant("Baseline", acr=False, lls=False),
    "single_dense": Variant("Single Dense", acr=False, lls=False, dense=(256,), dropout=(0.4,)),
    "proposed": Variant("Proposed", acr=True, lls=True),
    "acr_only": Variant("ACR alone", acr=True, lls=False),
    "lls_only": Variant("LLS alone", acr=False, lls=True),
    "single_dense_acr_lls": Variant(
        "Single Dense + ACR + LLS", acr=True, lls=True, dense=(256,), dropout=(0.4,)
    ),
}


def build_model(config: Config, classes: int, base: keras.Model | None = None) -> keras.Model:
    """The whole network, images `(n, size, size, 3)` to probabilities `(n, classes)`, as one flat functional model.

    Its backbone is ``base``, shared with whoever else has it, or one of its own.

    Logits pass ACR, then LLS, then softmax (Fig. 1).  Weights of the head follow from ``config.seed`` alone, so that
    variants of one seed share the start of every layer they share.

    Raises:
        UserError: the backbone's weights cannot be had; the message says where they were looked for.
    """
    variant = VARIANTS[config.variant]
    base = build_backbone(config) if base is None else base
    x = keras.layers.GlobalAveragePooling2D(name=POOL)(base.output)
    for i, (units, rate) in enumerate(zip(variant.dense, variant.dropout, strict=True), start=1):
        start = keras.initializers.GlorotUniform(seed=config.seed * 10 + i)
        x = keras.layers.Dense(
            units, activation="relu", kernel_initializer=start, name=f"dense_{i}"
        )(x)
        x = keras.layers.Dropout(rate, seed=config.seed * 10 + i, name=f"dropout_{i}")(x)
    start = keras.initializers.GlorotUniform(seed=config.seed * 10)
    x = keras.layers.Dense(classes, kernel_initializer=start, name="logits")(x)
    if variant.acr:
        x = AdaptiveConfidenceRegularizer(config.alpha, config.tau, name="acr")(x)
    if variant.lls:
        x = LearnableLogitScaler(name="lls")(x)
    x = keras.layers.Softmax(name="softmax")(x)
    return keras.Model(base.input, x, name=config.variant)


def build_backbone(config: Config) -> keras.Model:
    """MobileNetV2 without its top, with the weights that ``config.backbone`` names."""
    weights = weights_file(config)
    shape = (config.image_size, config.image_size, 3)
    if config.backbone == "random":
        keras.utils.set_random_seed(config.seed)
    try:
        base = keras.applications.MobileNetV2(
            input_shape=shape, alpha=config.backbone_width, include_top=False, weights=None
        )
        if weights is not None:
            base.set_weights(_read_weights(weights, weights.stat().st_mtime_ns, base))
    except (ValueError, OSError, KeyError) as error:
        raise UserError(
            f"the weights {weights} do not fit MobileNetV2 of width {config.backbone_width:g} at "
            f"{config.image_size} px: {error}"
        ) from error
    return base


_read: dict[
    tuple, list[np.ndarray]
] = {}  # of the file read last: reading takes as long as building the network


def _read_weights(file: Path, changed: int, base: keras.Model) -> list[np.ndarray]:
    """The arrays of a weights file for a network of ``base``'s shapes."""
    key = (file, changed, base.count_params(), base.input_shape)
    if key not in _read:
        with (
            warnings.catch_warnings()
        ):  # of a file that does not fit Keras tells a hundred times before it fails
            warnings.filterwarnings("ignore", "Skipping nested container")
            base.load_weights(file)
        _read.clear()
        _read[key] = base.get_weights()
    return _read[key]


def weights_file(config: Config) -> Path | None:
    """The file that holds the backbone's weights; ``None`` for a random start.  ``"imagenet"`` fetches Keras's own."""
    if config.backbone == "random":
        return None
    if config.backbone == "phantom":
        path = Path(str(resources.files("acrlls") / "weights" / SHIPPED_WEIGHTS))
    elif config.backbone == "imagenet":
        return _imagenet_file(config)
    else:
        path = Path(config.backbone).expanduser()
    if not path.is_file():
        raise UserError(
            f"backbone {config.backbone!r} is not a weights file; give the path of one, or 'imagenet', 'phantom' "
            "or 'random'"
        )
    return path


def _imagenet_file(config: Config) -> Path:
    """Keras's ImageNet weights, fetched once into Keras's own cache (needs a network the first time)."""
    sizes, widths = (96, 128, 160, 192, 224), (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
    if config.backbone_width not in widths:
        raise UserError(
            f"ImageNet weights exist for backbone_width {widths}, not {config.backbone_width:g}"
        )
    # Keras keeps one file a width and size; an image of another size takes the weights made for 224 px, as Keras does.
    size = config.image_size if config.image_size in sizes else 224
    name = (
        f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{config.backbone_width}_{size}_no_top.h5"
    )
    url = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/" + name
    try:
        return Path(keras.utils.get_file(name, url, cache_subdir="models"))
    except Exception as error:  # get_file raises bare Exception when there is no network
        raise UserError(
            f"ImageNet weights could not be fetched ({error}). Without a network, put the file {name} somewhere and "
            "give its path as backbone, or use the profile 'quick', whose backbone ships with the project"
        ) from error


def weights_digest(config: Config) -> str:
    """Digest of the weights a run starts from; random ones follow from the seed and the backend that draws them."""
    path = weights_file(config)
    return digest(path) if path else f"random {config.seed} {keras.backend.backend()}"


def backbone_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers before the head, in the model's own order: `base.layers` of the paper's "last 50 layers"."""
    names = [layer.name for layer in model.layers]
    return model.layers[: names.index(POOL)]


def freeze_backbone(model: keras.Model) -> None:
    """Phase 1: only the head learns.  A frozen BatchNormalization runs in inference mode and keeps its statistics."""
    for layer in backbone_layers(model):
        layer.trainable = False


def unfreeze_top(model: keras.Model, n: int, batchnorm: str) -> None:
    """Phase 2: the last ``n`` backbone layers learn as well.

    Args:
        batchnorm: ``"update"`` lets their BatchNormalization learn and follow the batches (the literal reading),
            ``"frozen"`` keeps it as it is.
    """
    freeze_backbone(model)
    for layer in backbone_layers(model)[-n:] if n else []:
        keep = batchnorm == "frozen" and isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = not keep


def between(model: keras.Model, first: str | None, last: str) -> keras.Model:
    """The part of a model after layer ``first`` (``None``: from the images) up to ``last``, sharing its layers."""
    start = model.input if first is None else model.get_layer(first).output
    return keras.Model(
        start, model.get_layer(last).output, name=f"after_{first or 'images'}_to_{last}"
    )


def frozen_cut(model: keras.Model) -> str | None:
    """Name of the layer at which the frozen part is stored: its output alone feeds everything that learns.

    Found by walking the graph: a layer qualifies if it and all before it are frozen and no connection jumps over it.
    The pooled vector is taken where it qualifies.  Of maps the last is taken that is at most twice as large as the
    smallest: one block that need not be computed again is worth a somewhat larger map, but not the sixfold one that an
    inverted residual block expands its input to.  So at 224 px the published last 50 layers are fed from the
    14 x 14 x 96 after block 10, and the frozen beginning of block 11 is computed with them.

    Returns:
        ``None`` if nothing can be stored because the first layers learn.
    """
    order = {layer.name: i for i, layer in enumerate(model.layers)}
    reach = {}  # index of the last consumer of each layer's output
    for layer in model.layers:
        for node in layer._inbound_nodes:
            for parent in node.parent_nodes:
                source = parent.operation.name
                if source in order and layer.name in order:
                    reach[order[source]] = max(reach.get(order[source], 0), order[layer.name])
    learning = [i for i, layer in enumerate(model.layers) if layer.trainable_weights]
    limit = min(learning) if learning else len(model.layers)
    shapes, furthest = {}, 0
    for i, layer in enumerate(model.layers[:limit]):
        jumps_over = furthest > i  # a connection from before i to beyond i
        furthest = max(furthest, reach.get(i, 0))
        if i and not jumps_over:
            shapes[layer.name] = layer.output.shape[1:]
    if not shapes:
        return None
    vectors = [name for name, shape in shapes.items() if len(shape) == 1]
    smallest = min(math.prod(shape) for shape in shapes.values())
    return (
        vectors or [name for name, shape in shapes.items() if math.prod(shape) <= 2 * smallest]
    )[-1]

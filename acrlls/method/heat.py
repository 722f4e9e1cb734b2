"""Where in an image a class comes from: Grad-CAM on any Keras backend (Section IV-E).

Keras 3 has no gradient function of its own, and the project names no backend, so the gradient comes
from the one thing that every backend offers, a training step.  The network is cut at a layer, and a
weight that is zero is added to the activations of that layer.  Everything else is held still, so
one step of plain gradient descent with learning rate 1 on minus the class's logit leaves in that
weight exactly the gradient of the logit.

Reference:
    R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", ICCV 2017.
"""

from __future__ import annotations

import difflib
from contextlib import contextmanager

import keras
import numpy as np
import pandas as pd

from acrlls.calibration import bootstrap_means
from acrlls.config import UserError
from acrlls.data import render
from acrlls.method.model import between

SCORES = ("lls", "logits")  # the last of these that the model has is what enters the softmax


def gradcam(
    model: keras.Model, images, layer: str = "out_relu", classes=None, batch_size: int = 32
) -> np.ndarray:
    """Heat map of each image: where a layer's activations raise the logit of a class.

    The channels of the layer are weighted by the spatial mean of the gradient, summed, cut at zero,
    enlarged to the image (bilinear) and divided by their largest value.  The logit is the one that
    enters the softmax, after LLS; dropout, batch statistics and ACR are off, as at prediction.

    Args:
        model: flat functional model of :func:`acrlls.build_model`.  It comes back as it was.
        images: what the model takes, ``(n, h, w, 3)``.
        layer: name of a layer whose output is ``(n, rows, columns, channels)``.
        classes: class of each image, ``(n,)``; None takes the predicted one.
        batch_size: images a step.

    Returns:
        ``(n, h, w)`` float32 in [0, 1], with a largest value of 1, or 0 everywhere where nothing
        speaks for the class.

    Raises:
        UserError: an unknown layer or one without rows and columns, or images or classes of another
            shape.
    """
    images = _checked_images(model, images)
    maps, slopes = gradients(model, images, layer, classes, batch_size)
    heat = np.maximum((maps * slopes.mean(axis=(1, 2), keepdims=True)).sum(axis=3), 0)
    size = images.shape[1:3]
    heat = keras.ops.image.resize(heat[..., None], size, data_format="channels_last")
    heat = keras.ops.convert_to_numpy(heat)[..., 0].clip(0)
    most = heat.max(axis=(1, 2), keepdims=True)
    return np.divide(heat, most, out=np.zeros_like(heat), where=most > 0)


def gradients(
    model: keras.Model, images, layer: str, classes=None, batch_size: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    """Activations of a layer and the gradient of each image's class logit with respect to them.

    Returns:
        Two arrays ``(n, rows, columns, channels)``.  Arguments and errors as :func:`gradcam`.
    """
    images = _checked_images(model, images)
    score = next(name for name in SCORES if name in _shapes(model))
    front, head = between(model, None, _checked_layer(model, layer)), between(model, layer, score)
    maps = front.predict(images, batch_size=batch_size, verbose=0)
    outputs = head.predict(maps, batch_size=batch_size, verbose=0)
    chosen = np.eye(outputs.shape[1], dtype="float32")[_checked_classes(classes, outputs)]
    step = min(batch_size, len(maps))
    with _held_still(head):
        probe = _Probe(head, (step, *maps.shape[1:]))
        probe.compile(
            keras.optimizers.SGD(1.0), loss=_MinusChosen(reduction="sum"), jit_compile=False
        )
        starts = range(0, len(maps), step)
        slopes = [
            probe.gradient(*_padded(step, maps[i : i + step], chosen[i : i + step])) for i in starts
        ]
    return maps, np.concatenate(slopes)[: len(maps)]


def lung_share(heat, masks) -> np.ndarray:
    """Share of the heat inside the lungs, ``(n,)`` in [0, 1]; NaN for an image without heat.

    Compare it with the share of the image that the lungs take up, which is the share of heat that
    is spread evenly.

    Args:
        heat: ``(n, h, w)``, not negative.
        masks: ``(n, h, w)``, true inside the lungs.
    """
    heat, masks = np.asarray(heat, float), np.asarray(masks, bool)
    if heat.ndim != 3 or heat.shape != masks.shape:
        raise ValueError(
            f"heat has shape {heat.shape} and masks {masks.shape}; both must be (n, h, w)"
        )
    inside, total = (heat * masks).sum(axis=(1, 2)), heat.sum(axis=(1, 2))
    return np.divide(inside, total, out=np.full(len(heat), np.nan), where=total > 0)


def at_input_size(masks, size: int) -> np.ndarray:
    """Masks, boolean of any shape or ``None``, resampled as images are: ``(n, size, size)``.

    A mask that is ``None`` becomes false everywhere, so that :func:`area_share` of it is 0.
    """
    empty = np.zeros((size, size), np.uint8)
    grey = [empty if mask is None else render(np.uint8(255) * mask, size) for mask in masks]
    return np.stack(grey) > 127


def area_share(masks) -> np.ndarray:
    """Share of each image that its mask covers, ``(n,)``: that of heat spread evenly."""
    return np.asarray(masks, bool).mean(axis=(1, 2))


def of_another(positions, groups, seed: int = 0) -> np.ndarray:
    """For each image another one of its group, at random, each used once.

    The heat of that other image tells how much of a share comes from where lungs usually are.  An
    image that is alone in its group stands for itself.

    Args:
        positions: ``(n,)`` numbers that stand for the images.
        groups: ``(n,)`` group of each, such as its class.
    """
    positions, groups = np.asarray(positions), np.asarray(groups)
    rng, other = np.random.default_rng(seed), positions.copy()
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        other[members] = positions[np.roll(members, 1)]
    return other


def share_table(heat, masks, groups, other, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """How much of the heat lies inside the masks, group by group, beside two references.

    Args:
        heat: ``(n, h, w)``.
        masks: ``(n, h, w)``; an image whose mask is empty, or that has no heat, is left out.
        groups: name of each group and which images it has, boolean ``(n,)``.
        other: for each image the position of another one, whose heat is laid over this mask
            (:func:`of_another`).
        resamples: of the images of a group, for the intervals.

    Returns:
        One row a group of two or more images: ``images``; ``estimate``, ``low``, ``high``, the mean
        share and its 95 % interval; ``area`` and ``another image``, the references; ``more than
        area`` and ``more than another``, whether the 95 % interval of the difference, image by
        image, lies above zero.
    """
    values = np.stack([lung_share(heat, masks), area_share(masks), lung_share(heat[other], masks)])
    known = np.isfinite(values).all(axis=0) & masks.any(axis=(1, 2))
    rows = {}
    for name, members in groups.items():
        chosen = values[:, known & members]
        if (n := chosen.shape[1]) < 2:
            continue
        means = bootstrap_means(chosen, np.zeros(n, int), resamples, seed)
        ends = np.quantile(
            [means[0], means[0] - means[1], means[0] - means[2]], [0.025, 0.975], axis=1
        )
        leads = ends[0, 1:] > 1e-9  # beyond rounding
        rows[name] = (n, chosen[0].mean(), *ends[:, 0], *chosen[1:].mean(axis=1), *leads)
    columns = ["images", "estimate", "low", "high", "area", "another image"]
    columns += ["more than area", "more than another"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


class _Probe(keras.Model):
    """A head with a weight, zero at first, added to its input; the only weight that learns."""

    def __init__(self, head, shape):
        super().__init__(name="gradcam_probe")
        self.head = head
        self.shift = self.add_weight(shape=shape, initializer="zeros", name="shift")
        self.built = True

    def call(self, maps, training=None):
        # False although it is a training step: dropout and ACR stay off
        return self.head(maps + self.shift, training=False)

    def gradient(self, maps, chosen):
        """Gradient of the chosen logits with respect to the maps."""
        self.shift.assign(np.zeros(self.shift.shape, "float32"))
        self.train_on_batch(maps, chosen)
        return keras.ops.convert_to_numpy(self.shift)


class _MinusChosen(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return -keras.ops.sum(y_true * y_pred, axis=-1)


@contextmanager
def _held_still(model):
    """Within it no layer of a model learns; after it each is as it was."""
    before = [(layer, layer.trainable) for layer in model.layers]
    try:
        for layer, _ in before:
            layer.trainable = False
        yield
    finally:
        for layer, trainable in before:
            layer.trainable = trainable


def _padded(size, *arrays):
    """The arrays filled up with zeros, so that the last step has the shape of the others."""
    return [np.pad(a, [(0, size - len(a))] + [(0, 0)] * (a.ndim - 1)) for a in arrays]


def _shapes(model):
    return {layer.name: tuple(layer.output.shape) for layer in model.layers}


def _checked_images(model, images):
    images = np.asarray(images, "float32")
    expected = tuple(model.input.shape[1:])
    if images.shape[1:] != expected or not len(images):
        shape = ", ".join(map(str, expected))
        raise UserError(
            f"images have shape {images.shape}; the model takes (n, {shape}) with n >= 1"
        )
    return images


def _checked_layer(model, layer):
    shapes = list(_shapes(model).items())[1:]  # without the images
    maps = [name for name, shape in shapes if len(shape) == 4]
    if layer not in maps:
        near = " or ".join(map(repr, difflib.get_close_matches(str(layer), maps, n=3) or maps[-3:]))
        raise UserError(f"gradcam layer {layer!r} is not a layer with rows and columns; try {near}")
    return layer


def _checked_classes(classes, outputs):
    if classes is None:
        return outputs.argmax(axis=1)
    classes = np.asarray(classes)
    if classes.shape != (len(outputs),) or not np.isin(classes, np.arange(outputs.shape[1])).all():
        raise UserError(
            f"classes are {classes!r}; give one whole number from 0 to {outputs.shape[1] - 1} for "
            f"each of the {len(outputs)} images"
        )
    return classes

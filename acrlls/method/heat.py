"""Where in an image a class comes from: Grad-CAM [Selvaraju 2017] on any backend (Section IV-E).

Keras 3 has no gradient function of its own.  So the network is cut at a layer and a weight that is
zero is added to its activations: one step of plain gradient descent on minus the class's logit, in
which nothing else learns, leaves in that weight the logit's gradient.
"""

import keras
import numpy as np

from acrlls.config import UserError, hint
from acrlls.data import render
from acrlls.method.model import between

_STEP = 32  # images at a time


def gradcam(model: keras.Model, images, layer: str = "out_relu", classes=None) -> np.ndarray:
    """Heat map of each image, `(n, h, w)` float32 in [0, 1]: where a layer's activations raise the
    logit of a class.

    The channels of the layer are weighted by the spatial mean of the gradient, summed, cut at zero,
    enlarged to the image (bilinear) and divided by their largest value, 0 everywhere where nothing
    speaks for the class.  The logit is the one that enters the softmax, after LLS; dropout, batch
    statistics and ACR are off, as at prediction.  ``model`` is a flat functional one, ``images``
    are what it takes, `(n, h, w, 3)`, ``layer`` has an output `(n, rows, columns, channels)` and
    ``classes`` are `(n,)`, None for the predicted ones.  A ``UserError`` names what does not fit.
    """
    maps, slopes = gradients(model, images, layer, classes)
    heat = np.maximum((maps * slopes.mean(axis=(1, 2), keepdims=True)).sum(axis=3), 0)
    size = model.input.shape[1:3]
    heat = keras.ops.image.resize(heat[..., None], size, data_format="channels_last")
    heat = keras.ops.convert_to_numpy(heat)[..., 0].clip(0)
    most = heat.max(axis=(1, 2), keepdims=True)
    return np.divide(heat, most, out=np.zeros_like(heat), where=most > 0)


def gradients(model: keras.Model, images, layer: str, classes=None) -> tuple[np.ndarray, ...]:
    """Activations of a layer, and the gradient there of the logit of each image's class, both
    `(n, rows, columns, channels)`; arguments and errors as of :func:`gradcam`.
    """
    images = np.asarray(images, "float32")
    score = _score(model, images, layer)
    front, head = between(model, None, layer), between(model, layer, score)
    maps = front.predict(images, batch_size=_STEP, verbose=0)
    outputs = head.predict(maps, batch_size=_STEP, verbose=0)
    n, step = len(maps), min(_STEP, len(maps))
    classes = outputs.argmax(axis=1) if classes is None else np.asarray(classes)
    chosen = classes[..., None] == np.arange(outputs.shape[1])
    if classes.shape != (n,) or not chosen.any(axis=1).all():
        raise UserError(
            f"classes are {classes!r}; give one whole number from 0 to {outputs.shape[1] - 1} for "
            f"each of the {n} images"
        )
    probe = _Probe(head, (step, *maps.shape[1:]))
    # all steps have one shape: the last goes on with the first images, which are cut off again
    steps = [np.arange(start, start + step) % n for start in range(0, n, step)]
    slopes = np.concatenate([probe.gradient(maps[rows], chosen[rows]) for rows in steps])[:n]
    finite = (np.isfinite(both).all(axis=(1, 2, 3)) for both in (maps, slopes))
    if len(bad := np.flatnonzero(~np.logical_and(*finite))):  # would show as no heat
        what = f"activations or gradients of image {bad[0]} are not finite ({len(bad)} such images)"
        raise UserError(f"{what}; look for NaN in the images and in the model's weights")
    return maps, slopes


def lung_share(heat, masks) -> np.ndarray:
    """Share of the heat of each image that lies inside its mask, `(n,)` in [0, 1]; NaN for an image
    without heat.  ``heat``, of no negative value, and ``masks``, boolean, are `(n, h, w)`.

    Heat that is spread evenly has the share of the image that the mask covers.
    """
    heat, masks = np.asarray(heat, float), np.asarray(masks, bool)
    inside, total = (heat * masks).sum(axis=(1, 2)), heat.sum(axis=(1, 2))
    return np.divide(inside, total, out=np.full(len(heat), np.nan), where=total > 0)


def at_input_size(masks, size: int) -> np.ndarray:
    """Boolean masks of any shapes, resampled as images are, `(n, size, size)`; where a mask is
    ``None``, the result is false everywhere.
    """
    empty = np.zeros((size, size), np.uint8)
    grey = [
        empty if mask is None else render(np.uint8(255) * np.asarray(mask, bool), size)
        for mask in masks
    ]
    return np.stack(grey) > 127


class _Probe(keras.Model):
    """A copy of a head with a weight added to its input, the only one that learns."""

    def __init__(self, head, shape):
        super().__init__(name="probe")
        self.head = keras.models.clone_model(head)
        self.head.set_weights(head.get_weights())
        self.head.trainable = False
        self.shift = self.add_weight(shape=shape, initializer="zeros", name="shift")
        self.built = True
        # the loss is a mean, of so many images as the learning rate makes a sum of it
        self.compile(keras.optimizers.SGD(float(shape[0])), _minus_chosen, jit_compile=False)

    def call(self, maps, training=None):
        # False although it is a training step: dropout and ACR stay off
        return self.head(maps + self.shift, training=False)

    def gradient(self, maps, chosen):
        """Gradient of the chosen logits with respect to the maps."""
        self.shift.assign(keras.ops.zeros(self.shift.shape))
        self.train_on_batch(maps, chosen.astype("float32"))
        return keras.ops.convert_to_numpy(self.shift)


def _minus_chosen(chosen, scores):
    return -keras.ops.sum(chosen * scores, axis=-1)


def _score(model, images, layer) -> str:
    """Name of the layer that gives what enters the softmax; a ``UserError`` if anything does not
    fit."""
    if not hasattr(getattr(model, "input", None), "shape"):  # none, or a list
        how = "of another, keras.Model(model.inputs[0], model.outputs[0])"
        raise UserError(f"Grad-CAM takes a functional model of one input; {how}")
    expected = tuple(model.input.shape[1:])
    if images.shape[1:] != expected or not len(images):
        shape = ", ".join(["n", *map(str, expected)])
        raise UserError(f"images have shape {images.shape}; the model takes ({shape}) with n >= 1")
    maps = [each.name for each in model.layers[1:] if len(each.output.shape) == 4]
    if layer not in maps:
        known = hint(layer, maps, maps[-3:])
        raise UserError(f"gradcam layer {layer!r} is not a layer with rows and columns; {known}")
    names = [each.name for each in model.layers]
    if not (scores := [name for name in ("lls", "logits") if name in names]):
        raise UserError("the model has no layer 'lls' or 'logits', which gives its logits")
    return scores[0]

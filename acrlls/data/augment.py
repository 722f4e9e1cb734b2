"""From images to what the network takes in: resized, augmented, scaled (Section III-A)."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from scipy import ndimage

from acrlls.config import Config
from acrlls.data.dataset import Dataset


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random affine maps: rotation, flip, shear, zoom and shift in one resampling of an image.

    Ranges are those of Section III-A: degrees for rotation, a probability for the flip, shares of
    the side for shift, the tangent of the angle for shear, relative sizes, an axis each, for zoom.
    """

    rotation: float = 15.0
    flip: float = 0.5
    shift: float = 0.10
    shear: float = 0.10
    zoom: float = 0.15

    @classmethod
    def from_config(cls, config: Config):
        return cls(**{f.name: getattr(config, f.name) for f in dataclasses.fields(cls)})

    def matrix(self, rng: np.random.Generator) -> np.ndarray:
        """A random map `(3, 3)` from output to input (row, column, 1), in sides from the centre."""
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation))
        mirror = -1.0 if rng.random() < self.flip else 1.0
        shift = rng.uniform(-self.shift, self.shift, 2)
        shear = rng.uniform(-self.shear, self.shear)
        zoom = rng.uniform(1 - self.zoom, 1 + self.zoom, 2)
        cos, sin = np.cos(angle), np.sin(angle)
        rotation, sheared = np.array([[cos, -sin], [sin, cos]]), np.array([[1, 0], [shear, 1]])
        matrix = np.eye(3)
        matrix[:2, :2] = rotation @ sheared @ np.diag(zoom * [1, mirror])
        matrix[:2, 2] = shift
        return matrix


def render(image: np.ndarray, size: int, matrix: np.ndarray | None = None) -> np.ndarray:
    """A uint8 image `(height, width)` as float32 `(size, size)` in [0, 255], resized and augmented
    by a matrix of :meth:`Augmentation.matrix` in one bilinear resampling.

    Beyond its border an image is continued by its nearest pixel.  Images at least twice as large as
    asked for are first reduced by a whole factor (box filter), so that sampling does not alias.
    """
    factor = min(image.shape) // size
    if factor >= 2:
        image = np.asarray(Image.fromarray(image).reduce(factor))
    if matrix is None and image.shape == (size, size):
        return image.astype(np.float32)
    matrix = np.eye(3) if matrix is None else matrix
    shape = np.array(image.shape)
    # pixel -> centred unit -> mapped -> pixel, all affine, so one matrix and one offset
    linear = shape[:, None] * matrix[:2, :2] / size
    centre = matrix[:2, :2] @ np.full(2, 0.5 / size - 0.5) + matrix[:2, 2]
    offset = shape * (centre + 0.5) - 0.5
    return ndimage.affine_transform(
        image, linear, offset, (size, size), np.float32, order=1, mode="nearest"
    )


def batch(dataset: Dataset, indices, config: Config, view: int | None = None) -> np.ndarray:
    """Network input for the images at some positions, float32 `(n, size, size, 3)` in
    ``config.input_range``.

    View ``v`` of image ``i`` is a fixed function of (``augment_seed``, i, v).  ``None``, or a
    config without augmentation, gives the plain image.
    """
    augmented = view is not None and config.augment
    maps = Augmentation.from_config(config)

    def one(i: int) -> np.ndarray:
        rng = np.random.default_rng((config.augment_seed, i, view)) if augmented else None
        return render(dataset.image(i), config.image_size, rng and maps.matrix(rng))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        grey = list(pool.map(one, [int(i) for i in indices]))
    return to_input(np.stack(grey), config.input_range)


def to_input(grey: np.ndarray, input_range: str) -> np.ndarray:
    """Grey values in [0, 255], `(n, h, w)`, as `(n, h, w, 3)` in ``"0..1"`` or ``"-1..1"``."""
    unit = np.asarray(grey, dtype=np.float32) / np.float32(255)
    if input_range == "-1..1":
        unit = unit * 2 - 1
    return np.repeat(unit[..., None], 3, axis=-1)

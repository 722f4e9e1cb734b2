"""The feature bank: what the frozen part of the network makes of each image, computed once and kept.

A frozen layer in inference mode is a fixed function, so its output for view ``v`` of image ``i`` can be stored and
shared by every variant, grid point and seed of the head.  Stored in float32 the bank is exact; float16 rounds.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import keras
import numpy as np

from acrlls import data
from acrlls.config import Config, digest, store
from acrlls.model import weights_digest

_CHUNK = 256  # images between two notes of progress
_log = logging.getLogger(__name__)


class FeatureBank:
    """Outputs of chosen layers for the images of a data set.

    Args:
        config: names the backbone, image size, input range, augmentation and split.
        dataset: the images.
        model: the network, whose layers before the asked ones are frozen and as ``config.backbone`` gives them.
    """

    def __init__(self, config: Config, dataset: data.Dataset, model: keras.Model):
        self.config, self.dataset, self.model = config, dataset, model
        self.split = data.split_of(dataset, config)
        self._weights = weights_digest(config)  # once, beside the model: the file may change later
        self._extractors: dict[tuple[str, ...], keras.Model] = {}

    def features(self, part: str, layer: str, view: int | None = None, also: tuple[str, ...] = ()) -> np.ndarray:
        """Output of ``layer`` for every image of a part, memory-mapped, `(n, ...)` in the order of the split.

        Args:
            part: ``"train"``, ``"validation"`` or ``"test"``.
            view: the augmented view, or ``None`` for the plain images.
            also: further layers that will be asked for; missing ones are filled in the same pass.
        """
        wanted = dict.fromkeys((layer, *also))
        missing = [name for name in wanted if not self._file(part, name, view).exists()]
        if layer in missing:
            self._fill(part, view, missing)
        return np.load(self._file(part, layer, view), mmap_mode="r")

    def _file(self, part: str, layer: str, view: int | None) -> Path:
        c = self.config
        seen = [c.augment_seed, c.rotation, c.flip, c.shift, c.shear, c.zoom, view] if view is not None else None
        key = digest(
            self._weights, c.backbone_width, self.dataset.fingerprint, c.image_size, c.input_range,
            getattr(self.split, part).tobytes(), seen if c.augment else None, self._dtype(view).name,
        )  # fmt: skip
        return store() / "bank" / key / f"{layer}.npy"

    def _dtype(self, view: int | None) -> np.dtype:
        """Plain images decide which epoch is best and what is reported, so they are never rounded."""
        return np.dtype("float32" if view is None else self.config.bank_dtype)

    def _fill(self, part: str, view: int | None, layers: list[str]) -> None:
        """Compute some layers in one pass, written to one side; goes on where an earlier attempt was cut off."""
        rows = getattr(self.split, part)
        files = [self._file(part, name, view) for name in layers]
        folder = files[0].parent
        folder.mkdir(parents=True, exist_ok=True)
        aside = [f.with_suffix(".partial.npy") for f in files]
        progress = folder / f"{digest(layers)}.progress.json"
        done = json.loads(progress.read_text())["done"] if progress.exists() and all(f.exists() for f in aside) else 0
        extractor = self._extractor(tuple(layers))
        arrays = [
            np.lib.format.open_memmap(
                f, "r+" if done else "w+", self._dtype(view), (len(rows), *extractor.outputs[k].shape[1:])
            )
            for k, f in enumerate(aside)
        ]
        _log.info("features of %s, view %s: %s, %d images", part, view, ", ".join(layers), len(rows))
        for start in range(done, len(rows), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            images = data.batch(self.dataset, rows[chunk], self.config, view)
            outputs = extractor.predict(images, batch_size=64, verbose=0)
            for array, values in zip(arrays, outputs if len(layers) > 1 else [outputs], strict=True):
                array[chunk] = values
                array.flush()
            progress.write_text(json.dumps({"done": min(start + _CHUNK, len(rows))}))
        del arrays
        for f, file in zip(aside, files, strict=True):
            f.replace(file)
        progress.unlink(missing_ok=True)

    def _extractor(self, layers: tuple[str, ...]) -> keras.Model:
        if layers not in self._extractors:
            outputs = [self.model.get_layer(name).output for name in layers]
            extractor = keras.Model(self.model.input, outputs)
            extractor.compile(jit_compile=jit_compile())
            self._extractors[layers] = extractor
        return self._extractors[layers]


def jit_compile() -> bool | str:
    """Keras's ``jit_compile``: XLA everywhere but under TensorFlow.

    On two CPU cores the forward pass of MobileNetV2 at 224 px ran fifteen times slower under TensorFlow with XLA
    than without; JAX without XLA would run operation by operation.
    """
    return False if keras.backend.backend() == "tensorflow" else "auto"

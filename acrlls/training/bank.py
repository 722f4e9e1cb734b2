"""The feature bank: outputs of the frozen part for every image, computed once and kept.

A frozen layer is a fixed function of view ``v`` of image ``i``, so that variants, grid points and
seeds of the head share what is stored.  It is exact but for rounding, by float16 if asked for
(relative error up to 2^-11), and by the order in which an engine adds.
"""

import contextlib
import logging
import threading
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

import keras
import numpy as np

from acrlls.config import Config
from acrlls.data import Augmentation, Dataset, batch, split_of
from acrlls.method import build_model, frozen_backbone, weights_digest
from acrlls.store import digest, locked, source_digest
from acrlls.training import engines
from acrlls.training.stored import StoredArray, bank_folder, delete, require_room, room

# whose code decides what is stored
_SOURCES = ("data", "training/engines.py", "training/folding.py", "method/model.py")
# images read at a time: of 224 px they take 39 MB, three times as much while the next are read
_PIECE = 64
_TOLD = ("profile", "image_size", "backbone", "backbone_width", "input_range")
_log = logging.getLogger(__name__)
_computing = threading.Lock()  # the engine: it takes all cores, and one request at a time


class FeatureBank:
    """Outputs of chosen layers of the backbone, with its own weights, for the images of a dataset.

    ``bank/<key>/<layer>/<part>[-view-<v>].npy`` in the store; the key covers weights, data, split,
    image size, input range, augmentation, type and the code that computes.  ``model`` says what
    shape a layer's output has, by default the config's on the backbone that all share; ``engines``
    what computed the features asked for so far.
    """

    def __init__(self, config: Config, dataset: Dataset, model: keras.Model | None = None):
        if model is None:
            model = build_model(config, len(dataset.class_names), frozen_backbone(config))
        self.config, self.dataset, self.model = config, dataset, model
        self.split = split_of(dataset, config)
        self.engines: set[str] = set()
        self._weights = weights_digest(config)  # once: the file may change later

    def features(
        self, part: str, layer: str, view: int | None = None, also: tuple[str, ...] = ()
    ) -> np.ndarray:
        """Output of ``layer`` for every image of a part (``"train"``, ``"validation"``, ``"test"``)
        in an augmented view, or plain with ``None``: memory-mapped, `(n, ...)` as in the split.

        Layers in ``also``, which will be asked for later, are filled in the same pass where there
        is room.  Where there is none for ``layer``, the oldest views of the store are deleted; a
        ``UserError`` says if that is not enough.
        """
        wanted = self._array(part, layer, view)
        if not wanted.whole():
            later = [self._array(part, name, view) for name in also if name != layer]
            key, own = wanted.file.parents[1], f"lock-{wanted.file.stem}"
            # views side by side, each by one process, and none while the features are cleared
            with locked(key / "lock", shared=True), locked(key / own):
                if not wanted.whole():  # else another process filled it
                    self._fill(part, view, [wanted, *(a for a in later if not a.whole())])
        try:
            stored = wanted.open()  # stays readable where another process deletes the file
            self.engines.add(wanted.note["engine"])
        except (FileNotFoundError, KeyError):  # another process has just made room
            return self.features(part, layer, view, also)
        return stored

    def missing(self, there: Container[Path], part: str, layer: str, view, also) -> dict[Path, int]:
        """The bytes of each file that :meth:`features` would fill, were those ``there`` filled."""
        arrays = [self._array(part, name, view) for name in dict.fromkeys((layer, *also))]
        new = {a.file: a.nbytes for a in arrays if a.file not in there and not a.file.exists()}
        return new if arrays[0].file in new else {}

    def _array(self, part: str, layer: str, view: int | None) -> StoredArray:
        name = part if view is None else f"{part}-view-{view}"
        file = bank_folder() / self._key(view) / layer / f"{name}.npy"
        shape = self.model.get_layer(layer).output.shape[1:]
        return StoredArray(file, (len(getattr(self.split, part)), *shape), self._dtype(view))

    def _key(self, view: int | None) -> str:
        c = self.config
        augmented = view is not None and c.augment
        seen = [c.augment_seed, astuple(Augmentation.from_config(c))] if augmented else None
        parts = [getattr(self.split, part).tobytes() for part in ("train", "validation", "test")]
        images = (self.dataset.fingerprint, c.image_size, c.input_range, seen)
        settings = (self._weights, c.backbone_width, *images, self._dtype(view).name)
        return digest(*settings, *parts, source_digest(*_SOURCES))

    def _dtype(self, view: int | None) -> np.dtype:
        """Plain images decide which epoch is best and what is reported: they are never rounded."""
        return np.dtype("float32" if view is None else self.config.bank_dtype)

    def _fill(self, part: str, view: int | None, arrays: list[StoredArray]) -> None:
        """Compute some arrays in one pass over the images, the next read while some are in use."""
        rows = getattr(self.split, part)
        if sum(array.nbytes for array in arrays) > room():
            arrays = arrays[:1]
        layers = tuple(array.file.parent.name for array in arrays)
        what = f"features {', '.join(layers)} of {part}"
        what += "" if view is None else f", view {view}"
        for array in arrays:
            if array.note_file.exists():
                _log.warning("%s is damaged and computed again", array.file)
            delete(array.file)
            # by a process that was killed; those of other views may be in use
            for left in array.file.parent.glob(f"{array.file.stem}.*.aside"):
                left.unlink()
        require_room(sum(array.nbytes for array in arrays), what)
        _log.info("%s: %d images by %s", what, len(rows), engines.engine())
        with _computing:
            forward = engines.frozen_forward(self.config, layers)
        told = {name: Path(str(getattr(self.config, name))).name for name in ("data", *_TOLD)}
        note = {"engine": engines.engine_version(), "settings": told}
        pieces = [rows[start : start + _PIECE] for start in range(0, len(rows), _PIECE)]
        with ThreadPoolExecutor(1) as reader, contextlib.ExitStack() as files:
            append = [files.enter_context(array.filling(note)) for array in arrays]
            coming = reader.submit(batch, self.dataset, pieces[0], self.config, view)
            for following in [*pieces[1:], None]:
                images = coming.result()
                if following is not None:
                    coming = reader.submit(batch, self.dataset, following, self.config, view)
                with _computing:
                    outputs = forward(images)
                for take, values in zip(append, outputs, strict=True):
                    take(values)

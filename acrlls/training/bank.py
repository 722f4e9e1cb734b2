"""The feature bank: outputs of the frozen part for every image, computed once and kept.

A frozen layer in inference mode is a fixed function, so its output for view ``v`` of image ``i``
can be stored and shared by every variant, grid point and seed of the head.  The bank is exact but
for two roundings: storing in float16 (relative error up to 2^-11), and the order in which an engine
adds (:mod:`acrlls.training.engines`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from acrlls.config import Config
from acrlls.data import Dataset, batch, split_of
from acrlls.method import weights_digest
from acrlls.store import digest, locked, source_digest
from acrlls.training import engines
from acrlls.training.stored import StoredArray, bank_folder, readable, require_room, room

# whose code decides what is stored
_SOURCES = ("data", "training/engines.py", "training/folding.py", "method/model.py")
# images read at a time: of 224 px they take 39 MB, three times as much while the next are read
_PIECE = 64
_AUGMENTATION = ("augment_seed", "rotation", "flip", "shift", "shear", "zoom")
_TOLD = ("profile", "image_size", "backbone", "backbone_width", "input_range")
_log = logging.getLogger(__name__)


class FeatureBank:
    """Outputs of chosen layers of the backbone, with its own weights, for the images of a dataset.

    ``bank/<key>/<layer>/<part>[-view-<v>].npy`` in the store; the key covers weights, data, split,
    image size, input range, augmentation, type and the code that computes.  ``model`` says what
    shape a layer's output has; ``engines`` what computed the features asked for so far.
    """

    def __init__(self, config: Config, dataset: Dataset, model: keras.Model):
        self.config, self.dataset, self.model = config, dataset, model
        self.split = split_of(dataset, config)
        self.engines: set[str] = set()
        self._weights = weights_digest(config)  # once: the file may change later
        # counted as taking room, whether filled already or not
        self._kept: dict[Path, StoredArray] = {}
        self._passing: dict[Path, StoredArray] = {}  # views that are deleted after use

    def features(
        self, part: str, layer: str, view: int | None = None, also: tuple[str, ...] = ()
    ) -> np.ndarray:
        """Output of ``layer`` for every image of a part (``"train"``, ``"validation"``, ``"test"``)
        in an augmented view, or plain with ``None``: memory-mapped, `(n, ...)` as in the split.

        Layers in ``also``, which will be asked for later, are filled in the same pass.  A
        ``UserError`` says if there is no room on the disk, or within the bound on it.
        """
        arrays = [self._array(part, name, view) for name in dict.fromkeys((layer, *also))]
        wanted, passing = arrays[0], arrays[0].file in self._passing
        if passing or not wanted.whole():
            with locked(_lock(wanted)):
                if passing:  # others were left behind by a process that was killed
                    self._delete_passing(but=wanted)
                self._fill(part, view, [array for array in arrays if not array.whole()])
                stored = wanted.open()  # stays readable where another process deletes the file
        else:
            stored = wanted.open()
        self.engines.add(wanted.note["engine"])
        return stored

    def keeps(self, layer: str, views: Iterable[int | None]) -> bool:
        """Whether there is room to keep ``layer`` for all these views of the training images,
        beside what was asked about before and the plain images.

        If not, :meth:`let_go` deletes the views one by one after use; without room for even one, a
        ``UserError``.
        """
        seen = {a.file: a for a in (self._array("train", layer, view) for view in views)}
        for part in ("validation", "test"):
            plain = self._array(part, layer, None)
            self._kept[plain.file] = plain
        if _lacking(self._kept | seen) <= room():
            self._kept |= seen
            return True
        size = next(iter(seen.values())).nbytes
        text = "%d views of %s would take %s: each is deleted after use"
        _log.info(text, len(seen), layer, readable(len(seen) * size))
        self._passing |= {
            file: a for file, a in seen.items() if not file.exists() or a.note.get("passing")
        }
        deletable = sum(a.nbytes for file, a in self._passing.items() if file.exists())
        what = f"a single view of the features {layer}, and the plain images,"
        require_room(_lacking(self._kept) + size - deletable, what)
        return False

    def let_go(self) -> None:
        """Delete the views that cannot be kept, unless another process is filling one."""
        for array in list(self._passing.values())[:1]:
            with locked(_lock(array), wait=False) as had:
                if had:
                    self._delete_passing()

    def _delete_passing(self, but: StoredArray | None = None) -> None:
        for file, array in self._passing.items():
            if file.exists() and not (but and file == but.file):
                array.delete()

    def _array(self, part: str, layer: str, view: int | None) -> StoredArray:
        name = part if view is None else f"{part}-view-{view}"
        file = bank_folder() / self._key(view) / layer / f"{name}.npy"
        shape = self.model.get_layer(layer).output.shape[1:]
        return StoredArray(file, (len(getattr(self.split, part)), *shape), self._dtype(view))

    def _key(self, view: int | None) -> str:
        c = self.config
        augmented = view is not None and c.augment
        seen = [getattr(c, name) for name in _AUGMENTATION] if augmented else None
        parts = [getattr(self.split, part).tobytes() for part in ("train", "validation", "test")]
        images = (self.dataset.fingerprint, c.image_size, c.input_range, seen)
        settings = (self._weights, c.backbone_width, *images, self._dtype(view).name)
        return digest(*settings, *parts, source_digest(*_SOURCES))

    def _dtype(self, view: int | None) -> np.dtype:
        """Plain images decide which epoch is best and what is reported: they are never rounded."""
        return np.dtype("float32" if view is None else self.config.bank_dtype)

    def _fill(self, part: str, view: int | None, arrays: list[StoredArray]) -> None:
        """Compute some arrays in one pass over the images, the next read while some are in use."""
        if not arrays:
            return
        rows = getattr(self.split, part)
        layers = tuple(array.file.parent.name for array in arrays)
        what = f"features {', '.join(layers)} of {part}" + (
            "" if view is None else f", view {view}"
        )
        for array in arrays:
            if array.note_file.exists():
                _log.warning("%s is damaged and computed again", array.file)
            array.delete()
            for left in array.file.parent.glob("*.aside"):  # by a process that was killed
                left.unlink()
        require_room(sum(array.nbytes for array in arrays), what)
        _log.info("%s: %d images by %s", what, len(rows), engines.engine())
        forward = engines.frozen_forward(self.config, layers)
        told = {name: Path(str(getattr(self.config, name))).name for name in ("data", *_TOLD)}
        note = {"engine": engines.engine_version(engines.engine()), "settings": told}
        pieces = [rows[start : start + _PIECE] for start in range(0, len(rows), _PIECE)]
        with ThreadPoolExecutor(1) as reader, contextlib.ExitStack() as files:
            notes = [{**note, "passing": array.file in self._passing} for array in arrays]
            append = [
                files.enter_context(array.filling(n))
                for array, n in zip(arrays, notes, strict=True)
            ]
            coming = reader.submit(batch, self.dataset, pieces[0], self.config, view)
            for following in [*pieces[1:], None]:
                images = coming.result()
                if following is not None:
                    coming = reader.submit(batch, self.dataset, following, self.config, view)
                for take, values in zip(append, forward(images), strict=True):
                    take(values)


def _lock(array: StoredArray) -> Path:
    return array.file.parents[1] / "lock"


def _lacking(arrays: dict[Path, StoredArray]) -> int:
    """Bytes of those that are not on the disk."""
    return sum(array.nbytes for file, array in arrays.items() if not file.exists())

"""The feature bank: outputs of the frozen part for every image, computed once and kept.

A frozen layer in inference mode is a fixed function, so its output for view ``v`` of image ``i``
can be stored and shared by every variant, grid point and seed of the head.  Frozen
BatchNormalization is in inference mode as well, so the bank is exact but for two roundings: storing
in float16 (relative error up to 2^-11), and the order in which an engine adds
(:mod:`acrlls.training.engines`).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from acrlls.config import Config
from acrlls.data import Dataset, batch, split_of
from acrlls.method import weights_digest
from acrlls.store import digest, locked, source_digest
from acrlls.training import engines
from acrlls.training.chunked import CHUNK, ChunkedArray, bank_folder, require_room, room

# whose code decides what is stored
_SOURCES = ("data", "training/engines.py", "training/folding.py", "method/model.py")
# images read at a time: of 224 px they take 39 MB, three times as much while the next are read
_PIECE = 64
_AUGMENTATION = ("augment_seed", "rotation", "flip", "shift", "shear", "zoom")
_log = logging.getLogger(__name__)


class FeatureBank:
    """Outputs of chosen layers of the backbone for the images of a dataset.

    ``bank/<key>/<layer>/<part>[-view-<v>].npy`` in the store; the key covers weights, data, split,
    image size, input range, augmentation, type and the code that computes.  Which engine computed
    is noted beside the values and in the manifest of a run; it is not part of the key.

    Args:
        config: names the backbone, image size, input range, augmentation and split.
        dataset: the images.
        model: the network, for the shapes of its layers' outputs.  Its weights are not used: those
            of the frozen part are as ``config.backbone`` gives them.

    Attributes:
        split: the images of each part.
        engines: what computed the features asked for so far, such as ``"openvino 2026.4.1"``.
    """

    def __init__(self, config: Config, dataset: Dataset, model: keras.Model):
        self.config, self.dataset, self.model = config, dataset, model
        self.split = split_of(dataset, config)
        self.engines: set[str] = set()
        self._weights = weights_digest(config)  # once: the file may change later
        # counted as taking room, whether filled already or not
        self._kept: dict[Path, ChunkedArray] = {}
        self._passing: dict[Path, ChunkedArray] = {}  # views that are deleted after use

    def features(
        self, part: str, layer: str, view: int | None = None, also: tuple[str, ...] = ()
    ) -> np.ndarray:
        """Output of ``layer`` for every image of a part, memory-mapped, `(n, ...)` as in the split.

        Args:
            part: ``"train"``, ``"validation"`` or ``"test"``.
            view: the augmented view, or ``None`` for the plain images.
            also: further layers that will be asked for; missing ones are filled in the same pass.

        Raises:
            UserError: no room on the disk, or within the bound on it.
        """
        arrays = [self._array(part, name, view) for name in dict.fromkeys((layer, *also))]
        wanted, passing = arrays[0], arrays[0].file in self._passing
        if passing or wanted.missing():
            with locked(_lock(wanted)):
                if passing:  # others were left behind by a process that was killed
                    self._delete_passing(but=wanted)
                self._fill(part, view, arrays)
                stored = wanted.open()  # stays readable where another process deletes the file
        else:
            stored = wanted.open()
        self.engines.update(wanted.note.get("engines", ()))
        return stored

    def keeps(self, layer: str, views: Iterable[int | None]) -> bool:
        """Whether there is room to keep ``layer`` for all these views of the training images.

        Beside what was asked about before, and the plain images.  If not, the views are deleted by
        :meth:`let_go`, one by one after use.

        Raises:
            UserError: there is not even room for one view at a time.
        """
        seen = {a.file: a for a in (self._array("train", layer, view) for view in views)}
        for part in ("validation", "test"):
            plain = self._array(part, layer, None)
            self._kept[plain.file] = plain
        if _lacking(self._kept | seen) <= room():
            self._kept |= seen
            return True
        size = next(iter(seen.values())).nbytes
        text = "%d views of %s would take %.3g GB: each is deleted after use"
        _log.info(text, len(seen), layer, len(seen) * size / 1e9)
        self._passing |= {
            file: a for file, a in seen.items() if not file.exists() or a.note.get("passing")
        }
        deletable = sum(a.nbytes for file, a in self._passing.items() if file.exists())
        what = f"a single view of the features {layer}, and the plain images,"
        require_room(_lacking(self._kept) + size - deletable, what)
        return False

    def let_go(self) -> None:
        """Delete the views that cannot be kept."""
        for array in list(self._passing.values())[:1]:
            with locked(_lock(array), wait=False) as had:  # else another process is filling one
                if had:
                    self._delete_passing()

    def _delete_passing(self, but: ChunkedArray | None = None) -> None:
        for file, array in self._passing.items():
            if file.exists() and not (but and file == but.file):
                array.delete()

    def _array(self, part: str, layer: str, view: int | None) -> ChunkedArray:
        name = part if view is None else f"{part}-view-{view}"
        file = bank_folder() / self._key(view) / layer / f"{name}.npy"
        shape = self.model.get_layer(layer).output.shape[1:]
        return ChunkedArray(file, (len(getattr(self.split, part)), *shape), self._dtype(view))

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

    def _fill(self, part: str, view: int | None, arrays: list[ChunkedArray]) -> None:
        """Compute the chunks that some arrays lack, all arrays in one pass."""
        rows = getattr(self.split, part)
        lacking = {array.file: set(array.missing()) for array in arrays}
        arrays = [array for array in arrays if lacking[array.file]]
        layers = tuple(array.file.parent.name for array in arrays)
        chunks = sorted(set().union(*lacking.values()))
        if not chunks:
            return
        of = part if view is None else f"{part}, view {view}"
        what = f"features {', '.join(layers)} of {of}"
        require_room(sum(array.nbytes for array in arrays if not array.file.exists()), what)
        damaged = sum(str(k) in a.note["digests"] for a in arrays for k in lacking[a.file])
        if damaged:
            _log.warning("%s: %d chunks are damaged and computed again", what, damaged)
        _log.info("%s: %d images by %s", what, len(rows), engines.engine())
        forward = engines.frozen_forward(self.config, layers)
        by = engines.engine_version(engines.engine())

        def images(piece: np.ndarray) -> np.ndarray:
            return batch(self.dataset, piece, self.config, view)

        pieces = {k: _pieces(rows[k * CHUNK : (k + 1) * CHUNK]) for k in chunks}
        with contextlib.closing(_made_ahead(images, itertools.chain(*pieces.values()))) as read:
            for k in chunks:
                computed = [forward(next(read)) for _ in pieces[k]]
                for array, *values in zip(arrays, *computed, strict=True):
                    if k in lacking[array.file]:
                        note = {
                            "engines": sorted({*array.note.get("engines", ()), by}),
                            "settings": self._settings(view),
                            "passing": array.file in self._passing,
                        }
                        array.write(k, np.concatenate(values), note)

    def _settings(self, view: int | None) -> dict:
        """What a list of stored features tells about some."""
        c = self.config
        names = ["profile", "image_size", "input_range", "backbone_width"]
        names += _AUGMENTATION if view is not None else ()
        return {
            "data": Path(str(c.data)).name,
            "backbone": Path(c.backbone).name,
            "images": len(self.dataset),
            **{name: getattr(c, name) for name in names},
        }


def _lock(array: ChunkedArray) -> Path:
    return array.file.parents[1] / "lock"


def _lacking(arrays: dict[Path, ChunkedArray]) -> int:
    """Bytes of those that are not on the disk."""
    return sum(array.nbytes for file, array in arrays.items() if not file.exists())


def _pieces(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + _PIECE] for start in range(0, len(rows), _PIECE)]


def _made_ahead(make: Callable, wanted: Iterable) -> Iterator:
    """What ``make`` gives for each that is wanted, in order, the next made while one is in use."""
    with ThreadPoolExecutor(1) as maker:
        made = None
        for one in wanted:
            coming = maker.submit(make, one)
            if made:
                yield made.result()
            made = coming
        if made:
            yield made.result()

"""The feature bank: what the frozen part of the network makes of each image, computed once and kept.

A frozen layer in inference mode is a fixed function, so its output for view ``v`` of image ``i`` can be stored and
shared by every variant, grid point and seed of the head.  Frozen BatchNormalization is in inference mode as well, so
the bank is exact but for two roundings: storing in float16 (relative error up to 2^-11), and the order in which an
engine adds (:mod:`acrlls.training.engines`).
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
from acrlls.data import dataset as data
from acrlls.method.model import weights_digest
from acrlls.store import digest, locked, source_digest
from acrlls.training import engines
from acrlls.training.chunked import CHUNK, ChunkedArray, bank_folder, require_room, room

_SOURCES = (
    "data/dataset.py",
    "training/engines.py",
    "training/folding.py",
    "method/model.py",
)  # whose code decides what is stored
_PIECE = 64  # images read at a time: of 224 px they take 39 MB, and three times as much while the next are read
_log = logging.getLogger(__name__)


class FeatureBank:
    """Outputs of chosen layers of the backbone for the images of a data set.

    ``bank/<key>/<layer>/<part>[-view-<v>].npy`` in the store; the key covers weights, data, split, image size, input
    range, augmentation, type and the code that computes.  Which engine computed is noted beside the values and, like
    versions and device, in the manifest of a run; it is not part of the key.

    Args:
        config: names the backbone, image size, input range, augmentation and split.
        dataset: the images.
        model: the network, for the shapes of its layers' outputs.  Its weights are not used: those of the frozen part
            are as ``config.backbone`` gives them, and what comes after may have moved.

    Attributes:
        split: the images of each part.
        engines: what computed the features that were asked for so far, such as ``"openvino 2026.4.1"``.
    """

    def __init__(self, config: Config, dataset: data.Dataset, model: keras.Model):
        self.config, self.dataset, self.model = config, dataset, model
        self.split = data.split_of(dataset, config)
        self.engines: set[str] = set()
        self._weights = weights_digest(config)  # once: the file may change later
        self._kept: dict[
            Path, ChunkedArray
        ] = {}  # counted as taking room, whether filled already or not
        self._passing: dict[Path, ChunkedArray] = {}  # views that are let go after use
        self._in_use: dict[Path, ChunkedArray] = {}

    def features(
        self, part: str, layer: str, view: int | None = None, also: tuple[str, ...] = ()
    ) -> np.ndarray:
        """Output of ``layer`` for every image of a part, memory-mapped, `(n, ...)` in the order of the split.

        Args:
            part: ``"train"``, ``"validation"`` or ``"test"``.
            view: the augmented view, or ``None`` for the plain images.
            also: further layers that will be asked for; missing ones are filled in the same pass.

        Raises:
            UserError: no room on the disk, or within the bound on it.
        """
        arrays = [self._array(part, name, view) for name in dict.fromkeys((layer, *also))]
        wanted = arrays[0]
        if wanted.missing():
            if wanted.file in self._passing:
                for other in self._left_behind(wanted):
                    other.delete()
            with locked(wanted.file.parents[1] / "lock"):
                self._fill(part, view, arrays)
        self.engines.update(wanted.note.get("engines", ()))
        if wanted.file in self._passing:
            self._in_use[wanted.file] = wanted
        return wanted.open()

    def keeps(self, layer: str, views: Iterable[int | None]) -> bool:
        """Whether there is room to keep ``layer`` for all these views of the training images, beside what was asked
        about before and the plain images.  If not, each view is let go by :meth:`let_go` after use.

        Raises:
            UserError: there is not even room for one view at a time.
        """
        plain = [self._array(part, layer, None) for part in ("validation", "test")]
        seen = [self._array("train", layer, view) for view in dict.fromkeys(views)]
        self._kept |= {a.file: a for a in plain}
        lacking = {
            f: a.nbytes
            for f, a in (self._kept | {a.file: a for a in seen}).items()
            if not f.exists()
        }
        if sum(lacking.values()) <= room():
            self._kept |= {a.file: a for a in seen}
            return True
        _log.info(
            "%d views of %s would take %.3g GB: each is let go after use",
            len(seen),
            layer,
            sum(a.nbytes for a in seen) / 1e9,
        )
        self._passing |= {a.file: a for a in seen if not a.file.exists() or a.note.get("passing")}
        one = sum(a.nbytes for a in self._kept.values() if not a.file.exists()) + seen[0].nbytes
        require_room(
            one - sum(a.nbytes for a in self._left_behind()),
            f"a single view of the features {layer}, and the plain images,",
        )
        return False

    def _left_behind(self, but: ChunkedArray | None = None) -> list[ChunkedArray]:
        """Views on the disk that should have been let go, by a process that was killed."""
        return [
            a
            for a in self._passing.values()
            if a.file.exists() and (but is None or a.file != but.file)
        ]

    @property
    def lets_go(self) -> bool:
        """Whether some views asked about in :meth:`keeps` cannot be kept."""
        return bool(self._passing)

    def let_go(self) -> None:
        """Delete the views used since the last call that cannot be kept."""
        for array in self._in_use.values():
            array.delete()
        self._in_use.clear()

    def _array(self, part: str, layer: str, view: int | None) -> ChunkedArray:
        name = part if view is None else f"{part}-view-{view}"
        file = bank_folder() / self._key(view) / layer / f"{name}.npy"
        shape = self.model.get_layer(layer).output.shape[1:]
        return ChunkedArray(file, (len(getattr(self.split, part)), *shape), self._dtype(view))

    def _key(self, view: int | None) -> str:
        c = self.config
        augmented = view is not None and c.augment
        seen = [c.augment_seed, c.rotation, c.flip, c.shift, c.shear, c.zoom] if augmented else None
        parts = [getattr(self.split, part).tobytes() for part in ("train", "validation", "test")]
        return digest(
            self._weights,
            c.backbone_width,
            self.dataset.fingerprint,
            c.image_size,
            c.input_range,
            seen,
            self._dtype(view).name,
            *parts,
            source_digest(*_SOURCES),
        )

    def _dtype(self, view: int | None) -> np.dtype:
        """Plain images decide which epoch is best and what is reported, so they are never rounded."""
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
        what = f"features {', '.join(layers)} of {part}" + (
            "" if view is None else f", view {view}"
        )
        require_room(sum(array.nbytes for array in arrays if not array.file.exists()), what)
        damaged = sum(str(k) in a.note["digests"] for a in arrays for k in lacking[a.file])
        if damaged:
            _log.warning("%s: %d chunks are damaged and computed again", what, damaged)
        _log.info("%s: %d images by %s", what, len(rows), engines.engine())
        forward = engines.frozen_forward(self.config, layers)
        by = engines.engine_version(engines.engine())

        def images(piece: np.ndarray) -> np.ndarray:
            return data.batch(self.dataset, piece, self.config, view)

        pieces = {k: _pieces(rows[k * CHUNK : (k + 1) * CHUNK]) for k in chunks}
        with contextlib.closing(_made_ahead(images, itertools.chain(*pieces.values()))) as read:
            for k in chunks:
                computed = [forward(next(read)) for _ in pieces[k]]
                for array, *values in zip(arrays, *computed, strict=True):
                    if k in lacking[array.file]:
                        array.write(
                            k,
                            np.concatenate(values),
                            engines=sorted({*array.note.get("engines", ()), by}),
                            settings=self._settings(view),
                            passing=array.file in self._passing,
                        )

    def _settings(self, view: int | None) -> dict:
        """What a list of stored features tells about some."""
        names = ["profile", "image_size", "input_range", "backbone_width"]
        if view is not None:
            names += ["augment_seed", "rotation", "flip", "shift", "shear", "zoom"]
        settings = {name: getattr(self.config, name) for name in names}
        data_name = "phantom" if self.config.data == "phantom" else Path(str(self.config.data)).name
        return {
            "data": data_name,
            "backbone": Path(self.config.backbone).name,
            "images": len(self.dataset),
            **settings,
        }


def _pieces(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + _PIECE] for start in range(0, len(rows), _PIECE)]


def _made_ahead(make: Callable, wanted: Iterable) -> Iterator:
    """What ``make`` gives for each that is wanted, in order, the next one being made while one is in use."""
    with ThreadPoolExecutor(1) as maker:
        made = None
        for one in wanted:
            coming = maker.submit(make, one)
            if made:
                yield made.result()
            made = coming
        if made:
            yield made.result()

"""Images: read a class-per-folder data set or the phantom, split it, weigh its classes, augment (Section III-A)."""

from __future__ import annotations

import abc
import difflib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from acrlls.config import Config, UserError
from acrlls import phantom
from acrlls.store import digest, source_digest, store

PAPER_CLASSES = ("COVID", "Lung Opacity", "Normal", "Viral Pneumonia")
KAGGLE = "tawsifurrahman/covid19-radiography-database"
_WORKERS = os.cpu_count() or 1


class Dataset(abc.ABC):
    """A labelled set of grey images, read when asked for.

    Attributes:
        class_names: the classes, in the order of the columns of every `(n, classes)` array.
        names: `(n,)` names of the images, unique, such as ``"COVID-17"``.
        labels: `(n,)` integers into ``class_names``.
        fingerprint: digest of everything that the images and labels are made of.
        eta: `(n, classes)` true class probabilities, where they are known (the phantom), else ``None``.
        ignored: files in the class folders whose suffix is not an image's.
    """

    def __init__(self, class_names, names, labels, fingerprint, eta=None, ignored=()):
        self.class_names = tuple(class_names)
        self.names = np.asarray(names, dtype=str)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.fingerprint = fingerprint
        self.eta = eta
        self.ignored = tuple(ignored)

    def __len__(self):
        return len(self.labels)

    @abc.abstractmethod
    def image(self, i: int) -> np.ndarray:
        """Image ``i`` at its own size, uint8 `(height, width)`."""

    def mask(self, i: int) -> np.ndarray | None:
        """Where the lungs are, boolean, of the image's shape; ``None`` where no mask is known."""
        return None

    def findings(self, i: int) -> np.ndarray | None:
        """Where the findings are, boolean, of the image's shape; ``None`` where that is not known."""
        return None


class PhantomDataset(Dataset):
    """The first ``n`` phantoms of a seed, drawn once and kept in the store."""

    def __init__(self, n: int, seed: int, size: int):
        key = digest("phantom", n, seed, size, source_digest(*phantom.SOURCES))
        file = store() / "phantom" / f"{key}.npz"
        if not file.exists():
            drawn = phantom.draw(n, seed=seed, size=size)
            file.parent.mkdir(parents=True, exist_ok=True)
            aside = file.with_suffix(f".{os.getpid()}.npz")
            np.savez(
                aside,
                images=drawn.images,
                labels=drawn.labels,
                eta=drawn.eta,
                lungs=drawn.lungs,
                findings=drawn.findings,
            )
            aside.replace(file)
        with np.load(file) as kept:
            self._arrays = {name: kept[name] for name in kept.files}
        names = [f"phantom-{seed}-{i}" for i in range(n)]
        super().__init__(PAPER_CLASSES, names, self._arrays["labels"], key, eta=self._arrays["eta"])

    def image(self, i):
        return self._arrays["images"][i]

    def mask(self, i):
        return self._arrays["lungs"][i]

    def findings(self, i):
        return self._arrays["findings"][i]


class FolderDataset(Dataset):
    """``<root>/<Class>/images/<name>.<ext>`` as Kaggle packs it, or ``<root>/<Class>/<name>.<ext>``.

    Lung masks are read from ``<root>/<Class>/masks/<same name>`` where they exist.  Every image is opened once, when
    the folder is first seen; the verdict is kept in the store until a file changes.

    Raises:
        UserError: folder missing or empty, fewer than two classes, some but not all of the paper's class folders, an
            empty class, or images that do not decode (counted and named).
    """

    def __init__(self, root: str | Path):
        root = _dataset_root(Path(root).expanduser())
        folders = _class_folders(root)
        files, labels, ignored = [], [], []
        suffixes = set(Image.registered_extensions())
        for label, folder in enumerate(folders):
            inside = folder / "images" if (folder / "images").is_dir() else folder
            found = sorted(
                f for f in inside.iterdir() if f.is_file() and not f.name.startswith(".")
            )
            images = [f for f in found if f.suffix.lower() in suffixes]
            ignored += [str(f.relative_to(root)) for f in found if f.suffix.lower() not in suffixes]
            if not images:
                raise UserError(
                    f"class folder {inside} holds no image; put images there or remove the folder"
                )
            files += images
            labels += [label] * len(images)
        names = [f.stem for f in files]
        if len(set(names)) < len(names):
            names = [f"{f.relative_to(root).parts[0]}/{f.name}" for f in files]
        self.root, self.files = root, files
        super().__init__(
            [_title(f.name) for f in folders],
            names,
            labels,
            _checked_fingerprint(files, root),
            ignored=ignored,
        )

    def image(self, i):
        return decode(self.files[i])

    def mask(self, i):
        file = self.files[i]
        file = file.parent.with_name("masks") / file.name
        return decode(file) > 127 if file.is_file() else None


@lru_cache(maxsize=4)
def _cached(kind, *arguments):
    return {"phantom": PhantomDataset, "folder": FolderDataset}[kind](*arguments)


def load_data(config: Config) -> Dataset:
    """The data set that ``config.data`` names: ``"phantom"``, ``"kaggle"`` (fetched with kagglehub) or a folder."""
    if config.data == "phantom":
        return _cached("phantom", config.phantom_images, config.phantom_seed, config.image_size)
    if config.data is None:
        raise UserError(
            f"profile {config.profile!r} needs real images: set ACRLLS_DATA to the folder of the COVID-19 Radiography "
            "Dataset, or give data='kaggle' to download it, or data='phantom'"
        )
    return _cached("folder", str(_kaggle_folder() if config.data == "kaggle" else config.data))


def _kaggle_folder() -> Path:
    """The data set fetched by kagglehub into its own cache; only when the user asks with ``data="kaggle"``."""
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(KAGGLE))
    except Exception as error:  # kagglehub passes on whatever its HTTP layer raises
        raise UserError(
            f"the data set could not be fetched from Kaggle ({type(error).__name__}: {error}). Download "
            f"{KAGGLE} by hand, unpack it and set ACRLLS_DATA to its folder"
        ) from error


def decode(source: Path | BytesIO) -> np.ndarray:
    """One image file as uint8 `(height, width)`.

    16-bit greys keep their upper eight bits; colour and palette images become luminance (ITU-R 601); an alpha channel
    is dropped.

    Raises:
        UserError: the file is not an image that Pillow reads, or holds floating-point or 32-bit values, whose black
            and white are unknown.
    """
    try:
        with Image.open(source) as image:
            if image.mode.startswith("I;16"):
                return (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
            if image.mode in ("I", "F"):
                raise UserError(
                    f"{source} has mode {image.mode!r}; save it with 8 or 16 bits a pixel"
                )
            if image.mode == "P":
                image = image.convert("RGBA" if "transparency" in image.info else "RGB")
            return np.asarray(image.convert("L"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{source} does not decode: {error}") from error


def _dataset_root(root: Path) -> Path:
    """The folder that holds the class folders: ``root``, or the only folder inside it, as archives unpack."""
    if not root.is_dir():
        raise UserError(
            f"data folder {root} does not exist; give the folder that holds one folder a class"
        )
    while True:
        folders = [f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith(".")]
        if (
            len(folders) != 1
            or (folders[0] / "images").is_dir()
            or not any(f.is_dir() for f in folders[0].iterdir())
        ):
            return root
        root = folders[0]


def _class_folders(root: Path) -> list[Path]:
    folders = [f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith(".")]
    if not folders:
        raise UserError(
            f"data folder {root} is empty; it should hold one folder a class, each with its images"
        )
    titles = [_title(f.name) for f in folders]
    known = set(PAPER_CLASSES) & set(titles)
    if known and known != set(PAPER_CLASSES):
        odd = [t for t in titles if t not in PAPER_CLASSES]
        lower = {c.lower(): c for c in PAPER_CLASSES}
        near = [lower[n[0]] for t in odd if (n := difflib.get_close_matches(t.lower(), lower, n=1))]
        raise UserError(
            f"{root} lacks the class folders {sorted(set(PAPER_CLASSES) - known)}"
            + (f" and has {odd}, which the paper does not know" if odd else "")
            + (
                f"; did you mean {near}?"
                if near
                else "; all four are needed, or none of them for a data set of your own"
            )
        )
    if len(folders) < 2:
        raise UserError(
            f"{root} has one class only ({titles[0]!r}); a classifier needs at least two class folders"
        )
    return folders


def _title(folder_name: str) -> str:
    return folder_name.replace("_", " ")


def _checked_fingerprint(files: Sequence[Path], root: Path) -> str:
    """Digest of names and contents, after every file has decoded once."""
    stats = [(str(f.relative_to(root)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    kept = store() / "folders" / f"{digest(str(root), stats)}.json"
    if kept.exists():
        return json.loads(kept.read_text())["fingerprint"]

    def check(file: Path):
        content = file.read_bytes()
        try:
            decode(BytesIO(content))
        except UserError:
            return None
        return digest(content)

    with ThreadPoolExecutor(_WORKERS) as pool:
        digests = list(pool.map(check, files))
    broken = [str(f) for f, d in zip(files, digests, strict=True) if d is None]
    if broken:
        more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
        raise UserError(
            f"{len(broken)} of {len(files)} images do not decode: {', '.join(broken[:5])}{more}; replace or remove them"
        )
    fingerprint = digest([s[0] for s in stats], digests)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(
        json.dumps({"fingerprint": fingerprint, "root": str(root), "images": len(files)})
    )
    return fingerprint


@dataclass(frozen=True)
class Split:
    """Indices of the images in each part, sorted; disjoint, and all images together."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_counts(
    class_counts, train_fraction: float = 0.70, validation_fraction: float = 0.15
) -> np.ndarray:
    """Images a part and class, `(3, classes)`: floor of each fraction a class, the rest to test.

    This rule gives the published 14,814 / 3,172 / 3,179 and the test supports of Table III.

    Raises:
        UserError: a class too small to reach all three parts.
    """
    counts = np.asarray(class_counts, dtype=np.int64)
    # 1e-9: a product such as 0.29 * 100 falls short of its whole number in binary
    train = np.floor(counts * train_fraction + 1e-9).astype(np.int64)
    validation = np.floor(counts * validation_fraction + 1e-9).astype(np.int64)
    parts = np.stack([train, validation, counts - train - validation])
    if (parts < 1).any():
        c = int(np.argmax((parts < 1).any(axis=0)))
        raise UserError(
            f"class {c} has {counts[c]} images: too few for {train_fraction:g} training and {validation_fraction:g} "
            "validation with at least one image in each part"
        )
    return parts


def split(
    labels, train_fraction: float = 0.70, validation_fraction: float = 0.15, seed: int = 0
) -> Split:
    """Random stratified split by the rule of :func:`split_counts`, deterministic by ``seed``."""
    labels = np.asarray(labels)
    counts = split_counts(np.bincount(labels), train_fraction, validation_fraction)
    rng = np.random.default_rng(seed)
    parts = ([], [], [])
    for c in range(counts.shape[1]):
        shuffled = rng.permutation(np.flatnonzero(labels == c))
        for part, indices in zip(parts, np.split(shuffled, np.cumsum(counts[:2, c])), strict=True):
            part.append(indices)
    return Split(*(np.sort(np.concatenate(part)) for part in parts))


def split_of(dataset: Dataset, config: Config) -> Split:
    """The split that ``config`` asks for."""
    try:
        return split(
            dataset.labels, config.train_fraction, config.validation_fraction, config.split_seed
        )
    except UserError as error:
        numbered = ", ".join(f"{k} is {name}" for k, name in enumerate(dataset.class_names))
        raise UserError(f"{error} ({numbered})") from None


def class_weights(labels, classes: int | None = None) -> np.ndarray:
    """Inverse-frequency weights, total / (classes x count), `(classes,)`; their mean over the samples is one."""
    counts = np.bincount(np.asarray(labels), minlength=classes or 0)
    if (counts == 0).any():
        raise UserError(f"class {int(np.argmin(counts))} has no image to weigh")
    return counts.sum() / (len(counts) * counts)


@dataclass(frozen=True)
class Augmentation:
    """Random affine maps: rotation, flip, shear, zoom and shift composed, so that an image is resampled once.

    Ranges are those of Section III-A: degrees for rotation, a probability for the flip, shares of the side for shift,
    the tangent of the angle for shear, relative sizes for zoom (drawn for each axis apart).
    """

    rotation: float = 15.0
    flip: float = 0.5
    shift: float = 0.10
    shear: float = 0.10
    zoom: float = 0.15

    @classmethod
    def from_config(cls, config: Config) -> Augmentation | None:
        """The augmentation of a config; ``None`` where it asks for none."""
        if not config.augment:
            return None
        return cls(config.rotation, config.flip, config.shift, config.shear, config.zoom)

    def matrix(self, rng: np.random.Generator) -> np.ndarray:
        """One random map `(3, 3)` from output to input positions (row, column, 1), in units of the side, centred."""
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation))
        mirror = -1.0 if rng.random() < self.flip else 1.0
        shift = rng.uniform(-self.shift, self.shift, 2)
        shear = rng.uniform(-self.shear, self.shear)
        zoom = rng.uniform(1 - self.zoom, 1 + self.zoom, 2)
        cos, sin = np.cos(angle), np.sin(angle)
        linear = (
            np.array([[cos, -sin], [sin, cos]])
            @ np.array([[1, 0], [shear, 1]])
            @ np.diag(zoom * [1, mirror])
        )
        matrix = np.eye(3)
        matrix[:2, :2] = linear
        matrix[:2, 2] = shift
        return matrix


def render(image: np.ndarray, size: int, matrix: np.ndarray | None = None) -> np.ndarray:
    """Image resized to `(size, size)` and, by ``matrix``, augmented, in a single bilinear resampling.

    Beyond its border an image is continued by its nearest pixel.  Images at least twice as large as asked for are
    first reduced by a whole factor (box filter), so that bilinear sampling does not alias.

    Args:
        image: uint8 `(height, width)`.
        matrix: `(3, 3)` output-to-input map in centred units of the side; ``None`` for the identity.

    Returns:
        float32 `(size, size)`, in [0, 255].
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
    """Network input for some images, float32 `(n, size, size, 3)` in ``config.input_range``.

    Args:
        indices: `(n,)` positions in the data set.
        view: which augmented view; view ``v`` of image ``i`` is a fixed function of (``augment_seed``, i, v).
            ``None``, or a config without augmentation, gives the plain image.
    """
    augmentation = Augmentation.from_config(config) if view is not None else None

    def one(i: int) -> np.ndarray:
        matrix = augmentation and augmentation.matrix(
            np.random.default_rng((config.augment_seed, i, view))
        )
        return render(dataset.image(i), config.image_size, matrix)

    with ThreadPoolExecutor(_WORKERS) as pool:
        grey = list(pool.map(one, [int(i) for i in indices]))
    return to_input(np.stack(grey), config.input_range)


def to_input(grey: np.ndarray, input_range: str) -> np.ndarray:
    """Grey values in [0, 255], `(n, h, w)`, as three equal channels in ``"0..1"`` or ``"-1..1"``."""
    unit = np.asarray(grey, dtype=np.float32) / np.float32(255)
    if input_range == "-1..1":
        unit = unit * 2 - 1
    return np.repeat(unit[..., None], 3, axis=-1)

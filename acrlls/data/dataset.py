"""What a dataset is, the phantom as one, and the dataset that a config names (Section III-A)."""

import abc
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from acrlls import phantom
from acrlls.config import Config, UserError
from acrlls.paper import CLASSES
from acrlls.store import digest, kept, source_digest, store, writing

KAGGLE = "tawsifurrahman/covid19-radiography-database"
_ARRAYS = ("images", "labels", "eta", "lungs", "findings")  # of the drawn phantoms


class Dataset(abc.ABC):
    """A labelled dataset of grey images, read when asked for.

    Attributes:
        class_names: the classes, in the order of the columns of every `(n, classes)` array.
        names: `(n,)` names of the images, unique, such as ``"COVID-17"``.
        labels: `(n,)` integers into ``class_names``.
        fingerprint: digest of everything that the images and labels are made of.
        eta: `(n, classes)` true class probabilities where they are known (the phantom).
        ignored: files below the folder that are not read, relative to it.
        contents: `(n,)` digest of each file; ``None`` where images are no files.
    """

    def __init__(
        self, class_names, names, labels, fingerprint, *, eta=None, ignored=(), contents=None
    ):
        self.class_names = tuple(class_names)
        self.names = np.asarray(names, dtype=str)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.fingerprint, self.eta, self.ignored = fingerprint, eta, tuple(ignored)
        self.contents = None if contents is None else np.asarray(contents)

    def __len__(self):
        return len(self.labels)

    def unread(self, most: int = 20) -> str:
        """A sentence that lists the files below the folder that are not read, ``most`` by name."""
        if self.contents is None:
            return "These images are drawn, so that there are no files."
        if not self.ignored:
            return "Every file of the folder is read."
        more = len(self.ignored) - most
        listed = ", ".join(f"`{on_one_line(name)}`" for name in self.ignored[:most])
        listed += f" and {more} more" if more > 0 else ""
        return (
            f"Files of the folder that are not read: {len(self.ignored)} ({listed}). A file is "
            "read where its suffix is an image's and it lies in `images` or, without that folder, "
            "directly in a class folder; a mask needs its image, and a link must lead to a file."
        )

    @abc.abstractmethod
    def image(self, i: int) -> np.ndarray:
        """Image ``i`` at its own size, uint8 `(height, width)`."""

    def mask(self, i: int) -> np.ndarray | None:
        """Where the lungs are, boolean, of the image's shape; ``None`` if not known."""
        return None

    def findings(self, i: int) -> np.ndarray | None:
        """Where the findings are, boolean, of the image's shape; ``None`` if not known."""
        return None


class PhantomDataset(Dataset):
    """The first ``n`` phantoms of a seed, drawn once and kept in the store."""

    def __init__(self, n: int, seed: int, size: int):
        key = digest("phantom", n, seed, size, source_digest("phantom"))
        file = store() / "phantom" / f"{key}.npz"

        def read():
            with np.load(file) as arrays:
                return {name: arrays[name] for name in _ARRAYS}

        def draw():
            drawn = phantom.draw(n, seed=seed, size=size)
            arrays = {name: getattr(drawn, name) for name in _ARRAYS}
            with writing(file) as handle:
                np.savez(handle, **arrays)
            return arrays

        self._arrays = kept(file, read, draw)
        names = [f"phantom-{seed}-{i}" for i in range(n)]
        super().__init__(CLASSES, names, self._arrays["labels"], key, eta=self._arrays["eta"])

    def image(self, i):
        return self._arrays["images"][i]

    def mask(self, i):
        return self._arrays["lungs"][i]

    def findings(self, i):
        return self._arrays["findings"][i]


def on_one_line(name: str) -> str:
    """A file's name on one line, of a table in a file too: what cannot be printed is escaped, and
    the backslash, so that no two names become one."""
    return "".join(c if c.isprintable() and c != "\\" else ascii(c)[1:-1] for c in name)


_phantom = lru_cache(maxsize=4)(PhantomDataset)


def load_data(config: Config) -> Dataset:
    """The dataset of ``config.data``: ``"phantom"``, ``"kaggle"`` (by kagglehub) or a folder.

    A ``UserError`` says what to do where no data are named, or they cannot be fetched or read.
    """
    if config.data == "phantom":
        return _phantom(config.phantom_images, config.phantom_seed, config.image_size)
    if config.data is None:
        raise UserError(
            f"profile {config.profile!r} needs real images: set ACRLLS_DATA to the folder of the "
            "COVID-19 Radiography Dataset, or give data='kaggle' to download it, or data='phantom'"
        )
    root = config.data
    if root == "kaggle":
        try:
            import kagglehub

            root = kagglehub.dataset_download(KAGGLE)
        except Exception as error:  # kagglehub passes on whatever its HTTP layer raises
            raise UserError(
                f"the dataset could not be fetched from Kaggle ({type(error).__name__}: {error}). "
                f"Download {KAGGLE} by hand, unpack it and set ACRLLS_DATA to its folder"
            ) from error
    from acrlls.data.folder import FolderDataset

    try:
        return FolderDataset(root)  # read each time: files may have changed in between
    except OSError as error:
        raise UserError(f"data folder {root} cannot be read: {error}") from error


def write_folder(dataset: Dataset, folder: Path, count: int, names: Mapping[str, str]) -> Path:
    """Write the first ``count`` images as PNG files, ``folder/<title>/<name of the image>.png``,
    and return the folder.  ``names`` gives the title of each class; two classes may share one.
    Files that are there already are left alone.
    """
    for i in range(min(count, len(dataset))):
        title = names[dataset.class_names[dataset.labels[i]]]
        file = folder / title / f"{dataset.names[i]}.png"
        if not file.exists():
            with writing(file) as handle:
                Image.fromarray(dataset.image(i)).save(handle, "png")
    return folder

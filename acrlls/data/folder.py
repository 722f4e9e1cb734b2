"""A dataset in folders, one a class, checked when it is first seen (Section III-A)."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from acrlls.config import UserError
from acrlls.data.dataset import Dataset
from acrlls.paper import CLASSES
from acrlls.store import digest, store, write_text


class FolderDataset(Dataset):
    """``<root>/<Class>/images/<name>.<ext>`` as at Kaggle, or ``<root>/<Class>/<name>.<ext>``.

    Lung masks are read from ``<root>/<Class>/masks/<same name>`` where they exist.  Every image is
    opened once, when the folder is first seen; the verdict is kept in the store until a file
    changes.

    Raises:
        UserError: folder missing or empty, fewer than two classes, some but not all of the paper's
            class folders, an empty class, or images that do not decode (counted and named).
    """

    def __init__(self, root: str | Path):
        root = _dataset_root(Path(root))
        folders = _class_folders(root)
        files, labels, ignored = [], [], []
        suffixes = set(Image.registered_extensions())
        for label, folder in enumerate(folders):
            inside = folder / "images" if (folder / "images").is_dir() else folder
            found = [f for f in _visible(inside) if f.is_file()]
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
        fingerprint = _checked_fingerprint(files, root)
        titles = [_title(f.name) for f in folders]
        super().__init__(titles, names, labels, fingerprint, ignored=ignored)

    def image(self, i):
        return decode(self.files[i])

    def mask(self, i):
        file = self.files[i]
        file = file.parent.with_name("masks") / file.name
        return decode(file) > 127 if file.is_file() else None


def decode(source: Path | BytesIO) -> np.ndarray:
    """One image file as uint8 `(height, width)`.

    16-bit greys keep their upper eight bits; colour and palette images become luminance (ITU-R
    601); an alpha channel is dropped.

    Raises:
        UserError: the file is not an image that Pillow reads, or holds floating-point or 32-bit
            values, whose black and white are unknown.
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


def _visible(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if not f.name.startswith("."))


def _dataset_root(root: Path) -> Path:
    """The folder of the class folders: ``root``, or the only folder inside, as archives unpack."""
    if not root.is_dir():
        raise UserError(
            f"data folder {root} does not exist; give the folder that holds one folder a class"
        )
    while True:
        folders = [f for f in _visible(root) if f.is_dir()]
        if len(folders) != 1 or (folders[0] / "images").is_dir():
            return root
        if not any(f.is_dir() for f in folders[0].iterdir()):
            return root
        root = folders[0]


def _class_folders(root: Path) -> list[Path]:
    folders = [f for f in _visible(root) if f.is_dir()]
    if not folders:
        raise UserError(
            f"data folder {root} is empty; it should hold one folder a class, each with its images"
        )
    titles = [_title(f.name) for f in folders]
    missing = sorted(set(CLASSES) - set(titles))
    if 0 < len(missing) < len(CLASSES):
        raise UserError(f"{root} lacks the class folders {missing}{_hint(titles)}")
    if len(folders) < 2:
        raise UserError(
            f"{root} has one class only ({titles[0]!r}); a classifier needs at least two class "
            "folders"
        )
    return folders


def _hint(titles: list[str]) -> str:
    """What may be wrong where some of the paper's class folders are there, but not all."""
    odd = [t for t in titles if t not in CLASSES]
    lower = {c.lower(): c for c in CLASSES}
    near = [lower[n[0]] for t in odd if (n := difflib.get_close_matches(t.lower(), lower, n=1))]
    has = f" and has {odd}, which the paper does not know" if odd else ""
    if near:
        return f"{has}; did you mean {near}?"
    return f"{has}; all four are needed, or none of them for a dataset of your own"


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

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = list(pool.map(check, files))
    broken = [str(f) for f, d in zip(files, digests, strict=True) if d is None]
    if broken:
        more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
        raise UserError(
            f"{len(broken)} of {len(files)} images do not decode: {', '.join(broken[:5])}{more}; "
            "replace or remove them"
        )
    fingerprint = digest([s[0] for s in stats], digests)
    note = {"fingerprint": fingerprint, "root": str(root), "images": len(files)}
    write_text(kept, json.dumps(note))
    return fingerprint

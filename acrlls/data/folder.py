"""A dataset in folders, one a class, checked when it is first seen (Section III-A)."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from acrlls.config import UserError
from acrlls.data.dataset import Dataset
from acrlls.store import digest, files_below, read_json, source_digest, store, write_text

# rows and columns that tables have beside those of the classes
_TAKEN = {"phase", "epoch", "all", "mean", "top label"}


class FolderDataset(Dataset):
    """``<root>/<Class>/images/<name>.<ext>`` as at Kaggle, or ``<root>/<Class>/<name>.<ext>``.

    Lung masks are read from ``<root>/<Class>/masks/<same name>`` where they exist.  Every image is
    opened once, when the folder is first seen; the verdict is kept in the store until a file
    changes.  Hidden files are passed over; any other that is not read is listed in ``ignored``.  A
    ``UserError`` says if the folder is missing or empty, has fewer than two classes, an empty one
    or names that tables cannot tell apart, or counts and names images that do not decode.
    """

    def __init__(self, root: str | Path):
        root = _dataset_root(Path(root))
        folders = _class_folders(root)
        titles = _titles(folders)
        self.files, labels = [], []
        readable = {s for s, kind in Image.registered_extensions().items() if kind in Image.OPEN}
        for label, folder in enumerate(folders):
            inside = folder / "images" if (folder / "images").is_dir() else folder
            images = [f for f in _visible(inside) if f.suffix.lower() in readable and f.is_file()]
            if not images:
                raise UserError(
                    f"class folder {inside} holds no image that is read; put images there (those "
                    "in folders inside it are not read) or remove the folder"
                )
            self.files += images
            labels += [label] * len(images)
        names = [f.stem for f in self.files]
        if len(set(names)) < len(names):
            names = [f"{f.relative_to(root).parts[0]}/{f.name}" for f in self.files]
        fingerprint, contents = _checked(self.files, root)
        others = [f.relative_to(root) for f in sorted({*files_below(root)} - {*self.files})]
        ignored = [f.as_posix() for f in others if f.parts[1:2] != ("masks",)]
        super().__init__(titles, names, labels, fingerprint, ignored=ignored, contents=contents)

    def image(self, i):
        return decode(self.files[i])

    def mask(self, i):
        file = self.files[i]
        file = file.parent.with_name("masks") / file.name
        return decode(file) > 127 if file.is_file() else None


def decode(file: Path) -> np.ndarray:
    """One image file as uint8 `(height, width)`, turned upright as its EXIF data say.

    Greys of more than eight bits run from the file's smallest to its largest value, because a file
    does not say which part of its range it uses; colour and palette images become luminance (ITU-R
    601); an alpha channel is dropped.  A ``UserError`` names a file that cannot be read, is not an
    image that Pillow reads, holds values that are no numbers, or several images.
    """
    try:
        return _grey(file)
    except Exception as error:  # a reader of Pillow passes on whatever the file makes it meet
        raise UserError(f"{file} does not decode: {_reason(error)}") from error


def _grey(source: Path | BytesIO) -> np.ndarray:
    with Image.open(source) as image:
        # a photograph of several (MPO) is one image and its previews
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            raise ValueError(f"it holds {image.n_frames} images; save the one that is meant")
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode[0] in "IF":
            values = np.asarray(image, np.float64)
            low, high = values.min(), values.max()
            if not np.isfinite(high - low):
                raise ValueError("some of its values are no numbers")
            return np.round((values - low) * 255 / max(high - low, 1e-9)).astype(np.uint8)
        if image.mode == "P":
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        return np.asarray(image.convert("L"))


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error).replace("cannot identify image file", "")
    return said if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {said}"


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
        if not any(f.is_dir() for f in _visible(folders[0])):
            return root
        root = folders[0]


def _class_folders(root: Path) -> list[Path]:
    inside = _visible(root)
    if dead := [f.name for f in inside if not f.exists()]:
        raise UserError(f"links in {root} lead nowhere: {', '.join(dead)}; mend or remove them")
    folders = [f for f in inside if f.is_dir()]
    if len(folders) < 2:
        has = f"has one class only ({folders[0].name!r})" if folders else "is empty"
        raise UserError(
            f"data folder {root} {has}; it should hold one folder a class, at least two, each with "
            "its images"
        )
    return folders


def _titles(folders: list[Path]) -> list[str]:
    """Names of the classes: those of the folders, with a space for what Markdown, HTML or a formula
    would take for its own.
    """
    titles = [" ".join(re.sub(r'[_*$<>|\\`\[\]{}#~^&"]', " ", f.name).split()) for f in folders]
    for k, (title, folder) in enumerate(zip(titles, folders, strict=True)):
        if not title or title.lower() in _TAKEN:
            raise UserError(f"class folder {folder} has a name that tables use; rename the folder")
        if title in titles[:k]:
            first = folders[titles.index(title)].name
            raise UserError(
                f"the class folders {first!r} and {folder.name!r} would both be called {title!r}; "
                "rename one"
            )
    return titles


def _checked(files: list[Path], root: Path) -> tuple[str, list[str]]:
    """Digest of all names and contents, and one of each content, after all have decoded once."""
    stats = [(str(f.relative_to(root)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    key = digest(str(root), stats, source_digest("data/folder.py"))
    kept = store() / "folders" / f"{key}.json"
    if note := read_json(kept):
        return note["fingerprint"], note["contents"]

    def check(file: Path) -> tuple[str, str]:
        try:
            content = file.read_bytes()
            _grey(BytesIO(content))
        except Exception as error:
            return "", f"{file} ({_reason(error)})"
        return digest(content), ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        contents, problems = zip(*pool.map(check, files), strict=True)
    if broken := [problem for problem in problems if problem]:
        more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
        raise UserError(
            f"{len(broken)} of {len(files)} images do not decode: {', '.join(broken[:5])}{more}; "
            "replace or remove them"
        )
    fingerprint = digest([s[0] for s in stats], contents)
    write_text(kept, json.dumps({"fingerprint": fingerprint, "contents": contents}))
    return fingerprint, list(contents)

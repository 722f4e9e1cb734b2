"""A dataset in folders, one a class, checked when it is first seen (Section III-A)."""

import json
import os
import re
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from acrlls.config import UserError
from acrlls.data.dataset import Dataset, on_one_line
from acrlls.store import digest, files_below, kept, source_digest, store, write_text

# rows and columns that tables have beside those of the classes
_TAKEN = {"phase", "epoch", "all", "mean", "top label"}
# small Cyrillic and Greek letters that look, small or large, as Latin ones do
_ALIKE = str.maketrans("авекмнорстухіѕјһαβεζηικμνορτυχ", "abekmhopctyxisjhabezhikmnoptyx")


class FolderDataset(Dataset):
    """``<root>/<Class>/images/<name>.<ext>`` as at Kaggle, or ``<root>/<Class>/<name>.<ext>``.

    Lung masks are read from ``<root>/<Class>/masks/<same name>`` where they exist, of any suffix.
    Every image is opened once, when the folder is first seen; the verdict is kept in the store
    until a file changes.  Hidden files are passed over; any other that is not read is listed in
    ``ignored``.  A ``UserError`` says if the folder is missing or empty, has fewer than two
    classes, an empty one, one twice or names that tables cannot tell apart or that are no UTF-8,
    or counts and names images that do not decode.
    """

    def __init__(self, root: str | Path):
        given, root = Path(root), _dataset_root(Path(root))
        folders = _class_folders(root)
        titles = _titles(folders)
        self.files, self._masks, labels = [], {}, []
        for label, folder in enumerate(folders):
            inside = folder / "images" if (folder / "images").is_dir() else folder
            images = _images(inside)
            if not images:
                raise UserError(
                    f"class folder {inside} holds no image that is read; put images there, or "
                    "remove the folder; if the folders in it are the classes, give it as the data"
                )
            self.files += images
            labels += [label] * len(images)
            self._masks |= _masks(images, folder / "masks")
        names = [on_one_line(f.stem) for f in self.files]
        if len(set(names)) < len(names):
            places = [(f.relative_to(root).parts[0], f.name) for f in self.files]
            names = [on_one_line("/".join(place)) for place in places]
        fingerprint, contents = _checked(self.files, root)
        others = {*files_below(given)} - {*self.files} - {*self._masks.values()}
        ignored = sorted(f.relative_to(given).as_posix() for f in others)
        super().__init__(titles, names, labels, fingerprint, ignored=ignored, contents=contents)

    def image(self, i):
        return decode(self.files[i])

    def mask(self, i):
        file = self._masks.get(self.files[i])
        if file is None:
            return None
        values = decode(file)
        return values > values.max() / 2  # from 0 to 1, or to 255


def decode(file: Path) -> np.ndarray:
    """One image file as uint8 `(height, width)`, turned upright as its EXIF data say.

    Greys of more than eight bits run from the file's smallest to its largest value, because a file
    does not say which part of its range it uses; colour and palette images become luminance (ITU-R
    601); an alpha channel is dropped.  A ``UserError`` names a file that cannot be read, is not an
    image that Pillow reads, holds values that are no numbers or colours of 16 bits, or several
    images.
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
        if _is_cut(image):
            how = "save it as 16-bit grey or with 8 bits"
            raise ValueError(f"it has 16 bits a colour, of which Pillow drops the low 8; {how}")
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode[0] in "IF":
            values = np.asarray(image, np.float64)
            low, high = values.min(), values.max()
            if not np.isfinite(high - low):
                raise ValueError("some of its values are no numbers")
            grey = np.round((values - low) * 255 / max(high - low, 1e-9)).astype(np.uint8)
            # a TIFF whose 0 is white; Pillow turns those of up to eight bits itself
            return 255 - grey if getattr(image, "tag_v2", {}).get(262) == 0 else grey
        if image.mode == "P":
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        return np.asarray(image.convert("L"))


def _is_cut(image: Image.Image) -> bool:
    """Whether Pillow keeps the high bytes alone, so that 12 bits in 16 would be nearly black."""
    bits = getattr(image, "tag_v2", {}).get(258, ())  # of a TIFF
    deep = re.search(r";16[BLN]|SGI16|'RGB', \d{5}", str(image.tile))  # PNG, SGI, PPM
    deep = deep or (image.format == "JPEG2000" and 16 in _jpeg2000_bits(image.fp))
    return image.mode[0] not in "IF" and (max((8, *bits)) > 8 or bool(deep))


def _jpeg2000_bits(file: BinaryIO) -> list[int]:
    """The bits of each component, by the marker with which a JPEG 2000 codestream begins."""
    file.seek(0)
    sizes = file.read().partition(b"\xff\x4f\xff\x51")[2][36:]
    components = int.from_bytes(sizes[:2])
    return [1 + (bits & 127) for bits in sizes[2 : 2 + 3 * components : 3]]


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is no image that Pillow reads"
    said = getattr(error, "strerror", None) or str(error)
    return said if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {said}"


def _visible(folder: Path) -> list[Path]:
    hidden = (".", "__MACOSX")  # the second comes out of archives made on a Mac
    found = sorted(f for f in folder.iterdir() if not f.name.startswith(hidden))
    for file in found:
        try:
            file.name.encode()
        except UnicodeEncodeError:
            how = "UTF-8; rename it"
            if sys.getfilesystemencoding() != "utf-8":
                how = "text in this locale; set PYTHONUTF8=1, or rename it"
            raise UserError(f"{str(file)!a} has a name that is no {how}") from None
    return found


def _images(folder: Path) -> list[Path]:
    readable = {s for s, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return [f for f in _visible(folder) if f.suffix.lower() in readable and f.is_file()]


def _masks(images: list[Path], folder: Path) -> dict[Path, Path]:
    """The mask of each image that has one: of its name, or else of its name with any suffix."""
    named = {mask.name: mask for mask in (_images(folder) if folder.is_dir() else ())}
    free = {m.stem: m for m in named.values() if m.name not in {image.name for image in images}}
    found = {image: named.get(image.name) or free.get(image.stem) for image in images}
    return {image: mask for image, mask in found.items() if mask}


def _dataset_root(root: Path) -> Path:
    """The folder of the class folders: ``root``, or the only folder inside, as archives unpack."""
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise UserError(f"data folder {root} {what}; give the folder that holds one folder a class")
    folders = [f for f in _visible(root) if f.is_dir()]
    if len(folders) != 1 or (folders[0] / "images").is_dir():
        return root
    return _dataset_root(folders[0]) if any(f.is_dir() for f in _visible(folders[0])) else root


def _class_folders(root: Path) -> list[Path]:
    inside = _visible(root)
    if dead := [f.name for f in inside if not f.exists()]:
        raise UserError(f"links in {root} lead nowhere: {', '.join(dead)}; mend or remove them")
    folders = [f for f in inside if f.is_dir()]
    if parts := [f.name for f in folders if f.name.lower() in ("images", "masks")]:
        raise UserError(
            f"data folder {root} holds {' and '.join(parts)}, as the folder of one class does; "
            "give the folder above, which holds a folder a class, or remove what is no class"
        )
    real = [(f / "images" if (f / "images").is_dir() else f).resolve() for f in folders]
    for folder, place in zip(folders, real, strict=True):
        if (first := folders[real.index(place)]) is not folder:
            raise UserError(f"class folders {first} and {folder} are one by a link; remove one")
    if len(folders) < 2:
        has = f"has one class only ({folders[0].name!r})" if folders else "has no folder in it"
        raise UserError(
            f"data folder {root} {has}; it should hold one folder a class, at least two, each with "
            "its images"
        )
    return folders


def _titles(folders: list[Path]) -> list[str]:
    """Names of the classes: those of the folders, with a space for what Markdown, HTML or a formula
    would take for its own, and for what nobody sees.
    """
    names = [unicodedata.normalize("NFC", f.name) for f in folders]  # else two may look alike
    names = ["".join(c if c.isprintable() else " " for c in name) for name in names]
    titles = [" ".join(re.sub(r'[_*$<>|\\`\[\]{}#~^&"]', " ", name).split()) for name in names]
    shapes = [unicodedata.normalize("NFKC", t).casefold().translate(_ALIKE) for t in titles]
    shapes = ["".join(shape.split()) for shape in shapes]
    for k, (title, folder) in enumerate(zip(titles, folders, strict=True)):
        if not title or title.lower() in _TAKEN:
            why = "that tables use" if title else "of signs alone that pages take for their own"
            raise UserError(f"class folder {folder} has a name {why}; rename the folder")
        if (first := shapes.index(shapes[k])) < k:
            both = f"class folders {folders[first].name!a} and {folder.name!a} would both"
            raise UserError(f"{both} be called {title!r}, or look so; rename one")
    return titles


def _checked(files: list[Path], root: Path) -> tuple[str, list[str]]:
    """Digest of all names and contents, and one of each content, after all have decoded once."""
    names, stats = [f.relative_to(root).as_posix() for f in files], [f.stat() for f in files]
    # inode and ctime: a file may be replaced by another of its size and time
    states = [(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for s in stats]
    key = digest(str(root), names, states, source_digest("data/folder.py"))
    file = store() / "folders" / f"{key}.json"

    def read() -> tuple[str, list[str]]:
        note = json.loads(file.read_text("utf-8"))
        if note["fingerprint"] != digest(names, note["contents"]):
            raise ValueError("its digest is another")
        return note["fingerprint"], note["contents"]

    def check() -> tuple[str, list[str]]:
        contents = _contents(files)
        fingerprint = digest(names, contents)
        write_text(file, json.dumps({"fingerprint": fingerprint, "contents": contents}))
        return fingerprint, contents

    return kept(file, read, check)


def _contents(files: list[Path]) -> list[str]:
    """A digest of each file; a ``UserError`` names those that do not decode."""

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
    return list(contents)

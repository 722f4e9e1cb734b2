"""Arrays of features on the disk, each with a digest, within a bound on the space of all."""

import contextlib
import math
import mmap
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from acrlls.config import UserError
from acrlls.store import damage, nearest, read_json, remove, seal, store, writing

LIMIT_VARIABLE = "ACRLLS_BANK_GB"
_DEFAULT_LIMIT = 20e9  # bytes


class StoredArray:
    """An array `(n, ...)` in ``<name>.npy``, sealed by ``<name>.json``: cut short or damaged it is
    never taken for whole.
    """

    def __init__(self, file: Path, shape: tuple[int, ...], dtype):
        self.file, self.note_file = file, file.with_suffix(".json")
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize
        self._layout = [list(self.shape), self.dtype.name]

    @property
    def note(self) -> dict[str, Any]:
        """What is known of the file; nothing where it has another layout."""
        note = read_json(self.note_file)
        return note if note.get("layout") == self._layout else {}

    def whole(self) -> bool:
        return "engine" in self.note and not damage(self.file.parent, self.note_file.name)

    @contextlib.contextmanager
    def filling(self, note: dict[str, Any]) -> Iterator[Callable[[np.ndarray], None]]:
        """A function that takes the next rows; the file is there when the block has ended."""
        with writing(self.file) as handle:
            descr = np.lib.format.dtype_to_descr(self.dtype)
            header = {"descr": descr, "fortran_order": False, "shape": self.shape}
            np.lib.format.write_array_header_1_0(handle, header)
            handle.truncate(handle.tell() + self.nbytes)  # counts from now on where room is sought
            yield lambda rows: handle.write(np.ascontiguousarray(rows, self.dtype).tobytes())
        note = {**note, "layout": self._layout}
        seal(self.file.parent, note, [self.file], self.note_file.name)

    def open(self) -> np.memmap:
        """The array, memory-mapped and read-only."""
        return np.load(self.file, mmap_mode="r")


def take(stored: np.memmap, rows) -> np.ndarray:
    """Some rows of an opened array, float32. The system has the memory back that was mapped to read
    them, where it can be told to: it counts as the process's own until the array is closed.
    """
    taken = np.asarray(stored[rows], dtype=np.float32)
    if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        stored.base.madvise(mmap.MADV_DONTNEED)
    return taken


def delete(file: Path) -> None:
    """Delete a stored array, if it is there, and its note."""
    for each in (file.with_suffix(".json"), file):
        with contextlib.suppress(OSError):  # gone already, or on Windows still mapped
            remove(each)


def bank_folder() -> Path:
    """Where stored features lie."""
    return store() / "bank"


def used(folder: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    sizes = 0
    for file in (folder, *folder.rglob("*")):
        with contextlib.suppress(OSError):
            sizes += file.stat().st_size if file.is_file() else 0
    return sizes


def readable(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def limit() -> int:
    """Bytes that stored features may take together: what ``ACRLLS_BANK_GB`` says, or else 20 GB but
    no more than half of what the disk would have free without them.
    """
    text = os.environ.get(LIMIT_VARIABLE)
    if text:
        with contextlib.suppress(ValueError):
            if 0 < float(text) < math.inf:
                return int(float(text) * 1e9)
        raise UserError(
            f"{LIMIT_VARIABLE} is {text!r}; it must be a number of gigabytes above 0, such as 20"
        )
    return int(min(_DEFAULT_LIMIT, (used(bank_folder()) + _free()) / 2))


def room() -> int:
    """Bytes that may still be stored, by the limit and by the disk."""
    return max(0, min(limit() - used(bank_folder()), _free()))


def require_room(needed: int, what: str) -> None:
    """Delete the oldest views until there is room; a ``UserError`` says what else would help."""
    for file in sorted(bank_folder().glob("*/*/train-view-*.npy"), key=_age):
        if needed > room():
            delete(file)
    if needed > room():
        raise UserError(
            f"{what} would take {readable(needed)} in {bank_folder()}, where "
            f"{readable(used(bank_folder()))} of at most {readable(limit())} are taken and the "
            f"disk has {readable(_free())} free. Free space with `acrlls cache --clear`, raise "
            f"{LIMIT_VARIABLE}, put ACRLLS_STORE on another disk, or ask for less: bank_dtype "
            "float16 halves it, and fewer views take less"
        )


def _age(file: Path) -> float:
    with contextlib.suppress(OSError):  # another process has deleted it
        return file.lstat().st_mtime  # also of a link that leads nowhere
    return 0.0


def _free() -> int:
    return shutil.disk_usage(nearest(store())).free

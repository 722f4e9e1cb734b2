"""Arrays on disk, written chunk by chunk with digests, within a bound on the space of all."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from acrlls.config import UserError
from acrlls.store import digest, store, write_text

CHUNK = 256  # rows
LIMIT_VARIABLE = "ACRLLS_BANK_GB"
_DEFAULT_LIMIT = 20e9  # bytes
_checked: dict[Path, tuple] = {}  # files whose digests this process has compared, as they were then


class ChunkedArray:
    """An array of a known shape in a ``.npy`` file; a note beside it has the digest of every chunk.

    A chunk counts as there only if its bytes have its digest.  So a file that was cut short,
    damaged, or left behind by a process that was killed is mended by writing what :meth:`missing`
    names, and is never taken for whole.

    Args:
        file: ``<name>.npy``; the note is ``<name>.json``.
        shape: `(n, ...)`.
        dtype: of the values.
    """

    def __init__(self, file: Path, shape: tuple[int, ...], dtype):
        self.file, self.shape, self.dtype = file, tuple(shape), np.dtype(dtype)
        self.note_file = file.with_suffix(".json")
        self._sound: set[int] = set()  # chunks that this process has read or written

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def chunks(self) -> int:
        return -(-self.shape[0] // CHUNK)

    @property
    def note(self) -> dict[str, Any]:
        """What is known of the file; of another layout than asked for, nothing."""
        layout = {"shape": list(self.shape), "dtype": self.dtype.name, "chunk": CHUNK}
        fresh = {**layout, "digests": {}}
        try:
            note = json.loads(self.note_file.read_text())
        except (OSError, ValueError):
            return fresh
        return note if isinstance(note, dict) and layout.items() <= note.items() else fresh

    def missing(self) -> list[int]:
        """Numbers of the chunks that are not there or are damaged.

        A file found whole is not read again by this process until it changes.
        """
        if self._state() and _checked.get(self.file) == self._state():
            return []
        digests = self.note["digests"]
        self._sound = set()
        with contextlib.suppress(OSError), self.file.open("rb") as file:
            header = _header(self.shape, self.dtype)
            if file.read(len(header)) == header:
                read = (digest(file.read(self._size(k))) for k in range(self.chunks))
                self._sound = {k for k, found in enumerate(read) if found == digests.get(str(k))}
        self._remember_if_whole()
        return [k for k in range(self.chunks) if k not in self._sound]

    def write(self, k: int, values: np.ndarray, note: dict[str, Any] | None = None) -> None:
        """Write chunk ``k`` and then its digest, with further entries of the note.

        Raises:
            UserError: the disk is full.
        """
        header = _header(self.shape, self.dtype)
        content = np.ascontiguousarray(values, self.dtype).tobytes()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            # not through a map: a full disk is then an error and not the end of the process
            with self.file.open("r+b" if self.file.exists() else "w+b") as file:
                _allocate(file, len(header) + self.nbytes)
                file.write(header)
                file.seek(len(header) + k * self._size(0))
                file.write(content)
        except OSError as error:
            if not self.note["digests"]:
                self.delete()
            problem = f"{self.file} cannot be written: {error.strerror}. {_remedies()}"
            raise UserError(problem) from error
        kept = self.note
        kept["digests"][str(k)] = digest(content)
        write_text(self.note_file, json.dumps({**kept, **(note or {})}))
        self._sound.add(k)
        self._remember_if_whole()

    def open(self) -> np.ndarray:
        """The array, memory-mapped and read-only."""
        return np.load(self.file, mmap_mode="r")

    def delete(self) -> None:
        _checked.pop(self.file, None)
        for file in (self.note_file, self.file):
            with contextlib.suppress(OSError):  # gone already, or on Windows still mapped
                file.unlink()

    def _size(self, k: int) -> int:
        rows = min(CHUNK, self.shape[0] - k * CHUNK)
        return rows * self.nbytes // self.shape[0]

    def _remember_if_whole(self) -> None:
        if len(self._sound) == self.chunks:
            _checked[self.file] = self._state()

    def _state(self) -> tuple | None:
        try:
            files = [self.file.stat(), self.note_file.stat()]
        except OSError:
            return None
        seen = [(s.st_mtime_ns, s.st_size, s.st_ino) for s in files]
        return self.shape, self.dtype, CHUNK, *seen


def bank_folder() -> Path:
    """Where stored features lie."""
    return store() / "bank"


def used(folder: Path) -> int:
    """Bytes of all files below a folder."""
    sizes = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):
            sizes += file.stat().st_size if file.is_file() else 0
    return sizes


def readable(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def limit() -> int:
    """Bytes that stored features may take together.

    What ``ACRLLS_BANK_GB`` says, or else 20 GB but no more than half of what the disk would have
    free without them.

    Raises:
        UserError: the variable does not hold a number above zero.
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
    """Refuse to begin what does not fit.

    Raises:
        UserError: ``needed`` bytes for ``what`` are more than :func:`room`; says what would help.
    """
    if needed > room():
        raise UserError(
            f"{what} would take {needed / 1e9:.3g} GB in {bank_folder()}, where "
            f"{used(bank_folder()) / 1e9:.3g} GB of at most {limit() / 1e9:.3g} GB are taken and "
            f"the disk has {_free() / 1e9:.3g} GB free. {_remedies()}"
        )


def _remedies() -> str:
    return (
        f"Free space with `acrlls cache --clear`, raise {LIMIT_VARIABLE}, put ACRLLS_STORE on "
        "another disk, or ask for less: bank_dtype float16 halves it, and fewer views take less"
    )


def _free() -> int:
    folder = store()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _allocate(file, size: int) -> None:
    """Give the file its full size at once, in real blocks where the system can."""
    if os.fstat(file.fileno()).st_size == size:
        return
    file.truncate(size)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            # the two are what file systems say that cannot do it
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise


def _header(shape, dtype) -> bytes:
    """The head of a ``.npy`` file (version 1.0)."""
    head, descr = io.BytesIO(), np.lib.format.dtype_to_descr(np.dtype(dtype))
    layout = {"descr": descr, "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(head, layout)
    return head.getvalue()

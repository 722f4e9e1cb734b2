"""Where things are kept, and how: the store's folder, locks, digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from acrlls.config import PROJECT


def store() -> Path:
    """Folder that keeps runs, drawn phantoms and feature banks: ``ACRLLS_STORE``, or ``runs/`` in the project."""
    return Path(os.environ.get("ACRLLS_STORE") or PROJECT / "runs")


@contextlib.contextmanager
def locked(file: Path, wait: bool = True):
    """Let one process at a time make what belongs to ``file``.  Freed when a process dies.

    Gives whether the lock was had: always, if a second process is to ``wait`` for the first.
    """
    try:
        import fcntl
    except ImportError:  # Windows: two processes at once may do the same work twice
        yield True
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def digest(*parts: Any) -> str:
    """Short hexadecimal digest of JSON-serialisable values, paths (their contents) and bytes."""
    h = hashlib.blake2b(digest_size=10)
    for part in parts:
        if isinstance(part, Path):
            part = part.read_bytes()
        h.update(
            part
            if isinstance(part, bytes)
            else json.dumps(part, sort_keys=True, default=str).encode()
        )
        h.update(b"\0")
    return h.hexdigest()


def source_digest(*names: str) -> str:
    """Digest of some source files of the package, such as ``"data/dataset.py"``."""
    return digest(*[Path(__file__).parent / name for name in names])

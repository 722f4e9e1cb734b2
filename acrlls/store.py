"""Where things are kept, and how: the folder, locks, digests, files written as a whole."""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from acrlls.config import PROJECT, UserError, environment_path

MANIFEST = "manifest.json"

_log = logging.getLogger(__name__)
_read: dict[Path, tuple] = {}  # files that this process has read: as they were then, their digest


class Damaged(UserError):
    """A file that is missing, or not as it was written."""


def store() -> Path:
    """Folder of runs, drawn phantoms and stored features: ``ACRLLS_STORE``, or ``runs/`` here."""
    folder = Path(environment_path("ACRLLS_STORE") or PROJECT / "runs")
    if not (there := nearest(folder)).is_dir():
        which = "which is" if there == folder else f"but {there} is"
        raise UserError(f"ACRLLS_STORE is {str(folder)!r}, {which} no folder")
    if (data := environment_path("ACRLLS_DATA")) and Path(data) in folder.parents:
        raise UserError(f"the store {folder} lies in ACRLLS_DATA, where it would be a class")
    return folder


def nearest(folder: Path) -> Path:
    """The folder, or else the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if os.path.exists(place))


@contextlib.contextmanager
def writing(file: Path) -> Iterator[BinaryIO]:
    """A handle to write ``file`` by: aside and renamed, so that no reader sees half of it."""
    aside = file.with_name(f"{file.name}.{os.getpid()}.aside")
    with disk_told(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())  # a name is not to outlive what it names, at a power cut
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)


@contextlib.contextmanager
def disk_told(what: Path) -> Iterator[None]:
    """Turn an error of the disk while ``what`` is written into a message for the user."""
    try:
        yield
    except OSError as error:
        ways = ["free space there", "name another place"]
        if store() in (what, *what.parents):
            ways = ["free space with `acrlls cache`", "set ACRLLS_STORE to another folder"]
        how = ", or ".join(ways[error.errno != errno.ENOSPC :])
        file = isinstance(error, FileExistsError)  # where there should be a folder
        why = f"{error.filename} is no folder" if file else error.strerror or error
        raise UserError(f"{what} cannot be written: {why}; {how}") from error


def require_writable(folder: Path) -> None:
    """A ``UserError`` where no file could be written into a folder, or into one made there."""
    folder = folder.absolute()
    if not (there := nearest(folder)).is_dir():
        raise UserError(f"{folder} cannot be a folder: {there} is a file")
    if not os.access(there, os.W_OK):
        raise UserError(f"{folder} cannot be written: {there} is read-only")


def write_text(file: Path, text: str) -> None:
    """Write a text file as a whole (:func:`writing`)."""
    with writing(file) as handle:
        handle.write(text.encode())


@contextlib.contextmanager
def damage_told(file: Path, then: str = "") -> Iterator[None]:
    """Turn an error from reading a file into :class:`Damaged`, whose message ends with ``then``."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # NumPy, pandas, gzip and JSON each pass on their own
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise Damaged(f"{file} is missing{then}") from error
        # a disk that cannot be read: what it holds is not to be made again
        if getattr(error, "errno", None) and not isinstance(error, IsADirectoryError):
            raise UserError(f"{file} cannot be read: {error.strerror}") from error
        raise Damaged(f"{file} is damaged ({type(error).__name__}: {error}){then}") from error


def kept(file: Path, read: Callable[[], Any], make: Callable[[], Any]) -> Any:
    """What ``read`` gives of a file, or ``make``, which writes it, if it is missing or damaged."""
    with contextlib.suppress(Damaged), damage_told(file):
        return read()
    with locked(file.with_suffix(".lock")):
        try:
            with damage_told(file):
                return read()  # another process made it meanwhile
        except Damaged as found:
            if file.exists():
                _log.warning("%s; it is made again", found)
                with disk_told(file):
                    remove(file)
        return make()


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; an empty one where it cannot be read or holds something else."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(file.read_text("utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


@contextlib.contextmanager
def locked(file: Path, wait: bool = True, shared: bool = False) -> Iterator[bool]:
    """Let one living process at a time make what belongs to ``file``, or all that ask for it
    ``shared``; gives whether it is ours.
    """
    try:
        import fcntl
    except ImportError:  # Windows: two processes at once may do the same work twice
        yield True
        return
    with disk_told(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = file.open("w")
    with handle:
        try:
            how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(handle, how | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def files_below(folder: Path) -> list[Path]:
    """All that is no folder below a folder, by links too, without caches and hidden files."""
    found, seen = [], set()
    for top, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [n for n in folders if n != "__pycache__" and not n.startswith(".")]
        if os.path.realpath(top) in seen:
            folders.clear()  # a link that leads back to where it stands would never end
            continue
        seen.add(os.path.realpath(top))
        found += [Path(top, name) for name in names if not name.startswith(".")]
    return sorted(found)


def digest(*parts: Any) -> str:
    """Short hexadecimal digest of JSON-serialisable values, paths (their contents) and bytes."""
    h = hashlib.blake2b(digest_size=10)
    for part in parts:
        if isinstance(part, Path):
            part = part.read_bytes()
        if not isinstance(part, bytes):
            part = json.dumps(part, sort_keys=True, default=str).encode()
        h.update(part)
        h.update(b"\0")
    return h.hexdigest()


def stamp(file: Path) -> tuple[int, ...]:
    """What changes with a file, also when one of its size and time takes its place."""
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def file_digest(file: Path) -> str:
    """SHA-256 of a file, which this process reads again only after it has changed on the disk."""
    if file not in _read or _read[file][0] != stamp(file):
        with file.open("rb") as handle:
            _read[file] = stamp(file), hashlib.file_digest(handle, "sha256").hexdigest()
    return _read[file][1]


def seal(folder: Path, note: dict, files: Iterable[Path] | None = None, name=MANIFEST) -> None:
    """Write a note with the digest of each of some files beside it, or of all that is there."""
    (folder / name).unlink(missing_ok=True)
    files = sorted(folder.iterdir() if files is None else files)
    note = {**note, "files": {file.name: file_digest(file) for file in files}}
    write_text(folder / name, json.dumps({**note, "seal": digest(note)}, indent=1))


def damage(folder: Path, name: str = MANIFEST, among: Iterable[str] = ()) -> str | None:
    """What is wrong with a sealed note or its files, or some ``among`` them; ``None``: nothing."""
    note = read_json(folder / name)
    if note.pop("seal", None) != digest(note):
        return f"{name} was edited or is missing"
    for file, sealed in note.get("files", {}).items():
        if among and file not in among:
            continue
        try:
            if file_digest(folder / file) != sealed:
                return f"{file} was edited"
        except OSError:
            return f"{file} is missing"
    return None


def source_digest(*names: str) -> str:
    """Digest of source files of the package: ``"data/split.py"``, or all of ``"data"``."""
    home = Path(__file__).parent
    files = [sorted((home / n).glob("*.py")) if (home / n).is_dir() else [home / n] for n in names]
    return digest(*sum(files, []))

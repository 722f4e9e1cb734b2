"""Whether a kept run is what was trained, by a digest of every file in its manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from acrlls.store import digest, write_text

_FILE = "manifest.json"
_read: dict[Path, list] = {}  # files whose contents this process has compared, as they were then


def seal(folder: Path, manifest: dict) -> None:
    """Write the manifest of a finished run, with size and SHA-256 of each file beside it."""
    files = {file.name: file for file in sorted(folder.iterdir()) if file.name != _FILE}
    manifest = {**manifest, "files": {n: [f.stat().st_size, _sha256(f)] for n, f in files.items()}}
    write_text(folder / _FILE, json.dumps({**manifest, "seal": digest(manifest)}, indent=1))


def damage(folder: Path) -> str | None:
    """What is wrong with a kept run; ``None`` if it is whole.

    Sizes are compared every time, contents again only after a file has changed on the disk.
    """
    try:
        manifest = json.loads((folder / _FILE).read_text())
        if manifest.pop("seal") != digest(manifest):
            return f"{_FILE} was edited"
        stats = {name: (folder / name).stat() for name in manifest["files"]}
        state = [(s.st_mtime_ns, s.st_size, s.st_ino) for s in stats.values()]
        for name, (size, sha256) in manifest["files"].items():
            if stats[name].st_size != size:
                return f"{name} has another size"
            if _read.get(folder) != state and _sha256(folder / name) != sha256:
                return f"{name} was edited"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{_FILE} cannot be read"
    _read[folder] = state
    return None


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

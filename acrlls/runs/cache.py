"""What the store holds, listed, checked and cleared: features, runs, cut-off runs, phantoms."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from acrlls.config import UserError
from acrlls.runs.sealed import damage
from acrlls.store import disk_told, locked, store
from acrlls.training import LIMIT_VARIABLE, ChunkedArray, bank_folder, limit, readable, used

KINDS = ("features", "unfinished", "phantom", "runs")
CHECKED = ("features", "runs")  # what has digests
CLEARED_BY_DEFAULT = ("features",)  # made again without loss; a run takes hours


@dataclass(frozen=True)
class Entry:
    """One thing in the store.

    Attributes:
        kind: one of :data:`KINDS`.
        name: by which it is chosen; unique.
        path: file or folder.
        what: what it is and for which settings.
        size: bytes.
        changed: when it was last written to.
    """

    kind: str
    name: str
    path: Path
    what: str
    size: int
    changed: datetime

    def delete(self) -> bool:
        """Delete it; ``False`` where another process is making it.

        Raises:
            UserError: it may not be deleted.
        """
        features = self.kind == "features"
        lock = self.path.parent / "lock" if features else self.path.with_suffix(".lock")
        with locked(lock, wait=False) as had, disk_told(self.path):
            if not had:
                return False
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.path) if self.path.is_dir() else self.path.unlink()
        with contextlib.suppress(OSError):  # the key's folder too, when its last layer goes
            if features and list(self.path.parent.iterdir()) == [lock]:
                shutil.rmtree(self.path.parent)
        return True


def entries(chosen: Sequence[str] = ()) -> list[Entry]:
    """Everything in the store, by kind and time.

    Args:
        chosen: kinds, or names or their beginnings, each of one thing; empty for all.

    Raises:
        UserError: a choice fits nothing, or several things.
    """
    files = (store() / "phantom").glob("*.npz")
    drawn = [_entry("phantom", file, "drawn phantoms") for file in files]
    found = [*_features(), *_runs(), *drawn]
    found.sort(key=lambda e: (KINDS.index(e.kind), e.changed))
    picked = set()
    for choice in chosen:
        fitting = [e for e in found if e.kind == choice or (choice and e.name.startswith(choice))]
        if choice not in KINDS and len({e.name.split("/")[0] for e in fitting}) != 1:
            problem = f"begins {len(fitting)} names" if fitting else "is nothing"
            raise UserError(
                f"{choice!r} {problem} in {store()}; `acrlls cache` lists what is there; kinds: "
                f"{', '.join(KINDS)}"
            )
        picked.update(e.name for e in fitting)
    return [e for e in found if not chosen or e.name in picked]


def damaged(entry: Entry) -> list[str]:
    """What is not as it was written: files of stored features, by name, or what is wrong with a
    kept run.
    """
    if entry.kind == "runs":
        return [problem] if (problem := damage(entry.path)) else []
    bad = []
    for note_file in sorted(entry.path.glob("*.json")):
        array = _array(note_file)
        if array is None or array.missing():
            bad.append(note_file.stem)
    return bad


def _array(note_file: Path) -> ChunkedArray | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(note_file.read_text())
        return ChunkedArray(note_file.with_suffix(".npy"), note["shape"], note["dtype"])
    return None


def _features() -> list[Entry]:
    found = []
    for folder in bank_folder().glob("*/*/"):
        notes = [note for file in sorted(folder.glob("*.json")) if (note := _read(file))]
        what = f"{folder.name}, {len(notes)} files"
        if notes:
            note = notes[0]
            shape = " x ".join(map(str, note["shape"][1:]))
            engines = ", ".join(sorted({engine for n in notes for engine in n["engines"]}))
            views = sum("-view-" in f.stem for f in folder.glob("*.json"))
            which = f"{views} views" if views else "plain images"
            what = f"{folder.name} ({shape}, {note['dtype']}), {which}, by {engines}; "
            what += _settings(note["settings"])
        found.append(_entry("features", folder, what, f"{folder.parent.name}/{folder.name}"))
    return found


def _runs() -> list[Entry]:
    found = []
    for folder in store().glob("*/"):
        if re.fullmatch(r"[0-9a-f]{10,}(\.partial)?", folder.name):
            config = _read(folder / "config.json") or {}
            told = ("variant", "profile", "data", "seed", "alpha", "tau")
            told += ("phase1_epochs", "phase2_epochs")
            kind = "unfinished" if folder.suffix else "runs"
            found.append(_entry(kind, folder, _settings({k: config.get(k) for k in told})))
    return found


def _settings(values: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _entry(kind: str, path: Path, what: str, name: str | None = None) -> Entry:
    files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
    size = used(path) if path.is_dir() else path.stat().st_size
    changed = max((f.stat().st_mtime for f in files), default=path.stat().st_mtime)
    return Entry(kind, name or path.name, path, what, size, datetime.fromtimestamp(changed))


def _read(file: Path) -> dict | None:
    with contextlib.suppress(OSError, ValueError):
        return json.loads(file.read_text())
    return None


def go_through(found: Sequence[Entry], check: bool, clear: bool) -> int:
    """Print some entries, check them against their digests, or delete them.

    Returns:
        1 if something is not whole, or could not be deleted; else 0.
    """
    status, gone = 0, []
    for entry in found:
        print(f"{entry.kind:<10} {readable(entry.size):>8}  {entry.changed:%Y-%m-%d %H:%M}", end="")
        print(f"  {entry.name}\n{'':<10} {entry.what}")
        if check and entry.kind in CHECKED:
            bad = ", ".join(damaged(entry))
            status = 1 if bad else status
            print(" " * 10, f"not whole: {bad}; made again when asked for" if bad else "whole")
        if clear and not entry.delete():
            status = 1
            print(" " * 10, "left as it is: another process is making it")
        else:
            gone.append(entry)
    total = readable(sum(entry.size for entry in gone))
    print(f"{len(gone)} entries, {total}, {'deleted from' if clear else 'in'} {store()}")
    if not clear:
        print(f"stored features may take {readable(limit())} together ({LIMIT_VARIABLE})")
    return status

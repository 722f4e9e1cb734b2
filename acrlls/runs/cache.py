"""What the store holds, listed and cleared: features, runs, cut-off runs, phantoms."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from acrlls.config import UserError
from acrlls.store import damage, disk_told, locked, read_json, remove, store
from acrlls.training import LIMIT_VARIABLE, bank_folder, limit, readable, used

KINDS = ("features", "unfinished", "phantom", "runs")
CLEARED_BY_DEFAULT = ("features",)  # made again without loss; a run takes hours
_TOLD = ("variant", "profile", "data", "seed", "alpha", "tau", "phase1_epochs", "phase2_epochs")


@dataclass(frozen=True)
class Entry:
    """A folder or file in the store: its kind, one of :data:`KINDS`, and the name to choose it."""

    kind: str
    name: str
    path: Path

    @property
    def size(self) -> int:
        return used(self.path)

    @property
    def changed(self) -> datetime:
        return datetime.fromtimestamp(self.path.lstat().st_mtime)  # also of a dead link

    @property
    def what(self) -> str:
        """What it is and for which settings."""
        if self.kind == "phantom":
            return "drawn phantoms"
        if self.kind == "features":
            notes = [read_json(file) for file in sorted(self.path.glob("*.json"))]
            note = {"settings": {}, **(notes[0] if notes else {})}
            start = f"{len(notes)} files by {note.get('engine')}; "
            return start + ", ".join(f"{k} {v}" for k, v in note["settings"].items())
        config = read_json(self.path / "config.json")
        return ", ".join(f"{name} {config.get(name)}" for name in _TOLD)

    def damage(self) -> str | None:
        """What is not as it was written, of what has digests; made again when it is asked for."""
        if self.kind == "features":
            notes = self.path.glob("*.json")
            return ", ".join(n.stem for n in notes if damage(self.path, n.name)) or None
        return damage(self.path) if self.kind == "runs" else None

    def delete(self) -> bool:
        """Delete it; ``False`` where another process is making it."""
        features = self.kind == "features"
        lock = self.path.parent / "lock" if features else self.path.with_suffix(".lock")
        with locked(lock, wait=False) as had, disk_told(self.path):
            if not had:
                return False
            remove(self.path)
        with contextlib.suppress(OSError):  # the key's folder too, when its last layer goes
            if features and all(p.name.startswith("lock") for p in self.path.parent.iterdir()):
                remove(self.path.parent)
        return True


def entries(chosen: Sequence[str] = ()) -> list[Entry]:
    """Everything in the store, by kind and time, or what kinds and beginnings of names choose; a
    ``UserError`` where a choice fits nothing, or several things.
    """
    bank = bank_folder()
    stored = [*bank.glob("*/*"), *(path for path in bank.glob("*") if not path.is_dir())]
    stored = [path for path in stored if not path.name.startswith("lock")]
    found = [Entry("features", path.relative_to(bank).as_posix(), path) for path in stored]
    for path in store().glob("*"):
        if re.fullmatch(r"[0-9a-f]{10,}(\.partial)?", path.name):
            found.append(Entry("unfinished" if path.suffix else "runs", path.name, path))
    drawn = [p for kind in ("npz", "files") for p in (store() / "phantom").glob(f"*.{kind}")]
    found += [Entry("phantom", path.name, path) for path in drawn]
    found.sort(key=lambda e: (KINDS.index(e.kind), e.changed))
    picked = set()
    for choice in chosen:
        fitting = [e for e in found if e.kind == choice or (choice and e.name.startswith(choice))]
        if choice not in KINDS and len({e.name.split("/")[0] for e in fitting}) != 1:
            problem = f"begins {len(fitting)} names" if fitting else "is nothing"
            how = f"`acrlls cache` lists what is there; kinds: {', '.join(KINDS)}"
            raise UserError(f"{choice!r} {problem} in {store()}; {how}")
        picked.update(fitting)
    return [e for e in found if not chosen or e in picked]


def go_through(found: Sequence[Entry], clear: bool, check: bool = False) -> int:
    """Print entries, check or delete them if asked to; 1 if one is damaged or stayed, else 0."""
    gone, total, bad = 0, 0, 0
    for entry in found:
        size = entry.size
        print(f"{entry.kind:<10} {readable(size):>8}  {entry.changed:%Y-%m-%d %H:%M}", end="")
        print(f"  {entry.name}\n{'':<10} {entry.what}")
        if check and (wrong := entry.damage()):
            bad += 1
            print(" " * 10, f"not as it was written: {wrong}; made again when it is asked for")
        if clear and not entry.delete():
            print(" " * 10, "left as it is: another process is making it")
        else:
            gone, total = gone + 1, total + size
    print(f"{gone} entries, {readable(total)}, {'deleted from' if clear else 'in'} {store()}")
    if not clear:
        print(f"stored features may take {readable(limit())} together ({LIMIT_VARIABLE})")
    return int(bad > 0 or gone < len(found))

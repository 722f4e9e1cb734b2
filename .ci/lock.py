"""Lock every package that the requirements bring along, on every platform, with the digests of its
files, and name its licence.  Needs uv and the package index; run it when a version changes.

    python .ci/lock.py          requirements.lock, book/licences.csv
"""

import csv
import importlib.metadata
import re
import subprocess
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LOCK = PROJECT / "requirements.lock"


def lock() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for file in [*PROJECT.glob("requirements*.txt"), PROJECT / "constraints.txt"]:
            lines = file.read_text().splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith("-e")]  # has no digest
            Path(folder, file.name).write_text("".join(kept))
        how = "--universal --python-version 3.11.5 --generate-hashes --no-annotate --no-header"
        how = [*how.split(), "--index-strategy", "unsafe-best-match", "--quiet"]
        command = ["uv", "pip", "compile", *how, "-o", str(LOCK), "requirements-test.txt"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def locked() -> dict[str, str]:
    """Version by name of all that is locked."""
    return dict(re.findall(r"^([\w.-]+)==([\w.+]+)", LOCK.read_text(), re.M))


def licence(name: str, version: str) -> str:
    """What a package says of its licence: an expression, its classifiers, or a line of text."""
    try:
        told = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:  # of another platform
        with tempfile.TemporaryDirectory() as folder:
            how = ["--no-deps", "--only-binary=:all:", "--python-version=3.12", "-q", "-d", folder]
            wanted = ["pip", "download", *how, f"{name}=={version}"]
            subprocess.run(["python", "-m", *wanted], check=True)
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                file = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
                told = HeaderParser().parsestr(wheel.read(file).decode())
    classes = [c.split(" :: ") for c in told.get_all("Classifier") or []]
    classified = "; ".join(c[-1] for c in classes if c[0] == "License" and len(c) > 2)
    first = (told.get("License") or "").strip().split("\n")[0]
    return told.get("License-Expression") or classified or first or "not declared"


def main() -> None:
    lock()
    with (PROJECT / "book" / "licences.csv").open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(["package", "version", "licence"])
        for name, version in locked().items():
            write([name, version, licence(name, version)])


if __name__ == "__main__":
    main()

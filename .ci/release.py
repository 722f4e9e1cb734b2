"""What a release adds to the built book: a manifest and an archive of the pages, notebooks for
Colab, and the description of the recorded runs as an RO-Crate.

    python .ci/release.py pages TAG      manifest.json among the pages; archive and digest in dist/
    python .ci/release.py colab TAG      the notebooks, each with a cell that fetches the project
    python .ci/release.py crate          results/ro-crate-metadata.json
    python .ci/release.py reproduce      the table in REPRODUCE.md, from the recorded runs
"""

import gzip
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import nbformat
import yaml

from acrlls.backend import versions
from acrlls.config import PROJECT
from acrlls.runs import tuning
from acrlls.tables import repeat

HTML = PROJECT / "book" / "_build" / "html"


def manifest(html: Path, tag: str, commit: str) -> dict:
    """What was built, from what, with what, and the SHA-256 of every file of the pages."""
    files = sorted(f for f in html.rglob("*") if f.is_file() and f.name != "manifest.json")
    return {
        "tag": tag,
        "commit": commit,
        "profile": os.environ.get("ACRLLS_PROFILE") or "quick",
        "data": Path(os.environ.get("ACRLLS_DATA") or "phantom").name,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions(),
        "status": "sections/status.html",
        "files": {f.relative_to(html).as_posix(): _sha256(f) for f in files},
    }


def archive(html: Path, file: Path) -> str:
    """Pack the pages, the same bytes for the same pages, and return the archive's SHA-256."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = entry.uid = entry.gid = 0
        entry.uname, entry.gname, entry.mode = "", "", 0o644
        return entry

    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        file.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for page in sorted(f for f in html.rglob("*") if f.is_file()):
            tar.add(page, f"{file.name.split('.tar')[0]}/{page.relative_to(html)}", filter=plain)
    return _sha256(file)


def fetching(notebook, tag: str, url: str):
    """A notebook for a machine with TensorFlow and Jupyter and nothing of the project, as Colab."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = project["dependencies"] + project["optional-dependencies"]["keras"]
    wanted = " ".join(f'"{name}"' for name in needed if not name.startswith("tensorflow"))
    lines = (
        "# Fetches the project as released; what is installed already stays.",
        f"!git clone --quiet --depth 1 --branch {tag} {url} acrlls-{tag}",
        f"%cd acrlls-{tag}",
        f"%pip install --quiet {wanted}",
    )
    cell = nbformat.v4.new_code_cell("\n".join(lines), id="fetch")
    place = next(k for k, c in enumerate(notebook.cells) if c.cell_type == "code")
    notebook.cells.insert(place, cell)
    return notebook


def crate(results: Path) -> dict:
    """RO-Crate 1.1 metadata of the recorded runs and studies: a dataset for each folder, and each
    file of which no run's manifest has a digest, with its SHA-256."""
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text("utf-8"))
    folders = sorted(f for f in results.iterdir() if f.is_dir() and f.name != "__pycache__")
    parts = [{"@id": "README.md", "@type": "File", "encodingFormat": "text/markdown"}]
    for folder in folders:
        runs = sorted(f.parent.name for f in folder.glob("*/manifest.json"))
        what = f"recorded runs: {', '.join(runs)}" if runs else "a recorded study"
        parts.append({"@id": f"{folder.name}/", "@type": "Dataset", "name": folder.name})
        parts[-1]["description"] = f"{what}; README.md says how it was made"
    parts += [
        {"@id": f.relative_to(results).as_posix(), "@type": "File", "sha256": _sha256(f)}
        for f in sorted(results.rglob("*.csv*"))
        if f.name not in _sealed(f.parent)
    ]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Recorded runs of {cited['title']}",
        "description": "Settings, histories and logits of trained networks; no images, no weights.",
        "license": {"@id": "https://spdx.org/licenses/MIT"},
        "datePublished": str(cited["date-released"]),
        "version": cited["version"],
        "hasPart": [{"@id": part["@id"]} for part in parts],
    }
    described = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    graph = [described, root, *parts]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def reproduce(text: str) -> str:
    """REPRODUCE.md with the table of Section 17 as the recorded runs have it now."""
    table = repeat.commands(repeat.recorded_twice(), tuning())
    return re.sub(r"^\| Item.*\|$", lambda _: table, text, flags=re.DOTALL | re.MULTILINE)


def _sealed(folder: Path) -> set[str]:
    """The files of which a run's manifest has the digest; none where the folder holds no run."""
    file = folder / "manifest.json"
    return set(json.loads(file.read_text("utf-8")).get("files", ())) if file.is_file() else set()


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _write(file: Path, value: dict) -> None:
    file.write_text(json.dumps(value, indent=1) + "\n", "utf-8")


def main(what: str, tag: str = "") -> None:
    dist = PROJECT / "dist"
    if what == "crate":
        _write(PROJECT / "results" / "ro-crate-metadata.json", crate(PROJECT / "results"))
    elif what == "reproduce":
        file = PROJECT / "REPRODUCE.md"
        file.write_text(reproduce(file.read_text("utf-8")), "utf-8")
    elif what == "colab":
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        url = f"{server}/{os.environ['GITHUB_REPOSITORY']}.git"
        (dist / "colab" / tag).mkdir(parents=True, exist_ok=True)
        folders = PROJECT / "notebooks", PROJECT / "exercises"
        for path in sorted(f for folder in folders for f in folder.glob("[0-9][0-9]_*.ipynb")):
            notebook = fetching(nbformat.read(path, as_version=4), tag, url)
            nbformat.write(notebook, dist / "colab" / tag / path.name)
    elif what == "pages":
        commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=PROJECT, text=True)
        _write(HTML / "manifest.json", manifest(HTML, tag, commit.strip()))
        file = dist / f"acrlls-book-{tag}.tar.gz"
        file.with_name(f"{file.name}.sha256").write_text(f"{archive(HTML, file)}  {file.name}\n")
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])

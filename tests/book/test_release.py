"""What a release adds to the built book, and the documents that describe the project."""

import csv
import hashlib
import importlib.util
import json
import re
import subprocess
import tarfile

import nbformat
import pytest
import yaml

from acrlls.config import PROJECT

_spec = importlib.util.spec_from_file_location("release", PROJECT / ".ci" / "release.py")
release = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(release)


@pytest.fixture
def html(tmp_path):
    (tmp_path / "html" / "sections").mkdir(parents=True)
    (tmp_path / "html" / "index.html").write_text("front")
    (tmp_path / "html" / "sections" / "status.html").write_text("status")
    return tmp_path / "html"


def test_the_manifest_has_a_digest_of_every_file_but_itself(html, monkeypatch):
    monkeypatch.setenv("ACRLLS_DATA", "/home/someone/images")
    found = release.manifest(html, "v1", "abc")
    (html / "manifest.json").write_text(json.dumps(found))
    assert release.manifest(html, "v1", "abc") == found
    assert set(found["files"]) == {"index.html", "sections/status.html"}
    assert found["files"]["index.html"] == hashlib.sha256(b"front").hexdigest()
    assert found["status"] in found["files"] and "keras" in found["versions"]
    assert (found["profile"], found["data"]) == ("quick", "images")  # no path of the machine
    (html / "index.html").write_text("other")
    assert release.manifest(html, "v1", "abc")["files"] != found["files"]


def test_the_same_pages_give_the_same_archive(html, tmp_path):
    first = release.archive(html, tmp_path / "a" / "book.tar.gz")
    (html / "index.html").touch()
    assert release.archive(html, tmp_path / "b" / "book.tar.gz") == first
    with tarfile.open(tmp_path / "b" / "book.tar.gz") as tar:
        assert tar.getnames() == ["book/index.html", "book/sections/status.html"]
        assert tar.extractfile("book/index.html").read() == b"front"
    (html / "index.html").write_text("other")
    assert release.archive(html, tmp_path / "b" / "book.tar.gz") != first


@pytest.mark.parametrize("file", ["notebooks/06_calibration", "exercises/09_ece_by_hand"])
def test_a_notebook_for_colab_fetches_the_tag_before_its_own_first_cell(file):
    notebook = nbformat.read(PROJECT / f"{file}.ipynb", as_version=4)
    own = [c.source for c in notebook.cells if c.cell_type == "code"]
    made = release.fetching(notebook, "v1", "https://example.org/a/b.git")
    nbformat.validate(made)
    first, *rest = [c.source for c in made.cells if c.cell_type == "code"]
    assert rest == own
    assert "--branch v1 https://example.org/a/b.git" in first and '"keras>=' in first
    assert "tensorflow" not in first  # Colab's own stays


def test_the_crate_of_the_recorded_runs_is_current_and_complete():
    file = PROJECT / "results" / "ro-crate-metadata.json"
    kept = json.loads(file.read_text("utf-8"))
    assert kept == release.crate(PROJECT / "results"), "python .ci/release.py crate"
    root = next(node for node in kept["@graph"] if node["@id"] == "./")
    listed = {part["@id"] for part in root["hasPart"]}
    tracked = subprocess.check_output(["git", "ls-files", "results"], cwd=PROJECT, text=True)
    folders = {f"{line.split('/')[1]}/" for line in tracked.splitlines() if line.count("/") > 1}
    assert folders <= listed
    digests = {node["@id"]: node["sha256"] for node in kept["@graph"] if "sha256" in node}
    for line in tracked.splitlines():
        file = PROJECT / line
        if ".csv" in file.name:  # by its run's manifest, or else by the crate
            manifest = file.with_name("manifest.json")
            named = json.loads(manifest.read_text()) if manifest.is_file() else {}
            digest = named.get("files", {}).get(file.name) or digests[line.removeprefix("results/")]
            assert digest == hashlib.sha256(file.read_bytes()).hexdigest(), line


def test_the_list_of_commands_is_that_of_the_recorded_runs():
    text = (PROJECT / "REPRODUCE.md").read_text("utf-8")
    assert text == release.reproduce(text), "python .ci/release.py reproduce"
    assert text.count("\n| ") == 10 and "| Table I |" in text and "| Fig. 3 |" in text


def test_citation_archive_and_package_agree():
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text("utf-8"))
    zenodo = json.loads((PROJECT / ".zenodo.json").read_text("utf-8"))
    from acrlls import __version__

    assert cited["version"] == __version__ == zenodo["version"]
    assert cited["title"] == zenodo["title"] and cited["license"] == zenodo["license"]
    assert [a["name"] for a in cited["authors"]] == [c["name"] for c in zenodo["creators"]]
    assert cited["abstract"].strip() in zenodo["description"]


def test_the_lock_has_a_digest_and_a_licence_for_each_pinned_version():
    pinned = {}
    for file in (*PROJECT.glob("requirements*.txt"), PROJECT / "constraints.txt"):
        pinned |= dict(re.findall(r"^([\w.-]+)==([\w.]+)", file.read_text(), re.M))
    blocks = re.split(r"\n(?=\w)", (PROJECT / "requirements.lock").read_text())
    locked = dict(re.match(r"([\w.-]+)==([\w.]+)", block).groups() for block in blocks)
    assert all("--hash=sha256:" in block for block in blocks)
    plain = {name.lower().replace("_", "-"): version for name, version in pinned.items()}
    assert plain.items() <= locked.items()
    with (PROJECT / "book" / "licences.csv").open() as file:
        told = {row["package"]: row for row in csv.DictReader(file)}
    assert {name: row["version"] for name, row in told.items()} == locked
    assert all(row["licence"] not in ("", "not declared") for row in told.values())

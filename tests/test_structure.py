"""The shape of the package: rooms with doors, imports in one direction, files that can be read."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from acrlls.config import PROJECT

PACKAGE = PROJECT / "acrlls"
FILES = sorted(PACKAGE.rglob("*.py"))
# A room may import from its own row and from rows above it.
ROWS = (
    {"backend", "calibration", "config", "store"},
    {"data", "figures", "method", "paper", "phantom"},
    {"training"},
    {"runs"},
    {"ledger", "tables"},
    {"book"},
    {"cli", "doctor"},
)
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path):
    """(module, names) of everything that a file imports of the package."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "acrlls":
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((a.name, []) for a in node.names if a.name.split(".")[0] == "acrlls")


def rooms_imported(path: Path) -> set[str]:
    found = set()
    for module, names in imported(path):
        found |= {module.split(".")[1]} if "." in module else {n for n in names if n in known()}
    return found - {room(path)}


def known() -> set[str]:
    return set().union(*ROWS)


def test_every_module_and_room_at_the_top_has_its_row():
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert modules | set(ROOMS) == known()
    assert len(known()) <= 17


@each_file
def test_imports_go_one_way(path):
    if path.parent == PACKAGE and path.stem == "__init__":
        return  # the lazy door knows all rooms
    row = next(k for k, names in enumerate(ROWS) if room(path) in names)
    allowed = set().union(*ROWS[: row + 1])
    allowed = {"calibration": set(), "figures": {"calibration"}}.get(room(path), allowed)
    assert rooms_imported(path) <= allowed


def test_no_two_rooms_import_each_other():
    graph = {name: set() for name in known()}
    for path in FILES:
        if path != PACKAGE / "__init__.py":
            graph[room(path)] |= rooms_imported(path)
    while free := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in free:
            del graph[name]
    assert not graph


@each_file
def test_other_rooms_are_entered_by_their_doors(path):
    """The door is the room's ``__init__``; of ``tables``, each module is one."""
    for module, names in imported(path):
        parts = module.split(".")[1:]
        if not parts or parts[0] not in ROOMS or parts[0] in (room(path), "tables"):
            continue
        inside = {file.stem for file in (PACKAGE / parts[0]).glob("*.py")}
        public = set(importlib.import_module(f"acrlls.{parts[0]}").__all__)
        assert len(parts) == 1 and not (set(names) & inside) - public, f"{module}: {names}"


@each_file
def test_files_and_functions_can_be_read(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < 50, node.name


def test_calibration_alone_loads_no_keras_and_nothing_else_of_the_package():
    code = "import sys, acrlls.calibration; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    slow = {"keras", "tensorflow", "jax", "torch", "yaml", "matplotlib", "pandas", "sklearn"}
    assert not loaded & slow
    own = {name.split(".")[1] for name in loaded if name.startswith("acrlls.")}
    assert own == {"calibration"}


def test_the_readme_names_each_room():
    text = (PROJECT / "README.md").read_text("utf-8").split("## How it is laid out")[1]
    block = re.search(r"\n    acrlls/.*?\n((?:      .*\n)+)", text).group(1)
    named = re.findall(r"(?<= )(\w+)(?:\.py|/)", block)
    assert sorted(named) == sorted(known())


def test_what_the_package_needs_is_pinned_for_the_book():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["keras"], *extras["book"]]
    names = {re.match(r"[\w.-]+", line).group() for line in needed} - {"acrlls"}
    pinned = re.findall(r"^([\w.-]+)==", (PROJECT / "requirements.txt").read_text("utf-8"), re.M)
    assert names == set(pinned)

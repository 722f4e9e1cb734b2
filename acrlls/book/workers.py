"""Execute the stale sections of the book, several at once, each in a kernel of its own."""

import datetime
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from acrlls.book.sections import Section, SectionFailed, execute
from acrlls.config import UserError
from acrlls.store import locked

VARIABLE = "ACRLLS_JOBS"
_MOST = 3  # by default: a kernel takes one to two gigabytes
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """A section to execute at ``aside`` and then to move into ``folder``, marked with ``state``."""

    section: Section
    parameters: dict[str, Any]
    state: str
    aside: Path
    folder: Path


def jobs() -> int:
    """How many sections are executed at once: ``ACRLLS_JOBS``, or one a core, at most three."""
    text = os.environ.get(VARIABLE)
    if not text:
        return min(os.cpu_count() or 1, _MOST)
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{VARIABLE} is {text!r}; it must be a whole number of sections, 1 or more")
    return int(text)


def bring_all(tasks: list[Task], at_once: int) -> Iterator[tuple[Task, Any]]:
    """Begin the tasks in their order and give each, when it is done, with its executed notebook or
    the report of its failure; where the caller stops asking, what still runs is ended.
    """
    how = {"return_as": "generator_unordered", "batch_size": 1, "pre_dispatch": "n_jobs"}
    yield from Parallel(at_once, **how)(delayed(_bring)(task, at_once) for task in tasks)


def fresh(path: Path, state: str):
    """An executed notebook that carries a state's mark, or None where there is none."""
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        return None
    return notebook if notebook.metadata.get("acrlls", {}).get("state") == state else None


def _bring(task: Task, at_once: int):
    """The section as the book has it, brought there if need be."""
    # a worker outlives a build that is killed: what it leaves is waited for, and taken if fresh
    with locked(task.aside.with_suffix(".lock")):
        done = fresh(task.folder / task.section.path.name, task.state)
        return (task, done) if done else _execute(task, at_once)


def _execute(task: Task, at_once: int):
    """Execute one section aside, tidy it and move it into the book."""
    import nbformat

    task.aside.unlink(missing_ok=True)  # left behind by a build that failed
    if at_once > 1:  # share the cores, and a GPU's memory, among the kernels
        for name in _THREADS:
            os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // at_once)))
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    started = time.monotonic()
    # In an empty folder, so that a section that needs a file beside it fails.
    with tempfile.TemporaryDirectory(prefix="acrlls-cwd-") as nowhere:
        where = {"cwd": Path(nowhere), "progress": False}
        try:
            notebook = execute(task.section, task.aside, task.parameters, **where)
        except SectionFailed as failure:
            return task, failure.report()
    # Papermill's notes hold paths of this machine; its injected cell is no part of the text.
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("remove-cell")
    notebook.metadata["acrlls"] = {
        "state": task.state,
        "seconds": round(time.monotonic() - started, 1),
        "finished": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    nbformat.write(notebook, task.aside)
    task.folder.mkdir(parents=True, exist_ok=True)
    task.aside.replace(task.folder / task.section.path.name)  # both lie in the book's folder
    return task, notebook

"""Execute the stale sections of the book, several at once, each in a kernel of its own.

A section mostly waits for small steps of training that keep one core busy, so two sections on two
cores take little more than one. What one trains the other takes from the store.
"""

from __future__ import annotations

import contextlib
import datetime
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acrlls.book.sections import Section, SectionFailed, execute
from acrlls.config import UserError

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


@dataclass(frozen=True)
class Outcome:
    """What came of a task: the executed notebook, or the failure in short and with its cell."""

    notebook: Any = None
    failure: str | None = None
    report: str | None = None


def jobs() -> int:
    """How many sections are executed at once: ``ACRLLS_JOBS``, or one a core, at most three.

    Raises:
        UserError: the variable does not hold a whole number above zero.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return min(os.cpu_count() or 1, _MOST)
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{VARIABLE} is {text!r}; it must be a whole number of sections, 1 or more")
    return int(text)


def bring_all(tasks: list[Task], keep_going: bool, at_once: int) -> Iterator[tuple[Task, Outcome]]:
    """Do the tasks in their order and give each with its outcome, under one progress bar of cells.

    After a failure nothing is begun and what runs is ended, unless ``keep_going``.
    """
    from tqdm.auto import tqdm

    # Started afresh: forking a process with threads, as Sphinx's and matplotlib's, can deadlock.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(at_once, spawn, initializer=_prepare, initargs=(at_once,))
    for task in tasks:  # left behind by a build that failed
        task.aside.unlink(missing_ok=True)
    total = sum(len(task.section.cells) for task in tasks)
    try:
        with tqdm(total=total, unit="cell", dynamic_ncols=True, disable=None) as bar:
            running = {pool.submit(_bring, task): task for task in tasks}
            waiting, finished = set(running), 0
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                finished += sum(len(running[future].section.cells) for future in done)
                begun = [running[future] for future in waiting if running[future].aside.exists()]
                bar.set_description(", ".join(task.section.slug for task in begun), refresh=False)
                bar.update(finished + sum(map(_cells_done, begun)) - bar.n)
                for future in done:
                    yield running[future], future.result()
                    if future.result().failure and not keep_going:
                        return
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():  # none, if all is done
            process.terminate()
        pool.shutdown()


def _prepare(at_once: int) -> None:
    """Share the cores, and a GPU's memory, among the kernels that this process will start."""
    if at_once > 1:
        for name in _THREADS:
            os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // at_once)))
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def _cells_done(task: Task) -> int:
    """Papermill writes the notebook after each cell, with its status."""
    with contextlib.suppress(OSError):
        return task.aside.read_text("utf-8", "replace").count('"status": "completed"')
    return 0


def _bring(task: Task) -> Outcome:
    """Execute one section aside, tidy it and move it into the book."""
    import nbformat

    started = time.monotonic()
    # In an empty folder, so that a section that needs a file beside it fails.
    with tempfile.TemporaryDirectory(prefix="acrlls-cwd-") as nowhere:
        try:
            notebook = execute(
                task.section, task.aside, task.parameters, cwd=Path(nowhere), progress=False
            )
        except SectionFailed as failure:
            return Outcome(failure=str(failure), report=failure.report())
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
    return Outcome(notebook)

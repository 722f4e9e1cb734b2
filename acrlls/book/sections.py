"""Sections: the notebooks, found, run through papermill, and told fresh from stale.

A section is *fresh* when its executed notebook carries the digest of everything that it was made from
(:func:`state`): the notebook, its parameters, every file of the package, the recorded results, the
environment's choices (``ACRLLS_PROFILE``, ``ACRLLS_DATA``, ``ACRLLS_ENGINE``, ``KERAS_BACKEND``), the files of
the data folder and the installed versions.
"""

from __future__ import annotations

import ast
import contextlib
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from acrlls.config import PROJECT, UserError
from acrlls.store import digest

NOTEBOOKS = PROJECT / "notebooks"
PACKAGES = (
    "keras", "tensorflow", "jax", "torch", "openvino", "numpy", "scipy", "pandas", "scikit-learn", "matplotlib",
    "pillow", "jupyter-book", "papermill",
)
ENVIRONMENT = ("ACRLLS_PROFILE", "ACRLLS_DATA", "ACRLLS_ENGINE", "KERAS_BACKEND")


class SectionFailed(Exception):
    """A cell raised.  ``str`` says where and what; :meth:`report` adds the cell and the traceback.

    Attributes:
        cell: number of the cell among all cells, from 1.
        is_user_error: whether the exception was a :class:`~acrlls.config.UserError`.
    """

    def __init__(self, section: str, cell: int, source: str, name: str, value: str, traceback: list[str]):
        self.cell, self.source, self.is_user_error = cell, source, name == "UserError"
        self.traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback)).rstrip()
        super().__init__(f"section {section} failed in cell {cell}: {name}: {value}".rstrip(": "))

    def report(self) -> str:
        """The failing cell, then the traceback as the kernel gave it."""
        indented = "\n".join(f"    {line}" for line in self.source.splitlines())
        return f"{self}\n\nThe cell:\n\n{indented}\n\n{self.traceback}\n"


@dataclass(frozen=True)
class Section:
    """One notebook of the book: ``06_calibration`` lies in ``<notebooks>/06_calibration.ipynb``."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def slug(self) -> str:
        """The name without its number: ``calibration``."""
        return re.sub(r"^\d+_", "", self.name)

    @cached_property
    def _notebook(self):
        import nbformat

        return nbformat.read(self.path, as_version=4)

    @property
    def title(self) -> str:
        """The first heading of the notebook, or its name where it has none."""
        text = "\n".join(cell.source for cell in self._notebook.cells if cell.cell_type == "markdown")
        heading = re.search(r"^#\s+(.+)$", text, flags=re.MULTILINE)
        return heading.group(1).strip() if heading else self.name

    @property
    def cells(self) -> int:
        """How many cells it has, of code and of text."""
        return len(self._notebook.cells)

    @property
    def parameters(self) -> dict[str, str]:
        """Names in the cell tagged ``parameters`` and their defaults as Python source."""
        found = {}
        for cell in self._notebook.cells:
            if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
                for line in ast.parse(cell.source).body:
                    if isinstance(line, (ast.Assign, ast.AnnAssign)) and line.value is not None:
                        target = line.target if isinstance(line, ast.AnnAssign) else line.targets[0]
                        found[ast.unparse(target)] = ast.unparse(line.value)
        return found


def all_sections(folder: Path | None = None) -> list[Section]:
    """All sections of the folder (default: the project's notebooks) in the order of their names.

    Raises:
        UserError: the folder has no notebooks, as where the package was installed without its project.
    """
    folder = folder or NOTEBOOKS
    found = [Section(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]
    if not found:
        raise UserError(
            f"no notebooks in {folder}; sections need a checkout of the project, `pip install -e .` in it"
        )
    return found


def execute(
    section: Section,
    output: Path,
    parameters: dict[str, Any] | None = None,
    *,
    cwd: Path | None = None,
    progress: dict | bool = True,
):
    """Run a section through papermill in this Python, whichever kernels the machine has registered.

    The executed notebook grows at ``output`` cell by cell and stays there when a cell fails.  The kernel
    imports the same ``acrlls`` as the caller, reads no IPython profile, and starts in ``cwd`` (default:
    here).

    Returns:
        The executed notebook (a ``nbformat`` node).

    Raises:
        SectionFailed: a cell raised.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="acrlls-") as scratch:
        try:
            return papermill.execute_notebook(
                section.path,
                output,
                parameters=parameters or {},
                kernel_name="python3",
                language="python",
                progress_bar=progress,
                start_timeout=300,
                cwd=cwd,
                kernel_manager_class=_kernel_manager(Path(scratch)),
            )
        except papermill.PapermillExecutionError as error:
            raise SectionFailed(
                section.name, error.cell_index + 1, error.source, error.ename, error.evalue, error.traceback
            ) from None
        except DeadKernelError:
            cells = nbformat.read(output, as_version=4).cells
            number, cell = [(n, c) for n, c in enumerate(cells, 1) if c.metadata.papermill.start_time][-1]
            log = (Path(scratch) / "kernel.log").read_text("utf-8", "replace").splitlines()[-30:]
            message = "the kernel died; the machine may have run out of memory"
            raise SectionFailed(section.name, number, cell.source, "DeadKernelError", message, log) from None


def _kernel_manager(scratch: Path):
    """A kernel manager class that starts ``sys.executable`` and keeps native code's output out of the pages.

    By name alone, ``python3`` may mean another Python: ``JUPYTER_PATH`` and kernels that a user registered
    can go before those of the environment.  TensorFlow's libraries greet on standard error whatever their
    log level; only Python's own ``sys.stdout`` and ``sys.stderr``, warnings included, reach a cell.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])),
        "IPYTHONDIR": str(scratch / "ipython"),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }

    class ThisPython(AsyncKernelManager):
        @property
        def kernel_spec(self):
            return KernelSpec(**get_kernel_dict(["--IPKernelApp.capture_fd_output=False"]))

        async def start_kernel(self, **options):
            options["env"] = {**(options.get("env") or os.environ), **environment}
            with open(scratch / "kernel.log", "ab") as log:
                await super().start_kernel(**options, stdout=log, stderr=log)

    return ThisPython


def versions() -> dict[str, str]:
    """Installed versions of what can change a page, Python first."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        for wheel in (name, f"{name}-cpu"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                found.setdefault(name, metadata.version(wheel))
    return found


def state(section: Section, parameters: dict[str, Any], shared: dict[str, Any]) -> str:
    """Digest of everything that an executed section depends on; ``shared`` is from :func:`surroundings`."""
    return digest(section.path, parameters, shared)


def surroundings(project: Path = PROJECT) -> dict[str, Any]:
    """What the states of all sections share: package, results, environment, data, versions."""
    data = os.environ.get("ACRLLS_DATA")
    images = _files(Path(data)) if data else ()
    return {
        "package": {str(p.relative_to(project)): digest(p) for p in _files(project / "acrlls")},
        "results": {str(p.relative_to(project)): digest(p) for p in _files(project / "results")},
        "environment": {name: os.environ.get(name) for name in ENVIRONMENT},
        # Size and time stand in for the content: a data set may have gigabytes.
        "data": {str(p): [p.stat().st_size, p.stat().st_mtime_ns] for p in images},
        "versions": versions(),
    }


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(".") and "__pycache__" not in path.parts:
            yield path


def stderr(notebook) -> list[tuple[int, str]]:
    """(cell number from 1, text) of everything that the cells wrote to standard error."""
    return [
        (number, "".join(output.text))
        for number, cell in enumerate(notebook.cells, start=1)
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]

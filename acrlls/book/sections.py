"""Sections and exercises: found, run by papermill, written for students, told fresh or stale."""

import ast
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from acrlls.backend import chosen, precision, versions
from acrlls.config import PROJECT, UserError, configure, environment_path, hint
from acrlls.store import digest, disk_told, file_digest, files_below, read_json, stamp, write_text

NOTEBOOKS = PROJECT / "notebooks"
_SHARP = "--InlineBackend.figure_formats={'svg'}"  # on every screen and in print
ENVIRONMENT = ("ACRLLS_PROFILE", "ACRLLS_DATA", "ACRLLS_ENGINE", "KERAS_BACKEND")


class SectionFailed(Exception):
    """A cell raised; ``str`` says where and what, ``report()`` adds the cell and the traceback."""

    def __init__(self, section: str, cell: int, source: str, name: str, value: str, traceback):
        self.cell, self.source, self.is_user_error = cell, source, name == "UserError"
        self.traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback)).rstrip()
        super().__init__(f"section {section} failed in cell {cell}: {name}: {value}".rstrip(": "))

    def report(self) -> str:
        indented = "\n".join(f"    {line}" for line in self.source.splitlines())
        return f"{self}\n\nThe cell:\n\n{indented}\n\n{self.traceback}\n"


@dataclass(frozen=True)
class Section:
    """One notebook of the book: ``06_calibration`` is ``<notebooks>/06_calibration.ipynb``."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def slug(self) -> str:
        """``calibration``."""
        return re.sub(r"^\d+_", "", self.name)

    @cached_property
    def cells(self) -> list:
        import jupytext

        return jupytext.read(self.path).cells

    @property
    def title(self) -> str:
        """The first heading of the notebook, or its name where it has none."""
        text = "\n".join(cell.source for cell in self.cells if cell.cell_type == "markdown")
        heading = re.search(r"^#\s+(.+)$", text, flags=re.MULTILINE)
        return heading.group(1).strip() if heading else self.name

    @property
    def parameters(self) -> dict[str, str]:
        """Names in the cell tagged ``parameters`` and their defaults as Python source."""
        found = {}
        for cell in self.cells:
            if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
                for line in ast.parse(cell.source).body:
                    if isinstance(line, (ast.Assign, ast.AnnAssign)) and line.value is not None:
                        target = getattr(line, "target", None) or line.targets[0]
                        found[ast.unparse(target)] = ast.unparse(line.value)
        return found


def all_sections(folder: Path | None = None, suffix: str = ".ipynb") -> list[Section]:
    """All sections of a folder, by default the project's notebooks; a ``UserError`` if none."""
    folder = folder or NOTEBOOKS
    found = [Section(path) for path in sorted(folder.glob(f"[0-9][0-9]_*{suffix}"))]
    if not found:
        hint = "sections need a checkout of the project, `pip install -e .` in it"
        raise UserError(f"no notebooks in {folder}; {hint}")
    return found


def all_exercises() -> list[Section]:
    """All exercises in the order of their numbers; a ``UserError`` if there are none."""
    return all_sections(PROJECT / "book" / "exercises", ".md")


def write_student(exercise: Section, path: Path) -> Path:
    """Write the student's notebook: cells tagged ``solution`` become empty ones, and those tagged
    ``wrong`` or ``key`` are left out. Another file, which may hold a student's work, is a
    ``UserError``.
    """
    from nbformat import v4

    cells = []
    for cell in exercise.cells:
        tags = cell.metadata.get("tags", [])
        source = "# Your answer here\n" if "solution" in tags else cell.source
        new = v4.new_code_cell if cell.cell_type == "code" else v4.new_markdown_cell
        if not {"wrong", "key"}.intersection(tags):
            cells.append(new(source, id=f"cell-{len(cells)}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    text = v4.writes(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})) + "\n"
    if path.exists() and path.read_bytes() != text.encode():
        raise UserError(f"{path} has been edited; move or delete it first")
    write_text(path, text)
    return path


def find(name: str, known: list[Section] | None = None, kind: str = "section") -> Section:
    """The section, or the ``known`` of another ``kind``, by name, number or path."""
    known = known or all_sections()
    path, home, wanted = Path(name), known[0].path.parent, name
    if path.suffix in (".ipynb", ".md"):
        wanted = path.stem
        # "notebooks/06_calibration.ipynb" may be said from anywhere, and a name alone
        here = str(path.parent) in (".", home.name)
        if path.exists():
            here = path.resolve().parent == home.resolve()
        if kind == "section" and not here:
            raise UserError(f"{name} is no section; run a notebook of your own by papermill")
    for section in known:
        number = section.name.split("_")[0]
        if wanted in (section.name, section.slug, number, str(int(number))):
            return section
    slugs = [section.slug for section in known]
    names = slugs + [section.name for section in known]
    raise UserError(f"there is no {kind} {name!r}; {hint(wanted, names, slugs)}")


def is_executed(path: Path) -> bool:
    """Whether a file is a notebook that papermill wrote, so that another may take its place."""
    return "papermill" in (read_json(path).get("metadata") or ())


def execute(
    section: Section, output: Path, parameters=None, *, cwd: Path | None = None, progress=True
):
    """Run a section through papermill in this Python, by a kernel that starts in ``cwd``.

    The executed notebook, which is returned as a ``nbformat`` node, grows beside ``output`` and
    takes its place at the end, also if a cell fails, a ``SectionFailed``, but not if the disk
    refuses.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    growing = output.with_name(f"{output.stem}.aside.ipynb")
    with disk_told(output), tempfile.TemporaryDirectory(prefix="acrlls-") as scratch:
        output.parent.mkdir(parents=True, exist_ok=True)
        log = Path(scratch) / "kernel.log"
        try:
            return papermill.execute_notebook(
                *(str(p).replace("{", "{{").replace("}", "}}") for p in (section.path, growing)),
                parameters=parameters or {},
                kernel_name="python3",
                language="python",
                progress_bar=progress,
                start_timeout=300,
                cwd=cwd,
                kernel_manager_class=_kernel_manager(log),
            )
        except papermill.PapermillExecutionError as error:
            what = error.source, error.ename, error.evalue, error.traceback
            raise SectionFailed(section.name, error.cell_index + 1, *what) from None
        except DeadKernelError:
            cells = nbformat.read(growing, as_version=4).cells
            begun = [k for k, cell in enumerate(cells) if cell.metadata.papermill.start_time]
            what = "DeadKernelError", "the kernel died; the machine may have run out of memory"
            last = log.read_text("utf-8", "replace").splitlines()[-30:]
            source = cells[begun[-1]].source
            raise SectionFailed(section.name, begun[-1] + 1, source, *what, last) from None
        except OSError:
            growing.unlink(missing_ok=True)
            raise
        finally:
            if growing.exists():
                growing.replace(output)


def _kernel_manager(log: Path):
    """A class that starts this Python, whatever ``python3`` means to Jupyter, with this ``acrlls``
    and no IPython profile, and keeps what native code prints out of the pages.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    for name in ("DATA", "PROFILE", "STORE"):
        environment_path(f"ACRLLS_{name}")  # the kernel starts in another folder
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])),
        "IPYTHONDIR": str(log.parent / "ipython"),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }

    class ThisPython(AsyncKernelManager):
        @property
        def kernel_spec(self):
            return KernelSpec(**get_kernel_dict(["--IPKernelApp.capture_fd_output=False", _SHARP]))

        async def start_kernel(self, **options):
            options["env"] = {**(options.get("env") or os.environ), **environment}
            with log.open("ab") as file:
                await super().start_kernel(**options, stdout=file, stderr=file)

    return ThisPython


def states(plan: Iterable[tuple[Section, dict]], project: Path = PROJECT) -> list[str]:
    """Digests of everything that each section with its parameters depends on; a section is fresh
    when its executed notebook carries that digest.
    """
    parts = (project / part for part in ("acrlls", "results"))
    files = [path for folder in parts for path in files_below(folder) if path.is_file()]
    shared = digest(
        {str(path.relative_to(project)): digest(path) for path in files},
        {name: os.environ.get(name) for name in ENVIRONMENT},
        chosen(),
        precision(),
        versions(),
    )

    @cache
    def images(folder):  # size and time stand in for the content: a dataset may have gigabytes
        files = [path for path in files_below(Path(folder).expanduser()) if path.is_file()]
        return [(str(path), *stamp(path)) for path in files]

    def state(section, parameters):
        default = ast.literal_eval(section.parameters.get("profile", "None"))
        names = ("profile", "data", "backbone")
        given = {name: parameters[name] for name in names if name in parameters}
        config = configure(**{"profile": default, **given})
        own = section.path, parameters, config.as_dict(), images(str(config.data))
        weights = Path(config.backbone)
        return digest(*own, shared, file_digest(weights) if weights.is_file() else "")

    return [state(*one) for one in plan]


def stderr(notebook) -> list[tuple[int, str]]:
    """(cell number from 1, text) of everything that the cells wrote to standard error."""
    return [
        (number, "".join(output.text))
        for number, cell in enumerate(notebook.cells, start=1)
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]

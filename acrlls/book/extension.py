"""The Sphinx extension that brings executed sections into the book.

Named under ``extra_extensions`` in ``_config.yml``, it executes every stale section before Jupyter Book
reads its sources, several at once.  An executed section is written to one side and takes its
place in ``book/sections/`` only after its last cell succeeded, so a failed one is never taken for fresh.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import acrlls
from acrlls.backend import import_keras
from acrlls.config import UserError
from acrlls.book.sections import ENVIRONMENT, Section, state, stderr, surroundings, versions
from acrlls.book.workers import Task, bring_all, jobs

STATUS = "status"
FINDINGS = "findings"  # what the front page includes
MATHJAX = "sphinx-mathjax-offline"  # a package of files: MathJax 3 and its fonts


def setup(app) -> dict[str, Any]:
    """Sphinx's entry point.

    Configuration: ``acrlls_notebooks``, the folder of the notebooks, relative to the book's;
    ``acrlls_parameters``, papermill parameters by section name, ``all`` for every section that has the
    parameter; ``acrlls_first``, names of sections to begin with, because they take longest.
    """
    app.add_config_value("acrlls_notebooks", "../notebooks", "env")
    app.add_config_value("acrlls_parameters", {}, "env")
    app.add_config_value("acrlls_first", [], "")
    # Before sphinx-external-toc (900) and whatever else reads the sources' folder.
    app.connect("config-inited", bring_sections, priority=100)
    app.connect("config-inited", _local_mathjax, priority=100)
    app.connect("env-before-read-docs", _before_autodoc)
    app.connect("build-finished", _copy_mathjax)
    app.setup_extension("acrlls.book.explore")
    return {"version": acrlls.__version__, "parallel_read_safe": True}


def _before_autodoc(app, env, docnames) -> None:
    if "api" in docnames:
        import_keras()


def _mathjax_folder() -> Path | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return Path(metadata.distribution(MATHJAX).locate_file(f"{MATHJAX}/static/mathjax"))
    return None


def _local_mathjax(app, config) -> None:
    """Take MathJax from the book itself, so that equations show where there is no network."""
    if _mathjax_folder():
        config.mathjax_path = "mathjax/tex-chtml.js"


def _copy_mathjax(app, failure) -> None:
    folder = _mathjax_folder()
    if failure is None and folder and app.builder.format == "html":
        # The rest of the package's 24 MB are other output formats and speech.
        for part in ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions"):
            target = Path(app.outdir) / "_static" / "mathjax" / part
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (folder / part).is_dir() else shutil.copyfile
                copy(folder / part, target)


def bring_sections(app, config) -> None:
    """Execute every stale section, those under ``acrlls_first`` first, and write the page on their execution.

    A failing section ends the build, at once or, with ``--keep-going``, after the other sections had their
    turn. What a cell wrote to standard error is shown in the page and is a warning of the build, so an
    error with ``-W``.
    """
    from sphinx.util import logging

    log = logging.getLogger(__name__)
    book = Path(app.srcdir)
    listed = _listed(book / config.external_toc_path, (book / config.acrlls_notebooks).resolve())
    shared = surroundings()
    plan = {}
    for section in listed:
        parameters = _parameters(section, config.acrlls_parameters)
        plan[section] = (parameters, state(section, parameters, shared))
    executed = {section: _read(book / "sections" / section.path.name) for section in listed}
    stale = [
        s
        for s in listed
        if executed[s] is None or executed[s].metadata.get("acrlls", {}).get("state") != plan[s][1]
    ]
    log.info("sections: %d to execute, %d unchanged", len(stale), len(listed) - len(stale))
    if stale:
        _warm_fonts()

    failures = []
    tasks = [
        Task(section, *plan[section], Path(app.outdir).parent / "unfinished" / section.path.name, book / "sections")
        for section in sorted(stale, key=lambda section: section.name not in config.acrlls_first)
    ]
    at_once = min(_jobs(), len(tasks))
    started = time.monotonic()
    for task, outcome in bring_all(tasks, app.keep_going, at_once) if tasks else ():
        executed[task.section] = outcome.notebook
        if outcome.failure:
            log.error("%s", outcome.report)
            log.error("what there is of it: %s\nto run it alone: acrlls run %s\n", task.aside, task.section.slug)
            failures.append(outcome.failure)
        else:
            log.info("section %s: %.0f s", task.section.name, outcome.notebook.metadata["acrlls"]["seconds"])
    if tasks:
        log.info("sections: executed in %.0f s, %d at once", time.monotonic() - started, at_once)
    if failures:
        # Jupyter Book would put its own traceback of an exception below the report of the cell.
        log.error("the book was not built:\n%s", "\n".join(failures))
        raise SystemExit(1)
    for section in listed:
        for cell, text in stderr(executed[section]):
            log.warning(
                "section %s wrote to standard error in cell %d:\n%s",
                section.name,
                cell,
                text.rstrip(),
                type="acrlls",
            )
    _write_if_changed(book / "sections" / f"{STATUS}.md", _status_page(executed, plan))
    _write_if_changed(book / "sections" / f"{FINDINGS}.md", _findings(executed))


def _listed(toc: Path, notebooks: Path) -> list[Section]:
    """The sections that the table of contents names, in its order."""
    from sphinx.errors import ConfigError

    def files(node) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("file"), str):
                yield node["file"]
            for value in node.values():
                yield from files(value)
        elif isinstance(node, list):
            for value in node:
                yield from files(value)

    pages = [Path(name) for name in files(yaml.safe_load(toc.read_text("utf-8")))]
    names = [page.stem for page in pages if page.parent == Path("sections") and page.stem != STATUS]
    for name in names:
        if not (notebooks / f"{name}.ipynb").is_file():
            raise ConfigError(
                f"{toc.name} has the page sections/{name}, but there is no notebook {notebooks / name}.ipynb"
            )
    return [Section(notebooks / f"{name}.ipynb") for name in names]


def _parameters(section: Section, configured: dict[str, dict]) -> dict[str, Any]:
    """Parameters of one section from ``acrlls_parameters``; common ones only where the notebook has them."""
    from sphinx.errors import ConfigError

    common = {k: v for k, v in configured.get("all", {}).items() if k in section.parameters}
    own = configured.get(section.name, {})
    for name in own:
        if name not in section.parameters:
            raise ConfigError(f"acrlls_parameters: section {section.name} has no parameter {name!r}")
    return {**common, **own}


def _read(path: Path):
    """An executed notebook, or None where there is none that can be read."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        return None


def _warm_fonts() -> None:
    """Let matplotlib index the machine's fonts here; in a first cell it would say so on standard error."""
    import logging

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    import matplotlib.font_manager  # noqa: F401


def _jobs() -> int:
    from sphinx.errors import ConfigError

    try:
        return jobs()
    except UserError as error:
        raise ConfigError(str(error)) from None


def _status_page(executed: dict, plan: dict) -> str:
    """Markdown of the page on the execution: time and outcome of each section, settings, versions."""
    rows, total = [], 0.0
    for section, notebook in executed.items():
        note = notebook.metadata["acrlls"]
        code = sum(cell.cell_type == "code" for cell in notebook.cells)
        lines = len(stderr(notebook))
        outcome = f"{lines} message{'s' * (lines > 1)} on standard error" if lines else "passed"
        given = ", ".join(f"`{k}={v}`" for k, v in plan[section][0].items()) or "as the profile says"
        rows.append(
            f"| [{section.title}]({section.name}) | {outcome} | {code} | {given} "
            f"| {note.seconds:.0f} s | {note.finished} |"
        )
        total += note.seconds
    installed = "\n".join(f"| {name} | {version} |" for name, version in versions().items())
    # The last part alone: a folder's whole path says more than a published page should.
    chosen = "\n".join(
        f"| `{name}` | {Path(os.environ.get(name, '')).name or 'not set'} |" for name in ENVIRONMENT
    )
    return f"""# Status of this build

The build wrote this page. Every section is a notebook that was executed from its first cell to its last;
one that fails ends the build, so no page here is left over from a run that broke. The time of a section
includes the training of whatever run it was the first to ask for, and waiting for runs that another section
was training. Sections are executed several at once, so a build takes less than the sum of their times.

| Section | Outcome | Code cells | Parameters | Time | Executed |
|---|---|---:|---|---:|---|
{chr(10).join(rows)}
| All | | | | {total:.0f} s | |

## Versions

| | |
|---|---|
{installed}
| System | {platform.system()} {platform.machine()}, {os.cpu_count()} processors |

## Choices from the environment

| Variable | Value |
|---|---|
{chosen}
"""


def _findings(executed: dict) -> str:
    """Markdown table of what the sections found: the output of each cell tagged ``finding``, as computed."""
    rows = ["| Section | In this build |", "|---|---|"]
    for section, notebook in executed.items():
        said = [
            " ".join(output.data["text/markdown"].split())
            for cell in notebook.cells
            if "finding" in cell.metadata.get("tags", [])
            for output in cell.get("outputs", [])
            if "text/markdown" in output.get("data", {})
        ]
        if said:
            rows.append(f"| [{section.title}](sections/{section.path.name}) | {' '.join(said)} |")
    return "\n".join(rows) + "\n"


def _write_if_changed(path: Path, text: str) -> None:
    """Leave an equal file alone: Sphinx reads again what has a new time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")

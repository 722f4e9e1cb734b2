"""The Sphinx extension that brings executed sections into the book.

Named under ``extra_extensions`` in ``_config.yml``, it executes every stale section before Jupyter
Book reads its sources, several at once. An executed section is written to one side and takes its
place in ``book/sections/`` only after its last cell succeeded, so a failed one is never taken for
fresh.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import acrlls
from acrlls.backend import import_keras
from acrlls.book.front import front
from acrlls.book.sections import ENVIRONMENT, Section, states, stderr, versions
from acrlls.book.workers import Task, bring_all, jobs
from acrlls.config import UserError

STATUS = "status"
FINDINGS = "findings"  # what the front page includes


def setup(app) -> dict[str, Any]:
    """Sphinx's entry point.

    Configuration: ``acrlls_notebooks``, the folder of the notebooks, relative to the book's;
    ``acrlls_parameters``, papermill parameters by section name, ``all`` for every section that has
    the parameter; ``acrlls_first``, names of sections to begin with, because they take longest.
    """
    app.add_config_value("acrlls_notebooks", "../notebooks", "env")
    app.add_config_value("acrlls_parameters", {}, "env")
    app.add_config_value("acrlls_first", [], "")
    # Before sphinx-external-toc (900) and whatever else reads the sources' folder.
    app.connect("config-inited", bring_sections, priority=100)
    app.connect("env-before-read-docs", _before_autodoc)
    # MathJax from the book itself, so that equations show where there is no network.
    app.setup_extension("sphinx-mathjax-offline")
    app.setup_extension("acrlls.book.pages")
    return {"version": acrlls.__version__, "parallel_read_safe": True}


def _before_autodoc(app, env, docnames) -> None:
    if "api" in docnames:
        import_keras()


def bring_sections(app, config) -> None:
    """Execute every stale section, those under ``acrlls_first`` first, and write the pages on them.

    A failing section ends the build, at once or, with ``--keep-going``, after the other sections
    had their turn. What a cell wrote to standard error is shown in the page and is a warning of the
    build, so an error with ``-W``.
    """
    from sphinx.errors import ConfigError

    book = Path(app.srcdir)
    listed = _listed(book / config.external_toc_path, (book / config.acrlls_notebooks).resolve())
    given = {section: _parameters(section, config.acrlls_parameters) for section in listed}
    try:
        marks = dict(zip(listed, states(given.items()), strict=True))
        at_once = jobs()
    except UserError as error:
        raise ConfigError(str(error)) from None
    executed = {section: _read(book / "sections" / section.path.name) for section in listed}
    stale = [s for s in listed if executed[s] is None or _mark(executed[s]) != marks[s]]
    _log().info("sections: %d to execute, %d unchanged", len(stale), len(listed) - len(stale))
    unfinished = Path(app.outdir).parent / "unfinished"
    tasks = [
        Task(s, given[s], marks[s], unfinished / s.path.name, book / "sections")
        for s in sorted(stale, key=lambda section: section.name not in config.acrlls_first)
    ]
    if tasks:
        executed |= _execute(tasks, app.keep_going, min(at_once, len(tasks)))
    for section in listed:
        for cell, text in stderr(executed[section]):
            said = (
                f"section {section.name} wrote to standard error in cell {cell}:\n{text.rstrip()}"
            )
            _log().warning("%s", said, type="acrlls")
    _write_if_changed(book / "sections" / f"{STATUS}.md", _status_page(executed, given))
    _write_if_changed(book / "sections" / f"{FINDINGS}.md", _findings(executed))
    said = [front(notebook, book / "sections") for notebook in executed.values()]
    _write_if_changed(book / "sections" / "front.md", "\n\n".join(filter(str.strip, said)))


def _execute(tasks: list[Task], keep_going: bool, at_once: int) -> dict:
    """The executed notebooks by section; a failure ends the build."""
    _warm_fonts()
    found, failures, started = {}, [], time.monotonic()
    for task, outcome in bring_all(tasks, keep_going, at_once):
        if outcome.failure:
            again = f"to run it alone: acrlls run {task.section.slug}"
            _log().error("%s\nwhat there is of it: %s\n%s\n", outcome.report, task.aside, again)
            failures.append(outcome.failure)
        else:
            found[task.section] = outcome.notebook
            seconds = outcome.notebook.metadata["acrlls"]["seconds"]
            _log().info("section %s: %.0f s", task.section.name, seconds)
    _log().info("sections: executed in %.0f s, %d at once", time.monotonic() - started, at_once)
    if failures:
        # Jupyter Book would put its own traceback of an exception below the report of the cell.
        _log().error("the book was not built:\n%s", "\n".join(failures))
        raise SystemExit(1)
    return found


def _log():
    from sphinx.util import logging

    return logging.getLogger(__name__)


def _mark(notebook) -> str | None:
    return notebook.metadata.get("acrlls", {}).get("state")


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
            missing = f"there is no notebook {notebooks / name}.ipynb"
            raise ConfigError(f"{toc.name} has the page sections/{name}, but {missing}")
    return [Section(notebooks / f"{name}.ipynb") for name in names]


def _parameters(section: Section, configured: dict[str, dict]) -> dict[str, Any]:
    """A section's parameters from ``acrlls_parameters``; common ones only where it has them."""
    from sphinx.errors import ConfigError

    common = {k: v for k, v in configured.get("all", {}).items() if k in section.parameters}
    own = configured.get(section.name, {})
    for name in own:
        if name not in section.parameters:
            raise ConfigError(f"acrlls_parameters: {section.name} has no parameter {name!r}")
    return {**common, **own}


def _read(path: Path):
    """An executed notebook, or None where there is none that can be read."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        return None


def _warm_fonts() -> None:
    """Let matplotlib index the machine's fonts here, and not in a cell, on standard error."""
    import logging

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    import matplotlib.font_manager  # noqa: F401


def _status_page(executed: dict, given: dict) -> str:
    """Markdown of the page on the build: time and outcome of each section, settings, versions."""
    rows, total = [], 0.0
    for section, notebook in executed.items():
        note, lines = notebook.metadata["acrlls"], len(stderr(notebook))
        outcome = f"{lines} message{'s' * (lines > 1)} on standard error" if lines else "passed"
        values = ", ".join(f"`{k}={v}`" for k, v in given[section].items()) or "as the profile says"
        link = f"[{section.title}]({section.name})"
        rows.append(f"| {link} | {outcome} | {values} | {note.seconds:.0f} s | {note.finished} |")
        total += note.seconds
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    installed = {**versions(), "System": system}
    # The last part alone: a folder's whole path says more than a published page should.
    chosen = {f"`{n}`": Path(os.environ.get(n, "")).name or "not set" for n in ENVIRONMENT}
    lists = ["\n".join(f"| {k} | {v} |" for k, v in found.items()) for found in (installed, chosen)]
    return _STATUS.format("\n".join(rows), total, *lists)


_STATUS = """# Status of this build

The build wrote this page. It executed every section from its first cell to its last; a section that
fails ends the build. The time of a section includes the training of the runs that it was the first
to ask for, and waiting for runs that another section was training. Sections are executed several at
once, so a build takes less than the sum of their times.

| Section | Outcome | Parameters | Time | Executed |
|---|---|---|---|---|
{}
| All | | | {:.0f} s | |

## Versions

| Package | Version |
|---|---|
{}

## Choices from the environment

| Variable | Value |
|---|---|
{}
"""


def _findings(executed: dict) -> str:
    """Markdown table of what the sections found: the output of the first cell tagged ``finding`` of
    each, but of those whose cells are on the front page already."""
    rows = ["| Section | What it finds |", "|---|---|"]
    for section, notebook in executed.items():
        tags = [set(cell.metadata.get("tags", [])) for cell in notebook.cells]
        if any("front" in t for t in tags):
            continue
        first = next((c for c, t in zip(notebook.cells, tags, strict=True) if "finding" in t), {})
        said = [
            " ".join(output.data["text/markdown"].split())
            for output in first.get("outputs", [])
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

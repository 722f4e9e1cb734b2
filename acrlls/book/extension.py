"""The Sphinx extension that executes every stale section before Jupyter Book reads its sources.

A section takes its place in ``book/sections/`` only after its last cell succeeded, so that a failed
one is never taken for fresh.
"""

import contextlib
import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any

import yaml

import acrlls
from acrlls.backend import import_keras
from acrlls.book.front import findings, front, in_short, renew, status_page
from acrlls.book.sections import Section, states, stderr
from acrlls.book.workers import Task, bring_all, fresh, jobs
from acrlls.config import UserError, absolute_paths, hint
from acrlls.store import locked

_ROOM = 10**8  # bytes


def setup(app) -> dict[str, Any]:
    """Sphinx's entry point.

    Configuration: ``acrlls_notebooks``, the folder of the notebooks, relative to the book's;
    ``acrlls_parameters``, papermill parameters by section name, ``all`` for every section that has
    the parameter; ``acrlls_first``, names of sections to begin with, in this order.
    """
    app.add_config_value("acrlls_notebooks", "../notebooks", "env")
    app.add_config_value("acrlls_parameters", {}, "env")
    app.add_config_value("acrlls_first", [], "")
    # Before sphinx-external-toc (900) and whatever else reads the sources' folder.
    app.connect("config-inited", bring_sections, priority=100)
    # autodoc would import Keras with its greetings
    app.connect("env-before-read-docs", lambda app, env, pages: "api" in pages and import_keras())
    app.connect("source-read", in_short)
    # MathJax from the book itself, so that equations show where there is no network.
    app.setup_extension("sphinx-mathjax-offline")
    app.setup_extension("acrlls.book.pages")
    return {"version": acrlls.__version__, "parallel_read_safe": True}


def bring_sections(app, config) -> None:
    """Execute every stale section and write the pages on them.

    A failing section ends the build, at once or, with ``--keep-going``, after the others had their
    turn. What a cell wrote to standard error is a warning of the build, so an error with ``-W``.
    """
    try:
        _bring_sections(app, config, Path(app.srcdir))
    except (UserError, OSError) as error:
        # Jupyter Book would put its own traceback of an exception below the message.
        _log().error("the book was not built: %s", error)
        raise SystemExit(1) from None


def _bring_sections(app, config, book: Path) -> None:
    listed = _listed(book / config.external_toc_path, (book / config.acrlls_notebooks).resolve())
    given = _parameters(config.acrlls_parameters, listed)
    _wait_for_others(app, book / "_build" / "lock")
    if not Path(app.outdir, "index.html").exists() and shutil.disk_usage(book).free < _ROOM:
        raise UserError(f"{book} has less than {_ROOM / 1e6:.0f} MB free, which its pages take")
    marks = dict(zip(listed, states(given.items()), strict=True))
    at_once = jobs()
    executed = {s: fresh(book / "sections" / s.path.name, marks[s]) for s in listed}
    stale = [s for s in listed if executed[s] is None]
    _log().info("sections: %d to execute, %d unchanged", len(stale), len(listed) - len(stale))
    unfinished = Path(app.outdir).parent / "unfinished"
    tasks = [
        Task(s, given[s], marks[s], unfinished / s.path.name, book / "sections")
        for s in sorted(stale, key=lambda s: [*config.acrlls_first, s.name].index(s.name))
    ]
    if tasks:
        executed |= _execute(tasks, app.keep_going, min(at_once, len(tasks)))
    for section in listed:
        for cell, text in stderr(executed[section]):
            said = f"section {section.name} wrote to standard error in cell {cell}:\n{text}"
            _log().warning("%s", said.rstrip(), type="acrlls")
    (book / "sections").mkdir(exist_ok=True)
    pages = {"status": status_page(executed, given), "findings": findings(executed)}
    for tag in ("front", "claims"):  # of the front page, and of that on the main claims
        said = (front(notebook, book / "sections", tag) for notebook in executed.values())
        pages[tag] = "\n\n".join(filter(str.strip, said))
    for name, text in pages.items():
        renew(book / "sections" / f"{name}.md", text)
    _begin_pages(app, unfinished / f"{Path(app.outdir).name}.begun")


def _wait_for_others(app, file: Path) -> None:
    """One build of a book at a time: what two write at once would be a mixture."""
    alone = contextlib.ExitStack()
    if not alone.enter_context(locked(file, wait=False)):
        _log().info("another build of this book is at work; this one goes on when it has ended")
        alone.enter_context(locked(file))
    app.connect("build-finished", lambda *_: alone.close(), priority=999)


def _begin_pages(app, begun: Path) -> None:
    """Have all pages written anew after a build that did not end well while it wrote them."""
    if begun.exists():  # Sphinx takes a page that was cut short for written, MyST-NB a picture
        Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)
        shutil.rmtree(Path(app.outdir).parent / "jupyter_execute", ignore_errors=True)
    begun.parent.mkdir(parents=True, exist_ok=True)
    begun.touch()
    # after whatever else works on the pages
    app.connect("build-finished", lambda _, error: error or begun.unlink(), priority=998)


def _execute(tasks: list[Task], keep_going: bool, at_once: int) -> dict:
    """The executed notebooks by section; a failure ends the build."""
    # Let matplotlib index the machine's fonts here, and not in a cell, on standard error.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    import matplotlib.font_manager  # noqa: F401

    found, failures, started = {}, [], time.monotonic()
    for task, outcome in bring_all(tasks, at_once):
        if isinstance(outcome, str):
            again = f"to run it alone: acrlls run {task.section.slug}"
            _log().error("%s\nwhat there is of it: %s\n%s\n", outcome, task.aside, again)
            failures.append(outcome.splitlines()[0])
            if not keep_going:
                break
        else:
            found[task.section] = outcome
            _log().info("section %s: %.0f s", task.section.name, outcome.metadata.acrlls.seconds)
    _log().info("sections: executed in %.0f s, %d at once", time.monotonic() - started, at_once)
    if failures:
        raise UserError("\n".join(failures))
    return found


def _log():
    from sphinx.util import logging

    return logging.getLogger(__name__)


def _listed(toc: Path, notebooks: Path) -> list[Section]:
    """The sections that the table of contents names, in its order."""
    contents = str(yaml.safe_load(toc.read_text("utf-8")))
    names = re.findall(r"'file': 'sections/(\d+_\w+)'", contents)
    for name in names:
        if not (notebooks / f"{name}.ipynb").is_file():
            missing = f"there is no notebook {notebooks / name}.ipynb"
            raise UserError(f"{toc.name} has the page sections/{name}, but {missing}")
    return [Section(notebooks / f"{name}.ipynb") for name in names]


def _parameters(configured: Any, listed: list[Section]) -> dict[Section, dict[str, Any]]:
    """Each section's parameters from ``acrlls_parameters``, common ones only where it has them."""
    about, shape = "acrlls_parameters", "sections, each with `parameter: value` lines below it"
    values = configured.values() if isinstance(configured, dict) else [configured]
    if not all(isinstance(value, dict) for value in values):
        raise UserError(f"{about} is {configured!r}; it must hold {shape}")
    known = {section.name: section.parameters for section in listed}
    known["all"] = set().union(*known.values())
    for name, values in configured.items():
        if name not in known:
            raise UserError(f"{about}: there is no section {name!r}; {hint(name, known)}")
        for wrong in values.keys() - known[name]:
            who = "no section has the" if name == "all" else f"{name} has no"
            raise UserError(f"{about}: {who} parameter {wrong!r}; {hint(wrong, known[name])}")
    given, common = {}, configured.get("all", {})
    for section in listed:
        own = {k: v for k, v in common.items() if k in section.parameters}
        # paths count from where the build was started; a kernel starts elsewhere
        given[section] = absolute_paths({**own, **configured.get(section.name, {})})
    return given

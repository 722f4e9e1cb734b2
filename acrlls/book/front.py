"""What the build itself writes: the front page's computed parts, the findings and the status."""

import os
import platform
import re
from itertools import groupby
from pathlib import Path

import nbformat

from acrlls.backend import versions
from acrlls.book.sections import ENVIRONMENT
from acrlls.store import write_text

_FIRST = re.compile(r".*?\*\*.+?(\.\*\*|\*\*.*?\.)(?= |$)")  # through the sentence with bold words
_CARD = re.compile(r"\*\*(?P<title>[^*]+\?)\*\* (?P<verdict>.+?[.])( (?P<more>.+))?", re.DOTALL)


def front(notebook, folder: Path, tag: str = "front") -> str:
    """Markdown of what the cells of a tag say and show, in their order; their figures are written
    into ``folder``.

    Neighbouring sentences that begin with a question in bold become a grid of cards, headed by the
    sentence after it; by the line ``% answers`` a page can include the parts separately.
    """
    said = []
    for cell, data in _shown(notebook, tag):
        text = data.get("text/markdown", "").strip()
        if card := _CARD.fullmatch(text):
            about = f":class-card: answer\n\n**{card['verdict']}**\n\n{card['more'] or ''}"
            said.append(f":::{{grid-item-card}} {card['title']}\n{about}\n:::")
        elif "text/html" in data:
            shown = f'<div class="output text_html">{data["text/html"]}</div>'  # as in a section
            shown = f'<div class="cell_output">{shown}</div>'
            said.append(f"```{{raw}} html\n{shown}\n```")
        elif "image/svg+xml" in data:
            file = folder / f"front_{len(said)}.svg"
            renew(file, data["image/svg+xml"])
            options = cell.metadata.get("mystnb", {})
            alt = options.get("image", {}).get("alt", "")
            caption = options.get("figure", {}).get("caption", "")
            # The style sheets make this class look, and scroll on a phone, as in a section.
            kind = "front fits" if "fits" in cell.metadata.tags else "front"
            about = f":alt: {alt}\n:width: 100%\n:figclass: {kind}\n\n{caption}"
            said.append(f"```{{figure}} sections/{file.name}\n{about}\n```")
        elif text:
            said.append(text)
    parts = []
    for are_cards, some in groupby(said, lambda part: part.startswith(":::{grid-item-card}")):
        if are_cards:
            some = ["\n".join(["% answers", "::::{grid} 1 1 2 2", ":gutter: 3", "", *some, "::::"])]
        parts += some
    return "\n\n".join(parts) + "\n"


def renew(file: Path, text: str) -> None:
    """Write a file if it is not as it should be: Sphinx reads again what has a new time."""
    if not file.is_file() or file.read_bytes() != text.encode():
        write_text(file, text)


def found(notebook):
    """The first cell tagged ``finding`` that says something, and what it says, on one line."""
    shown = _shown(notebook, "finding")
    said = [(cell, data["text/markdown"]) for cell, data in shown if "text/markdown" in data]
    # the front page may show the section's cells already
    if not said or any("front" in cell.metadata.get("tags", []) for cell in notebook.cells):
        return None, ""
    first = said[0][0]
    return first, " ".join(" ".join(text for cell, text in said if cell is first).split())


def findings(executed: dict) -> str:
    """Markdown table of what each section found: the sentence in bold."""
    rows = ["| Section | What it finds |", "|---|---|"]
    for section, notebook in executed.items():
        if said := found(notebook)[1]:
            said = first[0] if (first := _FIRST.match(said)) else said
            rows.append(f"| [{section.title}](sections/{section.path.name}) | {said} |")
    return "\n".join(rows) + "\n"


def in_short(app, docname: str, source: list[str]) -> None:
    """Put what a section found below the question that it opens with, and there alone."""
    if not docname.startswith("sections/") or not source[0].lstrip().startswith("{"):
        return
    notebook = nbformat.reads(source[0], as_version=4)
    cell, said = found(notebook)
    if said:
        cell.outputs = [o for o in cell.outputs if "text/markdown" not in o.get("data", {})]
        parts = notebook.cells[0].source.split("\n\n")  # the title, the question, and what follows
        parts.insert(2, f":::{{admonition}} In short\n:class: tip\n{said}\n:::")
        notebook.cells[0].source = "\n\n".join(parts)
        source[0] = nbformat.writes(notebook)


def _shown(notebook, tag: str):
    """Each cell of a tag with the data of each of its outputs."""
    for cell in notebook.cells:
        if tag in cell.metadata.get("tags", []):
            yield from ((cell, output.get("data", {})) for output in cell.get("outputs", []))


def status_page(executed: dict, given: dict) -> str:
    """Markdown of the page on the build: time and settings of each section, versions."""
    rows, total = [], 0.0
    for section, notebook in executed.items():
        note = notebook.metadata["acrlls"]
        values = ", ".join(f"`{k}={v}`" for k, v in given[section].items()) or "as the profile says"
        link = f"[{section.title}]({section.name})"
        rows.append(f"| {link} | {values} | {note.seconds:,.0f}\u00a0s | {note.finished} |")
        total += note.seconds
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    # The last part alone: a folder's whole path says more than a published page should.
    chosen = {f"`{n}`": Path(os.environ.get(n, "")).name or "not set" for n in ENVIRONMENT}
    made = {**versions(), "System": system, **chosen}
    made = "\n".join(f"| {name} | {value} |" for name, value in made.items())
    return _STATUS.format("\n".join(rows), total, made)


_STATUS = """# Status of this build

The build wrote this page. It executed every section from its first cell to its last; a section that
fails ends the build. The time of a section includes the training of the runs that it was the first
to ask for, and waiting for runs that another section was training. Sections are executed several at
once, so a build takes less than the sum of their times.

| Section | Parameters | Time | Executed |
|---|---|---|---|
{}
| All | | {:,.0f}\u00a0s | |

## Made with

| Package or variable | Version or value |
|---|---|
{}
"""

"""The page on a reader's own images as one HTML file that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acrlls.book.sections import execute, find

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Report</title>
<style>body {{ max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ padding: 0.2rem 0.7rem; text-align: right; border-bottom: 1px solid #ddd; }}
caption {{ text-align: left; }} img, svg {{ max-width: 100%; height: auto; }}</style>
{}</html>
"""


def write_report(folder: Path, given: Mapping[str, Any]) -> Path:
    """Execute the section on a reader's images for those settings that it has parameters for, and
    write its text, tables and figures without its code; the HTML file, beside ``report.ipynb``.
    """
    section = find("your_images")
    parameters = {name: value for name, value in given.items() if name in section.parameters}
    notebook = execute(section, folder / "report.ipynb", parameters)
    file = folder / "report.html"
    file.write_text(PAGE.format(html_of(notebook)), "utf-8")
    return file


def html_of(notebook) -> str:
    """Text and outputs of an executed notebook; links to other pages become plain words."""
    from markdown_it import MarkdownIt

    render, parts = MarkdownIt("commonmark").enable("table").render, []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(render(re.sub(r"\[([^]]*)\]\([^)]*\.(?:md|ipynb)\)", r"\1", cell.source)))
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "text/html" in data or "image/svg+xml" in data:
                parts.append(data.get("text/html") or data["image/svg+xml"])
            elif "image/png" in data:
                parts.append(f'<img alt="" src="data:image/png;base64,{data["image/png"]}">')
            elif "text/markdown" in data:
                parts.append(render(data["text/markdown"]))
    return "\n".join(parts)

"""The page on a reader's own images as one HTML file that needs nothing else."""

import html
import re
from pathlib import Path

import yaml

from acrlls.book.sections import execute, find
from acrlls.config import Config
from acrlls.store import write_text

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Report</title>
<style>body {{ max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ padding: 0.2rem 0.7rem; text-align: right; border-bottom: 1px solid #ddd; }}
caption {{ text-align: left; }} img, svg {{ max-width: 100%; height: auto; }}</style>
{}</html>
"""


def write_report(folder: Path, config: Config) -> Path:
    """Execute the section on a reader's images with all settings of a config, which stand in
    ``settings.yml``, and write its text, tables and figures without its code; the HTML file, beside
    ``report.ipynb``.
    """
    settings = {name: value for name, value in config.as_dict().items() if name != "profile"}
    plain = {n: list(v) if isinstance(v, tuple) else v for n, v in settings.items()}
    write_text(folder / "settings.yml", yaml.safe_dump(plain, sort_keys=False))
    given = {"profile": str((folder / "settings.yml").absolute()), "data": config.data}
    notebook = execute(find("your_images"), folder / "report.ipynb", given)
    write_text(folder / "report.html", PAGE.format(html_of(notebook)))
    return folder / "report.html"


def html_of(notebook) -> str:
    """Text and outputs of an executed notebook, without the cells tagged ``book``; links to other
    pages become plain words, and a picture keeps its text alternative and its caption.
    """
    from markdown_it import MarkdownIt

    render, parts = MarkdownIt("commonmark").enable("table").render, []
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and "book" not in cell.metadata.get("tags", ()):
            parts.append(render(re.sub(r"\[([^]]*)\]\([^)]*\.(?:md|ipynb)\)", r"\1", cell.source)))
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "text/html" in data:
                parts.append(data["text/html"])
            elif "image/svg+xml" in data or "image/png" in data:
                parts.append(_figure(data, cell.metadata.get("mystnb", {})))
            elif "text/markdown" in data:
                parts.append(render(data["text/markdown"]))
    return "\n".join(parts)


def _figure(data, about) -> str:
    alt = html.escape(about.get("image", {}).get("alt", ""))
    caption = html.escape(about.get("figure", {}).get("caption", ""), quote=False)
    picture = data.get("image/svg+xml")
    if picture is None:
        picture = f'<img alt="" src="data:image/png;base64,{data["image/png"]}">'
    shown = f'<div role="img" aria-label="{alt}">{picture}</div>'
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"

"""The pages as HTML: scripts, mends of the theme's markup, links that open a section elsewhere."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from acrlls.config import PROJECT
from acrlls.store import digest

# Jupyter Book puts every .js and .css below _static on every page; these go only where they work.
SCRIPTS = PROJECT / "book" / "explore"
BINDER = "https://mybinder.org/v2/gh/{0}/{1}?urlpath=lab/tree/{2}.ipynb"
COLAB = "https://colab.research.google.com/github/{0}/blob/notebooks/{1}/{2}.ipynb"

_MENDS = [  # (what is found, what takes its place), in the HTML of a whole page
    # The corner of a pandas table and an empty cell of a Markdown heading are no headings.
    (r"<th\b([^>]*)>(?:&nbsp;|\s)*</th>", r"<td\1></td>"),
    # A folded cell, and the field for searching, are called what their text says.
    (r'(<summary) aria-label="Toggle hidden content"', r"\1"),
    (r'(<button class="btn search-button-f[^>]*?)( title="Search")? aria-label="Search"', r"\1"),
    (r'(<i class="theme-switch [^>]*?) title="[^"]*"', r'\1 aria-hidden="true"'),
    (r'<summary>(<span class="toctree-toggle")', r'<summary aria-label="Pages below">\1'),
    # The title above the contents, which leads home, lies in a landmark as all else does.
    (
        r'<div (class="sidebar-primary-item")>(\s*<a class="navbar-brand.*?</a>\s*)</div>',
        r'<nav \1 aria-label="Home">\2</nav>',
    ),
    # Roles of the bibliography that its elements must not have.
    (r'<div role="list" class="citation-list">', r'<div class="citation-list">'),
    (r' role="doc-biblioentry"', ""),
    # A figure of a page without a number: its count over such pages would look like the paper's.
    (r'<span class="caption-number">Fig\. \d+ </span>', ""),
    # Thebe, which no button starts; its settings come twice, which is an error of the page.
    (r"<script>const THEBE_JS_URL.*?</script>\s*", ""),
    (r"<script[^>]*sphinx-thebe\.js[^>]*></script>\s*", ""),
]


def setup(app) -> None:
    """Connect all that to the build; called by the extension's own ``setup``."""
    # As a value of the configuration an edited script puts every page out of date, and is copied.
    static = [Path(app.srcdir, "_static"), SCRIPTS]
    files = sorted(file for folder in static for file in folder.rglob("*") if file.is_file())
    app.add_config_value("acrlls_scripts", digest([(f.name, digest(f)) for f in files]), "html")
    app.add_config_value("acrlls_opened_at", _opened_at(), "html")
    app.add_config_value("acrlls_slides", Path(app.outdir, "slides").is_dir(), "html")
    app.connect("config-inited", _configure)
    app.connect("doctree-read", _keep_together, priority=100)  # before the contents take titles
    app.connect("doctree-resolved", _keep_together)  # with the numbers of figures
    app.connect("html-page-context", _complete)
    app.connect("build-finished", _mend_all)


def mended(html: str) -> str:
    """A page without the faults of its markup that no setting of Sphinx or the theme removes."""
    for found, instead in _MENDS:
        html = re.sub(found, instead, html, flags=re.DOTALL)
    return html


def links(page: str, opened_at: Sequence[str]) -> str:
    """HTML that names a page's notebook, and opens it elsewhere by ``(owner/name, tag)``."""
    folder, name = page.split("/")
    file = f"{folder.replace('sections', 'notebooks')}/{name}"
    about = ("rerun", "Run it again") if folder == "sections" else ("exercises", "Exercises")
    how = '<a href="../{}.html">{}</a> says how to run it.'.format(*about)
    said = f"The notebook of this page is <code>{file}.ipynb</code>. {how}"
    if opened_at:
        binder = f'<a href="{BINDER.format(*opened_at, file)}">Binder</a>'
        colab = f'<a href="{COLAB.format(*opened_at, name)}">Colab</a>'
        said = f"Open the notebook of this page, at {opened_at[1]}, on {binder} or {colab}. "
        said += f"Neither has been tried; where one fails, {how}"
    return said


def _opened_at() -> list[str]:
    """Repository and tag, as GitHub's own runner names them; elsewhere there is no address."""
    named = [os.environ.get(f"GITHUB_{name}", "") for name in ("REPOSITORY", "REF_NAME")]
    return named if os.environ.get("GITHUB_REF_TYPE") == "tag" else []


def _configure(app, config) -> None:
    """A page's address and its social card are told where the book is published, and only there."""
    config.html_baseurl = config.ogp_site_url = os.environ.get("ACRLLS_SITE", "")
    if SCRIPTS.is_dir():
        config.html_static_path.append(str(SCRIPTS))


def _keep_together(app, doctree, docname="") -> None:
    """No line ends between a number and its %, or within "Fig. 1" or "IV-A", but in code."""
    from docutils.nodes import FixedTextElement, Text, literal

    for text in list(doctree.findall(Text)):
        if not isinstance(text.parent, (literal, FixedTextElement)):
            whole = re.sub(r"(?<=\d) (?=%)|(?<=Fig\.) (?=\d)", "\u00a0", text)
            whole = re.sub(r"\b([IV]+)-(?=[A-E]\b)", "\\1\u2011", whole)
            if whole != text:
                text.parent.replace(text, Text(whole))


def _complete(app, pagename, templatename, context, doctree) -> None:
    body = context.get("body", "")
    names = re.findall(r'class="explore" data-figure="([a-z]+)"', body)
    if names:
        app.add_css_file("explore.css")
        for name in ("explore", *dict.fromkeys(names)):
            app.add_js_file(f"{name}.js")
    if re.match(r"(sections|exercises)/\d", pagename):
        # after a section's time and objective, or below an exercise's title
        line = f"{links(pagename, app.config.acrlls_opened_at)}</p>"
        about = re.compile("<p>(?=<em>About )(.*?)</p>", re.DOTALL)
        body = about.sub(rf'<p class="open">\1 {line}', body, count=1)
        if line not in body:
            body = body.replace("</h1>", f'</h1>\n<p class="open">{line}', 1)
        context["body"] = body
    elif pagename == "teaching" and not app.config.acrlls_slides:  # nothing to link to
        context["body"] = re.sub(r'<a href="slides/.*?>(.*?)</a>', r"\1", body)


def _mend_all(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            html = page.read_text("utf-8")
            if (better := mended(html)) != html:
                page.write_text(better, "utf-8")

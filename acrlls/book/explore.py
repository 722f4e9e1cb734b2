"""Scripts of the figures that recompute, on the pages whose text holds such a figure.

Jupyter Book puts every ``.js`` and ``.css`` below ``_static`` on every page; these files lie in
``book/explore`` for that reason.
"""

from __future__ import annotations

import re

from acrlls.config import PROJECT
from acrlls.store import digest

SCRIPTS = PROJECT / "book" / "explore"


def setup(app) -> None:
    """Connect the scripts to the pages; called by the extension's own ``setup``."""
    # As a value of the configuration an edited script puts every page out of date, and is copied.
    scripts = {file.name: file.read_text("utf-8") for file in sorted(SCRIPTS.glob("*"))}
    app.add_config_value("acrlls_explore", digest(scripts), "html")
    app.connect("builder-inited", _add_folder)
    app.connect("html-page-context", _add_scripts)


def _add_folder(app) -> None:
    if SCRIPTS.is_dir():
        app.config.html_static_path.append(str(SCRIPTS))


def _add_scripts(app, pagename, templatename, context, doctree) -> None:
    names = re.findall(r'class="explore" data-figure="([a-z]+)"', context.get("body", ""))
    if names:
        app.add_css_file("explore.css")
        for name in ("explore", *dict.fromkeys(names)):
            app.add_js_file(f"{name}.js")

"""Sphinx's configuration of the slides: reveal.js, bundled by sphinx-revealjs, needs no network."""

project = "Does the model mean what it says?"
extensions = ["myst_nb", "sphinx_revealjs", "sphinx-mathjax-offline"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_remove_code_source = True
nb_mime_priority_overrides = [
    ("revealjs", kind, k)
    for k, kind in enumerate(("text/html", "image/png", "text/markdown", "text/plain"))
]
revealjs_style_theme = "white"
revealjs_static_path = ["_static"]
revealjs_css_files = ["slides.css"]
revealjs_script_conf = {"hash": True, "slideNumber": True, "width": 1280, "height": 800}
revealjs_script_plugins = [
    {"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}  # key S: the speaker's view
]

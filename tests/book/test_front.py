"""The front page takes what its cells say and show, in their order."""

from nbformat.v4 import new_code_cell, new_notebook, new_output

from acrlls.book.front import front

OPTIONS = {"figure": {"caption": "What to see."}, "image": {"alt": "A plot."}}


def cell(tags, *outputs, **metadata):
    shown = [new_output("display_data", data=data) for data in outputs]
    return new_code_cell("x", outputs=shown, metadata={"tags": tags, **metadata})


def test_sentences_figures_and_cards_come_in_order_and_nothing_else(tmp_path):
    picture = {"image/svg+xml": "<svg/>"}
    cards = [{"text/markdown": f"**{title}?** Because {title}."} for title in ("One", "Two")]
    notebook = new_notebook(
        cells=[
            cell(["front"], {"text/markdown": "A verdict."}),
            cell(["hide-input"], {"text/markdown": "Not for the front."}),
            cell(["front"], picture, mystnb=OPTIONS),
            cell(["front"], *cards),
        ]
    )
    text = front(notebook, tmp_path)
    wanted = [
        "A verdict.",
        "sections/front_1.svg",
        ":alt: A plot.",
        "What to see.",
        "} One?",
        "} Two?",
    ]
    places = [text.index(part) for part in wanted]
    assert places == sorted(places)
    assert text.count("::::{grid}") == 1 and "Not for the front" not in text
    assert (tmp_path / "front_1.svg").read_text("utf-8") == "<svg/>"


def test_a_figure_that_recomputes_stays_html(tmp_path):
    page = '<figure class="explore" data-figure="reliability">x</figure>'
    both = {"text/html": page, "image/png": "c3RpbGw="}
    text = front(new_notebook(cells=[cell(["front"], both)]), tmp_path)
    assert "{raw} html" in text and page in text and not list(tmp_path.iterdir())

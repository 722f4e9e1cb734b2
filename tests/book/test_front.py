"""The front page takes what its cells say and show, in their order."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from acrlls.book import find
from acrlls.book.front import findings, front, in_short
from acrlls.config import PROJECT

OPTIONS = {"figure": {"caption": "What to see."}, "image": {"alt": "A plot."}}


def cell(tags, *outputs, **metadata):
    shown = [new_output("display_data", data=data) for data in outputs]
    return new_code_cell("x", outputs=shown, metadata={"tags": tags, **metadata})


def test_sentences_figures_and_cards_come_in_order_and_nothing_else(tmp_path):
    picture = {"image/svg+xml": "<svg/>"}
    cards = [
        {"text/markdown": f"**{title}?** Because {title}. By 0.1."} for title in ("One", "Two")
    ]
    notebook = new_notebook(
        cells=[
            cell(["front"], {"text/markdown": "A verdict."}),
            cell(["hide-input"], {"text/markdown": "Not for the front."}),
            cell(["front", "fits"], picture, mystnb=OPTIONS),
            cell(["front"], *cards),
        ]
    )
    text = front(notebook, tmp_path)
    wanted = ["A verdict.", "sections/front_1.svg", ":alt: A plot.", ":figclass: front fits"]
    wanted += ["What to see.", "} One?", "**Because One.**\n\nBy 0.1.\n", "} Two?"]
    places = [text.index(part) for part in wanted]
    assert places == sorted(places)
    assert text.splitlines()[0] == "A verdict."  # index.md takes it from there
    assert text.count("\n\n% answers\n::::{grid}") == 1 and "Not for the front" not in text
    assert (tmp_path / "front_1.svg").read_text("utf-8") == "<svg/>"
    before = (tmp_path / "front_1.svg").stat().st_mtime_ns
    front(notebook, tmp_path)
    assert (tmp_path / "front_1.svg").stat().st_mtime_ns == before  # or every build reads it again


def test_a_figure_that_recomputes_stays_html(tmp_path):
    page = '<figure class="explore" data-figure="reliability">x</figure>'
    both = {"text/html": page, "image/png": "c3RpbGw="}
    text = front(new_notebook(cells=[cell(["front"], both)]), tmp_path)
    assert "{raw} html" in text and page in text and not list(tmp_path.iterdir())


def test_the_main_claims_stand_on_a_page_of_their_own_and_not_in_their_section(tmp_path):
    table = {"text/html": '<table class="cards"><tr><td>A claim</td></tr></table>'}
    notebook = new_notebook(cells=[cell(["claims", "remove-cell"], table), cell(["front"], {})])
    assert "A claim" not in front(notebook, tmp_path)
    text = front(notebook, tmp_path, "claims")
    # styled, and on a phone cut into cards, as a cell's output
    inner = f'<div class="output text_html">{table["text/html"]}</div>'
    assert f'<div class="cell_output">{inner}</div>' in text and "{raw} html" in text
    ledger = find("ledger")
    (main,) = (c for c in ledger.cells if "claims" in c.metadata.get("tags", []))
    assert "main_claims" in main.source and "remove-cell" in main.metadata.tags
    assert "{include} sections/claims.md" in (PROJECT / "book" / "claims.md").read_text("utf-8")


def test_what_a_section_found_stands_below_its_question_once():
    found = cell(["finding"], {"text/markdown": "**It is** so."}, {"text/markdown": "By 3."})
    later = cell(["finding"], {"text/markdown": "Another thing."})
    text = new_markdown_cell("# Title\n\nIs it so?\n\n*About 5 minutes.*")
    before = new_notebook(cells=[text, found, later])
    source = [nbformat.writes(before)]
    in_short(None, "sections/01_data", source)
    page = nbformat.reads(source[0], as_version=4)
    places = [page.cells[0].source.index(p) for p in ("Is it so?", "**It is** so. By 3.", "*About")]
    assert places == sorted(places) and "Another" not in page.cells[0].source
    assert page.cells[1].source == found.source and page.cells[2:] == before.cells[2:]
    assert len(found.outputs) == 2 and not page.cells[1].outputs


def test_the_front_page_has_of_each_finding_the_sentence_in_bold():
    said = {
        "data": "**It is so**, by 0.5. More.",
        "speed": "In 2.5 of 3: **it is so.** More.",
        "shift": "Plain. All.",
    }
    executed = {
        find(slug): new_notebook(cells=[cell(["finding"], {"text/markdown": text})])
        for slug, text in said.items()
    }
    rows = findings(executed).splitlines()[2:]
    kept = ["**It is so**, by 0.5.", "In 2.5 of 3: **it is so.**", "Plain. All."]
    assert [row.split(" | ")[1] for row in rows] == [f"{text} |" for text in kept]


def test_pages_without_a_finding_or_on_the_front_page_stay_as_they_are():
    text, plain = new_markdown_cell("# Title\n\nIs it so?"), cell(["finding"], {"text/plain": "x"})
    both = [cell(["front"], {"text/markdown": "a"}), cell(["finding"], {"text/markdown": "b"})]
    for cells in ([text, plain], [text, *both]):
        source = [nbformat.writes(new_notebook(cells=cells))]
        before = list(source)
        in_short(None, "sections/01_data", source)
        assert source == before
    in_short(None, "gaps", page := ["# What the paper does not say"])
    assert page == ["# What the paper does not say"]

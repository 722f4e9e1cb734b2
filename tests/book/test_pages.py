"""The pages of the book: what is mended in their markup, and the built book in a browser."""

import inspect
import re
from collections import Counter
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from bs4 import BeautifulSoup
from conftest import HOST, watched_page
from docutils import nodes

from acrlls import method
from acrlls.book import pages
from acrlls.config import PROJECT

HTML = PROJECT / "book" / "_build" / "html"
# Sphinx writes the listings of the package's source itself; no reader's page.
# The slides are built apart from the pages, and have a test of their own.
APART = {"_modules", "_static", "slides"}
PAGES = [p for p in sorted(HTML.rglob("*.html")) if not APART & {*p.parts}]
# Besides the rules that axe takes by itself. It need not fetch style sheets, which it may not.
AXE = {
    "rules": {"label-content-name-mismatch": {"enabled": True}},
    "preload": False,
    "resultTypes": ["violations"],
}


def test_mending_removes_what_it_names_and_nothing_twice():
    html = (
        '<script>const THEBE_JS_URL = "x";</script><script src="_static/sphinx-thebe.js"></script>'
        '<th class="blank level0">&nbsp;</th><th>A</th><th class="head"></th>'
        '<summary aria-label="Toggle hidden content">Show</summary>'
        '<details><summary><span class="toctree-toggle"></span></summary></details>'
        '<div class="sidebar-primary-item"> <a class="navbar-brand logo">Home</a></div><div></div>'
        '<div role="list" class="citation-list"><div class="citation" role="doc-biblioentry">'
        '<span class="caption-number">Fig. 1.2 </span>'
    )
    better = pages.mended(html)
    assert pages.mended('<span class="caption-number">Fig. 3 </span>') == ""
    assert pages.mended(better) == better
    page = BeautifulSoup(better, "html.parser")
    assert not page.select("script, [aria-label^=Toggle], [role]")
    assert [th.text for th in page.select("th")] == ["A"] and len(page.select("td")) == 2
    assert page.select_one("details summary")["aria-label"]
    assert page.nav.a.text == "Home" and len(page.select(".sidebar-primary-item")) == 1
    assert page.get_text().split() == BeautifulSoup(html, "html.parser").get_text().split()


def test_a_number_stays_with_what_belongs_to_it_and_code_as_it_is():
    text = "95 % of 3 % are in Fig. 1, Section IV-B"
    words, code = nodes.paragraph("", text), nodes.literal(text, text)
    pages._keep_together(None, nodes.section("", words, nodes.paragraph("", "", code)), "")
    together = "95\u00a0% of 3\u00a0% are in Fig.\u00a01, Section IV\u2011B"
    assert words.astext() == together and code.astext() == text


@pytest.mark.parametrize("there", [True, False])
def test_the_slides_are_linked_where_they_were_built_and_named_elsewhere(there):
    link = re.search(r"<a .*?</a>", (PROJECT / "book" / "teaching.md").read_text("utf-8")).group()
    assert 'href="slides/index.html"' in link
    app = SimpleNamespace(config=SimpleNamespace(acrlls_slides=there))
    context = {"body": f"<p>Open {link} now.</p>"}
    pages._complete(app, "teaching", "page.html", context, None)
    name = BeautifulSoup(link, "html.parser").text
    assert context["body"] == f"<p>Open {link if there else name} now.</p>"


@pytest.mark.parametrize(
    ("page", "file", "how"),
    [
        ("sections/06_calibration", "notebooks/06_calibration", "../rerun.html"),
        ("exercises/09_ece_by_hand", "exercises/09_ece_by_hand", "../exercises.html"),
    ],
)
def test_links_of_a_page_name_its_notebook_and_the_tag(page, file, how, monkeypatch):
    for name, value in {"REPOSITORY": "a/b", "REF_NAME": "v1", "REF_TYPE": "branch"}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    line = BeautifulSoup(pages.links(page, pages._opened_at()), "html.parser")
    assert line.code.text == f"{file}.ipynb" and [a["href"] for a in line.select("a")] == [how]
    monkeypatch.setenv("GITHUB_REF_TYPE", "tag")
    line = BeautifulSoup(pages.links(page, pages._opened_at()), "html.parser")
    binder, colab, other = (a["href"] for a in line.select("a"))
    assert other == how and "Neither has been tried" in line.text
    assert "gh/a/b/v1" in binder and binder.endswith(f"/tree/{file}.ipynb")
    assert colab.endswith(f"a/b/blob/notebooks/v1/{file.split('/')[1]}.ipynb")
    assert (pages.PROJECT / f"{file}.ipynb").is_file()


# The built book


built = pytest.mark.skipif(not PAGES, reason="no built book: make book")
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def parsed(path):
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


@pytest.fixture
def tab(browser):
    with watched_page(browser) as tab:
        yield tab


def check_looks(path, tab, *looks):
    """Nothing overflows and axe finds no fault, for each theme and width."""
    axe = resources.files(pytest.importorskip("axe_playwright_python")) / "axe.min.js"
    tab.goto(path.as_uri())
    tab.evaluate(axe.read_text("utf-8"))
    tab.add_style_tag(content="* { transition: none !important }")  # of colours, of the sidebar
    for theme, width in looks:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        tab.wait_for_timeout(500)  # the theme measures what scrolls a little after a resize
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        if width == 1300:  # on a screen, no table scrolls
            assert not tab.locator(".bd-article .output.text_html:has(table).scrolls").count()
        found = tab.evaluate("how => axe.run(document, how)", AXE)["violations"]
        said = [(v["id"], v["nodes"][0]["html"][:200]) for v in found]
        assert not said, (theme, width)


@pytest.mark.thorough
@built
@each_page
def test_a_page_fits_its_window_and_every_reader(path, tab):
    check_looks(path, tab, ("light", 1300), ("dark", 320))


@pytest.mark.thorough
@built
@each_page
def test_a_page_fits_other_windows_too(path, tab):
    check_looks(path, tab, ("dark", 1300), ("light", 400), ("dark", 400), ("light", 320))


@pytest.mark.thorough
@built
@each_page
def test_a_page_with_figures_that_recompute_is_small_and_no_other_gets_their_script(path):
    page = parsed(path)
    names = {figure["data-figure"] for figure in page.select("figure.explore")}
    own = {file.stem for file in pages.SCRIPTS.glob("*.js")}
    linked = [urldefrag(s["src"].split("?")[0])[0] for s in page.select("script[src]")]
    scripts = {Path(src).stem: path.parent / src for src in linked if Path(src).stem in own}
    assert scripts.keys() == (names | {"explore"} if names else set())
    if names:
        needed = path, HTML / "_static" / "explore.css", *scripts.values()
        assert sum(file.stat().st_size for file in needed) < 500_000


@pytest.mark.thorough
@built
@each_page
def test_pictures_and_the_page_are_described(path):
    page = parsed(path)
    for picture in page.select("main img"):
        assert picture.get("alt") and "/" not in picture["alt"]
    if path.name not in ("genindex.html", "py-modindex.html", "search.html"):
        assert len(page.select_one("meta[name=description]")["content"]) > 40
        assert page.select_one('meta[property="og:image"]')
    icon = page.select_one("link[rel=icon]")["href"]
    assert (path.parent / icon.split("?")[0]).is_file()


@pytest.mark.thorough
@built
def test_no_link_inside_the_book_is_broken():
    ids = {p.resolve(): {t["id"] for t in parsed(p).select("[id]")} for p in HTML.rglob("*.html")}
    broken = []
    for path in PAGES:
        for link in parsed(path).select("a[href]"):
            target, place = urldefrag(link["href"])
            if re.match(r"[a-z]+:", target):
                continue
            file = (path.parent / unquote(target.split("?")[0])).resolve() if target else path
            known = ids.get(file.resolve(), set()) | {"", "top"}
            if not file.is_file() or unquote(place) not in known:
                broken.append((path.name, link["href"]))
    assert not broken


@pytest.mark.thorough
@built
def test_the_first_screen_holds_a_table_or_a_figure(tab):
    top = """found => Math.min(...found.map(e => e.getBoundingClientRect())
        .filter(box => box.height > 60).map(box => box.top))"""
    sections = sorted((HTML / "sections").glob("[0-9]*.html"))
    for path in (HTML / "index.html", *sections):
        tab.goto(path.as_uri())
        found = tab.locator("article :is(table, img, svg)").evaluate_all(top)
        assert found < 900 < tab.viewport_size["height"], path.stem
        about = " ".join(tab.locator("p.open").all_inner_texts())
        named = "Afterwards you can" in about and f"{path.stem}.ipynb" in about
        assert named == (path.stem != "index")
    assert len(sections) == 18


@pytest.mark.thorough
@built
def test_search_finds_a_term(tab):
    # From files, a browser lets the search read no page; of a server it lost connections at times.
    def read(route):
        route.fulfill(path=HTML / urlsplit(route.request.url).path[1:])

    tab.route(f"{HOST}**", read)
    tab.goto(f"{HOST}search.html?q=temperature+scaling")
    tab.wait_for_selector("#search-results li a")
    assert "06_calibration.html" in " ".join(
        a.get_attribute("href") for a in tab.locator("#search-results li a").all()
    )


@pytest.mark.thorough
@built
@pytest.mark.parametrize(("width", "phone"), [(390, True), (1300, False)])
def test_on_a_phone_what_scrolls_says_so_and_rows_become_cards(tab, width, phone):
    hint, wider = (
        "b => getComputedStyle(b, '::before').content",
        "b => b.scrollWidth > b.clientWidth",
    )
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto((HTML / "index.html").as_uri())
    fits = tab.locator("figure.front").first  # names above the rows leave it narrow
    assert "Swipe the figure" not in fits.evaluate(hint) and not fits.evaluate(wider)
    answers = tab.locator("#the-verdict .sd-card").all()
    assert len(answers) == 4
    assert len({card.bounding_box()["x"] for card in answers}) == (1 if phone else 2)
    tab.goto((HTML / "sections" / "00_verdict.html").as_uri())
    boxes = tab.locator(".output.text_html:has(table)").all()
    told = ["Swipe the table" in box.evaluate(hint) for box in boxes]
    assert any(told) == phone and told == [box.evaluate(wider) for box in boxes]
    tab.goto((HTML / "sections" / "06_calibration.html").as_uri())
    figure = tab.locator(".cell_output:has(> figure > img)").first
    assert ("Swipe the figure" in figure.evaluate(hint)) == phone == figure.evaluate(wider)
    assert (figure.evaluate("b => b.tabIndex") == 0) == phone  # the keyboard reaches what scrolls
    for page, rows, narrow, wide in (
        ("sections/11_ledger", ".ledger", "block", "grid"),
        ("claims", "table.cards", "grid", "table-row"),
    ):
        tab.goto((HTML / f"{page}.html").as_uri())
        row = tab.locator(f"{rows} tbody tr").first
        assert row.evaluate("r => getComputedStyle(r).display") == (narrow if phone else wide)
    assert tab.locator("table.cards thead").is_visible() != phone


@pytest.mark.thorough
@built
@pytest.mark.parametrize(
    ("page", "levels"), [("05_classification", (0, 1)), ("09_real_images", (1, 2))]
)
def test_on_a_phone_the_names_of_a_row_stay_beside_one_another(tab, page, levels):
    tab.set_viewport_size({"width": 390, "height": 900})
    tab.goto((HTML / "sections" / f"{page}.html").as_uri())
    box = tab.locator(f".output.text_html:has(.row_heading.level{levels[-1]})").first
    box.evaluate("b => { b.scrollLeft = b.scrollWidth }")
    left = box.bounding_box()["x"]
    for level in levels:
        name = box.locator(f".row_heading.level{level}").first.bounding_box()
        assert abs(name["x"] - left) < 2
        left += name["width"]


@pytest.mark.thorough
@built
@each_page
def test_figures_are_numbered_on_numbered_pages_alone(path):
    page = parsed(path)
    numbers = [n.text.split()[1] for n in page.select(".caption-number")]
    section = page.select_one("h1 .section-number")
    assert all(section and n.startswith(section.text.strip()) for n in numbers), numbers


@pytest.mark.thorough
@built
def test_a_heading_sorts_its_table_and_each_row_keeps_its_names(tab):
    tab.goto((HTML / "sections" / "05_classification.html").as_uri())
    table = tab.locator("table.sortable", has=tab.locator("th.level1")).first
    read = """rows => { let name; return rows.map(row => {
        const names = [...row.querySelectorAll("th")].map(th => th.innerText);
        if (names.length > 1) name = names[0];  // else that of a row above, which spans this one
        return [name, names.at(-1), Number(row.querySelector("td").innerText)] }) }"""
    rows = table.locator("tbody tr")
    before = rows.evaluate_all(read)
    assert table.locator("tbody th.level0").count() < len(before)
    for order, by in (("ascending", lambda row: row[2]), ("descending", lambda row: -row[2])):
        table.get_by_role("button", name="published").click()
        assert rows.evaluate_all(read) == sorted(before, key=by) != before
        assert table.locator("th[aria-sort]").get_attribute("aria-sort") == order
    assert table.locator("tbody th.level0").count() == len(before)


@pytest.mark.thorough
@built
@pytest.mark.parametrize("page", ["index", "sections/05_classification", "sections/14_touch"])
def test_print_shows_a_still_picture_in_place_of_each_slider(page, tab):
    tab.goto((HTML / f"{page}.html").as_uri())
    tab.wait_for_selector("figure.explore.live")
    tab.emulate_media(media="print")
    figures = tab.locator("figure.explore").all()
    assert figures
    for figure in figures:
        assert figure.locator(".still").is_visible()
        assert not any(c.is_visible() for c in figure.locator("input, select, .picture").all())


@pytest.mark.thorough
@built
def test_a_page_as_pdf_holds_the_still_pictures(tab):
    tab.goto((HTML / "sections" / "14_touch.html").as_uri())
    tab.wait_for_selector("figure.explore.live")
    size = "i => [i.naturalWidth, i.naturalHeight].join(' ')"
    shown = [still.evaluate(size) for still in tab.locator("figure.explore .still").all()]
    found = re.findall(rb"/Subtype /Image\s*/Width (\d+)\s*/Height (\d+)", tab.pdf())
    assert len(shown) == 5
    assert not Counter(shown) - Counter(f"{int(w)} {int(h)}" for w, h in found)


@pytest.mark.thorough
@built
def test_print_shows_answers_and_divides_long_tables(tab):
    tab.goto(f"file://{HTML}/teaching.html")
    tab.emulate_media(media="print")
    answer = tab.locator("details.sd-dropdown:not([open]) p").first
    assert answer.evaluate("e => e.checkVisibility()")
    broken = "e => getComputedStyle(e).breakInside"
    assert tab.locator(".bd-article table").last.evaluate(broken) == "auto"


@pytest.mark.thorough
@built
def test_the_page_of_the_package_has_the_two_layers_as_they_are_called():
    page = parsed(HTML / "api.html")
    for name in ("AdaptiveConfidenceRegularizer", "LearnableLogitScaler"):
        shown = page.find(id=f"acrlls.method.{name}").select(".sig-param")
        called = inspect.signature(getattr(method, name).__init__).parameters
        assert ["self", *(p.text for p in shown)] == [str(p) for p in called.values()]

"""The figures that recompute: a built page in Chromium, its numbers against the package's."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import watched_page
from scipy.special import softmax
from scipy.stats import norm

from acrlls import VARIANTS, calibration
from acrlls.config import PROJECT
from acrlls.figures.explore import acr_optimum, acr_penalty, shares_won, study_spread
from acrlls.runs import training_weights
from acrlls.tables import recorded as read

FIGURES = ("reliability", "simplex", "scaling", "seeds", "tuning")
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """The page with the figures, as the book builds it."""
    book = tmp_path_factory.mktemp("touch")
    (book / "index.md").write_text("# A book of one page\n")
    (book / "_static").symlink_to(PROJECT / "book" / "_static")
    toc = {"format": "jb-book", "root": "index", "chapters": [{"file": "sections/14_touch"}]}
    (book / "_toc.yml").write_text(yaml.safe_dump(toc))
    config = yaml.safe_load((PROJECT / "_config.yml").read_text("utf-8"))
    config["bibtex_bibfiles"] = [str(PROJECT / "book" / "references.bib")]
    config["sphinx"]["config"] |= {
        "acrlls_notebooks": str(PROJECT / "notebooks"),
        "acrlls_first": [],
    }
    (book / "_config.yml").write_text(yaml.safe_dump(config))
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(book)]
    done = subprocess.run(command, capture_output=True, text=True)
    file = book / "_build" / "html" / "sections" / "14_touch.html"
    assert file.is_file(), done.stdout[-3000:] + done.stderr[-3000:]
    return file


@pytest.fixture(scope="module")
def page(browser, page_file):
    """The open page; what it asks for and what goes wrong is checked when all tests are done."""
    with watched_page(browser) as page:
        page.goto(page_file.as_uri())
        page.wait_for_selector("figure.explore.live")
        yield page


def figure(page, name):
    return page.locator(f'figure.explore[data-figure="{name}"]')


def set_to(page, name, **values):
    """Set controls as a script would; `drag` and `press` do it as a reader does."""
    for key, value in values.items():
        control = figure(page, name).locator(f'[name="{key}"]')
        if isinstance(value, bool):
            control.set_checked(value)
        elif isinstance(value, str):
            control.select_option(value)
        else:
            control.evaluate(
                "(i, v) => { i.value = v; i.dispatchEvent(new Event('input', {bubbles: true})) }",
                value,
            )
    return state(page, name)


def state(page, name):
    """The values of the controls, and what the figure computed from them."""
    read = """box => Object.fromEntries([...box.querySelectorAll('input, select')].map(
        i => [i.name, i.type === 'checkbox' ? i.checked
                    : i.type === 'range' ? Number(i.value) : i.value]))"""
    values = figure(page, name).locator(".controls").evaluate(read)
    return values, json.loads(figure(page, name).get_attribute("data-result"))


def drag(page, name, slider, to):
    """Move a slider with the mouse to about a value."""
    control = figure(page, name).locator(f'[name="{slider}"]')
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    low, high = (float(control.get_attribute(end)) for end in ("min", "max"))

    def x(value):
        return box["x"] + 8 + (value - low) / (high - low) * (box["width"] - 16)

    y = box["y"] + box["height"] / 2
    page.mouse.move(x(float(control.input_value())), y)
    page.mouse.down()
    page.mouse.move(x(to), y, steps=6)
    page.mouse.up()
    assert abs(float(control.input_value()) - to) < 0.1 * (high - low)
    return state(page, name)


def press(page, name, slider, key):
    control = figure(page, name).locator(f'[name="{slider}"]')
    before = control.input_value()
    control.press(key)
    assert control.input_value() != before
    return state(page, name)


@pytest.fixture(scope="module")
def recorded():
    published = read.setting()
    return {VARIANTS[n].title: read.middle(published.of(n)) for n in read.NETWORKS}


def of_the_package(recorded, values):
    """Of the same images by the package: the ECE, many under perfect calibration, the bins that
    hold images, and how many of their points lie outside a wider and a narrower block."""
    run = next(run for title, run in recorded.items() if values["network"].startswith(title))
    test, n = run.predictions("test"), values["images"]
    order = np.random.default_rng(0).permutation(len(test.labels))[:n]
    z, y = test.logits[order].astype("f4").astype(float), test.labels[order]
    if values["prior"]:
        z = calibration.PriorCorrection(training_weights(run)).transform(z)
    p = softmax(z / values["temperature"], axis=1)
    floor = calibration.noise_floor(p, y, bins=values["bins"], resamples=1000)
    top = values["of"] == "Top label"
    k = -1 if top else test.class_names.index(values["of"])
    of = "top_label" if top else "classes"
    few, many = (
        calibration.prepare_reliability(p, y, values["bins"], of=of, level=level)
        for level in (0.99, 0.9)
    )
    outside = [((b.frequency < b.band_low) | (b.frequency > b.band_high))[k] for b in (few, many)]
    drawn = floor.top_label if top else floor.classwise[:, k]
    return floor.observed[k], drawn, (few.count[k] > 0).sum(), [o.sum() for o in outside]


def check_reliability(recorded, found):
    values, result = found
    ece, drawn, filled, (few, many) = of_the_package(recorded, values)
    low, high = np.quantile(drawn, [0.05, 0.95])
    assert result["ece"] == pytest.approx(ece, abs=1e-9)
    # 600 drawings there and 1,000 here: a standard error of about 4 % of the range
    assert result["floor"] == pytest.approx(high, abs=0.15 * (high - low)), values
    assert result["filled"] == filled
    assert few <= result["outside"] <= many, values


def test_every_setting_of_the_reliability_diagram_gives_the_packages_ece(page, recorded):
    check_reliability(recorded, state(page, "reliability"))
    classes = recorded["Baseline"].class_names
    networks = figure(page, "reliability").locator('[name="network"] option').all_inner_texts()
    assert len(networks) == 3
    cases = itertools.product(networks, ("Top label", classes[1], classes[2]), (False, True))
    for (network, of, prior), bins, t in zip(
        cases, itertools.cycle((7, 15, 50)), itertools.cycle((0.5, 1, 1.7, 4)), strict=False
    ):
        values = {"network": network, "of": of, "prior": prior, "bins": bins, "temperature": t}
        check_reliability(recorded, set_to(page, "reliability", **values))
    sentence = figure(page, "reliability").locator("[role=status]").inner_text()
    result = state(page, "reliability")[1]
    assert f"{result['ece']:.4f}" in sentence
    assert f"{result['outside']} of {result['filled']} lie outside" in sentence


def test_the_reliability_diagram_follows_mouse_and_keys(page, recorded):
    for slider, to in (("bins", 30), ("temperature", 2.0), ("images", 700)):
        check_reliability(recorded, drag(page, "reliability", slider, to))
    for slider, key in (("bins", "ArrowRight"), ("temperature", "ArrowLeft"), ("images", "End")):
        check_reliability(recorded, press(page, "reliability", slider, key))


@pytest.mark.parametrize("name", ["index", "sections/05_classification"])
def test_the_reliability_diagram_of_the_built_pages_follows_as_well(name, browser, recorded):
    file = PROJECT / "book" / "_build" / "html" / f"{name}.html"
    if not file.is_file():
        pytest.skip("no built book: make book")
    with watched_page(browser) as page:
        page.goto(file.as_uri())
        page.wait_for_selector("figure.explore.live")
        check_reliability(recorded, state(page, "reliability"))
        check_reliability(recorded, drag(page, "reliability", "temperature", 1.8))
        check_reliability(recorded, press(page, "reliability", "bins", "ArrowRight"))
        check_reliability(recorded, set_to(page, "reliability", of="COVID", prior=True))


def check_simplex(found):
    values, result = found
    alpha, tau, truth = values["alpha"], values["tau"], np.array(result["truth"])
    share = (1 - values["first"]) * values["share"]
    assert truth == pytest.approx([values["first"], share, 1 - values["first"] - share])
    best = np.array(result["best"])
    loss = -truth @ np.log(best) + acr_penalty(best, alpha, tau)
    other = acr_optimum(truth, alpha, tau)
    assert result["loss"] == pytest.approx(loss, abs=1e-12)
    assert loss <= -truth @ np.log(other) + acr_penalty(other, alpha, tau) + 1e-8


def test_the_simplex_finds_a_loss_as_small_as_scipys(page):
    check_simplex(state(page, "simplex"))
    for alpha, tau, first, share in itertools.product(
        (0, 0.08, 1), (0, 0.25, 0.8), (0.2, 0.34, 0.7), (0.3, 0.5)
    ):
        check_simplex(set_to(page, "simplex", alpha=alpha, tau=tau, first=first, share=share))
    for slider, to in (("alpha", 0.5), ("tau", 0.6), ("first", 0.5), ("share", 0.7)):
        before, _ = state(page, "simplex")
        check_simplex(moved := drag(page, "simplex", slider, to))
        check_simplex(pressed := press(page, "simplex", slider, "ArrowRight"))
        assert before[slider] != moved[0][slider] != pressed[0][slider]


@pytest.mark.parametrize("name", ["simplex", "scaling"])
def test_the_point_in_the_picture_can_be_dragged(page, name):
    before, _ = state(page, name)
    picture = figure(page, name).locator("svg.picture")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"], steps=4)
    page.mouse.up()
    after, _ = found = state(page, name)
    assert after != before
    {"simplex": check_simplex, "scaling": check_scaling}[name](found)


def check_scaling(found):
    from acrlls import LearnableLogitScaler

    v, result = found
    z = np.array([[v["a"], v["b"]]])
    layer = LearnableLogitScaler()
    layer.build(z.shape)
    layer.set_weights([np.array([v["scaleA"], v["scaleB"]])])
    prior = calibration.PriorCorrection([np.exp(-v["shift"]), 1])
    wanted = [
        softmax(z)[0, 0],
        softmax(np.array(layer(z)))[0, 0],
        prior.predict_proba(z)[0, 0],
        softmax(z / v["temperature"])[0, 0],
    ]
    assert result == pytest.approx(wanted, abs=1e-6)


def test_scales_shift_and_temperature_are_the_packages(page):
    check_scaling(state(page, "scaling"))
    moves = {"a": -2, "b": 3, "scaleA": 1.8, "scaleB": 0.5, "shift": 2, "temperature": 0.5}
    for slider, to in moves.items():
        check_scaling(drag(page, "scaling", slider, to))
        check_scaling(press(page, "scaling", slider, "ArrowRight"))


def check_seeds(found):
    values, result = found
    sd = study_spread(**values)
    # of 4,000 studies: a standard error of 1.1 % of the deviation, and of at most 0.008
    assert result["sd"] == pytest.approx(sd, rel=0.05), values
    assert result["wrong"] == pytest.approx(norm.cdf(0, values["gap"], sd), abs=0.03), values


def test_the_better_method_looks_worse_as_often_as_the_normal_distribution_says(page):
    check_seeds(state(page, "seeds"))
    moves = {"gap": 1.5, "images": 1000, "spread": 1, "seeds": 5, "disagree": 12}
    for control, to in moves.items():
        check_seeds(drag(page, "seeds", control, to))
        check_seeds(press(page, "seeds", control, "ArrowLeft"))
    check_seeds(set_to(page, "seeds", gap=0, spread=0))
    check_seeds(set_to(page, "seeds", gap=1, spread=0, images=179, disagree=5))


def check_tuning(page, found):
    values, result = found
    given = json.loads(figure(page, "tuning").locator("script").inner_text())
    sd = np.sqrt(given["perImage"] ** 2 / (2 * values["images"]) + values["spread"] ** 2)
    assert result["sd"] == pytest.approx(sd)
    assert result["shares"] == pytest.approx(shares_won(given["losses"], sd), abs=1e-9)


def test_the_grid_is_won_as_often_as_the_package_says(page):
    check_tuning(page, state(page, "tuning"))
    for slider, to in (("images", 10000), ("spread", 0.03)):
        check_tuning(page, drag(page, "tuning", slider, to))
        check_tuning(page, press(page, "tuning", slider, "ArrowLeft"))


def test_every_control_has_a_label_and_every_picture_a_name(page):
    for name in FIGURES:
        for control in figure(page, name).locator(".controls input, .controls select").all():
            assert control.evaluate("i => i.labels.length === 1 && i.labels[0].textContent !== ''")
        sentence = figure(page, name).locator("[role=status]").inner_text()
        assert figure(page, name).locator("svg.picture").get_attribute("aria-label") == sentence


def test_a_picture_stands_in_print_and_where_there_is_no_javascript(page, browser, page_file):
    quiet = browser.new_context(java_script_enabled=False).new_page()
    quiet.goto(page_file.as_uri())
    page.emulate_media(media="print")
    for name, view in itertools.product(FIGURES, (quiet, page)):
        still = figure(view, name).locator("img.still")
        assert still.is_visible()
        assert len(still.get_attribute("alt")) > 80
        assert not figure(view, name).locator(".controls").is_visible()
    page.emulate_media(media="screen")


@pytest.mark.parametrize("width", [320, 400, 1300])
def test_nothing_overflows(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(1000)  # the theme's sidebar slides in or out
    for name in FIGURES:
        assert figure(page, name).evaluate("f => f.scrollWidth <= f.clientWidth")
        box = figure(page, name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
